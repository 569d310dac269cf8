"""The records that stand already: which of them the rows of a sheet are, and who else logged the same.

Keys are fetched once for all rows, the values of the records that are meant in portions, so that memory stays small.
Removed records do not count.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from operator import itemgetter
from typing import Any

from django.db import models

from programs.access import Actor, visible
from programs.actions.bulk import NewRow
from programs.disclosure import disclosure_of
from programs.registry import RecordKind
from programs.roles import Disclosure
from programs.sheets import DATE, UNIT

Key = tuple[Any, ...]
PORTION = 2000


@dataclass(slots=True)
class Standing:
    """A record as it stands: `values` by field name (of a foreign key its id), `joint` the ids of its joint units."""

    pk: int
    version: int
    values: dict[str, Any]
    joint: frozenset[int] = frozenset()


def keys_of(kind: RecordKind) -> Callable[[dict[str, Any]], Key]:
    """Gives the natural key of a row's values, as the database would."""
    values_of = itemgetter(*kind.sheet.key, UNIT)  # at least two, hence a tuple
    related = [at for at, name in enumerate(kind.sheet.key) if kind.field(name).is_relation]

    def key_of(values: dict[str, Any]) -> Key:
        key = list(values_of(values)[:-1])
        for at in related:
            key[at] = _id(key[at])
        return tuple(key)

    return key_of


def may_match(kind: RecordKind, by: Actor) -> bool:
    """Whether rows may be known again as records: not by a value that the person does not read in the clear, for a
    match would tell it."""
    return all(disclosure_of(kind.field(name), by) is Disclosure.CLEAR for name in kind.sheet.key)


def matches(kind: RecordKind, keys: set[Key]) -> dict[Key, list[int]]:
    """The ids of the present records that have one of the keys."""
    if not keys:
        return {}
    attributes = [kind.field(name).attname for name in kind.sheet.key]
    units = {key[kind.sheet.key.index(UNIT)] for key in keys}
    records = kind.model.objects.present().filter(unit__in=units)
    if DATE in kind.sheet.key:
        days = [key[kind.sheet.key.index(DATE)] for key in keys]
        records = records.filter(occurred_on__range=(min(days), max(days)))
    found: dict[Key, list[int]] = {}
    rows = records.order_by().values_list("pk", *attributes).iterator(chunk_size=5000)
    for pk, *key in rows:
        if (known := tuple(key)) in keys:
            found.setdefault(known, []).append(pk)
    return found


def clashes(*, by: Actor, kind: RecordKind, new: Sequence[NewRow]) -> bool:
    """Whether a present record now has the key of one of these rows, of which none had it when they were checked."""
    if not may_match(kind, by):
        return False
    key_of = keys_of(kind)
    return bool(matches(kind, {key_of(row.values) for row in new}))


def records_of(kind: RecordKind, pks: Iterable[int], names: Sequence[str]) -> dict[int, Standing]:
    """The records with these ids, with the values of `names`."""
    attributes = [kind.field(name).attname for name in names]
    found: dict[int, Standing] = {}
    records = kind.model.objects.filter(pk__in=list(pks)).order_by()
    for pk, version, *values in records.values_list("pk", "version", *attributes):
        found[pk] = Standing(pk, version, dict(zip(names, values, strict=True)))
    joint = kind.model.joint_model()
    record = str(kind.model._meta.model_name)
    units: dict[int, set[int]] = {}
    for pk, unit in joint._base_manager.filter(**{f"{record}__in": list(found)}).values_list(
        f"{record}_id", "unit_id"
    ):
        units.setdefault(pk, set()).add(unit)
    for pk, several in units.items():
        found[pk].joint = frozenset(several)
    return found


def portions(items: Sequence[Any], size: int = PORTION) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


# --- logged by another unit, too ---------------------------------------------------------------------------------


@dataclass(slots=True)
class Elsewhere:
    """The same activity as another unit logged it: a record of that unit, or a row of the file."""

    unit: int
    joint: set[int] = field(default_factory=set)
    pk: int | None = None
    row: int | None = None

    def is_with(self, unit: int, joint: Iterable[int]) -> bool:
        """Whether one of the two units names the other."""
        return self.unit != unit and (unit in self.joint or self.unit in joint)


Event = tuple[dt.date, str]


class Elsewheres:
    """What other units logged on the days of the rows, jointly with the rows' units: only what this person may see."""

    def __init__(self, by: Actor, kind: RecordKind, rows: Sequence[NewRow]) -> None:
        self.title = kind.title
        self._known: dict[Event, list[Elsewhere]] = {}
        if kind.field(kind.title).many_to_many or not self._can_tell(by, kind, rows):
            return
        own = {_id(row.values[UNIT]) for row in rows}
        if len(own) > 1:
            # What no row was joint in, no two rows tell of each other.
            self._known = {self._event(row): [] for row in rows if row.joint}
        partners = {unit for row in rows for unit in row.joint}
        days = [row.values[DATE] for row in rows]
        seen = visible(kind.model.objects.present(), by).filter(occurred_on__range=(min(days), max(days)))
        events = {self._event(row) for row in rows}
        columns = ("pk", "unit_id", DATE, kind.title)
        led = seen.filter(unit__in=partners).order_by().values_list(*columns)
        joined = seen.filter(joint_units__in=own).order_by().values_list(*columns, "joint_units")
        for pk, unit, day, title, *joint in chain(led.iterator(5000), joined.iterator(5000)):
            if (day, title) in events:
                self._add((day, title), Elsewhere(unit, set(joint), pk))

    @staticmethod
    def _can_tell(by: Actor, kind: RecordKind, rows: Sequence[NewRow]) -> bool:
        readable = disclosure_of(kind.field(kind.title), by) is Disclosure.CLEAR
        return bool(rows) and readable and {DATE, kind.title} <= rows[0].values.keys()

    def _event(self, row: NewRow) -> Event:
        return row.values[DATE], row.values[self.title]

    def _add(self, event: Event, elsewhere: Elsewhere) -> None:
        self._known.setdefault(event, []).append(elsewhere)

    def of(self, row: NewRow) -> Elsewhere | None:
        """The same activity of another unit, if there is one. Asked row by row, it knows the rows before, too."""
        if not self._known or (others := self._known.get(self._event(row))) is None:
            return None
        unit = _id(row.values[UNIT])
        found = next((other for other in others if other.is_with(unit, row.joint)), None)
        others.append(Elsewhere(unit, set(row.joint), row=row.row))
        return found


def _id(value: Any) -> Any:
    """Of an instance or an id."""
    return value.pk if isinstance(value, models.Model) else value
