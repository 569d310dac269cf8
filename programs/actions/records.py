"""Writing records: the one way in for forms, API and spreadsheets."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from typing import Any

from django.core.exceptions import PermissionDenied, ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.db import IntegrityError, transaction
from django.db.models import F, UniqueConstraint
from django.utils import timezone
from django.utils.translation import gettext as _

from programs import bell, registry
from programs.access import Actor
from programs.actions.attachments import add_files, discarded_on_failure
from programs.actions.audit import audit, changes_of
from programs.models.attachment import Attachment
from programs.models.record import Record
from programs.models.unit import Unit
from programs.registry import RecordKind
from programs.roles import Permission
from programs.text import check_text

# Not typed by anybody: set by these actions, or looked up already.
SET_HERE = ["unit", "submission_key", "created_by", "updated_by", "removed_by"]


class EditConflict(Exception):
    """Somebody saved a newer version meanwhile; `current` is what stands now."""

    def __init__(self, current: Record) -> None:
        super().__init__(f"{current} is at version {current.version}")
        self.current = current


def save_record(
    *,
    by: Actor,
    kind: RecordKind,
    values: dict[str, Any],
    joint_units: Iterable[Unit] | None = None,
    record: Record | None = None,
    version: int | None = None,
    submission_key: uuid.UUID | None = None,
    files: Iterable[UploadedFile] = (),
    then: Callable[[Record], None] | None = None,
) -> Record:
    """Create a record, or change `record`, from `values` by field name, in one transaction with its audit.

    `version` is the version the edit began from; EditConflict if it is no longer the current one. A
    `submission_key` seen before returns the record it made. `joint_units` None leaves them as they are; `files`
    are added to those already there. `then` writes what belongs to a new record, in its transaction. Raises
    ValidationError by field, PermissionDenied for a unit out of reach.
    """
    with discarded_on_failure() as stored:
        if record is None:
            key = submission_key or uuid.uuid4()
            return _create(by, kind, values, list(joint_units or ()), key, files, stored, then)
        joint = None if joint_units is None else list(joint_units)
        base = record.version if version is None else version
        return _change(by, kind, record, values, joint, base, files, stored)


def _create(
    by: Actor,
    kind: RecordKind,
    values: dict[str, Any],
    joint_units: list[Unit],
    key: uuid.UUID,
    files: Iterable[UploadedFile],
    stored: list[Attachment],
    then: Callable[[Record], None] | None,
) -> Record:
    if twin := _sent_before(by, kind, key):
        return twin
    record = kind.model(**values, submission_key=key, created_by=by.user, updated_by=by.user)
    kind.prepare(record)
    check_record(by, record, joint_units)
    check_unique(record)
    try:
        with transaction.atomic():
            record.save(force_insert=True)
            record.joint_units.set(joint_units)
            add_files(by=by, kind=kind, record=record, files=files, stored=stored)
            audit(
                by=by,
                action=f"{kind.code}.create",
                obj=record,
                unit=record.unit,
                changes=changes_of(record, {}, snapshot(record, joint_units)),
            )
            kind.created(by, [record.pk])
            if then is not None:
                then(record)
            bell.ring_on_commit()
    except IntegrityError:
        # A twin of this very form may have been faster, or another record of the same number.
        if twin := _sent_before(by, kind, key):
            return twin
        check_unique(record)
        raise
    return record


def _sent_before(by: Actor, kind: RecordKind, key: uuid.UUID) -> Record | None:
    """The record that this person made with this key."""
    twin = kind.model.objects.select_related("unit").filter(submission_key=key).first()
    if twin is not None and twin.created_by_id != by.user.pk:
        raise ValidationError(
            _("Somebody else has sent this form already; open a new one."), code="key_taken"
        )
    return twin


def _change(
    by: Actor,
    kind: RecordKind,
    record: Record,
    values: dict[str, Any],
    joint_units: list[Unit] | None,
    version: int,
    files: Iterable[UploadedFile],
    stored: list[Attachment],
) -> Record:
    with transaction.atomic():
        # The conditional update is the lock: of two edits of one version, one finds no row.
        found = kind.model.objects.present().filter(pk=record.pk, version=version)
        changed = found.update(version=version + 1, updated_by=by.user, updated_at=timezone.now())
        # What stands in the table decides, not what the caller holds: that may carry the new values already.
        record = kind.model.objects.for_detail().get(pk=record.pk)
        if not by.covers(Permission.RECORD_WRITE, record.unit):
            raise PermissionDenied
        if record.is_removed:
            raise ValidationError(_("This record was removed; restore it first."), code="removed")
        if not changed:
            raise EditConflict(record)
        if refusal := kind.refusal(record):
            raise ValidationError(str(refusal), code="refused")
        joint_before = list(record.joint_units.all())
        before = snapshot(record, joint_before)
        joint_after = joint_before if joint_units is None else joint_units
        for name, value in values.items():
            setattr(record, name, value)
        kind.prepare(record)
        check_record(by, record, joint_after)
        check_unique(record)
        record.save(update_fields=[*values, *kind.prepared] or None)
        if joint_units is not None:
            record.joint_units.set(joint_units)
        add_files(by=by, kind=kind, record=record, files=files, stored=stored)
        after = snapshot(record, joint_after)
        audit(
            by=by,
            action=f"{kind.code}.change",
            obj=record,
            unit=record.unit,
            changes=changes_of(record, before, after),
        )
        bell.ring_on_commit()
    return record


def remove_record(*, by: Actor, kind: RecordKind, record: Record, reason: str = "") -> None:
    """Take the record out of lists and figures, for 30 days or for good. Removing twice changes nothing."""
    _set_removed(by, kind, record, removed=True, reason=reason)


def restore_record(*, by: Actor, kind: RecordKind, record: Record) -> None:
    """Bring a removed record back. ValidationError once the 30 days are over."""
    if record.is_removed and not record.is_restorable:
        raise ValidationError(_("The 30 days for restoring this record are over."), code="too_late")
    _set_removed(by, kind, record, removed=False)


def _set_removed(by: Actor, kind: RecordKind, record: Record, *, removed: bool, reason: str = "") -> None:
    check_text(reason)
    now = timezone.now()
    with transaction.atomic():
        current = kind.model.objects.select_related("unit").get(pk=record.pk)
        if not by.covers(Permission.RECORD_WRITE, current.unit):
            raise PermissionDenied
        if refusal := kind.refusal(current):
            raise ValidationError(str(refusal), code="refused")
        if not removed:
            current.removed_at = None
            check_unique(current)
        changed = kind.model.objects.filter(pk=record.pk, removed_at__isnull=removed).update(
            removed_at=now if removed else None,
            removed_by=by.user if removed else None,
            updated_at=now,
            updated_by=by.user,
            version=F("version") + 1,
        )
        if changed:
            action = f"{kind.code}.{'remove' if removed else 'restore'}"
            audit(by=by, action=action, obj=record, unit=record.unit, reason=reason)
            bell.ring_on_commit()
    record.refresh_from_db()


def check_record(
    by: Actor, record: Record, joint_units: list[Unit], permission: Permission = Permission.RECORD_WRITE
) -> None:
    """The rules that hold for every record, however it arrives: ValidationError by field, PermissionDenied where
    `permission` does not reach its unit."""
    if record.unit_id is None:
        raise ValidationError({"unit": _("Name the unit.")})
    if not by.covers(permission, record.unit):
        raise PermissionDenied
    check_rules(record, joint_units)


def check_rules(record: Record, joint_units: list[Unit]) -> None:
    """The rules alone, for who asks for scope in another way: ValidationError by field."""
    unit = record.unit
    errors: dict[str, Any] = {}
    for field in record._meta.concrete_fields:
        value = getattr(record, field.attname)
        if isinstance(value, str):
            try:
                check_text(value)
            except ValidationError as error:
                errors[field.name] = error
    if record.occurred_on and not errors.get("occurred_on"):
        if record.occurred_on < unit.opened_on:
            errors["occurred_on"] = ValidationError(
                _("%(unit)s did not exist on this date."), code="not_open", params={"unit": unit.name}
            )
        elif unit.closed_on and record.occurred_on > unit.closed_on:
            errors["occurred_on"] = ValidationError(
                _("%(unit)s was closed on %(date)s."),
                code="closed",
                params={"unit": unit.name, "date": unit.closed_on},
            )
    if any(joint.pk == unit.pk for joint in joint_units):
        errors["joint_units"] = ValidationError(
            _("The lead unit cannot be a joint unit as well."), code="same"
        )
    elif any(joint.root_id != unit.root_id for joint in joint_units):
        errors["joint_units"] = ValidationError(_("A joint unit lies in another district."), code="elsewhere")
    try:
        record.full_clean(exclude=[*SET_HERE, *registry.kind_of(record).prepared, *errors])
    except ValidationError as error:
        errors = {**error.error_dict, **errors}
    if errors:
        raise ValidationError(errors)


def check_unique(record: Record) -> None:
    """What may stand only once among the records that are present: ValidationError at the last field it is about.

    Left out by `full_clean`, which knows nothing of the fields that are set here.
    """
    for constraint in record._meta.constraints:
        if isinstance(constraint, UniqueConstraint):
            try:
                constraint.validate(type(record), record)
            except ValidationError as error:
                raise ValidationError({constraint.fields[-1]: error.messages}) from error


def snapshot(record: Record, joint_units: list[Unit]) -> dict[str, Any]:
    """What a person entered, by field name: the editable fields and the joint units."""
    values = {
        field.name: getattr(record, field.name)
        for field in record._meta.concrete_fields
        if field.editable and not field.primary_key
    }
    return {**values, "joint_units": sorted(unit.code for unit in joint_units)}
