"""The blank workbook of a unit: one sheet for each kind, with dropdowns, formats and checks, and one with notes.

Filled in and dropped it is taken whole: its headers are the labels of the form, its dropdowns those of the choices.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any

import xlsxwriter
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from programs.access import Actor
from programs.models.record import PROGRAMME_BEGAN
from programs.models.unit import Unit
from programs.registry import RecordKind
from programs.sheets import DATE, JOINT_UNITS, UNIT, columns_for, header_of
from programs.text import columns as terminal_columns
from reporting.uploads.layout import NOTES, is_needed
from reporting.uploads.units import UnitNames
from reporting.uploads.words import listed, plain

# Rows in which the unit stands already, and those that check what is typed.
PREFILLED, CHECKED = 200, 5000
TITLE, HINT, HEADER = range(3)
MOST_UNITS_LISTED = 1000
# What Excel takes as a list within a cell's check; a longer one lies in cells of the notes.
LONGEST_LIST = 255
LISTS_FROM = 8  # the column of the notes where these begin
NOT_IN_NAMES = re.compile(r"[\[\]:*?/\\]")
LONGEST_NAME = 31


def blank_workbook(*, by: Actor, unit: Unit, kinds: Sequence[RecordKind]) -> bytes:
    """An xlsx file in the language of the moment. Kinds of which `by` cannot fill in a needed column are left out."""
    target = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(target, options) as workbook:
        blank = _Blank(workbook, by, unit)
        writable = [kind for kind in kinds if _can_be_filled_in(kind, by)]
        sheets = [blank.add_sheet(kind) for kind in writable]
        blank.notes = workbook.add_worksheet(sheet_name(_("Notes on filling in"), blank.names))
        blank.write_head_of_notes()
        for kind, sheet in zip(writable, sheets, strict=True):
            blank.fill(kind, sheet)
    return target.getvalue()


def sheet_name(name: str, taken: set[str]) -> str:
    """The name as a workbook allows it, told apart from those taken, to which it is added."""
    base = NOT_IN_NAMES.sub(" ", name).strip("' ")[:LONGEST_NAME] or "1"
    found, number = base, 1
    while found.casefold() in taken:
        number += 1
        found = f"{base[: LONGEST_NAME - 4]} {number}"
    taken.add(found.casefold())
    return found


def _can_be_filled_in(kind: RecordKind, by: Actor) -> bool:
    writable = columns_for(kind, by)
    return all(name in writable for name in kind.sheet.names() if is_needed(kind, name))


class _Blank:
    def __init__(self, workbook: Any, by: Actor, unit: Unit) -> None:
        self.by, self.unit, self.workbook = by, unit, workbook
        self.units = UnitNames(by)
        self.names: set[str] = set()
        self.notes: Any = None
        self.notes_row = 0
        self._lists: dict[tuple[str, ...], str] = {}
        title = {"bold": True, "font_size": 14}
        head = {"bold": True, "border": 1, "border_color": "#BFBFBF", "text_wrap": True, "valign": "vcenter"}
        self.title = workbook.add_format(title)
        self.hint = workbook.add_format({"font_color": "#595959", "italic": True})
        self.head = workbook.add_format({**head, "bg_color": "#F2F2F2"})
        self.needed = workbook.add_format({**head, "bg_color": "#FFE699"})
        self.day = workbook.add_format({"num_format": "yyyy-mm-dd", "align": "left"})
        self.text = workbook.add_format({"num_format": "@"})
        self.wrapped = workbook.add_format({"num_format": "@", "text_wrap": True, "valign": "top"})

    def add_sheet(self, kind: RecordKind) -> Any:
        return self.workbook.add_worksheet(sheet_name(str(kind.label_plural), self.names))

    def fill(self, kind: RecordKind, sheet: Any) -> None:
        names = columns_for(kind, self.by)
        sheet.write_string(TITLE, 0, f"{self.unit.name} {kind.label_plural}", self.title)
        sheet.write_string(
            HINT,
            0,
            _("Columns with * must be filled in. The sheet “%(notes)s” explains them.")
            % {"notes": _("Notes on filling in")},
            self.hint,
        )
        sheet.freeze_panes(HEADER + 1, 0)
        sheet.set_row(HEADER, 30)
        self._describe(_("Sheet “%(sheet)s”") % {"sheet": sheet.get_name()})
        for at, name in enumerate(names):
            self._column(kind, sheet, at, name)
        if UNIT in names:
            for row in range(HEADER + 1, HEADER + 1 + PREFILLED):
                sheet.write_string(row, names.index(UNIT), self._name_of(self.unit), self.text)

    def _column(self, kind: RecordKind, sheet: Any, at: int, name: str) -> None:
        needed = is_needed(kind, name)
        label = str(header_of(kind, name))
        sheet.write_string(HEADER, at, f"{label}*" if needed else label, self.needed if needed else self.head)
        model_field = kind.field(name)
        width = max(12, terminal_columns(label) + 4, 36 if isinstance(model_field, models.TextField) else 0)
        is_number = isinstance(model_field, models.IntegerField | models.DecimalField | models.FloatField)
        cells = (
            self.day if _is_day(model_field) else None if is_number and not model_field.choices else self.text
        )
        sheet.set_column(at, at, 30 if name == kind.title else width, cells)
        note, check = self._rule(kind, name)
        if check:
            check |= {"error_title": label[:32], "error_message": note[:255], "ignore_blank": True}
            sheet.data_validation(HEADER + 1, at, HEADER + CHECKED, at, check)
        self._note(label, needed, note, self._sample(kind, name), str(kind.sheet.notes.get(name, "")))

    # --- what goes into a column ---

    def _rule(self, kind: RecordKind, name: str) -> tuple[str, dict[str, Any] | None]:
        """What goes into the cells, in words, and as a check for the spreadsheet program."""
        model_field = kind.field(name)
        if name == UNIT:
            note = _("Name or code of the unit; empty means %(unit)s.") % {"unit": self.unit.name}
            return note, self._of_list(self._unit_names())
        if name == JOINT_UNITS:
            return _("Names or codes of units, one after the other, with 、 between them."), None
        if model_field.choices:
            labels = [str(label) for code, label in model_field.flatchoices if code not in ("", None)]
            return _("One of: %(choices)s.") % {"choices": listed(labels)}, self._of_list(labels)
        match model_field:
            case models.BooleanField():
                return _("Yes or no."), self._of_list([_("Yes"), _("No")])
            case models.DateTimeField():
                return _("A day and a time, such as 2026-03-05 14:30."), None
            case models.DateField():
                return self._day_rule(name)
            case models.IntegerField() | models.DecimalField() | models.FloatField():
                return _number_rule(model_field)
            case models.CharField() | models.TextField() if model_field.max_length:
                most = model_field.max_length
                note = ngettext("At most %(count)d character.", "At most %(count)d characters.", most) % {
                    "count": most
                }
                return note, {"validate": "length", "criteria": "<=", "value": most}
        return "", None

    def _day_rule(self, name: str) -> tuple[str, dict[str, Any]]:
        if name != DATE:
            return _("A day, such as 2026-03-05."), {
                "validate": "date",
                "criteria": ">",
                "value": PROGRAMME_BEGAN.replace(year=1900),
            }
        note = _("A day, such as 2026-03-05; from %(year)d on, and not in the future.") % {
            "year": PROGRAMME_BEGAN.year
        }
        until = "=TODAY()"
        return note, {"validate": "date", "criteria": "between", "minimum": PROGRAMME_BEGAN, "maximum": until}

    def _of_list(self, entries: Sequence[str]) -> dict[str, Any] | None:
        """A dropdown; None where there are too many entries for one."""
        if not 0 < len(entries) <= MOST_UNITS_LISTED:
            return None
        short = len(",".join(entries)) <= LONGEST_LIST and not any("," in entry for entry in entries)
        return {"validate": "list", "source": list(entries) if short else self._in_cells(tuple(entries))}

    def _in_cells(self, entries: tuple[str, ...]) -> str:
        """The entries in a column of the notes; the reference to it."""
        if entries not in self._lists:
            at = LISTS_FROM + len(self._lists)
            for row, entry in enumerate(entries):
                self.notes.write_string(row, at, entry, self.text)
            column = xlsxwriter.utility.xl_col_to_name(at, col_abs=True)
            name = self.notes.get_name().replace("'", "''")
            self._lists[entries] = f"='{name}'!{column}$1:{column}${len(entries)}"
        return self._lists[entries]

    def _unit_names(self) -> list[str]:
        reached = [unit for pk, unit in self.units.by_id.items() if pk in self.units.brought and unit.is_open]
        return [self._name_of(unit) for unit in sorted(reached, key=lambda unit: unit.code)]

    def _name_of(self, unit: Unit) -> str:
        """Its name; its code where another one has that name, too."""
        twins = [other for other in self.units.by_id.values() if plain(other.name) == plain(unit.name)]
        return unit.name if len(twins) < 2 else unit.code

    # --- notes ---

    def write_head_of_notes(self) -> None:
        self.notes.set_column(0, 0, 20, self.wrapped)
        self.notes.set_column(1, 1, 8, self.wrapped)
        self.notes.set_column(2, 2, 60, self.wrapped)
        self.notes.set_column(3, 3, 36, self.wrapped)
        self.notes.write_string(0, 0, str(NOTES), self.title)
        lines = [
            _(
                "One row for each record. Columns may stand in any order; further columns of your own are ignored."
            ),
            _("Rows of totals are left out. Dropping the same file again adds nothing."),
            _("Before anything is entered, you see what will happen, and you can take it back for 30 days."),
        ]
        for line in lines:
            self.notes_row += 1
            self.notes.write_string(self.notes_row, 0, line)
        self.notes_row += 1

    def _describe(self, title: str) -> None:
        self.notes_row += 1
        self.notes.write_string(self.notes_row, 0, title, self.title)
        self.notes_row += 1
        for at, head in enumerate((_("Column"), _("Needed"), _("What goes in"), _("Example"))):
            self.notes.write_string(self.notes_row, at, head, self.head)

    def _note(self, label: str, needed: bool, note: str, sample: str, more: str) -> None:
        self.notes_row += 1
        cells = (label, _("Yes") if needed else "", " ".join(filter(None, (note, more))), sample)
        for at, text in enumerate(cells):
            self.notes.write_string(self.notes_row, at, text, self.wrapped)

    def _sample(self, kind: RecordKind, name: str) -> str:
        if name in kind.sheet.samples:
            return kind.sheet.samples[name]
        model_field = kind.field(name)
        if name == UNIT:
            return self._name_of(self.unit)
        if _is_day(model_field):
            return timezone.localdate().isoformat()
        if model_field.choices:
            labels = [str(label) for code, label in model_field.flatchoices if code not in ("", None)]
            return labels[0] if labels and not model_field.blank else ""
        if isinstance(model_field, models.IntegerField | models.DecimalField | models.FloatField):
            return "12"
        return ""


def _is_day(model_field: Any) -> bool:
    return isinstance(model_field, models.DateField) and not isinstance(model_field, models.DateTimeField)


def _number_rule(model_field: Any) -> tuple[str, dict[str, Any]]:
    validators = model_field.validators
    least = max((v.limit_value for v in validators if isinstance(v, MinValueValidator)), default=None)
    most = min((v.limit_value for v in validators if isinstance(v, MaxValueValidator)), default=None)
    is_whole = isinstance(model_field, models.IntegerField)
    if least is None:
        least = -(10**9)
    if most is None:
        digits = (getattr(model_field, "max_digits", None) or 12) - (
            getattr(model_field, "decimal_places", None) or 0
        )
        most = 10**digits - (1 if is_whole else 0)
    words = {"least": least, "most": most}
    if is_whole:
        note = _("A whole number from %(least)s to %(most)s; digits only.") % words
    else:
        note = _("A number from %(least)s to %(most)s; digits only.") % words
    kind = "integer" if is_whole else "decimal"
    return note, {"validate": kind, "criteria": "between", "minimum": least, "maximum": most}
