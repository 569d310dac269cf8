"""The recount finds every wrong cell, raises an alarm, and finds nothing where nothing is wrong."""

from __future__ import annotations

import datetime as dt
import io
import random
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from programs.models import Mark, Unit
from reporting import reconciliation, recount, statistics
from reporting.models import Reconciliation, UnitMonth
from reporting.models.statistics import COLUMNS
from reporting.reconciliation import reconcile
from reporting.statistics import refresh
from tests.reporting.cells import cells, put, wipe
from tests.reporting.naive import assert_exact

pytestmark = pytest.mark.django_db


def test_clean_cells_pass(lived_in: SimpleNamespace, caplog: pytest.LogCaptureFixture) -> None:
    assert reconcile() == []
    noted = Reconciliation.objects.get()
    assert (noted.cells, noted.differences, noted.busy_months) == (UnitMonth.objects.count(), 0, 0)
    assert not caplog.records


def test_every_corrupted_cell_is_found(lived_in: SimpleNamespace, caplog: pytest.LogCaptureFixture) -> None:
    dice = random.Random(20250317)
    every = cells()
    picked = dice.sample(every, 60)
    units = Unit.objects.in_bulk()
    for number, cell in enumerate(picked):
        if number % 5 == 4:
            wipe(cell)
        else:
            column = COLUMNS[number % 4]
            changed = int(getattr(cell, column)) + dice.choice([1, 7])
            put(units[cell.unit_id], cell.month, cell.indicator, **{column: changed})
    # Rows in a wrong place: each of their figures is told.
    untouched = {cell.row for cell in every} - {cell.row for cell in picked}
    misplaced = dice.sample(sorted(untouched), 6)
    UnitMonth.objects.filter(pk__in=misplaced[:3]).update(path="/7/")
    UnitMonth.objects.filter(pk__in=misplaced[3:]).update(parent_id=7)
    # A row of a unit that never did anything, of a kind that is no more, of a month without records.
    extra = {"unit": lived_in.elsewhere, "path": lived_in.elsewhere.path, "own": [300], "total": [300]}
    UnitMonth.objects.create(**extra, month=dt.date(2025, 1, 1), kind="gone")
    UnitMonth.objects.create(**extra, month=dt.date(2023, 7, 1), kind="activities")

    differences = reconcile()

    of_rows = [cell for cell in every if cell.row in misplaced]
    wrong = {(cell.unit_id, cell.month, cell.indicator) for cell in (*picked, *of_rows)}
    wrong.add((lived_in.elsewhere.pk, dt.date(2025, 1, 1), "gone#1"))
    wrong.add((lived_in.elsewhere.pk, dt.date(2023, 7, 1), "activities.count"))
    assert {(d.unit_id, d.month, d.indicator) for d in differences} == wrong
    noted = Reconciliation.objects.get()
    assert noted.differences == len(differences) >= len(wrong) > 68
    assert noted.examples[0] == [str(part) for part in vars(differences[0]).values()]
    assert [record.levelname for record in caplog.records] == ["ERROR"]

    statistics.rebuild()
    assert reconcile() == []
    assert_exact()


def test_a_mistake_in_the_counting_code_shows(
    lived_in: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The recount shares nothing with the code that it checks: here that code counts removed records too."""

    def with_removed(kind: Any, first: dt.date, after: dt.date) -> Any:
        return kind.model.objects.filter(occurred_on__gte=first, occurred_on__lt=after).order_by()

    monkeypatch.setattr(recount, "present_records", with_removed)
    statistics.rebuild()
    units = {difference.unit_id for difference in reconcile()}
    assert units == {lived_in.own.pk, lived_in.street.pk, lived_in.district.pk}


def test_a_month_that_never_rests_is_not_called_wrong(
    log: Any, tree: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody saves a record of the month during every attempt to compare it."""
    caplog.set_level("WARNING", logger="reporting")
    log("activities", tree.own, dt.date(2025, 1, 5))
    log("activities", tree.own, dt.date(2025, 2, 5))
    compare = reconciliation._compare

    def interrupted(months: list[dt.date]) -> Any:
        outcome = compare(months)
        if dt.date(2025, 1, 1) in months:
            log("activities", tree.own, dt.date(2025, 1, 6))
        return outcome

    monkeypatch.setattr(reconciliation, "_compare", interrupted)
    assert reconcile() == []
    noted = Reconciliation.objects.get()
    assert (noted.busy_months, noted.differences) == (1, 0)
    assert noted.cells == UnitMonth.objects.filter(month="2025-02-01").count()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    refresh()
    assert_exact()


def test_waiting_marks_are_counted_before_the_comparison(log: Any, tree: SimpleNamespace) -> None:
    log("activities", tree.own, dt.date(2025, 1, 5))
    assert Mark.objects.exists()
    assert reconcile() == []


def test_the_command_lists_differences_and_fails(
    log: Any, tree: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    log("activities", tree.own, dt.date(2025, 1, 5), participants=12)
    out = io.StringIO()
    call_command("statistics", "refresh", stdout=out)
    call_command("statistics", "reconcile", stdout=out)
    put(tree.street, dt.date(2025, 1, 1), "activities.participants", total=13)
    with pytest.raises(CommandError, match="1 differences"):
        call_command("statistics", "reconcile", stdout=out)
    assert "331002001 2025-01 activities.participants total: cell 13.00, records 12.00" in out.getvalue()
    call_command("statistics", "rebuild", stdout=out)
    call_command("statistics", "reconcile", stdout=out)
    assert_exact()
