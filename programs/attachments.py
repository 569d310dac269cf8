"""Which files a record accepts, and how they leave the server again.

A file is what its first bytes say it is, not what its name says: both must agree. Whatever it holds, a browser is told
to run none of it.
"""

from __future__ import annotations

import re
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, BinaryIO

from django.core.exceptions import RequestDataTooBig, ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler
from django.http import FileResponse, HttpResponseBase
from django.utils.http import content_disposition_header
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from programs.field_classes import C1, C3, FieldClass, class_of
from programs.models.attachment import Attachment

if TYPE_CHECKING:
    from programs.registry import RecordKind

MAX_BYTES = 10 * 1024 * 1024
MAX_FILES = 9
# A form with all its files and its text; larger requests are not read at all.
MAX_REQUEST_BYTES = MAX_FILES * MAX_BYTES + 5 * 1024 * 1024
NAME_LENGTH = 150
# No document that people write has more parts or a longer table of them.
MOST_ZIP_ENTRIES = 5000
MOST_CONTENT_TYPES = 2 * 1024 * 1024
CONTENT_TYPES = "[Content_Types].xml"
ACTIVE_CONTENT = re.compile(r"vbaproject|vbadata|macrosheet|activex", re.IGNORECASE)


@dataclass(frozen=True)
class FileType:
    content_type: str
    holds: Callable[[BinaryIO], bool]
    inline: bool = False


def _starts_with(magic: bytes) -> Callable[[BinaryIO], bool]:
    return lambda file: file.read(len(magic)) == magic


def _is_webp(file: BinaryIO) -> bool:
    head = file.read(12)
    return head[:4] == b"RIFF" and head[8:] == b"WEBP"


def _office(part: str) -> Callable[[BinaryIO], bool]:
    """A zip of Office Open XML with this main part, and without macros or controls."""

    def holds(file: BinaryIO) -> bool:
        try:
            with zipfile.ZipFile(file) as archive:
                entries = {entry.filename: entry for entry in archive.infolist()}
                if len(entries) > MOST_ZIP_ENTRIES or not {CONTENT_TYPES, part} <= entries.keys():
                    return False
                if entries[CONTENT_TYPES].compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
                    return False
                with archive.open(CONTENT_TYPES) as table:
                    types = table.read(MOST_CONTENT_TYPES + 1).lower()
        except (zipfile.BadZipFile, zlib.error, OSError, RuntimeError, ValueError, EOFError):
            return False
        active = any(ACTIVE_CONTENT.search(name) for name in entries)
        return len(types) <= MOST_CONTENT_TYPES and not active and b"macroenabled" not in types

    return holds


OFFICE = "application/vnd.openxmlformats-officedocument."
JPEG = FileType("image/jpeg", _starts_with(b"\xff\xd8\xff"), inline=True)
TYPES: dict[str, FileType] = {
    ".jpg": JPEG,
    ".jpeg": JPEG,
    ".png": FileType("image/png", _starts_with(b"\x89PNG\r\n\x1a\n"), inline=True),
    ".webp": FileType("image/webp", _is_webp, inline=True),
    ".pdf": FileType("application/pdf", _starts_with(b"%PDF-")),
    ".docx": FileType(f"{OFFICE}wordprocessingml.document", _office("word/document.xml")),
    ".xlsx": FileType(f"{OFFICE}spreadsheetml.sheet", _office("xl/workbook.xml")),
}
ACCEPTED = list(TYPES)
INLINE = {file_type.content_type for file_type in TYPES.values() if file_type.inline}


def clean_name(name: str) -> str:
    """The file's own name without folders and without characters that nobody sees, short enough to keep."""
    name = PurePath(name.replace("\\", "/")).name
    name = "".join(char for char in name if unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Zl", "Zp"})
    suffix = PurePath(name).suffix[:10]
    return name if len(name) <= NAME_LENGTH else name[: NAME_LENGTH - len(suffix)] + suffix


def type_of(name: str) -> FileType | None:
    return TYPES.get(PurePath(name).suffix.lower())


def check_files(files: Iterable[UploadedFile], already: int = 0) -> None:
    """ValidationError with one sentence for each file that is not accepted, naming it."""
    files = list(files)
    errors = [error for file in files if (error := _problem(file))]
    if already + len(files) > MAX_FILES:
        errors.append(
            ValidationError(
                ngettext_lazy(
                    "A record keeps at most %(most)d file; choose fewer.",
                    "A record keeps at most %(most)d files; choose fewer.",
                    MAX_FILES,
                ),
                code="too_many",
                params={"most": MAX_FILES},
            )
        )
    if errors:
        raise ValidationError(errors)


def _problem(file: UploadedFile) -> ValidationError | None:
    name = clean_name(file.name or "")
    file_type = type_of(name)
    size = file.size or 0
    if file_type is None:
        text, code = _("“%(name)s” is not of a kind that is accepted: %(kinds)s."), "type"
    elif size == 0:
        text, code = _("“%(name)s” is empty."), "empty"
    elif size > MAX_BYTES:
        text, code = _("“%(name)s” is larger than %(megabytes)d MB."), "too_big"
    elif not _holds(file_type, file):
        text, code = _("“%(name)s” does not hold what its name says, or holds macros."), "content"
    else:
        return None
    params = {"name": name, "kinds": " ".join(ACCEPTED), "megabytes": MAX_BYTES // 1024 // 1024}
    return ValidationError(text, code=code, params=params)


def _holds(file_type: FileType, file: UploadedFile) -> bool:
    file.seek(0)
    try:
        return file_type.holds(file)  # type: ignore[arg-type]
    finally:
        file.seek(0)


def attachment_class(kind: RecordKind) -> FieldClass:
    """How sensitive the files of a kind are: where records hold sensitive fields, a file may hold the same."""
    classes = [class_of(field) for field in kind.model._meta.concrete_fields if not field.primary_key]
    return C3 if max(classes) >= C3 else C1


def response_of(attachment: Attachment) -> HttpResponseBase:
    """The file as an answer: pictures to look at, everything else to save, nothing to run."""
    inline = attachment.content_type in INLINE
    response = FileResponse(attachment.file.open("rb"), content_type=attachment.content_type)
    response["Content-Disposition"] = content_disposition_header(not inline, attachment.name) or ""
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response["Cross-Origin-Resource-Policy"] = "same-origin"
    response["Cache-Control"] = "private, no-store"
    return response


class LimitedUploads(FileUploadHandler):
    """First of the upload handlers: refuses a request that is larger than any form of ours before reading it."""

    def handle_raw_input(
        self, input_data: Any, meta: Any, content_length: int, boundary: Any, encoding: Any = None
    ) -> None:
        if content_length > MAX_REQUEST_BYTES:
            raise RequestDataTooBig("The request is larger than a form with all its files.")

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        return raw_data

    def file_complete(self, file_size: int) -> None:
        return None
