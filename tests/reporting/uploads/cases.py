"""What the corpus is made of: cases, and how files are written."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import xlsxwriter

from tests.reporting.uploads import raw_files as raw
from tests.reporting.uploads.raw_files import Dated, Value, package, rows_xml, sheet_xml

HEADERS = [
    "主题",
    "所属系列",
    "节庆名称",
    "开展场所",
    "日期",
    "单位",
    "协办单位",
    "地点",
    "参加人次",
    "内容摘要",
]
UNIT = "城隍浦社区"
DAY = dt.date(2026, 3, 5)
SHEET = "活动台账"


@dataclass(frozen=True)
class Later:
    """What checking makes of the rows; read = accepted + refused rows + left_out."""

    accepted: int
    refused: tuple[str, ...] = ()  # cells, one or more of each refused row
    left_out: int = 0


@dataclass(frozen=True)
class Case:
    """A file, and what must become of it; see tests/reporting/uploads/corpus.py."""

    name: str
    file: str
    expect: str
    make: Callable[[Path], None] = field(repr=False)
    code: str = ""
    cell: str = ""
    at_gate: bool = True
    seen: Callable[[Any], bool] | None = field(default=None, repr=False)
    later: Later | None = None


CASES: dict[str, Case] = {}


def refused(file: str, code: str, *, cell: str = "", by_reader: bool = False) -> Callable[[Any], Any]:
    """A file that must not pass."""

    def add(make: Callable[[Path], None]) -> Callable[[Path], None]:
        add_case(Case(make.__name__, file, "refused", make, code, cell, at_gate=not by_reader))
        return make

    return add


def read(
    file: str, seen: Callable[[Any], bool] | None = None, later: Later | None = None
) -> Callable[[Any], Any]:
    """A file that must be read; `seen` is asked of the list of its sheets."""

    def add(make: Callable[[Path], None]) -> Callable[[Path], None]:
        add_case(Case(make.__name__, file, "rows", make, seen=seen, later=later))
        return make

    return add


def add_case(case: Case) -> None:
    assert case.name not in CASES
    CASES[case.name] = case


# --- rows and files -----------------------------------------------------------------------------------------------


def activity(number: int = 1, **values: Any) -> list[Any]:
    """The cells of a good row, in the order of HEADERS; `values` by header replace some."""
    row: dict[str, Any] = dict.fromkeys(HEADERS)
    row |= {
        "主题": f"邻里互助{number}",
        "所属系列": "其他活动",
        "开展场所": "社区",
        "日期": DAY,
        "单位": UNIT,
    }
    row |= {"地点": "文化礼堂", "参加人次": 30 + number, "内容摘要": "居民共同参与"}
    return list((row | values).values())


def good(count: int = 3) -> list[list[Any]]:
    return [activity(number) for number in range(1, count + 1)]


def serial(day: dt.date) -> int:
    return (day - dt.date(1899, 12, 30)).days


def plain(rows: Iterable[Sequence[Any]]) -> list[list[Value]]:
    """Without dates: as their serial numbers."""
    return [[serial(cell) if isinstance(cell, dt.date) else cell for cell in row] for row in rows]


GOOD = [HEADERS, *good()]
GOOD_XML = sheet_xml(rows_xml(plain(GOOD)))


def book(
    path: Path,
    rows: Sequence[Sequence[Any]],
    *,
    then: Callable[[Any, Any], None] | None = None,
    options: dict[str, Any] | None = None,
) -> None:
    """An .xlsx as Excel writes it; `then(book, sheet)` adds to it."""
    workbook = xlsxwriter.Workbook(path, {"default_date_format": "yyyy-mm-dd", **(options or {})})
    sheet = workbook.add_worksheet(SHEET)
    for number, row in enumerate(rows):
        for column, value in enumerate(row):
            if value is not None:
                sheet.write(number, column, value)
    if then:
        then(workbook, sheet)
    workbook.close()


def text(path: Path, rows: Iterable[Sequence[Any]], encoding: str = "utf-8", delimiter: str = ",") -> None:
    lines = (delimiter.join("" if cell is None else str(cell) for cell in row) for row in rows)
    path.write_bytes("\r\n".join([*lines, ""]).encode(encoding))


def first(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda sheets: check(sheets[0])


def has_rows(*expected: Sequence[Any]) -> Callable[[Any], bool]:
    """Exactly these rows, empty cells at the end of a row apart."""

    def cut(row: Sequence[Any]) -> list[Any]:
        row = list(row)
        while row and row[-1] is None:
            row.pop()
        return row

    return first(lambda sheet: [cut(row) for row in sheet.rows] == [cut(row) for row in expected])


def typed(value: Any) -> tuple[type, Any]:
    return type(value), value


AS_GOOD = has_rows(*GOOD)


STYLES = {
    "xl/styles.xml": f'{raw.DECLARATION}<styleSheet xmlns="{raw.MAIN}"><cellXfs count="2"><xf numFmtId="0"/>'
    '<xf numFmtId="14" applyNumberFormat="1"/></cellXfs></styleSheet>'
}
STYLES_RELATION = [("rId8", "styles", "styles.xml", False)]


def plain_dates(rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
    """Dates as cells that are formatted as such."""
    return [[Dated(serial(cell)) if isinstance(cell, dt.date) else cell for cell in row] for row in rows]


def with_dates(sheets: dict[str, str], **more: Any) -> dict[str, bytes]:
    return package(sheets, parts=STYLES, relations=STYLES_RELATION, **more)


def biff_rows(rows: Iterable[Sequence[Any]]) -> bytes:
    return b"".join(
        raw.biff_cell(
            row, column, serial(cell) if isinstance(cell, dt.date) else cell, int(isinstance(cell, dt.date))
        )
        for row, cells in enumerate(rows)
        for column, cell in enumerate(cells)
    )


def ods_date(day: dt.date) -> str:
    return ods_said("date", f'office:date-value="{day}"', str(day))


def ods_said(kind: str, value: str, shown: str) -> str:
    """A cell of .ods: the type and value of it, and what is shown."""
    return f'<table:table-cell office:value-type="{kind}" {value}><text:p>{shown}</text:p></table:table-cell>'


def ods_rows(rows: Iterable[Sequence[Any]]) -> str:
    return "".join(
        raw.ods_row([ods_date(cell) if isinstance(cell, dt.date) else cell for cell in row]) for row in rows
    )


def xlsx_bytes(rows: Sequence[Sequence[Any]]) -> bytes:
    target = io.BytesIO()
    book(target, rows)  # type: ignore[arg-type]
    return target.getvalue()


# --- what is seen of a file ---------------------------------------------------------------------------------------


def flaws(**expected: str) -> Callable[[Any], bool]:
    """Exactly these flaws in the first sheet: B2="#REF!", C3="" (a formula without a value)."""

    def check(sheet: Any) -> bool:
        from reporting.uploads.sheet import address

        return {address(*place): flaw.text for place, flaw in sheet.flaws.items()} == expected

    return first(check)


def both(*checks: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda sheets: all(check(sheets) for check in checks)
