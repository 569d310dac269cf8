"""The nightly recount: every cell and column straight from the records, by the plainest way there is.

It shares nothing with `reporting.recount` but the declared indicators: a mistake made there must show here.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections import defaultdict
from collections.abc import Callable
from dataclasses import astuple, dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from programs import registry
from programs.boundaries import paths_in
from programs.models import Mark
from programs.models.unit import month_bounds, path_ids
from programs.registry import Indicator, RecordKind
from reporting.models import Reconciliation, Statistic
from reporting.statistics import all_months, refresh, take_lock

logger = logging.getLogger(__name__)

COLUMNS = ("own", "total", "own_joint", "total_joint")
ATTEMPTS = 5
EXAMPLES = 100


@dataclass(frozen=True)
class Difference:
    """A column of a cell that does not hold what the records say; a cell that is not there holds zeros."""

    unit_id: int
    month: dt.date
    indicator: str
    column: str
    cell: str
    recount: str


def reconcile(progress: Callable[[int, int], None] | None = None) -> list[Difference]:
    """Recount everything, note the outcome, raise an alarm in the log on any difference, and return them all."""
    differences: list[Difference] = []
    cells, busy, months = 0, 0, all_months()
    for done, month in enumerate(months, 1):
        outcome = _compared(month)
        if outcome is None:
            busy += 1
            logger.warning(
                "The records of %s changed all the while; the month was not compared.", f"{month:%Y-%m}"
            )
        else:
            cells += outcome[0]
            differences += outcome[1]
        if progress:
            progress(done, len(months))
    Reconciliation.objects.create(
        cells=cells,
        differences=len(differences),
        busy_months=busy,
        examples=[[str(value) for value in astuple(difference)] for difference in differences[:EXAMPLES]],
    )
    if differences:
        logger.error("Statistics differ from the records in %d of %d cells.", len(differences), cells)
    return differences


def _compared(month: dt.date) -> tuple[int, list[Difference]] | None:
    """The number of cells of the month and the differences; None if its records never rested.

    A change of a record commits together with a mark, and marks are taken under the lock only: if none stands at the
    end, nothing changed while the month was counted.
    """
    for _attempt in range(ATTEMPTS):
        refresh()
        with transaction.atomic(durable=True):
            take_lock()
            outcome = _compare(month)
            if not Mark.objects.filter(month=month).exists():
                return outcome
    return None


def _compare(month: dt.date) -> tuple[int, list[Difference]]:
    stand = {(cell.unit_id, cell.indicator): cell for cell in Statistic.objects.filter(month=month)}
    places, recounted = _recount(month)
    nothing = Statistic()
    differences = []
    for unit, code in sorted(stand.keys() | recounted.keys()):
        cell, columns = stand.get((unit, code), nothing), recounted.get((unit, code), {})
        pairs = [(column, _plain(getattr(cell, column)), _plain(columns.get(column))) for column in COLUMNS]
        if cell is not nothing:
            pairs.append(("path", cell.path, places.get(unit, "")))
        differences += [
            Difference(unit, month, code, column, there, should)
            for column, there, should in pairs
            if there != should
        ]
    return len(stand.keys() | recounted.keys()), differences


def _recount(month: dt.date) -> tuple[dict[int, str], dict[tuple[int, str], dict[str, Decimal]]]:
    """Where every unit with figures stood, and its figures other than zero."""
    places = _places(month)
    under: defaultdict[int, set[int]] = defaultdict(set)
    for unit, path in places.items():
        for above in path_ids(path):
            under[above].add(unit)
    cells: defaultdict[tuple[int, str], dict[str, Decimal]] = defaultdict(dict)
    for kind in registry.kinds():
        for indicator in kind.counted:
            for unit, column, value in _figures(kind, indicator, month, under):
                if value:
                    cells[unit, indicator.code][column] = value
    return places, cells


def _places(month: dt.date) -> dict[int, str]:
    """The paths of the units that lead or join a record of the month, and of those above them."""
    units: set[int] = set()
    for kind in registry.kinds():
        records = _records(kind, month)
        units |= set(records.values_list("unit", flat=True).distinct())
        units |= set(records.exclude(joint_units=None).values_list("joint_units", flat=True).distinct())
    places = paths_in(month, units)
    return places | paths_in(month, {unit for path in places.values() for unit in path_ids(path)})


def _figures(
    kind: RecordKind, indicator: Indicator, month: dt.date, under: dict[int, set[int]]
) -> list[tuple[int, str, Decimal]]:
    """(unit, column, value) of one indicator."""
    records = _records(kind, month)
    if indicator.filter is not None:
        records = records.filter(indicator.filter)
    record = str(kind.model._meta.model_name)
    joint = kind.model.joint_model()._base_manager.filter(**{f"{record}__in": _records(kind, month)})
    joining = set(joint.values_list("unit", flat=True))

    def value_of(counted: QuerySet[Any]) -> Decimal:
        return _value(counted.aggregate(value=indicator.aggregate)["value"])

    def joined_by(units: set[int]) -> QuerySet[Any]:
        rows = joint.filter(unit__in=units).values(record)
        return records.exclude(unit__in=units).filter(pk__in=rows)

    by_unit = records.values_list("unit").annotate(value=indicator.aggregate)
    own = {unit: _value(value) for unit, value in by_unit}
    figures = [(unit, "own", value) for unit, value in own.items()]
    for unit, inside in under.items():
        total = own.get(unit, Decimal(0)) if inside == {unit} else value_of(records.filter(unit__in=inside))
        figures.append((unit, "total", total))
        if unit in joining:
            figures.append((unit, "own_joint", value_of(joined_by({unit}))))
        if inside & joining:
            figures.append((unit, "total_joint", value_of(joined_by(inside))))
    return figures


def _records(kind: RecordKind, month: dt.date) -> QuerySet[Any]:
    first, after = month_bounds(month)
    return kind.model.objects.filter(
        removed_at=None, occurred_on__gte=first, occurred_on__lt=after
    ).order_by()


def _value(value: Any) -> Decimal:
    return Decimal(str(value or 0)).quantize(Decimal("0.01"), ROUND_HALF_UP)


def _plain(value: Any) -> str:
    return str(_value(value))
