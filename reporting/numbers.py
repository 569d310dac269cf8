"""Rows of numbers in one column: what a unit did in a month, one figure beside the other.

Figures are whole hundredths, exact on both databases: an array of integers on PostgreSQL, its JSON text on SQLite.
NULL stands for nothing but zeros; a number beyond the end is a zero. The few words in which the two databases differ
stand here, as expressions for the ORM and as SQL for the writers of statistics.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any

from django.db import connection, models
from django.db.models import Func

HUNDREDTHS = -2
DIGITS = "'0123456789'"


class NumbersField(models.Field):
    """A list of integers, or None."""

    def db_type(self, connection: Any) -> str:
        return "bigint[]" if connection.vendor == "postgresql" else "text"

    def get_internal_type(self) -> str:
        return "NumbersField"

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> list[int] | None:
        return json.loads(value) if isinstance(value, str) else value

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        if value is None or connection.vendor == "postgresql" or isinstance(value, str):
            return value
        return json.dumps(value, separators=(",", ":"))


class Sums(Func):
    """Of a group of rows, the sums of the numbers at some places, as one list: to the ORM every aggregate of its own
    costs more than the database takes for all of them."""

    contains_aggregate = True
    output_field = NumbersField()

    def __init__(self, numbers: Any, places: Sequence[int]) -> None:
        super().__init__(numbers)
        self.places = places

    def get_group_by_cols(self) -> list[Any]:
        return []

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self._of(compiler, "ARRAY[{}]::numeric[]", lambda numbers, place: f"({numbers})[{place + 1}]")

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self._of(
            compiler, "json_array({})", lambda numbers, place: f"json_extract({numbers}, '$[{place}]')"
        )

    def _of(self, compiler: Any, whole: str, one: Callable[[str, int], str]) -> tuple[str, list[Any]]:
        numbers, parameters = compiler.compile(self.source_expressions[0])
        sums = ", ".join(f"SUM({one(numbers, place)})" for place in self.places)
        return whole.format(sums), [*parameters] * len(self.places)


class NoneNegative(Func):
    """Whether no number is below zero."""

    output_field = models.BooleanField()
    conditional = True

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(
            compiler, connection, template="COALESCE(0 <= ALL (%(expressions)s), TRUE)", **context
        )

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(
            compiler, connection, template="COALESCE(instr(%(expressions)s, '-') = 0, TRUE)", **context
        )


def decimal(hundredths: int | Decimal | None) -> Decimal:
    """A stored number as the figure that it is."""
    return Decimal(hundredths or 0).scaleb(HUNDREDTHS)


# --- the same in SQL ------------------------------------------------------------------------------


def is_postgresql() -> bool:
    return connection.vendor == "postgresql"


def element(numbers: str, place: int) -> str:
    return f"({numbers})[{place + 1}]" if is_postgresql() else f"json_extract({numbers}, '$[{place}]')"


def array(values: Iterable[str]) -> str:
    """Of integer expressions; NULL if all of them are zero."""
    found = list(values)
    zeros = ", ".join("0" for _value in found)
    listed = ", ".join(found)
    if is_postgresql():
        return f"NULLIF(ARRAY[{listed}]::bigint[], ARRAY[{zeros}]::bigint[])"
    return f"NULLIF(json_array({listed}), json_array({zeros}))"


def hundredths(value: str) -> str:
    """An aggregate of decimals as whole hundredths."""
    whole = "bigint" if is_postgresql() else "integer"
    return f"CAST(ROUND(COALESCE({value}, 0) * 100) AS {whole})"


def in_parallel(cursor: Any, select: str, parameters: list[Any]) -> tuple[str, list[Any]]:
    """The same query, or its result: only when it makes a table PostgreSQL counts on several cores."""
    if not is_postgresql():
        return select, parameters
    cursor.execute("DROP TABLE IF EXISTS counted_in_parallel")
    cursor.execute(f"CREATE TEMPORARY TABLE counted_in_parallel ON COMMIT DROP AS {select}", parameters)
    return "SELECT * FROM counted_in_parallel", []


def month_in(day: str) -> str:
    return (
        f"date_trunc('month', {day}::timestamp)::date"
        if is_postgresql()
        else f"date({day}, 'start of month')"
    )


def ancestors(path: str) -> str:
    """A join that gives a row for every unit named in a path: `above.id`."""
    if is_postgresql():
        return f"CROSS JOIN LATERAL unnest(string_to_array(trim({path}, '/'), '/')::bigint[]) AS above(id)"
    return f"CROSS JOIN (json_each('[' || replace(trim({path}, '/'), '/', ',') || ']')) AS above"


def ancestor() -> str:
    """The column of `ancestors`."""
    return "above.id" if is_postgresql() else "above.value"


def depth_of(path: str) -> str:
    """How many units a path names."""
    return f"(length({path}) - length(replace({path}, '/', '')) - 1)"


def parent_of(path: str) -> str:
    """The last unit but one of a path, as a number; NULL of a district."""
    above = f"rtrim(rtrim(rtrim({path}, '/'), {DIGITS}), '/')"
    return f"CAST(NULLIF(substr({above}, length(rtrim({above}, {DIGITS})) + 1), '') AS bigint)"
