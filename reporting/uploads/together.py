"""Rows that are good by themselves, judged in view of the rest of their workbook (`RecordSheet.refusals`)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from programs import registry
from programs.actions.bulk import ChangedRow, NewRow
from programs.models.unit import Unit
from programs.registry import RecordKind
from programs.sheets import UNIT, TogetherRow
from reporting.uploads.rows import Row
from reporting.uploads.telling import Telling

if TYPE_CHECKING:
    from reporting.uploads.pipeline import Part


@dataclass(slots=True)
class _Good:
    part: Part
    row: NewRow | ChangedRow


def judge(parts: Sequence[Part]) -> None:
    """Refuse the rows that do not go together with the rest. Sheets of kinds that ask for nothing cost nothing."""
    workbook: dict[str, list[TogetherRow]] = defaultdict(list)
    # In the order of declaration: what an opinion names has been judged before it.
    for kind in dict.fromkeys(part.kind for part in sorted(parts, key=_place)):
        if not kind.sheet.together:
            continue
        good: list[_Good] = []
        for part in (part for part in parts if part.kind is kind):
            good += [_Good(part, row) for row in part.checked.new]
            good += [_Good(part, row) for row in part.checked.changed]
        rows = _told(kind, good)
        refused = kind.sheet.refusals(rows, workbook)
        _refuse([(good[at], errors) for at, errors in refused.items()])
        _refuse_repeated(
            [part for part in parts if part.kind is kind],
            {(good[at].part.sheet.name, good[at].row.row) for at in refused},
        )
        workbook[kind.code] = [row for row in rows if row.at not in refused]


def _place(part: Part) -> int:
    return registry.kinds().index(part.kind)


def _told(kind: RecordKind, good: list[_Good]) -> list[TogetherRow]:
    """What the rows would leave in the fields that are asked for."""
    names = kind.sheet.together
    changed = [one.row.pk for one in good if isinstance(one.row, ChangedRow)]
    standing: dict[int, dict[str, Any]] = {}
    for start in range(0, len(changed), 500):
        found = kind.model.objects.filter(pk__in=changed[start : start + 500])
        standing |= {row["pk"]: row for row in found.values("pk", "unit_id", *names)}
    told = []
    for at, one in enumerate(good):
        values = one.row.values
        pk = one.row.pk if isinstance(one.row, ChangedRow) else None
        before = standing.get(pk, {}) if pk is not None else {}
        unit: Any = values.get(UNIT, before.get("unit_id"))
        told.append(
            TogetherRow(
                at,
                pk,
                unit.pk if isinstance(unit, Unit) else unit,
                {name: values.get(name, before.get(name, "")) for name in names},
            )
        )
    return told


def _refuse(refused: Sequence[tuple[_Good, dict[str, ValidationError]]]) -> None:
    gone = {id(one.row) for one, _errors in refused}
    for part in {id(one.part): one.part for one, _errors in refused}.values():
        part.checked.new = [row for row in part.checked.new if id(row) not in gone]
        part.checked.changed = [row for row in part.checked.changed if id(row) not in gone]
    for one, errors in sorted(refused, key=lambda item: item[0].row.row):
        _tell(one.part, one.row.row, errors)


def _refuse_repeated(parts: Sequence[Part], gone: set[tuple[str, int]]) -> None:
    """A row that only says again what a refused one says is not there already: nothing of it is entered."""
    for part in parts:
        repeated = [same for same in part.checked.same if (same.of_sheet, same.of_row) in gone]
        if not repeated:
            continue
        numbers = {same.row for same in repeated}
        part.checked.same = [same for same in part.checked.same if same.row not in numbers]
        for same in repeated:
            where = {"row": same.of_row, "sheet": same.of_sheet}
            message = (
                _("Row %(row)d says the same and is refused. Correct it there, and delete one of the two.")
                if same.of_sheet == part.sheet.name
                else _(
                    "Row %(row)d of %(sheet)s says the same and is refused. Correct it there, and delete one of the "
                    "two."
                )
            )
            _tell(part, same.row, {"": ValidationError(message % where, code="twice")})


def _tell(part: Part, number: int, errors: dict[str, ValidationError]) -> None:
    sheet = part.sheet
    row = Row(number, sheet.rows[number - sheet.first_row], {}, {})
    Telling(part.kind, part.layout, part.checked).refuse(
        row, {name: [error] for name, error in errors.items()}
    )
