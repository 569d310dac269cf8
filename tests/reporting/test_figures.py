"""Figures as pages read them: periods, boundaries of the time, parts that add up, joint records apart."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from types import SimpleNamespace
from typing import Any

import pytest

from programs import registry
from programs.boundaries import Boundaries
from programs.models import Mark, Unit
from reporting.figures import Against, Figures, figures
from reporting.models import Freshness
from reporting.statistics import rebuild, refresh
from tests.reporting.cells import cells
from tests.reporting.naive import assert_exact, by_hand

JANUARY, FEBRUARY, MARCH, APRIL = (dt.date(2025, month, 1) for month in (1, 2, 3, 4))


def of(unit: Unit, first: dt.date = JANUARY, last: dt.date = APRIL, **more: Any) -> Figures:
    return figures(unit, first, last, exact=True, **more)


def below(unit: Unit) -> list[Unit]:
    return list(Unit.objects.filter(placements__parent=unit).distinct())


def test_the_world_of_these_tests_is_counted_exactly(lived_in: SimpleNamespace) -> None:
    assert not Mark.objects.exists()
    assert assert_exact() > 300


def test_figures_of_months_add_up(log: Any, tree: SimpleNamespace) -> None:
    log("activities", tree.own, dt.date(2025, 1, 31), participants=10)
    log("activities", tree.own, dt.date(2025, 2, 1), participants=5)
    log("activities", tree.own, dt.date(2024, 12, 31), participants=99)
    log("activities", tree.own, dt.date(2024, 2, 29), participants=12)
    refresh()
    found = of(tree.district, JANUARY, FEBRUARY)
    people = found["activities.participants"]
    assert (people.value, people.before, people.by_month) == (15, 12, [10, 5])
    assert people.change == 25
    assert people.by_month_before == [0, 12]
    assert of(tree.own, FEBRUARY, FEBRUARY)["activities.participants"].value == 5
    assert of(tree.cousin)["activities.participants"].value == 0


def test_a_figure_without_a_year_before_has_no_change(log: Any, tree: SimpleNamespace) -> None:
    log("activities", tree.own, dt.date(2025, 1, 31))
    refresh()
    assert of(tree.own)["activities.count"].change is None


def test_months_count_in_their_own_boundaries(lived_in: SimpleNamespace) -> None:
    """`own` stood under its first street in January and February, and under the other from March on."""
    own = of(lived_in.own)["activities.count"].by_month
    assert own == [2, 2, 2, 2]  # its own and those of the workshop attached to it
    street, other = of(lived_in.street)["activities.count"], of(lived_in.other_street)["activities.count"]
    # street, sibling, school; rover (not in March), own and workshop (until February)
    assert street.by_month == [6, 6, 3, 4]
    # other street, cousin; rover in March, own and workshop from March on
    assert other.by_month == [2, 2, 5, 4]


@pytest.mark.parametrize("last", [APRIL, FEBRUARY, JANUARY])
def test_rows_add_up_to_the_total(lived_in: SimpleNamespace, last: dt.date) -> None:
    for unit in vars(lived_in).values():
        found = of(unit, JANUARY, last, below=below(unit))
        if not found.rows:
            continue
        assert found.rows[0].is_own
        assert found.rows[0].unit == unit
        codes = [row.unit.code for row in found.rows[1:]]
        assert codes == sorted(codes)
        for figure in found.figures:
            if figure.indicator.additive:
                parts = [row.values[figure.indicator.code] for row in found.rows]
                assert sum(parts) == figure.value, (unit, figure.indicator.code)
            elif last > JANUARY and not figure.is_derived:
                assert {row.values[figure.indicator.code] for row in found.rows} == {None}


def test_rows_say_how_long_a_unit_stood_there(lived_in: SimpleNamespace) -> None:
    rows = {row.unit: row for row in of(lived_in.street, below=below(lived_in.street)).rows}
    left = rows[lived_in.own]
    assert (left.stay.first, left.stay.last, left.is_split) == (JANUARY, FEBRUARY, False)
    assert rows[lived_in.sibling].stay is None
    assert rows[lived_in.rover].is_split
    rows = {row.unit: row for row in of(lived_in.other_street, below=below(lived_in.other_street)).rows}
    assert (rows[lived_in.own].stay.first, rows[lived_in.own].stay.last) == (MARCH, APRIL)
    assert (rows[lived_in.rover].stay.first, rows[lived_in.rover].stay.last) == (MARCH, MARCH)
    # Before it came there is no row of it.
    early = of(lived_in.other_street, JANUARY, FEBRUARY, below=below(lived_in.other_street)).rows
    assert {row.unit for row in early} == {lived_in.other_street, lived_in.cousin}


def test_a_joint_record_counts_once_in_a_total_and_apart_from_it(log: Any, tree: SimpleNamespace) -> None:
    log("activities", tree.police, dt.date(2025, 1, 5), tree.own, tree.sibling, tree.cousin, participants=100)
    refresh()
    assert of(tree.district)["activities.participants"].value == 100
    assert of(tree.district)["activities.participants"].joint == 0
    street = of(tree.street)["activities.participants"]
    assert (street.value, street.joint) == (0, 100)  # two of its communities joined one record
    assert of(tree.own)["activities.participants"].joint == 100
    assert of(tree.street, whole=False)["activities.participants"].joint == 0


def test_distinct_people_are_counted_over_the_whole_period(log: Any, tree: SimpleNamespace) -> None:
    for unit, day, client in [
        (tree.own, dt.date(2025, 1, 5), "甲"),
        (tree.own, dt.date(2025, 2, 5), "甲"),
        (tree.sibling, dt.date(2025, 2, 6), "甲"),
        (tree.sibling, dt.date(2025, 2, 7), "乙"),
        (tree.cousin, dt.date(2024, 1, 7), "丙"),
    ]:
        log("cases", unit, day, client=client)
    log("cases", tree.cousin, dt.date(2025, 2, 8), tree.own, tree.sibling, client="丁")
    refresh()
    clients = of(tree.district)["cases.clients"]
    assert (clients.value, clients.before, clients.by_month) == (3, 1, [1, 3, 0, 0])
    street = of(tree.street)["cases.clients"]
    assert (street.value, street.joint) == (2, 1)
    assert of(tree.own)["cases.clients"].value == 1
    assert of(tree.street, FEBRUARY, FEBRUARY)["cases.clients"].value == 2
    assert of(tree.street, whole=False)["cases.clients"].value == 0


def test_every_figure_is_what_its_records_say(lived_in: SimpleNamespace) -> None:
    """For every unit and indicator, over several months, against the plainest recount."""
    from tests.reporting.naive import place_of, placements_by_unit

    placements = placements_by_unit()

    def of_the_time(record: Any) -> list[int]:
        return place_of(record.unit_id, record.occurred_on.replace(day=1), placements)

    for unit in vars(lived_in).values():
        assert_is_what_records_say(
            of(unit, indicators=EVERYTHING), lambda r, pk=unit.pk: pk in of_the_time(r)
        )


@pytest.mark.parametrize("last", [APRIL, FEBRUARY])
def test_in_todays_boundaries_a_unit_counts_where_it_stands_now(
    lived_in: SimpleNamespace, last: dt.date
) -> None:
    for unit in vars(lived_in).values():
        now = set(Unit.objects.under(unit).values_list("pk", flat=True))
        found = of(unit, last=last, indicators=EVERYTHING, below=below(unit), boundaries=Boundaries.TODAY)
        assert_is_what_records_say(found, lambda record, now=now: record.unit_id in now)
        for figure in found.figures:
            if found.rows and figure.indicator.additive:
                assert sum(row.values[figure.code] for row in found.rows) == figure.value, (unit, figure.code)
            if figure.indicator.additive:
                assert sum(figure.by_month) == figure.value
    assert {
        row.unit
        for row in of(lived_in.street, below=below(lived_in.street), boundaries=Boundaries.TODAY).rows
    } == {
        lived_in.street,
        lived_in.sibling,
        lived_in.rover,
        lived_in.school,
    }


def test_joint_records_in_todays_boundaries(lived_in: SimpleNamespace) -> None:
    """`own` stands under the other street today: what it joined in January counts there, and not with its first."""
    first = of(lived_in.street, JANUARY, JANUARY, boundaries=Boundaries.TODAY)
    other = of(lived_in.other_street, JANUARY, JANUARY, boundaries=Boundaries.TODAY)
    assert (first["activities.count"].joint, other["activities.count"].joint) == (0, 1)
    assert of(lived_in.street, JANUARY, JANUARY)["activities.count"].joint == 1


EVERYTHING = [figure.code for kind in registry.kinds() for figure in (*kind.counted, *kind.derived)]
DERIVED_BY_HAND = {
    "activities.participants_each": lambda of: of["activities.participants"] / of["activities.count"],
    "activities.six_ones_share": lambda of: of["activities.six_ones"] * 100 / of["activities.count"],
    "visits.person_times_each": lambda of: of["visits.person_times"] / of["visits.count"],
    "opinions.answered_rate": lambda of: of["opinions.answered"] * 100 / of["opinions.collected"],
    "opinions.solved_rate": lambda of: of["opinions.solved"] * 100 / of["opinions.collected"],
    "opinions.on_time_rate": lambda of: of["opinions.on_time"] * 100 / of["opinions.answered"],
    "opinions.satisfaction_rate": lambda of: of["opinions.satisfied"] * 100 / of["opinions.revisited"],
    "opinions.days_each": lambda of: of["opinions.days_to_answer"] / of["opinions.answered"],
    "education.count": lambda of: of["activities.count"] + of["gratitude.count"],
}


def assert_is_what_records_say(found: Figures, counts: Callable[[Any], bool]) -> None:
    """Every figure against a recount in Python of the records of the period that `counts` lets through."""
    period = found.period
    records = {
        kind.code: [
            record
            for record in kind.model.objects.filter(
                removed_at=None, occurred_on__range=(period.begins_on, period.ends_on)
            )
            if counts(record)
        ]
        for kind in registry.kinds()
    }
    values: dict[str, Decimal | None] = {}
    for figure in found.figures:
        if not figure.is_derived:
            values[figure.code] = by_hand(figure.code, records[figure.kind.code])
    for code, made in DERIVED_BY_HAND.items():
        try:
            values[code] = made(values).quantize(Decimal("0.1"), ROUND_HALF_UP)
        except (ZeroDivisionError, InvalidOperation):
            values[code] = None
    assert {figure.code: figure.value for figure in found.figures} == values, found.unit


def test_the_parts_of_a_split_add_up_to_the_whole(lived_in: SimpleNamespace) -> None:
    compared = 0
    for unit in vars(lived_in).values():
        found = of(unit, indicators=EVERYTHING)
        for kind in registry.kinds():
            for indicator in kind.indicators:
                for name in indicator.splits:
                    parts = [found[part.code] for part in kind.parts(indicator, name)]
                    whole = found[indicator.code]
                    assert sum(part.value for part in parts) == whole.value
                    assert [
                        sum(month) for month in zip(*(p.by_month for p in parts), strict=True)
                    ] == whole.by_month
                    compared += bool(whole.value)
    assert compared > 30


def test_a_period_is_compared_with_the_year_before_or_with_the_months_right_before(
    log: Any, tree: SimpleNamespace
) -> None:
    for day, participants in [((2025, 3, 5), 30), ((2025, 1, 31), 8), ((2024, 12, 1), 4), ((2024, 3, 9), 10)]:
        log("activities", tree.own, dt.date(*day), participants=participants)
    refresh()
    year = of(tree.own, MARCH, APRIL)["activities.participants"]
    assert (year.value, year.before, year.by_month_before, year.change) == (30, 10, [10, 0], 200)
    right_before = of(tree.own, MARCH, APRIL, against=Against.PREVIOUS)
    assert (right_before.before.first, right_before.before.last) == (JANUARY, FEBRUARY)
    people = right_before["activities.participants"]
    assert (people.before, people.by_month_before, people.change) == (8, [8, 0], 275)
    quarter = of(tree.own, JANUARY, MARCH, against=Against.PREVIOUS)
    assert (quarter.before.first, quarter.before.last) == (dt.date(2024, 10, 1), dt.date(2024, 12, 1))
    assert quarter["activities.participants"].before == 4


def test_a_rate_of_nothing_is_no_figure(tree: SimpleNamespace) -> None:
    found = of(tree.own, below=below(tree.own))
    share = found["activities.six_ones_share"]
    assert (share.value, share.before, share.joint, share.change) == (None, None, None, None)
    assert share.by_month == [None] * 4
    assert found["education.count"].value == 0


def test_only_the_named_indicators_are_read(lived_in: SimpleNamespace) -> None:
    found = of(lived_in.district, indicators=["cases.hours", "activities.count"])
    assert [figure.code for figure in found.figures] == ["activities.count", "cases.hours"]
    # What a derived figure is made of is read, and not shown.
    alone = of(lived_in.district, indicators=["activities.six_ones_share"], below=below(lived_in.district))
    assert [figure.code for figure in alone.figures] == ["activities.six_ones_share"]
    every = of(lived_in.district)
    assert [figure.code for figure in every.figures] == [figure.code for figure in registry.declared()]
    assert alone["activities.six_ones_share"].value == every["activities.six_ones_share"].value


def test_a_removed_record_counts_nowhere_and_a_restored_one_again(
    log: Any, tree: SimpleNamespace, people: SimpleNamespace
) -> None:
    from programs.access import Actor
    from programs.actions import remove_record, restore_record

    record, kind = log("cases", tree.own, dt.date(2025, 1, 5), hours=Decimal("2.50")), registry.kind("cases")
    by = Actor.of(people.community_officer)
    refresh()
    assert of(tree.district)["cases.hours"].value == Decimal("2.50")
    remove_record(by=by, kind=kind, record=record)
    refresh()
    assert of(tree.district)["cases.hours"].value == 0
    restore_record(by=by, kind=kind, record=record)
    refresh()
    assert of(tree.district)["cases.hours"].value == Decimal("2.50")


def test_the_time_is_that_of_the_last_complete_refresh(tree: SimpleNamespace) -> None:
    assert of(tree.own).as_of is None
    refresh()
    assert of(tree.own).as_of == Freshness.objects.get().refreshed_at


def test_a_rebuild_finds_the_same_and_takes_away_what_is_nobodys(lived_in: SimpleNamespace) -> None:
    from reporting.models import UnitMonth

    rows = UnitMonth.objects.count()
    figures_found = len(cells())
    place = {"unit": lived_in.own, "path": lived_in.own.path, "own": [300]}
    UnitMonth.objects.create(**place, month=MARCH, kind="gone")
    UnitMonth.objects.create(**place, month=dt.date(2023, 5, 1), kind="activities")
    UnitMonth.objects.filter(month=JANUARY).delete()
    told = []
    assert rebuild(lambda done, months: told.append((done, months))) == rows
    assert assert_exact() == figures_found
    assert told[-1] == (24, 24)
