"""Bulk writing is equal to writing one by one: the same rows, joint units, marks, figures, log and bell."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from programs import bell, registry
from programs.access import Actor
from programs.actions import remove_record, save_record, save_records, take_back_records
from programs.actions.bulk import ChangedRow, NewRow, Outdated, Reason, Written
from programs.models import Attachment, AuditEvent, EducationActivity, Mark, Unit
from programs.registry import RecordKind
from programs.roles import ROLES, Permission
from reporting.statistics import refresh
from tests.factories import FIXED
from tests.reporting.naive import assert_exact
from tests.reporting.uploads.conftest import cells, marks, row_values, rows_of

pytestmark = pytest.mark.django_db
every_kind = pytest.mark.parametrize("kind", registry.kinds(), ids=str)
ACTIVITIES = registry.kind("activities")
# What one way of writing gives a row and the other another.
OWN = {"id", "created_at", "updated_at", "submission_key", "upload_id", "upload_row"}
TEXTS = ["a\tb", "第一行\n第二行\r\n", "\\N", "\\.", "\\", "'\"; DROP", "%s {}", "😀𠮷", " x ", "a,b"]


@pytest.fixture
def street(people: SimpleNamespace) -> Actor:
    return Actor.of(people.street_officer)


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> None:
    """A street officer writes single records for the street alone; for comparing, for its communities too."""
    role = ROLES["street_officer"]
    permissions = {**role.permissions, Permission.RECORD_WRITE: role.permissions[Permission.RECORD_BRING]}
    monkeypatch.setattr(role, "permissions", permissions)


def values_for(kind: RecordKind, units: list[Unit]) -> list[dict[str, Any]]:
    """A dozen different rows, with all that a text may hold in every field of text."""
    rows = []
    for number in range(12):
        values = row_values(kind, number, unit=units[number % len(units)])
        for column in kind.model._meta.concrete_fields:
            if (
                column.get_internal_type() in {"CharField", "TextField"}
                and not column.choices
                and column.editable
                and column.name not in FIXED.get(kind.code, ())
            ):
                values[column.name] = TEXTS[number % len(TEXTS)][: column.max_length]
        values[kind.title] = f"{number:02} {values[kind.title]}"[:20]
        rows.append(values)
    return rows


def compared(kind: RecordKind, *without: str) -> list[Any]:
    refreshed_marks = marks()
    refresh()
    assert_exact()
    return [sorted(rows_of(kind.model, *OWN, *without), key=repr), refreshed_marks, cells()]


def taken_back(work: Callable[[], Any]) -> Any:
    """What `work` returns; what it wrote is gone again."""
    undo: Any = transaction.atomic()
    undo._from_testcase = True
    with undo:
        found = work()
        transaction.set_rollback(True)
    return found


@every_kind
def test_new_rows_are_those_of_single_forms(
    kind: RecordKind, street: Actor, free: None, tree: SimpleNamespace
) -> None:
    rows = values_for(kind, [tree.own, tree.sibling, tree.street])
    joint = [[], [tree.police], [tree.police, tree.cousin]]

    def singly() -> list[Any]:
        for number, values in enumerate(rows):
            save_record(by=street, kind=kind, values=values, joint_units=joint[number % 3])
        return compared(kind)

    def at_once() -> list[Any]:
        new = [
            NewRow(number + 2, values, tuple(unit.pk for unit in joint[number % 3]))
            for number, values in enumerate(rows)
        ]
        written = save_records(by=street, kind=kind, new=new, upload_id=7)
        found = kind.model.objects.order_by("pk").values_list("pk", "upload_id", "upload_row", kind.title)
        assert [(row, title) for _pk, _upload, row, title in found] == [
            (row.row, row.values[kind.title]) for row in new
        ]
        assert {upload for _pk, upload, _row, _title in found} == {7}
        assert (written.first_pk, written.last_pk) == (found[0][0], found[11][0])
        return compared(kind)

    one, other = taken_back(singly), taken_back(at_once)
    assert one == other
    assert one[1]


def test_the_log_tells_of_each_unit_how_many(street: Actor, tree: SimpleNamespace) -> None:
    new = [
        NewRow(row, row_values(ACTIVITIES, row, unit=unit))
        for row, unit in enumerate([tree.own] * 3 + [tree.sibling])
    ]
    by = Actor.of(street.user, ip="10.1.2.3", request_id="a-request")
    save_records(by=by, kind=ACTIVITIES, new=new, upload_id=7)
    events = AuditEvent.objects.filter(action="activities.bring").order_by("unit_id")
    assert {(e.ip, e.request_id, e.role, e.outcome) for e in events} == {
        ("10.1.2.3", "a-request", "street_officer", "done")
    }
    assert [(e.unit_id, e.row_count, e.upload_id, e.actor_id, e.unit_path) for e in events] == [
        (tree.own.pk, 3, 7, street.user.pk, tree.own.path),
        (tree.sibling.pk, 1, 7, street.user.pk, tree.sibling.path),
    ]


def test_foreign_keys_may_be_numbers_and_missing_fields_get_their_default(
    street: Actor, tree: SimpleNamespace
) -> None:
    values = row_values(ACTIVITIES, 1, unit=tree.own.pk)
    del values["summary"]
    save_records(by=street, kind=ACTIVITIES, new=[NewRow(2, values)], upload_id=7)
    record = EducationActivity.objects.get()
    assert (record.unit, record.summary, record.version, record.removed_at) == (tree.own, "", 1, None)


@every_kind
def test_changes_are_those_of_single_forms(
    kind: RecordKind, street: Actor, free: None, tree: SimpleNamespace
) -> None:
    made = [
        save_record(by=street, kind=kind, values=values, joint_units=[tree.police])
        for values in values_for(kind, [tree.own, tree.sibling])
    ]
    joint = [None, [], [tree.cousin], [tree.police, tree.cousin]]
    differ = [
        {kind.title: f"改{number}", "occurred_on": row_values(kind, number + 1)["occurred_on"]}
        if number % 2
        else {kind.title: f"改{number}"}
        for number in range(len(made))
    ]
    Mark.objects.all().delete()

    def events() -> list[Any]:
        found = AuditEvent.objects.filter(action=f"{kind.code}.change").order_by("object_pk")
        return [(e.object_pk, e.object_label, e.unit_id, e.changes, e.actor_id, e.role) for e in found]

    def singly() -> list[Any]:
        for number, record in enumerate(made):
            save_record(
                by=street, kind=kind, record=record, values=differ[number], joint_units=joint[number % 4]
            )
        return [*compared(kind), events()]

    def at_once() -> list[Any]:
        changed = [
            ChangedRow(
                number + 2,
                record.pk,
                record.version,
                differ[number],
                None if joint[number % 4] is None else tuple(unit.pk for unit in joint[number % 4] or []),
            )
            for number, record in enumerate(made)
        ]
        save_records(by=street, kind=kind, new=[], changed=changed, upload_id=7)
        return [*compared(kind), events()]

    one, other = taken_back(singly), taken_back(at_once)
    assert one == other
    assert len(one[-1]) == 12


def test_a_transaction_rings_the_bell_once(
    street: Actor,
    tree: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: Any,
) -> None:
    rung: list[int] = []
    monkeypatch.setattr(bell, "_listeners", [lambda: rung.append(1)])
    new = [NewRow(row, row_values(ACTIVITIES, row, unit=tree.own)) for row in range(30)]
    with django_capture_on_commit_callbacks(execute=True):
        written = save_records(by=street, kind=ACTIVITIES, new=new, upload_id=7)
    assert rung == [1]
    connection.run_on_commit.clear()  # here the test's own transaction goes on
    with django_capture_on_commit_callbacks(execute=True):
        take_back(street, written)
    assert rung == [1, 1]


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["district", "cousin", "police", "elsewhere_community"])
def test_nothing_is_brought_for_a_unit_out_of_reach(place: str, street: Actor, tree: SimpleNamespace) -> None:
    rows = [tree.own, getattr(tree, place)]
    with pytest.raises(PermissionDenied):
        save_records(
            by=street,
            kind=ACTIVITIES,
            new=[NewRow(row, row_values(ACTIVITIES, row, unit=unit)) for row, unit in enumerate(rows)],
            upload_id=7,
        )
    assert not EducationActivity.objects.exists()


@pytest.mark.parametrize("way", ["change", "give away"])
def test_nothing_out_of_reach_is_changed(
    way: str, people: SimpleNamespace, tree: SimpleNamespace, make_record: Any
) -> None:
    record = make_record("activities", tree.own, people.community_officer)
    by = Actor.of(people.unit_officer if way == "change" else people.community_officer)
    values = {"theme": "改"} if way == "change" else {"unit": tree.sibling}
    with pytest.raises(PermissionDenied):
        save_records(
            by=by, kind=ACTIVITIES, new=[], changed=[ChangedRow(2, record.pk, 1, values)], upload_id=7
        )
    record.refresh_from_db()
    assert (record.version, record.unit) == (1, tree.own)


@pytest.mark.parametrize("meanwhile", ["edited", "removed", "gone"])
def test_a_record_that_is_no_longer_as_it_was_is_not_changed(
    meanwhile: str, people: SimpleNamespace, tree: SimpleNamespace, make_record: Any
) -> None:
    by = Actor.of(people.community_officer)
    one, other = (make_record("activities", tree.own, by.user) for _ in range(2))
    match meanwhile:
        case "edited":
            save_record(by=by, kind=ACTIVITIES, record=other, values={"theme": "先改"})
        case "removed":
            remove_record(by=by, kind=ACTIVITIES, record=other)
        case "gone":
            other.delete()
    changed = [ChangedRow(2, one.pk, 1, {"theme": "改"}), ChangedRow(3, other.pk or 0, 1, {"theme": "改"})]
    with pytest.raises(Outdated):
        save_records(by=by, kind=ACTIVITIES, new=[], changed=changed, upload_id=7)
    one.refresh_from_db()
    assert one.version == 1


def test_the_database_refuses_a_row_of_an_upload_twice(street: Actor, tree: SimpleNamespace) -> None:
    """Whatever else may fail: the same part of the same upload cannot be in the table twice."""
    new = [NewRow(2, row_values(ACTIVITIES, 1, unit=tree.own))]
    save_records(by=street, kind=ACTIVITIES, new=new, upload_id=7)
    with pytest.raises(IntegrityError), transaction.atomic():
        save_records(by=street, kind=ACTIVITIES, new=new, upload_id=7)
    save_records(by=street, kind=ACTIVITIES, new=new, upload_id=7, part=1)
    save_records(by=street, kind=ACTIVITIES, new=new, upload_id=8)
    assert EducationActivity.objects.count() == 3


def test_statements_do_not_grow_with_rows(street: Actor, tree: SimpleNamespace) -> None:
    counts = []
    for upload_id, number in enumerate((20, 200)):
        new = [
            NewRow(row, row_values(ACTIVITIES, row, unit=tree.own), (tree.police.pk,))
            for row in range(number)
        ]
        with CaptureQueriesContext(
            connection,
        ) as queries:
            written = save_records(by=street, kind=ACTIVITIES, new=new, upload_id=upload_id)
        changed = [
            ChangedRow(row, pk, 1, {"theme": "改"}, ())
            for row, pk in enumerate(
                EducationActivity.objects.filter(upload_id=upload_id).values_list("pk", flat=True)
            )
        ]
        with CaptureQueriesContext(connection) as more:
            changes = save_records(
                by=street, kind=ACTIVITIES, new=[], changed=changed, upload_id=upload_id
            ).changes
        with CaptureQueriesContext(connection) as back:
            take_back(street, Written(written.first_pk, written.last_pk, changes), upload_id)
        counts.append([len(queries), len(more), len(back)])
    if connection.vendor == "postgresql":
        assert counts[0] == counts[1]
    else:  # SQLite takes a limited number of values in one statement
        assert all(many < few + 40 for few, many in zip(*counts, strict=True))


# --- taking back ----------------------------------------------------------------------------------


def take_back(by: Actor, written: Written, upload_id: int = 7, kind: RecordKind = ACTIVITIES) -> Any:
    within = (written.first_pk, written.last_pk) if written.first_pk and written.last_pk else None
    return take_back_records(by=by, kind=kind, upload_id=upload_id, within=within, changes=written.changes)


@every_kind
def test_taking_back_leaves_what_was_there(
    kind: RecordKind, street: Actor, free: None, tree: SimpleNamespace
) -> None:
    stood = [
        save_record(by=street, kind=kind, values=values, joint_units=[tree.police, tree.cousin])
        for values in values_for(kind, [tree.own, tree.street])
    ]
    refresh()
    before = rows_of(kind.model, "version"), cells()
    new = [
        NewRow(number, {**values, kind.title: f"新{number}"}, (tree.police.pk,))
        for number, values in enumerate(values_for(kind, [tree.sibling, tree.street]))
    ]
    changed = [
        ChangedRow(
            number + 50,
            record.pk,
            1,
            {**values, "unit": tree.sibling},
            (tree.own.pk,) if number % 2 else None,
        )
        for number, (record, values) in enumerate(
            zip(stood, reversed(values_for(kind, [tree.own])), strict=True)
        )
    ]
    written = save_records(by=street, kind=kind, new=new, changed=changed, upload_id=7)
    refresh()
    assert (rows_of(kind.model, "version"), cells()) != before
    taken = take_back(street, written, kind=kind)
    assert (taken.deleted, taken.restored, taken.left) == (12, 12, [])
    refresh()
    assert (rows_of(kind.model, "version"), cells()) == before
    assert_exact()
    events = AuditEvent.objects.filter(upload_id=7)
    back = events.filter(action=f"{kind.code}.take_back", object_pk="").order_by("unit_id")
    assert [(event.unit_id, event.row_count) for event in back] == [(tree.street.pk, 6), (tree.sibling.pk, 6)]
    assert events.filter(action=f"{kind.code}.change").count() == 12
    assert events.filter(action=f"{kind.code}.take_back").exclude(object_pk="").count() == 12
    joint = kind.model.joint_model().objects
    assert set(joint.values_list(f"{kind.model._meta.model_name}_id", flat=True)) <= {r.pk for r in stood}


def test_what_was_touched_since_stays_and_is_listed(
    people: SimpleNamespace, tree: SimpleNamespace, make_record: Any
) -> None:
    by = Actor.of(people.community_officer)
    stood = [make_record("activities", tree.own, by.user) for _ in range(3)]
    new = [NewRow(row, row_values(ACTIVITIES, row, unit=tree.own), (tree.police.pk,)) for row in range(2, 9)]
    changed = [ChangedRow(20 + n, record.pk, 1, {"theme": f"改{n}"}) for n, record in enumerate(stood)]
    written = save_records(by=by, kind=ACTIVITIES, new=new, changed=changed, upload_id=7)
    made = {record.upload_row: record for record in EducationActivity.objects.filter(upload_id=7)}
    save_record(by=by, kind=ACTIVITIES, record=made[3], values={"theme": "后来改"})
    remove_record(by=by, kind=ACTIVITIES, record=made[4])
    Attachment.objects.create(
        kind="activities",
        record_id=made[5].pk,
        name="x.jpg",
        size=1,
        created_by=by.user,
        removed_at=timezone.now(),
    )
    EducationActivity.objects.filter(pk=made[6].pk).update(unit=tree.sibling)
    stood[1].refresh_from_db()
    save_record(by=by, kind=ACTIVITIES, record=stood[1], values={"place": "后来改"})
    EducationActivity.objects.filter(pk=stood[2].pk).update(unit=tree.sibling)
    # Its joint units and no others go with a record.
    taken = take_back(by, written)
    assert (taken.deleted, taken.restored) == (3, 1)
    assert {(left.pk, left.row, left.reason) for left in taken.left} == {
        (made[3].pk, 3, Reason.EDITED),
        (made[4].pk, 4, Reason.EDITED),
        (made[5].pk, 5, Reason.FILES),
        (made[6].pk, 6, Reason.OUT_OF_REACH),
        (stood[1].pk, 21, Reason.EDITED),
        (stood[2].pk, 22, Reason.OUT_OF_REACH),
    }
    assert set(EducationActivity.objects.filter(upload_id=7).values_list("upload_row", flat=True)) == {
        3,
        4,
        5,
        6,
    }
    assert EducationActivity.joint_units.through.objects.count() == 4
    event = AuditEvent.objects.get(action="activities.take_back", object_pk="")
    assert (event.row_count, event.unit_id) == (3, tree.own.pk)
    refresh()
    assert_exact()


def test_taking_back_twice_changes_nothing(street: Actor, tree: SimpleNamespace) -> None:
    new = [NewRow(row, row_values(ACTIVITIES, row, unit=tree.own)) for row in range(3)]
    written = save_records(by=street, kind=ACTIVITIES, new=new, upload_id=7)
    assert take_back(street, written).deleted == 3
    again = take_back(street, written)
    assert (again.deleted, again.restored, again.left) == (0, 0, [])
    assert AuditEvent.objects.filter(action="activities.take_back").count() == 1


def test_another_upload_between_stays(street: Actor, tree: SimpleNamespace) -> None:
    """Two uploads at once: their records lie between one another."""

    def row(number: int) -> NewRow:
        return NewRow(number, row_values(ACTIVITIES, number, unit=tree.own))

    first = save_records(by=street, kind=ACTIVITIES, new=[row(1)], upload_id=7)
    save_records(by=street, kind=ACTIVITIES, new=[row(2)], upload_id=8)
    last = save_records(by=street, kind=ACTIVITIES, new=[row(3)], upload_id=7, part=1)
    assert take_back(street, Written(first.first_pk, last.last_pk)).deleted == 2
    assert EducationActivity.objects.get().upload_id == 8


def test_keys_of_submission_cannot_be_guessed(street: Actor, tree: SimpleNamespace, settings: Any) -> None:
    new = [NewRow(row, row_values(ACTIVITIES, row, unit=tree.own)) for row in (2, 3)]
    found = []
    for number, key in enumerate(["x" * 50, "y" * 50]):
        settings.SECRET_KEY = key
        save_records(by=street, kind=ACTIVITIES, new=new, upload_id=7)
        found += EducationActivity.objects.values_list("submission_key", flat=True).order_by("pk")
        EducationActivity.objects.all().delete()
        assert len(set(found)) == 2 * (number + 1)
    assert all(isinstance(key, uuid.UUID) for key in found)
