"""The cells of one month, counted anew from the records.

What a unit did itself is counted from the records that it leads. Figures that may be added up then go to every unit
above, in the boundaries of the month; those that may not (distinct people), and joint records, are counted from the
records for every tier.
"""

from __future__ import annotations

import copy
import csv
import datetime as dt
import io
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import Q, QuerySet, Sum

from programs import registry
from programs.boundaries import paths_in
from programs.models.unit import Placement, month_bounds, path_ids, subtree
from programs.registry import Indicator, RecordKind
from reporting.models import Statistic

ZERO = Decimal(0)
CENT = Decimal("0.01")
# Records named in one query.
MANY = 5000
# Of a cell: where the unit stood, and its figures.
COLUMNS = ("path", "own", "total", "own_joint", "total_joint")
Columns = tuple[Any, ...]


def recount_month(month: dt.date, marked: set[int] | None = None) -> int:
    """Write the month's cells of the marked units and of all above them; of every unit when None. Returns their number.

    Called inside a transaction that holds the lock of `reporting.statistics`: nobody else writes cells.
    """
    return _MonthRecount(month, marked).run()


def aggregates(indicators: Iterable[Indicator]) -> dict[str, Any]:
    """Each indicator's aggregate with its filter, under the names i0, i1, …"""
    return {f"i{number}": aggregate_of(indicator) for number, indicator in enumerate(indicators)}


def aggregate_of(indicator: Indicator, condition: Q | None = None) -> Any:
    """The indicator's aggregate over the records that pass its filter, and `condition`."""
    aggregate: Any = copy.copy(indicator.aggregate)
    for part in (indicator.filter, condition):
        if part is not None:
            aggregate.filter = part if aggregate.filter is None else aggregate.filter & part
    return aggregate


def number(value: Any) -> Decimal:
    """What an aggregate gave, as a cell holds it."""
    return ZERO if value is None else Decimal(str(value)).quantize(CENT, ROUND_HALF_UP)


def present_records(kind: RecordKind, first: dt.date, after: dt.date) -> QuerySet[Any]:
    """The kind's records that count, from the first day until before the second."""
    return kind.model.objects.present().filter(occurred_on__gte=first, occurred_on__lt=after).order_by()


@dataclass
class Cell:
    own: Decimal = ZERO
    total: Decimal = ZERO
    own_joint: Decimal = ZERO
    total_joint: Decimal = ZERO


class Joint(NamedTuple):
    """A record, the unit that leads it, and one of its joint units."""

    record: int
    lead: int
    joint: int


class _MonthRecount:
    def __init__(self, month: dt.date, marked: set[int] | None) -> None:
        self.month = month
        self.bounds = month_bounds(month)
        self.stored = Statistic.objects.filter(month=month)
        self.kinds = [kind for kind in registry.kinds() if kind.indicators]
        self.cells: defaultdict[tuple[int, str], Cell] = defaultdict(Cell)
        self.whole = marked is None
        # The units whose cells are written, and where they stood in the month.
        self.paths = {} if marked is None else self._places(self._concerned(marked))

    def run(self) -> int:
        joint = {kind.code: list(self._joint(kind)) for kind in self.kinds}
        for kind in self.kinds:
            self._count_own(kind)
        units = {unit for rows in joint.values() for row in rows for unit in (row.lead, row.joint)}
        if self.whole:
            self.paths = self._places(units | {unit for unit, _code in self.cells})
        places = self.paths | paths_in(self.month, units - self.paths.keys())
        if not self.whole:
            # What is left in the table is what the others hold.
            self.stored.filter(unit__in=self.paths).delete()
        self._add_up()
        for kind in self.kinds:
            self._count_distinct(kind)
            self._count_joint(kind, joint[kind.code], places)
        return self._write()

    # Which units

    def _concerned(self, marked: set[int]) -> set[int]:
        """The marked units, and those that stood above or below them when they were last counted, if that changed."""
        before = dict(self.stored.filter(unit__in=marked).values_list("unit_id", "path"))
        now = paths_in(self.month, marked)
        for path in _topmost(path for unit, path in before.items() if path != now.get(unit)):
            before |= dict(self.stored.filter(subtree(path)).values_list("unit_id", "path"))
        return marked | {unit for path in before.values() for unit in path_ids(path)}

    def _places(self, units: set[int]) -> dict[int, str]:
        """Where these units and all above them stood in the month."""
        places: dict[int, str] = {}
        asked: set[int] = set()
        while units:
            places |= paths_in(self.month, units)
            asked |= units
            units = {unit for path in places.values() for unit in path_ids(path)} - asked
        return places

    def _in_districts(self) -> Q:
        """For a path: it lies in a district with units concerned. Others have nothing to do with them."""
        inside = Q(pk__in=())
        for district in {path_ids(path)[0] for path in self.paths.values()}:
            inside |= subtree(f"/{district}/")
        return inside

    # Own figures and what adds up

    def _count_own(self, kind: RecordKind) -> None:
        records = present_records(kind, *self.bounds)
        if not self.whole:
            records = records.filter(unit__in=self.paths)
        for unit, *values in records.values_list("unit_id").annotate(**aggregates(kind.counted)):
            for indicator, value in zip(kind.counted, values, strict=True):
                if value:
                    self.cells[unit, indicator.code].own = number(value)

    def _add_up(self) -> None:
        additive = {i.code for kind in self.kinds for i in kind.counted if i.additive}
        above_of = {unit: path_ids(path) for unit, path in self.paths.items()}
        for (unit, code), cell in list(self.cells.items()):
            for above in above_of[unit] if code in additive else [unit]:
                self.cells[above, code].total += cell.own
        if self.whole:
            return
        others = self.stored.filter(self._in_districts()).values_list("path", flat=True).distinct()
        above_others = {unit for path in others.order_by() for unit in path_ids(path)}
        for above in self._parents() & above_others:
            below = self.stored.filter(subtree(self.paths[above]), indicator__in=additive)
            for code, total in below.values_list("indicator").annotate(Sum("own")).order_by():
                self.cells[above, code].total += number(total)

    def _parents(self) -> set[int]:
        """The units that others may have stood under."""
        parents = {unit for path in self.paths.values() for unit in path_ids(path)[:-1]}
        if not self.whole:
            below = Placement.objects.filter(parent__in=self.paths).order_by()
            parents |= set(below.values_list("parent_id", flat=True).distinct())
        return parents

    # What does not add up

    def _count_distinct(self, kind: RecordKind) -> None:
        indicators = [indicator for indicator in kind.counted if not indicator.additive]
        for above in self._parents() if indicators else ():
            records = present_records(kind, *self.bounds).filter(self._led_under(above))
            for indicator, value in _aggregated(records, indicators):
                self.cells[above, indicator.code].total = value

    def _led_under(self, above: int) -> Q:
        """Who leads a record that counts has a cell: among those about to be written, or among those that stand."""
        led = Q(unit__in=[unit for unit, path in self.paths.items() if f"/{above}/" in path])
        if not self.whole:
            led |= Q(unit__in=self.stored.filter(subtree(self.paths[above])).values("unit"))
        return led

    def _joint(self, kind: RecordKind) -> Iterator[Joint]:
        """The month's joint records in the districts concerned."""
        through = kind.model.joint_model()
        name = str(kind.model._meta.model_name)
        first, after = self.bounds
        counting = {"removed_at": None, "occurred_on__gte": first, "occurred_on__lt": after}
        rows = through._base_manager.filter(
            **{f"{name}__{field}": value for field, value in counting.items()}
        )
        if not self.whole:
            rows = rows.filter(unit__in=Placement.objects.filter(self._in_districts()).values("unit"))
        return (Joint(*row) for row in rows.values_list(f"{name}_id", f"{name}__unit_id", "unit_id"))

    def _count_joint(self, kind: RecordKind, rows: list[Joint], places: dict[int, str]) -> None:
        own: defaultdict[int, set[int]] = defaultdict(set)
        total: defaultdict[int, set[int]] = defaultdict(set)
        for row in rows:
            if row.joint != row.lead and row.joint in self.paths:
                own[row.joint].add(row.record)
            for above in set(path_ids(places[row.joint])) - set(path_ids(places[row.lead])):
                if above in self.paths:
                    total[above].add(row.record)
        count = _Counter(kind, {record for records in (*own.values(), *total.values()) for record in records})
        for indicator in kind.counted:
            for unit, records in own.items():
                self.cells[unit, indicator.code].own_joint = count(indicator, records)
            for unit, records in total.items():
                self.cells[unit, indicator.code].total_joint = count(indicator, records)

    def _write(self) -> int:
        """Of a whole month most units have the right cells already, and keep them: reading is quicker than writing."""
        counted: defaultdict[int, dict[str, Columns]] = defaultdict(dict)
        for (unit, code), cell in self.cells.items():
            if any(figures := (cell.own, cell.total, cell.own_joint, cell.total_joint)):
                counted[unit][code] = (self.paths[unit], *figures)
        stand: defaultdict[int, dict[str, Columns]] = defaultdict(dict)
        if self.whole:
            for unit, code, *columns in self.stored.values_list("unit_id", "indicator", *COLUMNS):
                stand[unit][code] = tuple(columns)
        changed = {unit for unit in counted.keys() | stand.keys() if counted.get(unit) != stand.get(unit)}
        self.stored.filter(unit__in=changed & stand.keys()).delete()
        _insert(
            (unit, self.month, code, *columns)
            for unit in sorted(changed & counted.keys())
            for code, columns in counted[unit].items()
        )
        return sum(map(len, counted.values()))


def _insert(rows: Iterable[tuple[Any, ...]]) -> None:
    """Cells of (unit_id, month, indicator, *COLUMNS)."""
    names = ("unit_id", "month", "indicator", *COLUMNS)
    if connection.vendor != "postgresql":
        cells = (Statistic(**dict(zip(names, row, strict=True))) for row in rows)
        Statistic.objects.bulk_create(cells, batch_size=MANY)
        return
    # Of a month's 100,000 cells the ORM would make as many objects: twice the work of the database itself.
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    text.seek(0)
    table = connection.ops.quote_name(Statistic._meta.db_table)
    with connection.cursor() as cursor:
        cursor.copy_expert(f"COPY {table} ({', '.join(names)}) FROM STDIN (FORMAT csv)", text)


class _Counter:
    """Figures of sets of records: added up from each record's own where that is right, else counted as a set."""

    def __init__(self, kind: RecordKind, records: set[int]) -> None:
        self.kind = kind
        self.of_record: dict[tuple[int, str], Decimal] = {}
        additive = [indicator for indicator in kind.counted if indicator.additive]
        for some in _chunks(sorted(records)):
            found = kind.model.objects.filter(pk__in=some).order_by().values_list("pk")
            for record, *values in found.annotate(**aggregates(additive)):
                for indicator, value in zip(additive, values, strict=True):
                    self.of_record[record, indicator.code] = number(value)

    def __call__(self, indicator: Indicator, records: set[int]) -> Decimal:
        if indicator.additive:
            return sum((self.of_record[record, indicator.code] for record in records), ZERO)
        [(_indicator, value)] = _aggregated(self.kind.model.objects.filter(pk__in=records), [indicator])
        return value


def _aggregated(records: QuerySet[Any], indicators: list[Indicator]) -> list[tuple[Indicator, Decimal]]:
    values = records.aggregate(**aggregates(indicators))
    return [(indicator, number(value)) for indicator, value in zip(indicators, values.values(), strict=True)]


def _topmost(paths: Iterable[str]) -> list[str]:
    """Those that do not lie below another of them."""
    found: list[str] = []
    for path in sorted(paths):
        if not (found and path.startswith(found[-1])):
            found.append(path)
    return found


def _chunks(items: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(items), MANY):
        yield items[start : start + MANY]
