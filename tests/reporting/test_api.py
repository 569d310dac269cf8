"""Figures over the API: the same numbers as the page, under the same rules."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from programs import registry
from programs.models import Unit, User
from programs.registry import Suppressed
from reporting.statistics import refresh

pytestmark = pytest.mark.django_db
SPRING = {"from": "2025-01", "to": "2025-04"}


def get(client: Client, unit: Unit, **parameters: str) -> Any:
    return client.get(reverse("api_figures", args=[unit.code]), parameters)


def test_page_and_api_agree_for_every_indicator(
    lived_in: SimpleNamespace, people: SimpleNamespace, sign_in: Callable[[User], Client]
) -> None:
    compared = 0
    for user, units in [
        (people.leader, [lived_in.district, lived_in.street, lived_in.other_street, lived_in.own]),
        (people.community_officer, [lived_in.own]),
    ]:
        client = sign_in(user)
        for unit in units:
            page = client.get(reverse("dashboard_unit", args=[unit.code]), SPRING).context["page"]
            found = get(client, unit, **SPRING).json()
            assert found["unit"] == {"code": unit.code, "name": unit.name}
            assert found["whole"] is page.whole
            answered = {figure["indicator"]: figure for figure in found["figures"]}
            shown = [*page.columns, *(made.figure for made in page.made)]
            for column in shown:
                figure = answered.pop(column.code)
                assert figure["measure"]["code"] == column.measure.code
                assert (figure["value"], figure["before"]) == (number(column.value), number(column.before))
                assert figure["joint"] == number(column.joint)
                assert figure["by_month"] == [number(value) for value in column.by_month]
                compared += 1
            assert not any(figure["value"] for figure in answered.values())  # derived ones of nothing
            lines = {line.name: line for part in page.parts for line in part.lines if not line.sort}
            codes = [column.code for column in page.columns]
            for part in found["parts"]:
                if not part["itself"]:
                    line = lines[part["unit"]["name"]]
                    assert [part["values"][code] for code in codes] == [
                        number(cell.value) for cell in line.cells
                    ]
    assert compared == 5 * len(registry.declared())


def number(value: Any) -> float | str | None:
    """As JSON holds it."""
    if value is None or isinstance(value, Suppressed):
        return None if value is None else str(value)
    return float(value)


def test_an_indicator_is_answered_with_its_parts(
    lived_in: SimpleNamespace, people: SimpleNamespace, sign_in: Callable[[User], Client]
) -> None:
    client = sign_in(people.leader)
    found = get(client, lived_in.district, indicator="gratitude.count", **SPRING).json()["figures"]
    assert [figure["indicator"] for figure in found] == registry.with_parts("gratitude.count")
    assert sum(figure["value"] for figure in found[1:]) == found[0]["value"] > 0
    page = client.get(
        reverse("dashboard_unit", args=[lived_in.district.code]), {"indicator": "gratitude.count", **SPRING}
    ).context["page"]
    shares = [share.value for split in page.splits for share in split.shares]
    assert shares == [figure["value"] for figure in found[1:]]


def test_comparison_and_boundaries_of_the_answer(
    lived_in: SimpleNamespace, people: SimpleNamespace, sign_in: Callable[[User], Client]
) -> None:
    client = sign_in(people.leader)
    usual = get(client, lived_in.street, **SPRING).json()
    assert usual["compared_with"] == {"from": "2024-01", "to": "2024-04"}
    other = get(client, lived_in.street, against="previous", boundaries="today", **SPRING).json()
    assert other["compared_with"] == {"from": "2024-09", "to": "2024-12"}
    assert (usual["boundaries"], other["boundaries"]) == ("time", "today")
    page = client.get(
        reverse("dashboard_unit", args=[lived_in.street.code]),
        {"against": "previous", "boundaries": "today", **SPRING},
    ).context["page"]
    values = [figure["value"] for figure in other["figures"] if not figure["derived"]]
    assert values == [number(column.value) for column in page.columns]
    assert values != [figure["value"] for figure in usual["figures"] if not figure["derived"]]


def test_one_indicator_and_the_period_of_the_answer(
    lived_in: SimpleNamespace, people: SimpleNamespace, sign_in: Callable[[User], Client]
) -> None:
    found = get(sign_in(people.leader), lived_in.district, indicator="cases.hours", **SPRING).json()
    assert [figure["indicator"] for figure in found["figures"]] == ["cases.hours"]
    assert (found["from"], found["to"]) == ("2025-01", "2025-04")
    assert found["as_of"] is not None


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"from": "2025-13"}, "from"),
        ({"to": "x"}, "to"),
        ({"from": "2025-04", "to": "2025-01"}, "to"),
        ({"from": "1999-01"}, "from"),
        ({"indicator": "no.such"}, "indicator"),
        ({"against": "last"}, "against"),
        ({"boundaries": "tomorrow"}, "boundaries"),
        ({"form": "2025-01"}, "form"),
        ({"from": "\x00"}, "from"),
        ({"from": ""}, "from"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(
    parameters: dict[str, str], named: str, tree: SimpleNamespace, people: SimpleNamespace, sign_in: Any
) -> None:
    response = get(sign_in(people.leader), tree.district, **parameters)
    assert response.status_code == 400
    assert list(response.json()["errors"]) == [named]


def test_who_may_read_which_unit(
    tree: SimpleNamespace, people: SimpleNamespace, sign_in: Callable[[User], Client]
) -> None:
    refresh()

    def status(user: str, unit: Unit) -> int:
        return get(sign_in(getattr(people, user)), unit).status_code

    assert [status("leader", unit) for unit in (tree.district, tree.cousin, tree.elsewhere)] == [
        200,
        200,
        404,
    ]
    assert [status("community_officer", unit) for unit in (tree.own, tree.sibling)] == [200, 403]
    assert [status(role, tree.own) for role in ("administrator", "counsellor")] == [403, 403]
    assert get(Client(), tree.own).status_code == 401
