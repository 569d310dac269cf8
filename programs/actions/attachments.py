"""Files of a record: added with it in one transaction, removed softly, restored like it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from django.core.exceptions import PermissionDenied, ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from programs.access import Actor
from programs.actions.audit import audit
from programs.attachments import check_files, clean_name, type_of
from programs.models.attachment import Attachment
from programs.models.record import RESTORE_DAYS, Record
from programs.registry import RecordKind
from programs.roles import Permission


@contextmanager
def discarded_on_failure() -> Iterator[list[Attachment]]:
    """Goes around a transaction that adds files: if it fails, the files in the list go with their rows."""
    stored: list[Attachment] = []
    try:
        yield stored
    except BaseException:
        for attachment in stored:
            attachment.file.delete(save=False)
        raise


def add_files(
    *, by: Actor, kind: RecordKind, record: Record, files: Iterable[UploadedFile], stored: list[Attachment]
) -> None:
    """Write files and rows inside the caller's transaction; ValidationError names what is wrong."""
    files = list(files)
    if not files:
        return
    _check(by, kind, record, files)
    for file in files:
        _write(by, kind, record, file, stored)


def _check(by: Actor, kind: RecordKind, record: Record, files: list[UploadedFile]) -> None:
    if not by.covers(Permission.RECORD_WRITE, record.unit):
        raise PermissionDenied
    if not kind.attachments:
        raise ValidationError({"files": _("These records keep no files.")})
    try:
        check_files(files, already=present(kind, record).count())
    except ValidationError as error:
        raise ValidationError({"files": error}) from error


def _write(by: Actor, kind: RecordKind, record: Record, file: UploadedFile, stored: list[Attachment]) -> None:
    name = clean_name(file.name or "")
    file_type = type_of(name)
    attachment = Attachment(
        kind=kind.code,
        record_id=record.pk,
        file=file,
        name=name,
        content_type=file_type.content_type if file_type else "application/octet-stream",
        size=file.size or 0,
        created_by=by.user,
    )
    # Named before anything is written: whatever fails from here on finds it.
    stored.append(attachment)
    attachment.save(force_insert=True)
    audit(by=by, action=f"{kind.code}.attach", obj=record, unit=record.unit, changes={"files": [None, name]})


def remove_attachment(*, by: Actor, kind: RecordKind, record: Record, attachment: Attachment) -> None:
    """Take the file off the record; it can be put back for 30 days. Removing twice changes nothing."""
    _set_removed(by, kind, record, attachment, removed=True)


def restore_attachment(*, by: Actor, kind: RecordKind, record: Record, attachment: Attachment) -> None:
    """Put a removed file back. ValidationError once the 30 days are over, or if there is no room."""
    if attachment.removed_at is not None and not is_restorable(attachment):
        raise ValidationError(_("The 30 days for restoring this file are over."), code="too_late")
    _set_removed(by, kind, record, attachment, removed=False)


def _set_removed(
    by: Actor, kind: RecordKind, record: Record, attachment: Attachment, *, removed: bool
) -> None:
    if not by.covers(Permission.RECORD_WRITE, record.unit):
        raise PermissionDenied
    with transaction.atomic():
        if not removed:
            check_files([], already=present(kind, record).exclude(pk=attachment.pk).count() + 1)
        changed = Attachment.objects.filter(
            pk=attachment.pk, kind=kind.code, record_id=record.pk, removed_at__isnull=removed
        ).update(removed_at=timezone.now() if removed else None)
        if changed:
            names = [attachment.name, None] if removed else [None, attachment.name]
            action = f"{kind.code}.{'detach' if removed else 'reattach'}"
            audit(by=by, action=action, obj=record, unit=record.unit, changes={"files": names})
    attachment.refresh_from_db()


def present(kind: RecordKind, record: Record) -> QuerySet[Attachment]:
    return Attachment.objects.filter(kind=kind.code, record_id=record.pk, removed_at=None)


def is_restorable(attachment: Attachment) -> bool:
    removed_at = attachment.removed_at
    return removed_at is not None and timezone.now() < removed_at + dt.timedelta(days=RESTORE_DAYS)
