"""What the page of a unit shows: typed view-models made from figures, and nothing counted here."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from programs import registry
from programs.access import Actor
from programs.boundaries import Boundaries
from programs.filters import JOINT, OWN
from programs.models.record import PROGRAMME_BEGAN
from programs.models.unit import Placement, Unit, month_of
from programs.registry import Action, Derived, Indicator, Part, Text
from programs.roles import Permission, Reach
from reporting.figures import Against, Figure, Figures, Period, Row, figures, stands_right_below
from reporting.recount import ZERO

MONTH = re.compile(r"([12][0-9]{3})-(0[1-9]|1[0-2])")
# More than this, and bars become hairs.
MOST_BARS = 24


@dataclass
class Question:
    """What is asked for: a period, and an indicator. What is not understood gets a message, by parameter."""

    period: Period
    indicator: str = ""
    against: Against = Against.YEAR
    boundaries: Boundaries = Boundaries.OF_THE_TIME
    problems: dict[str, str] = field(default_factory=dict)

    @property
    def parameters(self) -> dict[str, str]:
        """Of an address that asks the same, but for the indicator."""
        asked = {"from": f"{self.period.first:%Y-%m}", "to": f"{self.period.last:%Y-%m}"}
        if self.against is not Against.YEAR:
            asked["against"] = self.against
        if self.boundaries is not Boundaries.OF_THE_TIME:
            asked["boundaries"] = self.boundaries
        return asked


PARAMETERS = ("from", "to", "indicator", "against", "boundaries")


def question(parameters: Mapping[str, str]) -> Question:
    """Whatever the parameters hold, there is a period: this year's months so far, unless another is understood."""
    today = month_of(timezone.localdate())
    asked = Question(Period(today.replace(month=1), today))
    first, last = _month(parameters, "from", asked), _month(parameters, "to", asked)
    if not asked.problems and (first or last):
        first = first or last.replace(month=1)  # type: ignore[union-attr]
        # A month that has not come yet would be compared with a whole one of the year before.
        last = min(last or first.replace(month=12), today)
        if first > today:
            asked.problems["from"] = _("This period has not begun yet.")
        elif last < first:
            asked.problems["to"] = _("The last month lies before the first one.")
        elif first < PROGRAMME_BEGAN:
            message = _("The programme began in %(year)s; give a later month.")
            asked.problems["from"] = message % {"year": PROGRAMME_BEGAN.year}
        else:
            asked.period = Period(first, last)
    code = parameters.get("indicator", "")
    if code in {figure.code for figure in registry.declared()}:
        asked.indicator = code
    elif code:
        asked.problems["indicator"] = _("There is no such indicator.")
    _read_choices(parameters, asked)
    return asked


def _read_choices(parameters: Mapping[str, str], asked: Question) -> None:
    try:
        asked.against = Against(parameters.get("against") or Against.YEAR)
    except ValueError:
        asked.problems["against"] = _("Figures are compared with “year” or “previous”.")
    try:
        asked.boundaries = Boundaries(parameters.get("boundaries") or Boundaries.OF_THE_TIME)
    except ValueError:
        asked.problems["boundaries"] = _("Boundaries are those of the “time” or of “today”.")


def _month(parameters: Mapping[str, str], name: str, asked: Question) -> dt.date | None:
    text = parameters.get(name, "")
    match = MONTH.fullmatch(text)
    if match:
        return dt.date(int(match[1]), int(match[2]), 1)
    if text:
        asked.problems[name] = _("A month is written like 2026-03.")
    return None


def label_of(period: Period) -> str:
    if period.first == period.last:
        return f"{period.first:%Y-%m}"
    return _("%(first)s to %(last)s") % {"first": f"{period.first:%Y-%m}", "last": f"{period.last:%Y-%m}"}


# --- the page -------------------------------------------------------------------------------------


@dataclass
class Tile:
    """For components/figure.html."""

    name: Text
    value: Decimal | None
    measure: Text
    url: str
    hue: str
    change: Decimal | None
    against: str
    trend: list[Decimal | None]


@dataclass
class Group:
    """The tiles of one action."""

    action: Action
    tiles: list[Tile]


@dataclass
class Cell:
    value: Decimal | None
    url: str = ""


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


@dataclass
class Switch:
    """A choice between few ways to look at the same period: [{label, query, active}]."""

    label: Text
    choices: list[dict[str, Any]]


@dataclass
class Component:
    name: Text
    value: Decimal | None
    url: str


@dataclass
class Made:
    """A derived figure with those that it is made of, each of which opens to its records."""

    figure: Figure
    of: list[Component]


@dataclass
class Share:
    """One value of a split, with its share of the whole."""

    name: Text
    value: Decimal | None
    url: str


@dataclass
class Split:
    """The indicator of the trend by the values of a field."""

    name: Text
    hue: str
    shares: list[Share]
    largest: Decimal


@dataclass
class Dashboard:
    unit: Unit
    period: Period
    period_label: str
    before_label: str
    as_of: dt.datetime | None
    whole: bool
    groups: list[Group]
    columns: list[Figure]
    made: list[Made]
    splits: list[Split]
    parts: list[Block]
    chart: dict[str, Any]
    is_blank: bool  # nothing in the period, nor a year before
    trends: list[dict[str, Any]]
    presets: list[dict[str, Any]]
    switches: list[Switch]
    kept: dict[str, str]  # of the address, by the form of the period
    crumbs: list[dict[str, Any]]
    has_moved: bool
    indicator: str  # of the trend


def dashboard(actor: Actor, unit: Unit, asked: Question) -> Dashboard:
    """The page of a unit that the actor may see, in three queries: the units around it, the cells, the time."""
    whole = covers_below(actor, unit)
    above, below = around(unit)
    indicator = asked.indicator or next((indicator.code for indicator in registry.indicators()), "")
    found = figures(
        unit,
        asked.period.first,
        asked.period.last,
        [*(figure.code for figure in registry.declared()), *registry.with_parts(indicator)],
        whole=whole,
        below=below if whole else (),
        against=asked.against,
        boundaries=asked.boundaries,
    )
    stored = [figure for figure in found.figures if type(figure.indicator) is Indicator]
    link = _Links(actor, unit, asked, alone=not below)
    return Dashboard(
        unit=unit,
        period=found.period,
        period_label=label_of(found.period),
        before_label=label_of(found.before),
        as_of=found.as_of,
        whole=whole,
        groups=_groups(stored, link, asked),
        columns=stored,
        made=_made(found, link),
        splits=_splits(found, indicator, link),
        parts=_parts(found, stored, link),
        chart=_chart(found, indicator, link, asked) if stored else {},
        is_blank=not any(figure.value or figure.before or figure.joint for figure in stored),
        trends=_trends(found, indicator, asked),
        presets=_presets(asked),
        switches=_switches(asked),
        kept={name: value for name, value in asked.parameters.items() if name not in {"from", "to"}},
        crumbs=_crumbs(actor, unit, above, asked),
        has_moved=asked.boundaries is Boundaries.OF_THE_TIME
        and any(row.stay or not stands_right_below(row.unit, unit) for row in found.rows[1:]),
        indicator=indicator,
    )


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


class _Links:
    """Where a figure leads: to the very records behind it."""

    def __init__(self, actor: Actor, unit: Unit, asked: Question, alone: bool) -> None:
        self.actor, self.unit, self.asked = actor, unit, asked
        self.whole = covers_below(actor, unit)
        self.alone = alone  # nothing below: what it joined itself is all that was joined

    def page(self, unit: Unit, **more: str) -> str:
        if not self.actor.covers(Permission.STATISTICS_VIEW, unit):
            return ""
        return page_url(unit, {**self.asked.parameters, **more})

    def figure(self, figure: Figure, period: Period | None = None) -> str:
        """To the records behind it; a derived figure has none of its own."""
        if figure.is_derived:
            return ""
        return self.records(figure, self.unit, period, "" if self.whole else OWN)

    def joint(self, figure: Figure, rows: list[Row]) -> str:
        """What a unit that has left joined while it stood here is not the person's to see: no list holds the figure."""
        complete = all(self.actor.covers(Permission.RECORD_VIEW, row.unit) for row in rows)
        return self.records(figure, self.unit, None, JOINT) if complete and (self.whole or self.alone) else ""

    def row(self, figure: Figure, row: Row) -> str:
        if row.is_split or not self.actor.covers(Permission.RECORD_VIEW, row.unit):
            return ""
        return self.records(figure, row.unit, row.stay, OWN if row.is_own else "")

    def records(self, figure: Figure, unit: Unit, period: Period | None, part: str) -> str:
        period = period or self.asked.period
        parameters = {
            "unit": unit.code,
            "part": part,
            "occurred_on_from": period.begins_on.isoformat(),
            "occurred_on_to": period.ends_on.isoformat(),
            "indicator": figure.indicator.code,
            "boundaries": "" if self.asked.boundaries is Boundaries.OF_THE_TIME else self.asked.boundaries,
        }
        query = urlencode({name: value for name, value in parameters.items() if value})
        return f"{reverse('record_list', args=[figure.kind.code])}?{query}"


def page_url(unit: Unit, parameters: dict[str, str]) -> str:
    return f"{reverse('dashboard_unit', args=[unit.code])}?{urlencode(parameters)}"


def _groups(stored: list[Figure], link: _Links, asked: Question) -> list[Group]:
    groups = []
    for action in Action:
        tiles = [_tile(figure, link, asked) for figure in stored if figure.kind.action is action]
        if tiles:
            groups.append(Group(action, tiles))
    return groups


def _tile(figure: Figure, link: _Links, asked: Question) -> Tile:
    return Tile(
        name=figure.indicator.label,
        value=figure.value,
        measure=figure.measure.label,
        url=link.figure(figure),
        hue=figure.kind.action.hue,
        change=figure.change,
        against=asked.against,
        trend=figure.by_month if len(figure.by_month) > 2 and any(figure.by_month) else [],
    )


def _made(found: Figures, link: _Links) -> list[Made]:
    """Derived figures of this page; those of nothing are left out."""
    return [
        Made(
            figure,
            of=[
                Component(found[code].indicator.label, found[code].value, link.figure(found[code]))
                for code in figure.indicator.of
            ],
        )
        for figure in found.figures
        if isinstance(figure.indicator, Derived) and figure.value
    ]


def _splits(found: Figures, indicator: str, link: _Links) -> list[Split]:
    """What the chosen indicator is made of, by each field that divides it."""
    by_field: dict[str, list[Figure]] = {}
    for figure in found.figures:
        if isinstance(figure.indicator, Part) and figure.indicator.whole == indicator:
            by_field.setdefault(figure.indicator.field, []).append(figure)
    splits = []
    for name, some in by_field.items():
        # A value that may be blank is a line only where something was left blank.
        shown = [figure for figure in some if figure.value or not figure.code.endswith("=")]
        largest = max((figure.value or ZERO for figure in shown), default=ZERO)
        if largest:
            shares = [Share(figure.indicator.label, figure.value, link.figure(figure)) for figure in shown]
            kind = some[0].kind
            splits.append(Split(kind.field(name).verbose_name, kind.action.hue, shares, largest))
    return splits


def _parts(found: Figures, stored: list[Figure], link: _Links) -> list[Block]:
    """Own part, the tiers below, attached bodies, total; and joint records apart from all of them."""
    own = [row for row in found.rows if row.is_own]
    below = [row for row in found.rows if not row.is_own and row.unit.is_territorial]
    attached = [row for row in found.rows if not row.is_own and not row.unit.is_territorial]
    parts = []
    if below or attached:
        parts.append(Block("", [_line(row, found, stored, link) for row in (*own, *below)]))
        if attached:
            parts.append(
                Block(
                    _("Departments and other bodies"), [_line(row, found, stored, link) for row in attached]
                )
            )
    last = []
    total = [Cell(figure.value, link.figure(figure) if figure.value else "") for figure in stored]
    joint = [Cell(figure.joint, link.joint(figure, found.rows) if figure.joint else "") for figure in stored]
    has_joint = any(cell.value for cell in joint)
    if parts or has_joint:
        last.append(Line(_("Total") if parts else _("Led by the unit"), total, sort="total"))
    if has_joint:
        last.append(Line(_("Joined, led by others"), joint, note=_("Not part of the total"), sort="joint"))
    return [*parts, Block("", last)] if last else parts


def _line(row: Row, found: Figures, stored: list[Figure], link: _Links) -> Line:
    values = [(figure, row.values[figure.code]) for figure in stored]
    return Line(
        name=_("%(unit)s itself") % {"unit": row.unit.name} if row.is_own else row.unit.name,
        cells=[Cell(value, link.row(figure, row) if value else "") for figure, value in values],
        url="" if row.is_own else link.page(row.unit),
        note=_note(row, found),
        sort="own" if row.is_own else "",
    )


def _note(row: Row, found: Figures) -> str:
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


def _chart(found: Figures, code: str, link: _Links, asked: Question) -> dict[str, Any]:
    """The trend of one indicator beside the period compared with, for components/chart.html."""
    figure = found[code]
    months = found.period.months
    before = found.before
    return {
        "id": "trend",
        "title": _("%(indicator)s by month") % {"indicator": figure.indicator.label},
        "note": label_of(found.period),
        "data": {
            "kind": "bar" if len(months) <= MOST_BARS else "line",
            "unit": str(figure.measure.label),
            "categories": [f"{month:%Y-%m}" for month in months],
            "series": [
                {
                    "name": _("This period"),
                    "hue": figure.kind.action.hue,
                    "values": [_plain(value) for value in figure.by_month],
                    "links": [link.figure(figure, Period(month, month)) for month in months],
                },
                {
                    "name": AGAINST_NAMES[asked.against],
                    "hue": "grey",
                    "dashed": True,
                    "values": [_plain(value) for value in figure.by_month_before],
                    "links": [link.figure(figure, Period(month, month)) for month in before.months],
                },
            ],
        },
    }


def _plain(value: Decimal | None) -> int | float | None:
    if value is None:
        return None
    return int(value) if value == value.to_integral_value() else float(value)


def _trends(found: Figures, indicator: str, asked: Question) -> list[dict[str, Any]]:
    """The indicators to choose from for the trend."""
    return [
        {
            "label": figure.indicator.label,
            "code": figure.indicator.code,
            "url": page_url(found.unit, {**asked.parameters, "indicator": figure.indicator.code}),
            "active": figure.indicator.code == indicator,
        }
        for figure in found.figures
        if not isinstance(figure.indicator, Part)
    ]


def _presets(asked: Question) -> list[dict[str, Any]]:
    return [
        {"label": label, "query": _query(replace(asked, period=period)), "active": period == asked.period}
        for label, period in usual_periods(month_of(timezone.localdate()))
    ]


def usual_periods(today: dt.date) -> list[tuple[str, Period]]:
    """The periods that reports are written for, up to the present month."""
    january = today.replace(month=1)

    def so_far(months: int) -> Period:
        return Period(today.replace(month=today.month - (today.month - 1) % months), today)

    return [
        (_("This month"), Period(today, today)),
        (_("This quarter"), so_far(3)),
        (_("This half-year"), so_far(6)),
        (_("This year"), Period(january, today)),
        (_("Last month"), Period(today, today).previous),
        (_("Last year"), Period(january.replace(year=today.year - 1), dt.date(today.year - 1, 12, 1))),
    ]


AGAINST_NAMES = {
    Against.YEAR: gettext_lazy("A year before"),
    Against.PREVIOUS: gettext_lazy("The period before"),
}
BOUNDARIES_NAMES = {
    Boundaries.OF_THE_TIME: gettext_lazy("Boundaries of the time"),
    Boundaries.TODAY: gettext_lazy("Today's boundaries"),
}


def _switches(asked: Question) -> list[Switch]:
    against = [
        {"label": name, "query": _query(replace(asked, against=choice)), "active": choice is asked.against}
        for choice, name in AGAINST_NAMES.items()
    ]
    boundaries = [
        {
            "label": name,
            "query": _query(replace(asked, boundaries=choice)),
            "active": choice is asked.boundaries,
        }
        for choice, name in BOUNDARIES_NAMES.items()
    ]
    return [Switch(_("Compare with"), against), Switch(_("Units as they stood"), boundaries)]


def _query(asked: Question) -> str:
    more = {"indicator": asked.indicator} if asked.indicator else {}
    return urlencode({**asked.parameters, **more})


def _crumbs(actor: Actor, unit: Unit, above: list[Unit], asked: Question) -> list[dict[str, Any]]:
    """The units above whose figures the person may see, from the district down, and the unit itself."""
    seen = [other for other in above if actor.covers(Permission.STATISTICS_VIEW, other)]
    crumbs = [{"label": other.name, "url": page_url(other, asked.parameters)} for other in seen]
    return [*crumbs, {"label": unit.name, "url": ""}] if crumbs else []
