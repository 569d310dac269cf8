"""Months × units: every cell is what its records say and opens to them; what is no value says why."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable, Iterator
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from programs import registry
from programs.access import Actor
from programs.actions.units import close_unit, create_unit
from programs.actions.zero import declare_zero, withdraw_zero
from programs.boundaries import Boundaries
from programs.models import Unit, User, ZeroReport
from programs.registry import Suppressed
from reporting.figures import figures
from reporting.heat_map import Cell, HeatMap, Line, State
from reporting.statistics import refresh
from tests.reporting.conftest import officer_of
from tests.reporting.naive import by_hand, place_of, placements_by_unit
from tests.reporting.test_dashboard import behind

pytestmark = pytest.mark.django_db
SPRING = {"from": "2025-01", "to": "2025-04"}
MONTHS = [dt.date(2025, month, 1) for month in (1, 2, 3, 4)]
STORED = [indicator.code for indicator in registry.indicators()]


def page_of(client: Client, unit: Unit, **parameters: str) -> HeatMap:
    response = client.get(reverse("heat_map", args=[unit.code]), {**SPRING, **parameters})
    assert response.status_code == 200
    assert response.context["problems"] == []
    return response.context["page"]


def lines_of(page: HeatMap) -> list[Line]:
    return [line for block in page.blocks for line in block.lines]


def line_of(page: HeatMap, unit: Unit) -> Line:
    [line] = [line for line in lines_of(page) if line.name.startswith(unit.name)]
    return line


def states(line: Line) -> list[str]:
    return [cell.state.value for cell in line.cells]


@pytest.fixture
def leader(people: SimpleNamespace, sign_in: Callable[[User], Client]) -> Client:
    return sign_in(people.leader)


# --- every value is what its records say ----------------------------------------------------------


class Naive:
    """Who led what where, by going through every record of the months in Python."""

    def __init__(self, boundaries: Boundaries) -> None:
        self.boundaries, self.placements = boundaries, placements_by_unit()
        self.records = {
            kind.code: list(kind.model.objects.filter(removed_at=None, occurred_on__year=2025))
            for kind in registry.kinds()
        }
        self.today = {
            unit.pk: [int(part) for part in unit.path.strip("/").split("/")] for unit in Unit.objects.all()
        }

    def value(self, code: str, above: Unit, unit: Unit, month: dt.date) -> Decimal:
        """Of the row of `unit` on the page of `above`; its own row where they are the same."""
        kind = next(kind for kind in registry.kinds() if any(i.code == code for i in kind.indicators))
        return by_hand(
            code,
            [
                record
                for record in self.records[kind.code]
                if record.occurred_on.replace(day=1) == month and self.counts(record, above, unit)
            ],
        )

    def counts(self, record: Any, above: Unit, unit: Unit) -> bool:
        if above == unit:
            return record.unit_id == unit.pk
        if self.boundaries is Boundaries.TODAY:
            place = self.today[record.unit_id]
        else:
            place = place_of(record.unit_id, record.occurred_on.replace(day=1), self.placements)
        return (above.pk, unit.pk) in itertools.pairwise(place)


@pytest.mark.parametrize("boundaries", Boundaries)
def test_every_cell_is_what_its_records_say_and_opens_to_them(
    boundaries: Boundaries, lived_in: SimpleNamespace, leader: Client, people: SimpleNamespace
) -> None:
    naive, actor = Naive(boundaries), Actor.of(people.leader)
    kinds = {indicator: indicator.additive for indicator in registry.indicators()}
    offered = [i.code for i, additive in kinds.items() if additive or boundaries is Boundaries.OF_THE_TIME]
    compared = followed = 0
    opened: set[Any] = set()
    for above in (lived_in.district, lived_in.street, lived_in.other_street, lived_in.own, lived_in.police):
        for code in offered:
            page = page_of(leader, above, indicator=code, boundaries=boundaries)
            named = {line.name.removesuffix(" itself").removesuffix("本级"): line for line in lines_of(page)}
            for unit in vars(lived_in).values():
                line = named.get(unit.name)
                for place, month in enumerate(MONTHS):
                    wanted = naive.value(code, above, unit, month)
                    if line is None:
                        assert not wanted, (above, unit, code, month)
                        continue
                    cell = line.cells[place]
                    if isinstance(cell.value, Suppressed):
                        assert (code.startswith("cases."), bool(wanted), cell.url) == (True, True, "")
                        continue
                    assert (cell.value or 0) == wanted, (above, unit, code, month)
                    assert bool(cell.url) is bool(wanted)
                    compared += 1
                    # Following all of them would say the same more slowly.
                    if wanted and code in {"activities.count", "activities.six_ones", "cases.hours"}:
                        assert behind(leader, actor, cell.url, opened) == wanted, (
                            above,
                            unit,
                            month,
                            cell.url,
                        )
                        followed += 1
    assert compared > 350
    assert followed > 50


def test_rows_by_month_add_up_to_their_rows(lived_in: SimpleNamespace) -> None:
    for boundaries in Boundaries:
        for unit in (lived_in.district, lived_in.street, lived_in.other_street):
            below = list(Unit.objects.filter(placements__parent=unit).distinct())
            asked: dict[str, Any] = {"below": below, "boundaries": boundaries, "exact": True}
            found = figures(unit, MONTHS[0], MONTHS[-1], each_month=True, **asked)
            plain = figures(unit, MONTHS[0], MONTHS[-1], **asked)
            assert [(row.unit, row.values) for row in found.rows] == [
                (row.unit, row.values) for row in plain.rows
            ]
            assert {len(row.by_month) for row in plain.rows} == {0}
            for figure in found.figures:
                columns = [row.by_month[figure.code] for row in found.rows]
                if figure.indicator.additive:
                    assert [sum(values) for values in columns] == [
                        row.values[figure.code] for row in found.rows
                    ]
                    assert [sum(values) for values in zip(*columns, strict=True)] == figure.by_month
                else:
                    assert {len(values) for values in columns} == {len(MONTHS)}


# --- the states of a cell -------------------------------------------------------------------------


def test_what_is_declared_is_told_from_what_is_missing(
    log: Any, tree: SimpleNamespace, people: SimpleNamespace, leader: Client
) -> None:
    log("activities", tree.own, dt.date(2025, 1, 5))
    kind, by = registry.kind("activities"), Actor.of(people.street_officer)
    declare_zero(by=by, unit=tree.street, kind=kind, month=MONTHS[1])
    declare_zero(
        by=officer_of(people.leader, tree.other_street), unit=tree.other_street, kind=kind, month=MONTHS[2]
    )
    withdraw_zero(
        by=officer_of(people.leader, tree.other_street),
        zero=ZeroReport.objects.get(unit=tree.other_street),
    )
    # Of another kind: it says nothing of activities.
    declare_zero(by=by, unit=tree.street, kind=registry.kind("gratitude"), month=MONTHS[3])
    refresh()
    page = page_of(leader, tree.district)
    assert states(line_of(page, tree.street)) == ["value", "zero", "blank", "blank"]
    assert states(line_of(page, tree.other_street)) == ["blank"] * 4
    zero = line_of(page, tree.street).cells[1]
    for word in (tree.street.name, people.street_officer.name, f"{dt.date.today():%Y-%m}"):
        assert word in zero.note
    text = leader.get(reverse("heat_map", args=[tree.district.code]), SPRING).content.decode()
    assert text.count(zero.note) == 2  # for the eye, and read out
    # On the street's own page the zero stands in the row of the street itself.
    own = line_of(page_of(leader, tree.street), tree.street)
    assert states(own) == ["blank", "zero", "blank", "blank"]
    assert (
        states(line_of(page_of(leader, tree.street, indicator="gratitude.count"), tree.street))[3] == "zero"
    )


def test_a_value_wins_over_a_declared_zero(
    log: Any, tree: SimpleNamespace, people: SimpleNamespace, leader: Client
) -> None:
    kind, by = registry.kind("activities"), Actor.of(people.community_officer)
    declare_zero(by=by, unit=tree.own, kind=kind, month=MONTHS[1])
    log("activities", tree.own, dt.date(2025, 2, 5))
    refresh()
    cell = line_of(page_of(leader, tree.street), tree.own).cells[1]
    assert (cell.state, cell.value) == (State.VALUE, 1)
    assert ZeroReport.objects.standing().exists()


def test_a_zero_among_other_records_of_the_kind_is_a_figure(
    log: Any, tree: SimpleNamespace, people: SimpleNamespace, sign_in: Callable[[User], Client]
) -> None:
    """The unit reported, only nothing of the “six ones”: neither missing nor declared, and nothing to declare."""
    log("activities", tree.own, dt.date(2025, 2, 5), series="other")
    refresh()
    page = page_of(sign_in(people.community_officer), tree.own, indicator="activities.six_ones")
    cells = line_of(page, tree.own).cells
    assert (cells[1].state, cells[1].value, cells[1].url, cells[1].act_url) == (State.VALUE, 0, "", "")
    assert cells[1].note
    assert cells[0].state is State.BLANK


def test_a_small_figure_of_a_sensitive_kind_is_kept_back(
    log: Any,
    tree: SimpleNamespace,
    people: SimpleNamespace,
    leader: Client,
    sign_in: Callable[[User], Client],
) -> None:
    for day in range(1, 4):
        log("cases", tree.own, dt.date(2025, 2, day))
    for day in range(1, 8):
        log("cases", tree.own, dt.date(2025, 3, day))
    refresh()
    cells = line_of(page_of(leader, tree.own, indicator="cases.count"), tree.own).cells
    assert [cell.value for cell in cells] == [None, Suppressed.SMALL, Suppressed.WITH_IT, None]
    assert (cells[1].url, bool(cells[1].note), cells[0].state) == ("", True, State.BLANK)
    # The unit itself reads its own.
    own = page_of(sign_in(people.community_officer), tree.own, indicator="cases.count")
    assert [cell.value for cell in line_of(own, tree.own).cells[1:3]] == [3, 7]


def test_nothing_is_due_before_a_unit_opened_and_after_it_closed(
    log: Any, tree: SimpleNamespace, leader: Client
) -> None:
    values = {"tier": "community", "kind": "community", "parent": tree.street}
    unit = create_unit(by=None, code="331002001009", name="新社区", opened_on=dt.date(2025, 2, 28), **values)
    close_unit(by=None, unit=unit, effective_on=dt.date(2025, 3, 1))
    gone = create_unit(by=None, code="331002001008", name="旧社区", opened_on=dt.date(2020, 1, 1), **values)
    close_unit(by=None, unit=gone, effective_on=dt.date(2024, 12, 31))
    refresh()
    page = page_of(leader, tree.street)
    line = line_of(page, unit)
    assert states(line) == ["not-due", "blank", "blank", "not-due"]
    assert ("2025-02-28" in line.cells[0].note, "2025-03-01" in line.cells[3].note) == (True, True)
    # A unit that had nothing to report in any of the months has no row.
    assert gone.name not in {line.name for line in lines_of(page)}


def test_a_unit_that_moved_is_due_where_it_stood(lived_in: SimpleNamespace, leader: Client) -> None:
    """`own` left for the other street in March; `rover` was there for March only."""
    here = page_of(leader, lived_in.street)
    assert states(line_of(here, lived_in.own)) == ["value", "value", "not-due", "not-due"]
    assert states(line_of(here, lived_in.rover)) == ["value", "value", "not-due", "value"]
    there = page_of(leader, lived_in.other_street)
    assert states(line_of(there, lived_in.own)) == ["not-due", "not-due", "value", "value"]
    assert states(line_of(there, lived_in.rover)) == ["not-due", "not-due", "value", "not-due"]
    today = page_of(leader, lived_in.other_street, boundaries="today")
    assert states(line_of(today, lived_in.own)) == ["value"] * 4
    assert lived_in.rover.name not in {line.name for line in lines_of(today)}


def test_a_unit_that_has_come_without_reporting_since_is_missed(
    lived_in: SimpleNamespace, leader: Client
) -> None:
    """Its figures are all elsewhere: it has a row all the same, with what is missing."""
    registry.kind("carriers").model.objects.filter(occurred_on__gte=MONTHS[2]).delete()
    refresh()
    left = page_of(leader, lived_in.street, indicator="carriers.count")
    assert states(line_of(left, lived_in.own)) == ["value", "blank", "not-due", "not-due"]
    page = page_of(leader, lived_in.other_street, indicator="carriers.count")
    assert states(line_of(page, lived_in.own)) == ["not-due", "not-due", "blank", "blank"]


def test_rows_stand_in_administrative_order(lived_in: SimpleNamespace, leader: Client) -> None:
    own_and_streets, bodies = page_of(leader, lived_in.district).blocks
    assert [line.name for line in own_and_streets.lines[1:]] == ["海门街道", "白云街道"]
    assert own_and_streets.lines[0].url == ""
    assert [line.name for line in bodies.lines] == ["公安分局"]
    assert own_and_streets.lines[1].url.startswith(reverse("heat_map", args=[lived_in.street.code]))


def test_shades_are_steps_of_the_rows_own_past(log: Any, tree: SimpleNamespace, leader: Client) -> None:
    log("activities", tree.own, dt.date(2025, 1, 5), participants=10)
    log("activities", tree.own, dt.date(2025, 2, 5), participants=5)
    log("activities", tree.cousin, dt.date(2025, 2, 5), participants=9000)
    refresh()
    query = {**SPRING, "indicator": "activities.participants"}
    text = leader.get(reverse("heat_map", args=[tree.district.code]), query).content.decode()
    assert [text.count(f'<td class="heat-{step}"') for step in (1, 2, 3, 4, 5)] == [0, 0, 1, 0, 2]


# --- what is asked for ----------------------------------------------------------------------------


@time_machine.travel("2026-05-20 10:00+08:00", tick=False)
def test_twelve_months_are_shown_until_others_are_asked_for(
    tree: SimpleNamespace, people: SimpleNamespace, sign_in: Callable[[User], Client]
) -> None:
    client, address = sign_in(people.leader), reverse("heat_map", args=[tree.district.code])

    def period(query: str) -> tuple[str, str, int]:
        response = client.get(address + query)
        found = response.context["page"].period
        return f"{found.first:%Y-%m}", f"{found.last:%Y-%m}", len(response.context["problems"])

    assert period("") == ("2025-06", "2026-05", 0)
    assert period("?from=2026-02") == ("2026-02", "2026-05", 0)
    assert period("?from=2024-06&to=2026-05") == ("2024-06", "2026-05", 0)
    assert period("?from=2024-05&to=2026-05") == ("2024-06", "2026-05", 1)
    assert period("?from=2009-01&to=2012-12") == ("2011-01", "2012-12", 1)
    for wrong in ("from=2026-13", "from=2026-06", "to=gestern", "from=2026-04&to=2026-02", "from=%00"):
        assert period(f"?{wrong}") == ("2025-06", "2026-05", 1)


@time_machine.travel("2026-05-20 10:00+08:00", tick=False)
@pytest.mark.parametrize(
    ("query", "indicator"),
    [
        ("indicator=no.such", STORED[0]),
        ("indicator=activities.six_ones_share", STORED[0]),
        ("indicator=activities.count@series=other", STORED[0]),
        ("indicator=cases.clients&boundaries=today", "cases.clients"),
        ("boundaries=yesterday", STORED[0]),
    ],
)
def test_what_cannot_be_shown_gets_a_message(
    query: str,
    indicator: str,
    tree: SimpleNamespace,
    people: SimpleNamespace,
    sign_in: Callable[[User], Client],
) -> None:
    response = sign_in(people.leader).get(reverse("heat_map", args=[tree.district.code]) + f"?{query}")
    assert response.status_code == 200
    assert len(response.context["problems"]) == 1
    assert response.context["page"].indicator == indicator
    assert 'role="alert"' in response.content.decode()


def test_every_stored_indicator_is_offered(tree: SimpleNamespace, leader: Client) -> None:
    page = page_of(leader, tree.district)
    assert [choice["active"] for choice in page.choices] == [True] + [False] * (len(STORED) - 1)
    assert [choice["url"].split("indicator=")[1] for choice in page.choices] == STORED


def test_the_dashboard_leads_here_and_back(
    tree: SimpleNamespace, people: SimpleNamespace, sign_in: Callable[[User], Client]
) -> None:
    client = sign_in(people.community_officer)
    dashboard = reverse("dashboard_unit", args=[tree.own.code])
    here = reverse("heat_map", args=[tree.own.code])
    page = client.get(dashboard, {"indicator": "gratitude.count"}).context["page"]
    assert page.months_url == f"{here}?indicator=gratitude.count"
    response = client.get(dashboard, {**SPRING, "indicator": "activities.six_ones_share"})
    # A period that was chosen goes along, a rate does not.
    assert response.context["page"].months_url == f"{here}?from=2025-01&to=2025-04"
    assert f'href="{here}?' in response.content.decode()
    assert page_of(client, tree.own).dashboard_url.startswith(f"{dashboard}?from=2025-01&")


# --- who sees and does what -----------------------------------------------------------------------


def acts(lines: list[Line]) -> Iterator[tuple[str, Cell]]:
    yield from ((line.name, cell) for line in lines for cell in line.cells if cell.act_url)


def test_only_who_writes_for_the_unit_finds_where_to_declare(
    log: Any, tree: SimpleNamespace, people: SimpleNamespace, sign_in: Callable[[User], Client]
) -> None:
    log("activities", tree.street, dt.date(2025, 1, 5))
    refresh()
    client = sign_in(people.street_officer)
    declare_zero(
        by=Actor.of(people.street_officer),
        unit=tree.street,
        kind=registry.kind("activities"),
        month=MONTHS[1],
    )
    found = list(acts(lines_of(page_of(client, tree.street))))
    assert {name.startswith(tree.street.name) for name, _cell in found} == {True}
    assert [cell.state for _name, cell in found] == [State.ZERO, State.BLANK, State.BLANK]
    # Its communities are not its own to speak for.
    assert not list(acts(lines_of(page_of(client, tree.own))))
    for role in ("leader", "auditor"):
        assert not list(acts(lines_of(page_of(sign_in(getattr(people, role)), tree.street))))
    # What is offered is done.
    for _name, cell in found:
        assert client.get(cell.act_url).status_code == 200
        assert client.post(cell.act_url).status_code == 302
    assert states(line_of(page_of(client, tree.street), tree.street)) == ["value", "blank", "zero", "zero"]


def test_an_officer_of_one_unit_sees_its_own_months_alone(
    lived_in: SimpleNamespace, people: SimpleNamespace, sign_in: Callable[[User], Client]
) -> None:
    client = sign_in(people.community_officer)
    [line] = lines_of(page_of(client, lived_in.own))
    assert (line.name, [cell.value for cell in line.cells]) == (lived_in.own.name, [1, 1, 1, 1])
    for cell in line.cells:
        assert behind(client, Actor.of(people.community_officer), cell.url) == 1


def test_who_may_see_which_unit(
    tree: SimpleNamespace, people: SimpleNamespace, sign_in: Callable[[User], Client]
) -> None:
    def status(role: str, unit: Unit) -> int:
        return sign_in(getattr(people, role)).get(reverse("heat_map", args=[unit.code])).status_code

    assert [status("leader", unit) for unit in (tree.district, tree.own, tree.elsewhere)] == [200, 200, 404]
    assert [status("street_officer", unit) for unit in (tree.own, tree.other_street)] == [200, 403]
    assert [status("community_officer", unit) for unit in (tree.own, tree.sibling)] == [200, 403]
    assert [status(role, tree.own) for role in ("administrator", "counsellor")] == [403, 403]


def test_what_has_left_is_named_and_not_linked(
    lived_in: SimpleNamespace, people: SimpleNamespace, sign_in: Callable[[User], Client]
) -> None:
    line = line_of(page_of(sign_in(people.street_officer), lived_in.street), lived_in.own)
    assert [cell.value for cell in line.cells[:2]] == [2, 2]
    assert {line.url, *(cell.url for cell in line.cells)} == {""}


# --- cost -----------------------------------------------------------------------------------------

# Session; person with grants and units; the unit; units around it with their zeros; cells; the time.
QUERIES = 6


def test_the_page_asks_as_many_questions_for_two_units_below_as_for_many(
    log: Any, tree: SimpleNamespace, people: SimpleNamespace, leader: Client
) -> None:
    address = reverse("heat_map", args=[tree.district.code])
    log("activities", tree.own, dt.date(2025, 1, 5))
    refresh()
    leader.get(address, SPRING)  # the session notes the time of its first request

    def questions() -> list[str]:
        with CaptureQueriesContext(connection) as asked:
            assert leader.get(address, SPRING).status_code == 200
        return [query["sql"] for query in asked if not query["sql"].startswith(("SAVEPOINT", "RELEASE"))]

    few = questions()
    kind = registry.kind("activities")
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
        declare_zero(by=officer_of(people.leader, unit), unit=unit, kind=kind, month=MONTHS[2])
    refresh()
    many = questions()
    assert len(many) == len(few) == QUERIES, "\n".join(many)
    lines = lines_of(leader.get(address, SPRING).context["page"])
    assert len(lines) == 34
    assert sum(cell.state is State.ZERO for line in lines for cell in line.cells) == 30
