"""The files of an upload as answers: the original, and the workbook with its mistakes marked; each leaves a trace."""

from __future__ import annotations

import logging
from pathlib import PurePath

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models.fields.files import FieldFile
from django.http import FileResponse, Http404, HttpResponse, HttpResponseBase
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _

from programs import registry
from programs.access import Actor
from programs.actions.audit import audit
from programs.disclosure import disclosure_of
from programs.exports import XLSX_TYPE
from programs.registry import RecordKind
from programs.roles import Disclosure
from reporting.models import Upload

logger = logging.getLogger(__name__)


def may_open(by: Actor, upload: Upload) -> bool:
    """Whether `by`, who may see the upload, may see all that stands in its file: whoever brought it knows, others must
    read every column of its kinds in the clear."""
    if upload.created_by_id == by.user.pk:
        return True
    return all(
        disclosure_of(kind.field(name), by) is Disclosure.CLEAR
        for kind in _kinds_of(upload)
        for name in kind.sheet.names()
    )


def _kinds_of(upload: Upload) -> list[RecordKind]:
    """What the file holds; anything, as long as nobody knows."""
    known = {sheet.kind for sheet in upload.sheets.all()} | {upload.kind}
    return [kind for kind in registry.kinds() if kind.code in known] or registry.kinds()


def original(*, by: Actor, upload: Upload) -> HttpResponseBase:
    """The file as it came. Http404 once it is no longer kept, PermissionDenied for those who may not see all of it."""
    return _answer(by, upload, upload.file, upload.name, "original")


def marked(*, by: Actor, upload: Upload) -> HttpResponseBase:
    """The workbook with the refused rows marked. Http404 where none was made, PermissionDenied as above."""
    name = _("%(file)s (marked)") % {"file": PurePath(upload.name).stem}
    return _answer(by, upload, upload.marked, f"{name}.xlsx", "marked")


def _answer(by: Actor, upload: Upload, file: FieldFile, name: str, which: str) -> HttpResponseBase:
    if not file:
        raise Http404
    if not may_open(by, upload):
        raise PermissionDenied
    try:
        opened = file.open("rb")
    except FileNotFoundError:
        logger.error("A file of upload %s is missing.", upload.pk)
        raise Http404 from None
    with transaction.atomic():
        audit(by=by, action=f"upload.{which}", obj=upload, unit=upload.unit, upload_id=upload.pk)
    # Whatever it holds, it is saved and not shown: no type that a browser would open.
    content_type = XLSX_TYPE if which == "marked" else "application/octet-stream"
    return as_attachment(FileResponse(opened, content_type=content_type), name)


def as_attachment(response: HttpResponseBase, name: str) -> HttpResponseBase:
    response["Content-Disposition"] = content_disposition_header(True, name) or ""
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response["Cross-Origin-Resource-Policy"] = "same-origin"
    response["Cache-Control"] = "private, no-store"
    return response


def workbook(content: bytes, name: str) -> HttpResponseBase:
    """A workbook that was made for this answer."""
    return as_attachment(HttpResponse(content, content_type=XLSX_TYPE), name)
