"""What the page of a unit shows: typed view-models made from figures, and nothing counted here."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from programs import registry
from programs.access import Actor
from programs.boundaries import Boundaries
from programs.models.record import PROGRAMME_BEGAN
from programs.models.unit import Unit, month_of
from programs.registry import Action, Derived, Indicator, Part, Suppressed, Text, Value, plain
from programs.roles import Permission
from reporting.definitions import definition_url
from reporting.figures import Against, Figure, Figures, Period, figures
from reporting.left_out import Choice, offered, scope_of, scoped, still_left_out, units_left_out
from reporting.parts import (
    Block,
    Cell,
    Line,
    Links,
    around,
    bare_number,
    blocks_of,
    covers_below,
    has_moved,
    label_of,
)
from reporting.recount import ZERO

MONTH = re.compile(r"([12][0-9]{3})-(0[1-9]|1[0-2])")
# More than this, and bars become hairs.
MOST_BARS = 24


@dataclass
class Question:
    """What is asked for: a period, and an indicator. What is not understood gets a message, by parameter."""

    period: Period
    indicator: str = ""
    action: Action | None = None
    against: Against = Against.YEAR
    boundaries: Boundaries = Boundaries.OF_THE_TIME
    without: tuple[Unit, ...] = ()
    problems: dict[str, str] = field(default_factory=dict)

    @property
    def declared(self) -> list[Indicator | Derived]:
        """The figures asked for: of one action, or of all of them."""
        return [
            figure
            for kind in registry.kinds()
            for figure in kind.declared
            if self.action is None or kind.action is self.action
        ]

    @property
    def parameters(self) -> dict[str, Any]:
        """Of an address that asks the same, but for the indicator."""
        asked: dict[str, Any] = {"from": f"{self.period.first:%Y-%m}", "to": f"{self.period.last:%Y-%m}"}
        if self.action is not None:
            asked["action"] = self.action.code
        if self.against is not Against.YEAR:
            asked["against"] = self.against
        if self.boundaries is not Boundaries.OF_THE_TIME:
            asked["boundaries"] = self.boundaries
        if self.without:
            asked[WITHOUT] = [unit.code for unit in self.without]
        return asked


WITHOUT = "without"  # may be given more than once
PARAMETERS = ("from", "to", "indicator", "action", "against", "boundaries")


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
    _read_figures(parameters, asked)
    _read_choices(parameters, asked)
    return asked


def leave_out(asked: Question, unit: Unit, codes: Sequence[str], known: QuerySet[Unit]) -> None:
    """Understand the units that figures of `unit` are asked without; `known` are those that may be named."""
    try:
        asked.without = tuple(units_left_out(unit, codes, asked.period, known))
    except ValueError as error:
        asked.problems[WITHOUT] = str(error)


def _read_figures(parameters: Mapping[str, str], asked: Question) -> None:
    code, action = parameters.get("indicator", ""), parameters.get("action", "")
    asked.action = next((known for known in actions() if known.code == action), None)
    if action and asked.action is None:
        asked.problems["action"] = _("There is no such action.")
    if code in {figure.code for figure in asked.declared}:
        asked.indicator = code
    elif code:
        asked.problems["indicator"] = _("There is no such indicator.")


def actions() -> list[Action]:
    """The actions that have figures."""
    return list(dict.fromkeys(kind.action for kind in registry.kinds() if kind.indicators))


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


# --- the page -------------------------------------------------------------------------------------


@dataclass
class Tile:
    """For components/figure.html."""

    name: Text
    value: Value
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
class Switch:
    """A choice between few ways to look at the same period: [{label, query, active}]."""

    label: Text
    choices: list[dict[str, Any]]


@dataclass
class Component:
    name: Text
    value: Value
    url: str
    measure: Text = ""


@dataclass
class Made:
    """A derived figure with those that it is made of, each of which opens to its records."""

    figure: Figure
    of: list[Component]


@dataclass
class Kept:
    """A promise, and the figures that show it."""

    name: Text
    figures: list[Component]


@dataclass
class Share:
    """One value of a split, with its share of the whole."""

    name: Text
    value: Value
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
    scope: str  # what is left out, in words; empty for nothing
    left_out: list[Choice]
    may_be_left_out: list[Choice]
    before_label: str
    is_running: bool  # its last month is not over: less of it is compared with a whole one
    as_of: dt.datetime | None
    whole: bool
    groups: list[Group]
    columns: list[Figure]
    made: list[Made]
    promises: list[Kept]
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
    hides_some: bool
    indicator: str  # of the trend
    months_url: str

    @property
    def headline(self) -> str:
        """What the figures are of, beside the unit."""
        return scoped(self.period_label, [choice.unit for choice in self.left_out])

    @property
    def definition(self) -> str:
        """Where the indicator of the trend is explained."""
        return definition_url(self.indicator)


def dashboard(actor: Actor, unit: Unit, asked: Question) -> Dashboard:
    """The page of a unit that the actor may see, in three queries: the units around it, the cells, the time."""
    whole = covers_below(actor, unit)
    above, below = around(unit)
    indicator = asked.indicator or next((figure.code for figure in asked.declared), "")
    promises = {} if asked.action else registry.promises()
    found = figures(
        unit,
        asked.period.first,
        asked.period.last,
        [
            *(figure.code for figure in asked.declared),
            *(registry.with_parts(indicator) if indicator else ()),
            *(figure.code for some in promises.values() for _kind, figure in some),
        ],
        whole=whole,
        below=below if whole else (),
        against=asked.against,
        boundaries=asked.boundaries,
        without=asked.without,
        reader=actor.unit,
    )
    stored = [figure for figure in found.figures if type(figure.indicator) is Indicator]
    link = Links(
        actor,
        unit,
        asked.period,
        asked.boundaries,
        page=lambda other: page_url(other, _parameters_of(other, asked)),
        alone=not below,
        without=asked.without,
    )
    return Dashboard(
        unit=unit,
        period=found.period,
        period_label=label_of(found.period),
        scope=scope_of(asked.without),
        left_out=_left_out(asked),
        may_be_left_out=offered(row.unit for row in found.rows[1:] if any(row.values.values())),
        before_label=label_of(found.before),
        is_running=found.period.last == month_of(timezone.localdate()),
        as_of=found.as_of,
        whole=whole,
        groups=_groups(stored, link, asked),
        columns=stored,
        made=_made(found, link),
        promises=[
            Kept(
                promise.label,
                [_component(found[figure.code], link) for _kind, figure in some],
            )
            for promise, some in promises.items()
        ],
        splits=_splits(found, indicator, link),
        parts=_parts(found, stored, link),
        chart=_chart(found, indicator, link, asked) if stored else {},
        is_blank=not any(figure.value or figure.before or figure.joint for figure in stored),
        trends=_trends(found, indicator, asked),
        presets=_presets(asked),
        switches=_switches(asked),
        kept={name: value for name, value in asked.parameters.items() if name not in {"from", "to", WITHOUT}},
        crumbs=_crumbs(actor, unit, above, asked),
        has_moved=has_moved(found, link),
        hides_some=found.hides_some,
        indicator=indicator,
        months_url=_months_url(unit, asked, found[indicator] if indicator else None),
    )


def _parameters_of(unit: Unit, asked: Question) -> dict[str, Any]:
    """What is asked here, of another unit."""
    return replace(asked, without=still_left_out(unit, asked.without)).parameters


def _left_out(asked: Question) -> list[Choice]:
    """What is left out, each with the question that counts it again."""
    return [
        Choice(unit, _query(replace(asked, without=tuple(other for other in asked.without if other != unit))))
        for unit in asked.without
    ]


def page_url(unit: Unit, parameters: dict[str, Any], route: str = "dashboard_unit") -> str:
    """The address of a unit's dashboard, or of another page that is asked in the same way."""
    return f"{reverse(route, args=[unit.code])}?{urlencode(parameters, doseq=True)}"


def _months_url(unit: Unit, asked: Question, figure: Figure | None) -> str:
    """Months × units: twelve of them, unless a period was chosen here."""
    is_usual = asked.period == question({}).period
    left = {WITHOUT, *(("from", "to") if is_usual else ())}  # that table holds every unit
    parameters = {name: value for name, value in asked.parameters.items() if name not in left}
    if figure is not None and not figure.is_derived:
        parameters["indicator"] = figure.code
    return page_url(unit, parameters, "heat_map")


def _groups(stored: list[Figure], link: Links, asked: Question) -> list[Group]:
    groups = []
    for action in Action:
        tiles = [_tile(figure, link, asked) for figure in stored if figure.kind.action is action]
        if tiles:
            groups.append(Group(action, tiles))
    return groups


def _tile(figure: Figure, link: Links, asked: Question) -> Tile:
    trend = [plain(value) for value in figure.by_month]
    return Tile(
        name=figure.indicator.label,
        value=figure.value,
        measure=figure.measure.label,
        url=link.figure(figure),
        hue=figure.kind.action.hue,
        change=figure.change,
        against=asked.against,
        trend=trend if len(trend) > 2 and any(trend) else [],
    )


def _made(found: Figures, link: Links) -> list[Made]:
    """Derived figures of this page; those of nothing are left out."""
    return [
        Made(
            figure,
            of=[_component(found[code], link) for code in figure.indicator.of],
        )
        for figure in found.figures
        if isinstance(figure.indicator, Derived) and figure.value
    ]


def _component(figure: Figure, link: Links) -> Component:
    return Component(figure.indicator.label, figure.value, link.figure(figure), figure.measure.label)


def _splits(found: Figures, indicator: str, link: Links) -> list[Split]:
    """What the chosen indicator is made of, by each field that divides it."""
    by_field: dict[str, list[Figure]] = {}
    for figure in found.figures:
        if isinstance(figure.indicator, Part) and figure.indicator.whole == indicator:
            by_field.setdefault(figure.indicator.field, []).append(figure)
    splits = []
    for name, some in by_field.items():
        # A value that may be blank is a line only where something was left blank.
        shown = [figure for figure in some if figure.value or not figure.code.endswith("=")]
        largest = max((plain(figure.value) or ZERO for figure in shown), default=ZERO)
        if largest:
            shares = [Share(figure.indicator.label, figure.value, link.figure(figure)) for figure in shown]
            kind = some[0].kind
            splits.append(Split(kind.field(name).verbose_name, kind.action.hue, shares, largest))
    return splits


def _parts(found: Figures, stored: list[Figure], link: Links) -> list[Block]:
    """Own part, the tiers below, attached bodies, total; and joint records apart from all of them."""
    parts = blocks_of(found, stored, link)
    last = []
    total = [Cell(figure.value, link.figure(figure) if figure.value else "") for figure in stored]
    joint = [Cell(figure.joint, link.joint(figure, found.rows) if figure.joint else "") for figure in stored]
    has_joint = any(cell.value for cell in joint)
    if parts or has_joint:
        name = scoped(_("Total") if parts else _("Led by the unit"), found.without)
        last.append(Line(name, total, sort="total"))
    if has_joint:
        last.append(Line(_("Joined, led by others"), joint, note=_("Not part of the total"), sort="joint"))
    return [*parts, Block("", last)] if last else parts


def _chart(found: Figures, code: str, link: Links, asked: Question) -> dict[str, Any]:
    """The trend of one indicator beside the period compared with, for components/chart.html."""
    figure = found[code]
    months = found.period.months
    before = found.before
    return {
        "id": "trend",
        "title": _("%(indicator)s by month") % {"indicator": figure.indicator.label},
        "note": scoped(label_of(found.period), asked.without),
        "data": {
            "kind": "bar" if len(months) <= MOST_BARS else "line",
            "unit": str(figure.measure.label),
            "categories": [f"{month:%Y-%m}" for month in months],
            "series": [
                {
                    "name": _("This period"),
                    "hue": figure.kind.action.hue,
                    "values": [bare_number(value) for value in figure.by_month],
                    "links": _month_links(figure, figure.by_month, months, link),
                },
                {
                    "name": AGAINST_NAMES[asked.against],
                    "hue": "grey",
                    "dashed": True,
                    "values": [bare_number(value) for value in figure.by_month_before],
                    "links": _month_links(figure, figure.by_month_before, before.months, link),
                },
            ],
        },
    }


def _month_links(figure: Figure, values: list[Value], months: list[dt.date], link: Links) -> list[str]:
    return [
        "" if isinstance(value, Suppressed) else link.figure(figure, Period(month, month))
        for value, month in zip(values, months, strict=True)
    ]


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
    of_actions = [
        {
            "label": action.label if action else _("All actions"),
            "query": _query(replace(asked, action=action, indicator="")),
            "active": action is asked.action,
        }
        for action in (None, *actions())
    ]
    several = [Switch(_("Action of the programme"), of_actions)] if len(actions()) > 1 else []
    return [*several, Switch(_("Compare with"), against), Switch(_("Units as they stood"), boundaries)]


def _query(asked: Question) -> str:
    more = {"indicator": asked.indicator} if asked.indicator else {}
    return urlencode({**asked.parameters, **more}, doseq=True)


def _crumbs(actor: Actor, unit: Unit, above: list[Unit], asked: Question) -> list[dict[str, Any]]:
    """The units above whose figures the person may see, from the district down, and the unit itself."""
    seen = [other for other in above if actor.covers(Permission.STATISTICS_VIEW, other)]
    crumbs = [{"label": other.name, "url": page_url(other, asked.parameters)} for other in seen]
    return [*crumbs, {"label": unit.name, "url": ""}] if crumbs else []
