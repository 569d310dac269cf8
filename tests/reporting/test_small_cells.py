"""The small-cell rule: no page, export or API above a unit's own scope tells of fewer than five people."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from programs import registry
from programs.models import User
from programs.registry import Suppressed, Value
from reporting.small_cells import covered
from reporting.statistics import refresh

SMALL, WITH_IT = Suppressed.SMALL, Suppressed.WITH_IT
YEAR = {"from": "2025-01", "to": "2025-12"}


def of(*numbers: int) -> list[Value]:
    return [Decimal(number) for number in numbers]


@pytest.mark.parametrize(
    ("values", "shown", "total"),
    [
        (of(0, 5, 12), of(0, 5, 12), Decimal(17)),  # nothing small
        (of(3, 5, 12), [SMALL, WITH_IT, Decimal(12)], Decimal(20)),  # the smallest other one goes with it
        (of(3, 0, 12), [SMALL, Decimal(0), WITH_IT], Decimal(15)),
        (of(3, 4, 12), [SMALL, SMALL, WITH_IT], Decimal(19)),
        (of(3, 4), [SMALL, SMALL], WITH_IT),  # nothing else to leave out: the total goes
        (of(3, 0), [SMALL, Decimal(0)], SMALL),
        (of(), [], Decimal(0)),
    ],
)
def test_what_is_shown_together(values: list[Value], shown: list[Value], total: Value) -> None:
    assert covered(values, sum(values, Decimal(0))) == (shown, total)


def test_what_the_reader_knows_stays() -> None:
    shown, total = covered(of(2, 3, 20, 30), Decimal(55), [True, False, False, False])
    assert (shown, total) == ([Decimal(2), SMALL, WITH_IT, Decimal(30)], Decimal(55))


def test_a_value_left_out_already_is_not_the_only_one_missing() -> None:
    shown, total = covered([WITH_IT, Decimal(8), Decimal(9)], Decimal(25))
    assert (shown, total) == ([WITH_IT, WITH_IT, Decimal(9)], Decimal(25))


@given(st.lists(st.integers(0, 30), min_size=1, max_size=8))
def test_no_small_value_is_shown_nor_the_only_thing_missing(numbers: list[int]) -> None:
    shown, total = covered(of(*numbers), Decimal(sum(numbers)))
    assert not any(isinstance(value, Decimal) and 0 < value < 5 for value in (*shown, total))
    hidden = [number for number, value in zip(numbers, shown, strict=True) if isinstance(value, Suppressed)]
    if hidden and isinstance(total, Decimal):
        assert len(hidden) > 1
        assert max(hidden) >= 5
    if min(numbers) >= 5:
        assert not hidden


@pytest.fixture
def counselled(log: Any, tree: SimpleNamespace) -> SimpleNamespace:
    """Cases of 2025: 3 in the own community, 6 in its sibling, 7 in the cousin, none elsewhere."""
    for unit, number in ((tree.own, 3), (tree.sibling, 6), (tree.cousin, 7)):
        for month in range(1, number + 1):
            log("cases", unit, dt.date(2025, month, 5), client=f"{unit.code}-{month}", hours=10)
    refresh()
    return tree


def lines_of(page: Any, code: str) -> dict[str, Value]:
    place = [column.code for column in page.columns].index(code)
    return {line.name: line.cells[place].value for block in page.parts for line in block.lines}


@pytest.mark.django_db
def test_the_page_of_a_street_hides_a_small_community_and_one_with_it(
    counselled: SimpleNamespace, people: SimpleNamespace, sign_in: Callable[[User], Client]
) -> None:
    address = reverse("dashboard_unit", args=[counselled.street.code])
    response = sign_in(people.leader).get(address, YEAR)
    lines = lines_of(response.context["page"], "cases.count")
    assert lines[counselled.own.name] is SMALL
    assert lines[counselled.sibling.name] is WITH_IT
    assert lines[counselled.school.name] == 0
    assert "&lt;5" in response.content.decode()
    # In single months every figure is small: the total of the street is no way to them either.
    figure = next(column for column in response.context["page"].columns if column.code == "cases.count")
    assert not any(isinstance(value, Decimal) and 0 < value < 5 for value in figure.by_month)


@pytest.mark.django_db
def test_the_community_itself_reads_its_own_figures(
    counselled: SimpleNamespace, people: SimpleNamespace, sign_in: Callable[[User], Client]
) -> None:
    address = reverse("dashboard_unit", args=[counselled.own.code])
    own = sign_in(people.community_officer).get(address, YEAR).context["page"]
    assert next(column.value for column in own.columns if column.code == "cases.count") == 3
    from_above = sign_in(people.leader).get(address, YEAR).context["page"]
    assert next(column.value for column in from_above.columns if column.code == "cases.count") is SMALL


@pytest.mark.django_db
def test_page_and_api_hide_the_same_cells(
    counselled: SimpleNamespace, people: SimpleNamespace, sign_in: Callable[[User], Client]
) -> None:
    client = sign_in(people.leader)
    hidden = 0
    for unit in (counselled.district, counselled.street, counselled.own):
        page = client.get(reverse("dashboard_unit", args=[unit.code]), YEAR).context["page"]
        found = client.get(reverse("api_figures", args=[unit.code]), YEAR).json()
        answered = {figure["indicator"]: figure for figure in found["figures"]}
        for column in page.columns:
            figure = answered[column.code]
            for shown, told in [
                (column.value, figure["value"]),
                (column.joint, figure["joint"]),
                *zip(column.by_month, figure["by_month"], strict=True),
            ]:
                hidden += isinstance(shown, Suppressed)
                assert told == (str(shown) if isinstance(shown, Suppressed) else shown), (unit, column.code)
        for part in found["parts"]:
            if not part["itself"]:
                for column in page.columns:
                    shown = lines_of(page, column.code)[part["unit"]["name"]]
                    told = part["values"][column.code]
                    assert told == (str(shown) if isinstance(shown, Suppressed) else shown)
                    hidden += isinstance(shown, Suppressed)
    assert hidden > 10


@pytest.mark.django_db
def test_a_suppressed_figure_opens_to_no_list(
    counselled: SimpleNamespace, people: SimpleNamespace, sign_in: Callable[[User], Client]
) -> None:
    page = (
        sign_in(people.leader)
        .get(reverse("dashboard_unit", args=[counselled.street.code]), YEAR)
        .context["page"]
    )
    cells = [cell for block in page.parts for line in block.lines for cell in line.cells]
    assert any(isinstance(cell.value, Suppressed) for cell in cells)
    assert not any(cell.url for cell in cells if isinstance(cell.value, Suppressed))


def test_which_kinds_are_sensitive() -> None:
    assert {kind.code for kind in registry.kinds() if kind.is_sensitive} == {"cases"}
