"""The nightly recount: every column of every cell straight from the records, by code of its own.

It shares nothing with `reporting.recount` but the declared indicators: a mistake made there must show here. There the
totals go up from tier to tier; here every record counts at once for all units above the one that leads it.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import astuple, dataclass
from functools import reduce
from operator import and_
from typing import Any

from django.db import connection, transaction
from django.db.models import Aggregate, F, IntegerField, QuerySet
from django.db.models.functions import TruncMonth

from programs import registry
from programs.boundaries import paths_in
from programs.models import Mark, Placement
from programs.models.unit import month_bounds, path_ids
from programs.registry import Indicator, RecordKind
from reporting.models import Freshness, Reconciliation, UnitMonth
from reporting.models.statistics import COLUMNS
from reporting.numbers import (
    ancestor,
    ancestors,
    array,
    decimal,
    hundredths,
    in_parallel,
    is_postgresql,
    parent_of,
)
from reporting.statistics import all_months, in_spans, refresh, take_lock

logger = logging.getLogger(__name__)

ATTEMPTS = 5
EXAMPLES = 100
CELLS = UnitMonth._meta.db_table
MEMORY = "256MB"


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
    cells, busy, done, months = 0, 0, 0, all_months()
    for some in in_spans(months):
        count, found, restless = _compared(some)
        cells += count
        differences += found
        busy += len(restless)
        for month in restless:
            logger.warning(
                "The records of %s changed all the while; the month was not compared.", f"{month:%Y-%m}"
            )
        done += len(some)
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


def _compared(months: list[dt.date]) -> tuple[int, list[Difference], list[dt.date]]:
    """The number of rows of cells of the months, the differences, and the months whose records never rested.

    A change of a record commits together with a mark, and marks are taken under the lock only: if none stands at the
    end, nothing changed while the month was counted.
    """
    cells, differences, waiting = 0, [], months
    for _attempt in range(ATTEMPTS):
        refresh()
        with transaction.atomic(durable=True):
            take_lock()
            count, found = _compare(waiting)
            restless = set(Mark.objects.filter(month__in=waiting).values_list("month", flat=True))
        cells += sum(number for month, number in count.items() if month not in restless)
        differences += [difference for difference in found if difference.month not in restless]
        waiting = [month for month in waiting if month in restless]
        if not waiting:
            break
    return cells, differences, waiting


def _compare(months: list[dt.date]) -> tuple[dict[dt.date, int], list[Difference]]:
    """The number of rows of each month, and what differs."""
    with connection.cursor() as cursor:
        truth = _Truth(cursor, months)
        for kind in registry.kinds():
            if kind.counted:
                truth.count(kind)
        codes = truth.codes
        rows = list(truth.differing())
        counts = truth.counts()
    return counts, [difference for row in rows for difference in _told(codes, row)]


@dataclass(frozen=True)
class _Row:
    """A row of cells beside what was counted here; columns that hold nothing but zeros are empty."""

    unit: int
    month: dt.date
    kind: str
    place: tuple[str | None, int | None]  # path and parent as the cells have them
    path: str | None  # where the unit stood
    stand: list[list[int]]
    counted: list[list[int]]


def _told(codes: dict[str, list[str]], row: _Row) -> Iterator[Difference]:
    """What differs, figure by figure; a wrong place is told of each figure that the row holds."""
    of_kind = codes.get(row.kind, [])
    above = path_ids(row.path or "")[-2:-1]
    is_misplaced = row.place != (row.path, above[0] if above else None)
    for number in range(max(map(len, (*row.stand, *row.counted)), default=0)):
        code = of_kind[number] if number < len(of_kind) else f"{row.kind}#{number + 1}"
        there, should = (
            [column[number] if number < len(column) else 0 for column in side]
            for side in (row.stand, row.counted)
        )
        if any(there) and is_misplaced:
            yield Difference(row.unit, row.month, code, "path", str(row.place[0]), str(row.path or ""))
        for name, cell, recounted in zip(COLUMNS, there, should, strict=True):
            if cell != recounted:
                yield Difference(row.unit, row.month, code, name, str(decimal(cell)), str(decimal(recounted)))


class _Truth:
    """What the records of some months say, in tables of this session."""

    def __init__(self, cursor: Any, months: list[dt.date]) -> None:
        self.cursor, self.months = cursor, months
        self.bounds = months[0], month_bounds(months[-1])[1]
        fresh = Freshness.objects.filter(pk=1).first()
        self.codes: dict[str, list[str]] = fresh.places if fresh else {}
        path, numbers = ('text COLLATE "C"', "bigint[]") if is_postgresql() else ("text", "text")
        columns = ", ".join(f"{name} {numbers}" for name in COLUMNS)
        self.clear("truth_place", f"unit bigint, month date, path {path}")
        self.clear("truth_cells", f"kind varchar(50), unit bigint, month date, path {path}, {columns}")
        if is_postgresql():
            cursor.execute(f"SET LOCAL work_mem = '{MEMORY}'")
            cursor.execute("SET LOCAL jit = off")
        self._place_units()

    def clear(self, table: str, columns: str) -> None:
        end = "ON COMMIT DELETE ROWS" if is_postgresql() else ""
        self.cursor.execute(f"CREATE TEMPORARY TABLE IF NOT EXISTS {table} ({columns}) {end}")
        self.cursor.execute(f"DELETE FROM {table}")

    def _place_units(self) -> None:
        units = set(Placement.objects.values_list("unit_id", flat=True))
        rows = [
            (unit, month, path)
            for month in self.months
            for unit, path in sorted(paths_in(month, units).items())
        ]
        if is_postgresql():
            columns = [list(column) for column in zip(*rows, strict=True)] or [[], [], []]
            values = "unnest(%s::bigint[], %s::date[], %s::text[])"
            self.cursor.execute(f"INSERT INTO truth_place SELECT * FROM {values}", columns)
            self.cursor.execute("ANALYZE truth_place")
        else:
            self.cursor.executemany("INSERT INTO truth_place VALUES (%s, %s, %s)", rows)

    def count(self, kind: RecordKind) -> None:
        of_kind = _Count(self, kind)
        of_kind.run()
        names = ", ".join(f"MAX(CASE WHEN name = '{name}' THEN numbers END)" for name in COLUMNS)
        numbers = array(of_kind.names)
        # What is counted in several ways stands in several rows, each with zeros where the others have figures.
        parts = of_kind.parts
        if of_kind.distinct:
            sums = ", ".join(f"SUM({name}) AS {name}" for name in of_kind.names)
            parts = f"(SELECT name, unit, month, {sums} FROM {parts} GROUP BY 1, 2, 3) united"
        self.cursor.execute(
            f"INSERT INTO truth_cells SELECT '{kind.code}', p.unit, p.month, p.path, {names} FROM"
            f" (SELECT name, unit, month, {numbers} AS numbers FROM {parts}) found"
            " JOIN truth_place p ON p.unit = found.unit AND p.month = found.month"
            " WHERE numbers IS NOT NULL GROUP BY p.unit, p.month, p.path"
        )

    def differing(self) -> Iterator[_Row]:
        if is_postgresql():
            self.cursor.execute("ANALYZE truth_cells (unit, month, kind)")
        same = "IS NOT DISTINCT FROM" if is_postgresql() else "IS"
        columns = ", ".join([f"s.{name}" for name in COLUMNS] + [f"t.{name}" for name in COLUMNS])
        key = "s.unit_id = t.unit AND s.month = t.month AND s.kind = t.kind"
        equal = " AND ".join(f"s.{name} {same} t.{name}" for name in COLUMNS)
        months = ", ".join(["%s"] * len(self.months))
        self.cursor.execute(
            f"SELECT t.unit, t.month, t.kind, s.path, s.parent_id, t.path, {columns} FROM truth_cells t"
            f" LEFT JOIN {CELLS} s ON {key} WHERE s.id IS NULL"
            f" OR NOT ({equal} AND s.path = t.path AND s.parent_id {same} {parent_of('t.path')})"
            f" UNION ALL SELECT s.unit_id, s.month, s.kind, s.path, s.parent_id, p.path, {columns} FROM {CELLS} s"
            f" LEFT JOIN truth_cells t ON {key} LEFT JOIN truth_place p ON p.unit = s.unit_id AND p.month = s.month"
            f" WHERE t.unit IS NULL AND s.month IN ({months}) ORDER BY 2, 1, 3",
            self.months,
        )
        for unit, month, kind, path, parent, should, *found in self.cursor.fetchall():
            numbers = [_list(column) for column in found]
            stand, counted = numbers[: len(COLUMNS)], numbers[len(COLUMNS) :]
            yield _Row(unit, _day(month), kind, (path, parent), should, stand, counted)

    def counts(self) -> dict[dt.date, int]:
        """Rows of cells by month: those that stand, and those that should."""
        months = ", ".join(["%s"] * len(self.months))
        self.cursor.execute(
            f"SELECT month, COUNT(*) FROM (SELECT unit_id, month, kind FROM {CELLS} WHERE month IN ({months})"
            " UNION SELECT unit, month, kind FROM truth_cells) found GROUP BY 1",
            self.months,
        )
        return {_day(month): count for month, count in self.cursor.fetchall()}


def _day(value: Any) -> dt.date:
    return dt.date.fromisoformat(value) if isinstance(value, str) else value


def _list(value: Any) -> list[int]:
    return UnitMonth._meta.get_field("own").from_db_value(value, None, connection) or []


class _Count:
    """What the records of one kind say, column by column."""

    def __init__(self, truth: _Truth, kind: RecordKind) -> None:
        self.truth, self.kind = truth, kind
        by_code = {indicator.code: indicator for indicator in kind.counted}
        self.indicators = [by_code.get(code) for code in truth.codes.get(kind.code, [])]
        first, after = truth.bounds
        self.records = kind.model.objects.filter(
            removed_at=None, occurred_on__gte=first, occurred_on__lt=after
        ).order_by()
        self.by_month = self.records.annotate(month=TruncMonth("occurred_on"))
        self.additive = [i for i in self.indicators if i and i.additive]
        self.distinct = [i for i in self.indicators if i and not i.additive]
        self.names = [f"n{place}" for place in range(len(self.indicators))]
        columns = ", ".join(f"{name} bigint" for name in self.names)
        self.parts, self.joint = (f"truth_{name}_{len(self.names)}" for name in ("part", "joint"))
        truth.clear(self.parts, f"name varchar(20), unit bigint, month date, {columns}")
        truth.clear(self.joint, f"record bigint, lead bigint, month date, {columns}")

    def run(self) -> None:
        every = [i for i in self.indicators if i]
        self._insert(
            "own", *_sql(self.by_month.values("unit_id", "month").annotate(**_aggregates(every))), every
        )
        # By every unit above the one that leads.
        unit = ancestor()
        up = f"JOIN truth_place p ON p.unit = o.unit AND p.month = o.month {ancestors('p.path')}"
        total = f"SELECT {unit}, o.month, {self._sums('o')} FROM {self.parts} o {up} WHERE o.name = 'own' GROUP BY 1, 2"
        self._fill("total", total)
        joined = self.by_month.annotate(joint=F("joint_units")).exclude(joint=None).exclude(joint=F("unit"))
        self._insert(
            "own_joint", *_sql(joined.values("joint", "month").annotate(**_aggregates(every))), every
        )
        self._count_joint()
        for indicator in self.distinct:
            self._count_distinct(indicator)

    def _fill(self, name: str, select: str, parameters: Sequence[Any] = ()) -> None:
        """`select` gives unit, month and a number for every indicator."""
        statement = f"INSERT INTO {self.parts} SELECT '{name}', found.* FROM ({select}) found"
        self.truth.cursor.execute(statement, list(parameters))

    def _insert(self, name: str, query: str, parameters: list[Any], indicators: list[Indicator]) -> None:
        """`query` gives unit, month and the values of these indicators."""
        who = "o.joint" if name == "own_joint" else "o.unit_id"
        values = self._listed(
            {i.code: self._whole(i, f"o.value{number}") for number, i in enumerate(indicators)}
        )
        select = f"SELECT {who}, o.month, {values} FROM {query} o"
        self._fill(name, *in_parallel(self.truth.cursor, select, parameters))

    def _whole(self, indicator: Indicator, value: str) -> str:
        """What the ORM counted, in whole hundredths."""
        output = (
            self.records.values("unit")
            .annotate(value=indicator.aggregate)
            .query.annotations["value"]
            .output_field
        )
        return f"COALESCE({value}, 0) * 100" if isinstance(output, IntegerField) else hundredths(value)

    def _listed(self, values: dict[str, str]) -> str:
        """A column for every indicator, zero where no value is known."""
        known = [values.get(i.code, "0") if i else "0" for i in self.indicators]
        return ", ".join(f"{value} AS {name}" for value, name in zip(known, self.names, strict=True))

    def _sums(self, table: str) -> str:
        places = {
            i.code: f"SUM({table}.{name})" for i, name in zip(self.indicators, self.names, strict=True) if i
        }
        return self._listed({i.code: places[i.code] for i in self.additive})

    def _count_joint(self) -> None:
        """By every unit above a joint unit that is not above the one that leads; each record once."""
        through = self.kind.model.joint_model()._base_manager.values(self.kind.model._meta.model_name)
        values = (
            self.by_month.filter(pk__in=through).annotate(record=F("pk")).values("record", "unit_id", "month")
        )
        query, parameters = _sql(values.annotate(**_aggregates(self.additive)))
        columns = self._listed({i.code: self._whole(i, f"o.value{n}") for n, i in enumerate(self.additive)})
        select = f"SELECT o.record, o.unit_id, o.month, {columns} FROM {query} o"
        counted, parameters = in_parallel(self.truth.cursor, select, parameters)
        self.truth.cursor.execute(f"INSERT INTO {self.joint} {counted}", parameters)
        sums = self._sums("j")
        self._fill(
            "total_joint",
            f"SELECT d.unit, d.month, {sums} FROM ({self._outside()}) d JOIN {self.joint} j ON j.record = d.record"
            " GROUP BY 1, 2",
        )

    def _outside(self) -> str:
        """A row for each joint record and unit that saw it without being above the unit that leads it."""
        model, unit = self.kind.model, ancestor()
        table, record = model.joint_model()._meta.db_table, f"{model._meta.model_name}_id"
        return (
            f"SELECT DISTINCT j.record, {unit} AS unit, j.month FROM {self.joint} j"
            f" JOIN {table} t ON t.{record} = j.record"
            " JOIN truth_place lead ON lead.unit = j.lead AND lead.month = j.month"
            f" JOIN truth_place p ON p.unit = t.unit_id AND p.month = j.month {ancestors('p.path')}"
            f" WHERE replace(lead.path, '/' || {unit} || '/', '') = lead.path"
        )

    def _count_distinct(self, indicator: Indicator) -> None:
        """What does not add up, from the values that are told apart."""
        unit, counted = ancestor(), self._listed({indicator.code: "COUNT(DISTINCT o.counted) * 100"})
        up = f"JOIN truth_place p ON p.unit = o.unit_id AND p.month = o.month {ancestors('p.path')}"
        rows = self._values_of(indicator).values("unit_id", "month", "counted").distinct()
        query, parameters = _sql(rows)
        self._fill(
            "total", f"SELECT {unit}, o.month, {counted} FROM {query} o {up} GROUP BY 1, 2", parameters
        )
        query, parameters = _sql(
            self._values_of(indicator).annotate(record=F("pk")).values("record", "counted")
        )
        seen = f"({self._outside()}) d JOIN {query} o ON o.record = d.record"
        self._fill("total_joint", f"SELECT d.unit, d.month, {counted} FROM {seen} GROUP BY 1, 2", parameters)

    def _values_of(self, indicator: Indicator) -> QuerySet[Any]:
        """The records that pass its filters, with what is told apart as `counted`."""
        aggregate: Any = indicator.aggregate
        records = self.by_month
        for condition in (aggregate.filter, indicator.filter):
            if condition is not None:
                records = records.filter(condition)
        return records.annotate(counted=aggregate.get_source_expressions()[0])


def _sql(query: QuerySet[Any]) -> tuple[str, list[Any]]:
    sql, parameters = query.query.sql_with_params()
    return f"({sql})", list(parameters)


def _aggregates(indicators: list[Indicator]) -> dict[str, Aggregate]:
    found = {}
    for number, indicator in enumerate(indicators):
        aggregate: Any = copy(indicator.aggregate)
        filters = [part for part in (aggregate.filter, indicator.filter) if part is not None]
        aggregate.filter = reduce(and_, filters) if filters else None
        found[f"value{number}"] = aggregate
    return found
