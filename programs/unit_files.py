"""Units from a file: read, check every row, then write all of it or nothing.

Columns: code, name, tier, kind, parent_code; in any order of rows and columns. A file may be UTF-8 or GB18030.
"""

from __future__ import annotations

import codecs
import csv
import datetime as dt
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.db.models import Model
from django.utils import timezone
from django.utils.translation import gettext as _

from programs.actions.audit import audit
from programs.actions.units import CODE, check_code, check_name, misplaced, rename_unit, stands_since
from programs.models.unit import Placement, Tier, Unit, UnitKind
from programs.pinyin import search_columns

COLUMNS = ["code", "name", "tier", "kind", "parent_code"]
UNIT_COLUMNS = ["id", "code", "name", "tier", "kind", "parent_id", "path", "pinyin", "initials", "opened_on"]
PLACEMENT_COLUMNS = ["unit_id", "name", "parent_id", "path", "valid_from"]
TIERS, KINDS = frozenset(Tier.values), frozenset(UnitKind.values)
BATCH = 5_000


class BadFile(Exception):
    """The file cannot be loaded: `problems` lists (line number, sentence); line 0 is the file itself."""

    def __init__(self, problems: list[tuple[int, str]]) -> None:
        super().__init__(f"{len(problems)} problems")
        self.problems = sorted(problems)


@dataclass(slots=True)
class Row:
    line: int
    code: str
    name: str
    tier: str
    kind: str
    parent_code: str


@dataclass
class Loaded:
    created: int = 0
    renamed: int = 0
    unchanged: int = 0


@dataclass
class _Known:
    """What the checks of one file look things up in."""

    rows: dict[str, Row]
    units: dict[str, Unit]
    opened_on: dt.date
    new_only: bool
    problems: list[tuple[int, str]]
    _since: dict[int, dt.date] = field(default_factory=dict)

    def parent(self, row: Row) -> Row | Unit | None:
        """A unit that is there already, or will come from the file."""
        return self.units.get(row.parent_code) or self.rows.get(row.parent_code)

    def stands_since(self, unit: Unit) -> dt.date:
        if unit.pk not in self._since:
            self._since[unit.pk] = stands_since(unit)
        return self._since[unit.pk]


def load(content: bytes, *, opened_on: dt.date, effective_on: dt.date, new_only: bool = False) -> Loaded:
    """Load a file of units; raises BadFile and writes nothing if one row is bad.

    New units open on `opened_on`. A known unit with another name is renamed as of `effective_on`; one with another
    tier, kind or parent is a problem: such changes are made on its page, where their consequences show. With
    `new_only` known units stay as they are, whatever the file says.
    """
    if opened_on > timezone.localdate():
        raise BadFile([(0, _("New units cannot open in the future."))])
    rows = list(_rows(_text(content)))
    result = Loaded()
    with transaction.atomic():
        # Every district is locked, as by programs.actions.units: no parent moves under its new children.
        list(Unit.objects.filter(parent=None).order_by("pk").select_for_update(no_key=True).values_list("pk"))
        known = _checked(rows, opened_on, new_only)
        fresh = [row for row in known.rows.values() if row.code not in known.units]
        for row in known.rows.values():
            unit = known.units.get(row.code)
            if unit is not None and unit.name != row.name and not new_only:
                _rename(unit, row, effective_on)
                result.renamed += 1
        paths = {unit.code: (unit.pk, unit.path) for unit in known.units.values()}
        for level in _levels(fresh, set(paths)):
            _write(level, paths, opened_on)
        result.created = len(fresh)
        result.unchanged = len(known.rows) - result.created - result.renamed
        if fresh:
            audit(by=None, action="unit.load", row_count=len(fresh))
    return result


# --- reading ------------------------------------------------------------------------------------------------------


def _text(content: bytes) -> str:
    """UTF-8, or GB18030 where most lines that tell the two apart are no UTF-8. Broken lines are problems."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    lines = content.removeprefix(codecs.BOM_UTF8).split(b"\n")
    telling = [line for line in lines if not line.isascii()]
    utf8 = sum(_decodes(line, "utf-8") for line in telling)
    encoding, name = ("utf-8", "UTF-8") if 2 * utf8 > len(telling) else ("gb18030", "GB18030")
    problems = [
        (number, _("The line is not %(encoding)s text like the others.") % {"encoding": name})
        for number, line in enumerate(lines, start=1)
        if not _decodes(line, encoding)
    ]
    if problems:
        raise BadFile(problems)
    return content.decode(encoding)


def _decodes(line: bytes, encoding: str) -> bool:
    try:
        line.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _rows(text: str) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    problems: list[tuple[int, str]] = []
    rows: list[Row] = []
    try:
        header = [cell.strip().lower() for cell in next(reader, [])]
        missing = [name for name in COLUMNS if name not in header]
        if missing:
            sentence = _("The header lacks these columns: %(names)s.") % {"names": ", ".join(missing)}
            raise BadFile([(1, sentence)])
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                sentence = _("%(found)d cells where the header has %(wanted)d.")
                problems.append((reader.line_num, sentence % {"found": len(cells), "wanted": len(header)}))
                continue
            named = dict(zip(header, (cell.strip() for cell in cells), strict=True))
            rows.append(Row(reader.line_num, *(named[name] for name in COLUMNS)))
    except csv.Error as error:
        problems.append((reader.line_num, _("The line is not CSV: %(error)s") % {"error": error}))
    if problems:
        # Rows that could not be read may be the parents of others: do not go on to call those wrong.
        raise BadFile(problems)
    yield from rows


# --- checking -----------------------------------------------------------------------------------------------------


def _checked(rows: list[Row], opened_on: dt.date, new_only: bool) -> _Known:
    first: dict[str, Row] = {}
    problems = []
    for row in rows:
        if row.code in first:
            sentence = _("The code %(code)s stands in line %(line)d already.")
            problems.append((row.line, sentence % {"code": row.code, "line": first[row.code].line}))
        else:
            first[row.code] = row
    named = {row.code for row in rows} | {row.parent_code for row in rows}
    wanted = (code for code in named if CODE.fullmatch(code))  # the database would stumble over others
    known = _Known(first, _units_by_code(wanted), opened_on, new_only, problems)
    for row in first.values():
        known.problems += [(row.line, sentence) for sentence in _problems_of(row, known)]
    if not known.problems:
        fresh = [row for row in first.values() if row.code not in known.units]
        reached = {row.code for level in _levels(fresh, set(known.units)) for row in level}
        for row in fresh:
            if row.code not in reached:
                known.problems.append((row.line, _("The unit stands below itself.")))
    if known.problems:
        raise BadFile(known.problems)
    return known


def _units_by_code(codes: Iterable[str]) -> dict[str, Unit]:
    found: dict[str, Unit] = {}
    codes = iter(sorted(codes))
    while chunk := list(islice(codes, BATCH)):
        found |= {unit.code: unit for unit in Unit.objects.filter(code__in=chunk).select_related("parent")}
    return found


def _problems_of(row: Row, known: _Known) -> Iterator[str]:
    unit = known.units.get(row.code)
    if unit is not None and known.new_only:
        return
    for check, value in ((check_code, row.code), (check_name, row.name)):
        try:
            check(value)
        except ValidationError as error:
            yield error.messages[0]
    if len(row.name) > 100:
        yield _("The name is longer than 100 characters.")
    problem = _misfit(row, known)
    if problem:
        yield problem
    elif unit is not None:
        yield from _refused_changes(row, unit)
    else:
        yield from _refused_parents(known, known.parent(row))


def _misfit(row: Row, known: _Known) -> str:
    """Why such a unit cannot stand under such a parent; "" if it can."""
    if row.tier not in TIERS:
        return _("Unknown tier: %(tier)s.") % {"tier": row.tier[:20]}
    if row.kind not in KINDS:
        return _("Unknown kind: %(kind)s.") % {"kind": row.kind[:20]}
    parent = known.parent(row)
    if row.parent_code and parent is None:
        sentence = _("The parent %(code)s is neither in the file nor in the portal.")
        return sentence % {"code": row.parent_code[:20]}
    if parent is None and row.kind != UnitKind.DISTRICT:
        return _("A unit of this kind needs a parent.")
    return misplaced(row.kind, row.tier, parent.kind if parent else None, parent.tier if parent else None)


def _refused_changes(row: Row, unit: Unit) -> Iterator[str]:
    """What a file does not change of a unit that is there already."""
    stands = (unit.tier, unit.kind, unit.parent.code if unit.parent else "")
    if stands != (row.tier, row.kind, row.parent_code):
        yield _("The unit is known with another tier, kind or parent; change it on its page.")
    elif unit.name != row.name and not unit.is_open:
        yield _("The unit is closed and keeps its name.")


def _refused_parents(known: _Known, parent: Row | Unit | None) -> Iterator[str]:
    """A new unit stands under an open one that has been there for as long."""
    if not isinstance(parent, Unit):
        return
    if not parent.is_open:
        yield _("The parent %(code)s is closed.") % {"code": parent.code}
    elif known.stands_since(parent) > known.opened_on:
        words = {"unit": parent.name, "date": known.stands_since(parent)}
        yield _("%(unit)s stands where it stands since %(date)s; give that day or a later one.") % words


def _levels(rows: list[Row], placed: set[str]) -> Iterator[list[Row]]:
    """The rows in layers, parents before children; rows in a circle are left out."""
    children: dict[str, list[Row]] = {}
    level: list[Row] = []
    for row in rows:
        if not row.parent_code or row.parent_code in placed:
            level.append(row)
        else:
            children.setdefault(row.parent_code, []).append(row)
    while level:
        yield level
        level = [child for row in level for child in children.get(row.code, ())]


# --- writing ------------------------------------------------------------------------------------------------------


def _rename(unit: Unit, row: Row, effective_on: dt.date) -> None:
    try:
        rename_unit(by=None, unit=unit, name=row.name, effective_on=effective_on)
    except ValidationError as error:
        raise BadFile([(row.line, error.messages[0])]) from None


def _write(level: list[Row], paths: dict[str, tuple[int, str]], opened_on: dt.date) -> None:
    """Insert a layer whose parents stand; fills `paths` (code to id and path) for the next one."""
    ids, since = _next_ids(len(level)), opened_on.isoformat()
    for start in range(0, len(level), BATCH):
        units, placements = [], []
        for row in level[start : start + BATCH]:
            pk = next(ids)
            parent_id, above = paths[row.parent_code] if row.parent_code else (None, "/")
            path = f"{above}{pk}/"
            paths[row.code] = (pk, path)
            facts = (row.code, row.name, row.tier, row.kind, parent_id, path)
            units.append((pk, *facts, *search_columns(row.name), since))
            placements.append((pk, row.name, parent_id, path, since))
        _insert(Unit, UNIT_COLUMNS, units)
        _insert(Placement, PLACEMENT_COLUMNS, placements)


def _next_ids(number: int) -> Iterator[int]:
    """Ids that nobody else will get, so that paths are known before the rows are written."""
    table = Unit._meta.db_table
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            series = "SELECT nextval(pg_get_serial_sequence(%s, 'id')) FROM generate_series(1, %s)"
            cursor.execute(series, [table, number])
            return iter([pk for (pk,) in cursor.fetchall()])
        cursor.execute("SELECT seq FROM sqlite_sequence WHERE name = %s", [table])
        last = (cursor.fetchone() or (0,))[0]
        return iter(range(last + 1, last + 1 + number))


def _insert(model: type[Model], columns: list[str], rows: list[tuple[Any, ...]]) -> None:
    """Many rows at once, several times as fast as `bulk_create`. Constraints and triggers see each of them."""
    table, names = model._meta.db_table, ", ".join(f'"{column}"' for column in columns)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            text = "".join("\t".join(map(_copied, row)) + "\n" for row in rows)
            cursor.copy_expert(f'COPY "{table}" ({names}) FROM STDIN', io.StringIO(text))
        else:
            marks = ", ".join(["%s"] * len(columns))
            cursor.executemany(f'INSERT INTO "{table}" ({names}) VALUES ({marks})', rows)  # noqa: S608


def _copied(value: Any) -> str:
    """A value as COPY reads it; names are one line without tabs, see `check_name`."""
    return r"\N" if value is None else str(value).replace("\\", r"\\")
