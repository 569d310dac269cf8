"""Files that must not pass: too much, broken, or with something inside that no ledger needs."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

from reporting.uploads.limits import LAST_ROW, MAX_BYTES, MAX_COLUMNS, MAX_ROWS
from tests.reporting.uploads import raw_files as raw
from tests.reporting.uploads.cases import (
    GOOD,
    GOOD_XML,
    SHEET,
    Case,
    add_case,
    biff_rows,
    book,
    plain,
    refused,
    text,
    xlsx_bytes,
)
from tests.reporting.uploads.raw_files import package, rows_xml, sheet_xml, write_zip

# --- too much -----------------------------------------------------------------------------------------------------


BOMB = b" " * (1 << 20)


@cache
def _bomb() -> tuple[bytes, int, int]:
    """300 MB of nothing in 300 KB."""
    return raw.deflated(BOMB, 300)


@cache
def _small_parts() -> list[tuple[str, bytes, int, int]]:
    parts = package({SHEET: GOOD_XML})
    return [(name, *raw.deflated(content, 1)) for name, content in parts.items()]


@refused("bomb.xlsx", "unpacked")
def bomb_by_size(path: Path) -> None:
    path.write_bytes(raw.raw_zip([*_small_parts(), ("xl/worksheets/sheet2.xml", *_bomb())]))


@refused("bomb.xlsx", "unpacked")
def bomb_that_lies(path: Path) -> None:
    """It says that it unpacks to 1,000 bytes, and names the sum of those."""
    packed, _crc, _size = _bomb()
    path.write_bytes(
        raw.raw_zip([*_small_parts(), ("xl/media/a.png", packed, zlib.crc32(BOMB[:1000]), 1000)])
    )


@refused("bomb.ods", "unpacked")
def bomb_in_ods(path: Path) -> None:
    parts = [(name, *raw.deflated(part, 1)) for name, part in raw.ods_package(raw.ods_content({})).items()]
    path.write_bytes(raw.raw_zip([*parts, ("Pictures/a.svm", *_bomb())]))


@refused("entries.xlsx", "entries")
def bomb_by_entries(path: Path) -> None:
    packed = raw.deflated(b"<a/>", 1)
    path.write_bytes(
        raw.raw_zip([*_small_parts(), *((f"xl/a{number}.xml", *packed) for number in range(20_000))])
    )


@refused("entries.xlsx", "damaged")
def entries_that_lie(path: Path) -> None:
    packed = raw.deflated(b"<a/>", 1)
    path.write_bytes(
        raw.raw_zip([*_small_parts(), *((f"xl/a{number}.xml", *packed) for number in range(20_000))], said=10)
    )


@refused("overlap.xlsx", "damaged")
def entries_that_overlap(path: Path) -> None:
    """Two names for the same bytes: how a zip bomb becomes large without unpacking twice."""
    content = bytearray(raw.raw_zip(_small_parts()))
    at = content.rindex(b"PK\1\2")
    struct.pack_into("<L", content, at + 42, 0)
    path.write_bytes(content)


@refused("overlap.xlsx", "damaged")
def an_entry_inside_another(path: Path) -> None:
    """The second one is written out inside the bytes of the first, which is not packed."""
    inner = raw.raw_zip([("inner.xml", *raw.deflated(b"<a/>", 1))])
    inner = inner[: inner.index(b"PK\1\2")]
    name = b"outer.bin"
    outer = struct.pack("<5H3L2H", 20, 0, 0, 0, 0, zlib.crc32(inner), len(inner), len(inner), len(name), 0)
    content = b"PK\3\4" + outer + name + inner
    packed, crc, size = raw.deflated(b"<a/>", 1)
    within = struct.pack("<5H3L2H", 20, 0, 8, 0, 0, crc, len(packed), size, len(b"inner.xml"), 0)
    directory = b"PK\1\2\x14\0" + outer + struct.pack("<3H2L", 0, 0, 0, 0, 0) + name
    directory += (
        b"PK\1\2\x14\0" + within + struct.pack("<3H2L", 0, 0, 0, 0, content.index(inner)) + b"inner.xml"
    )
    end = struct.pack("<4H2LH", 0, 0, 2, 2, len(directory), len(content), 0)
    path.write_bytes(content + directory + b"PK\5\6" + end)


@refused("big.xlsx", "too_big")
def too_big(path: Path) -> None:
    path.write_bytes(b"PK\3\4" + b"\0" * MAX_BYTES)


@refused("empty.xlsx", "empty")
def empty(path: Path) -> None:
    path.write_bytes(b"")


@refused("corners.xlsx", "far", cell="XFD1048576")
def two_corners(path: Path) -> None:
    corners = '<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>2</v></c></row>'
    write_zip(path, package({SHEET: sheet_xml(corners)}))


@refused("corners.xlsx", "memory", by_reader=True)
def two_corners_in_other_words(path: Path) -> None:
    """XML that no spreadsheet program writes; the gate does not see it, the child's limit does."""
    corners = "<row><c r='A1'><v>1</v></c></row><row r='1048576'><c r='XFD1048576'><v>2</v></c></row>"
    write_zip(path, package({SHEET: sheet_xml(corners)}))


@refused("long.xlsx", "far", cell="A50101")
def one_row_too_many(path: Path) -> None:
    far = f'<row r="1"><c r="A1"><v>1</v></c></row><row r="{LAST_ROW + 1}"><c r="A{LAST_ROW + 1}"><v>2</v></c></row>'
    write_zip(path, package({SHEET: sheet_xml(far)}))


@refused("wide.xlsx", "far", cell="CW2")
def one_column_too_many(path: Path) -> None:
    write_zip(path, package({SHEET: sheet_xml(rows_xml([["a"], [1] * (MAX_COLUMNS + 1)]))}))


@refused("wide.xlsx", "far", cell="CW1", by_reader=True)
def one_column_too_many_untold(path: Path) -> None:
    """Cells that do not say where they stand."""
    write_zip(path, package({SHEET: sheet_xml("<row>" + "<c><v>1</v></c>" * (MAX_COLUMNS + 1) + "</row>")}))


@refused("strings.xlsx", "memory", by_reader=True)
def one_text_many_times(path: Path) -> None:
    """200,000 cells with the same 32,767 characters: 2 MB here, 19 GB in the reader."""
    cells = "".join(
        f'<row r="{row}">'
        + "".join(f'<c r="{raw.letters(at)}{row}" t="s"><v>0</v></c>' for at in range(10))
        + "</row>"
        for row in range(1, 20_001)
    )
    strings = (
        f'{raw.DECLARATION}<sst xmlns="{raw.MAIN}" count="1" uniqueCount="1"><si>'
        f"<t>{'字' * 32_767}</t></si></sst>"
    )
    relation = ("rId9", "sharedStrings", "sharedStrings.xml", False)
    write_zip(
        path,
        package({SHEET: sheet_xml(cells)}, parts={"xl/sharedStrings.xml": strings}, relations=[relation]),
    )


@refused("strings.xlsx", "memory", by_reader=True)
def strings_that_are_not_there(path: Path) -> None:
    """Four billion texts are announced, and the reader makes room for them at once."""
    strings = (
        f'{raw.DECLARATION}<sst xmlns="{raw.MAIN}" count="4294967295" uniqueCount="4294967295">'
        "<si><t>甲</t></si></sst>"
    )
    relation = ("rId9", "sharedStrings", "sharedStrings.xml", False)
    write_zip(path, package({SHEET: GOOD_XML}, parts={"xl/sharedStrings.xml": strings}, relations=[relation]))


@refused("merged.xlsx", "unreadable", by_reader=True)
def merged_without_end(path: Path) -> None:
    merged = "".join(f'<mergeCell ref="A{row}:B{row}"/>' for row in range(1, 150_000))
    write_zip(
        path, package({SHEET: sheet_xml(rows_xml(plain(GOOD)), after=f"<mergeCells>{merged}</mergeCells>")})
    )


@refused("sheets.xlsx", "sheets", by_reader=True)
def too_many_sheets(path: Path) -> None:
    write_zip(path, package({f"表{number}": GOOD_XML for number in range(150)}))


@refused("corners.xlsx", "memory", by_reader=True)
def two_near_corners_in_many_sheets(path: Path) -> None:
    """None goes beyond the last row or column; together they are 100 million cells."""
    corners = rows_xml([[1]]) + f'<row r="{MAX_ROWS}"><c r="CV{MAX_ROWS}"><v>2</v></c></row>'
    write_zip(path, package({f"表{number}": sheet_xml(corners) for number in range(20)}))


@refused("deep.xlsx", "unreadable", by_reader=True)
def deep_xml(path: Path) -> None:
    write_zip(
        path, package({SHEET: sheet_xml("<x>" * 400_000 + "</x>" * 400_000 + "<row><c><q/></c></row>")})
    )


@refused("repeated.ods", "far", cell="CW1", by_reader=True)
def repeated_columns_in_ods(path: Path) -> None:
    cell = raw.ods_cell("主题", 'table:number-columns-repeated="16384"')
    write_zip(path, raw.ods_package(raw.ods_content({SHEET: raw.ods_row([cell])})))


@refused("repeated.ods", "far", cell="A50101", by_reader=True)
def repeated_rows_in_ods(path: Path) -> None:
    row = raw.ods_row(["主题"], 'table:number-rows-repeated="1048576"')
    write_zip(path, raw.ods_package(raw.ods_content({SHEET: row})))


@refused("long.csv", "far", cell="B50101", by_reader=True)
def csv_with_too_many_rows(path: Path) -> None:
    path.write_bytes(b"a,b\n" * (LAST_ROW + 5))


@refused("wide.csv", "far", cell="CW2", by_reader=True)
def csv_with_too_many_columns(path: Path) -> None:
    path.write_text("主题,日期\n" + "1," * MAX_COLUMNS + "1\n")


# --- not what it says ---------------------------------------------------------------------------------------------


@refused("台账.xlsx", "renamed")
def xls_renamed(path: Path) -> None:
    path.write_bytes(raw.compound({"Workbook": raw.biff({SHEET: biff_rows(GOOD)})}))


@refused("台账.xls", "renamed")
def xlsx_renamed(path: Path) -> None:
    book(path, GOOD)


@refused("台账.xls", "renamed")
def web_page_renamed(path: Path) -> None:
    path.write_text("<html><body><table><tr><td>主题</td></tr></table></body></html>")


@refused("台账.xls", "renamed")
def xml_table_renamed(path: Path) -> None:
    path.write_text(
        '<?xml version="1.0"?><Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet"></Workbook>'
    )


@refused("台账.xls", "renamed")
def csv_renamed(path: Path) -> None:
    path.write_text("a,b\n1,2\n")


@refused("台账.csv", "renamed")
def xlsx_as_csv(path: Path) -> None:
    book(path, GOOD)


@refused("台账.xlsx", "renamed")
def pdf_renamed(path: Path) -> None:
    path.write_bytes(b"%PDF-1.7\n" + b"\xe2\xe3" * 50)


@refused("台账.xlsx", "type")
def word_renamed(path: Path) -> None:
    types = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
    parts = package(
        {},
        parts={
            "[Content_Types].xml": f'<Types><Override PartName="/word/document.xml" ContentType="{types}"/></Types>'
        },
    )
    write_zip(path, parts)


@refused("台账.docx", "type")
def other_name(path: Path) -> None:
    book(path, GOOD)


@refused("台账.et", "other_type")
def wps_name(path: Path) -> None:
    path.write_bytes(raw.compound({"Workbook": raw.biff({SHEET: biff_rows(GOOD)})}))


@refused("台账.xls", "other_type")
def before_1997(path: Path) -> None:
    path.write_bytes(b"\x09\x04\x06\x00\x00\x00\x10\x00" + b"\0" * 100)


# --- damaged ------------------------------------------------------------------------------------------------------


@refused("台账.xlsx", "damaged")
def truncated(path: Path) -> None:
    content = xlsx_bytes(GOOD)
    path.write_bytes(content[: len(content) // 2])


@refused("台账.xlsx", "damaged")
def truncated_at_the_end(path: Path) -> None:
    path.write_bytes(xlsx_bytes(GOOD)[:-30])


@refused("台账.xlsx", "damaged")
def wrong_sum(path: Path) -> None:
    parts = [
        (name, packed, crc ^ (name.endswith("sheet1.xml")), size)
        for name, packed, crc, size in _small_parts()
    ]
    path.write_bytes(raw.raw_zip(parts))


@refused("台账.xlsx", "damaged")
def something_before_it(path: Path) -> None:
    path.write_bytes(b"PK\3\4 and a greeting" + xlsx_bytes(GOOD))


@refused("台账.xlsx", "damaged")
def something_behind_it(path: Path) -> None:
    path.write_bytes(xlsx_bytes(GOOD) + b"\0\0\0\0")


@refused("台账.xlsx", "damaged")
def something_between(path: Path) -> None:
    """Behind the list of parts and before the end of it, where other readers may find another list."""
    content = xlsx_bytes(GOOD)
    at = content.rindex(b"PK\5\6")
    path.write_bytes(content[:at] + b"PK\6\6" + b"\0" * 50 + content[at:])


@refused("台账.xlsx", "damaged")
def empty_zip(path: Path) -> None:
    path.write_bytes(b"PK\5\6" + b"\0" * 17)


@refused("台账.xlsx", "type")
def zip_of_nothing(path: Path) -> None:
    path.write_bytes(b"PK\5\6" + b"\0" * 18)


@refused("台账.xlsx", "damaged", by_reader=True)
def broken_xml(path: Path) -> None:
    write_zip(path, package({SHEET: GOOD_XML[:-60]}))


@refused("台账.xlsx", "damaged", by_reader=True)
def sheet_that_is_not_there(path: Path) -> None:
    parts = package({SHEET: GOOD_XML})
    del parts["xl/worksheets/sheet1.xml"]
    write_zip(path, parts)


@refused("台账.xls", "damaged")
def truncated_xls(path: Path) -> None:
    path.write_bytes(raw.compound({"Workbook": raw.biff({SHEET: biff_rows(GOOD)})})[:1500])


@refused("台账.xls", "damaged")
def xls_of_zeros(path: Path) -> None:
    path.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 4000)


@refused("台账.ods", "damaged", by_reader=True)
def truncated_xml_in_ods(path: Path) -> None:
    """On this calamine would not end."""
    content = raw.ods_content({SHEET: raw.ods_row(["主题", 1])})
    write_zip(path, raw.ods_package(content[: content.index("</table:table-row>")]))


# --- what must not be in it ---------------------------------------------------------------------------------------


@refused("台账.xlsx", "encrypted")
def encrypted(path: Path) -> None:
    from msoffcrypto.format.ooxml import OOXMLFile

    with path.open("wb") as file:
        OOXMLFile(io.BytesIO(xlsx_bytes(GOOD))).encrypt("secret", file)


@refused("台账.xls", "encrypted")
def encrypted_xls(path: Path) -> None:
    locked = raw.record(0x002F, struct.pack("<3H16s16s16s", 1, 1, 1, b"a" * 16, b"b" * 16, b"c" * 16))
    path.write_bytes(raw.compound({"Workbook": raw.biff({SHEET: biff_rows(GOOD)}, globals_=locked)}))


@refused("台账.xlsx", "encrypted")
def encrypted_zip(path: Path) -> None:
    path.write_bytes(raw.raw_zip(_small_parts(), flags=1))


@refused("台账.ods", "encrypted")
def encrypted_ods(path: Path) -> None:
    entry = '<manifest:file-entry manifest:full-path="content.xml"><manifest:encryption-data/></manifest:file-entry>'
    write_zip(path, raw.ods_package(b"\x8a\x01 no xml", manifest=entry))


@refused("台账.xlsm", "macro_type")
def macro_name(path: Path) -> None:
    book(path, GOOD)


@refused("台账.xlsx", "macros")
def macro_project(path: Path) -> None:
    write_zip(path, package({SHEET: GOOD_XML}, parts={"xl/vbaProject.bin": raw.compound({"dir": b"VBA"})}))


@refused("台账.xlsx", "macros")
def macro_content_type(path: Path) -> None:
    parts = package({SHEET: GOOD_XML})
    types = parts["[Content_Types].xml"].replace(
        b"openxmlformats-officedocument.spreadsheetml.sheet.main", b"ms-excel.sheet.macroEnabled.main"
    )
    write_zip(path, {**parts, "[Content_Types].xml": types})


@refused("台账.xlsx", "macros")
def macro_sheet(path: Path) -> None:
    write_zip(path, package({SHEET: GOOD_XML}, parts={"xl/macrosheets/sheet1.xml": "<macrosheet/>"}))


@refused("台账.xls", "macros")
def macros_in_xls(path: Path) -> None:
    path.write_bytes(raw.compound({"Workbook": raw.biff({SHEET: biff_rows(GOOD)})}, ["_VBA_PROJECT_CUR"]))


@refused("台账.xls", "macros")
def macro_sheet_in_xls(path: Path) -> None:
    sheets = {SHEET: biff_rows(GOOD), "宏": raw.biff_cell(0, 0, "=EXEC()")}
    path.write_bytes(raw.compound({"Workbook": raw.biff(sheets, kinds={"宏": 1})}))


@refused("台账.ods", "macros")
def macros_in_ods(path: Path) -> None:
    write_zip(path, raw.ods_package(raw.ods_content({}), {"Basic/Standard/Module1.xml": b"<module/>"}))


@refused("台账.xlsx", "links")
def external_link(path: Path) -> None:
    link = raw.relations_xml([("rId1", "externalLinkPath", "file:///C:/other.xlsx", True)])
    write_zip(
        path,
        package(
            {SHEET: GOOD_XML},
            parts={
                "xl/externalLinks/externalLink1.xml": "<externalLink/>",
                "xl/externalLinks/_rels/externalLink1.xml.rels": link,
            },
            relations=[("rId7", "externalLink", "externalLinks/externalLink1.xml", False)],
        ),
    )


@refused("台账.xlsx", "links")
def picture_from_the_network(path: Path) -> None:
    link = raw.relations_xml([("rId1", "image", "http://example.org/a.png", True)])
    write_zip(path, package({SHEET: GOOD_XML}, parts={"xl/drawings/_rels/drawing1.xml.rels": link}))


@refused("台账.xlsx", "links")
def data_connection(path: Path) -> None:
    write_zip(path, package({SHEET: GOOD_XML}, parts={"xl/connections.xml": "<connections/>"}))


@refused("台账.ods", "links")
def external_link_in_ods(path: Path) -> None:
    cell = '<table:table-cell table:formula="of:=[&apos;file:///tmp/a.ods&apos;#$Sheet1.A1]"/>'
    write_zip(path, raw.ods_package(raw.ods_content({SHEET: raw.ods_row([cell])})))


@refused("台账.xls", "links")
def external_link_in_xls(path: Path) -> None:
    link = raw.record(0x01AE, struct.pack("<2HB", 1, 9, 0) + b"\x01other.xls")
    path.write_bytes(raw.compound({"Workbook": raw.biff({SHEET: biff_rows(GOOD)}, globals_=link)}))


DTD = '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'


@refused("台账.xlsx", "dtd")
def dtd_in_sheet(path: Path) -> None:
    write_zip(path, package({SHEET: GOOD_XML.replace("<worksheet", f"<!-- a --><?b c?>{DTD}<worksheet", 1)}))


@refused("台账.xlsx", "dtd")
def dtd_in_another_part(path: Path) -> None:
    external = '<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>'
    write_zip(path, package({SHEET: GOOD_XML}, parts={"customXml/item1.xml": external}))


@refused("台账.ods", "dtd")
def dtd_in_ods(path: Path) -> None:
    content = raw.ods_content({SHEET: raw.ods_row(["主题"])}).replace(
        "<office:document", f"{DTD}<office:document", 1
    )
    write_zip(path, raw.ods_package(content))


@refused("台账.xlsx", "xml_encoding")
def utf16_with_dtd(path: Path) -> None:
    xml = GOOD_XML.replace("UTF-8", "UTF-16").replace("<worksheet", f"{DTD}<worksheet", 1)
    write_zip(path, package({SHEET: xml.encode("utf-16")}))


@refused("台账.xlsx", "xml_encoding")
def utf16_without_mark(path: Path) -> None:
    write_zip(path, package({SHEET: f"{DTD}{GOOD_XML[len(raw.DECLARATION) :]}".encode("utf-16-be")}))


@refused("台账.xlsx", "xml_encoding")
def other_declared_encoding(path: Path) -> None:
    """Bytes that are plain ASCII for whoever does not look, and a DTD in UTF-7."""
    xml = '<?xml version="1.0" encoding="utf-7"?>+ADwAIQ-DOCTYPE a+AD4-<a/>'
    write_zip(path, package({SHEET: GOOD_XML}, parts={"xl/theme/theme1.xml": xml}))


@refused("台账.xlsx", "nested")
def nested_zip(path: Path) -> None:
    write_zip(path, package({SHEET: GOOD_XML}, parts={"xl/embeddings/a.xlsx": xlsx_bytes(GOOD)}))


@refused("台账.xlsx", "nested")
def nested_object(path: Path) -> None:
    write_zip(
        path, package({SHEET: GOOD_XML}, parts={"xl/embeddings/oleObject1.bin": raw.compound({"a": b"a"})})
    )


def _with_path(name: str) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.write_bytes(raw.raw_zip([*_small_parts(), (name, *raw.deflated(b"<a/>", 1))]))

    return make


for _name, _path in {
    "path_upwards": "../../etc/cron.d/a",
    "path_absolute": "/etc/passwd",
    "path_with_backslash": "xl\\..\\..\\a.xml",
    "path_of_a_drive": "C:/a.xml",
    "path_with_nul": "xl/a\0.xml",
    "path_twice": "XL/workbook.xml",
}.items():
    add_case(Case(_name, "台账.xlsx", "refused", _with_path(_path), "path"))


@refused("台账.csv", "binary")
def nul_in_csv(path: Path) -> None:
    path.write_bytes("主题,日期\n活\0动,2026-03-05\n".encode())


@refused("台账.csv", "renamed")
def picture_as_csv(path: Path) -> None:
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 100)


@refused("台账.csv", "utf16")
def utf16_csv(path: Path) -> None:
    text(path, GOOD, "utf-16", "\t")


@refused("台账.csv", "encoding", by_reader=True)
def neither_encoding(path: Path) -> None:
    path.write_bytes("主题,日期\n".encode("gb18030") + b"\xff\xff\xff,1\n")


@refused("台账.csv", "broken_text", by_reader=True)
def broken_utf8(path: Path) -> None:
    path.write_bytes(
        "主题,日期\n邻里互助,2026-03-05\n文化\n".encode() + "礼堂".encode()[:-1] + "\n结束\n".encode()
    )


@refused("台账.csv", "quotes", by_reader=True)
def open_quote(path: Path) -> None:
    """Every row behind it would be lost in one cell."""
    path.write_text('主题,日期\n"邻里互助,2026-03-05\n文化,2026-03-06\n最后,2026-03-07\n')


@refused("台账.csv", "quotes", by_reader=True)
def open_quote_in_a_long_file(path: Path) -> None:
    path.write_text('主题,日期\n"邻里互助,2026-03-05\n' + "文化,2026-03-06\n" * 20_000)


@refused("台账.csv", "long_cell", by_reader=True)
def long_text_on_one_line(path: Path) -> None:
    path.write_text("主题,日期\n" + "文" * 140_000 + ",2026-03-06\n")


@refused("台账.xlsx", "error_value", cell="A2", by_reader=True)
def error_unknown_to_the_reader(path: Path) -> None:
    cells = '<row r="1"><c r="A1"><v>1</v></c></row><row r="2"><c r="A2" t="e"><v>#SPILL!</v></c></row>'
    write_zip(path, package({SHEET: sheet_xml(cells)}))
