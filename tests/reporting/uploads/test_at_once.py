"""Many at once, in real threads with connections of their own: one file is one upload, one click one entry."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection, connections

from programs.actions import save_record
from programs.models import AuditEvent, EducationActivity
from reporting.models import Upload
from reporting.models.upload import State
from reporting.uploads import claims, jobs, pipeline
from reporting.uploads.states import WrongState
from tests.reporting.conftest import officer_of
from tests.reporting.naive import assert_exact
from tests.reporting.uploads.conftest import ACTIVITIES, Office, row_values, sheet_rows, workbook

pytestmark = pytest.mark.django_db(transaction=True)
AT_ONCE = 20


def at_once(number: int, work: Callable[[int], Any]) -> list[Any]:
    """What each of so many threads returns, all let loose at the same moment; or the exception that it raises."""
    gate = threading.Barrier(number)

    def one(mine: int) -> Any:
        try:
            connection.ensure_connection()
            gate.wait(30)
            return work(mine)
        except Exception as error:  # noqa: BLE001  (the test tells which one it should be)
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(one, range(number)))


def files_kept() -> set[str]:
    folder = Path(Upload._meta.get_field("file").storage.path("uploads"))
    return {path.name for path in folder.rglob("*") if path.is_file()}


def test_one_file_brought_by_twenty_is_one_upload(office: Office, rung: list[str]) -> None:
    content, before = workbook(("台账", ACTIVITIES, sheet_rows(ACTIVITIES, range(40)))), files_kept()
    found = at_once(AT_ONCE, lambda mine: office.bring(content, name=f"{mine}.xlsx"))
    assert {type(upload) for upload in found} == {Upload}, found
    assert len({upload.pk for upload in found}) == 1
    assert Upload.objects.count() == 1
    assert len(files_kept() - before) == 1
    assert AuditEvent.objects.filter(action="upload.receive").count() == 1


def test_twenty_clicks_enter_the_rows_once(office: Office, rung: list[str]) -> None:
    upload = office.previewed(workbook(("台账", ACTIVITIES, sheet_rows(ACTIVITIES, range(40)))))

    def click(_mine: int) -> str:
        again = Upload.objects.get(pk=upload.pk)
        state = jobs.confirm(by=office.by, upload=again).state
        jobs.work()
        return state

    found = at_once(AT_ONCE, click)
    assert set(found) <= {State.APPLYING, State.APPLIED}, found
    jobs.work()
    assert EducationActivity.objects.count() == 40
    assert AuditEvent.objects.filter(action="upload.confirm").count() == 1
    assert AuditEvent.objects.filter(action="activities.bring").count() == 1

    found = at_once(
        AT_ONCE, lambda _mine: jobs.undo(by=office.by, upload=Upload.objects.get(pk=upload.pk)).state
    )
    assert set(found) == {State.UNDOING}, found
    jobs.work()
    assert (EducationActivity.objects.count(), Upload.objects.get().state) == (0, State.UNDONE)
    assert AuditEvent.objects.filter(action="upload.undo").count() == 1


def test_of_confirm_and_cancel_one_comes_true(office: Office, rung: list[str]) -> None:
    for number in range(5):
        upload = office.previewed(workbook(("台账", ACTIVITIES, sheet_rows(ACTIVITIES, [number]))))

        def ask(mine: int, pk: int = upload.pk) -> str:
            again = Upload.objects.get(pk=pk)
            return (jobs.cancel if mine % 2 else jobs.confirm)(by=office.by, upload=again).state

        found = at_once(6, ask)
        upload.refresh_from_db()
        said = {answer for answer in found if isinstance(answer, str)}
        assert said == {upload.state}, found
        assert {type(answer) for answer in found} <= {str, WrongState}, found
        jobs.work()


def test_workers_share_the_work_and_no_unit_has_two(
    tree: SimpleNamespace, make_user: Any, rung: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    units = [tree.own, tree.sibling, tree.cousin, tree.police, tree.school]
    desks = [
        Office(make_user(f"desk{number}", "unit_officer", unit), unit) for number, unit in enumerate(units)
    ]
    for number in range(3):
        for place, desk in enumerate(desks):
            numbers = range(20 * (5 * number + place), 20 * (5 * number + place) + 20)
            desk.bring(workbook(("台账", ACTIVITIES, sheet_rows(ACTIVITIES, numbers))))
    most: list[int] = []
    process = jobs.process

    def watched(upload: Upload) -> bool:
        running = list(Upload.objects.filter(lease_until__isnull=False).values_list("asked_for", flat=True))
        assert len(running) == len(set(running)), "a unit has two"
        most.append(len(running))
        return process(upload)

    monkeypatch.setattr(jobs, "process", watched)

    def work(_mine: int) -> int:
        done, idle = 0, 0
        while idle < 20:
            some = jobs.work()
            done, idle = done + some, 0 if some else idle + 1
            time.sleep(0 if some else 0.05)
        return done

    for _step in ("read", "entered"):
        found = at_once(4, work)
        assert all(isinstance(done, int) for done in found), found
        assert sum(found) == 15
        for upload in Upload.objects.filter(state=State.PREVIEWED):
            jobs.confirm(by=next(desk.by for desk in desks if desk.unit == upload.unit), upload=upload)
    assert set(Upload.objects.values_list("state", flat=True)) == {State.APPLIED}
    assert EducationActivity.objects.count() == 300
    assert len(set(EducationActivity.objects.values_list("theme", "unit"))) == 300
    assert max(most) >= 2 if connection.vendor == "postgresql" else max(most) == 1
    assert_exact()


@pytest.mark.postgres
def test_two_offices_with_the_same_rows_enter_them_once(
    tree: SimpleNamespace, people: SimpleNamespace, rung: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The street and its community bring the same ledger, and both are checked before either is entered."""
    rows = sheet_rows(ACTIVITIES, range(30), tree.own)
    desks = [Office(people.street_officer, tree.street), Office(people.community_officer, tree.own)]
    uploads = [
        desk.previewed(workbook(("台账", ACTIVITIES, rows), salt=str(n))) for n, desk in enumerate(desks)
    ]
    assert [upload.new for upload in uploads] == [30, 30]
    for desk, upload in zip(desks, uploads, strict=True):
        jobs.confirm(by=desk.by, upload=upload)
    check, both, been = pipeline.check_sheets, threading.Barrier(2), set()

    def checked(upload: Upload, *args: Any) -> Any:
        found = check(upload, *args)
        if upload.pk not in been:
            been.add(upload.pk)
            both.wait(20)
        return found

    monkeypatch.setattr(pipeline, "check_sheets", checked)
    assert at_once(2, lambda _mine: jobs.work()) == [1, 1]
    assert set(Upload.objects.values_list("state", flat=True)) == {State.APPLIED}
    assert sorted(Upload.objects.values_list("written_new", "same")) == [(0, 30), (30, 0)]
    assert EducationActivity.objects.count() == 30


def test_records_can_be_saved_while_a_sheet_is_checked(
    office: Office, tree: SimpleNamespace, rung: list[str], make_user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On SQLite there is one writer, and whoever checks a sheet is not it."""
    check, saved = pipeline.check_sheets, []
    by = officer_of(make_user("officer"), tree.police)

    def save(_mine: int) -> float:
        begun = time.monotonic()
        save_record(by=by, kind=ACTIVITIES, values=row_values(ACTIVITIES, 500 + len(saved), unit=tree.police))
        return time.monotonic() - begun

    def checked(*args: Any) -> Any:
        assert not connection.in_atomic_block
        saved.extend(at_once(1, save))
        return check(*args)

    monkeypatch.setattr(pipeline, "check_sheets", checked)
    upload = office.entered(workbook(("台账", ACTIVITIES, sheet_rows(ACTIVITIES, range(40)))))
    assert upload.state == State.APPLIED, upload.message
    assert all(isinstance(seconds, float) and seconds < 5 for seconds in saved), saved
    assert len(saved) == 2
    assert EducationActivity.objects.count() == 42


def test_the_lease_of_long_work_is_kept(
    office: Office, rung: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A check that takes longer than the lease: nobody takes the upload over, and the page shows how far it is."""
    monkeypatch.setattr(claims, "LEASE_SECONDS", 1.2)
    check, looks = pipeline.check_sheets, []

    def slow(upload: Upload, sheets: Any, by: Any, pulse: Any) -> Any:
        found = check(upload, sheets, by, pulse)
        for done in range(12):
            pulse.progress(done)
            time.sleep(0.25)
            looks.append(Upload.objects.values_list("step", "done").get())
            assert claims.claim() is None
        return found

    monkeypatch.setattr(pipeline, "check_sheets", slow)
    upload = office.previewed(workbook(("台账", ACTIVITIES, sheet_rows(ACTIVITIES, range(3)))))
    assert (upload.state, upload.fence) == (State.PREVIEWED, 1)
    assert {step for step, _done in looks[3:]} == {"checking"}
    assert looks[-1][1] > looks[4][1]


def test_a_lease_that_nobody_keeps_runs_out(
    office: Office, rung: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "LEASE_SECONDS", 0.3)
    office.bring(workbook(("台账", ACTIVITIES, sheet_rows(ACTIVITIES, range(3)))))
    first = claims.claim()
    assert first is not None
    assert claims.claim() is None
    time.sleep(0.4)
    second = claims.claim()
    assert second is not None
    assert second.fence == first.fence + 1
    assert second.lease_until is not None
    assert second.lease_until - dt.timedelta(seconds=1) < second.claimed_at  # type: ignore[operator]
