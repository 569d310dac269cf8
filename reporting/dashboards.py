"""What the page of a unit shows: typed view-models made from figures, and nothing counted here."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from programs import registry
from programs.access import Actor
from programs.filters import JOINT, OWN
from programs.models.record import PROGRAMME_BEGAN
from programs.models.unit import Placement, Unit, month_of
from programs.registry import Action, Text
from programs.roles import Permission, Reach
from reporting.figures import Figure, Figures, Period, Row, figures, stands_right_below

MONTH = re.compile(r"([12][0-9]{3})-(0[1-9]|1[0-2])")
# More than this, and bars become hairs.
MOST_BARS = 24


@dataclass
class Question:
    """What is asked for: a period, and an indicator. What is not understood gets a message, by parameter."""

    period: Period
    indicator: str = ""
    problems: dict[str, str] = field(default_factory=dict)

    @property
    def parameters(self) -> dict[str, str]:
        return {"from": f"{self.period.first:%Y-%m}", "to": f"{self.period.last:%Y-%m}"}


PARAMETERS = ("from", "to", "indicator")


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
    if code in {indicator.code for indicator in registry.indicators()}:
        asked.indicator = code
    elif code:
        asked.problems["indicator"] = _("There is no such indicator.")
    return asked


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
    value: Decimal
    measure: Text
    url: str
    hue: str
    change: Decimal | None
    trend: list[Decimal]


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
class Part:
    """Some rows of the table, under a heading of their own if it has one."""

    heading: str
    lines: list[Line]


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
    parts: list[Part]
    chart: dict[str, Any]
    is_blank: bool  # nothing in the period, nor a year before
    trends: list[dict[str, Any]]
    presets: list[dict[str, Any]]
    crumbs: list[dict[str, Any]]
    has_moved: bool
    indicator: str  # of the trend


def dashboard(actor: Actor, unit: Unit, asked: Question) -> Dashboard:
    """The page of a unit that the actor may see, in three queries: the units around it, the cells, the time."""
    whole = covers_below(actor, unit)
    above, below = around(unit)
    found = figures(unit, asked.period.first, asked.period.last, whole=whole, below=below if whole else ())
    indicator = asked.indicator or next((figure.indicator.code for figure in found.figures), "")
    link = _Links(actor, unit, asked, alone=not below)
    return Dashboard(
        unit=unit,
        period=found.period,
        period_label=label_of(found.period),
        before_label=label_of(found.period.year_before),
        as_of=found.as_of,
        whole=whole,
        groups=_groups(found, link),
        columns=found.figures,
        parts=_parts(found, link),
        chart=_chart(found, indicator, link) if found.figures else {},
        is_blank=not any(figure.value or figure.before or figure.joint for figure in found.figures),
        trends=_trends(found, indicator, asked),
        presets=_presets(asked),
        crumbs=_crumbs(actor, unit, above, asked),
        has_moved=any(row.stay or not stands_right_below(row.unit, unit) for row in found.rows[1:]),
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
        }
        query = urlencode({name: value for name, value in parameters.items() if value})
        return f"{reverse('record_list', args=[figure.kind.code])}?{query}"


def page_url(unit: Unit, parameters: dict[str, str]) -> str:
    return f"{reverse('dashboard_unit', args=[unit.code])}?{urlencode(parameters)}"


def _groups(found: Figures, link: _Links) -> list[Group]:
    groups = []
    for action in Action:
        tiles = [_tile(figure, link) for figure in found.figures if figure.kind.action is action]
        if tiles:
            groups.append(Group(action, tiles))
    return groups


def _tile(figure: Figure, link: _Links) -> Tile:
    return Tile(
        name=figure.indicator.label,
        value=figure.value,
        measure=figure.indicator.measure.label,
        url=link.figure(figure),
        hue=figure.kind.action.hue,
        change=figure.change,
        trend=figure.by_month if len(figure.by_month) > 2 and any(figure.by_month) else [],
    )


def _parts(found: Figures, link: _Links) -> list[Part]:
    """Own part, the tiers below, attached bodies, total; and joint records apart from all of them."""
    own = [row for row in found.rows if row.is_own]
    below = [row for row in found.rows if not row.is_own and row.unit.is_territorial]
    attached = [row for row in found.rows if not row.is_own and not row.unit.is_territorial]
    parts = []
    if below or attached:
        parts.append(Part("", [_line(row, found, link) for row in (*own, *below)]))
        if attached:
            parts.append(
                Part(_("Departments and other bodies"), [_line(row, found, link) for row in attached])
            )
    last = []
    total = [Cell(figure.value, link.figure(figure) if figure.value else "") for figure in found.figures]
    joint = [
        Cell(figure.joint, link.joint(figure, found.rows) if figure.joint else "") for figure in found.figures
    ]
    has_joint = any(cell.value for cell in joint)
    if parts or has_joint:
        last.append(Line(_("Total") if parts else _("Led by the unit"), total, sort="total"))
    if has_joint:
        last.append(Line(_("Joined, led by others"), joint, note=_("Not part of the total"), sort="joint"))
    return [*parts, Part("", last)] if last else parts


def _line(row: Row, found: Figures, link: _Links) -> Line:
    values = [(figure, row.values[figure.indicator.code]) for figure in found.figures]
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


def _chart(found: Figures, code: str, link: _Links) -> dict[str, Any]:
    """The trend of one indicator beside the year before, for components/chart.html."""
    figure = found[code]
    months = found.period.months
    before = found.period.year_before
    return {
        "id": "trend",
        "title": _("%(indicator)s by month") % {"indicator": figure.indicator.label},
        "note": label_of(found.period),
        "data": {
            "kind": "bar" if len(months) <= MOST_BARS else "line",
            "unit": str(figure.indicator.measure.label),
            "categories": [f"{month:%Y-%m}" for month in months],
            "series": [
                {
                    "name": _("This period"),
                    "hue": figure.kind.action.hue,
                    "values": [_plain(value) for value in figure.by_month],
                    "links": [link.figure(figure, Period(month, month)) for month in months],
                },
                {
                    "name": _("A year before"),
                    "hue": "grey",
                    "dashed": True,
                    "values": [_plain(value) for value in figure.by_month_before],
                    "links": [link.figure(figure, Period(month, month)) for month in before.months],
                },
            ],
        },
    }


def _plain(value: Decimal) -> int | float:
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
    ]


def _presets(asked: Question) -> list[dict[str, Any]]:
    today = month_of(timezone.localdate())
    january = today.replace(month=1)
    quarter = today.replace(month=today.month - (today.month - 1) % 3)
    choices = [
        (_("This year"), Period(january, today)),
        (_("Last year"), Period(january.replace(year=today.year - 1), dt.date(today.year - 1, 12, 1))),
        (_("This quarter"), Period(quarter, today)),
        (_("This month"), Period(today, today)),
    ]
    more = {"indicator": asked.indicator} if asked.indicator else {}
    return [
        {
            "label": label,
            "query": urlencode({**Question(period).parameters, **more}),
            "active": period == asked.period,
        }
        for label, period in choices
    ]


def _crumbs(actor: Actor, unit: Unit, above: list[Unit], asked: Question) -> list[dict[str, Any]]:
    """The units above whose figures the person may see, from the district down, and the unit itself."""
    seen = [other for other in above if actor.covers(Permission.STATISTICS_VIEW, other)]
    crumbs = [{"label": other.name, "url": page_url(other, asked.parameters)} for other in seen]
    return [*crumbs, {"label": unit.name, "url": ""}] if crumbs else []
