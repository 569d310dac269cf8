"""Files as they really come: large, odd, careless; every row of them is read right or refused with its cell."""

from __future__ import annotations

import datetime as dt
import struct
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from reporting.uploads.limits import MAX_ROWS
from tests.reporting.uploads import raw_files as raw
from tests.reporting.uploads.cases import (
    AS_GOOD,
    DAY,
    GOOD,
    GOOD_XML,
    HEADERS,
    SHEET,
    STYLES,
    STYLES_RELATION,
    Later,
    activity,
    biff_rows,
    book,
    both,
    first,
    flaws,
    good,
    ods_rows,
    ods_said,
    plain_dates,
    read,
    serial,
    text,
    typed,
    with_dates,
)
from tests.reporting.uploads.raw_files import cell_xml, package, rows_xml, sheet_xml, write_zip

# --- large, and usual ---------------------------------------------------------------------------------------------


@read("空行.xlsx", AS_GOOD, Later(3))
def a_million_empty_rows(path: Path) -> None:
    """Formatted down to the last row of the sheet."""
    rows = rows_xml(plain_dates(GOOD))
    empty_rows = "".join(
        f'<row r="{row}" spans="1:2" ht="20" customHeight="1"><c r="A{row}" s="1"/><c r="B{row}" s="1"/></row>'
        for row in range(len(GOOD) + 1, 1_000_001)
    )
    write_zip(path, package({SHEET: sheet_xml(rows + empty_rows)}, parts=STYLES, relations=STYLES_RELATION))


@read("格式.xlsx", AS_GOOD, Later(3))
def formats_far_away(path: Path) -> None:
    far = '<row r="1048576"><c r="A1048576" s="1"/><c r="XFD1048576" s="1"></c></row>'
    wide = '<row r="60"><c r="XFC60" s="1"/><c r="XFD60" s="1"><v></v></c></row>'
    data = rows_xml(plain_dates(GOOD)) + wide + far
    before = '<dimension ref="A1:XFD1048576"/>'
    write_zip(path, package({SHEET: sheet_xml(data, before=before)}, parts=STYLES, relations=STYLES_RELATION))


@read(
    "满.xlsx",
    first(lambda sheet: len(sheet.rows) == MAX_ROWS + 1 and sheet.rows[-1][0] == f"邻里互助{MAX_ROWS}"),
)
def as_many_rows_as_may_be(path: Path) -> None:
    path.write_bytes(_full_book())


@cache
def _full_book() -> bytes:
    """Made once: it takes seconds, and several tests ask for it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "full.xlsx"
        book(path, [HEADERS, *good(MAX_ROWS)])
        return path.read_bytes()


@read("长.xlsx", first(lambda sheet: sheet.rows[1][9] == "长" * 32_767), Later(0, ("J2",)))
def longest_cell(path: Path) -> None:
    book(path, [HEADERS, activity(内容摘要="长" * 32_767)])


@read(
    "最后.xlsx",
    first(lambda sheet: len(sheet.rows) == 502 and sheet.rows[-1][0] == "邻里互助501"),
    Later(501),
)
def last_row(path: Path) -> None:
    book(path, [HEADERS, *good(501)])


# --- formulas, errors, merged and hidden --------------------------------------------------------------------------


def _formulas(prefix: str = "", space: str = "") -> str:
    """Three rows: values, a formula with a value, formulas without."""
    data = rows_xml([*plain_dates([HEADERS]), *plain_dates(good(2))]).replace(
        '<c r="I3"><v>32</v></c>', '<c r="I3"><f>I2+1</f></c>'
    )
    data = data.replace('<c r="I2"><v>31</v></c>', '<c r="I2"><f>15+16</f><v>31</v></c>')
    last = "".join(
        cell_xml(f"{raw.letters(at)}4", value) for at, value in enumerate(plain_dates([activity(3)])[0])
    )
    last = last.replace('<c r="I4"><v>33</v></c>', '<c r="I4"><f t="shared" si="0"/><v></v></c>')
    last = last.replace(
        '<c r="J4" t="inlineStr"><is><t>居民共同参与</t></is></c>',
        '<c r="J4" t="str"><f>IF(A4="","",A4)</f><v></v></c><c r="K4"><f>1+1</f><v/></c>',
    )
    data += f'<row r="4">{last}</row>'
    if space:
        data = data.replace("><c", f">{space}<c").replace("><f", f">{space}<f").replace("><v", f">{space}<v")
        data = data.replace("</c>", f"{space}</c>").replace("</row>", f"{space}</row>")
    xml = sheet_xml(data)
    if prefix:
        for tag in ("worksheet", "sheetData", "row", "c", "v", "f", "is", "t"):
            xml = xml.replace(f"<{tag} ", f"<x:{tag} ").replace(f"<{tag}>", f"<x:{tag}>")
            xml = xml.replace(f"<{tag}/>", f"<x:{tag}/>").replace(f"</{tag}>", f"</x:{tag}>")
        xml = xml.replace("xmlns=", "xmlns:x=")
    return xml


WITHOUT_VALUE = flaws(I3="", I4="", K4="")


@read("公式.xlsx", WITHOUT_VALUE, Later(1, ("I3", "I4")))
def formulas_without_value(path: Path) -> None:
    write_zip(path, with_dates({SHEET: _formulas()}))


@read("公式.xlsx", WITHOUT_VALUE, Later(1, ("I3", "I4")))
def formulas_without_value_indented(path: Path) -> None:
    write_zip(path, with_dates({SHEET: _formulas(space="\n    ")}))


@read("公式.xlsx", WITHOUT_VALUE, Later(1, ("I3", "I4")))
def formulas_without_value_prefixed(path: Path) -> None:
    """As the SDK of Microsoft writes it: every element with a prefix."""
    write_zip(path, with_dates({SHEET: _formulas(prefix="x")}))


@read("公式.xlsx", flaws(A5=""))
def formula_alone_in_the_last_row(path: Path) -> None:
    """A formula without a value stands where the reader sees nothing: the row must not be lost."""
    data = rows_xml(plain_dates(GOOD)) + '<row r="5"><c r="A5"><f>A4</f></c></row>'
    write_zip(path, with_dates({SHEET: sheet_xml(data)}))


@read("公式.xlsx", flaws(), Later(3))
def formulas_with_values(path: Path) -> None:
    def add(_book: Any, sheet: Any) -> None:
        for row, cells in enumerate(good(), 1):
            sheet.write_formula(row, 8, "=10+20", None, cells[8])

    book(path, GOOD, then=add)


@read("错误.xlsx", flaws(B2="#N/A", I3="#DIV/0!", A4="#REF!"), Later(0, ("B2", "I3", "A4")))
def error_cells(path: Path) -> None:
    data = rows_xml(plain_dates(GOOD))
    data = data.replace(
        '<c r="B2" t="inlineStr"><is><t>其他活动</t></is></c>',
        '<c r="B2" t="e"><f>VLOOKUP(1,A:A,1)</f><v>#N/A</v></c>',
    )
    data = data.replace('<c r="I3"><v>32</v></c>', '<c r="I3" t="e"><v>#DIV/0!</v></c>')
    data = data.replace(
        '<c r="A4" t="inlineStr"><is><t>邻里互助3</t></is></c>', '<c r="A4" t="e"><v>#REF!</v></c>'
    )
    write_zip(path, with_dates({SHEET: sheet_xml(data)}))


@read(
    "合并.xlsx",
    first(
        lambda sheet: (
            (1, 0, 1, 9) in sheet.merged and (4, 1, 5, 1) in sheet.merged and sheet.rows[4][1] is None
        )
    ),
)
def merged_cells(path: Path) -> None:
    """A title over all columns, a header in two lines, a value for two rows."""

    def add(workbook: Any, sheet: Any) -> None:
        sheet.merge_range(0, 0, 0, 9, "2026年3月活动台账", workbook.add_format())
        sheet.merge_range(3, 1, 4, 1, "其他活动", workbook.add_format())

    book(path, [["2026年3月活动台账"], [], HEADERS, *good(2)], then=add)


@read("隐藏.xlsx", first(lambda sheet: sheet.hidden_rows == {3} and len(sheet.rows) == 4))
def hidden_rows(path: Path) -> None:
    book(path, GOOD, then=lambda _book, sheet: sheet.set_row(2, options={"hidden": True}))


@read("隐藏.xlsx", lambda sheets: [sheet.is_hidden for sheet in sheets] == [False, True, True], Later(3))
def hidden_sheets(path: Path) -> None:
    def add(workbook: Any, _sheet: Any) -> None:
        workbook.add_worksheet("旧").hide()
        workbook.add_worksheet("更旧").very_hidden()

    book(path, GOOD, then=add)


@read("链接.xlsx", AS_GOOD, Later(3))
def hyperlinks(path: Path) -> None:
    """Addresses in cells lead outwards and are harmless."""
    book(
        path, GOOD, then=lambda _book, sheet: sheet.write_url(1, 7, "https://example.org/", string="文化礼堂")
    )


# --- the table itself ---------------------------------------------------------------------------------------------


@read("合计.xlsx", None, Later(3, left_out=2))
def totals_rows(path: Path) -> None:
    book(path, [*GOOD[:3], ["小计", *[None] * 7, 63], GOOD[3], ["合  计", *[None] * 7, 96]])


@read("重复表头.xlsx", None)
def duplicate_headers(path: Path) -> None:
    """Two columns of one name: which one counts must be asked."""
    book(path, [[*HEADERS, "主题"], *([*row, "另一个主题"] for row in good())])


@read(
    "表头.xlsx",
    first(lambda sheet: sheet.first_row == 4 and sheet.rows[0][:2] == ["城隍浦社区台账", None]),
    Later(3),
)
def title_and_blank_rows(path: Path) -> None:
    book(path, [[], [], [], ["城隍浦社区台账"], [], HEADERS, *good()])


@read("列序.xlsx", first(lambda sheet: sheet.rows[0][:3] == [None, None, "内容摘要"]), Later(3))
def other_order(path: Path) -> None:
    book(path, [[None, None, *reversed(HEADERS)], *([None, None, *reversed(row)] for row in good())])


@read("数字.xlsx", first(lambda sheet: sheet.rows[1][8] == "１２３"), Later(6, ("I6", "I8", "I9")))
def numbers_as_text(path: Path) -> None:
    """Full-width digits, separators, 万; and what is no number of people."""
    said = ["１２３", "1,234", "1.2万", "５０", "三十左右", " 88 ", "-5", "12.5", "约100"]
    rows = [activity(number, 参加人次=value) for number, value in enumerate(said, 1)]
    rows[8][8] = "100人"
    book(path, [HEADERS, *rows])


@read("负数.xlsx", first(lambda sheet: typed(sheet.rows[1][8]) == (int, -5)), Later(1, ("I2", "I3")))
def negative_numbers(path: Path) -> None:
    book(path, [HEADERS, activity(1, 参加人次=-5), activity(2, 参加人次=-0.5), activity(3)])


SIX_STYLES = ["2026/3/5", "2026-03-05", "2026.3.5", "2026年3月5日", "3月5日", "20260305"]


@read("日期.xlsx", first(lambda sheet: [row[4] for row in sheet.rows[1:7]] == SIX_STYLES), Later(6))
def dates_as_text(path: Path) -> None:
    """3月5日 takes its year from the period, 2026."""
    book(path, [HEADERS, *(activity(number, 日期=said) for number, said in enumerate(SIX_STYLES))])


@read("日期.xlsx", first(lambda sheet: sheet.rows[1][4] == DAY and not sheet.epoch_1904), Later(3))
def epoch_of_1900(path: Path) -> None:
    book(path, GOOD)


@read("日期.xlsx", first(lambda sheet: sheet.rows[1][4] == DAY and sheet.epoch_1904), Later(3))
def epoch_of_1904(path: Path) -> None:
    book(path, GOOD, options={"date_1904": True})


@read("日期.xlsx", first(lambda sheet: typed(sheet.rows[1][4]) == (int, serial(DAY))), Later(3))
def bare_serials(path: Path) -> None:
    write_zip(path, package({SHEET: GOOD_XML}))


@read("将来.xlsx", first(lambda sheet: sheet.rows[2][4].year == 2199), Later(1, ("E3", "E4")))
def future_dates(path: Path) -> None:
    """And one before the programme began."""
    days = [DAY, dt.date(2199, 1, 1), dt.date(1998, 5, 1)]
    book(path, [HEADERS, *(activity(number, 日期=day) for number, day in enumerate(days))])


@read(
    "身份证.xlsx",
    first(
        lambda sheet: (
            typed(sheet.rows[1][0]) == (float, 331002198001011e3) and sheet.rows[2][0] == "331002198001011234"
        )
    ),
)
def id_numbers_as_numbers(path: Path) -> None:
    """Excel keeps 15 digits of 18: as a number it comes as a float, which a field for text must refuse."""
    book(path, [HEADERS, activity(1, 主题=331002198001011000), activity(2, 主题="331002198001011234")])


@read(
    "值.xlsx",
    first(
        lambda sheet: (
            list(map(typed, sheet.rows[1][:9]))
            == list(
                map(
                    typed,
                    [
                        True,
                        0.15,
                        3,
                        2.5,
                        dt.datetime(2026, 3, 5, 9, 30),
                        dt.time(9, 30),
                        dt.timedelta(hours=30),
                        999999999999999,
                        1e15,
                    ],
                )
            )
        )
    ),
)
def every_sort_of_value(path: Path) -> None:
    def add(workbook: Any, sheet: Any) -> None:
        percent = workbook.add_format({"num_format": "0%"})
        sheet.write(1, 1, 0.15, percent)
        sheet.write(
            1, 4, dt.datetime(2026, 3, 5, 9, 30), workbook.add_format({"num_format": "yyyy-mm-dd hh:mm"})
        )
        sheet.write(1, 5, dt.time(9, 30), workbook.add_format({"num_format": "hh:mm"}))
        sheet.write(1, 6, 1.25, workbook.add_format({"num_format": "[h]:mm"}))

    book(path, [HEADERS, [True, None, 3, 2.5, None, None, None, 999999999999999, 10**15]], then=add)


@read(
    "字符.xlsx",
    first(lambda sheet: sheet.rows[1][9] == "一\r\n二\t三_x000D_四" and sheet.rows[1][7] == '"",""'),
)
def characters_of_excel(path: Path) -> None:
    said = '<c r="J2" t="inlineStr"><is><t xml:space="preserve">一_x000D_\n二\t三_x005F_x000D_四</t></is></c>'
    place = '<c r="H2" t="inlineStr"><is><t>"",""</t></is></c>'
    data = rows_xml([HEADERS]) + f'<row r="2"><c r="A2"><v>1</v></c>{place}{said}</row>'
    write_zip(path, package({SHEET: sheet_xml(data)}))


@read("顺序.xlsx", first(lambda sheet: sheet.rows == [["主题", "日期", "单位"], ["甲", None, "乙"]]))
def cells_that_do_not_say_where(path: Path) -> None:
    """Legal: then each cell stands right of the one before."""
    text_cell = '<c t="inlineStr"><is><t>{}</t></is></c>'
    header = "".join(text_cell.format(name) for name in ("主题", "日期", "单位"))
    data = f"<row>{header}</row><row>{text_cell.format('甲')}<c/>{text_cell.format('乙')}</row>"
    write_zip(path, package({SHEET: sheet_xml(data)}))


@read("空.xlsx", lambda sheets: [sheet.rows for sheet in sheets] == [[]])
def nothing_in_it(path: Path) -> None:
    book(path, [])


# --- text ---------------------------------------------------------------------------------------------------------


RARE = "䶮𠮷㐂龴ḿ𬭼"


@read(
    "台账.csv",
    first(lambda sheet: sheet.rows[1][0] == "邻里互助1" and sheet.rows[1][4] == "2026-03-05"),
    Later(3),
)
def csv_utf8(path: Path) -> None:
    text(path, GOOD)


@read("台账.csv", first(lambda sheet: sheet.rows[0] == HEADERS), Later(3))
def csv_utf8_with_mark(path: Path) -> None:
    text(path, GOOD, "utf-8-sig")


@read("台账.CSV", first(lambda sheet: sheet.rows[0] == HEADERS and sheet.rows[1][9] == RARE), Later(3))
def csv_gb18030_with_rare_characters(path: Path) -> None:
    text(path, [HEADERS, *(activity(number, 内容摘要=RARE) for number in (1, 2, 3))], "gb18030")


@read("台账.csv", first(lambda sheet: sheet.rows[1][9] == "龴"))
def csv_gbk_of_old_systems(path: Path) -> None:
    """FE59: a character of names that had no place in Unicode in 2000."""
    path.write_bytes(",".join(HEADERS).encode("gb18030") + b"\r\n" + b"a,,,,,,,,1,\xfe\x59\r\n")


@read("台账.csv", first(lambda sheet: sheet.rows[0] == HEADERS and sheet.rows[3][0] == "邻里互助3"), Later(3))
def csv_with_semicolons(path: Path) -> None:
    text(path, GOOD, delimiter=";")


@read("台账.csv", first(lambda sheet: sheet.rows[0] == HEADERS and sheet.rows[3][0] == "邻里互助3"), Later(3))
def csv_with_tabs(path: Path) -> None:
    text(path, GOOD, "gb18030", "\t")


@read("台账.csv", first(lambda sheet: sheet.rows == [["a,b", "c"], ["1", "2"]]))
def csv_that_names_its_separator(path: Path) -> None:
    path.write_text("sep=;\r\na,b;c\r\n1;2\r\n")


@read(
    "台账.csv",
    first(
        lambda sheet: (
            sheet.rows
            == [["主题", "编号", "说明"], ["“六个一”", "0012", '他说"好"'], [], ["两\n行", None, "完"]]
        )
    ),
)
def csv_of_every_sort(path: Path) -> None:
    path.write_text('主题,编号,说明\n“六个一”,="0012","他说""好"""\n\n"两\n行",,完\n,,\n\n', newline="")


@read("台账.csv", first(lambda sheet: sheet.rows[1] == ["六个一系列活动", "2026-03-05"]))
def csv_with_careless_quotes(path: Path) -> None:
    path.write_text('主题,日期\n"六个一"系列活动,2026-03-05\n')


@read("台账.csv", first(lambda sheet: sheet.rows[0][0] != "主题"), Later(0))
def mojibake(path: Path) -> None:
    """UTF-8 that a program took for GBK and wrote anew: no header is known in it, so that no row is read."""
    garbled = ",".join(HEADERS).encode().decode("gb18030", "replace")
    path.write_text(garbled + "\n" + "a," * 9 + "b\n")


# --- .xls and .ods ------------------------------------------------------------------------------------------------


@read("台账.xls", AS_GOOD, Later(3))
def xls(path: Path) -> None:
    path.write_bytes(raw.compound({"Workbook": raw.biff({SHEET: biff_rows(GOOD)})}))


@read("台账.xls", first(lambda sheet: sheet.rows[1][4] == DAY + dt.timedelta(days=1462) and sheet.epoch_1904))
def xls_epoch_of_1904(path: Path) -> None:
    path.write_bytes(raw.compound({"Workbook": raw.biff({SHEET: biff_rows(GOOD)}, epoch_1904=True)}))


@read(
    "台账.xls",
    both(
        flaws(A2="#N/A", B2="#DIV/0!", C2=""),
        lambda sheets: (
            sheets[0].hidden_rows == {3} and [sheet.is_hidden for sheet in sheets] == [False, True]
        ),
        first(lambda sheet: (2, 3, 2, 4) in sheet.merged and sheet.rows[1][3] is True),
    ),
)
def xls_of_every_sort(path: Path) -> None:
    def formula(column: int, result: bytes) -> bytes:
        return raw.record(
            0x0006, struct.pack("<3H", 1, column, 0) + result + struct.pack("<HLH", 0, 0, 3) + b"\x1e\1\0"
        )

    cells = (
        biff_rows([HEADERS])
        + raw.record(0x0205, struct.pack("<3HBB", 1, 0, 0, 0x2A, 1))
        + formula(1, bytes([2, 0, 7, 0, 0, 0, 0xFF, 0xFF]))
        + formula(2, bytes([0, 0, 0, 0, 0, 0, 0xFF, 0xFF]))  # a text, which then does not come
        + raw.biff_cell(1, 3, True)
        + raw.record(0x0208, struct.pack("<6HL", 2, 0, 3, 255, 0, 0, 0x20))
        + raw.biff_cell(2, 0, "隐藏")
        + raw.record(0x00E5, struct.pack("<5H", 1, 1, 1, 3, 4))
    )
    stream = raw.biff({SHEET: cells, "旧": biff_rows(GOOD)}, hidden=["旧"])
    path.write_bytes(raw.compound({"Workbook": stream}))


@read("台账.ods", AS_GOOD, Later(3))
def ods(path: Path) -> None:
    """With the repeated empty cells that LibreOffice writes down to the last row and column."""
    end = '<table:table-cell table:number-columns-repeated="16384"/>'
    rows = ods_rows(GOOD) + raw.ods_row([end], 'table:number-rows-repeated="1048570"') + raw.ods_row([end])
    write_zip(path, raw.ods_package(raw.ods_content({SHEET: rows})))


@read(
    "台账.ods",
    both(
        flaws(A4="", B4="#N/A", C4="Err:502"),
        lambda sheets: [sheet.is_hidden for sheet in sheets] == [False, True],
        first(lambda sheet: sheet.hidden_rows == {5, 6} and (1, 0, 2, 3) in sheet.merged),
        first(lambda sheet: sheet.rows[0] == ["标题  两\t格\n下一行"] and sheet.rows[1] == []),
        first(
            lambda sheet: (
                sheet.rows[2]
                == [True, 0.15, 7, None, None, 5, 5, dt.time(9, 30), dt.datetime(2026, 3, 5, 9, 30)]
            )
        ),
        first(lambda sheet: len(sheet.rows) == 7 and sheet.rows[6] == ["完"]),
    ),
)
def ods_of_every_sort(path: Path) -> None:
    title = (
        '<table:table-cell table:number-columns-spanned="4" table:number-rows-spanned="2" office:value-type="string">'
        '<office:annotation><text:p>批注</text:p></office:annotation><text:p>标题<text:s text:c="2"/>'
        "<text:span>两</text:span><text:tab/>格</text:p><text:p>下一行</text:p></table:table-cell>"
        '<table:covered-table-cell table:number-columns-repeated="3"/>'
    )
    values = raw.ods_row(
        [
            True,
            ods_said("percentage", 'office:value="0.15"', "15%"),
            7,
            '<table:table-cell table:number-columns-repeated="2"/>',
            raw.ods_cell(5, 'table:number-columns-repeated="2"'),
            ods_said("time", 'office:time-value="PT09H30M00S"', "9:30"),
            '<table:table-cell office:value-type="date" office:date-value="2026-03-05T09:30:00"/>',
        ]
    )
    odd = raw.ods_row(
        [
            '<table:table-cell table:formula="of:=1+1"/>',
            ods_said(
                "string", 'table:formula="of:=NA()" office:string-value="" calcext:value-type="error"', "#N/A"
            ),
            ods_said("float", 'office:value="0" table:formula="of:=A1"', "Err:502"),
        ]
    )
    covered = "<table:covered-table-cell><text:p>盖住的字</text:p></table:covered-table-cell>" * 4
    rows = (
        raw.ods_row([title])
        + raw.ods_row([covered])
        + values
        + odd
        + raw.ods_row([None], 'table:visibility="collapse" table:number-rows-repeated="2"')
        + raw.ods_row(["完"])
    )
    content = raw.ods_content({SHEET: rows, "旧": ods_rows(GOOD)}, hidden=["旧"])
    write_zip(path, raw.ods_package(content))
