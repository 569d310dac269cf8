"""The rows below a header: their cells read into values, and those told apart that are no records."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext as _

from programs.models.unit import Unit
from programs.registry import RecordKind
from programs.sheets import DATE, JOINT_UNITS, UNIT
from reporting.uploads.checked import LeftOut, Values
from reporting.uploads.layout import Layout, header_words
from reporting.uploads.sheet import Cell, FlawKind, Sheet, address
from reporting.uploads.standing import Key, keys_of
from reporting.uploads.units import one_of
from reporting.uploads.values import Convert, Reading, converter, is_blank, is_nothing
from reporting.uploads.words import plain

NUMERIC = (models.IntegerField, models.DecimalField, models.FloatField)


@dataclass(slots=True)
class Column:
    name: str
    at: int
    convert: Convert
    blank: Any
    is_numeric: bool
    # An empty cell leaves what stands: there must be a value, and the row names none.
    keeps: bool


@dataclass(slots=True)
class Row:
    """A row whose cells have been read: `errors` by field, for those that could not be. `key` None: it can be no
    record, whichever it is meant to be."""

    number: int
    cells: Sequence[Cell]
    values: Values
    errors: dict[str, list[ValidationError]]
    key: Key | None = None


class Rows:
    """Iterates over the rows that may be records; `left_out` gathers the others that are not empty."""

    def __init__(
        self,
        kind: RecordKind,
        unit: Unit,
        sheet: Sheet,
        layout: Layout,
        form_fields: Mapping[str, forms.Field],
        reading: Reading,
    ) -> None:
        """`form_fields` are those of the person's form, by name, for the fields that the sheet may have."""
        self.kind, self.unit, self.sheet, self.layout = kind, unit, sheet, layout
        self.columns = [
            self._column(name, at, form_fields[name], reading)
            for name, at in layout.columns.items()
            if name in form_fields
        ]
        self.left_out: list[LeftOut] = []
        self._blanks = {name: self._blank(name) for name in form_fields}
        self._merged = self._merged_cells()
        self._key_of = keys_of(kind)

    def _column(self, name: str, at: int, form_field: forms.Field, reading: Reading) -> Column:
        field = self.kind.field(name)
        return Column(
            name,
            at,
            converter(self.kind, name, form_field, reading),
            self._blank(name),
            isinstance(field, NUMERIC) and not field.choices,
            field.has_default() and not field.blank,
        )

    def _blank(self, name: str) -> Any:
        """The value of an empty cell: the default where there must be one, else nothing."""
        if name == UNIT:
            return self.unit
        if name == JOINT_UNITS:
            return ()
        field = self.kind.field(name)
        has_default = field.has_default() and (name not in self.layout.columns or not field.blank)
        if has_default or isinstance(field, models.BooleanField):
            return field.get_default()
        return "" if field.empty_strings_allowed and not field.null else None

    def __iter__(self) -> Iterator[Row]:
        start = max(0, self.layout.header_row + 1 - self.sheet.first_row)
        for index in range(start, len(self.sheet.rows)):
            cells, number = self.sheet.rows[index], self.sheet.first_row + index
            row = self._read(number, cells)
            if row is None:
                if self._has_other_cells(cells):
                    self.left_out.append(LeftOut(number, _("None of the known columns is filled in.")))
                continue
            if (DATE in row.errors or row.values.get(DATE) is None) and (reason := self._no_record(row)):
                self.left_out.append(LeftOut(number, reason))
                continue
            yield row

    def _read(self, number: int, cells: Sequence[Cell]) -> Row | None:
        """The row; None if nothing but the unit is filled in, which our blank sheet does by itself."""
        values = self._blanks.copy()
        errors: dict[str, list[ValidationError]] = {}
        width, filled = len(cells), False
        merged, flaws = self._merged.get(number), self.sheet.flaws
        for column in self.columns:
            at = column.at
            if flaws and (number, at) in flaws:
                errors[column.name] = [self._flaw(number, at)]
                filled = True
                continue
            cell = cells[at] if at < width else None
            if cell is None:
                if merged is None or is_blank(cell := merged.get(at)):
                    continue
                if column.is_numeric:
                    errors[column.name] = [_merged_number()]
                    continue
            elif not filled and column.name != UNIT:
                filled = not is_blank(cell)
            try:
                value = column.convert(cell)
            except ValidationError as error:
                if not is_blank(cell) and not is_nothing(cell):
                    errors[column.name] = error.error_list
                continue
            if value != "":
                values[column.name] = value
        if not filled:
            return None
        if type(values[UNIT]) is list:
            self._choose_unit(values, errors)
        row = Row(number, cells, values, errors)
        if values.get(DATE) is not None and errors.keys().isdisjoint(self.kind.sheet.key):
            row.key = self._key_of(values)
        return row

    def _choose_unit(self, values: Values, errors: dict[str, list[ValidationError]]) -> None:
        """Of the units that a name may mean the one that existed on the day."""
        try:
            values[UNIT] = one_of(values[UNIT], values.get(DATE))
        except ValidationError as error:
            errors[UNIT] = error.error_list
            values[UNIT] = self.unit

    def _flaw(self, row: int, column: int) -> ValidationError:
        flaw, cell = self.sheet.flaws[row, column], address(row, column)
        if flaw.kind is FlawKind.FORMULA_WITHOUT_VALUE:
            return ValidationError(
                _(
                    "The formula in %(cell)s has no stored result. Open the file in Excel or WPS and save it there, or "
                    "replace the formula by its result."
                ),
                code="no_result",
                params={"cell": cell},
            )
        return ValidationError(
            _("The cell %(cell)s shows the error %(error)s."),
            code="error_cell",
            params={"cell": cell, "error": flaw.text},
        )

    def _merged_cells(self) -> dict[int, dict[int, Cell]]:
        """By row and column the values of cells that are merged with one above, in the columns that are read."""
        read = {column.at for column in self.columns}
        found: dict[int, dict[int, Cell]] = {}
        for first_row, first, last_row, _last in self.sheet.merged:
            if first not in read or first_row <= self.layout.header_row or last_row == first_row:
                continue
            index = first_row - self.sheet.first_row
            top = self.sheet.rows[index] if 0 <= index < len(self.sheet.rows) else []
            value = top[first] if first < len(top) else None
            for number in range(
                first_row + 1, min(last_row, self.sheet.first_row + len(self.sheet.rows)) + 1
            ):
                found.setdefault(number, {})[first] = value
        return found

    # --- rows that are no records ---

    def _has_other_cells(self, cells: Sequence[Cell]) -> bool:
        ours = {self.layout.mark, self.layout.columns.get(UNIT)}
        return any(at not in ours and not is_blank(cell) for at, cell in enumerate(cells))

    def _no_record(self, row: Row) -> str:
        """Why a row without a day is no record, or ""."""
        filled = [
            (at, cell) for at, cell in enumerate(row.cells) if not is_blank(cell) and at != self.layout.mark
        ]
        texts = [(at, cell) for at, cell in filled if isinstance(cell, str)]
        if any(TOTAL.fullmatch(plain(text)) for _at, text in texts):
            return _("A row of totals.")
        headers = {column.at: header_words(self.layout.headers[column.name]) for column in self.columns}
        if sum(headers.get(at) == header_words(text) for at, text in texts) >= 2:
            return _("The header once more.")
        if len(filled) == len(texts) == 1 and self._spans(row.number, texts[0][0]):
            return _("A heading.")
        if texts and len(filled) == len(texts) and FOOT_NOTE.match(plain(texts[0][1])):
            return _("A note below the table.")
        return ""

    def _spans(self, number: int, at: int) -> bool:
        """Whether the cell is merged over most of the columns that are read."""
        for first_row, first, last_row, last in self.sheet.merged:
            if first_row <= number <= last_row and first == at:
                return sum(first <= column.at <= last for column in self.columns) * 2 > len(self.columns)
        return False


def _merged_number() -> ValidationError:
    """A number for several rows counts once; copied to each, it would count several times."""
    return ValidationError(
        _("This cell is merged with the one above; give every row a number of its own."), code="merged_cell"
    )


TOTAL = re.compile(
    r"(?:本[页月季年周]|全[年区街镇村]|全街道|年度|第?[一二三四]季度|\d{1,2}月份?|各单位|街道|社区|活动)?"
    r"(?:合计|小计|总计|共计|累计|总数)(?::?[\d.,]*\D{0,2})?|(?:grand|sub)?-?totals?:?|sum:?"
)
FOOT_NOTE = re.compile(
    r"(?:填[表报]人|制表人?|审核人?|审批人?|(?:单位|主要|分管)?(?:负责人|领导)|经办人|联系人|联系电话|填[表报](?:单位|日期|时间)|"
    r"盖章|注|备注|说明|附注|notes?|preparedby|checkedby)(?:签[字名章])?(?:\(.*?\))?:"
)
