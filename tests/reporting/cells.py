"""Cells one by one, for tests that look at them or break them: a row of the table holds all of a kind."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from programs import registry
from programs.models import Unit
from reporting.models import Freshness, UnitMonth
from reporting.models.statistics import COLUMNS
from reporting.numbers import decimal


@dataclass(frozen=True)
class Cell:
    row: int
    unit_id: int
    path: str
    month: dt.date
    indicator: str
    own: Decimal
    total: Decimal
    own_joint: Decimal
    total_joint: Decimal

    @property
    def columns(self) -> tuple[Decimal, Decimal, Decimal, Decimal]:
        return self.own, self.total, self.own_joint, self.total_joint


def cells(rows: Iterable[UnitMonth] | None = None) -> list[Cell]:
    """Of these rows, or of all: every indicator with any figure."""
    found = []
    # The rows first: a worker may write both at this very moment, and rows never come before their places.
    rows = list(UnitMonth.objects.order_by("pk") if rows is None else rows)
    places = Freshness.objects.get().places if rows else {}
    for row in rows:
        for place, code in enumerate(places[row.kind]):
            values = [_at(getattr(row, name), place) for name in COLUMNS]
            if any(values):
                found.append(Cell(row.pk, row.unit_id, row.path, row.month, code, *map(decimal, values)))
    return found


def put(unit: Unit, month: dt.date, code: str, **columns: int) -> None:
    """Write figures into a cell, whether it is there or not; what is not named stays."""
    kind, place = place_of_code(code)
    row = UnitMonth.objects.filter(unit=unit, month=month, kind=kind).first()
    row = row or UnitMonth(unit=unit, path=unit.path, parent_id=parent_in(unit.path), month=month, kind=kind)
    for name, value in columns.items():
        numbers = list(getattr(row, name) or [])
        numbers += [0] * (place + 1 - len(numbers))
        numbers[place] = value * 100
        setattr(row, name, numbers if any(numbers) else None)
    if all(getattr(row, name) is None for name in COLUMNS):
        row.delete()
    else:
        row.save()


def wipe(cell: Cell) -> None:
    """A cell of nothing but zeros."""
    put(Unit.objects.get(pk=cell.unit_id), cell.month, cell.indicator, **dict.fromkeys(COLUMNS, 0))


def place_of_code(code: str) -> tuple[str, int]:
    places: dict[str, list[str]] = Freshness.objects.get().places
    kind = next(kind.code for kind in registry.kinds() if any(i.code == code for i in kind.counted))
    return kind, places[kind].index(code)


def parent_in(path: str) -> int | None:
    ids = [int(part) for part in path.split("/") if part]
    return ids[-2] if len(ids) > 1 else None


def _at(numbers: list[int] | None, place: int) -> Any:
    return numbers[place] if numbers and place < len(numbers) else 0
