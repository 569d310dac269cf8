"""The nightly recount: every column of every cell straight from the records, by code of its own.

It shares nothing with `reporting.recount` but the declared indicators: a mistake made there must show here.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from copy import copy
from dataclasses import astuple, dataclass
from decimal import ROUND_HALF_UP, Decimal
from functools import reduce
from operator import and_
from typing import Any

from django.db import transaction
from django.db.models import F, QuerySet

from programs import registry
from programs.boundaries import paths_in
from programs.models import Mark
from programs.models.unit import month_bounds, path_ids
from programs.registry import Indicator, RecordKind
from reporting.models import Reconciliation, Statistic
from reporting.statistics import all_months, refresh, take_lock

logger = logging.getLogger(__name__)

COLUMNS = ("own", "total", "own_joint", "total_joint")
NOTHING = (Decimal("0.00"),) * len(COLUMNS)
ATTEMPTS = 5
EXAMPLES = 100
# Of a unit (or a record) and an indicator.
Value = tuple[int, str, Decimal]


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
    cells = Statistic.objects.filter(month=month).values_list("unit_id", "indicator", "path", *COLUMNS)
    stand = {(unit, code): (path, *columns) for unit, code, path, *columns in cells}
    places, figures = _recount(month)
    recounted = {key: (places[key[0]], *columns) for key, columns in figures.items() if any(columns)}
    keys = stand.keys() | recounted.keys()
    differences = []
    for unit, code in sorted(key for key in keys if stand.get(key) != recounted.get(key)):
        should = recounted.get((unit, code), (places.get(unit, ""), *NOTHING))
        # A cell that is not there is not in the wrong place.
        there = stand.get((unit, code), (should[0], *NOTHING))
        differences += [
            Difference(unit, month, code, column, str(found), str(wanted))
            for column, found, wanted in zip(("path", *COLUMNS), there, should, strict=True)
            if found != wanted
        ]
    return len(keys), differences


def _recount(month: dt.date) -> tuple[dict[int, str], dict[tuple[int, str], list[Decimal]]]:
    """Where every unit with figures stood, and the columns of its figures."""
    counts = [_Count(kind, month) for kind in registry.kinds() if kind.counted]
    places = paths_in(month, {unit for count in counts for unit in count.units})
    places |= paths_in(month, {unit for path in places.values() for unit in path_ids(path)})
    above = {unit: set(path_ids(path)) for unit, path in places.items()}
    figures: defaultdict[tuple[int, str], list[Decimal]] = defaultdict(lambda: list(NOTHING))
    for count in counts:
        columns = (count.own(), count.total(above), count.own_joint(), count.total_joint(above))
        for number, column in enumerate(columns):
            for unit, code, value in column:
                figures[unit, code][number] = value
    return places, figures


class _Count:
    """What the records of one kind and month say, column by column: (unit, indicator, value)."""

    def __init__(self, kind: RecordKind, month: dt.date) -> None:
        first, after = month_bounds(month)
        self.kind = kind
        self.records = kind.model.objects.filter(
            removed_at=None, occurred_on__gte=first, occurred_on__lt=after
        ).order_by()
        self.additive = [indicator for indicator in kind.counted if indicator.additive]
        self.distinct = [indicator for indicator in kind.counted if not indicator.additive]
        self.by_unit = list(_grouped(self.records, "unit", kind.counted))
        # Rows of record and joint unit, and the field that names the record.
        self.record = str(kind.model._meta.model_name)
        self.joint = kind.model.joint_model()._base_manager.filter(**{f"{self.record}__in": self.records})
        self.joined = list(self.joint.values_list(self.record, f"{self.record}__unit", "unit"))

    @property
    def units(self) -> set[int]:
        """Who leads or joins a record."""
        joined = {unit for _record, *both in self.joined for unit in both}
        return joined | {unit for unit, _code, _value in self.by_unit}

    def own(self) -> Iterable[Value]:
        return self.by_unit

    def total(self, above: dict[int, set[int]]) -> Iterator[Value]:
        distinct = {indicator.code for indicator in self.distinct}
        sums: defaultdict[tuple[int, str], Decimal] = defaultdict(Decimal)
        inside: defaultdict[int, set[int]] = defaultdict(set)
        for unit, code, value in self.by_unit:
            for other in above[unit]:
                if code in distinct:
                    inside[other].add(unit)
                else:
                    sums[other, code] += value
        yield from ((unit, code, value) for (unit, code), value in sums.items())
        for unit, units in inside.items():
            yield from _counted(unit, self.records.filter(unit__in=units), self.distinct)

    def own_joint(self) -> Iterator[Value]:
        joined = self.records.annotate(joint=F("joint_units")).exclude(joint=None).exclude(joint=F("unit"))
        return _grouped(joined, "joint", self.kind.counted)

    def total_joint(self, above: dict[int, set[int]]) -> Iterator[Value]:
        from_outside: defaultdict[int, set[int]] = defaultdict(set)
        for record, lead, joint in self.joined:
            for unit in above[joint] - above[lead]:
                from_outside[unit].add(record)
        figures: defaultdict[int, list[tuple[str, Decimal]]] = defaultdict(list)
        records = self.records.filter(pk__in=self.joint.values(self.record))
        for record, code, value in _grouped(records, "pk", self.additive):
            figures[record].append((code, value))
        for unit, joined in from_outside.items():
            sums: defaultdict[str, Decimal] = defaultdict(Decimal)
            for record in joined:
                for code, value in figures[record]:
                    sums[code] += value
            yield from ((unit, code, value) for code, value in sums.items())
            yield from _counted(unit, self.records.filter(pk__in=joined), self.distinct)


def _grouped(records: QuerySet[Any], by: str, indicators: list[Indicator]) -> Iterator[Value]:
    """Figures other than zero by unit, or by record."""
    for key, *values in records.values_list(by).annotate(**_aggregates(indicators)):
        for indicator, value in zip(indicators, values, strict=True):
            if value:
                yield key, indicator.code, _value(value)


def _counted(unit: int, records: QuerySet[Any], indicators: list[Indicator]) -> Iterator[Value]:
    values = records.aggregate(**_aggregates(indicators)).values() if indicators else ()
    for indicator, value in zip(indicators, values, strict=True):
        yield unit, indicator.code, _value(value)


def _aggregates(indicators: list[Indicator]) -> dict[str, Any]:
    found = {}
    for number, indicator in enumerate(indicators):
        aggregate: Any = copy(indicator.aggregate)
        filters = [part for part in (aggregate.filter, indicator.filter) if part is not None]
        aggregate.filter = reduce(and_, filters) if filters else None
        found[f"value{number}"] = aggregate
    return found


def _value(value: Any) -> Decimal:
    return Decimal(str(value or 0)).quantize(Decimal("0.01"), ROUND_HALF_UP)
