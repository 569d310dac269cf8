"""A unit and the parts of its figures: who sees how much of them, the rows of the parts, where each figure leads."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import quote_plus, urlencode

from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext as _

from programs.access import Actor, is_whole_district, units_for
from programs.boundaries import Boundaries, spans_of_moved
from programs.filters import JOINT, OWN
from programs.models.unit import Placement, Unit
from programs.registry import Suppressed, Value, plain
from programs.roles import Permission, Reach
from reporting.figures import Figure, Figures, Period, Row, stands_right_below


def covers_below(actor: Actor, unit: Unit) -> bool:
    """Whether the actor sees the figures of what lies below the unit, or of the unit itself only."""
    return any(
        home.contains(unit) if reach is Reach.SUBTREE else home.root_id == unit.root_id
        for home, reach in actor.reaches(Permission.STATISTICS_VIEW)
        if reach is not Reach.OWN
    )


def around(unit: Unit) -> tuple[list[Unit], list[Unit]]:
    """The units above, from the district down, and those that stand or ever stood right below: in one query."""
    placed = Placement.objects.filter(parent=unit).values("unit")
    found = Unit.objects.filter(Q(pk__in=unit.ancestor_ids) | Q(pk__in=placed)).order_by("code")
    by_id = {other.pk: other for other in found}
    above = [by_id.pop(pk) for pk in unit.ancestor_ids]
    return above, list(by_id.values())


def label_of(period: Period) -> str:
    if period.first == period.last:
        return f"{period.first:%Y-%m}"
    return _("%(first)s to %(last)s") % {"first": f"{period.first:%Y-%m}", "last": f"{period.last:%Y-%m}"}


class Links:
    """Where a figure of the unit and period leads: to the very records behind it.

    `page` makes the address of the same page for another unit. `alone`: nothing stands below the unit, so what it
    joined itself is all that was joined. `without`: units that the figures leave out, and so do the lists.
    """

    def __init__(
        self,
        actor: Actor,
        unit: Unit,
        period: Period,
        boundaries: Boundaries,
        *,
        page: Callable[[Unit], str],
        alone: bool = False,
        without: Sequence[Unit] = (),
    ) -> None:
        self.actor, self.unit, self.period, self.boundaries = actor, unit, period, boundaries
        self.whole = covers_below(actor, unit)
        self.address, self.alone = page, alone
        self.without = "".join(f"&without={quote_plus(other.code)}" for other in without)
        # A page of many units has thousands of addresses made of few parts.
        self._paths: dict[str, str] = {}
        self._asked: dict[tuple[str, Period], str] = {}
        self._led: dict[tuple[int, str], str] = {}
        self._readable: dict[int, bool] = {}

    @cached_property
    def gone_before(self) -> dt.date | None:
        """The first month in which no unit counts here whose records the person cannot see today; None: it never did.

        A unit that has left took its records along. What it did here is in the figures, and in no list of this person.
        """
        reaches = self.actor.reaches(Permission.RECORD_VIEW)
        if (
            self.boundaries is Boundaries.TODAY
            or not self.whole
            or any(is_whole_district(*one) for one in reaches)
        ):
            return None
        left = {
            unit: after
            for (_first, after), units in spans_of_moved(self.unit).items()
            for unit in units
            if after is not None
        }
        seen = units_for(self.actor, Permission.RECORD_VIEW).filter(pk__in=left).values_list("pk", flat=True)
        missing = left.keys() - set(seen) if left else set()
        return max((left[unit] for unit in missing), default=None)

    def is_complete(self, period: Period) -> bool:
        """Whether a list of this person holds all that the figure of the period counts."""
        return self.gone_before is None or period.first >= self.gone_before

    def page(self, unit: Unit) -> str:
        return self.address(unit) if self.actor.covers(Permission.STATISTICS_VIEW, unit) else ""

    def figure(self, figure: Figure, period: Period | None = None) -> str:
        if isinstance(figure.value, Suppressed) or not self.is_complete(period or self.period):
            return ""
        return self.records(figure, self.unit, period, "" if self.whole else OWN)

    def joint(self, figure: Figure, rows: list[Row]) -> str:
        """What a unit that has left joined while it stood here is not the person's to see: no list holds the figure."""
        if isinstance(figure.joint, Suppressed):
            return ""
        complete = all(self._reads(row.unit) for row in rows)
        return self.records(figure, self.unit, None, JOINT) if complete and (self.whole or self.alone) else ""

    def row(self, figure: Figure, row: Row) -> str:
        hidden = isinstance(row.values.get(figure.code), Suppressed)
        if hidden or row.is_split or not self._reads(row.unit):
            return ""
        return self.records(figure, row.unit, row.stay, OWN if row.is_own else "")

    def records(self, figure: Figure, unit: Unit, period: Period | None, part: str) -> str:
        """The list of the records of a figure; a derived one has none of its own."""
        if figure.is_derived:
            return ""
        period = period or self.period
        kind, asked, led = figure.kind.code, (figure.code, period), (unit.pk, part)
        if kind not in self._paths:
            self._paths[kind] = reverse("record_list", args=[kind])
        if asked not in self._asked:
            self._asked[asked] = self._asking(*asked)
        if led not in self._led:
            self._led[led] = f"unit={quote_plus(unit.code)}" + (f"&part={part}" if part else self.without)
        return f"{self._paths[kind]}?{self._led[led]}&{self._asked[asked]}"

    def _reads(self, unit: Unit) -> bool:
        """Whether the person sees the records of the unit."""
        if unit.pk not in self._readable:
            self._readable[unit.pk] = self.actor.covers(Permission.RECORD_VIEW, unit)
        return self._readable[unit.pk]

    def _asking(self, indicator: str, period: Period) -> str:
        parameters = {
            "occurred_on_from": period.begins_on.isoformat(),
            "occurred_on_to": period.ends_on.isoformat(),
            "indicator": indicator,
        }
        if self.boundaries is not Boundaries.OF_THE_TIME:
            parameters["boundaries"] = self.boundaries
        return urlencode(parameters)


def bare_number(value: Value) -> int | float | None:
    """A figure as JSON and spreadsheets hold numbers; None where none is shown."""
    number = plain(value)
    if number is None:
        return None
    return int(number) if number == number.to_integral_value() else float(number)


@dataclass
class Cell:
    value: Value
    url: str = ""

    def __post_init__(self) -> None:
        if isinstance(self.value, Suppressed):
            self.url = ""  # nor may the length of a list tell it


@dataclass
class Line:
    """A row of the table of parts. `note` says when the unit stood here, if that was not all the time."""

    name: str
    cells: list[Cell]
    url: str = ""
    note: str = ""
    sort: str = ""  # "own", "joint", "total" or ""


@dataclass
class Block:
    """Some rows of the table, under a heading of their own if it has one."""

    heading: str
    lines: list[Line]


def blocks_of(found: Figures, columns: Sequence[Figure], link: Links) -> list[Block]:
    """The unit's own part and the tier below, then attached bodies; nothing where there is no part but the unit."""
    own = [row for row in found.rows if row.is_own]
    below = [row for row in found.rows if not row.is_own and row.unit.is_territorial]
    attached = [row for row in found.rows if not row.is_own and not row.unit.is_territorial]
    if not below and not attached:
        return []
    blocks = [Block("", [_line(row, found, columns, link) for row in (*own, *below)])]
    if attached:
        lines = [_line(row, found, columns, link) for row in attached]
        blocks.append(Block(_("Departments and other bodies"), lines))
    return blocks


def _line(row: Row, found: Figures, columns: Sequence[Figure], link: Links) -> Line:
    values = [(figure, row.values[figure.code]) for figure in columns]
    return Line(
        name=_("%(unit)s itself") % {"unit": row.unit.name} if row.is_own else row.unit.name,
        cells=[Cell(value, link.row(figure, row) if value else "") for figure, value in values],
        url="" if row.is_own else link.page(row.unit),
        note=note_of(row, found),
        sort="own" if row.is_own else "",
    )


def note_of(row: Row, found: Figures) -> str:
    """What became of a unit below: why its row holds less than others."""
    if row.is_own:
        return ""
    if row.stay:
        return _("Stood here: %(months)s") % {"months": label_of(row.stay)}
    if row.unit.merged_into_id:
        return _("Merged on %(date)s") % {"date": row.unit.closed_on}
    if not stands_right_below(row.unit, found.unit):
        return _("Stands elsewhere today")
    if row.unit.closed_on:
        return _("Closed on %(date)s") % {"date": row.unit.closed_on}
    return ""


def has_moved(found: Figures, link: Links) -> bool:
    """Whether some part stood here for a while only: lists show its records where it stands today."""
    if not (link.is_complete(found.period) and link.is_complete(found.before)):
        return True
    return found.boundaries is Boundaries.OF_THE_TIME and any(
        row.stay or not stands_right_below(row.unit, found.unit) for row in found.rows[1:]
    )
