"""The overview of opinions: numbers recounted by hand, each the number of rows that its link opens to."""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from html import unescape
from statistics import median
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from outreach.models.opinion import Opinion
from outreach.opinion_overview import median_of
from tests.outreach.test_life import received, step, world

__all__ = ["world"]  # a fixture

ADDRESS = "/opinions/overview/"
PERSONS = (
    "community_officer",
    "unit_officer",
    "street_officer",
    "office",
    "leader",
    "sibling_officer",
    "outsider",
)


def some_of_everything(world: SimpleNamespace) -> None:
    """2026: a quarter of every state that is of interest, over three months; one of the year before."""
    received(world, occurred_on=dt.date(2025, 12, 31))
    received(world, occurred_on=dt.date(2026, 1, 1), category="order", channel="letter")
    answered(world, dt.date(2026, 1, 10), 2)
    answered(world, dt.date(2026, 2, 3), 5)
    answered(world, dt.date(2026, 3, 31), 30, category="environment")
    answered(world, dt.date(2026, 4, 1), 1)
    merged = step(world, received(world, occurred_on=dt.date(2026, 2, 4)), "accept")
    step(world, merged, "merge", into=received(world, occurred_on=dt.date(2026, 2, 4), channel="visit"))
    handed = step(world, received(world, occurred_on=dt.date(2026, 3, 5)), "accept")
    step(world, handed, "assign", unit=world.tree.police)
    received(world, "sibling_officer", occurred_on=dt.date(2026, 3, 6), category="labour")
    removed = received(world, occurred_on=dt.date(2026, 3, 7))
    Opinion.objects.filter(pk=removed.pk).update(removed_at=removed.created_at, removed_by=removed.created_by)


def answered(world: SimpleNamespace, day: dt.date, days: int, **values: Any) -> Opinion:
    opinion = received(world, occurred_on=day, **values)
    for name in ("accept", "start"):
        opinion = step(world, opinion, name)
    return step(world, opinion, "answer", day=day + dt.timedelta(days=days))


def shown(client: Any, **period: Any) -> Any:
    answer = client.get(ADDRESS, period)
    assert answer.status_code == 200
    return answer.context["page"]


def in_parts(page: Any) -> dict[str, dict[str, int]]:
    return {
        name: {str(line.url).rsplit("=", 1)[1]: line.number for line in lines}
        for name, _, lines in page.parts
    }


def test_the_numbers_of_a_quarter(world: SimpleNamespace, sign_in: Any) -> None:
    some_of_everything(world)
    page = shown(sign_in(world.people.community_officer), year=2026, quarter=1)
    assert in_parts(page) == {
        "state": {"received": 2, "assigned": 1, "answered": 3, "merged": 1},
        "category": {"traffic": 5, "order": 1, "environment": 1},
        "channel": {"telephone": 5, "letter": 1, "visit": 1},
    }
    assert (page.total.number, page.answered.number, page.median) == (7, 3, 5)


@pytest.mark.parametrize(
    ("period", "total", "count", "middle"),
    [
        ({"year": 2026}, 8, 4, 3.5),
        ({"year": 2026, "quarter": 2}, 1, 1, 1),
        ({"year": 2026, "quarter": 1, "month": 2}, 3, 1, 5),
        ({"year": 2026, "month": 1}, 2, 1, 2),
        ({"year": 2025, "month": 12}, 1, 0, None),
        ({"year": 2024}, 0, 0, None),
    ],
)
def test_a_period_begins_and_ends_where_it_says(
    world: SimpleNamespace,
    sign_in: Any,
    period: dict[str, int],
    total: int,
    count: int,
    middle: float | None,
) -> None:
    some_of_everything(world)
    page = shown(sign_in(world.people.community_officer), **period)
    assert (page.total.number, page.answered.number, page.median) == (total, count, middle)


def test_every_number_is_that_of_its_list(world: SimpleNamespace, sign_in: Any) -> None:
    some_of_everything(world)
    seen = {}
    for name in PERSONS:
        client = sign_in(getattr(world.people, name))
        page = shown(client, year=2026)
        seen[name] = page.total.number
        for line in (
            page.total,
            page.answered,
            *(one for _name, _heading, lines in page.parts for one in lines),
        ):
            assert client.get(line.url).context["count"] == line.number, (name, line.url)
        for _name, _heading, lines in page.parts:
            assert sum(line.number for line in lines) == page.total.number
    # The department was handed one; the street has what its communities have.
    assert seen == {
        "community_officer": 8,
        "unit_officer": 1,
        "street_officer": 9,
        "office": 9,
        "leader": 9,
        "sibling_officer": 1,
        "outsider": 0,
    }


def test_a_link_of_the_page_opens_to_the_list(world: SimpleNamespace, sign_in: Any) -> None:
    some_of_everything(world)
    client = sign_in(world.people.community_officer)
    text = client.get(ADDRESS, {"year": 2026}).content.decode()
    links = [
        unescape(link) for link in re.findall(r'href="(/records/opinions/\?occurred_on_from[^"]*)"', text)
    ]
    assert len(links) == len(set(links)) == 2 + 4 + 3 + 3
    for link in links:
        assert "occurred_on_from=2026-01-01&occurred_on_to=2026-12-31" in link


@pytest.mark.parametrize(
    "asked",
    [
        {"year": "nonsense"},
        {"year": "1999"},
        {"year": "99999999999999999999"},
        {"year": "2026", "quarter": "5"},
        {"year": "2026", "month": "13"},
        {"year": "2026", "quarter": "1", "month": "4"},
    ],
)
def test_a_period_not_understood_shows_no_numbers(
    world: SimpleNamespace, sign_in: Any, asked: dict[str, str]
) -> None:
    answer = sign_in(world.people.community_officer).get(ADDRESS, asked)
    assert answer.status_code == 200
    assert answer.context["page"] is None
    assert answer.context["form"].errors


def test_without_a_period_it_is_this_year(world: SimpleNamespace, sign_in: Any) -> None:
    received(world)
    assert shown(sign_in(world.people.community_officer)).total.number == 1


def test_it_needs_the_right_to_statistics(world: SimpleNamespace, sign_in: Any) -> None:
    assert sign_in(world.people.administrator).get(ADDRESS).status_code == 403


@given(st.lists(st.integers(0, 40), max_size=30))
def test_the_median_is_the_middle_one(days: list[int]) -> None:
    assert median_of(Counter(days)) == (median(days) if days else None)


def test_the_number_of_queries_does_not_grow(world: SimpleNamespace, sign_in: Any) -> None:
    client = sign_in(world.people.community_officer)
    some_of_everything(world)

    def queries() -> int:
        client.get(ADDRESS, {"year": 2026})
        with CaptureQueriesContext(connection) as counted:
            assert client.get(ADDRESS, {"year": 2026}).status_code == 200
        asked = [query for query in counted.captured_queries if "GROUP BY" in query["sql"]]
        assert len(asked) == 2
        return len(counted)

    few = queries()
    for number in range(8):
        answered(world, dt.date(2026, 5, 4), number)
    assert queries() == few
