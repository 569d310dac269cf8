"""Entering the rows of a confirmed upload, and taking them back: each in one transaction that ends with the move.

A worker whose fence no longer counts cannot make the move, and so commits nothing. Rows are checked before the
transaction, so that nobody waits for the check; in it only what could have changed since is looked at again.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from programs import registry
from programs.access import Actor
from programs.actions import save_records, take_back_records
from programs.actions.bulk import Change, Left, Outdated, Reason, Written
from programs.models.unit import Unit
from reporting.models import Upload, UploadChange, UploadRemark, UploadSheet
from reporting.models.upload import MOST_OTHERS, Step
from reporting.uploads import checking, pipeline, preview
from reporting.uploads.claims import Pulse, actor_of
from reporting.uploads.pipeline import Examined
from reporting.uploads.states import Move, move

# So often everything is checked anew because records changed while it was being checked.
MOST_CHECKS = 5
MANY = 1000


def apply(upload: Upload, pulse: Pulse) -> None:
    """Enter what was confirmed, or show it again if it is no longer what was confirmed; Refused, PermissionDenied."""
    by = actor_of(upload)
    sheets = pipeline.read_sheets(upload, pulse)
    for _attempt in range(MOST_CHECKS):
        examined = pipeline.check_sheets(upload, sheets, by, pulse)
        if examined.plan() != upload.plan:
            break
        try:
            _enter(upload, examined, by, pulse)
        except Outdated:
            continue
        return
    message = _("The records have changed since you looked at this; please look again and confirm.")
    preview.show(upload, examined, Move.SHOW_AGAIN, message)


def _enter(upload: Upload, examined: Examined, by: Actor, pulse: Pulse) -> None:
    """Everything, or Outdated and nothing."""
    new = sum(len(part.checked.new) for part in examined.parts)
    changed = sum(len(part.checked.changed) for part in examined.parts) if upload.with_changes else 0
    pulse.at(Step.WRITING, new + changed)
    with transaction.atomic(durable=True):
        _wait_for_others(examined)
        for kind, parts in examined.by_kind():
            new_rows = [row for part in parts for row in part.checked.new]
            if checking.clashes(by=by, kind=kind, new=new_rows):
                raise Outdated
        kept, done = preview.keep(upload, examined), 0
        for part, sheet in zip(examined.parts, kept, strict=True):
            changes = part.checked.changed if upload.with_changes else []
            written = save_records(
                by=by,
                kind=part.kind,
                new=part.checked.new,
                changed=changes,
                upload_id=upload.pk,
                part=sheet.position,
                progress=pulse.within(done),
            )
            _note_written(sheet, written)
            done += len(part.checked.new) + len(changes)
        move(
            upload,
            Move.FINISH,
            fence=upload.fence,
            message="",
            applied_at=timezone.now(),
            written_new=new,
            written_changed=changed,
            **examined.counts(),
        )


def _wait_for_others(examined: Examined) -> None:
    """Of two uploads for the same units one is entered after the other, and finds the other's rows."""
    leads = {row.values["unit"] for part in examined.parts for row in part.checked.new}
    pks = {unit.pk if isinstance(unit, Unit) else unit for unit in leads}
    list(Unit.objects.filter(pk__in=pks).order_by("pk").select_for_update(no_key=True).values_list("pk"))


def _note_written(sheet: UploadSheet, written: Written) -> None:
    UploadSheet.objects.filter(pk=sheet.pk).update(first_pk=written.first_pk, last_pk=written.last_pk)
    UploadChange.objects.bulk_create(
        (
            UploadChange(
                sheet=sheet,
                record=change.pk,
                row=change.row,
                at=change.at,
                before=change.before,
                joint_before=change.joint_before,
            )
            for change in written.changes
        ),
        batch_size=MANY,
    )


# --- taking back ------------------------------------------------------------------------------------


def take_back(upload: Upload, pulse: Pulse) -> None:
    """Undo what `apply` did; what was touched since stays and is listed. PermissionDenied."""
    by = actor_of(upload)
    pulse.at(Step.TAKING_BACK, upload.written_new + upload.written_changed)
    deleted = restored = kept = done = 0
    with transaction.atomic(durable=True):
        for sheet in upload.sheets.exclude(kind="").order_by("-position"):
            taken = take_back_records(
                by=by,
                kind=registry.kind(sheet.kind),
                upload_id=upload.pk,
                within=(sheet.first_pk, sheet.last_pk) if sheet.first_pk and sheet.last_pk else None,
                changes=_changes(sheet),
            )
            _note_left(sheet, taken.left)
            sheet.changes.all().delete()
            deleted += taken.deleted
            restored += taken.restored
            kept += len(taken.left)
            done += sheet.new + sheet.changed
            pulse.progress(done)
        move(
            upload,
            Move.FINISH_UNDO,
            fence=upload.fence,
            message="",
            undone_by=upload.asked_by,
            undone_at=timezone.now(),
            deleted=deleted,
            restored=restored,
            kept=kept,
        )


def _changes(sheet: UploadSheet) -> list[Change]:
    return [
        Change(
            pk=change.record,
            row=change.row,
            at=change.at,
            before=change.before,
            joint_before=change.joint_before,
        )
        for change in sheet.changes.all()
    ]


def _note_left(sheet: UploadSheet, left: Sequence[Left]) -> None:
    UploadRemark.objects.bulk_create(
        UploadRemark(
            sheet=sheet,
            sort=UploadRemark.Sort.KEPT,
            row=one.row,
            record=one.pk,
            message=_reason(one.reason),
        )
        for one in left[:MOST_OTHERS]
    )


def _reason(reason: Reason) -> str:
    match reason:
        case Reason.EDITED:
            return _("It was changed or removed since.")
        case Reason.FILES:
            return _("Files were added to it since.")
        case Reason.REFERRED_TO:
            return _("Another entry refers to it.")
        case Reason.OUT_OF_REACH:
            return _("Its unit is no longer one that you may enter records for.")
