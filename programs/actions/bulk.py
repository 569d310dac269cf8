"""Many records at once, from a spreadsheet: the bulk twin of `programs.actions.records`, tested to be equal to it.

The rows have been checked by whoever calls (`reporting.uploads`), as `save_record` checks its own. Scope is asked for
here all the same. Everything happens in the caller's transaction, or in one of its own.
"""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import IntegrityError, connection, models, transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.crypto import salted_hmac

from programs import bell
from programs.access import Actor, units_for
from programs.actions import bulk_rows
from programs.actions.audit import changes_of, event_of
from programs.actions.bulk_rows import Progress
from programs.actions.records import check_unique, snapshot
from programs.models.attachment import Attachment
from programs.models.record import Record
from programs.models.unit import Unit
from programs.registry import RecordKind
from programs.roles import Permission

MANY = bulk_rows.SOME
# Restored with the values, so that an upload before this one can be taken back after it.
LAST_CHANGE = ("updated_by", "updated_at")


@dataclass(slots=True)
class NewRow:
    """A record to be. `row` as the user sees it; `values` by field name, a foreign key's as instance or primary key;
    `joint` by primary key. Fields that are not named get their default."""

    row: int
    values: dict[str, Any]
    joint: tuple[int, ...] = ()


@dataclass(slots=True)
class ChangedRow:
    """Record `pk`, as it stood at `version`, with the values that differ. `joint` None leaves the joint units alone."""

    row: int
    pk: int
    version: int
    values: dict[str, Any]
    joint: tuple[int, ...] | None = None


@dataclass(slots=True)
class Change:
    """What brings a changed record back: the values before by field name, who had changed it last and when among them,
    as the database holds them and JSON can. `at` is the moment of the change: nobody touched the record since if it is
    still that of the record."""

    pk: int
    row: int
    at: dt.datetime
    before: dict[str, Any]
    joint_before: list[int] | None


@dataclass
class Written:
    """The first and last primary key of the new records (others of the same time may lie between them)."""

    first_pk: int | None = None
    last_pk: int | None = None
    changes: list[Change] = field(default_factory=list)


class Reason(enum.StrEnum):
    """Why a record stays when its upload is taken back."""

    EDITED = "edited"
    FILES = "files"
    REFERRED_TO = "referred_to"
    OUT_OF_REACH = "out_of_reach"


@dataclass(slots=True)
class Left:
    pk: int
    row: int | None
    reason: Reason


@dataclass
class TakenBack:
    deleted: int = 0
    restored: int = 0
    left: list[Left] = field(default_factory=list)


class Outdated(Exception):
    """The records are no longer what the rows were checked against: one has another version, or a new one has what may
    stand only once. Nothing was written."""


def save_records(
    *,
    by: Actor,
    kind: RecordKind,
    new: Sequence[NewRow],
    changed: Sequence[ChangedRow] = (),
    upload_id: int,
    part: int = 0,
    progress: Progress = lambda done: None,
) -> Written:
    """Create and change records in one transaction, with marks, audit and bell as single ones have them.

    One event of the log tells of all new records of a unit (`row_count`, `upload_id`), one of each that was changed.
    `part` tells several calls for one upload and kind apart: a row of a part is written once, the database refuses a
    second time. Raises PermissionDenied for a unit out of reach, Outdated.
    """
    try:
        with transaction.atomic():
            return _save(by, kind, new, changed, upload_id, part, progress)
    except IntegrityError:
        # Somebody may have been faster with what may stand only once, such as the number of a visit.
        if _is_taken(kind, new, changed):
            raise Outdated from None
        raise


def _save(
    by: Actor,
    kind: RecordKind,
    new: Sequence[NewRow],
    changed: Sequence[ChangedRow],
    upload_id: int,
    part: int,
    progress: Progress,
) -> Written:
    written = Written()
    if new:
        keys = _create(by, kind, new, upload_id, part, progress)
        written.first_pk, written.last_pk = keys[0], keys[-1]
    for start in range(0, len(changed), MANY):
        rows = sorted(changed, key=lambda row: row.pk)[start : start + MANY]
        written.changes += _change(by, kind, rows, upload_id)
        progress(len(new) + start + len(rows))
    if new or changed:
        bell.ring_on_commit()
    return written


def _is_taken(kind: RecordKind, new: Sequence[NewRow], changed: Sequence[ChangedRow]) -> bool:
    """Whether a record that stands has what one of the rows would have, and only one may. A few questions for each row:
    this is asked after the database has refused, and ends with the first that is found."""
    records = [kind.model(**_by_column(kind, row.values)) for row in new]
    stand = kind.model.objects.in_bulk([row.pk for row in changed])
    for row in changed:
        if record := stand.get(row.pk):
            for name, value in _by_column(kind, row.values).items():
                setattr(record, name, value)
            records.append(record)
    return any(_meets_another(record) for record in records)


def _meets_another(record: Record) -> bool:
    try:
        check_unique(record)
    except ValidationError:
        return True
    return False


def _by_column(kind: RecordKind, values: dict[str, Any]) -> dict[str, Any]:
    """By attribute name, a foreign key as its primary key."""
    return {kind.field(name).attname: _pk(value) for name, value in values.items()}


# --- new records ---------------------------------------------------------------------------------------------------


def _create(
    by: Actor, kind: RecordKind, new: Sequence[NewRow], upload_id: int, part: int, progress: Progress
) -> list[int]:
    leads = [_pk(row.values["unit"]) for row in new]
    per_unit = Counter(leads)
    units = _units_in_reach(by, per_unit)
    now = timezone.now()
    alike = {
        "created_by_id": by.user.pk,
        "updated_by_id": by.user.pk,
        "created_at": now,
        "updated_at": now,
        "upload_id": upload_id,
        "version": 1,
    }
    columns: dict[str, Sequence[Any]] = {
        **_columns(kind, new),
        **_prepared(kind, new),
        "unit_id": leads,
        "upload_row": [row.row for row in new],
        "submission_key": list(_keys(kind, new, upload_id, part)),
    }
    made = bulk_rows.insert_records(kind.model, columns, alike, progress)
    bulk_rows.insert_joint(
        kind.model,
        [(pk, unit) for pk, row in zip(made, new, strict=True) for unit in dict.fromkeys(row.joint)],
    )
    kind.created(by, made)
    action = f"{kind.code}.bring"
    bulk_rows.insert(
        [
            event_of(by=by, action=action, unit=units[pk], upload_id=upload_id, row_count=per_unit[pk])
            for pk in sorted(per_unit)
        ]
    )
    return made


def _columns(kind: RecordKind, new: Sequence[NewRow]) -> dict[str, list[Any]]:
    """The values of the kind's own fields by attribute name, one list for each field that any row names."""
    columns = {}
    for name in {name for names in {tuple(row.values) for row in new} for name in names} - {"unit"}:
        column = kind.field(name)
        values = [row.values[name] if name in row.values else column.get_default() for row in new]
        columns[column.attname] = [_pk(value) for value in values] if column.is_relation else values
    return columns


def _prepared(kind: RecordKind, new: Sequence[NewRow]) -> dict[str, list[Any]]:
    """The values that the kind sets by itself, by attribute name."""
    if not kind.prepared:
        return {}
    records = [kind.model(**_by_column(kind, row.values)) for row in new]
    for record in records:
        kind.prepare(record)
    names = [kind.field(name).attname for name in kind.prepared]
    return {name: [getattr(record, name) for record in records] for name in names}


def _keys(kind: RecordKind, new: Sequence[NewRow], upload_id: int, part: int) -> Iterator[uuid.UUID]:
    """A submission key for each row that is always the same, that nobody can guess, and that lies beside its
    neighbour's: random ones would each touch another page of their index."""
    secret = salted_hmac("programs.actions.bulk", f"{upload_id}:{kind.code}", algorithm="sha256").digest()
    first = int.from_bytes(secret[:10] + part.to_bytes(2, "big") + bytes(4), "big")
    for row in new:
        yield uuid.UUID(int=first + row.row)


def _units_in_reach(by: Actor, pks: Iterable[int]) -> dict[int, Unit]:
    """The units by primary key; PermissionDenied unless records may be brought for every one of them."""
    wanted = set(pks)
    found = {unit.pk: unit for unit in units_for(by, Permission.RECORD_BRING).filter(pk__in=wanted)}
    if wanted - found.keys():
        raise PermissionDenied
    return found


def _pk(value: Any) -> Any:
    return value.pk if isinstance(value, models.Model) else value


# --- changes -------------------------------------------------------------------------------------------------------


def _change(by: Actor, kind: RecordKind, rows: Sequence[ChangedRow], upload_id: int) -> list[Change]:
    stand = _locked(kind, [row.pk for row in rows])
    if any(row.pk not in stand or stand[row.pk].version != row.version for row in rows):
        raise Outdated
    if any(kind.refusal(record) for record in stand.values()):
        raise Outdated
    _units_in_reach(by, {record.unit_id for record in stand.values()})
    _units_in_reach(by, {_pk(row.values["unit"]) for row in rows if "unit" in row.values})
    joint = {row.pk: list(dict.fromkeys(row.joint)) for row in rows if row.joint is not None}
    before = {pk: _stored(record) for pk, record in stand.items()}
    joint_before = _write_over(
        by,
        kind,
        {row.pk: (stand[row.pk], row.values, joint.get(row.pk)) for row in rows},
        f"{kind.code}.change",
        upload_id,
    )
    return [
        Change(
            pk=row.pk,
            row=row.row,
            at=stand[row.pk].updated_at,
            before={name: before[row.pk][name] for name in (*row.values, *LAST_CHANGE)},
            joint_before=joint_before[row.pk] if row.joint is not None else None,
        )
        for row in rows
    ]


def _locked(kind: RecordKind, pks: Sequence[int]) -> dict[int, Any]:
    """The records that are present, kept from others until the end of the transaction."""
    named = [column.name for column in kind.model._meta.concrete_fields if column.is_relation]
    found = kind.model.objects.present().filter(pk__in=pks).order_by("pk")
    return {record.pk: record for record in found.select_related(*named).select_for_update(of=("self",))}


def _write_over(
    by: Actor,
    kind: RecordKind,
    rows: dict[int, tuple[Any, dict[str, Any], Sequence[int] | None]],
    action: str,
    upload_id: int,
) -> dict[int, list[int]]:
    """Give records (locked) new values and joint units, each with its event; the joint units before, by record."""
    if not rows:
        return {}
    joint_before: dict[int, list[int]] = {pk: [] for pk in rows}
    joint_before |= bulk_rows.joint_of(kind.model, list(rows))
    joint_after = {pk: list(joint) for pk, (_record, _values, joint) in rows.items() if joint is not None}
    codes = _codes(joint_before, joint_after)
    now, events = timezone.now(), []
    for pk, (record, values, _joint) in rows.items():
        before = snapshot(record, [codes[unit] for unit in joint_before[pk]])
        record.version += 1
        record.updated_by, record.updated_at = by.user, now
        for name, value in values.items():
            column = kind.field(name)
            setattr(record, column.attname if not isinstance(value, models.Model) else name, value)
        kind.prepare(record)
        after = snapshot(record, [codes[unit] for unit in joint_after.get(pk, joint_before[pk])])
        changes = changes_of(record, before, after)
        events.append(
            event_of(
                by=by,
                action=action,
                obj=record,
                unit=record.unit,
                changes=changes,
                upload_id=upload_id,
            )
        )
    written = {name for _record, values, _joint in rows.values() for name in values}
    bulk_rows.update_records(
        [record for record, *_rest in rows.values()], {*written, *kind.prepared, "version", *LAST_CHANGE}
    )
    bulk_rows.replace_joint(
        kind.model, {pk: units for pk, units in joint_after.items() if set(units) != set(joint_before[pk])}
    )
    bulk_rows.insert(events)
    return joint_before


def _codes(*joint: dict[int, list[int]]) -> dict[int, Unit]:
    wanted = {unit for of_record in joint for units in of_record.values() for unit in units}
    return Unit.objects.in_bulk(wanted)


def _stored(record: Record) -> dict[str, Any]:
    """What a person entered, as the database holds it: what is kept of an encrypted field stays encrypted."""
    entered = {
        column.name: _as_json(column.get_db_prep_save(getattr(record, column.attname), connection))
        for column in record._meta.concrete_fields
        if column.editable and not column.primary_key
    }
    return {**entered, "updated_by": record.updated_by_id, "updated_at": record.updated_at.isoformat()}


def _as_json(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, bulk_rows.PLAIN):
        return str(value)
    raise TypeError(f"JSON does not know how to keep {type(value).__name__}")


def _as_before(column: Any, value: Any) -> Any:
    if hasattr(column, "from_db_value"):
        value = column.from_db_value(value, None, connection)
    target = column.target_field if column.is_relation else column
    return target.to_python(value)


# --- taking back ---------------------------------------------------------------------------------------------------


def take_back_records(
    *,
    by: Actor,
    kind: RecordKind,
    upload_id: int,
    within: tuple[int, int] | None,
    changes: Iterable[Change] = (),
) -> TakenBack:
    """Undo what `save_records` wrote, in one transaction: delete what it created (`within`: its first and last primary
    key), give what it changed its values back.

    What somebody has touched since stays as it is and is listed: edited, removed, with files, named by other
    entries, or moved out of reach. A record taken back leaves no trace but the log, one that is restored only a higher
    version.
    """
    taken = TakenBack()
    with transaction.atomic():
        rows = sorted(changes, key=lambda change: change.pk)
        for start in range(0, len(rows), MANY):
            _restore(by, kind, rows[start : start + MANY], upload_id, taken)
        if within is not None:
            _delete(by, kind, upload_id, within, taken)
        taken.left.sort(key=lambda left: left.row or 0)
        if taken.deleted or taken.restored:
            bell.ring_on_commit()
    return taken


def _delete(by: Actor, kind: RecordKind, upload_id: int, within: tuple[int, int], taken: TakenBack) -> None:
    made = kind.model.objects.filter(pk__range=within, upload_id=upload_id)
    # Whoever is at one of them goes first; whoever comes later finds it gone.
    leads = Counter(made.order_by("pk").select_for_update().values_list("unit_id", flat=True))
    reach = units_for(by, Permission.RECORD_BRING)
    kept: dict[int, Left] = {}
    conditions = [
        (Reason.OUT_OF_REACH, ~Q(unit__in=reach.values("pk"))),
        (Reason.EDITED, ~Q(updated_at=F("created_at"))),
        (Reason.FILES, Exists(Attachment.objects.filter(kind=kind.code, record_id=OuterRef("pk")))),
        *((Reason.REFERRED_TO, condition) for condition in _referring(kind)),
    ]
    for reason, condition in conditions:
        for pk, row, unit in made.filter(condition).values_list("pk", "upload_row", "unit_id"):
            if pk not in kept:
                kept[pk] = Left(pk, row, reason)
                leads[unit] -= 1
    free: QuerySet[Any] = made
    for _reason, condition in conditions:
        free = free.exclude(condition)
    for relation in _belonging(kind):
        others: Any = relation.related_model
        others._base_manager.filter(**{f"{relation.field.name}__in": free.order_by().values("pk")}).delete()
    taken.deleted += bulk_rows.delete_records(free)
    taken.left += kept.values()
    action = f"{kind.code}.take_back"
    bulk_rows.insert(
        [
            event_of(by=by, action=action, unit=unit, upload_id=upload_id, row_count=leads[unit.pk])
            for unit in reach.filter(pk__in=[pk for pk, number in leads.items() if number]).order_by("pk")
        ]
    )


def _referring(kind: RecordKind) -> Iterator[Any]:
    """Conditions for records that an entry of another table names."""
    own = _belonging(kind)
    for relation in kind.model._meta.related_objects:
        if relation.related_model is not kind.model.joint_model() and relation not in own:
            others: Any = relation.related_model
            yield Exists(others._base_manager.filter(**{relation.field.name: OuterRef("pk")}))


def _belonging(kind: RecordKind) -> list[Any]:
    """Relations whose rows came with the record, and go with it as long as nobody touched it."""
    return [r for r in kind.model._meta.related_objects if r.get_accessor_name() in kind.belongings]


def _restore(by: Actor, kind: RecordKind, rows: Sequence[Change], upload_id: int, taken: TakenBack) -> None:
    stand = _locked(kind, [row.pk for row in rows])
    reach = set(
        units_for(by, Permission.RECORD_BRING)
        .filter(pk__in={record.unit_id for record in stand.values()})
        .values_list("pk", flat=True)
    )
    back: dict[int, tuple[Any, dict[str, Any], Sequence[int] | None]] = {}
    for row in rows:
        record = stand.get(row.pk)
        if record is None or record.updated_at != row.at:
            taken.left.append(Left(row.pk, row.row, Reason.EDITED))
        elif record.unit_id not in reach:
            taken.left.append(Left(row.pk, row.row, Reason.OUT_OF_REACH))
        else:
            values = {name: _as_before(kind.field(name), value) for name, value in row.before.items()}
            back[row.pk] = (record, values, row.joint_before)
    _write_over(by, kind, back, f"{kind.code}.take_back", upload_id)
    taken.restored += len(back)
