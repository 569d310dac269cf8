"""What the reader does not tell of an .xls: links, macro sheets, hidden rows, errors.

The stream of a workbook is a row of records: type, length, data. See [MS-XLS].
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from reporting.uploads.limits import Unfit
from reporting.uploads.xlsx import ERRONEOUS, WITHOUT, Oddities

BOF, EOF = 0x0809, 0x000A
SUPBOOK, BOUNDSHEET, OBPROJ, DATEMODE = 0x01AE, 0x0085, 0x00D3, 0x0022
FORMULA, STRING, BOOLERR, ROW, CONTINUE = 0x0006, 0x0207, 0x0205, 0x0208, 0x003C
SHARED, ARRAY, TABLE = 0x04BC, 0x0221, 0x0236
# A SUPBOOK that stands for this workbook itself, or for functions of an add-in.
INWARD = {0x0401, 0x3A01}
WORKSHEET, MACRO_SHEET, VBA_MODULE = 0, 1, 6
ERRORS = {
    0x00: "#NULL!",
    0x07: "#DIV/0!",
    0x0F: "#VALUE!",
    0x17: "#REF!",
    0x1D: "#NAME?",
    0x24: "#NUM!",
    0x2A: "#N/A",
}
NAMES = ("Workbook", "Book")


def stream_of(ole: object) -> bytes:
    """The workbook's stream of an open olefile; Unfit if there is none."""
    for name in NAMES:
        if ole.exists(name):  # type: ignore[attr-defined]
            return bytes(ole.openstream(name).read())  # type: ignore[attr-defined]
    raise Unfit("type")


def check_globals(stream: bytes) -> None:
    """Refuse macros and links to other files; raises Unfit."""
    for kind, data in _records(stream, 0):
        if kind == OBPROJ or (
            kind == BOUNDSHEET and data[5:6] in (bytes([MACRO_SHEET]), bytes([VBA_MODULE]))
        ):
            raise Unfit("macros")
        if kind == SUPBOOK and (len(data) < 4 or _u16(data, 2) not in INWARD):
            raise Unfit("links")


def has_epoch_1904(stream: bytes) -> bool:
    return any(kind == DATEMODE and data[:2] == b"\1\0" for kind, data in _records(stream, 0))


def sheet_places(stream: bytes) -> list[int]:
    """Where each sheet's records begin, in the order of the workbook."""
    return [
        struct.unpack_from("<L", data)[0]
        for kind, data in _records(stream, 0)
        if kind == BOUNDSHEET and len(data) >= 8
    ]


def oddities(stream: bytes, begins: int) -> Oddities:
    """Hidden rows, errors and formulas without a value of the sheet that begins there."""
    found = Oddities()
    awaited: tuple[int, int] | None = None  # a formula whose text stands in the next record

    for kind, data in _records(stream, begins):
        if awaited and kind not in {SHARED, ARRAY, TABLE, CONTINUE}:
            if kind != STRING:
                found.note(*awaited, WITHOUT)
            awaited = None
        if kind == FORMULA and len(data) >= 14 and data[12:14] == b"\xff\xff":
            row, column = _u16(data, 0) + 1, _u16(data, 2)
            if data[6] == 0:
                awaited = row, column
            elif data[6] == 2:
                found.note(row, column, ERRONEOUS, ERRORS.get(data[8], "#?"))
        elif kind == BOOLERR and len(data) >= 8 and data[7]:
            found.note(_u16(data, 0) + 1, _u16(data, 2), ERRONEOUS, ERRORS.get(data[6], "#?"))
        elif kind == ROW and len(data) >= 14 and data[12] & 0x20:
            found.hide(_u16(data, 0) + 1)
    return found


def _records(stream: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    """The records of one substream, without those of charts inside it. Raises Unfit if it breaks off."""
    depth = 0
    while at + 4 <= len(stream):
        kind, length = struct.unpack_from("<2H", stream, at)
        data = stream[at + 4 : at + 4 + length]
        at += 4 + length
        if len(data) < length:
            break
        if kind == BOF:
            depth += 1
        elif kind == EOF:
            depth -= 1
            if depth <= 0:
                return
        elif depth <= 1:
            yield kind, data
    raise Unfit("damaged")


def _u16(data: bytes, at: int) -> int:
    return data[at] | data[at + 1] << 8
