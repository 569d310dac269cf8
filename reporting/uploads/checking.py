"""What would happen to every row of a sheet: new, changed, there already, refused (with every reason at once), or left
out. Nothing is written.

A row goes three ways: its cells are read (`rows`); it is looked for among the records that stand (`standing`); and it
is judged, over the values that stand where it says nothing (`rules`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import models
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from programs.access import Actor
from programs.actions.bulk import ChangedRow, NewRow
from programs.disclosure import disclosure_of
from programs.models.unit import Unit
from programs.registry import RecordKind
from programs.roles import Disclosure
from programs.sheets import JOINT_UNITS, UNIT, columns_for
from reporting.uploads.checked import Checked, First, LeftOut, Notice, Problem, Same, Seen, Values
from reporting.uploads.layout import Layout, year_above
from reporting.uploads.rows import Row, Rows
from reporting.uploads.rules import Rules
from reporting.uploads.sheet import Cell, Sheet
from reporting.uploads.standing import (
    Elsewhere,
    Elsewheres,
    Standing,
    clashes,
    matches,
    may_match,
    portions,
    records_of,
)
from reporting.uploads.telling import Telling
from reporting.uploads.units import UnitNames
from reporting.uploads.values import Days, Reading, is_blank
from reporting.uploads.words import listed

__all__ = ["Checked", "LeftOut", "Notice", "Problem", "Same", "Seen", "check", "clashes"]

EVERY = 500
MOST_ROWS_NAMED = 20


def check(
    *,
    by: Actor,
    unit: Unit,
    kind: RecordKind,
    sheet: Sheet,
    layout: Layout,
    period: dt.date | None = None,
    seen: Seen | None = None,
    progress: Callable[[int], None] | None = None,
) -> Checked:
    """Check every row below the header. Rows without a unit are `unit`'s.

    `period` is any day of the year that days without a year belong to; without it the year named above the header.
    `seen` is handed on between sheets of one kind. PermissionDenied if `by` may not bring records for `unit`.
    """
    checker = _Checker(by, unit, kind, sheet, layout, period, Seen() if seen is None else seen)
    checked = checker.run(progress or (lambda done: None))
    if not checked.adds_up:
        raise AssertionError(f"{checked.read} rows read, and not as many accounted for")
    return checked


class _Checker:
    def __init__(
        self,
        by: Actor,
        unit: Unit,
        kind: RecordKind,
        sheet: Sheet,
        layout: Layout,
        period: dt.date | None,
        seen: Seen,
    ) -> None:
        self.by, self.kind, self.sheet, self.layout, self.seen = by, kind, sheet, layout, seen
        self.units = UnitNames(by)
        if unit.pk not in self.units.brought:
            raise PermissionDenied
        names = columns_for(kind, by)
        self.rules = Rules(kind, by, names, self.units)
        days = Days(period.year if period else year_above(sheet, layout), sheet.epoch_1904)
        fields = {name: self.rules.form.fields[name] for name in names}
        self.rows = Rows(kind, unit, sheet, layout, fields, Reading(self.units, days))
        self.checked = Checked(kind, sheet.name, left_out=self.rows.left_out)
        self.tell = Telling(kind, layout, self.checked)
        # On a record that stands, what a person does not read in the clear stays as it is.
        self.compared = [
            column
            for column in self.rows.columns
            if column.name not in (UNIT, JOINT_UNITS)
            and disclosure_of(kind.field(column.name), by) is Disclosure.CLEAR
        ]
        self.stored = [
            field.name
            for field in kind.model._meta.concrete_fields
            if field.editable and not field.primary_key and field.name != UNIT
        ]

    def run(self, progress: Callable[[int], None]) -> Checked:
        rows = list(self.rows)
        self.checked.read = len(rows) + len(self.rows.left_out)
        keys = {row.key for row in rows if row.key is not None}
        found = matches(self.kind, keys) if may_match(self.kind, self.by) else {}
        done = len(self.rows.left_out)
        for portion in portions(rows):
            pks = {pk for row in portion if row.key in found for pk in found[row.key]}
            standing = records_of(self.kind, pks, self.stored) if pks else {}
            for row in portion:
                self._judge(row, [standing[pk] for pk in found.get(row.key, ()) if pk in standing])
                done += 1
                if done % EVERY == 0:
                    progress(done)
        progress(done)
        self._note()
        return self.checked

    # --- judging ---

    def _judge(self, row: Row, standing: list[Standing]) -> None:
        if row.errors:
            said, _values = self.rules.problems(row.values, row.errors)
            self.tell.refuse(row, {**said, **row.errors})
            return
        if row.key is None:
            self._good(row, row.values)
            return
        if (first := self.seen.get(row.key)) is not None:
            self._again(row, first)
            return
        good = self._stands(row, standing) if standing else self._is_new(row)
        if good:
            self.seen[row.key] = First(self.sheet.name, row.number, row.values)

    def _is_new(self, row: Row) -> bool:
        good = self._good(row, row.values)
        if good is None:
            return False
        values = {name: value for name, value in good.items() if name != JOINT_UNITS}
        self.checked.new.append(NewRow(row.number, values, _pks(good.get(JOINT_UNITS))))
        return True

    def _good(self, row: Row, values: Values) -> Values | None:
        """The values as they may be written; None if the row is refused."""
        if self.rules.accepts(values):
            return values
        said, cleaned = self.rules.problems(values)
        if said:
            self.tell.refuse(row, said)
            return None
        return cleaned

    def _again(self, row: Row, first: First) -> None:
        """A row with the key of one above: the same once more, or one that contradicts it."""
        where = {"row": first.row, "sheet": first.sheet}
        same_sheet = first.sheet == self.sheet.name
        if first.values == row.values:
            message = (
                _("Row %(row)d says the same.")
                if same_sheet
                else _("Row %(row)d of %(sheet)s says the same.")
            )
            said = self.tell.share(message % where)
            self.checked.same.append(Same(row.number, None, first.row, said, first.sheet))
            return
        where["fields"] = self.tell.labels(self.kind.sheet.key)
        message = (
            _("Row %(row)d has the same %(fields)s and says something else; keep one of the two.")
            if same_sheet
            else _(
                "Row %(row)d of %(sheet)s has the same %(fields)s and says something else; keep one of the two."
            )
        )
        errors = {} if self.rules.accepts(row.values) else self.rules.problems(row.values)[0]
        errors = {**errors, "": [*errors.get("", ()), ValidationError(message % where, code="twice")]}
        self.tell.refuse(row, errors)

    def _stands(self, row: Row, standing: list[Standing]) -> bool:
        """A row with the key of a record, or of several."""
        differences = [(record, self._changes(row, record)) for record in standing]
        for record, (changes, joint) in differences:
            if not changes and joint is None:
                message = _("Record No. %(number)d says the same.") % {"number": record.pk}
                self.checked.same.append(Same(row.number, record.pk, None, message))
                return True
        if len(standing) > 1:
            numbers = listed(str(record.pk) for record in standing)
            message = _(
                "The records No. %(numbers)s have the same %(fields)s; which one is meant is unclear. Change it on its "
                "page."
            ) % {"numbers": numbers, "fields": self.tell.labels(self.kind.sheet.key)}
            self.tell.refuse(row, {"": [ValidationError(message, code="unclear")]})
            return False
        [(record, (changes, joint))] = differences
        if self.kind.may_refuse:
            refusal = self.kind.refusal(self.kind.model._base_manager.get(pk=record.pk))
            if refusal:
                self.tell.refuse(row, {"": [ValidationError(str(refusal), code="refused")]})
                return False
        over = self._over(row, record, changes, joint)
        good = self._good(row, over)
        if good is None:
            return False
        final = {name: good[name] for name in good if name in changes or _is_other(good[name], over[name])}
        final.pop(JOINT_UNITS, None)
        pks = None if joint is None else _pks(joint)
        self.checked.changed.append(ChangedRow(row.number, record.pk, record.version, final, pks))
        return True

    def _changes(self, row: Row, record: Standing) -> tuple[Values, tuple[Unit, ...] | None]:
        """What the row says otherwise than the record: values, and joint units or None."""
        changes = {}
        for column in self.compared:
            value, stands = row.values[column.name], record.values[column.name]
            if _alike(value, stands):
                continue
            if value == column.blank and column.keeps and is_blank(_cell(row.cells, column.at)):
                continue
            changes[column.name] = value
        joint = row.values.get(JOINT_UNITS)
        if JOINT_UNITS not in self.layout.columns or set(_pks(joint)) == record.joint:
            joint = None
        return changes, joint

    def _over(self, row: Row, record: Standing, changes: Values, joint: tuple[Unit, ...] | None) -> Values:
        """The record's values with the changes over them: what would stand then."""
        known = self.units.by_id
        before = tuple(known[pk] for pk in sorted(record.joint) if pk in known)
        over = {**record.values, **changes, UNIT: row.values[UNIT]}
        if JOINT_UNITS in row.values:
            over[JOINT_UNITS] = before if joint is None else joint
        return over

    def _note(self) -> None:
        hidden = (
            sorted(self.sheet.hidden_rows.intersection(self._numbers())) if self.sheet.hidden_rows else []
        )
        if hidden:
            message = ngettext(
                "%(count)d hidden row was read as well: %(rows)s.",
                "%(count)d hidden rows were read as well: %(rows)s.",
                len(hidden),
            ) % {"count": len(hidden), "rows": _shortened(hidden)}
            self.checked.notices.append(Notice(0, message))
        elsewheres = Elsewheres(self.by, self.kind, self.checked.new)
        for row in self.checked.new:
            if (other := elsewheres.of(row)) is not None:
                self.checked.notices.append(Notice(row.row, self._elsewhere(other)))

    def _elsewhere(self, other: Elsewhere) -> str:
        unit = self.units.by_id.get(other.unit)
        name = unit.name if unit else _("Another unit")
        if other.pk is not None:
            return _(
                "%(unit)s has logged the same already, as record No. %(number)d. It would count twice."
            ) % {
                "unit": name,
                "number": other.pk,
            }
        return _("%(unit)s logs the same in row %(row)d. It would count twice.") % {
            "unit": name,
            "row": other.row,
        }

    def _numbers(self) -> Iterable[int]:
        """The rows of the lists of records."""
        checked = self.checked
        lists: tuple[Sequence[Any], ...] = (checked.new, checked.changed, checked.same, checked.refused)
        return (item.row for items in lists for item in items)


def _pks(units: Iterable[Unit] | None) -> tuple[int, ...]:
    return tuple(unit.pk for unit in units or ())


def _cell(cells: Sequence[Cell], at: int) -> Cell:
    return cells[at] if at < len(cells) else None


def _alike(value: Any, stands: Any) -> bool:
    """Whether a value is what stands; lines of a text end in one way in a sheet and in another in a browser."""
    if isinstance(value, models.Model):
        return bool(value.pk == stands)
    if isinstance(value, str) and isinstance(stands, str):
        return value == stands or value.split() == stands.split()
    return bool(value == stands)


def _is_other(value: Any, before: Any) -> bool:
    return type(value) is type(before) and value != before


def _shortened(numbers: Sequence[int]) -> str:
    text = listed(map(str, numbers[:MOST_ROWS_NAMED]))
    return f"{text}…" if len(numbers) > MOST_ROWS_NAMED else text
