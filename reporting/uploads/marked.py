"""The user's own workbook back, with what is wrong marked in place: mended, it can be dropped again.

It is written anew from the rows that were read, with constant memory: the same sheets, rows, columns and values, with
merged cells, hidden rows and widths. Fonts and colours of the original are not kept. Formulas have become their values;
those that could not be read show an error until somebody mends them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

import xlsxwriter
from django.utils.translation import gettext as _

from programs.exports import FORMULA_STARTS, safe_text
from programs.text import columns as terminal_columns
from reporting.uploads.blank import sheet_name
from reporting.uploads.checked import Problem
from reporting.uploads.layout import PLEASE_MEND, Layout
from reporting.uploads.sheet import Cell, Sheet
from reporting.uploads.values import is_blank

# Comments beyond these would make the file slow to open; the last column holds every reason.
MOST_COMMENTS = 2000
LONGEST_COMMENT = 500
ROWS_MEASURED = 200
NARROWEST, WIDEST = 8.0, 45.0
REASON_WIDTH = 60
NUMBER_FORMATS = {
    dt.datetime: "yyyy-mm-dd hh:mm",
    dt.date: "yyyy-mm-dd",
    dt.time: "hh:mm:ss",
    dt.timedelta: "[h]:mm:ss",
}


def marked_workbook(
    *,
    sheets: Sequence[Sheet],
    problems: Mapping[str, Sequence[Problem]],
    target: BinaryIO,
    layouts: Mapping[str, Layout],
) -> None:
    """Write the workbook to `target`. `problems` and `layouts` by the name of the sheet; a sheet in neither stays as it
    is."""
    options = {
        "constant_memory": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
        # Bare numbers in a column of days count from it.
        "date_1904": any(sheet.epoch_1904 for sheet in sheets),
    }
    taken: set[str] = set()
    with xlsxwriter.Workbook(target, options) as workbook:
        styles = _Styles(workbook)
        for sheet in sheets:
            page = workbook.add_worksheet(sheet_name(sheet.name, taken))
            _Writer(page, sheet, layouts.get(sheet.name), problems.get(sheet.name, ()), styles).write()


class _Styles:
    """The formats of cells, each made once."""

    def __init__(self, workbook: Any) -> None:
        self._workbook = workbook
        self._known: dict[tuple[Any, ...], Any] = {}
        self._made: dict[tuple[Any, ...], Any] = {}

    def of(self, cell: Cell, *, is_bad: bool = False, is_head: bool = False) -> Any:
        kind: Any = type(cell)
        if kind is dt.datetime and cell.time() == dt.time.min:  # type: ignore[union-attr]
            kind = dt.date
        # Quoted, a text stays one even when somebody edits it.
        quoted = kind is str and cell.startswith(FORMULA_STARTS)  # type: ignore[union-attr]
        known = (kind, quoted, is_bad, is_head)
        if known not in self._known:
            self._known[known] = self._of(*known)
        return self._known[known]

    def _of(self, kind: Any, quoted: bool, is_bad: bool, is_head: bool) -> Any:
        wanted = {
            "num_format": NUMBER_FORMATS.get(kind, "@" if kind is str else None),
            "quote_prefix": quoted or None,
            "bg_color": "#FFC7CE" if is_bad else None,
            "font_color": "#9C0006" if is_bad else None,
            "bold": is_head or None,
            "text_wrap": is_head or None,
        }
        return self.made(**{name: value for name, value in wanted.items() if value is not None})

    def made(self, **properties: Any) -> Any:
        key = tuple(sorted(properties.items()))
        if key not in self._made:
            self._made[key] = self._workbook.add_format(properties) if properties else None
        return self._made[key]


class _Writer:
    """Writes one sheet, row by row and never back."""

    def __init__(
        self, page: Any, sheet: Sheet, layout: Layout | None, problems: Sequence[Problem], styles: _Styles
    ) -> None:
        self.page, self.sheet, self.layout, self.styles = page, sheet, layout, styles
        self.problems: dict[int, list[Problem]] = {}
        for problem in problems:
            self.problems.setdefault(problem.row, []).append(problem)
        width = max((len(row) for row in sheet.rows), default=0)
        mark = layout.mark if layout else None
        self.mark = width if mark is None else mark
        self.is_marked = bool(self.problems) or mark is not None
        self.comments = 0

    def write(self) -> None:
        self._set_columns()
        header = self.layout.header_row if self.layout else 0
        for index, cells in enumerate(self.sheet.rows):
            self._write_row(self.sheet.first_row + index, cells, header)
        for first_row, first, last_row, last in self.sheet.merged:
            # The method for it would write the cells again; their rows are gone.
            self.page.merge.append([first_row - 1, first, last_row - 1, last])
        if self.sheet.is_hidden:
            self.page.hide()
        if header and self.problems:
            last = self.sheet.first_row + len(self.sheet.rows) - 2
            self.page.freeze_panes(header, 0)
            self.page.autofilter(header - 1, 0, max(last, header), self.mark)

    def _set_columns(self) -> None:
        width = max((len(row) for row in self.sheet.rows), default=0)
        for at in range(width):
            self.page.set_column(at, at, self.sheet.widths.get(at) or self._width(at))
        if self.is_marked:
            self.page.set_column(self.mark, self.mark, REASON_WIDTH)

    def _width(self, at: int) -> float:
        texts = [
            row[at] for row in self.sheet.rows[:ROWS_MEASURED] if at < len(row) and not is_blank(row[at])
        ]
        # A title over the whole table says nothing of its column.
        lengths = sorted(10 if isinstance(text, dt.date) else terminal_columns(str(text)) for text in texts)
        usual = lengths[int(len(lengths) * 0.9)] if lengths else 0
        return min(WIDEST, max(NARROWEST, usual + 2.0))

    def _write_row(self, number: int, cells: Sequence[Cell], header: int) -> None:
        row = number - 1
        if number in self.sheet.hidden_rows:
            self.page.set_row(row, None, None, {"hidden": True})
        problems = self.problems.get(number, ())
        bad: dict[int, list[str]] = {}
        for problem in problems:
            if problem.column is not None:
                bad.setdefault(problem.column, []).append(problem.message)
        # Empty cells can be wrong, too, and so can those right of the last one.
        for at in range(max(len(cells), *(at + 1 for at in bad))) if bad else range(len(cells)):
            if self.is_marked and at == self.mark:
                continue
            cell = cells[at] if at < len(cells) else None
            self._write_cell(row, at, cell, self.styles.of(cell, is_bad=at in bad, is_head=number == header))
            if at in bad:
                self._comment(row, at, bad[at])
        if not self.is_marked:
            return
        if number == header:
            self.page.write_string(
                row, self.mark, str(PLEASE_MEND), self.styles.of(None, is_bad=True, is_head=True)
            )
        elif problems:
            self.page.write_string(row, self.mark, _reasons(problems), self.styles.made(font_color="#9C0006"))

    def _write_cell(self, row: int, at: int, cell: Cell, style: Any) -> None:
        if (row + 1, at) in self.sheet.flaws:
            # As a text the error could be taken for a value the next time.
            self.page.write_formula(row, at, "=NA()", style, "#N/A")
        elif cell is None or cell == "":
            if style is not None:
                self.page.write_blank(row, at, None, style)
        elif isinstance(cell, bool):
            self.page.write_boolean(row, at, cell, style)
        elif isinstance(cell, str):
            self.page.write_string(row, at, cell, style)
        elif isinstance(cell, int | float):
            self.page.write_number(row, at, cell, style)
        else:
            self.page.write_datetime(row, at, cell, style)

    def _comment(self, row: int, at: int, messages: Sequence[str]) -> None:
        if self.comments < MOST_COMMENTS:
            self.comments += 1
            text = safe_text("\n".join(messages))[:LONGEST_COMMENT]
            self.page.write_comment(row, at, text, {"x_scale": 1.5})


def _reasons(problems: Sequence[Problem]) -> str:
    told = [
        _("%(header)s: %(message)s") % {"header": problem.header, "message": problem.message}
        if problem.header
        else problem.message
        for problem in problems
    ]
    return safe_text(" ".join(told))
