"""Sheets of an .ods, read with expat.

calamine reads .ods too, but tells neither merged cells nor hidden rows, and does not end on a table that breaks off. To
find what it leaves untold all of the file must be parsed, and then the values cost nothing more.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable

from reporting.uploads.limits import LAST_ROW, MAX_COLUMNS, MAX_FLAWS, MAX_MERGED, MAX_SHEETS, Unfit
from reporting.uploads.sheet import Cell, Flaw, FlawKind, Sheet
from reporting.uploads.xml_parts import new_parser, parse

_SPACE = "urn:oasis:names:tc:opendocument:xmlns:"
OFFICE, TABLE, TEXT, STYLE = (f"{_SPACE}{name}:1.0 " for name in ("office", "table", "text", "style"))
CALC = "urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0 "
REPEATED = TABLE + "number-columns-repeated"
DURATION = re.compile(r"PT(?:([0-9]+)H)?(?:([0-9]+)M)?(?:([0-9]+)(?:\.[0-9]+)?S)?")
MIDNIGHT = dt.datetime(2000, 1, 1)  # noqa: DTZ001 - only its time is used
ERROR_TEXT = re.compile(r"#(?:N/A|NAME\?|REF!|VALUE!|DIV/0!|NUM!|NULL!)|Err:[0-9]{3}")


class Reader:
    """Handlers of expat that fill `sheets`."""

    def __init__(self) -> None:
        self.sheets: list[Sheet] = []
        self.parser = new_parser(namespaces=True)
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self._invisible_styles: set[str] = set()
        self._style = ""
        self._epoch_1904 = False
        self._sheet: Sheet | None = None
        self._hidden: set[int] = set()
        self._row: list[Cell] = []
        self._number = self._times = 0  # of the row
        self._column = 0
        self._flaws: list[tuple[int, Flaw]] = []
        self._depth = 0  # inside a cell: 1; inside a paragraph of it: 2 and more
        self._attributes: dict[str, str] = {}
        self._covered = False
        self._paragraphs: list[str] = []
        self._text: list[str] | None = None

    # --- elements -------------------------------------------------------------------------------------------------

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if self._depth:
            self._start_inside(tag, attributes)
        elif tag in (TABLE + "table-cell", TABLE + "covered-table-cell"):
            self._depth = 1
            self._attributes, self._covered = attributes, tag.endswith("covered-table-cell")
            self._paragraphs, self._text = [], None
        elif tag == TABLE + "table-row":
            self._number += self._times
            self._times = _count(attributes, TABLE + "number-rows-repeated")
            self._row, self._column, self._flaws = [], 0, []
            if attributes.get(TABLE + "visibility") in ("collapse", "filter"):
                self._hidden.update(range(self._number, min(self._number + self._times, LAST_ROW + 1)))
        elif tag == TABLE + "table":
            self._start_table(attributes)
        elif tag == STYLE + "style":
            self._style = attributes.get(STYLE + "name", "")
        elif tag == STYLE + "table-properties":
            if attributes.get(TABLE + "display") == "false":
                self._invisible_styles.add(self._style)
        elif tag == TABLE + "null-date":
            self._epoch_1904 = attributes.get(TABLE + "date-value", "").startswith("1904")

    def _start_table(self, attributes: dict[str, str]) -> None:
        if len(self.sheets) >= MAX_SHEETS:
            raise Unfit("sheets")
        self._sheet = Sheet(
            name=attributes.get(TABLE + "name", ""),
            rows=[],
            is_hidden=attributes.get(TABLE + "style-name") in self._invisible_styles,
            epoch_1904=self._epoch_1904,
        )
        self.sheets.append(self._sheet)
        self._number, self._times, self._hidden = 1, 0, set()

    def _start_inside(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth == 2 and tag == TEXT + "p":
            self._text = []
            self.parser.CharacterDataHandler = self._text.append
        elif self._text is not None:
            if tag == TEXT + "s":
                self._text.append(" " * min(_count(attributes, TEXT + "c"), 1_000))
            elif tag == TEXT + "tab":
                self._text.append("\t")
            elif tag == TEXT + "line-break":
                self._text.append("\n")

    def _end(self, tag: str) -> None:
        if self._depth:
            self._depth -= 1
            if self._depth == 1 and self._text is not None:
                self._paragraphs.append("".join(self._text))
                self._text = None
                self.parser.CharacterDataHandler = None
            elif self._depth == 0:
                self._end_cell()
        elif tag == TABLE + "table-row":
            self._end_row()
        elif tag == TABLE + "table" and self._sheet is not None:
            self._sheet.hidden_rows = frozenset(self._hidden)
            self._sheet = None

    # --- cells and rows -------------------------------------------------------------------------------------------

    def _end_cell(self) -> None:
        times = _count(self._attributes, REPEATED)
        value, flaw = (None, None) if self._covered else self._value()
        if value is not None or flaw is not None:
            if self._column + times > MAX_COLUMNS:
                raise Unfit("far", sheet=self._name(), at=(self._number, max(self._column, MAX_COLUMNS)))
            self._row.extend([None] * (self._column - len(self._row)))
            self._row.extend([value] * times)
            if flaw is not None:
                self._flaws.extend((self._column + step, flaw) for step in range(times))
        self._note_merged()
        self._column += times

    def _note_merged(self) -> None:
        across = _count(self._attributes, TABLE + "number-columns-spanned")
        down = _count(self._attributes, TABLE + "number-rows-spanned")
        if (across > 1 or down > 1) and self._sheet is not None:
            if len(self._sheet.merged) >= MAX_MERGED:
                raise Unfit("unreadable", sheet=self._name())
            self._sheet.merged.append(
                (self._number, self._column, self._number + down - 1, self._column + across - 1)
            )

    def _end_row(self) -> None:
        if not self._row or self._sheet is None:
            return
        last = self._number + self._times - 1
        if last > LAST_ROW:
            raise Unfit("far", sheet=self._name(), at=(max(self._number, LAST_ROW + 1), len(self._row) - 1))
        rows = self._sheet.rows
        rows.extend([] for _blank in range(self._number - 1 - len(rows)))
        rows.extend(list(self._row) for _time in range(self._times))
        for row in range(self._number, last + 1):
            for column, flaw in self._flaws:
                self._sheet.flaws[row, column] = flaw
        if len(self._sheet.flaws) > MAX_FLAWS:
            raise Unfit("flaws", sheet=self._name(), at=(self._number, 0))

    def _value(self) -> tuple[Cell, Flaw | None]:
        kind = self._attributes.get(OFFICE + "value-type")
        formula = TABLE + "formula" in self._attributes
        said = "\n".join(self._paragraphs)
        if self._attributes.get(CALC + "value-type") == "error" or (formula and ERROR_TEXT.fullmatch(said)):
            return None, Flaw(FlawKind.ERROR_VALUE, said[:20])
        if formula and kind is None:
            return None, Flaw(FlawKind.FORMULA_WITHOUT_VALUE)
        try:
            return self._typed(kind, said), None
        except (ValueError, OverflowError):
            return said or None, None

    def _typed(self, kind: str | None, said: str) -> Cell:
        """The value as its attributes tell it; ValueError if they do not."""
        given = self._attributes
        if kind in ("float", "percentage", "currency"):
            return float(given.get(OFFICE + "value", ""))
        if kind == "date":
            moment = dt.datetime.fromisoformat(given.get(OFFICE + "date-value", ""))
            return moment if moment.time() != dt.time() else moment.date()
        if kind == "time":
            parts = DURATION.fullmatch(given.get(OFFICE + "time-value", ""))
            if parts is None:
                raise ValueError
            hours, minutes, seconds = (int(part or 0) for part in parts.groups())
            span = dt.timedelta(hours=hours, minutes=minutes, seconds=seconds)
            return span if span.days else (MIDNIGHT + span).time()
        if kind == "boolean":
            return given.get(OFFICE + "boolean-value") == "true"
        return given.get(OFFICE + "string-value", said) or None

    def _name(self) -> str:
        return self._sheet.name if self._sheet else ""


def read(pieces: Iterable[bytes]) -> list[Sheet]:
    """The sheets of content.xml; raises Unfit."""
    reader = Reader()
    parse(reader.parser, pieces)
    return reader.sheets


def _count(attributes: dict[str, str], name: str) -> int:
    """A number of times; Unfit if it is none."""
    said = attributes.get(name, "1")
    if not said.isdecimal() or len(said) > 9:
        raise Unfit("damaged")
    return max(int(said), 1)
