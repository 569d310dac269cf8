"""From the drop to the records and back: states, turns, fences, and what is said when something cannot be."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.core.files.base import ContentFile
from django.db import transaction
from django.http import Http404
from django.test import TestCase
from django.utils import timezone, translation

from programs import registry
from programs.access import Actor
from programs.actions import save_record
from programs.actions.bulk import Outdated
from programs.facts import timeline_of
from programs.models import AuditEvent, EducationActivity, Grant, Mark, User
from reporting import tasks
from reporting.models import SheetMapping, Upload, UploadChange, UploadRemark
from reporting.models.upload import State
from reporting.uploads import claims, files, jobs, pipeline, preview, reading, writing
from reporting.uploads.gate import Refused
from reporting.uploads.states import SENTENCES, Move, Superseded, WrongState, move
from tests.reporting.naive import assert_exact
from tests.reporting.uploads.conftest import (
    ACTIVITIES,
    Office,
    everything,
    row_values,
    sheet_rows,
    workbook,
)

pytestmark = pytest.mark.django_db
ROWS = sheet_rows(ACTIVITIES, range(30))
GRATITUDE = registry.kind("gratitude")


def ledger(*numbers: int, salt: str = "", **more: Any) -> bytes:
    return workbook(("台账", ACTIVITIES, sheet_rows(ACTIVITIES, numbers, **more)), salt=salt)


def lost_lease(upload: Upload) -> None:
    """As if the worker that holds the upload had died a while ago."""
    Upload.objects.filter(pk=upload.pk).update(lease_until=timezone.now() - dt.timedelta(seconds=1))


# --- the whole way --------------------------------------------------------------------------------


def test_a_sheet_goes_all_the_way_and_back(office: Office, rung: list[str]) -> None:
    before = everything()
    upload = office.previewed(workbook(("台账", ACTIVITIES, ROWS)))
    assert (upload.state, upload.message, upload.step) == (State.PREVIEWED, "", "")
    assert (upload.read, upload.new, upload.refused) == (30, 30, 0)
    assert not EducationActivity.objects.exists()
    upload = jobs.finish(jobs.confirm(by=office.by, upload=upload), seconds=5)
    assert (upload.state, upload.message, upload.written_new) == (State.APPLIED, "", 30)
    assert upload.confirmed_by == office.by.user
    assert EducationActivity.objects.filter(upload_id=upload.pk).count() == 30
    assert not Mark.objects.exists(), "the figures are fresh"
    assert_exact()
    upload = office.taken_back(upload)
    assert (upload.state, upload.deleted, upload.kept) == (State.UNDONE, 30, 0)
    assert upload.undone_by == office.by.user
    assert everything() == before
    assert (upload.lease_until, upload.attempts) == (None, 0)


def test_a_preview_changes_nothing_but_the_upload(office: Office, make_record: Any) -> None:
    stands = make_record("activities", office.unit, office.by.user, **row_values(ACTIVITIES, 3, place="旧址"))
    tasks.refresh()
    before = everything(), AuditEvent.objects.count(), Mark.objects.count()
    upload = office.previewed(ledger(*range(6), place="新址"))
    assert (upload.new, upload.changed) == (5, 1)
    after = (
        everything(),
        AuditEvent.objects.count() - 1,
        Mark.objects.count(),
    )  # the event says who brought it
    assert after == before
    sheet = upload.sheets.get()
    assert [row["row"] for row in sheet.sample["new"]] == [2, 3, 4, 6, 7]
    [changed] = sheet.sample["changed"]
    assert changed == {"row": 5, "record": stands.pk, "values": {"place": ["旧址", "新址"]}}


def test_each_step_is_asked_for_by_somebody_and_the_log_tells(office: Office, rung: list[str]) -> None:
    upload = office.taken_back(office.entered(ledger(1, 2)))
    events = AuditEvent.objects.filter(upload_id=upload.pk).order_by("pk")
    assert [(event.action, event.row_count) for event in events] == [
        ("upload.receive", None),
        ("upload.confirm", None),
        ("activities.bring", 2),
        ("upload.undo", None),
        ("activities.take_back", 2),
    ]
    assert {event.actor_id for event in events} == {office.by.user.pk}
    assert {event.unit_id for event in events} == {office.unit.pk}


def test_a_workbook_with_sheets_of_several_kinds(street_office: Office, tree: SimpleNamespace) -> None:
    book = workbook(
        ("三月", ACTIVITIES, sheet_rows(ACTIVITIES, range(4), tree.own)),
        ("四月", ACTIVITIES, sheet_rows(ACTIVITIES, range(4, 9), tree.sibling)),
        ("感恩", GRATITUDE, sheet_rows(GRATITUDE, range(3), tree.own)),
    )
    upload = street_office.entered(book, None)
    assert (upload.state, upload.read, upload.written_new) == (State.APPLIED, 12, 12), upload.message
    sheets = [(sheet.name, sheet.kind, sheet.new) for sheet in upload.sheets.all()]
    assert sheets == [("三月", "activities", 4), ("四月", "activities", 5), ("感恩", "gratitude", 3)]
    second = upload.sheets.get(position=1)
    rows = EducationActivity.objects.filter(pk__range=(second.first_pk, second.last_pk))
    assert {record.unit for record in rows} == {tree.sibling}
    assert street_office.taken_back(upload).deleted == 12


# --- the same again -------------------------------------------------------------------------------


def test_the_same_file_twice_is_one_upload(office: Office) -> None:
    content = ledger(1, 2)
    for state in ("waits", "previewed", "applied"):
        upload, is_new = jobs.receive(
            by=office.by, unit=office.unit, kind=ACTIVITIES, file=ContentFile(content), name="另一个名字.xlsx"
        )
        assert is_new is (state == "waits")
        jobs.finish(upload, seconds=5)
        if state == "previewed":
            jobs.finish(jobs.confirm(by=office.by, upload=upload), seconds=5)
    assert Upload.objects.count() == 1
    assert EducationActivity.objects.count() == 2
    assert AuditEvent.objects.filter(action="upload.receive").count() == 1


@pytest.mark.parametrize("came_to", ["cancelled", "undone", "rows refused"])
def test_a_file_that_came_to_nothing_may_come_again(came_to: str, office: Office) -> None:
    content = ledger(1, 2)
    if came_to == "rows refused":
        content = workbook(("台账", ACTIVITIES, [*ROWS[:2], {**ROWS[2], "occurred_on": "昨天吧"}]))
    upload = office.previewed(content)
    if came_to == "cancelled":
        jobs.cancel(by=office.by, upload=upload)
    else:
        upload = jobs.finish(jobs.confirm(by=office.by, upload=upload), seconds=5)
    if came_to == "undone":
        office.taken_back(upload)
    again = office.entered(content) if came_to != "rows refused" else office.previewed(content)
    assert again.pk != upload.pk
    assert EducationActivity.objects.count() == 2
    if came_to == "rows refused":
        assert (again.same, again.refused, again.new) == (2, 1, 0)


def test_another_file_of_the_same_rows_adds_nothing(office: Office) -> None:
    office.entered(ledger(1, 2))
    upload = office.previewed(ledger(1, 2, salt="x"))
    assert (upload.read, upload.same, upload.new) == (2, 2, 0)
    assert {remark.record for remark in UploadRemark.objects.filter(sort="same")} == set(
        EducationActivity.objects.values_list("pk", flat=True)
    )
    with pytest.raises(WrongState):
        jobs.confirm(by=office.by, upload=upload)


def test_the_same_file_for_another_unit_or_kind_is_another_upload(
    street_office: Office, tree: SimpleNamespace
) -> None:
    content = ledger(1, 2)
    found = [street_office.bring(content)]
    street_office.unit = tree.own
    found += [street_office.bring(content), street_office.bring(content, None)]
    assert len({upload.pk for upload in found}) == 3


def test_a_twin_that_was_faster_is_the_upload(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look and the insert somebody else's insert came: the database refuses the second."""
    content = ledger(1, 2)
    first = office.bring(content)
    look, looks = jobs._same_file, []

    def blind_at_first(*args: Any) -> Any:
        looks.append(args)
        return look(*args) if len(looks) > 1 else None

    monkeypatch.setattr(jobs, "_same_file", blind_at_first)
    stored: set[str] = set()
    storage = first.file.storage
    monkeypatch.setattr(storage, "delete", lambda name: stored.add(name))
    assert office.bring(content) == first
    assert len(looks) == 2
    assert len(stored) == 1
    assert first.file.name not in stored, "the twin's file went, not the first one's"


# --- confirming -----------------------------------------------------------------------------------


def test_confirming_twice_is_confirming_once(office: Office, rung: list[str]) -> None:
    upload = office.previewed(ledger(1, 2))
    for _ in range(2):
        jobs.confirm(by=office.by, upload=upload)
    jobs.finish(upload, seconds=5)
    assert jobs.confirm(by=office.by, upload=upload).state == State.APPLIED
    assert AuditEvent.objects.filter(action="upload.confirm").count() == 1
    assert EducationActivity.objects.count() == 2


def test_good_rows_or_none(office: Office) -> None:
    rows = [*ROWS[:3], {**ROWS[3], "participants": "许多"}]
    upload = office.previewed(workbook(("台账", ACTIVITIES, rows)))
    assert (upload.new, upload.refused) == (3, 1)
    with pytest.raises(WrongState) as refusal:
        jobs.confirm(by=office.by, upload=upload, all_or_none=True)
    assert "1" in str(refusal.value)
    upload.refresh_from_db()
    assert upload.state == State.PREVIEWED
    jobs.finish(jobs.confirm(by=office.by, upload=upload), seconds=5)
    assert EducationActivity.objects.count() == 3


def test_changes_only_if_they_were_chosen(office: Office) -> None:
    office.entered(ledger(1, 2, 3))
    upload = office.entered(ledger(2, 3, 4, place="新址"), with_changes=False)
    assert (upload.state, upload.written_new, upload.written_changed) == (State.APPLIED, 1, 0)
    assert EducationActivity.objects.filter(place="新址").count() == 1
    upload = office.entered(ledger(2, 3, 4, place="新址", salt="x"))
    assert (upload.state, upload.written_new, upload.written_changed) == (State.APPLIED, 0, 2)
    assert UploadChange.objects.count() == 2
    with pytest.raises(WrongState):
        jobs.confirm(
            by=office.by, upload=office.previewed(ledger(2, place="又新", salt="y")), with_changes=False
        )
    assert office.taken_back(upload).restored == 2
    assert set(EducationActivity.objects.filter(version=3).values_list("place", flat=True)) == {
        row_values(ACTIVITIES, 2)["place"]
    }
    assert not UploadChange.objects.exists()


# --- moves ----------------------------------------------------------------------------------------


ASKED: dict[str, tuple[Callable[[Office, Upload], Any], set[str], set[str]]] = {
    # what is asked: (how, states it moves, states in which it is there already)
    "confirm": (
        lambda office, upload: jobs.confirm(by=office.by, upload=upload),
        {State.PREVIEWED},
        set(),
    ),
    "cancel": (
        lambda office, upload: jobs.cancel(by=office.by, upload=upload),
        {State.RECEIVED, State.READING, State.PREVIEWED},
        {State.CANCELLED},
    ),
    "undo": (lambda office, upload: jobs.undo(by=office.by, upload=upload), {State.APPLIED}, {State.UNDOING}),
    "map": (
        lambda office, upload: jobs.map_columns(
            by=office.by, upload=upload, sheet=upload.sheets.first(), columns={"theme": "主题"}
        ),
        {State.PREVIEWED, State.REFUSED},
        set(),
    ),
}


@pytest.mark.parametrize("state", State.values)
@pytest.mark.parametrize("asked", ASKED)
def test_what_may_be_asked_for_in_which_state(asked: str, state: str, office: Office) -> None:
    how, moves, stays = ASKED[asked]
    upload = office.previewed(ledger(1))
    applied = {"applied_at": timezone.now()} if state in {State.APPLIED, State.UNDOING, State.UNDONE} else {}
    Upload.objects.filter(pk=upload.pk).update(state=state, **applied)
    upload.refresh_from_db()
    if state in moves | stays:
        assert how(office, upload).state == (state if state in stays else how_it_ends(asked))
    else:
        with pytest.raises(WrongState) as refusal, transaction.atomic():
            how(office, upload)
        assert str(refusal.value) == SENTENCES[state]
        assert Upload.objects.get().state == state


def how_it_ends(asked: str) -> str:
    return {
        "confirm": State.APPLYING,
        "cancel": State.CANCELLED,
        "undo": State.UNDOING,
        "map": State.RECEIVED,
    }[asked]


@pytest.mark.parametrize("how", Move)
@pytest.mark.parametrize("state", State.values)
def test_a_move_begins_where_the_table_says(how: Move, state: str, office: Office) -> None:
    upload = office.bring(ledger(1))
    Upload.objects.update(state=state, applied_at=timezone.now(), lease_until=None)
    if state in how.sources:
        move(upload, how)
        assert upload.state == how.target
    else:
        with pytest.raises(WrongState):
            move(upload, how)
        assert Upload.objects.get().state == state


def test_every_state_has_its_sentence_and_its_way_in() -> None:
    assert set(SENTENCES) == set(State)
    assert {how.target for how in Move} == set(State)


def test_nobody_may_ask_who_may_not_enter_records(office: Office, people: SimpleNamespace) -> None:
    upload = office.previewed(ledger(1))
    for user in (people.leader, people.auditor, people.outsider, people.unit_officer, people.counsellor):
        by = Actor.of(user)
        stranger = Office(user, office.unit)
        for how, _moves, _stays in ASKED.values():
            stranger.by = by
            with pytest.raises(PermissionDenied):
                how(stranger, upload)
        with pytest.raises(PermissionDenied):
            stranger.bring(ledger(2))
        with pytest.raises(Http404):
            jobs.get_upload_or_404(by, upload.public_id)
        assert not jobs.uploads_for(by).exists()
    for user in (people.community_officer, people.street_officer, people.office):
        assert jobs.get_upload_or_404(Actor.of(user), upload.public_id) == upload
    assert Upload.objects.get().state == State.PREVIEWED
    with pytest.raises(Http404):
        jobs.get_upload_or_404(office.by, uuid.uuid4())


def test_after_30_days_nothing_is_taken_back(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    upload = office.entered(ledger(1))
    assert upload.may_be_undone
    Upload.objects.update(applied_at=timezone.now() - dt.timedelta(days=30, minutes=1))
    with pytest.raises(WrongState):
        jobs.undo(by=office.by, upload=upload)
    assert not upload.may_be_undone
    Upload.objects.update(applied_at=timezone.now() - dt.timedelta(days=29, hours=23))
    assert office.taken_back(upload).state == State.UNDONE


# --- whose rights count ---------------------------------------------------------------------------


def revoke(user: User) -> None:
    Grant.objects.filter(user=user).update(revoked_at=timezone.now())


def close_account(user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False)


@pytest.mark.parametrize("lose", [revoke, close_account])
@pytest.mark.parametrize("when", ["before reading", "before entering", "before taking back"])
def test_rights_are_those_of_the_moment(
    when: str, lose: Callable[[User], None], office: Office, people: SimpleNamespace
) -> None:
    if when == "before reading":
        upload = office.bring(ledger(1))
    elif when == "before entering":
        upload = jobs.confirm(by=office.by, upload=office.previewed(ledger(1)))
    else:
        upload = jobs.undo(by=office.by, upload=office.entered(ledger(1)))
    lose(people.community_officer)
    upload = jobs.finish(upload, seconds=5)
    taken_back = when == "before taking back"
    assert upload.state == (State.APPLIED if taken_back else State.REFUSED)
    assert people.community_officer.name in upload.message
    assert EducationActivity.objects.count() == (1 if taken_back else 0)


def test_a_street_brings_for_its_communities_and_for_nobody_else(
    street_office: Office, tree: SimpleNamespace
) -> None:
    units = [tree.street, tree.own, tree.sibling, tree.cousin, tree.elsewhere_community]
    rows = [row for number, unit in enumerate(units) for row in sheet_rows(ACTIVITIES, [number], unit)]
    upload = street_office.entered(workbook(("台账", ACTIVITIES, rows)))
    assert (upload.state, upload.written_new, upload.refused) == (State.APPLIED, 3, 2)
    assert {record.unit for record in EducationActivity.objects.all()} == set(units[:3])


# --- turns, leases, fences ------------------------------------------------------------------------


@pytest.fixture
def several(tree: SimpleNamespace, make_user: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, Office]:
    """Four units with uploads; on SQLite, where one runs at a time, as if it were otherwise."""
    monkeypatch.setattr(claims, "connection", SimpleNamespace(vendor="postgresql", in_atomic_block=True))
    units = {"a": tree.own, "b": tree.sibling, "c": tree.cousin, "d": tree.school}
    return {
        name: Office(make_user(f"desk_{name}", "unit_officer", unit), unit) for name, unit in units.items()
    }


def claimed(number: int) -> list[str]:
    found = []
    for _ in range(number):
        upload = claims.claim()
        if upload is None:
            break
        found.append(upload.name)
    return found


def test_of_a_unit_one_runs_and_who_waited_longest_goes_first(several: dict[str, Office]) -> None:
    for name in ("a1", "a2", "a3", "b1", "c1"):
        several[name[0]].bring(ledger(1, salt=name), name=f"{name}.xlsx")
    assert claimed(9) == ["a1.xlsx", "b1.xlsx", "c1.xlsx"]
    assert claims.claim() is None


def test_a_unit_with_many_uploads_keeps_nobody_waiting(several: dict[str, Office]) -> None:
    """One worker: after each turn of a unit come those that have waited since before it."""
    for name in ("a1", "a2", "a3", "b1", "b2", "c1"):
        several[name[0]].bring(ledger(1, salt=name), name=f"{name}.xlsx")
    order = []
    while upload := claims.claim():
        order.append(upload.name.removesuffix(".xlsx"))
        jobs.process(upload)
    assert order == ["a1", "b1", "c1", "a2", "b2", "a3"]


def test_two_workers_take_no_two_uploads_of_a_unit(several: dict[str, Office]) -> None:
    """Both looked before either took: the database refuses the second."""
    first, second = (several["a"].bring(ledger(1, salt=salt)) for salt in "xy")
    assert claims._take(first.pk, 0, State.RECEIVED)
    assert not claims._take(second.pk, 0, State.RECEIVED)
    assert not claims._take(first.pk, 0, State.RECEIVED), "nor one of them twice"


def test_what_a_dead_worker_left_is_taken_over(office: Office) -> None:
    upload = jobs.confirm(by=office.by, upload=office.previewed(ledger(1)))
    dead = claims.claim()
    assert dead is not None
    assert claims.claim() is None
    lost_lease(upload)
    alive = claims.claim()
    assert alive is not None
    assert (alive.pk, alive.fence, alive.attempts) == (dead.pk, dead.fence + 1, 2)


@pytest.mark.parametrize("who_is_first", ["the slow one", "the new one"])
@pytest.mark.parametrize("work", ["reading", "entering", "taking back"])
def test_a_slow_twin_cannot_commit(work: str, who_is_first: str, office: Office) -> None:
    """A worker stood still until its lease had run out and another had begun: only the other's work counts."""
    upload = office.bring(ledger(1, 2, 3))
    if work != "reading":
        upload = jobs.confirm(by=office.by, upload=jobs.finish(upload, seconds=5))
    if work == "taking back":
        upload = jobs.undo(by=office.by, upload=jobs.finish(upload, seconds=5))
    slow = claims.claim()
    lost_lease(upload)
    new = claims.claim()
    assert slow is not None
    assert new is not None
    for worker in (slow, new) if who_is_first == "the slow one" else (new, slow):
        before = everything()
        assert jobs.process(worker)
        if worker is slow:
            assert everything() == before
    upload.refresh_from_db()
    done = {"reading": State.PREVIEWED, "entering": State.APPLIED, "taking back": State.UNDONE}[work]
    assert (upload.state, upload.fence) == (done, new.fence)
    assert EducationActivity.objects.count() == (3 if work == "entering" else 0)
    assert upload.sheets.count() == 1


def test_rows_of_an_upload_cannot_come_twice(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the test above would see: with a move that does not look at the fence, the slow worker's rows come too,
    unless the keys of submission stop them."""
    upload = jobs.confirm(by=office.by, upload=office.previewed(ledger(1, 2, 3)))
    slow = claims.claim()
    lost_lease(upload)
    new = claims.claim()
    assert slow is not None
    assert new is not None
    monkeypatch.setattr(writing.checking, "clashes", lambda **_kwargs: False)
    monkeypatch.setattr(pipeline, "check_sheets", lambda *_args, found=pipeline.check_sheets: found(*_args))
    examined = pipeline.check_sheets(
        slow, pipeline.read_sheets(slow, claims.Pulse(slow)), office.by, claims.Pulse(slow)
    )
    assert jobs.process(new)
    monkeypatch.setattr(pipeline, "check_sheets", lambda *_args: examined)
    assert not jobs.process(slow), "the database refuses the rows"
    assert EducationActivity.objects.count() == 3


def test_cancelling_stops_a_reader(office: Office) -> None:
    upload = office.bring(ledger(1))
    reader = claims.claim()
    assert reader is not None
    jobs.cancel(by=office.by, upload=upload)
    assert jobs.process(reader)
    assert (Upload.objects.get().state, upload.sheets.count()) == (State.CANCELLED, 0)


def test_the_pulse_keeps_the_lease_tells_the_progress_and_notices_its_loss(office: Office) -> None:
    office.bring(ledger(1))
    upload = claims.claim()
    assert upload is not None
    Upload.objects.update(lease_until=timezone.now() + dt.timedelta(seconds=1))
    pulse = claims.Pulse(upload)
    pulse.at(Upload.Step.CHECKING, 100)
    pulse.within(30)(12)
    pulse.beat()
    now = Upload.objects.get()
    assert (now.step, now.done, now.total) == ("checking", 42, 100)
    assert now.lease_until is not None
    assert now.lease_until > timezone.now() + dt.timedelta(seconds=claims.LEASE_SECONDS / 2)
    Upload.objects.update(fence=99)
    pulse.beat()
    with pytest.raises(Superseded):
        pulse.progress(13)


def test_work_that_breaks_off_is_tried_again_and_then_given_up(
    office: Office, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("CRITICAL", logger="reporting")
    tried = []

    def break_off(*_args: Any) -> None:
        tried.append(1)
        raise RuntimeError("the disk is on fire")

    upload = jobs.confirm(by=office.by, upload=office.previewed(ledger(1)))
    monkeypatch.setattr(pipeline, "read_sheets", break_off)
    for _ in range(claims.MOST_ATTEMPTS):
        assert jobs.work() == 1
        assert jobs.work() == 0, "nobody tries again before the lease has run out"
        upload.refresh_from_db()
        assert upload.state == State.APPLYING
        lost_lease(upload)
    jobs.work()
    upload.refresh_from_db()
    assert (upload.state, len(tried)) == (State.FAILED, claims.MOST_ATTEMPTS)
    assert upload.message
    assert "fire" not in upload.message


def test_taking_back_that_breaks_off_leaves_the_upload_entered(
    office: Office, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("CRITICAL", logger="reporting")
    upload = jobs.undo(by=office.by, upload=office.entered(ledger(1)))
    with monkeypatch.context() as patched:
        patched.setattr(writing, "take_back_records", lambda **_kwargs: 1 / 0)
        for _ in range(claims.MOST_ATTEMPTS):
            jobs.work()
            lost_lease(upload)
        jobs.work()
    upload.refresh_from_db()
    assert (upload.state, bool(upload.message)) == (State.APPLIED, True)
    assert office.taken_back(upload).deleted == 1


# --- ringing and sweeping -------------------------------------------------------------------------


def test_whoever_asks_rings_once_it_is_committed(
    office: Office, rung: list[str], django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        upload = office.bring(ledger(1))
        assert rung == []
    assert rung == ["work"]
    jobs.work()
    with django_capture_on_commit_callbacks(execute=True):
        jobs.confirm(by=office.by, upload=upload)
    assert rung == ["work"] * 2


def test_the_sweep_rings_for_what_waits_or_was_left(
    office: Office, rung: list[str], several: dict[str, Office]
) -> None:
    jobs.sweep()
    assert rung == []
    several["a"].bring(ledger(1))
    several["b"].bring(ledger(1))
    several["b"].bring(ledger(2))
    tasks.sweep_uploads()
    assert rung == ["work"] * 2, "one for each unit"
    rung.clear()
    left = claims.claim()
    claims.claim()
    assert left is not None
    jobs.sweep()
    assert rung == []
    lost_lease(left)
    jobs.sweep()
    assert rung == ["work"]
    tasks.work_on_uploads()
    assert Upload.objects.get(pk=left.pk).state == State.PREVIEWED


def test_a_broken_queue_fails_no_upload(
    office: Office, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any, caplog: Any
) -> None:
    caplog.set_level("CRITICAL", logger="reporting")

    def fail(**_options: Any) -> None:
        raise OSError("Connection refused")

    monkeypatch.setattr(tasks, "_silent_until", 0.0)
    monkeypatch.setattr(tasks.work_on_uploads, "apply_async", fail)
    with django_capture_on_commit_callbacks(execute=True):
        upload = office.bring(ledger(1))
    assert upload.state == State.RECEIVED


def test_a_preview_that_nobody_confirms_expires(office: Office) -> None:
    upload, younger = (office.previewed(ledger(number)) for number in (1, 2))
    days = dt.timedelta(days=jobs.EXPIRE_DAYS)
    Upload.objects.filter(pk=upload.pk).update(previewed_at=timezone.now() - days - dt.timedelta(hours=1))
    Upload.objects.filter(pk=younger.pk).update(previewed_at=timezone.now() - days + dt.timedelta(hours=1))
    jobs.sweep()
    assert [Upload.objects.get(pk=one.pk).state for one in (upload, younger)] == [
        State.EXPIRED,
        State.PREVIEWED,
    ]
    with pytest.raises(WrongState):
        jobs.confirm(by=office.by, upload=upload)


def test_a_unit_does_not_pile_up(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "MOST_WAITING", 2)
    for number in range(2):
        office.bring(ledger(number))
    with pytest.raises(Refused) as refusal:
        office.bring(ledger(5))
    assert "2" in str(refusal.value)
    jobs.work()
    assert office.bring(ledger(5)).state == State.RECEIVED


# --- what changes meanwhile -----------------------------------------------------------------------


@pytest.mark.parametrize("meanwhile", ["same record", "other record", "edited", "unit closed"])
def test_what_is_no_longer_as_it_was_shown_is_shown_again(
    meanwhile: str, office: Office, make_record: Any
) -> None:
    stood = make_record("activities", office.unit, office.by.user, **row_values(ACTIVITIES, 1, place="旧址"))
    upload = office.previewed(ledger(1, 2, place="新址"))
    assert (upload.new, upload.changed) == (1, 1)
    match meanwhile:
        case "same record":
            save_record(
                by=office.by,
                kind=ACTIVITIES,
                values=row_values(ACTIVITIES, 2, unit=office.unit, place="新址"),
            )
        case "other record":
            save_record(
                by=office.by,
                kind=ACTIVITIES,
                values=row_values(ACTIVITIES, 2, unit=office.unit, place="别处"),
            )
        case "edited":
            save_record(by=office.by, kind=ACTIVITIES, record=stood, values={"place": "第三处"})
        case "unit closed":
            office.unit.closed_on = dt.date(2025, 1, 1)
            office.unit.save()
    tasks.refresh()
    before = everything()
    upload = jobs.finish(jobs.confirm(by=office.by, upload=upload), seconds=5)
    if meanwhile == "same record":  # what somebody agreed to is still what happens
        assert (upload.state, upload.written_new, upload.same) == (State.APPLIED, 0, 1)
        return
    assert (upload.state, bool(upload.message), everything()) == (State.PREVIEWED, True, before)
    if meanwhile != "unit closed":
        upload = jobs.finish(jobs.confirm(by=office.by, upload=upload), seconds=5)
        assert (upload.state, upload.message) == (State.APPLIED, "")
        assert set(EducationActivity.objects.values_list("place", flat=True)) == {"新址"}


def test_what_changes_between_check_and_write_is_checked_again(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = jobs.confirm(by=office.by, upload=office.previewed(ledger(1, 2)))
    enter, times = writing._enter, []

    def somebody_is_faster(*args: Any) -> None:
        if not times:
            values = row_values(ACTIVITIES, 2, unit=office.unit)
            save_record(by=office.by, kind=ACTIVITIES, values=values)
        times.append(1)
        enter(*args)

    monkeypatch.setattr(writing, "_enter", somebody_is_faster)
    upload = jobs.finish(upload, seconds=5)
    assert (len(times), upload.state, upload.written_new, upload.same) == (2, State.APPLIED, 1, 1)
    assert EducationActivity.objects.count() == 2


def test_records_that_never_rest_are_shown_again(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    upload = jobs.confirm(by=office.by, upload=office.previewed(ledger(1, 2)))

    def never(*_args: Any) -> None:
        raise Outdated

    monkeypatch.setattr(writing, "_enter", never)
    upload = jobs.finish(upload, seconds=5)
    assert (upload.state, bool(upload.message)) == (State.PREVIEWED, True)


# --- what is kept ---------------------------------------------------------------------------------


def test_what_is_wrong_is_kept_with_its_place_up_to_a_number(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preview, "MOST_REFUSED", 3)
    rows = [{**row, "participants": "许多"} for row in sheet_rows(ACTIVITIES, range(5))]
    upload = office.previewed(workbook(("台账", ACTIVITIES, rows)))
    assert (upload.refused, upload.read) == (5, 5)
    found = UploadRemark.objects.filter(sort="refused")
    at = list(rows[0]).index("participants")
    assert [(remark.row, remark.column, remark.field, remark.value) for remark in found] == [
        (row, at, "participants", "许多") for row in (2, 3, 4)
    ]
    assert all(remark.message for remark in found)
    assert upload.marked.name
    assert upload.marked.storage.exists(upload.marked.name)


def test_messages_are_in_the_language_of_whoever_asked(office: Office) -> None:
    rows = workbook(("台账", ACTIVITIES, [{**ROWS[0], "occurred_on": dt.date(2099, 1, 1)}]))
    said = set()
    for language in ("zh-hans", "en"):
        upload = office.previewed(rows, language=language)
        said.add(UploadRemark.objects.get(sheet__upload=upload).message)
        jobs.cancel(by=office.by, upload=upload)
    assert len(said) == 2


def test_nothing_secret_is_kept_beside_the_records(office: Office, people: SimpleNamespace) -> None:
    """Values of C3 and C4 stand in the record and the original alone."""
    cases = registry.kind("cases")
    secrets = {"id_number": "110101199003077758", "illness": "抑郁症"}
    rows = [{**row, **secrets} for row in sheet_rows(cases, range(2))]
    rows[1]["id_number"] = "110101199003077758" * 2
    upload = office.previewed(workbook(("台账", cases, rows)), cases)
    assert (upload.new, upload.refused) == (1, 1)
    kept = repr(list(UploadRemark.objects.values())) + repr(list(upload.sheets.values()))
    for secret in secrets.values():
        assert secret not in kept


def test_files_go_after_90_days_and_rows_stay(office: Office) -> None:
    rows = [*sheet_rows(ACTIVITIES, [1]), {**ROWS[2], "participants": "许多"}]
    old, young = (
        office.entered(workbook(("台账", ACTIVITIES, rows), salt=salt))
        if salt == "x"
        else office.previewed(workbook(("台账", ACTIVITIES, rows), salt=salt))
        for salt in "xy"
    )
    names = [name for upload in (old, young) for name in (upload.file.name, upload.marked.name)]
    assert all(names)
    storage = old.file.storage
    Upload.objects.filter(pk=old.pk).update(created_at=timezone.now() - dt.timedelta(days=91))
    Upload.objects.filter(pk=young.pk).update(created_at=timezone.now() - dt.timedelta(days=89))
    tasks.forget_uploads()
    assert [storage.exists(name) for name in names] == [False, False, True, True]
    old.refresh_from_db()
    assert (old.file.name, old.marked.name, old.state, old.refused) == ("", "", State.APPLIED, 1)
    assert old.sheets.get().remarks.count() == 1
    assert files.forget() == 0
    with pytest.raises(WrongState):
        jobs.map_columns(by=office.by, upload=old, sheet=old.sheets.get(), columns={})


def test_what_took_changes_back_goes_when_nobody_can_any_more(office: Office) -> None:
    office.entered(ledger(1))
    upload = office.entered(ledger(1, place="新址"))
    files.forget()
    assert UploadChange.objects.count() == 1
    Upload.objects.filter(pk=upload.pk).update(applied_at=timezone.now() - dt.timedelta(days=32))
    files.forget()
    assert not UploadChange.objects.exists()


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"", "empty"), (b"x" * (20 * 1024 * 1024 + 1), "too_big")],
    ids=["empty", "too big"],
)
def test_some_files_are_refused_at_once(content: bytes, code: str, office: Office) -> None:
    with pytest.raises(Refused) as refusal:
        office.bring(content)
    assert refusal.value.code == code
    assert not Upload.objects.exists()


def test_a_file_without_a_known_header_is_refused_and_can_be_mapped(office: Office) -> None:
    """Which header is which field is said once, and remembered for the unit."""
    book = workbook(("台账", ACTIVITIES, ROWS[:2]))
    theme, strange = str(ACTIVITIES.field("theme").verbose_name), "Motto"
    with translation.override("zh-hans"):
        theme = str(ACTIVITIES.field("theme").verbose_name)
        book = workbook(("台账", ACTIVITIES, ROWS[:2]))
    book = renamed(book, theme, strange)
    upload = office.previewed(book)
    assert upload.state == State.REFUSED
    assert upload.message
    sheet = upload.sheets.get()
    assert strange in sheet.headers
    assert sheet.missing == [theme]
    columns = {**sheet.columns, "theme": strange}
    upload = jobs.map_columns(by=office.by, upload=upload, sheet=sheet, columns=columns, name="旧台账")
    upload = jobs.finish(upload, seconds=5)
    assert (upload.state, upload.new) == (State.PREVIEWED, 2), upload.message
    assert {mapping.name for mapping in SheetMapping.objects.all()} == {"", "旧台账"}
    again = office.previewed(renamed(ledger(5), theme, strange))
    assert (again.state, again.new) == (State.PREVIEWED, 1)
    assert [mapping.name for mapping in jobs.mappings_for(office.by, ACTIVITIES)] == ["旧台账"]


def renamed(book: bytes, header: str, other: str) -> bytes:
    import io
    import zipfile

    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(book)) as old, zipfile.ZipFile(target, "w") as new:
        for entry in old.infolist():
            new.writestr(
                entry.filename, old.read(entry).replace(f">{header}<".encode(), f">{other}<".encode())
            )
    return target.getvalue()


# --- records tell where they came from ------------------------------------------------------------


def test_a_record_tells_its_upload_and_row(office: Office, people: SimpleNamespace, make_record: Any) -> None:
    stood = make_record("activities", office.unit, office.by.user, **row_values(ACTIVITIES, 1))
    upload = office.entered(ledger(1, 2, place="新址"))
    made = EducationActivity.objects.for_detail().get(upload_id=upload.pk)
    with translation.override("en"):
        [event] = timeline_of(made, office.by)
        assert event.what == "Entered from a spreadsheet (row 3 of 三月台账.xlsx)"
        assert (event.at, event.who) == (made.created_at, "community_officer姓名 (community_officer)")
        # Who may not enter records for the unit learns no file's name.
        [event] = timeline_of(made, Actor.of(people.leader))
        assert event.what == "Entered from a spreadsheet (row 3)"
        stood = EducationActivity.objects.for_detail().get(pk=stood.pk)
        events = timeline_of(stood, office.by)
        assert [str(event.what) for event in events] == [
            "Changed from a spreadsheet (三月台账.xlsx)",
            "Entered",
        ]
        office.taken_back(upload)
        assert (
            str(timeline_of(stood, office.by)[0].what) == "Brought back to what it was before the spreadsheet"
        )


# --- the marked workbook --------------------------------------------------------------------------


def test_the_marked_workbook_comes_after_the_preview_and_is_made_up_for(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = workbook(("台账", ACTIVITIES, [{**ROWS[0], "participants": "许多"}, ROWS[1]]))
    made = preview.mark
    states = []

    def die(upload: Upload, examined: Any) -> None:
        states.append(Upload.objects.get(pk=upload.pk).state)

    monkeypatch.setattr(preview, "mark", die)
    upload = office.previewed(rows)
    assert states == [State.PREVIEWED]
    assert not upload.marked
    monkeypatch.setattr(preview, "mark", made)
    jobs.sweep()
    assert not Upload.objects.get().marked, "somebody may be at it"
    Upload.objects.update(previewed_at=timezone.now() - jobs.MARKED_AFTER - dt.timedelta(minutes=1))
    jobs.sweep()
    upload.refresh_from_db()
    assert upload.marked.storage.exists(upload.marked.name)


def test_a_marked_workbook_that_comes_too_late_is_dropped(office: Office) -> None:
    rows = workbook(("台账", ACTIVITIES, [{**ROWS[0], "participants": "许多"}, ROWS[1]]))
    upload = office.previewed(rows)
    kept = upload.marked.name
    folder = Path(upload.marked.storage.path(kept)).parent
    before = set(folder.iterdir())
    preview.mark_anew(upload)
    assert (Upload.objects.get().marked.name, set(folder.iterdir())) == (kept, before)


# --- what was read is kept until it is entered ----------------------------------------------------


def beside(upload: Upload) -> list[Path]:
    path = Path(upload.file.path)
    return [file for file in path.parent.iterdir() if file.name.startswith(f"{path.name}.")]


def no_child(*_arguments: Any) -> Any:
    raise AssertionError("the file was read again")


def test_a_file_is_read_once(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    upload = office.previewed(ledger(*range(30)))
    assert len(beside(upload)) == 1
    monkeypatch.setattr(reading, "_Child", no_child)
    upload = jobs.finish(jobs.confirm(by=office.by, upload=upload), seconds=5)
    assert (upload.state, upload.written_new) == (State.APPLIED, 30)
    assert not beside(upload), "nothing is kept that nobody needs"


@pytest.mark.parametrize("harm", ["gone", "cut", "not ours"])
def test_what_was_kept_badly_is_read_from_the_file(office: Office, harm: str) -> None:
    upload = office.previewed(ledger(*range(30)))
    [kept] = beside(upload)
    if harm == "gone":
        kept.unlink()
    else:
        whole = kept.read_bytes()
        kept.write_bytes(whole[: len(whole) // 2] if harm == "cut" else b"[[1.0")
    upload = jobs.finish(jobs.confirm(by=office.by, upload=upload), seconds=5)
    assert (upload.state, upload.written_new) == (State.APPLIED, 30)
    assert_exact()


def test_without_room_nothing_is_kept_and_all_is_read(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        closed = 0

        def writelines(self, _lines: Any) -> None:
            raise OSError(28, "No space left on device")

        def close(self) -> None:
            Full.closed += 1

    real = Path.open
    monkeypatch.setattr(
        Path, "open", lambda path, mode="r", **more: Full() if mode == "wb" else real(path, mode, **more)
    )
    upload = office.previewed(ledger(*range(30)))
    assert (upload.state, upload.new, Full.closed) == (State.PREVIEWED, 30, 1)


def test_what_was_kept_goes_with_the_upload(office: Office) -> None:
    upload = office.previewed(ledger(1))
    path = Path(upload.file.path)
    path.with_name(f"{path.name}.left-by-a-dead-worker").touch()
    with TestCase.captureOnCommitCallbacks(execute=True):
        jobs.cancel(by=office.by, upload=upload)
    assert not beside(upload)
    expired = office.previewed(ledger(2))
    Upload.objects.filter(pk=expired.pk).update(previewed_at=timezone.now() - dt.timedelta(days=15))
    jobs.sweep()
    assert not beside(expired)
    refused = office.previewed(ledger(3, unit="没有这个单位"))
    Upload.objects.filter(pk=refused.pk).update(
        created_at=timezone.now() - dt.timedelta(days=91), state=State.REFUSED
    )
    kept = beside(refused)
    assert kept and files.forget() == 1
    assert not any(file.exists() for file in kept)
