"""What a file must be before any parser sees it: small, what its name says, and nothing but a spreadsheet.

Everything here reads bytes, unpacks under a cap, or parses XML that has no DTD. What can only be told by parsing the
cells is refused by the child process (`reporting.uploads.reading`), in the sentences that stand here too.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any, BinaryIO

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from reporting.uploads import xls, xlsx
from reporting.uploads.archive import Archive, Entry
from reporting.uploads.limits import LAST_ROW, MAX_BYTES, MAX_COLUMNS, MAX_SHEETS, Unfit
from reporting.uploads.sheet import address
from reporting.uploads.xml_parts import check_prolog, looks_like_xml

__all__ = ["MAX_BYTES", "SENTENCES", "FileType", "Refused", "check_size", "examine", "refused", "type_of"]


class FileType(enum.Enum):
    XLSX = "xlsx"
    XLS = "xls"
    ODS = "ods"
    CSV = "csv"


class Refused(Exception):
    """A file that is not taken. `message` says in the language of the moment why, and what to do; str() does too."""

    def __init__(
        self,
        code: str,
        message: str | Promise,
        *,
        sheet: str = "",
        cell: str = "",
        details: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(code)
        self.code, self.sheet, self.cell = code, sheet, cell
        self._message, self._details = message, details

    @property
    def message(self) -> str:
        return str(self._message) % self._details if self._details is not None else str(self._message)

    def __str__(self) -> str:
        return self.message


SENTENCES: dict[str, Promise] = {
    # the file as a whole
    "empty": _("The file is empty."),
    "too_big": _(
        "The file is larger than %(megabytes)d MB. Split it, or remove pictures, and bring the parts."
    ),
    "type": _("This is no spreadsheet. Bring a file of the type .xlsx, .xls, .ods or .csv."),
    "macro_type": _(
        "Files that can hold macros are not taken. Save it as .xlsx in Excel or WPS and bring that."
    ),
    "renamed": _(
        "The name of the file ends in .%(named)s, but its content is not of that type. Open it in Excel or WPS, "
        "save it as .xlsx and bring that."
    ),
    "other_type": _(
        "The file is of a type that is not read here. Open it in Excel or WPS, save it as .xlsx and bring that."
    ),
    "damaged": _(
        "The file is damaged or incomplete. Open it in Excel or WPS, save it as .xlsx under a new name and bring that."
    ),
    "unreadable": _(
        "The file could not be read. Open it in Excel or WPS, save it as .xlsx under a new name and bring that."
    ),
    # what is in it
    "encrypted": _("The file is protected by a password. Remove the password, save it and bring it again."),
    "macros": _(
        "The file holds macros. Save it as .xlsx in Excel or WPS, which leaves them out, and bring that."
    ),
    "links": _(
        "The file takes data from other files or from the network. Break these links (Data, Edit Links), or copy the "
        "cells into a new workbook as values, and bring that."
    ),
    "nested": _(
        "The file holds other files inside. Remove the embedded objects, save it and bring it again."
    ),
    "path": _(
        "The parts of the file have names that no spreadsheet program gives. Save it as .xlsx in Excel or WPS."
    ),
    "dtd": _(
        "The file holds instructions to its reader (DTD) that no spreadsheet needs. Save it as .xlsx in Excel or WPS."
    ),
    "xml_encoding": _(
        "The parts of the file are not in UTF-8. Save it as .xlsx in Excel or WPS and bring that."
    ),
    # how much is in it
    "entries": _("The file is made of too many parts. Copy the table into a new workbook and bring that."),
    "unpacked": _(
        "The file is too large once it is unpacked. Copy the table alone into a new workbook and bring that."
    ),
    "sheets": _("The file has more than %(sheets)d sheets. Bring only those with rows to enter."),
    "far": _(
        "The cell %(cell)s holds something beyond row %(last_row)d or beyond %(columns)d columns. Delete it if it is "
        "there by mistake; else split the sheet."
    ),
    "memory": _(
        "Reading the file would take too much memory. Copy the table alone into a new workbook and bring that."
    ),
    "time": _("Reading the file took too long. Copy the table alone into a new workbook and bring that."),
    "flaws": _(
        "Too many cells, up to %(cell)s, show errors or hold formulas without a value. Save the file in Excel or WPS "
        "and bring it again."
    ),
    "error_value": _("The cell %(cell)s shows the error %(text)s. Mend it and bring the file again."),
    # text
    "binary": _(
        "Line %(line)d holds characters that are no text. Save the file as .xlsx in Excel or WPS and bring that."
    ),
    "utf16": _("The file is in UTF-16. Save it as “CSV UTF-8” or as .xlsx and bring that."),
    "encoding": _(
        "Line %(line)d is neither in UTF-8 nor in GB18030. Save the file as “CSV UTF-8” or as .xlsx and bring that."
    ),
    "broken_text": _(
        "Line %(line)d holds a broken character. Save the file as “CSV UTF-8” or as .xlsx again and bring that."
    ),
    "quotes": _(
        "A quotation mark that is opened in row %(row)d or before is not closed. Mend it, or save the file as .xlsx."
    ),
    "long_cell": _(
        "A cell in row %(row)d holds more text than a spreadsheet can. Shorten it; perhaps a line break is missing."
    ),
}

ZIP, OLE = b"PK\3\4", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
# Files of other kinds that somebody may have renamed, and Excel's own from before 1997.
FOREIGN = (
    b"%PDF",
    b"\x89PNG",
    b"\xff\xd8\xff",
    b"GIF8",
    b"\x1f\x8b",
    b"Rar!",
    b"7z\xbc\xaf\x27\x1c",
    b"{\\rtf",
)
OLD = (b"\x09\x00\x04\x00", b"\x09\x02\x06\x00", b"\x09\x04\x06\x00", b"\x09\x08\x08\x00")
MARKUP = re.compile(rb"\s*<(?:\?xml|!doctype|html|head|table|meta|style)", re.IGNORECASE)
# What nothing that is embedded in a workbook may begin with: archives, old Office files, programs.
EMBEDDED = (ZIP, b"PK\5\6", OLE, b"Rar!", b"7z\xbc\xaf\x27\x1c", b"\x1f\x8b", b"MZ", b"\x7fELF", b"%PDF")
MACRO_TYPES = {"xlsm", "xlsb", "xltm", "xlam", "xla"}
OTHER_TYPES = {"xlt", "xltx", "et", "ett", "fods", "numbers", "dbf", "html", "htm", "xml", "txt"}
MACRO_PARTS = re.compile(
    r"(^|/)(vbaproject[^/]*|vbadata\.xml|jdedata\.bin)$|^xl/(macrosheets|dialogsheets|activex)/|^(basic|scripts)/"
)
LINK_PARTS = re.compile(r"^xl/(externallinks|querytables)/|^xl/connections[^/]*\.xml$")
OLE_MACROS = {"_vba_project_cur", "vba", "macros", "_vba_project"}
ODS_TYPE = b"application/vnd.oasis.opendocument.spreadsheet"
ODS_LINKS = re.compile(
    rb"<table:table-source|<table:cell-range-source|<office:dde-source|<table:dde-link|\[(?:'|&apos;)(?:file|https?|ftp|smb):|of:=DDE\("
)
CONTROL = re.compile(rb"[\x00-\x08\x0e-\x19\x1b-\x1f]")


def refused(unfit: Unfit, **more: Any) -> Refused:
    """What the user is told of it."""
    details: dict[str, Any] = {
        "cell": address(*unfit.at) if unfit.at else "",
        "sheet": unfit.sheet,
        "megabytes": MAX_BYTES >> 20,
        "last_row": LAST_ROW,
        "columns": MAX_COLUMNS,
        "sheets": MAX_SHEETS,
        **unfit.details,
        **more,
    }
    sentence = SENTENCES.get(unfit.code, SENTENCES["unreadable"])
    return Refused(unfit.code, sentence, sheet=unfit.sheet, cell=details["cell"], details=details)


def examine(path: Path, name: str) -> FileType:
    """The type of the file, told by its name and proven by its content; raises Refused.

    Costs about a tenth of reading it.
    """
    try:
        check_size(path.stat().st_size)
        file_type = type_of(name)
        with path.open("rb") as file:
            _examine(file, file_type)
    except Unfit as unfit:
        raise refused(unfit, named=PurePath(name).suffix[1:].lower()) from None
    return file_type


def check_size(size: int) -> None:
    """Raises Unfit."""
    if not size:
        raise Unfit("empty")
    if size > MAX_BYTES:
        raise Unfit("too_big")


def type_of(name: str) -> FileType:
    """By the name alone; raises Unfit."""
    ending = PurePath(name).suffix[1:].lower()
    if ending in MACRO_TYPES:
        raise Unfit("macro_type")
    if ending in OTHER_TYPES:
        raise Unfit("other_type")
    try:
        return FileType(ending)
    except ValueError:
        raise Unfit("type") from None


def _examine(file: BinaryIO, file_type: FileType) -> None:
    head = file.read(4096)
    if head.startswith(OLE):
        _examine_ole(file, file_type)
    elif head.startswith((ZIP, b"PK\5\6")):
        _examine_zip(file, file_type)
    elif file_type == FileType.CSV:
        _examine_text(file, head)
    elif head.startswith(OLD) and file_type == FileType.XLS:
        raise Unfit("other_type")
    else:
        # A page or a table in XML under the name of a workbook is usual with systems that export.
        raise Unfit(
            "renamed" if MARKUP.match(head) or head.startswith(FOREIGN) or head.isascii() else "damaged"
        )


# --- text ---------------------------------------------------------------------------------------------------------


def _examine_text(file: BinaryIO, head: bytes) -> None:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise Unfit("utf16")
    if head.startswith(FOREIGN) or MARKUP.match(head):
        raise Unfit("renamed")
    file.seek(0)
    line = 1
    while chunk := file.read(1 << 20):
        if found := CONTROL.search(chunk):
            raise Unfit("binary", line=line + chunk.count(b"\n", 0, found.start()))
        line += chunk.count(b"\n")


# --- .xls ---------------------------------------------------------------------------------------------------------


def _examine_ole(file: BinaryIO, file_type: FileType) -> None:
    import msoffcrypto
    import olefile

    try:
        with olefile.OleFileIO(file) as ole:
            names = {part.casefold() for path in ole.listdir(storages=True) for part in path}
            if "encryptedpackage" in names:
                raise Unfit("encrypted")
            stream = xls.stream_of(ole)
        if file_type != FileType.XLS:
            raise Unfit("renamed")
        if msoffcrypto.OfficeFile(file).is_encrypted():
            raise Unfit("encrypted")
    except Unfit:
        raise
    except (
        Exception
    ) as error:  # olefile and msoffcrypto answer a broken file with whatever it made them stumble over
        raise Unfit("damaged") from error
    if names & OLE_MACROS:
        raise Unfit("macros")
    if any(name.startswith("mbd") for name in names) or "\x01ole10native" in names:
        raise Unfit("nested")
    xls.check_globals(stream)


# --- .xlsx and .ods -----------------------------------------------------------------------------------------------


def _examine_zip(file: BinaryIO, file_type: FileType) -> None:
    archive = Archive(file)
    found = _type_inside(archive)
    for entry in archive.entries:
        name = entry.name.casefold()
        if MACRO_PARTS.search(name):
            raise Unfit("macros")
        if LINK_PARTS.search(name):
            raise Unfit("links")
    if found != file_type:
        raise Unfit("renamed")
    for entry in archive.entries:
        _examine_part(archive, entry)


def _type_inside(archive: Archive) -> FileType:
    mimetype = archive.named("mimetype")
    if mimetype is not None and archive.read(mimetype, 200).strip() == ODS_TYPE:
        manifest = archive.named("META-INF/manifest.xml")
        if manifest is None or archive.named("content.xml") is None:
            raise Unfit("damaged")
        if b":encryption-data" in archive.read(manifest, xlsx.MAX_WORKBOOK):
            raise Unfit("encrypted")
        return FileType.ODS
    types = archive.named("[Content_Types].xml")
    if types is None:
        raise Unfit("type")
    said = archive.read(types, xlsx.MAX_WORKBOOK).lower()
    if b"macroenabled" in said or b"vbaproject" in said:
        raise Unfit("macros")
    if b"spreadsheetml" not in said:
        raise Unfit("macro_type" if b"sheet.binary" in said else "type")
    return FileType.XLSX


def _examine_part(archive: Archive, entry: Entry) -> None:
    """Unpack the part piece by piece and look at what must not be in it."""
    name = entry.name.casefold()
    far, seam = None, b""
    for number, piece in enumerate(_checked(archive, entry)):
        if number == 0 and (b"<worksheet" in piece[:4096] or b":worksheet" in piece[:4096]):
            far = xlsx.Far()
        if far is not None:
            far.look(piece)
        if name == "content.xml":
            if ODS_LINKS.search(seam + piece):
                raise Unfit("links")
            seam = piece[-xlsx.LONGEST_TAG :]
    if name.endswith(".rels") and xlsx.outward(archive.pieces(entry)):
        raise Unfit("links")
    if far is not None and far.is_possible and (cell := xlsx.far_cell(archive.pieces(entry))):
        raise Unfit("far", sheet=_sheet_name(archive, entry), at=cell)


def _checked(archive: Archive, entry: Entry) -> Iterator[bytes]:
    """The pieces of a part; the first is looked at for what its kind must not begin with."""
    pieces = archive.pieces(entry)
    for head in pieces:
        if head.startswith(EMBEDDED):
            raise Unfit("nested")
        if looks_like_xml(entry.name, head):
            check_prolog(head)
        yield head
        break
    yield from pieces


def _sheet_name(archive: Archive, entry: Entry) -> str:
    return next((name for name, part in xlsx.parts(archive).sheets.items() if part == entry), "")
