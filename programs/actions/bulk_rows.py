"""The rows of many records at once: how they get into the tables, and out again, as quickly as the database can.

On PostgreSQL by COPY, elsewhere by `bulk_create`. Nothing is decided or checked here: see `programs.actions.bulk`.
"""

from __future__ import annotations

import datetime as dt
import io
import json
import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import islice, repeat
from typing import Any

from django.db import connection, models
from django.db.models import QuerySet

from programs.models.record import Record

# Rows of one COPY: the triggers and a look at the progress come once for each.
MANY = 10_000
# Rows of one INSERT where there is no COPY: a reader of SQLite is never kept waiting for long.
SOME = 1_000

Progress = Callable[[int], None]


def insert_records(
    model: type[Record], columns: dict[str, Sequence[Any]], alike: dict[str, Any], progress: Progress
) -> list[int]:
    """Write one row for each value of `columns` (by attribute name; all of one length) with the values `alike` for all;
    fields named in neither get their default. Returns the primary keys, in the order of the rows and rising."""
    number = len(next(iter(columns.values()), ()))
    if not number:
        return []
    if connection.vendor == "postgresql":
        return _copy_records(model, number, columns, alike, progress)
    names, keys = list(columns), []
    for start in range(0, number, SOME):
        rows = zip(*(column[start : start + SOME] for column in columns.values()), strict=True)
        made = [model(**alike, **dict(zip(names, row, strict=True))) for row in rows]
        keys += [record.pk for record in model._base_manager.bulk_create(made)]
        progress(len(keys))
    return keys


def insert(rows: Sequence[models.Model]) -> None:
    """Write rows of one model; they are not told their primary keys."""
    if not rows:
        return
    model = type(rows[0])
    if connection.vendor != "postgresql":
        model._base_manager.bulk_create(rows, batch_size=SOME)
        return
    fields = [field for field in model._meta.concrete_fields if not field.primary_key]
    texts = [map(writer_of(field), [field.pre_save(row, True) for row in rows]) for field in fields]
    _copy(model._meta.db_table, [str(field.column) for field in fields], _lines(texts))


def insert_joint(model: type[Record], pairs: Sequence[tuple[int, int]]) -> None:
    """Joint units of records: (record, unit)."""
    joint, record = model.joint_model(), _record_field(model)
    if connection.vendor == "postgresql":
        names = [joint._meta.get_field(name).column for name in (record, "unit")]
        for start in range(0, len(pairs), MANY):
            lines = [f"{key}\t{unit}\n" for key, unit in pairs[start : start + MANY]]
            _copy(joint._meta.db_table, names, lines)
        return
    rows = [joint(**{f"{record}_id": key, "unit_id": unit}) for key, unit in pairs]
    joint._base_manager.bulk_create(rows, batch_size=SOME)


def update_records(records: Sequence[Record], names: Iterable[str]) -> None:
    """Write the fields `names` of rows that are there, whole and locked: one statement for many, unlike `bulk_update`,
    whose text grows with rows × fields."""
    if records:
        model = type(records[0])
        model._base_manager.bulk_create(
            records,
            update_conflicts=True,
            unique_fields=[str(model._meta.pk.name)],
            update_fields=sorted(names),
            batch_size=SOME,
        )


def replace_joint(model: type[Record], units: dict[int, Sequence[int]]) -> None:
    """Give each record of `units` these joint units and no others."""
    joint, record = model.joint_model(), _record_field(model)
    joint._base_manager.filter(**{f"{record}__in": list(units)}).delete()
    insert_joint(model, [(key, unit) for key, several in units.items() for unit in several])


def joint_of(model: type[Record], records: Sequence[int]) -> dict[int, list[int]]:
    """The joint units of each of the records, in order; none for a record that is not named."""
    joint, record = model.joint_model(), _record_field(model)
    found: dict[int, list[int]] = {}
    rows = joint._base_manager.filter(**{f"{record}__in": records}).order_by("unit__code")
    for key, unit in rows.values_list(f"{record}_id", "unit_id"):
        found.setdefault(key, []).append(unit)
    return found


def delete_records(records: QuerySet[Any]) -> int:
    """Delete the rows and what stands between them and their joint units; the number of records.

    Django would fetch each of them to look for what depends on it. What else refers to a record keeps it: the
    database refuses.
    """
    model = records.model
    joint, record = model.joint_model(), _record_field(model)
    column = joint._meta.get_field(record).column
    chosen, parameters = records.order_by().values("pk").query.sql_with_params()
    quote = connection.ops.quote_name
    with connection.cursor() as cursor:
        for table, key in ((joint._meta.db_table, column), (model._meta.db_table, model._meta.pk.column)):
            cursor.execute(f"DELETE FROM {quote(table)} WHERE {quote(key)} IN ({chosen})", parameters)  # noqa: S608
        return int(cursor.rowcount)


def _record_field(model: type[Record]) -> str:
    return str(model._meta.model_name)


# --- COPY ----------------------------------------------------------------------------------------------------------


def _copy_records(
    model: type[Record],
    number: int,
    columns: dict[str, Sequence[Any]],
    alike: dict[str, Any],
    progress: Progress,
) -> list[int]:
    fields = [field for field in model._meta.concrete_fields if not field.primary_key]
    names = [str(model._meta.pk.column), *(str(field.column) for field in fields)]
    keys: list[int] = []
    for start in range(0, number, MANY):
        several = min(MANY, number - start)
        reserved = _reserve_keys(model, several)
        texts: list[Iterable[str]] = [map(str, reserved)]
        for field in fields:
            write = writer_of(field)
            if field.attname in columns:
                texts.append(map(write, columns[field.attname][start : start + several]))
            elif field.attname in alike:
                texts.append(repeat(write(alike[field.attname]), several))
            elif field.has_default() and callable(field.default):
                texts.append([write(field.get_default()) for _ in range(several)])
            else:
                texts.append(repeat(write(field.get_default()), several))
        _copy(model._meta.db_table, names, _lines(texts))
        keys += reserved
        progress(len(keys))
    return keys


def _reserve_keys(model: type[Record], number: int) -> list[int]:
    """Primary keys that nobody else will get: the rows between records and joint units are written by them."""
    table, key = connection.ops.quote_name(model._meta.db_table), model._meta.pk.column
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT nextval(pg_get_serial_sequence(%s, %s)) FROM generate_series(1, %s)", [table, key, number]
        )
        return [value for (value,) in cursor.fetchall()]


def _copy(table: str, columns: Sequence[str], lines: Iterable[str]) -> None:
    quote = connection.ops.quote_name
    # What the database refuses is an IntegrityError of Django's, as with every other statement.
    with connection.wrap_database_errors, connection.cursor() as cursor:
        cursor.copy_expert(
            f"COPY {quote(table)} ({', '.join(map(quote, columns))}) FROM STDIN", Lines(iter(lines))
        )


def _lines(texts: Sequence[Iterable[str]]) -> Iterator[str]:
    """Columns of values as they are written, in lines of rows."""
    return ("\t".join(row) + "\n" for row in zip(*texts, strict=True))


class Lines(io.RawIOBase):
    """Lines of text as a file that is read once, piece by piece: the whole of it never stands in memory."""

    def __init__(self, lines: Iterator[str]) -> None:
        self.lines = lines
        self.rest = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        parts, length = [self.rest], len(self.rest)
        while length < size or size < 0:
            some = "".join(islice(self.lines, 200)).encode()
            if not some:
                break
            parts.append(some)
            length += len(some)
        whole = b"".join(parts)
        self.rest = whole[size:] if size >= 0 else b""
        return whole[:size] if size >= 0 else whole


NULL = r"\N"
SPECIAL = re.compile(r"[\\\t\n\r]")
ESCAPED = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


def _text(value: Any) -> str:
    if value is None:
        return NULL
    return value.translate(ESCAPED) if SPECIAL.search(value) else value


def _plain(value: Any) -> str:
    return NULL if value is None else str(value)


PLAIN = (int, str, float, Decimal, dt.date, dt.datetime, dt.time, uuid.UUID)
# Fields whose values are written as they are. Exactly these: a class derived from one may store something else.
WRITERS: dict[type[models.Field[Any, Any]], Callable[[Any], str]] = {
    **dict.fromkeys((models.CharField, models.TextField), _text),
    **dict.fromkeys(
        (
            models.BigIntegerField,
            models.BooleanField,
            models.DateField,
            models.DecimalField,
            models.ForeignKey,
            models.GenericIPAddressField,
            models.IntegerField,
            models.PositiveBigIntegerField,
            models.PositiveIntegerField,
            models.PositiveSmallIntegerField,
            models.SmallIntegerField,
            models.UUIDField,
        ),
        _plain,
    ),
}


def writer_of(field: models.Field[Any, Any]) -> Callable[[Any], str]:
    """How COPY is told a value of the field."""
    if type(field) in WRITERS:
        return WRITERS[type(field)]
    if type(field) is models.JSONField:
        return lambda value: NULL if value is None else _text(json.dumps(value, cls=field.encoder))

    def write(value: Any) -> str:
        stored = field.get_db_prep_save(value, connection)
        if not (stored is None or isinstance(stored, PLAIN)):
            raise TypeError(f"{field}: COPY does not know how to write {type(stored).__name__}")
        return _text(None if stored is None else str(stored))

    return write
