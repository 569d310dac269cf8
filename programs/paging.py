"""Pages of long lists by position, not by number: the same cost at any depth, and nothing skips or repeats when rows
are added meanwhile.

A page follows a position (sort key, id). The position travels as an encrypted cursor: it names values of records, which
have no place in an address or a log.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db.models import BooleanField, F, Func, Model, QuerySet, Value

PAGE_SIZE = 50
COUNTED = 10_000
# Longer ones are no cursors of ours.
CURSOR_LENGTH = 2000

ModelT = TypeVar("ModelT", bound=Model)


@dataclass
class Page(Generic[ModelT]):
    rows: list[ModelT]
    next_cursor: str = ""
    previous_cursor: str = ""
    # The cursor could not be used, or nothing is left behind it: this is the first page.
    lost: bool = False


@dataclass(frozen=True)
class Count:
    """`number` records, or more than that."""

    number: int
    capped: bool


@dataclass(frozen=True)
class Position:
    """Before or after the row with this key and id."""

    key: Any
    pk: int
    backward: bool = False


class PastPosition(Func):
    """(sort key, id) < (value, id) as one comparison of rows, which an index on both serves at any depth."""

    output_field = BooleanField()

    def __init__(self, key: Any, pk: Any, value: Any, value_pk: Any, operator: str) -> None:
        super().__init__(key, pk, value, value_pk)
        self.operator = operator

    def as_sql(self, compiler: Any, connection: Any, *args: Any, **context: Any) -> Any:
        parts = [compiler.compile(expression) for expression in self.get_source_expressions()]
        key, pk, value, value_pk = (sql for sql, _parameters in parts)
        sql = f"(({key}, {pk}) {self.operator} ({value}, {value_pk}))"
        return sql, tuple(parameter for _sql, parameters in parts for parameter in parameters)


def page_of(queryset: QuerySet[ModelT], sort: str, cursor: str = "", size: int = PAGE_SIZE) -> Page[ModelT]:
    """The page of `queryset` at `cursor`, sorted by `sort` ("occurred_on", "-occurred_on") and by id within it."""
    walk = _Walk(queryset, sort, size)
    position = _decoded(cursor, sort, walk.field) if cursor else None
    if position is None:
        return walk.first(lost=bool(cursor))
    rows = walk.rows(position)
    if not rows or (position.backward and len(rows) < size):
        # Nothing there, or the beginning: the first page, full.
        return walk.first(lost=not rows)
    more, rows = len(rows) > size, rows[:size]
    if position.backward:
        rows.reverse()
    following = cursor_at(rows[-1], sort) if more or position.backward else ""
    preceding = cursor_at(rows[0], sort, backward=True) if more or not position.backward else ""
    return Page(rows, following, preceding)


class _Walk(Generic[ModelT]):
    """Rows of a queryset in one order, from any position, one more than asked for: it tells whether there are more."""

    def __init__(self, queryset: QuerySet[ModelT], sort: str, size: int) -> None:
        self.queryset, self.sort, self.size = queryset, sort, size
        self.name, self.falling = sort.lstrip("-"), sort.startswith("-")
        self.field: Any = queryset.model._meta.get_field(self.name)
        if self.field.null:
            raise ValueError(f"{self.field}: a list is sorted by fields that always have a value")

    def rows(self, position: Position | None = None) -> list[ModelT]:
        queryset, falling = self.queryset, self.falling
        if position is not None:
            # Walking backward is walking the other way round.
            falling = falling is not position.backward
            value = Value(position.key, output_field=self.field)
            past = PastPosition(F(self.name), F("pk"), value, Value(position.pk), "<" if falling else ">")
            queryset = queryset.filter(past)
        sign = "-" if falling else ""
        return list(queryset.order_by(f"{sign}{self.name}", f"{sign}pk")[: self.size + 1])

    def first(self, lost: bool = False) -> Page[ModelT]:
        rows = self.rows()
        more, rows = len(rows) > self.size, rows[: self.size]
        return Page(rows, cursor_at(rows[-1], self.sort) if more else "", lost=lost)


def capped_count(queryset: QuerySet[Any], cap: int = COUNTED) -> Count:
    """How many rows, counted no further than `cap`: far more work than a page, whose rows an index finds."""
    number = queryset.order_by().values("pk")[: cap + 1].count()
    return Count(min(number, cap), number > cap)


def _cipher() -> Fernet:
    digest = hashlib.sha256(b"programs.paging:" + settings.SECRET_KEY.encode()).digest()
    return Fernet(base64.urlsafe_b64encode(digest))


def cursor_at(row: Model, sort: str, backward: bool = False) -> str:
    """The cursor of the page after this row, or before it."""
    value = getattr(row, sort.lstrip("-"))
    key = value.isoformat() if hasattr(value, "isoformat") else str(value)
    text = json.dumps([row._meta.label_lower, sort, key, row.pk, backward], ensure_ascii=False)
    return _cipher().encrypt(text.encode()).decode().rstrip("=")


def _decoded(cursor: str, sort: str, field: Any) -> Position | None:
    """The position, if the cursor was made here for this very list and order."""
    if len(cursor) > CURSOR_LENGTH:
        return None
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        label, its_sort, key, pk, backward = json.loads(_cipher().decrypt(padded))
        value = field.to_python(key)
    except (InvalidToken, UnicodeError, ValueError, TypeError, ValidationError):
        return None
    if (label, its_sort) != (field.model._meta.label_lower, sort):
        return None
    return Position(value, pk, backward)
