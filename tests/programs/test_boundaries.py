"""A record counts where its unit stood in the record's month, whatever has been moved, merged or closed since."""

from __future__ import annotations

import contextlib
import datetime as dt
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.db.models import Q
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from programs import registry
from programs.actions.units import close_unit, create_unit, merge_units, move_unit, rename_unit, reopen_unit
from programs.boundaries import jointly_under, paths_in, placed_under
from programs.models import EducationActivity, Placement, Unit, User
from programs.models.unit import path_ids
from tests.factories import sample_values

OPENED = dt.date(2008, 1, 1)
MONTHS = [dt.date(2026, month, 1) for month in range(1, 7)]


def records_of(person: User, units: list[Unit], days: list[dt.date]) -> None:
    """An activity of every unit on every day, by direct writes, with the next unit joint."""
    values = {**sample_values(registry.kind("activities")), "created_by": person, "updated_by": person}
    made = EducationActivity.objects.bulk_create(
        [EducationActivity(**{**values, "unit": unit, "occurred_on": day}) for unit in units for day in days]
    )
    joint = EducationActivity.joint_model()
    after = {unit.pk: units[(index + 1) % len(units)].pk for index, unit in enumerate(units)}
    joint.objects.bulk_create(
        [joint(educationactivity_id=record.pk, unit_id=after[record.unit_id]) for record in made]
    )


def found(condition: Q) -> set[tuple[str, str]]:
    rows = EducationActivity.objects.filter(condition).values_list("unit__name", "occurred_on")
    return {(name, f"{day:%Y-%m}") for name, day in rows}


@pytest.fixture
def records(tree: SimpleNamespace, people: SimpleNamespace) -> None:
    records_of(people.office, [tree.own, tree.cousin], [dt.date(2026, month, 20) for month in (4, 5, 6)])


def test_a_moved_unit_counts_where_it_stood(tree: SimpleNamespace, records: None) -> None:
    """The month of the move belongs to the new place."""
    move_unit(by=None, unit=tree.own, parent=tree.other_street, effective_on=dt.date(2026, 5, 28))
    street, other = Unit.objects.get(pk=tree.street.pk), Unit.objects.get(pk=tree.other_street.pk)
    assert found(placed_under(street)) == {("城隍浦社区", "2026-04")}
    assert found(placed_under(other)) == {
        ("城隍浦社区", "2026-05"),
        ("城隍浦社区", "2026-06"),
        *[("云西社区", f"2026-0{month}") for month in (4, 5, 6)],
    }
    assert len(found(placed_under(tree.district))) == 6


def test_a_unit_that_came_and_went_counts_for_its_time(tree: SimpleNamespace, records: None) -> None:
    move_unit(by=None, unit=tree.own, parent=tree.other_street, effective_on=dt.date(2026, 5, 2))
    move_unit(by=None, unit=tree.own, parent=tree.street, effective_on=dt.date(2026, 6, 1))
    assert found(placed_under(tree.street)) == {("城隍浦社区", "2026-04"), ("城隍浦社区", "2026-06")}
    assert ("城隍浦社区", "2026-05") in found(placed_under(tree.other_street))


def test_two_moves_in_a_month_count_as_the_last(tree: SimpleNamespace, records: None) -> None:
    move_unit(by=None, unit=tree.own, parent=tree.other_street, effective_on=dt.date(2026, 5, 2))
    move_unit(by=None, unit=tree.own, parent=tree.street, effective_on=dt.date(2026, 5, 9))
    assert found(placed_under(tree.street)) == {("城隍浦社区", f"2026-0{month}") for month in (4, 5, 6)}
    assert ("城隍浦社区", "2026-05") not in found(placed_under(tree.other_street))


def test_what_stood_below_a_moved_unit_still_did(tree: SimpleNamespace, people: SimpleNamespace) -> None:
    """The school's old paths name the community at its old place."""
    school = create_unit(
        by=None, code="S", name="小学", tier="community", kind="school", parent=tree.own, opened_on=OPENED
    )
    records_of(people.office, [school], [dt.date(2026, 4, 1), dt.date(2026, 6, 1)])
    move_unit(by=None, unit=tree.own, parent=tree.other_street, effective_on=dt.date(2026, 5, 1))
    own = Unit.objects.get(pk=tree.own.pk)
    assert found(placed_under(own)) == {("小学", "2026-04"), ("小学", "2026-06")}


def test_a_merged_unit_counts_for_its_successor_from_then_on(tree: SimpleNamespace, records: None) -> None:
    merge_units(by=None, unit=tree.own, into=tree.cousin, effective_on=dt.date(2026, 5, 15))
    cousin, own = Unit.objects.get(pk=tree.cousin.pk), Unit.objects.get(pk=tree.own.pk)
    assert ("城隍浦社区", "2026-05") in found(placed_under(cousin))
    assert ("城隍浦社区", "2026-04") not in found(placed_under(cousin))
    assert found(placed_under(own)) == {("城隍浦社区", f"2026-0{month}") for month in (4, 5, 6)}


def test_joint_units_count_where_they_stood(tree: SimpleNamespace, records: None) -> None:
    """Each of the two communities is joint in the other's activities."""
    move_unit(by=None, unit=tree.cousin, parent=tree.street, effective_on=dt.date(2026, 5, 1))
    street = Unit.objects.get(pk=tree.street.pk)
    joint = EducationActivity.joint_model()
    rows = joint.objects.filter(jointly_under(street, "educationactivity"), unit=tree.cousin)
    assert {f"{row.educationactivity.occurred_on:%Y-%m}" for row in rows} == {"2026-05", "2026-06"}


def test_the_condition_costs_one_query(tree: SimpleNamespace, records: None) -> None:
    move_unit(by=None, unit=tree.own, parent=tree.other_street, effective_on=dt.date(2026, 5, 28))
    merge_units(by=None, unit=tree.sibling, into=tree.own, effective_on=dt.date(2026, 6, 1))
    with CaptureQueriesContext(
        connection,
    ) as queries:
        placed_under(Unit(pk=tree.street.pk, path=tree.street.path))
    assert len(queries) == 1


# --- any history ----------------------------------------------------------------------------------

days = st.dates(dt.date(2026, 1, 1), dt.date(2026, 6, 30))
picks = st.integers(0, 50)
steps = st.tuples(
    st.sampled_from(["create", "move", "move", "merge", "rename", "close", "reopen"]), picks, picks, days
)


def take(step: tuple[str, int, int, dt.date]) -> None:
    """One change of the tree; what the rules refuse is left out, and has changed nothing."""
    verb, one, other, day = step
    units = list(Unit.objects.select_related("parent").order_by("pk"))
    unit = units[one % len(units)]
    partners = likely_partners(verb, unit, units) or [unit]
    partner = partners[other % len(partners)]
    before = snapshot()
    try:
        if verb == "create":
            create_unit(
                by=None, code=f"N{len(units)}", name=f"新{len(units)}", opened_on=day, **born(partner, one)
            )
        elif verb == "move":
            move_unit(by=None, unit=unit, parent=partner, effective_on=day)
        elif verb == "merge":
            merge_units(by=None, unit=unit, into=partner, effective_on=day)
        elif verb == "rename":
            rename_unit(by=None, unit=unit, name=f"{unit.name[:20]}改", effective_on=day)
        elif verb == "close":
            close_unit(by=None, unit=unit, effective_on=day)
        else:
            reopen_unit(by=None, unit=unit)
    except ValidationError:
        assert snapshot() == before


def likely_partners(verb: str, unit: Unit, units: list[Unit]) -> list[Unit]:
    """Most picks out of all units would be refused; half of these are not."""
    if verb == "merge":
        return [u for u in units if u.is_open and u.tier == unit.tier and u.pk != unit.pk]
    if verb == "move" and unit.parent:
        return [u for u in units if u.is_open and u.tier == unit.parent.tier]
    return [u for u in units if u.is_open]


def born(parent: Unit, pick: int) -> dict[str, Any]:
    """A kind that can stand under the parent."""
    body = {"kind": "school", "tier": parent.tier, "parent": parent}
    territorial = {
        "district": {"kind": "street", "tier": "street", "parent": parent},
        "street": {"kind": "community", "tier": "community", "parent": parent},
    }
    return territorial.get(parent.kind, body) if pick % 2 else body


def snapshot() -> list[Any]:
    return [*Unit.objects.order_by("pk").values_list(), *Placement.objects.order_by("pk").values_list()]


def check_tree() -> None:
    for unit in Unit.objects.select_related("parent", "merged_into"):
        above = unit.merged_into or unit.parent
        assert unit.path == f"{above.path if above else '/'}{unit.pk}/"
        ids = path_ids(unit.path)
        assert len(ids) == len(set(ids)), "a cycle"
        if unit.is_open and unit.parent:
            assert unit.parent.is_open
        check_history(unit, list(unit.placements.all()))


def check_history(unit: Unit, history: list[Placement]) -> None:
    """Without gap or overlap from the opening to now, the last as the unit is."""
    assert history[0].valid_from == unit.opened_on
    assert [one.valid_to for one in history[:-1]] == [one.valid_from for one in history[1:]]
    assert (history[-1].valid_to, history[-1].name, history[-1].path) == (None, unit.name, unit.path)
    for placement in history:
        ids = path_ids(placement.path)
        assert ids[-1] == unit.pk
        assert (ids[-2] if len(ids) > 1 else None) == placement.parent_id


def check_every_day() -> None:
    """At any time the paths make one tree."""
    placements = list(Placement.objects.all())
    for day in {placement.valid_from for placement in placements}:
        held = {
            p.unit_id: p for p in placements if p.valid_from <= day and (not p.valid_to or p.valid_to > day)
        }
        for placement in held.values():
            above = held[placement.parent_id].path if placement.parent_id else "/"
            assert placement.path == f"{above}{placement.unit_id}/"


def check_boundaries() -> None:
    """For every unit, exactly those records whose unit stood below it in their month."""
    units = list(Unit.objects.all())
    places = {month: paths_in(month, {unit.pk for unit in units}) for month in MONTHS}
    rows = EducationActivity.objects.values_list("pk", "unit_id", "occurred_on", "joint_units")
    for unit in units:
        led = {pk for pk, lead, day, _joint in rows if unit.pk in path_ids(places[day.replace(day=1)][lead])}
        shared = {
            pk for pk, _lead, day, joint in rows if unit.pk in path_ids(places[day.replace(day=1)][joint])
        }
        joint_rows = EducationActivity.joint_model().objects.filter(jointly_under(unit, "educationactivity"))
        assert set(EducationActivity.objects.filter(placed_under(unit)).values_list("pk", flat=True)) == led
        assert set(joint_rows.values_list("educationactivity", flat=True)) == shared


@contextlib.contextmanager
def taken_back() -> Any:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(history=st.lists(steps, min_size=15, max_size=40))
def test_any_history_keeps_the_tree_and_its_boundaries(
    tree: SimpleNamespace, people: SimpleNamespace, history: list[tuple[str, int, int, dt.date]]
) -> None:
    with taken_back():
        for step in history:
            take(step)
        records_of(
            people.office, list(Unit.objects.order_by("pk")), [month.replace(day=14) for month in MONTHS]
        )
        check_tree()
        check_every_day()
        check_boundaries()
