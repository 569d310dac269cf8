"""An upload as plain data: what the command prints and the API answers."""

from __future__ import annotations

from typing import Any

from reporting.models import Upload, UploadRemark, UploadSheet
from reporting.uploads.sheet import address

COUNTS = ("read", "new", "changed", "same", "refused", "left_out")
WRITTEN = ("written_new", "written_changed", "deleted", "restored", "kept")


def report_of(upload: Upload) -> dict[str, Any]:
    """Everything that is kept of the upload, its rows' remarks included; times as they are."""
    sheets = upload.sheets.prefetch_related("remarks")
    told = [
        {**sheet_of(sheet), "remarks": [remark_of(one) for one in sheet.remarks.all()]} for sheet in sheets
    ]
    return {**summary_of(upload), "sheets": told}


def summary_of(upload: Upload) -> dict[str, Any]:
    """The upload itself: where it stands, and the numbers of its rows."""
    return {
        "id": str(upload.public_id),
        "number": upload.pk,  # by which lists of records are narrowed to what it made
        "file": upload.name,
        "size": upload.size,
        "kind": upload.kind,
        "unit": upload.unit.code,
        "period": f"{upload.period:%Y-%m}" if upload.period else "",
        "state": upload.state,
        "message": upload.message,
        "step": upload.step,
        "done": upload.done,
        "total": upload.total,
        "counts": _numbers(upload, COUNTS),
        "written": _numbers(upload, WRITTEN),
        "brought_at": upload.created_at,
        "previewed_at": upload.previewed_at,
        "confirmed_at": upload.confirmed_at,
        "entered_at": upload.applied_at,
        "taken_back_at": upload.undone_at,
        "undo_until": upload.undo_until,
        "plan": upload.plan,
        "has_original": bool(upload.file),
        "has_marked": bool(upload.marked),
    }


def _numbers(row: Upload | UploadSheet, names: tuple[str, ...]) -> dict[str, int]:
    return {name: getattr(row, name) for name in names}


def sheet_of(sheet: UploadSheet) -> dict[str, Any]:
    return {
        "name": sheet.name,
        "kind": sheet.kind,
        "reason": sheet.reason,
        "header_row": sheet.header_row,
        "columns": sheet.columns,
        "missing": sheet.missing,
        "counts": _numbers(sheet, COUNTS),
    }


def remark_of(remark: UploadRemark) -> dict[str, Any]:
    place = remark.row is not None and remark.column is not None
    return {
        "sort": remark.sort,
        "row": remark.row,
        "cell": address(remark.row, remark.column) if place else "",  # type: ignore[arg-type]
        "field": remark.field,
        "header": remark.header,
        "value": remark.value,
        "message": remark.message,
        "record": remark.record,
    }
