"""Months × units: what each unit reported in each month, what it declared to be nothing, and what is missing."""

from __future__ import annotations

import datetime as dt
import enum
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django.db.models import F, FilteredRelation, Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from programs import registry
from programs.access import Actor
from programs.boundaries import Boundaries
from programs.filters import OWN
from programs.models.unit import Placement, Unit, month_bounds, month_of, path_ids
from programs.registry import Indicator, RecordKind, Suppressed, Text, Value, plain
from programs.roles import Permission
from reporting import dashboards
from reporting.dashboards import BOUNDARIES_NAMES, Question, Switch, page_url
from reporting.figures import Figure, Figures, Period, Row, figures, stands_right_below
from reporting.parts import Links, covers_below, label_of, note_of
from reporting.recount import ZERO

MONTHS, MOST_MONTHS = 12, 24


def question(parameters: Mapping[str, str]) -> Question:
    """As a dashboard is asked, but for the last twelve months unless others are named, and of a stored indicator."""
    asked = dashboards.question(parameters)
    named = parameters.get("from") or parameters.get("to")
    if not named or asked.problems.keys() & {"from", "to"}:
        asked.period = last_months(MONTHS)
    elif len(asked.period.months) > MOST_MONTHS:
        asked.problems["from"] = _("This table holds %(number)d months at most.") % {"number": MOST_MONTHS}
        asked.period = Period(asked.period.months[-MOST_MONTHS], asked.period.last)
    offered = {indicator.code: indicator for indicator in _offered(asked)}
    if asked.indicator and asked.indicator not in offered:
        asked.problems["indicator"] = _("Rates, averages and totals are not shown by month and unit.")
        asked.indicator = ""
    asked.indicator = asked.indicator or next(iter(offered))
    if asked.boundaries is Boundaries.TODAY and not offered[asked.indicator].additive:
        asked.problems["boundaries"] = _(
            "A count of distinct people is kept in the boundaries of the time only."
        )
        asked.boundaries = Boundaries.OF_THE_TIME
    return asked


def _offered(asked: Question) -> list[Indicator]:
    return [indicator for indicator in asked.declared if isinstance(indicator, Indicator)]


def last_months(number: int) -> Period:
    """As many months, up to the present one."""
    today = month_of(timezone.localdate())
    return Period(Period(today.replace(year=today.year - 2), today).months[-number], today)


def months_url(unit: Unit, asked: Question) -> str:
    return page_url(unit, _parameters(asked), "heat_map")


def _parameters(asked: Question) -> dict[str, Any]:
    return {**asked.parameters, "indicator": asked.indicator}


# --- the page -------------------------------------------------------------------------------------


class State(enum.StrEnum):
    """What is known of a unit and month."""

    VALUE = "value"
    ZERO = "zero"  # declared by the unit itself
    BLANK = "blank"  # nothing was reported
    NOT_DUE = "not-due"  # the unit was not open, or stood elsewhere


@dataclass
class Cell:
    state: State
    value: Value = None
    note: str = ""  # why it is so, as far as the portal knows
    url: str = ""  # to the records of a value
    act_url: str = ""  # where a zero is declared, or withdrawn


@dataclass
class Line:
    """A unit's months. Shades are steps of its own `largest` value, never of another unit's."""

    name: str
    cells: list[Cell]
    url: str = ""
    note: str = ""

    @property
    def largest(self) -> Decimal:
        return max((plain(cell.value) or ZERO for cell in self.cells), default=ZERO)


@dataclass
class Block:
    heading: str
    lines: list[Line]


@dataclass
class HeatMap:
    unit: Unit
    figure: Figure  # the indicator shown, with its kind
    period: Period
    period_label: str
    as_of: dt.datetime | None
    hides_some: bool
    blocks: list[Block]
    choices: list[dict[str, Any]]
    presets: list[dict[str, Any]]
    switches: list[Switch]
    kept: dict[str, str]
    crumbs: list[dict[str, Any]]
    dashboard_url: str

    @property
    def indicator(self) -> str:
        return self.figure.code

    @property
    def has_below(self) -> bool:
        return sum(len(block.lines) for block in self.blocks) > 1

    @property
    def hue(self) -> str:
        return self.figure.kind.action.hue


def heat_map(actor: Actor, unit: Unit, asked: Question) -> HeatMap:
    """The page of a unit that the actor may see, in three queries: the units around it, the cells, the time."""
    whole = covers_below(actor, unit)
    kind = next(kind for kind in registry.kinds() if any(i.code == asked.indicator for i in kind.indicators))
    around = _Around(unit, kind, asked.period)
    found = figures(
        unit,
        asked.period.first,
        asked.period.last,
        # The kind's other figures tell a unit that reported something else from one that reported nothing.
        [i.code for i in kind.indicators if i.additive or i.code == asked.indicator],
        whole=whole,
        below=around.below if whole else (),
        boundaries=asked.boundaries,
        each_month=True,
        reader=actor.unit,
    )
    table = _Table(actor, asked, found, around)
    return HeatMap(
        unit=unit,
        figure=found[asked.indicator],
        period=asked.period,
        period_label=label_of(asked.period),
        as_of=found.as_of,
        hides_some=found.hides_some,
        blocks=table.blocks(around.below if whole else ()),
        choices=_choices(unit, asked),
        presets=_presets(asked),
        switches=[_boundaries_switch(asked)],
        kept={name: value for name, value in asked.parameters.items() if name not in {"from", "to"}},
        crumbs=_crumbs(actor, unit, around.above, asked),
        dashboard_url=page_url(unit, _parameters(asked)),
    )


@dataclass(frozen=True)
class _Zero:
    declared_by: str
    declared_at: dt.datetime


@dataclass
class _Around:
    """The units above; those that stand or ever stood right below, with all their places; and the zeros that these and
    the unit itself declared in the period. One query: a row is repeated for each zero, which are few."""

    unit: Unit
    kind: RecordKind
    period: Period
    above: list[Unit] = field(default_factory=list)
    below: list[Unit] = field(default_factory=list)
    places: dict[int, dict[int, Placement]] = field(default_factory=lambda: defaultdict(dict))
    zeros: dict[tuple[int, dt.date], _Zero] = field(default_factory=dict)

    def __post_init__(self) -> None:
        above = self.unit.ancestor_ids
        units: dict[int, Unit] = {}
        for place in self._rows():
            units[place.unit_id] = place.unit
            self.places[place.unit_id][place.pk] = place
            if place.zero_month:
                self.zeros[place.unit_id, place.zero_month] = _Zero(place.zero_by, place.zero_at)
        self.above = [units[pk] for pk in above]
        self.below = [other for pk, other in units.items() if pk not in (*above, self.unit.pk)]

    def _rows(self) -> Any:
        right_below = Placement.objects.filter(parent=self.unit).values("unit")
        declared = Q(unit__zero_reports__kind=self.kind.code, unit__zero_reports__withdrawn_at=None)
        declared &= self.period.condition("unit__zero_reports__month")
        return (
            Placement.objects.filter(Q(unit__in=path_ids(self.unit.path)) | Q(unit__in=right_below))
            .annotate(zero=FilteredRelation("unit__zero_reports", condition=declared))
            .annotate(
                zero_month=F("zero__month"),
                zero_by=F("zero__declared_by__name"),
                zero_at=F("zero__declared_at"),
            )
            .select_related("unit")
            .order_by("unit__code", "valid_from")
        )

    def stood_right_below(self, other: Unit, month: dt.date) -> bool:
        """By the latest placement that overlaps the month (programs.boundaries)."""
        places = list(self.places[other.pk].values())
        begun = [place for place in places if place.valid_from < month_bounds(month)[1]] or places[:1]
        return begun[-1].parent_id == self.unit.pk


class _Table:
    """Makes the rows: the unit's own part, the tier below, then departments and other bodies."""

    def __init__(self, actor: Actor, asked: Question, found: Figures, around: _Around) -> None:
        self.actor, self.asked, self.found, self.around = actor, asked, found, around
        self.unit = found.unit
        self.figure = found[asked.indicator]
        self.rows = {row.unit.pk: row for row in found.rows}
        self.link = Links(
            actor,
            found.unit,
            asked.period,
            asked.boundaries,
            page=lambda other: months_url(other, asked),
        )
        self.declares = actor.covers(Permission.RECORD_WRITE, found.unit)

    def blocks(self, below: Sequence[Unit]) -> list[Block]:
        lines = [(other, line) for other in below if (line := self.line(other))]
        own = self.line(self.unit)
        if own and lines:
            own.name = _("%(unit)s itself") % {"unit": self.unit.name}
        territorial = [line for other, line in lines if other.is_territorial]
        attached = [line for other, line in lines if not other.is_territorial]
        blocks = [Block("", [*([own] if own else []), *territorial])]
        if attached:
            blocks.append(Block(_("Departments and other bodies"), attached))
        return blocks

    def line(self, unit: Unit) -> Line | None:
        """The unit's months; None if it had nothing to report here in any of them."""
        is_own = unit.pk == self.unit.pk
        row = self.rows.get(unit.pk, Row(unit))
        cells = [self.cell(row, place, month) for place, month in enumerate(self.asked.period.months)]
        if not is_own and all(cell.state is State.NOT_DUE for cell in cells):
            return None
        url = "" if is_own else self.link.page(unit)
        return Line(unit.name, cells, url, note_of(row, self.found))

    def cell(self, row: Row, place: int, month: dt.date) -> Cell:
        unit, is_own = row.unit, row.unit.pk == self.unit.pk
        value = row.by_month[self.figure.code][place] if row.by_month else ZERO
        if isinstance(value, Suppressed):
            return Cell(
                State.VALUE, value, _("Kept back: a figure of fewer than five, or one that would tell it.")
            )
        if value:
            return Cell(State.VALUE, value, url=self.records(unit, month, is_own))
        if any(values[place] for values in row.by_month.values()):
            return Cell(State.VALUE, ZERO, _("Records of this kind were logged; none of them counts here."))
        if why := self.why_not_due(unit, month):
            return Cell(State.NOT_DUE, note=why)
        zero = self.around.zeros.get((unit.pk, month))
        route = "zero_withdraw" if zero else "zero_declare"
        act_url = self.act_url(route, month) if is_own and self.declares else ""
        if zero is None:
            return Cell(State.BLANK, note=_("Not reported"), act_url=act_url)
        note = _("%(unit)s declared zero: %(name)s, %(date)s") % {
            "unit": unit.name,
            "name": zero.declared_by,
            "date": f"{timezone.localtime(zero.declared_at):%Y-%m-%d}",
        }
        return Cell(State.ZERO, ZERO, note, act_url=act_url)

    def why_not_due(self, unit: Unit, month: dt.date) -> str:
        """Why the unit had nothing to report here; "" if it had."""
        if not unit.was_open_in(month):
            if unit.opened_on > month:
                return _("Not due: opened on %(date)s") % {"date": unit.opened_on}
            return _("Not due: closed on %(date)s") % {"date": unit.closed_on}
        if unit.pk == self.unit.pk:
            return ""
        if self.asked.boundaries is Boundaries.TODAY:
            here = stands_right_below(unit, self.unit)
        else:
            here = self.around.stood_right_below(unit, month)
        return "" if here else _("Not due: stood elsewhere in this month")

    def records(self, unit: Unit, month: dt.date, is_own: bool) -> str:
        if not self.actor.covers(Permission.RECORD_VIEW, unit):
            return ""
        return self.link.records(self.figure, unit, Period(month, month), OWN if is_own else "")

    def act_url(self, route: str, month: dt.date) -> str:
        address = reverse(route, args=[self.unit.code, self.figure.kind.code, month])
        return f"{address}?{urlencode(_parameters(self.asked))}"


# --- ways to other views of the same ----------------------------------------------------------------


def _choices(unit: Unit, asked: Question) -> list[dict[str, Any]]:
    """The indicators to choose from."""
    return [
        {
            "label": indicator.label,
            "url": page_url(unit, {**asked.parameters, "indicator": indicator.code}, "heat_map"),
            "active": indicator.code == asked.indicator,
        }
        for indicator in _offered(asked)
    ]


def _presets(asked: Question) -> list[dict[str, Any]]:
    today = month_of(timezone.localdate())
    this_year = Period(today.replace(month=1), today)
    last_year = Period(this_year.first.replace(year=today.year - 1), dt.date(today.year - 1, 12, 1))
    usual: list[tuple[Text, Period]] = [
        (_("Last 12 months"), last_months(MONTHS)),
        (_("Last 24 months"), last_months(MOST_MONTHS)),
        (_("This year"), this_year),
        (_("Last year"), last_year),
    ]
    return [
        {
            "label": label,
            "query": urlencode(
                {**_parameters(asked), "from": f"{period.first:%Y-%m}", "to": f"{period.last:%Y-%m}"}
            ),
            "active": period == asked.period,
        }
        for label, period in usual
    ]


def _boundaries_switch(asked: Question) -> Switch:
    choices = [
        {
            "label": name,
            "query": urlencode({**_parameters(asked), "boundaries": choice}),
            "active": choice is asked.boundaries,
        }
        for choice, name in BOUNDARIES_NAMES.items()
    ]
    return Switch(_("Units as they stood"), choices)


def _crumbs(actor: Actor, unit: Unit, above: list[Unit], asked: Question) -> list[dict[str, Any]]:
    """The same table of the units above whose figures the person may see."""
    seen = [other for other in above if actor.covers(Permission.STATISTICS_VIEW, other)]
    crumbs = [{"label": other.name, "url": months_url(other, asked)} for other in seen]
    return [*crumbs, {"label": unit.name, "url": ""}] if crumbs else []
