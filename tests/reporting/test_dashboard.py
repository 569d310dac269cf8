"""The page of a unit's figures: what it shows, to whom, and that every figure opens to the very records behind it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import time_machine
from django.db import connection
from django.db.models import Count
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from programs import registry
from programs.access import Actor, visible
from programs.actions.units import create_unit
from programs.filters import filter_set
from programs.models import Unit, User
from programs.registry import Action, Suppressed, plain
from reporting.dashboards import Dashboard
from reporting.statistics import refresh

pytestmark = pytest.mark.django_db
SPRING = {"from": "2025-01", "to": "2025-04"}


def page_of(client: Client, unit: Unit, **parameters: str) -> Dashboard:
    response = client.get(reverse("dashboard_unit", args=[unit.code]), parameters or SPRING)
    assert response.status_code == 200
    return response.context["page"]


# --- every figure is a link to its records -------------------------------------------------------


def behind(client: Client, actor: Actor, url: str, opened: set[Any] | None = None) -> Decimal:
    """What the list that the link opens says: its number of records, and the indicator over them.

    With `opened`, of the links that differ in their values alone (the unit, the months) the page of one is asked for,
    and the filters of the page for all of them.
    """
    parts = urlsplit(url)
    parameters = dict(parse_qsl(parts.query))
    kind = registry.kind(parts.path.split("/")[2])
    indicator = kind.indicator(parameters["indicator"])
    request = RequestFactory().get(url)
    request.actor = actor
    listed = filter_set(kind, actor)(
        parameters, queryset=visible(kind.model.objects.present(), actor), request=request
    )
    assert listed.is_valid(), url
    number, value = listed.qs.count(), listed.qs.aggregate(value=indicator.aggregate)["value"]
    if type(indicator.aggregate) is Count and not indicator.aggregate.distinct:
        assert number == value
    alike = (parts.path, *sorted(parameters))
    if opened is None or alike not in opened:
        response = client.get(url)
        assert response.status_code == 200, url
        assert response.context["problems"] == []
        # The page counts exactly what is added up here.
        assert response.context["count"] == number
        if opened is not None:
            opened.add(alike)
    return Decimal(value or 0)


def assert_opens(client: Client, user: User, page: Dashboard, opened: set[Any], *gone: Unit) -> int:
    """Follows every link of the page; the number of figures compared. Units that are `gone` have taken their records
    along: what they did here is in the figure, named in a line of its own, and not in the list."""
    actor = Actor.of(user)
    lines = [line for part in page.parts for line in part.lines]
    missing = [line for line in lines if line.name in {unit.name for unit in gone}]
    assert len(missing) == len(gone)
    assert {url for line in missing for url in (line.url, *(cell.url for cell in line.cells))} <= {""}
    tiles = [tile for group in page.groups for tile in group.tiles]
    totals = [line for line in lines if line.sort == "total"]
    compared = 0
    for index, column in enumerate(page.columns):
        hidden = [line.cells[index] for line in lines if isinstance(line.cells[index].value, Suppressed)]
        assert not any(cell.url for cell in hidden)
        taken = sum(plain(line.cells[index].value) or 0 for line in missing)
        if missing and (hidden or not column.indicator.additive):
            continue
        [tile] = [tile for tile in tiles if tile.name == column.indicator.label]
        if isinstance(tile.value, Suppressed) or missing:
            assert not tile.url  # no list of this person holds it
        else:
            assert behind(client, actor, tile.url, opened) + taken == tile.value, (
                page.unit,
                str(tile.name),
                tile.url,
            )
        for line in lines:
            cell = line.cells[index]
            if cell.url:
                away = taken if line in totals else 0
                assert behind(client, actor, cell.url, opened) + away == cell.value, (
                    page.unit,
                    line.name,
                    cell.url,
                )
                compared += 1
        compared += 1
    return compared


def test_every_figure_opens_to_its_records_for_the_leader(
    lived_in: SimpleNamespace, people: SimpleNamespace, sign_in: Callable[[User], Client]
) -> None:
    client, opened = sign_in(people.leader), set[Any]()
    every = [
        lived_in.district,
        lived_in.street,
        lived_in.other_street,
        lived_in.own,
        lived_in.rover,
        lived_in.police,
    ]
    for unit in every:
        page = page_of(client, unit)
        assert sum(len(group.tiles) for group in page.groups) == len(registry.indicators())
        assert assert_opens(client, people.leader, page, opened) >= len(registry.indicators())
        # The trend's bars open to the records of their month.
        series = page.chart["data"]["series"]
        for bar, url in zip(series[0]["values"], series[0]["links"], strict=True):
            assert behind(client, Actor.of(people.leader), url, opened) == Decimal(bar)


def test_every_figure_opens_to_its_records_for_officers(
    lived_in: SimpleNamespace, people: SimpleNamespace, make_user: Any, sign_in: Callable[[User], Client]
) -> None:
    neighbour = make_user("neighbour", "street_officer", lived_in.other_street)
    opened: set[Any] = set()
    for user, unit, *gone in [
        (neighbour, lived_in.other_street, lived_in.rover),
        (neighbour, lived_in.own),
        (neighbour, lived_in.cousin),
        (people.street_officer, lived_in.street, lived_in.own),
        (people.street_officer, lived_in.sibling),
        (people.community_officer, lived_in.own),
        (people.unit_officer, lived_in.police),
    ]:
        client = sign_in(user)
        page = page_of(client, unit)
        assert assert_opens(client, user, page, opened, *gone) > 6
        assert page.has_moved is bool(gone)
        # A list of this person holds what a bar or a part counts, or the bar is no link.
        for series in page.chart["data"]["series"]:
            for value, url in zip(series["values"], series["links"], strict=True):
                assert not url or behind(client, Actor.of(user), url, opened) == value, (user, unit, url)
        for share in (share for split in page.splits for share in split.shares):
            assert not share.url or behind(client, Actor.of(user), share.url, opened) == share.value, (
                user,
                unit,
            )


def test_what_left_the_street_is_named_and_not_linked(
    lived_in: SimpleNamespace, people: SimpleNamespace, sign_in: Callable[[User], Client]
) -> None:
    """The street's January holds what `own` did then; its records are now the other street's to see."""
    page = page_of(sign_in(people.street_officer), lived_in.street, **{"from": "2025-01", "to": "2025-01"})
    assert page.has_moved
    [gone] = [line for part in page.parts for line in part.lines if line.name == lived_in.own.name]
    assert gone.note
    assert gone.cells[0].value == 2
    assert {gone.url, *(cell.url for cell in gone.cells)} == {""}
    # The leader, who sees both streets, follows it to the records of that time.
    page = page_of(sign_in(people.leader), lived_in.street)
    [gone] = [line for part in page.parts for line in part.lines if line.name == lived_in.own.name]
    assert "occurred_on_to=2025-02-28" in gone.cells[0].url


def test_a_unit_that_left_and_came_back_opens_to_no_range(
    lived_in: SimpleNamespace, people: SimpleNamespace, sign_in: Callable[[User], Client]
) -> None:
    page = page_of(sign_in(people.leader), lived_in.street)
    [line] = [line for part in page.parts for line in part.lines if line.name == lived_in.rover.name]
    assert any(cell.value for cell in line.cells)
    assert {cell.url for cell in line.cells} == {""}


def test_an_officer_of_one_unit_sees_what_the_unit_itself_did(
    lived_in: SimpleNamespace, people: SimpleNamespace, sign_in: Callable[[User], Client]
) -> None:
    """The workshop attached to the community is not the community officer's to read."""
    page = page_of(sign_in(people.community_officer), lived_in.own)
    assert not page.whole
    assert page.columns[0].by_month == [1, 1, 1, 1]
    assert page_of(sign_in(people.leader), lived_in.own).columns[0].by_month == [2, 2, 2, 2]


# --- the page -------------------------------------------------------------------------------------


def test_statistics_begin_with_the_acting_unit(
    people: SimpleNamespace, sign_in: Callable[[User], Client]
) -> None:
    client = sign_in(people.street_officer)
    assert client.get(reverse("dashboard")).url == "/statistics/units/331002001/"
    assert (
        client.get(reverse("dashboard") + "?from=2025-01").url == "/statistics/units/331002001/?from=2025-01"
    )


@time_machine.travel("2026-05-20 10:00+08:00", tick=False)
def test_the_period_is_this_year_until_another_is_asked_for(
    lived_in: SimpleNamespace, people: SimpleNamespace, sign_in: Callable[[User], Client]
) -> None:
    client = sign_in(people.leader)
    address = reverse("dashboard_unit", args=[lived_in.district.code])
    page = client.get(address).context["page"]
    assert (page.period.first, page.period.last) == (dt.date(2026, 1, 1), dt.date(2026, 5, 1))
    last = client.get(address + "?from=2025-11").context["page"].period
    assert (last.first, last.last) == (dt.date(2025, 11, 1), dt.date(2025, 12, 1))
    last = client.get(address + "?to=2025-03").context["page"].period
    assert (last.first, last.last) == (dt.date(2025, 1, 1), dt.date(2025, 3, 1))
    # A month that has not come yet would make the year before look better than it was.
    last = client.get(address + "?from=2026-01&to=2026-12").context["page"].period
    assert last.last == dt.date(2026, 5, 1)


@time_machine.travel("2026-05-20 10:00+08:00", tick=False)
@pytest.mark.parametrize(
    "query",
    [
        "from=2026-13",
        "from=2026-00",
        "to=gestern",
        "from=2026-04&to=2026-02",
        "from=2007-12&to=2008-02",
        "from=2026-06",
        "from=%00",
        "from=２０２６-01",
        "from=2026-01-01",
        "from=0001-01",
        "from=9999-12",
        "to=" + "9" * 5000,
        "indicator=no.such",
        "indicator=%F0%A0%AE%B7%00",
        "from=2026-01%0A",
    ],
)
def test_a_question_that_is_not_understood_gets_a_message_and_the_usual_page(
    query: str, people: SimpleNamespace, tree: SimpleNamespace, sign_in: Callable[[User], Client]
) -> None:
    response = sign_in(people.leader).get(f"/statistics/units/{tree.district.code}/?{query}")
    assert response.status_code == 200
    assert len(response.context["problems"]) == 1
    page = response.context["page"]
    assert (page.period.first, page.period.last) == (dt.date(2026, 1, 1), dt.date(2026, 5, 1))
    assert page.indicator == registry.indicators()[0].code
    assert 'role="alert"' in response.content.decode()


def test_who_may_see_which_unit(
    tree: SimpleNamespace, people: SimpleNamespace, sign_in: Callable[[User], Client]
) -> None:
    def status(user: str, unit: Unit) -> int:
        return sign_in(getattr(people, user)).get(reverse("dashboard_unit", args=[unit.code])).status_code

    assert [status("leader", unit) for unit in (tree.district, tree.cousin, tree.elsewhere)] == [
        200,
        200,
        404,
    ]
    assert [status("auditor", unit) for unit in (tree.district, tree.own)] == [200, 200]
    mine = (tree.street, tree.own, tree.other_street, tree.district, tree.elsewhere_street)
    assert [status("street_officer", unit) for unit in mine] == [200, 200, 403, 403, 404]
    mine = (tree.own, tree.sibling, tree.street, tree.elsewhere_community)
    assert [status("community_officer", unit) for unit in mine] == [200, 403, 403, 404]
    assert [status(role, tree.own) for role in ("administrator", "counsellor")] == [403, 403]
    assert sign_in(people.leader).get("/statistics/units/no-such/").status_code == 404
    assert Client().get(reverse("dashboard_unit", args=[tree.own.code])).status_code == 302
    assert sign_in(people.leader).post(reverse("dashboard_unit", args=[tree.own.code])).status_code == 405


def test_the_way_back_leads_over_the_units_that_one_may_see(
    tree: SimpleNamespace, people: SimpleNamespace, sign_in: Callable[[User], Client]
) -> None:
    def crumbs(user: User, unit: Unit) -> list[str]:
        return [crumb["label"] for crumb in page_of(sign_in(user), unit).crumbs]

    assert crumbs(people.leader, tree.own) == ["椒江区", "海门街道", "城隍浦社区"]
    assert crumbs(people.street_officer, tree.own) == ["海门街道", "城隍浦社区"]
    assert crumbs(people.community_officer, tree.own) == []
    assert crumbs(people.leader, tree.district) == []


def test_streets_come_first_and_bodies_of_the_district_after_them(
    lived_in: SimpleNamespace, people: SimpleNamespace, sign_in: Callable[[User], Client]
) -> None:
    own_and_streets, bodies, last = page_of(sign_in(people.leader), lived_in.district).parts
    assert [line.name for line in own_and_streets.lines[1:]] == ["海门街道", "白云街道"]
    assert own_and_streets.lines[0].sort == "own"
    assert [line.name for line in bodies.lines] == ["公安分局"]
    assert [line.sort for line in last.lines] == ["total"]


def test_the_page_names_time_trend_and_table(
    lived_in: SimpleNamespace, people: SimpleNamespace, sign_in: Callable[[User], Client]
) -> None:
    address = reverse("dashboard_unit", args=[lived_in.street.code])
    response = sign_in(people.leader).get(address, {**SPRING, "indicator": "activities.participants"})
    text = response.content.decode()
    page = response.context["page"]
    assert f"{page.as_of.astimezone(dt.timezone(dt.timedelta(hours=8))):%Y-%m-%d %H:%M:%S}" in text
    assert page.chart["data"]["categories"] == ["2025-01", "2025-02", "2025-03", "2025-04"]
    [people_there] = [column for column in page.columns if column.code == "activities.participants"]
    assert [series["values"] for series in page.chart["data"]["series"]] == [
        [int(value) for value in people_there.by_month],
        [int(value) for value in people_there.by_month_before],
    ]
    assert 'id="trend-data"' in text
    for part in ("as-of", "tiles-education", "trend-chart", "parts"):
        assert f'id="{part}"' in text


def test_derived_figures_and_promises_open_by_what_they_are_made_of(
    lived_in: SimpleNamespace, people: SimpleNamespace, sign_in: Callable[[User], Client]
) -> None:
    client, actor = sign_in(people.leader), Actor.of(people.leader)
    page = page_of(client, lived_in.district)
    assert [made.figure.code for made in page.made] == [figure.code for figure in registry.derived()]
    assert len(page.promises) == len(registry.promises())
    components = [part for made in page.made for part in made.of]
    components += [figure for promise in page.promises for figure in promise.figures]
    for component in components:
        assert behind(client, actor, component.url) == component.value, component.name
    assert sum(component.value or 0 for component in components) > 100


def test_a_page_of_one_action_shows_nothing_of_the_others(
    lived_in: SimpleNamespace, people: SimpleNamespace, sign_in: Callable[[User], Client]
) -> None:
    page = page_of(sign_in(people.leader), lived_in.district, action="wellbeing", **SPRING)
    assert {column.kind.code for column in page.columns} == {"cases"}
    assert [group.action for group in page.groups] == [Action.WELLBEING]
    assert (page.made, page.promises, page.indicator) == ([], [], "cases.count")
    assert {choice["label"] for choice in page.switches[0].choices if choice["active"]} == {
        Action.WELLBEING.label
    }
    refused = sign_in(people.leader).get(
        reverse("dashboard_unit", args=[lived_in.district.code]), {"action": "magic", **SPRING}
    )
    assert len(refused.context["problems"]) == 1


def test_a_unit_without_figures_says_so(
    tree: SimpleNamespace, people: SimpleNamespace, sign_in: Callable[[User], Client]
) -> None:
    page = page_of(sign_in(people.community_officer), tree.own)
    assert page.is_blank
    assert page.parts == []
    assert page.as_of is None


def test_joint_records_are_told_apart(
    log: Any, tree: SimpleNamespace, people: SimpleNamespace, sign_in: Callable[[User], Client]
) -> None:
    log("activities", tree.police, dt.date(2025, 1, 5), tree.own, participants=100)
    refresh()
    for user in (people.leader, people.community_officer):
        client = sign_in(user)
        [part] = page_of(client, tree.own).parts
        assert [line.sort for line in part.lines] == ["total", "joint"]
        assert [cell.value for cell in part.lines[1].cells[:4]] == [1, 1, 0, 100]
        for cell in (part.lines[1].cells[index] for index in (0, 1, 3)):
            assert behind(client, Actor.of(user), cell.url) == cell.value


# --- cost -----------------------------------------------------------------------------------------

# Session; person with grants and units; the unit; units around it; cells; the time. An indicator that may not be added
# up, of which only the sample application has one, asks the records: what was led, what was joined.
QUERIES = 6
FOR_DISTINCT = 2


def test_the_page_asks_as_many_questions_for_one_unit_below_as_for_many(
    log: Any, tree: SimpleNamespace, people: SimpleNamespace, sign_in: Callable[[User], Client]
) -> None:
    client = sign_in(people.leader)
    address = reverse("dashboard_unit", args=[tree.district.code])
    log("activities", tree.own, dt.date(2025, 1, 5))
    refresh()
    client.get(address, SPRING)  # the session notes the time of its first request

    def questions() -> list[str]:
        with CaptureQueriesContext(connection) as asked:
            assert client.get(address, SPRING).status_code == 200
        return [query["sql"] for query in asked if not query["sql"].startswith(("SAVEPOINT", "RELEASE"))]

    few = questions()
    for number in range(30):
        unit = create_unit(
            by=None,
            code=f"3310021{number:02}",
            name=f"新{number}街道",
            tier="street",
            kind="street",
            parent=tree.district,
            opened_on=dt.date(2008, 1, 1),
        )
        log("activities", unit, dt.date(2025, 2, 5))
    refresh()
    many = questions()
    assert len(many) == len(few) == QUERIES + FOR_DISTINCT, "\n".join(many)
    assert len(client.get(address, SPRING).context["page"].parts[0].lines) == 33
    tables = {
        kind.model._meta.db_table for kind in registry.kinds() if all(i.additive for i in kind.indicators)
    }
    assert not [sql for sql in many if any(table in sql for table in tables)], "a page counts no records"
