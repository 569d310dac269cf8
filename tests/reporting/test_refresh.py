"""Marks and the refresh: what is taken, what comes back, and units that moved without anybody naming the old places."""

from __future__ import annotations

import datetime as dt
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection, transaction

from programs import registry
from programs.models import Mark, Placement
from reporting import statistics
from reporting.models import Freshness, UnitMonth
from reporting.statistics import rebuild, refresh, seconds_behind
from tests.reporting.cells import cells, put
from tests.reporting.naive import assert_adds_up, assert_exact

pytestmark = pytest.mark.django_db
JANUARY = dt.date(2025, 1, 1)


def test_a_refresh_works_off_every_mark(
    lived_in: SimpleNamespace, log: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statistics, "MONTHS", 2)
    for day in range(1, 6):
        log("activities", lived_in.own, dt.date(2025, day % 4 + 1, day), lived_in.police)
    assert Mark.objects.count() == 10
    Freshness.objects.update(refreshed_at=None)
    assert refresh() == 8  # two units in four months
    assert Freshness.objects.get().refreshed_at
    assert refresh() == 0
    assert_exact()


def test_an_indicator_declared_anew_is_counted_without_being_asked(
    lived_in: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an update of the portal: cells of a new indicator, none of one that is gone, and only once."""
    kind = registry.kind("carriers")
    before = kind.counted
    gone = [figure for figure in before if figure.code != "carriers.count@type=other"]
    monkeypatch.setitem(vars(kind), "counted", gone)
    assert refresh() > 0
    assert not [cell for cell in cells() if cell.indicator == "carriers.count@type=other"]
    assert_exact()
    assert refresh() == 0
    monkeypatch.setitem(vars(kind), "counted", before)
    assert refresh() > 0
    assert_exact()


def test_a_refresh_that_fails_gives_the_marks_back(
    tree: SimpleNamespace, log: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    log("activities", tree.own, JANUARY)
    waiting = set(Mark.objects.values_list("pk", flat=True))

    def fail(*args: Any) -> int:
        raise RuntimeError("the power went out")

    with monkeypatch.context() as patch:
        patch.setattr(statistics, "recount", fail)
        with pytest.raises(RuntimeError):
            refresh()
    assert set(Mark.objects.values_list("pk", flat=True)) == waiting
    assert not UnitMonth.objects.exists()
    refresh()
    assert_exact()


def test_a_unit_that_moved_is_counted_anew_above_old_and_new_places(lived_in: SimpleNamespace) -> None:
    """By hand, and with no mark but its own: where it stood before is known from its cells."""
    street, other = lived_in.other_street, lived_in.street
    for placement in Placement.objects.filter(path__startswith=lived_in.cousin.path):
        Placement.objects.filter(pk=placement.pk).update(path=placement.path.replace(street.path, other.path))
    months = (
        UnitMonth.objects.filter(unit=lived_in.cousin).order_by().values_list("month", flat=True).distinct()
    )
    Mark.objects.bulk_create([Mark(unit_id=lived_in.cousin.pk, month=month) for month in months])
    refresh()
    assert_exact()
    assert_adds_up()


def test_a_unit_moves_with_everything_below_it(lived_in: SimpleNamespace) -> None:
    """The same with a mark for the upper of two units that moved together."""
    old, new = lived_in.own.path, f"{lived_in.street.path}{lived_in.own.pk}/"
    for placement in Placement.objects.filter(path__startswith=old):
        Placement.objects.filter(pk=placement.pk).update(path=placement.path.replace(old, new))
    months = UnitMonth.objects.filter(unit=lived_in.own).order_by().values_list("month", flat=True).distinct()
    Mark.objects.bulk_create([Mark(unit_id=lived_in.own.pk, month=month) for month in months])
    refresh()
    assert_exact()
    assert_adds_up()


def test_a_month_is_emptied_when_its_last_record_goes(tree: SimpleNamespace, log: Any) -> None:
    record = log("activities", tree.own, JANUARY, tree.cousin)
    refresh()
    assert UnitMonth.objects.exists()
    record.joint_units.clear()
    record.delete()
    refresh()
    assert not UnitMonth.objects.exists()


def test_a_rebuild_writes_only_units_with_a_wrong_cell(lived_in: SimpleNamespace) -> None:
    def rows() -> set[int]:
        return set(UnitMonth.objects.values_list("pk", flat=True))

    before = rows()
    rebuild()
    assert rows() == before
    units = [lived_in.school, lived_in.sibling, lived_in.police]
    school, sibling, police = (UnitMonth.objects.filter(unit=unit, month=JANUARY) for unit in units)
    theirs = {row.pk for row in (*school, *sibling.filter(kind="activities"), *police)}
    school.update(path="/1/")
    put(lived_in.sibling, JANUARY, "activities.participants", own=5000, total=5000)
    police.delete()
    rebuild()
    assert before - rows() == theirs
    assert_exact()
    assert {row.path for row in school.all()} == {lived_in.school.path}


def test_how_far_the_figures_are_behind(tree: SimpleNamespace, log: Any) -> None:
    assert seconds_behind() == 0
    log("activities", tree.own, JANUARY)
    assert seconds_behind() > statistics.LATE_SECONDS  # never refreshed
    refresh()
    assert seconds_behind() == 0
    assert Freshness.objects.count() == 1
    refresh()
    assert Freshness.objects.count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("verb", [refresh, rebuild])
def test_inside_a_transaction_nothing_is_refreshed(verb: Any, tree: SimpleNamespace, log: Any) -> None:
    """It would count what may yet be taken back, and hold the lock until then."""
    log("activities", tree.own, JANUARY)
    with pytest.raises(RuntimeError, match="durable"), transaction.atomic():
        verb()
    assert not connection.in_atomic_block
