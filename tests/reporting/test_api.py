"""Figures over the API: the same numbers as the page, under the same rules."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from programs.models import Unit, User
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
            for column, figure in zip(page.columns, found["figures"], strict=True):
                assert figure["indicator"] == column.indicator.code
                assert figure["measure"]["code"] == column.indicator.measure.code
                assert (figure["value"], figure["joint"], figure["year_before"]) == (
                    column.value,
                    column.joint,
                    column.before,
                )
                assert figure["by_month"] == column.by_month
                compared += 1
            lines = {line.name: line for part in page.parts for line in part.lines if not line.sort}
            for part in found["parts"]:
                if not part["itself"]:
                    line = lines[part["unit"]["name"]]
                    assert list(part["values"].values()) == [cell.value for cell in line.cells]
    assert compared == 5 * 9


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
