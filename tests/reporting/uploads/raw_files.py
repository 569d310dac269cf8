"""Spreadsheet files by hand: packages of XML, .ods, and .xls as far as tests need it."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from xml.sax.saxutils import escape

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
DECLARATION = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
Value = str | int | float | bool | None


class Dated(int):
    """A serial number in a cell of style 1, which is that of dates."""


# --- .xlsx --------------------------------------------------------------------------------------------------------


def letters(column: int) -> str:
    name = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        name = chr(65 + rest) + name
    return name


def cell_xml(reference: str, value: Value) -> str:
    if isinstance(value, Dated):
        return f'<c r="{reference}" s="1"><v>{int(value)}</v></c>'
    if isinstance(value, bool):
        return f'<c r="{reference}" t="b"><v>{int(value)}</v></c>'
    if isinstance(value, int | float):
        return f'<c r="{reference}"><v>{value}</v></c>'
    if value is None:
        return ""
    return f'<c r="{reference}" t="inlineStr"><is><t>{escape(value)}</t></is></c>'


def rows_xml(rows: Iterable[Iterable[Value]], first_row: int = 1) -> str:
    return "".join(
        f'<row r="{number}">'
        + "".join(cell_xml(f"{letters(column)}{number}", value) for column, value in enumerate(row))
        + "</row>"
        for number, row in enumerate(rows, first_row)
    )


def sheet_xml(data: str, *, before: str = "", after: str = "") -> str:
    root = f'<worksheet xmlns="{MAIN}" xmlns:r="{OFFICE}">'
    return f"{DECLARATION}{root}{before}<sheetData>{data}</sheetData>{after}</worksheet>"


def relations_xml(relations: Iterable[tuple[str, str, str, bool]]) -> str:
    """(id, kind, target, is external)."""
    listed = "".join(
        f'<Relationship Id="{number}" Type="{OFFICE}/{kind}" Target="{target}"'
        + (' TargetMode="External"/>' if external else "/>")
        for number, kind, target, external in relations
    )
    return f'{DECLARATION}<Relationships xmlns="{RELATIONS}">{listed}</Relationships>'


def package(
    sheets: Mapping[str, str | bytes],
    *,
    parts: Mapping[str, str | bytes] | None = None,
    hidden: Iterable[str] = (),
    relations: Iterable[tuple[str, str, str, bool]] = (),
    epoch_1904: bool = False,
) -> dict[str, bytes]:
    """The parts of a workbook with these sheets (name: XML); `parts` adds or replaces."""
    listed = "".join(
        f'<sheet name="{escape(name)}" sheetId="{number}" r:id="rId{number}"'
        + (' state="hidden"/>' if name in hidden else "/>")
        for number, name in enumerate(sheets, 1)
    )
    epoch = ' date1904="1"' if epoch_1904 else ""
    types = "".join(
        f'<Override PartName="/xl/worksheets/sheet{number}.xml" '
        'ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/>'
        for number in range(1, len(sheets) + 1)
    )
    found: dict[str, str | bytes] = {
        "[Content_Types].xml": f'{DECLARATION}<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="xml" ContentType="application/xml"/><Override PartName="/xl/workbook.xml" '
        f'ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>{types}</Types>',
        "_rels/.rels": relations_xml([("rId1", "officeDocument", "xl/workbook.xml", False)]),
        "xl/workbook.xml": f'{DECLARATION}<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}">'
        f"<workbookPr{epoch}/><sheets>{listed}</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": relations_xml(
            [
                *(
                    (f"rId{number}", "worksheet", f"worksheets/sheet{number}.xml", False)
                    for number in range(1, len(sheets) + 1)
                ),
                *relations,
            ]
        ),
        **{f"xl/worksheets/sheet{number}.xml": xml for number, xml in enumerate(sheets.values(), 1)},
        **(parts or {}),
    }
    return {
        name: content.encode() if isinstance(content, str) else content for name, content in found.items()
    }


def write_zip(path: Path, parts: Mapping[str, bytes] | Iterable[tuple[str, bytes]]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items() if isinstance(parts, Mapping) else parts:
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)


def deflated(piece: bytes, times: int) -> tuple[bytes, int, int]:
    """So many times the piece, packed without ever being held as a whole: the bytes, their sum, the true size."""
    packer, packed, crc = zlib.compressobj(6, zlib.DEFLATED, -15), [], 0
    for _time in range(times):
        packed.append(packer.compress(piece))
        crc = zlib.crc32(piece, crc)
    packed.append(packer.flush())
    return b"".join(packed), crc, len(piece) * times


def raw_zip(
    entries: Iterable[tuple[str, bytes, int, int]], *, flags: int = 0, said: int | None = None
) -> bytes:
    """A zip of packed entries (name, packed bytes, sum, declared size); `said`: the number that the end tells."""
    body, directory, number = b"", b"", 0
    for name, packed, crc, size in entries:
        common = struct.pack("<5H3L2H", 20, flags, 8, 0, 0, crc, len(packed), size, len(name.encode()), 0)
        directory += b"PK\1\2\x14\0" + common + struct.pack("<3H2L", 0, 0, 0, 0, len(body)) + name.encode()
        body += b"PK\3\4" + common + name.encode() + packed
        number += 1
    number = number if said is None else said
    return (
        body
        + directory
        + b"PK\5\6"
        + struct.pack("<4H2LH", 0, 0, number, number, len(directory), len(body), 0)
    )


# --- .ods ---------------------------------------------------------------------------------------------------------

ODS_TYPE = "application/vnd.oasis.opendocument.spreadsheet"
_SPACE = "urn:oasis:names:tc:opendocument:xmlns:"
ODS_SPACES = " ".join(
    f'xmlns:{name}="{space}"'
    for name, space in {
        "office": f"{_SPACE}office:1.0",
        "table": f"{_SPACE}table:1.0",
        "text": f"{_SPACE}text:1.0",
        "style": f"{_SPACE}style:1.0",
        "xlink": "http://www.w3.org/1999/xlink",
        "calcext": "urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0",
    }.items()
)


def ods_cell(value: Value, attributes: str = "") -> str:
    if value is None:
        return f"<table:table-cell {attributes}/>"
    if isinstance(value, bool):
        kind, said = (
            f'office:value-type="boolean" office:boolean-value="{str(value).lower()}"',
            str(value).upper(),
        )
    elif isinstance(value, int | float):
        kind, said = f'office:value-type="float" office:value="{value}"', str(value)
    else:
        kind, said = 'office:value-type="string"', escape(value)
    return f"<table:table-cell {kind} {attributes}><text:p>{said}</text:p></table:table-cell>"


def ods_row(cells: Iterable[Value | str], attributes: str = "") -> str:
    """Values, or cells that are XML already."""
    inside = "".join(
        cell if isinstance(cell, str) and cell.startswith("<") else ods_cell(cell) for cell in cells
    )
    return f"<table:table-row {attributes}>{inside}</table:table-row>"


def ods_content(
    tables: Mapping[str, str], *, styles: str = "", settings: str = "", hidden: Iterable[str] = ()
) -> str:
    inside = "".join(
        f'<table:table table:name="{escape(name)}" table:style-name="{"gone" if name in hidden else "shown"}">'
        f"{rows}</table:table>"
        for name, rows in tables.items()
    )
    return (
        f"{DECLARATION}<office:document-content {ODS_SPACES}><office:automatic-styles>"
        '<style:style style:name="gone"><style:table-properties table:display="false"/></style:style>'
        f"{styles}</office:automatic-styles><office:body><office:spreadsheet>{settings}{inside}"
        "</office:spreadsheet></office:body></office:document-content>"
    )


def ods_package(
    content: str | bytes, parts: Mapping[str, bytes] | None = None, manifest: str = ""
) -> dict[str, bytes]:
    entries = (
        manifest or '<manifest:file-entry manifest:full-path="content.xml" manifest:media-type="text/xml"/>'
    )
    return {
        "mimetype": ODS_TYPE.encode(),
        "META-INF/manifest.xml": (
            f'{DECLARATION}<manifest:manifest xmlns:manifest="{_SPACE}manifest:1.0">{entries}</manifest:manifest>'
        ).encode(),
        "content.xml": content.encode() if isinstance(content, str) else content,
        **(parts or {}),
    }


# --- .xls ---------------------------------------------------------------------------------------------------------

SECTOR = 512
FREE, END, FAT = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD


def compound(streams: Mapping[str, bytes], storages: Iterable[str] = ()) -> bytes:
    """An OLE file with these streams and empty storages at its root. Streams are filled up to 4,096 bytes."""
    sectors: list[bytes] = []
    chain: list[int] = []

    def add(content: bytes) -> int:
        first, count = len(sectors), -(-len(content) // SECTOR)
        sectors.extend(
            content[at : at + SECTOR].ljust(SECTOR, b"\0") for at in range(0, len(content), SECTOR)
        )
        chain.extend([*range(first + 1, first + count), END])
        return first

    def entry(name: str, kind: int, right: int, child: int, first: int, size: int) -> bytes:
        raw = name.encode("utf-16-le") + b"\0\0"
        return struct.pack(
            "<64sHBB3L16sL16sLQ", raw, len(raw), kind, 1, FREE, right, child, b"", 0, b"", first, size
        )

    places = {}
    for name, content in streams.items():
        content = content.ljust(4096, b"\0")
        places[name] = (add(content), len(content))
    names = [*places, *storages]
    listed = [entry("Root Entry", 5, FREE, 1 if names else FREE, END, 0)]
    for number, name in enumerate(names, 1):
        right = number + 1 if number < len(names) else FREE
        first, size = places.get(name, (END, 0))
        listed.append(entry(name, 2 if name in places else 1, right, FREE, first, size))
    directory = add(b"".join(listed).ljust(-(-len(listed) // 4) * SECTOR, b"\0"))
    fats = 1
    while (len(chain) + fats) * 4 > fats * SECTOR:
        fats += 1
    first_fat = len(sectors)
    chain.extend([FAT] * fats)
    table = struct.pack(f"<{len(chain)}L", *chain).ljust(fats * SECTOR, b"\xff")
    # Sectors of the directory (not said), of the table, the directory, a signature, from which size on streams stand in
    # sectors of their own, then that there is no small table and no second list of tables.
    numbers = (0, fats, directory, 0, 4096, END, 0, END, 0)
    signature = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
    header = struct.pack("<8s16s5H6x9L", signature, b"", 0x3E, 3, 0xFFFE, 9, 6, *numbers)
    listed_fats = [*range(first_fat, first_fat + fats)] + [FREE] * (109 - fats)
    return header + struct.pack("<109L", *listed_fats) + b"".join(sectors) + table


def record(kind: int, data: bytes = b"") -> bytes:
    return struct.pack("<2H", kind, len(data)) + data


def bof(kind: int) -> bytes:
    return record(0x0809, struct.pack("<4H2L", 0x0600, kind, 0x0DBB, 0x07CC, 0, 6))


def biff_cell(row: int, column: int, value: Value, style: int = 0) -> bytes:
    """A cell of BIFF8; style 1 is a date."""
    place = struct.pack("<3H", row, column, style)
    if value is None:
        return b""
    if isinstance(value, bool):
        return record(0x0205, place + bytes([value, 0]))
    if isinstance(value, int | float):
        return record(0x0203, place + struct.pack("<d", value))
    return record(0x0204, place + struct.pack("<HB", len(value), 1) + value.encode("utf-16-le"))


def biff(
    sheets: Mapping[str, bytes],
    *,
    hidden: Iterable[str] = (),
    kinds: Mapping[str, int] | None = None,
    globals_: bytes = b"",
    epoch_1904: bool = False,
) -> bytes:
    """A workbook's stream; the sheets are records of cells."""
    head = bof(0x0005) + record(0x0042, b"\xb0\x04") + record(0x0022, bytes([epoch_1904, 0])) + globals_
    for number in (0, 14):
        head += record(0x00E0, struct.pack("<2H16x", 0, number))
    bodies = [bof(0x0010) + cells + record(0x000A) for cells in sheets.values()]
    raw = [name.encode("utf-16-le") for name in sheets]
    at = len(head) + sum(4 + 8 + len(name) for name in raw) + 4
    bounds = b""
    for number, name in enumerate(sheets):
        about = struct.pack("<LBBBB", at, int(name in hidden), (kinds or {}).get(name, 0), len(name), 1)
        bounds += record(0x0085, about + raw[number])
        at += len(bodies[number])
    return head + bounds + record(0x000A) + b"".join(bodies)
