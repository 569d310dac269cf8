"""What somebody sees before they confirm: counts, a few rows, and everything that is wrong. Records are not touched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from tempfile import TemporaryFile
from typing import Any

from django.core.exceptions import PermissionDenied
from django.core.files import File
from django.db import transaction
from django.utils import timezone

from programs.access import Actor
from programs.actions.bulk import ChangedRow, NewRow
from programs.facts import shown, value_of
from programs.field_classes import C3, class_of
from programs.models.unit import Unit
from programs.registry import RecordKind
from reporting.models import Upload, UploadRemark, UploadSheet
from reporting.models.upload import MOST_OTHERS, MOST_REFUSED
from reporting.uploads import layout, marked, pipeline
from reporting.uploads.checking import Checked, Problem
from reporting.uploads.claims import Pulse, actor_of
from reporting.uploads.gate import Refused
from reporting.uploads.pipeline import Examined, Part
from reporting.uploads.sheet import Sheet
from reporting.uploads.states import Move, move

SAMPLE_ROWS = 10
# Stands for a value that is not kept outside the record itself.
UNSAID = "•••"
Sort = UploadRemark.Sort


def prepare(upload: Upload, pulse: Pulse) -> None:
    """Read and check the file, and leave the upload to be confirmed; Refused, PermissionDenied."""
    by = actor_of(upload)
    sheets = pipeline.read_sheets(upload, pulse)
    try:
        examined = pipeline.check_sheets(upload, sheets, by, pulse)
    except Refused as refusal:
        _refuse(upload, sheets, by, refusal)
        return
    show(upload, examined, Move.SHOW)


def show(upload: Upload, examined: Examined, how: Move, message: str = "") -> None:
    """Keep what was found, in place of what was found before, and make the move; only then, since it takes its time,
    the marked workbook."""
    before = upload.marked.name
    with transaction.atomic():
        keep(upload, examined)
        move(
            upload,
            how,
            fence=upload.fence,
            message=message,
            marked="",
            plan=examined.plan(),
            previewed_at=timezone.now(),
            **examined.counts(),
        )
    if before:
        upload.marked.storage.delete(before)
    mark(upload, examined)


def keep(upload: Upload, examined: Examined) -> list[UploadSheet]:
    """The sheets with their counts, samples and remarks; those that are used in the order of `examined.parts`."""
    upload.sheets.all().delete()
    kept = []
    for position, part in enumerate(examined.parts):
        sheet = UploadSheet.objects.create(
            upload=upload,
            position=position,
            kind=part.kind.code,
            sample=_sample(part),
            **_laid_out(part.layout),
            **pipeline.counts_of(part.checked),
        )
        UploadRemark.objects.bulk_create(_remarks(sheet, part.kind, part.checked), batch_size=500)
        kept.append(sheet)
    UploadSheet.objects.bulk_create(
        UploadSheet(upload=upload, position=len(kept) + number, name=name[:255], reason=str(reason))
        for number, (name, reason) in enumerate(examined.left_out)
    )
    return kept


def _refuse(upload: Upload, sheets: Sequence[Sheet], by: Actor, refusal: Refused) -> None:
    """No sheet can be used. What was found of the kind that fits best helps to say which column is which."""
    mappings, kinds = pipeline.mappings_of(upload), pipeline.kinds_of(upload)
    with transaction.atomic():
        upload.sheets.all().delete()
        for position, sheet in enumerate(sheet for sheet in sheets if not sheet.is_hidden):
            layouts = [layout.find(sheet, kind, by=by, mapping=mappings.get(kind.code)) for kind in kinds]
            found = max(layouts, key=lambda layout: len(layout.columns))
            code = found.kind.code if upload.kind or found.columns else ""
            UploadSheet.objects.create(upload=upload, position=position, kind=code, **_laid_out(found))
        move(upload, Move.REFUSE, fence=upload.fence, message=str(refusal))


def _laid_out(found: layout.Layout) -> dict[str, Any]:
    return {
        "name": found.sheet[:255],
        "header_row": found.header_row,
        "columns": dict(found.headers),
        "headers": list(found.all_headers),
        "missing": list(found.missing),
    }


# --- what is kept of the rows -----------------------------------------------------------------------


def _remarks(sheet: UploadSheet, kind: RecordKind, checked: Checked) -> Iterator[UploadRemark]:
    for problem in checked.refused[:MOST_REFUSED]:
        yield UploadRemark(
            sheet=sheet,
            sort=Sort.REFUSED,
            row=problem.row,
            column=problem.column,
            field=problem.field[:50],
            header=problem.header[:255],
            value=_kept_value(kind, problem)[:255],
            message=str(problem.message),
        )
    for same in checked.same[:MOST_OTHERS]:
        yield UploadRemark(
            sheet=sheet, sort=Sort.SAME, row=same.row, message=str(same.message), record=same.of_record
        )
    for row in checked.left_out[:MOST_OTHERS]:
        yield UploadRemark(sheet=sheet, sort=Sort.LEFT_OUT, row=row.row, message=str(row.reason))
    for notice in checked.notices[:MOST_OTHERS]:
        yield UploadRemark(sheet=sheet, sort=Sort.NOTICE, row=notice.row, message=str(notice.message))


def _kept_value(kind: RecordKind, problem: Problem) -> str:
    """What stood in the cell; nothing of fields that are kept in the records alone."""
    fields = {column.name: column for column in kind.model._meta.get_fields()}
    secret = problem.field in fields and class_of(fields[problem.field]) >= C3
    return "" if secret else str(problem.value)


def _sample(part: Part) -> dict[str, Any]:
    """{"new": [{"row", "values": {field: text}}], "changed": [{"row", "record", "values": {field: [before, after]}}]},
    the first rows of each."""
    kind, checked = part.kind, part.checked
    changed = checked.changed[:SAMPLE_ROWS]
    stand = kind.model.objects.for_detail().in_bulk([row.pk for row in changed])
    shown_rows: list[NewRow | ChangedRow] = [*checked.new[:SAMPLE_ROWS], *changed]
    units = Unit.objects.in_bulk({pk for row in shown_rows for pk in row.joint or ()})

    def joint(row: NewRow | ChangedRow) -> dict[str, Any]:
        return {} if row.joint is None else {"joint_units": [units[pk] for pk in row.joint if pk in units]}

    return {
        "new": [
            {
                "row": row.row,
                "values": {
                    name: _told(kind, name, value) for name, value in {**row.values, **joint(row)}.items()
                },
            }
            for row in checked.new[:SAMPLE_ROWS]
        ],
        "changed": [
            {
                "row": row.row,
                "record": row.pk,
                "values": {
                    name: [
                        _told(kind, name, value_of(stand[row.pk], kind.field(name))),
                        _told(kind, name, value),
                    ]
                    for name, value in {**row.values, **joint(row)}.items()
                },
            }
            for row in changed
            if row.pk in stand
        ],
    }


def _told(kind: RecordKind, name: str, value: Any) -> str:
    column = kind.field(name)
    if class_of(column) >= C3:
        return UNSAID if value not in (None, "") else ""
    return str(shown(column, value))


# --- the marked workbook ----------------------------------------------------------------------------


def mark(upload: Upload, examined: Examined) -> None:
    """Store the user's own workbook with the refused rows marked, if any was."""
    problems = {part.sheet.name: part.checked.refused for part in examined.parts if part.checked.refused}
    if not problems:
        return
    storage = upload.marked.storage
    with TemporaryFile() as target:
        marked.marked_workbook(
            sheets=examined.sheets,
            problems=problems,
            target=target,
            layouts={part.sheet.name: part.layout for part in examined.parts},
        )
        target.seek(0)
        name = storage.save(upload.marked.field.generate_filename(upload, upload.name), File(target))
    # Unless a newer preview stands there meanwhile.
    if not Upload.objects.filter(pk=upload.pk, previewed_at=upload.previewed_at, marked="").update(
        marked=name
    ):
        storage.delete(name)


def mark_anew(upload: Upload) -> None:
    """The same for an upload that was shown a while ago: its file is read and checked once more."""
    try:
        pulse = Pulse(upload)
        sheets = pipeline.read_sheets(upload, pulse)
        mark(upload, pipeline.check_sheets(upload, sheets, actor_of(upload), pulse))
    except (Refused, PermissionDenied):
        return  # nobody may see it any more who could mend it
