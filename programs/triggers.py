"""What the database itself keeps true: marks for every change of a record, the order of the tiers, a growing audit log.

The triggers are derived from the registry and installed after `migrate` (see `programs.apps`), so that a new kind has
nothing to remember, and a table that SQLite rebuilds during a migration gets its triggers back. They catch every
write path: actions, `bulk_create`, `update()`, COPY and repairs by hand.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from programs import registry
from programs.models.audit import AuditEvent
from programs.models.mark import Mark
from programs.models.record import Record
from programs.models.unit import COMMUNITY_KINDS, STREET_KINDS, TERRITORIAL_KINDS, Unit, UnitKind

PREFIX = "portal_"


@dataclass(frozen=True)
class Trigger:
    """One trigger; its name carries a digest of its text, so that a changed text is noticed."""

    table: str
    purpose: str
    create: str  # SQL with {name} for the trigger's name
    function: str = ""  # PostgreSQL: the body of its function

    @property
    def name(self) -> str:
        digest = hashlib.sha256((self.create + self.function).encode()).hexdigest()[:8]
        return f"{PREFIX}{self.table[:28]}_{self.purpose}_{digest}"


def install(using: str = "default") -> list[str]:
    """Bring the database's triggers to what the code declares; returns the names of those created."""
    connection = connections[using]
    present = _present(connection)
    with connection.cursor() as cursor:
        tables = set(connection.introspection.table_names(cursor))
        wanted = {t.name: t for t in declared(connection.vendor) if t.table in tables}
        for name, table in present.items():
            if name not in wanted:
                cursor.execute(_drop(connection, name, table))
        created = [name for name in wanted if name not in present]
        for name in created:
            trigger = wanted[name]
            if trigger.function:
                cursor.execute(
                    f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $body$\n"
                    f"BEGIN {trigger.function} END $body$"
                )
            cursor.execute(trigger.create.format(name=name))
    return created


def missing(using: str = "default") -> list[str]:
    """Names of declared triggers that the database lacks."""
    connection = connections[using]
    present = _present(connection)
    return [trigger.name for trigger in declared(connection.vendor) if trigger.name not in present]


def declared(vendor: str) -> Iterator[Trigger]:
    if vendor == "postgresql":
        yield _unit_rule_postgresql()
        yield _append_only_postgresql()
    else:
        yield from _unit_rule_sqlite()
    for kind in registry.kinds():
        yield from (_marks_postgresql if vendor == "postgresql" else _marks_sqlite)(kind.model)


def _present(connection: BaseDatabaseWrapper) -> dict[str, str]:
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT t.tgname, c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid"
                " WHERE t.tgname LIKE %s AND pg_table_is_visible(c.oid)",
                [f"{PREFIX}%"],
            )
        else:
            cursor.execute(
                "SELECT name, tbl_name FROM sqlite_master WHERE type = 'trigger' AND name LIKE %s",
                [f"{PREFIX}%"],
            )
        return dict(cursor.fetchall())


def _drop(connection: BaseDatabaseWrapper, name: str, table: str) -> str:
    if connection.vendor == "postgresql":
        return f'DROP TRIGGER "{name}" ON "{table}"; DROP FUNCTION IF EXISTS "{name}"()'
    return f'DROP TRIGGER "{name}"'


# --- marks -------------------------------------------------------------------------------------------------------

MARKS = Mark._meta.db_table


def _joint_table(model: type[Record]) -> tuple[str, str]:
    """The table between records and joint units, and its column that names the record."""
    joint = model.joint_model()
    return joint._meta.db_table, joint._meta.get_field(model._meta.model_name).column


def _marks_postgresql(model: type[Record]) -> Iterator[Trigger]:
    """Statement-level: one insert of distinct unit-months per statement, whatever the number of rows."""
    table = model._meta.db_table
    joint, record_column = _joint_table(model)
    month = "date_trunc('month', {}.occurred_on)::date"

    def of(rows: str) -> str:
        return (
            f"SELECT r.unit_id, {month.format('r')} FROM {rows} r"
            f" UNION SELECT j.unit_id, {month.format('r')} FROM {rows} r JOIN {joint} j ON j.{record_column} = r.id"
        )

    def of_joint(rows: str) -> str:
        return (
            f"SELECT j.unit_id, {month.format('r')} FROM {rows} j JOIN {table} r ON r.id = j.{record_column}"
            " GROUP BY 1, 2"
        )

    events = {
        "INSERT": ("REFERENCING NEW TABLE AS new_rows", ["new_rows"]),
        "UPDATE": ("REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows", ["old_rows", "new_rows"]),
        "DELETE": ("REFERENCING OLD TABLE AS old_rows", ["old_rows"]),
    }
    for owner, source in ((table, of), (joint, of_joint)):
        for event, (referencing, rows) in events.items():
            union = " UNION ".join(source(name) for name in rows)
            yield Trigger(
                owner,
                f"mark_{event.lower()}",
                f"CREATE TRIGGER {{name}} AFTER {event} ON {owner} {referencing}"
                " FOR EACH STATEMENT EXECUTE FUNCTION {name}()",
                f"INSERT INTO {MARKS} (unit_id, month) {union}; RETURN NULL;",
            )


def _marks_sqlite(model: type[Record]) -> Iterator[Trigger]:
    table = model._meta.db_table
    joint, record_column = _joint_table(model)

    def of(row: str) -> str:
        month = f"date({row}.occurred_on, 'start of month')"
        return (
            f"INSERT INTO {MARKS} (unit_id, month) SELECT {row}.unit_id, {month}"
            f" UNION SELECT j.unit_id, {month} FROM {joint} j WHERE j.{record_column} = {row}.id;"
        )

    def of_joint(row: str) -> str:
        return (
            f"INSERT INTO {MARKS} (unit_id, month) SELECT {row}.unit_id, date(r.occurred_on, 'start of month')"
            f" FROM {table} r WHERE r.id = {row}.{record_column};"
        )

    events = {"INSERT": ["NEW"], "UPDATE": ["OLD", "NEW"], "DELETE": ["OLD"]}
    for owner, source in ((table, of), (joint, of_joint)):
        for event, rows in events.items():
            body = " ".join(source(row) for row in rows)
            yield Trigger(
                owner,
                f"mark_{event.lower()}",
                f"CREATE TRIGGER {{name}} AFTER {event} ON {owner} FOR EACH ROW BEGIN {body} END",
            )


# --- the order of the tiers --------------------------------------------------------------------------------------

UNITS = Unit._meta.db_table


def _quoted(kinds: tuple[str, ...]) -> str:
    return ", ".join(f"'{kind}'" for kind in kinds)


def _misplaced() -> str:
    """True for a NEW unit whose parent does not fit, or lies below the unit itself."""
    return (
        f"NEW.parent_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM {UNITS} p WHERE p.id = NEW.parent_id AND"
        f" ((NEW.kind IN ({_quoted(STREET_KINDS)}) AND p.kind = '{UnitKind.DISTRICT}')"
        f" OR (NEW.kind IN ({_quoted(COMMUNITY_KINDS)}) AND p.kind IN ({_quoted(STREET_KINDS)}))"
        f" OR (NEW.kind NOT IN ({_quoted(TERRITORIAL_KINDS)}) AND p.tier = NEW.tier))"
        " AND p.path NOT LIKE '%%/' || NEW.id || '/%%')"
    ).replace("%%", "%")


MISPLACED = "unit_parent_fits: the parent of this unit is of the wrong tier or lies below it"


def _unit_rule_postgresql() -> Trigger:
    return Trigger(
        UNITS,
        "parent",
        f"CREATE TRIGGER {{name}} BEFORE INSERT OR UPDATE OF parent_id, kind, tier ON {UNITS}"
        " FOR EACH ROW EXECUTE FUNCTION {name}()",
        f"IF {_misplaced()} THEN RAISE EXCEPTION USING ERRCODE = 'check_violation', MESSAGE = '{MISPLACED}'; END IF;"
        " RETURN NEW;",
    )


def _unit_rule_sqlite() -> Iterator[Trigger]:
    for event, timing in (("insert", "INSERT"), ("update", "UPDATE OF parent_id, kind, tier")):
        yield Trigger(
            UNITS,
            f"parent_{event}",
            f"CREATE TRIGGER {{name}} BEFORE {timing} ON {UNITS} FOR EACH ROW WHEN {_misplaced()}"
            f" BEGIN SELECT RAISE(ABORT, '{MISPLACED}'); END",
        )


# --- the audit log ----------------------------------------------------------------------------------------------


def _append_only_postgresql() -> Trigger:
    """On SQLite the model's own refusal must do: its tests empty tables with DELETE."""
    table = AuditEvent._meta.db_table
    return Trigger(
        table,
        "append_only",
        f"CREATE TRIGGER {{name}} BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION {{name}}()",
        "RAISE EXCEPTION 'audit events are never changed';",
    )
