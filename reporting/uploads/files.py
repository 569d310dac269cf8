"""The files of uploads: taken in, kept for a while, and forgotten."""

from __future__ import annotations

import datetime as dt
import hashlib
from pathlib import Path, PurePath
from typing import Any

from django.core.files import File
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from programs.attachments import clean_name
from reporting.models import Upload, UploadChange
from reporting.models.upload import UNDO_DAYS, WAITING
from reporting.uploads import gate, reading
from reporting.uploads.limits import Unfit

KEEP_DAYS = 90


def fingerprint(file: File[Any], name: str) -> tuple[str, int]:
    """The digest and the size in bytes; Refused for what no parser needs to look at."""
    digest, size = hashlib.sha256(), 0
    file.seek(0)
    try:
        gate.type_of(name)
        for chunk in file.chunks():
            size += len(chunk)
            if size > gate.MAX_BYTES:
                break
            digest.update(chunk)
        gate.check_size(size)
    except Unfit as unfit:
        raise gate.refused(unfit) from None
    file.seek(0)
    return digest.hexdigest(), size


def name_of(name: str) -> str:
    """The file's own name as it is shown; one without any gets one."""
    cleaned = clean_name(name)
    return cleaned if PurePath(cleaned).stem.strip(". ") else _("spreadsheet") + PurePath(cleaned).suffix


def drop_kept(upload: Upload) -> None:
    """Forget the cells that were kept for the next reading."""
    if upload.file:
        reading.drop_kept(Path(upload.file.path))


def forget() -> int:
    """Delete the files of uploads that ended or were entered 90 days ago, and what was kept to take changes back once
    nobody can any more; the number of uploads."""
    now = timezone.now()
    UploadChange.objects.filter(sheet__upload__applied_at__lt=now - dt.timedelta(days=UNDO_DAYS + 1)).exclude(
        sheet__upload__state__in=WAITING
    ).delete()
    old = Upload.objects.filter(created_at__lt=now - dt.timedelta(days=KEEP_DAYS))
    found = old.filter(~Q(file="") | ~Q(marked="")).exclude(state__in=WAITING)
    number = 0
    for upload in found.iterator():
        names = [name for name in (upload.file.name, upload.marked.name) if name]
        drop_kept(upload)
        if Upload.objects.filter(pk=upload.pk, state=upload.state).update(file="", marked=""):
            # The rows first: a file without a row is found by nobody, a row without a file is shown to somebody.
            for name in names:
                upload.file.storage.delete(name)
            number += 1
    return number
