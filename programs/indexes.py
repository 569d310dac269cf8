"""Indexes that follow from what kinds declare: one for every field a list is sorted by, one for its count, one for what
a person touched last, and one for its search.

Like the triggers they are derived from the registry and installed after `migrate`, so that a new kind has nothing to
remember. The index that serves the newest-first order stands on the model.

Search on PostgreSQL: words of Chinese have two characters more often than three, too few for trigrams. The index
holds the single characters of a text; records with all characters of a word are few enough to look at.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db import connections, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.lookups import IContains, Lookup

from programs import registry
from programs.registry import RecordKind

PREFIX = "portal_"
# How many units the planner knows the share of; a list of one unit is planned by it.
UNITS_KNOWN = 1000


class Contains(Lookup):
    """The text contains the word, whatever its case."""

    prepare_rhs = False

    def as_sql(self, compiler: Any, connection: BaseDatabaseWrapper) -> Any:
        return compiler.compile(IContains(self.lhs, self.rhs))

    def as_postgresql(self, compiler: Any, connection: BaseDatabaseWrapper) -> tuple[str, list[Any]]:
        text, parameters = compiler.compile(self.lhs)
        # "<> 0" leaves the planner's count of rows as it is.
        return f"strpos(lower({text}), lower(%s)) <> 0", [*parameters, self.rhs]


@models.CharField.register_lookup
@models.TextField.register_lookup
class HoldsToo(Contains):
    """`theme__holds_too="故事"`: for further words. It does without the index: of two frequent words that go together
    the planner would take the records with both for few."""

    lookup_name = "holds_too"


@models.CharField.register_lookup
@models.TextField.register_lookup
class Holds(Contains):
    """`theme__holds="感恩"`: found by the index of characters."""

    lookup_name = "holds"

    def as_postgresql(self, compiler: Any, connection: BaseDatabaseWrapper) -> tuple[str, list[Any]]:
        found, parameters = super().as_postgresql(compiler, connection)
        text, _parameters = compiler.compile(self.lhs)
        characters = f"{_characters(text)} @> string_to_array(lower(%s), NULL)"
        return f"({found} AND {characters})", [*parameters, *parameters]


def _characters(column: str) -> str:
    return f"string_to_array(lower({column}), NULL)"


@dataclass(frozen=True)
class Index:
    """One index; its name carries a digest of its text, so that a changed text is noticed."""

    table: str
    purpose: str
    body: str  # what follows ON <table>

    @property
    def name(self) -> str:
        digest = hashlib.sha256(self.body.encode()).hexdigest()[:8]
        return f"{PREFIX}{self.table[:28]}_{self.purpose[:14]}_{digest}"


def install(using: str = "default") -> list[str]:
    """Bring the database's indexes to what the kinds declare; returns the names of those created."""
    connection = connections[using]
    present = _present(connection)
    with connection.cursor() as cursor:
        tables = set(connection.introspection.table_names(cursor))
        wanted = {index.name: index for index in declared(connection.vendor) if index.table in tables}
        for name in present - wanted.keys():
            cursor.execute(f'DROP INDEX "{name}"')
        created = [name for name in wanted if name not in present]
        for name in created:
            cursor.execute(f'CREATE INDEX "{name}" ON "{wanted[name].table}" {wanted[name].body}')
        if connection.vendor == "postgresql":
            for table in sorted({wanted[name].table for name in created}):
                cursor.execute(f'ALTER TABLE "{table}" ALTER COLUMN unit_id SET STATISTICS {UNITS_KNOWN}')
                # Without it the planner takes every word for a rare one.
                cursor.execute(f'ANALYZE "{table}"')
    return created


def missing(using: str = "default") -> list[str]:
    """Names of declared indexes that the database lacks."""
    connection = connections[using]
    present = _present(connection)
    return [index.name for index in declared(connection.vendor) if index.name not in present]


def declared(vendor: str) -> Iterator[Index]:
    for kind in registry.kinds():
        table = kind.model._meta.db_table
        for name in dict.fromkeys(sort.lstrip("-") for sort in kind.sorts):
            if name != "occurred_on":
                yield Index(table, f"by_{name}", f'("{kind.field(name).column}", "id")')
        # Counts the records of a few units without a look at the table.
        yield Index(table, "present", '("unit_id") WHERE "removed_at" IS NULL')
        # The home page shows what its reader touched last; who brings sheets has touched many.
        yield Index(table, "touched", '("updated_by_id", "updated_at") WHERE "removed_at" IS NULL')
        if vendor == "postgresql" and kind.search:
            yield Index(table, "search", f"USING gin ({_searched(kind)})")


def _searched(kind: RecordKind) -> str:
    return ", ".join(_characters(f'"{kind.field(name).column}"') for name in kind.search)


def _present(connection: BaseDatabaseWrapper) -> set[str]:
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT c.relname FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid"
                " WHERE c.relname LIKE %s AND pg_table_is_visible(c.oid)",
                [f"{PREFIX}%"],
            )
        else:
            cursor.execute(
                "SELECT name FROM sqlite_master WHERE type = 'index' AND name LIKE %s", [f"{PREFIX}%"]
            )
        return {name for (name,) in cursor.fetchall()}
