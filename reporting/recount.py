"""The cells of some months, counted anew from the records, within the database.

What a unit did itself is counted from the records that it leads. Figures that may be added up then go up tier by
tier: a unit's total is its own figure and the totals of the units right below it. Those that may not (distinct
people), and joint records, are counted from the records for every tier. What comes of it is compared with the cells
that stand; only those that differ are written.
"""

from __future__ import annotations

import copy
import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from functools import cached_property
from typing import Any

from django.db import connection
from django.db.models import Case, DecimalField, F, FloatField, Q, QuerySet, Sum, Value, When
from django.db.models.expressions import Star

from programs import registry
from programs.models.unit import Placement, Unit, month_bounds
from programs.registry import Indicator, RecordKind
from reporting import numbers
from reporting.models import UnitMonth
from reporting.models.statistics import COLUMNS
from reporting.numbers import array, element

ZERO = Decimal(0)
CENT = Decimal("0.01")
# Codes of indicators by kind, in the order of their numbers: see reporting.models.Freshness.
Places = Mapping[str, Sequence[str]]
OWN, TOTAL, OWN_JOINT, TOTAL_JOINT, DISTINCT = range(5)
# For counting whole years: grouping on disk takes several times as long.
MEMORY = "256MB"


def recount(
    months: Sequence[dt.date], places: Places, marked: Mapping[dt.date, set[int]] | None = None
) -> int:
    """Bring the cells of the months to what the records say: of the marked units of each month and of all above them;
    of every unit when None. Returns the number of rows of cells that these units have now.

    Called inside a transaction that holds the lock of `reporting.statistics`: nobody else writes cells.
    """
    return _Recount(months, places, marked).run()


def aggregate_of(indicator: Indicator, condition: Q | None = None) -> Any:
    """The indicator's aggregate over the records that pass its filter, and `condition`."""
    aggregate: Any = copy.copy(indicator.aggregate)
    for part in (indicator.filter, condition):
        if part is not None:
            aggregate.filter = part if aggregate.filter is None else aggregate.filter & part
    return aggregate


def number(value: Any) -> Decimal:
    """What an aggregate gave, as figures are shown."""
    return ZERO if value is None else Decimal(str(value)).quantize(CENT, ROUND_HALF_UP)


def present_records(kind: RecordKind, first: dt.date, after: dt.date) -> QuerySet[Any]:
    """The kind's records that count, from the first day until before the second."""
    return kind.model.objects.present().filter(occurred_on__gte=first, occurred_on__lt=after).order_by()


@dataclass(frozen=True)
class Counting:
    """How the records of a kind become its numbers, one for each place."""

    kind: RecordKind
    indicators: list[Indicator | None]  # None: of an indicator that is no more

    @cached_property
    def has_distinct(self) -> bool:
        return any(indicator and not indicator.additive for indicator in self.indicators)

    def rows(self, first: dt.date, after: dt.date) -> tuple[str, list[Any]]:
        """A query of the records: r_id, r_unit, r_day, and as x0, x1 … what each indicator counts of them."""
        who = {"r_id": F("pk"), "r_unit": F("unit_id"), "r_day": F("occurred_on")}
        counted = {f"x{place}": _counted(i) for place, i in enumerate(self.indicators) if i}
        records = (
            present_records(self.kind, first, after).annotate(**who, **counted).values_list(*who, *counted)
        )
        sql, parameters = records.query.sql_with_params()
        return f"({sql})", list(parameters)

    @property
    def names(self) -> list[str]:
        """Columns of numbers in the tables of a recount."""
        return [f"n{place}" for place in range(len(self.indicators))]

    def numbers(self, rows: str) -> str:
        """Of grouped `rows`, their numbers."""
        return self._listed(_aggregated(i, f"{rows}.x{place}") if i else "0" for place, i in self._placed)

    def numbers_of_one(self, rows: str) -> str:
        """Of each of the `rows`, its numbers: what may be added up."""
        return self._listed(
            _of_one(i, f"{rows}.x{place}") if i and i.additive else "0" for place, i in self._placed
        )

    def sums(self, rows: str) -> str:
        """Of grouped `rows` of numbers, their sums: what does not add up stays a zero."""
        return self._listed(f"SUM({rows}.n{place})" if i and i.additive else "0" for place, i in self._placed)

    def elements(self, column: str) -> str:
        """Of a column of cells, its numbers."""
        return self._listed(f"COALESCE({element(column, place)}, 0)" for place, _indicator in self._placed)

    @property
    def _placed(self) -> list[tuple[int, Indicator | None]]:
        return list(enumerate(self.indicators))

    def _listed(self, values: Iterable[str]) -> str:
        return ", ".join(f"{value} AS {name}" for value, name in zip(values, self.names, strict=True))


def _counted(indicator: Indicator) -> Any:
    """What the indicator adds up or counts, of one record; nothing where its filter does not pass."""
    aggregate: Any = aggregate_of(indicator)
    [source] = aggregate.get_source_expressions()[:1]
    value = Value(1) if isinstance(source, Star) else source
    return value if aggregate.filter is None else Case(When(aggregate.filter, then=value))


def _aggregated(indicator: Indicator, column: str) -> str:
    """SQL of whole hundredths."""
    aggregate: Any = indicator.aggregate
    distinct = "DISTINCT " if aggregate.distinct else ""
    if not isinstance(aggregate, Sum):
        return f"COUNT({distinct}{column}) * 100"
    total = f"SUM({distinct}{column})"
    return numbers.hundredths(total) if _has_decimals(indicator) else f"COALESCE({total}, 0) * 100"


def _of_one(indicator: Indicator, column: str) -> str:
    """What one record adds, in SQL of whole hundredths."""
    if not isinstance(indicator.aggregate, Sum):
        return f"CASE WHEN {column} IS NULL THEN 0 ELSE 100 END"
    return numbers.hundredths(column) if _has_decimals(indicator) else f"COALESCE({column}, 0) * 100"


def _has_decimals(indicator: Indicator) -> bool:
    kind = next(kind for kind in registry.kinds() if indicator in kind.counted)
    resolved = kind.model.objects.order_by().values("unit").annotate(value=indicator.aggregate)
    output = resolved.query.annotations["value"].output_field
    return isinstance(output, DecimalField | FloatField)


class _Recount:
    def __init__(
        self, months: Sequence[dt.date], places: Places, marked: Mapping[dt.date, set[int]] | None
    ) -> None:
        self.months, self.marked = sorted(months), marked
        self.bounds = self.months[0], month_bounds(self.months[-1])[1]
        self.countings = [
            Counting(kind, [_by_code(kind).get(code) for code in places.get(kind.code, ())])
            for kind in registry.kinds()
            if places.get(kind.code)
        ]

    def run(self) -> int:
        with connection.cursor() as cursor:
            self.execute = cursor.execute
            self.cursor = cursor
            for name, columns in TABLES.items():
                _clear_table(cursor, name, columns)
            if self.marked is None and numbers.is_postgresql():
                self.execute(f"SET LOCAL work_mem = '{MEMORY}'")
                self.execute("SET LOCAL jit = off")
            self._place_units()
            if self.marked is not None:
                self._concern_units()
            for counting in self.countings:
                self._count(counting)
            return self._write()

    # Which units

    def _place_units(self) -> None:
        """Where every unit stood in each of the months: at the latest placement that overlaps it, or the first.

        Of the districts of marked units only: others have nothing to do with them.
        """
        months = [value for month in self.months for value in month_bounds(month)]
        values = ", ".join(["(%s, %s)"] * len(self.months))
        inside, districts = "", []
        if self.marked is not None:
            units = {unit for some in self.marked.values() for unit in some}
            paths = Unit.objects.filter(pk__in=units).values_list("path", flat=True)
            districts = sorted({f"/{path.split('/')[1]}/" for path in paths}) or ["none"]
            inside = f"WHERE {' OR '.join(['path >= %s AND path < %s'] * len(districts))}"
        self.execute(
            "INSERT INTO recount_place SELECT spans.unit_id, months.column1, months.column2, spans.path,"
            f" {numbers.parent_of('spans.path')}, {numbers.depth_of('spans.path')} FROM"
            " (SELECT unit_id, path, CASE WHEN ROW_NUMBER() OVER w = 1 THEN '0001-01-01' ELSE valid_from END AS since,"
            f" COALESCE(LEAD(valid_from) OVER w, '9999-12-31') AS until FROM {PLACEMENTS} {inside}"
            f" WINDOW w AS (PARTITION BY unit_id ORDER BY valid_from)) spans JOIN (VALUES {values}) months"
            " ON spans.since < months.column2 AND spans.until >= months.column2",
            [*(bound for district in districts for bound in (district, f"{district[:-1]}0")), *months],
        )
        self.execute("ANALYZE recount_place" if numbers.is_postgresql() else "SELECT 1")

    def _concern_units(self) -> None:
        """The marked units; if one moved since it was counted, those that stood below it too; and all above them."""
        assert self.marked is not None  # noqa: S101
        rows = [(unit, month) for month, units in self.marked.items() for unit in sorted(units)]
        if numbers.is_postgresql():
            units_and_months = [list(column) for column in zip(*rows, strict=True)]
            self.execute("INSERT INTO recount_concerned SELECT * FROM unnest(%s, %s)", units_and_months)
        else:
            self.cursor.executemany("INSERT INTO recount_concerned VALUES (%s, %s)", rows)
        self.execute(
            "INSERT INTO recount_concerned SELECT DISTINCT below.unit_id, below.month FROM"
            f" (SELECT DISTINCT s.path, s.month FROM {CELLS} s JOIN recount_concerned c"
            "  ON c.unit = s.unit_id AND c.month = s.month"
            "  LEFT JOIN recount_place p ON p.unit = s.unit_id AND p.month = s.month"
            "  WHERE p.path IS NULL OR p.path <> s.path) moved"
            f" JOIN {CELLS} below ON below.month = moved.month AND below.path LIKE moved.path || '%%'"
            " WHERE true ON CONFLICT DO NOTHING",
            [],
        )
        for table, unit in ((CELLS, "unit_id"), ("recount_place", "unit")):
            self.execute(
                f"INSERT INTO recount_concerned SELECT DISTINCT {numbers.ancestor()}, s.month FROM {table} s"
                f" JOIN recount_concerned c ON c.unit = s.{unit} AND c.month = s.month"
                f" {numbers.ancestors('s.path')} WHERE true ON CONFLICT DO NOTHING"
            )
        self.execute("ANALYZE recount_concerned" if numbers.is_postgresql() else "SELECT 1")

    def _only(self, unit: str, month: str) -> str:
        """A join that leaves the units concerned."""
        if self.marked is None:
            return ""
        return f"JOIN recount_concerned kept ON kept.unit = {unit} AND kept.month = {month}"

    # Counting

    def _count(self, counting: Counting) -> None:
        self._clear_parts(counting)
        self._count_own(counting)
        self._add_up(counting)
        if counting.has_distinct:
            self._count_distinct(counting)
        self._count_joint(counting)
        self._put_together(counting)

    def _clear_parts(self, counting: Counting) -> None:
        """Tables of this session for the numbers of a kind; kinds with as many numbers take turns."""
        columns = ", ".join(f"{name} bigint" for name in counting.names)
        of_joint = (
            f"record bigint, lead bigint, unit bigint, month date, path {PATH}, lead_path {PATH}, {columns}"
        )
        self.parts, self.joined = (f"recount_{name}_{len(counting.names)}" for name in ("part", "joint"))
        _clear_table(self.cursor, self.parts, f"part int, unit bigint, month date, {columns}")
        _clear_table(self.cursor, self.joined, of_joint)

    def _insert(self, part: int, select: str, parameters: Iterable[Any] = ()) -> None:
        """`select` gives unit, month and numbers."""
        self.execute(
            f"INSERT INTO {self.parts} SELECT {part}, found.* FROM ({select}) found", list(parameters)
        )

    def _in_parallel(self, select: str, parameters: list[Any]) -> tuple[str, list[Any]]:
        """The same query; of everything, its result."""
        if self.marked is not None:
            return select, parameters
        return numbers.in_parallel(self.cursor, select, parameters)

    def _count_own(self, counting: Counting) -> None:
        rows, parameters = counting.rows(*self.bounds)
        if self.marked is None:
            month = numbers.month_in("r.r_day")
            select = f"SELECT r.r_unit, {month} AS month, {counting.numbers('r')} FROM {rows} r GROUP BY 1, 2"
        else:
            select = (
                f"SELECT p.unit, p.month, {counting.numbers('r')} FROM recount_place p"
                f" {self._only('p.unit', 'p.month')}"
                f" JOIN {rows} r ON r.r_unit = p.unit AND r.r_day >= p.month AND r.r_day < p.after GROUP BY 1, 2"
            )
        self._insert(OWN, *self._in_parallel(select, parameters))

    def _add_up(self, counting: Counting) -> None:
        """From the lowest tier to the district: own figures, and the totals right below."""
        self.execute("SELECT DISTINCT depth FROM recount_place")
        names = ", ".join(f"part.{name}" for name in counting.names)
        for depth in sorted((depth for (depth,) in self.cursor.fetchall()), reverse=True):
            sources = [
                f"SELECT p.{unit} AS unit, p.month, {names} FROM {self.parts} part JOIN recount_place p"
                " ON p.unit = part.unit AND p.month = part.month"
                f" WHERE part.part = {part} AND p.depth = {depth + below}"
                for unit, part, below in (("unit", OWN, 0), ("parent", TOTAL, 1))
            ]
            if self.marked is not None:
                sources.append(
                    f"SELECT s.parent_id, s.month, {counting.elements('s.total')} FROM recount_place p"
                    f" {self._only('p.unit', 'p.month')}"
                    f" JOIN {CELLS} s ON s.parent_id = p.unit AND s.month = p.month"
                    " LEFT JOIN recount_concerned again ON again.unit = s.unit_id AND again.month = s.month"
                    f" WHERE again.unit IS NULL AND s.kind = '{counting.kind.code}' AND p.depth = {depth}"
                )
            added = " UNION ALL ".join(sources)
            self._insert(TOTAL, f"SELECT unit, month, {counting.sums('a')} FROM ({added}) a GROUP BY 1, 2")

    def _count_distinct(self, counting: Counting) -> None:
        rows, parameters = counting.rows(*self.bounds)
        above = numbers.ancestor()
        self._insert(
            DISTINCT,
            f"SELECT {above}, p.month, {counting.numbers('r')} FROM recount_place p {numbers.ancestors('p.path')}"
            f" {self._only(above, 'p.month')}"
            f" JOIN {rows} r ON r.r_unit = p.unit AND r.r_day >= p.month AND r.r_day < p.after GROUP BY 1, 2",
            parameters,
        )

    def _count_joint(self, counting: Counting) -> None:
        """By the joint unit, and by everybody above it who is not above the unit that leads: each record once."""
        model = counting.kind.model
        joint, record = model.joint_model()._meta.db_table, f"{model._meta.model_name}_id"
        rows, parameters = counting.rows(*self.bounds)
        gathered, parameters = self._in_parallel(
            f"SELECT r.r_id, r.r_unit, p.unit, p.month, p.path, lead.path AS lead_path, {counting.numbers_of_one('r')}"
            f" FROM {rows} r JOIN {joint} j ON j.{record} = r.r_id"
            f" JOIN recount_place p ON p.unit = j.unit_id AND p.month = {numbers.month_in('r.r_day')}"
            " LEFT JOIN recount_place lead ON lead.unit = r.r_unit AND lead.month = p.month",
            parameters,
        )
        self.execute(f"INSERT INTO {self.joined} {gathered}", parameters)
        names = ", ".join(f"j.{name}" for name in counting.names)
        above = numbers.ancestor()
        self._count_joined(
            counting,
            OWN_JOINT,
            f"SELECT j.record, j.unit, j.month, {names} FROM {self.joined} j"
            f" {self._only('j.unit', 'j.month')} WHERE j.unit <> j.lead",
        )
        self._count_joined(
            counting,
            TOTAL_JOINT,
            f"SELECT j.record, {above} AS unit, j.month, {names} FROM {self.joined} j"
            f" {numbers.ancestors('j.path')} {self._only(above, 'j.month')}"
            f" WHERE (j.lead_path IS NULL OR j.lead_path NOT LIKE '%%/' || {above} || '/%%')"
            # Of several joint units below the same one, the first.
            f" AND NOT EXISTS (SELECT 1 FROM {self.joined} other WHERE other.record = j.record AND other.unit < j.unit"
            f" AND other.path LIKE '%%/' || {above} || '/%%')",
        )

    def _count_joined(self, counting: Counting, part: int, joined: str) -> None:
        """`joined` gives record, unit, month and the numbers of each record."""
        if not counting.has_distinct:
            self._insert(part, f"SELECT unit, month, {counting.sums('j')} FROM ({joined}) j GROUP BY 1, 2")
            return
        rows, parameters = counting.rows(*self.bounds)
        source = f"({joined}) j JOIN {rows} r ON r.r_id = j.record"
        self._insert(
            part, f"SELECT j.unit, j.month, {counting.numbers('r')} FROM {source} GROUP BY 1, 2", parameters
        )

    def _put_together(self, counting: Counting) -> None:
        """A row for each unit and month."""
        parts = f"SELECT unit, month, part, {array(counting.names)} AS numbers FROM {self.parts}"
        if counting.has_distinct:
            # Distinct figures stand in rows of their own, where the others are zeros; and the other way round.
            values = [
                f"SUM(CASE WHEN part <> {TOTAL if i and not i.additive else DISTINCT} THEN {name} ELSE 0 END)"
                for i, name in zip(counting.indicators, counting.names, strict=True)
            ]
            part = f"CASE WHEN part = {DISTINCT} THEN {TOTAL} ELSE part END"
            parts = f"SELECT unit, month, {part} AS part, {array(values)} AS numbers FROM {self.parts} GROUP BY 1, 2, 3"
        columns = ", ".join(
            f"MAX(CASE WHEN part = {part} THEN numbers END)" for part in (OWN, TOTAL, OWN_JOINT, TOTAL_JOINT)
        )
        self.execute(
            f"INSERT INTO recount_cells SELECT p.unit, p.path, p.parent, p.month, '{counting.kind.code}', {columns}"
            f" FROM ({parts}) found JOIN recount_place p ON p.unit = found.unit AND p.month = found.month"
            f" {self._only('p.unit', 'p.month')} WHERE numbers IS NOT NULL GROUP BY 1, 2, 3, 4"
        )

    # Writing

    def _write(self) -> int:
        """Most units have the right cells already, and keep them: reading is quicker than writing."""
        self.execute(
            "ANALYZE recount_cells (unit_id, month, kind)" if numbers.is_postgresql() else "SELECT 1"
        )
        key = "{0}.unit_id = {1}.unit_id AND {0}.month = {1}.month AND {0}.kind = {1}.kind".format
        same = " AND ".join(
            f"s.{name} IS NOT DISTINCT FROM f.{name}" if numbers.is_postgresql() else f"s.{name} IS f.{name}"
            for name in ("path", "parent_id", *COLUMNS)
        )
        months = ", ".join(["%s"] * len(self.months))
        self.execute(
            f"DELETE FROM {CELLS} WHERE id IN (SELECT s.id FROM {CELLS} s {self._only('s.unit_id', 's.month')}"
            f" LEFT JOIN recount_cells f ON {key('f', 's')} AND {same}"
            f" WHERE f.unit_id IS NULL AND s.month IN ({months}))",
            self.months,
        )
        names = ", ".join(("unit_id", "path", "parent_id", "month", "kind", *COLUMNS))
        self.execute(
            f"INSERT INTO {CELLS} ({names}) SELECT f.* FROM recount_cells f"
            f" LEFT JOIN {CELLS} s ON {key('s', 'f')} WHERE s.id IS NULL"
        )
        self.execute("SELECT COUNT(*) FROM recount_cells")
        return int(self.cursor.fetchone()[0])


def _by_code(kind: RecordKind) -> dict[str, Indicator]:
    return {indicator.code: indicator for indicator in kind.counted}


CELLS = UnitMonth._meta.db_table
PLACEMENTS = Placement._meta.db_table
PATH, NUMBERS = "{path}", "{numbers}"
# Kinds and columns are named by our own code, never by a person.
TABLES = {
    "recount_place": f"unit bigint, month date, after date, path {PATH}, parent bigint, depth int,"
    " PRIMARY KEY (unit, month)",
    "recount_concerned": "unit bigint, month date, PRIMARY KEY (unit, month)",
    "recount_cells": f"unit_id bigint, path {PATH}, parent_id bigint, month date, kind varchar(50),"
    f" {', '.join(f'{name} {NUMBERS}' for name in COLUMNS)}",
}


def _clear_table(cursor: Any, name: str, columns: str) -> None:
    """A table of this session alone, empty outside a recount."""
    types, end = {"numbers": "text", "path": "text"}, ""
    if numbers.is_postgresql():
        types, end = {"numbers": "bigint[]", "path": 'text COLLATE "C"'}, "ON COMMIT DELETE ROWS"
    cursor.execute(f"CREATE TEMPORARY TABLE IF NOT EXISTS {name} ({columns.format(**types)}) {end}")
    cursor.execute(f"DELETE FROM {name}")
