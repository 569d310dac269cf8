"""Tables that people make themselves: indicators as columns; units, months or parts as rows; nothing counted here."""

from __future__ import annotations

import datetime as dt
import enum
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

from django.http import QueryDict
from django.urls import reverse
from django.utils.text import format_lazy, get_text_list
from django.utils.translation import gettext as _
from django.utils.translation import pgettext_lazy

from programs import registry
from programs.access import Actor
from programs.boundaries import Boundaries
from programs.models.unit import Unit
from programs.registry import Indicator, Measure, Part, RecordKind, Text, Value
from programs.templatetags.portal import NO_FIGURE, signed
from programs.text import UNSTORABLE
from reporting.dashboards import AGAINST_NAMES, WITHOUT, question
from reporting.figures import Against, Figure, Figures, Period, figures
from reporting.left_out import scoped, still_left_out
from reporting.models import NAME_LENGTH
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

MOST_ROWS = 24
# static/js/charts.js has as many patterns to tell series apart; and with more bars than this, they become hairs.
MOST_SERIES, MOST_BARS = 5, 120


class Rows(enum.StrEnum):
    UNITS = "units"
    MONTHS = "months"
    QUARTERS = "quarters"
    YEARS = "years"
    PARTS = "parts"


ROWS_NAMES = {
    Rows.UNITS: pgettext_lazy("rows", "By unit"),
    Rows.MONTHS: pgettext_lazy("rows", "By month"),
    Rows.QUARTERS: pgettext_lazy("rows", "By quarter"),
    Rows.YEARS: pgettext_lazy("rows", "By year"),
    Rows.PARTS: pgettext_lazy("rows", "By part"),
}
MONTHS_OF_A_ROW = {Rows.MONTHS: 1, Rows.QUARTERS: 3, Rows.YEARS: 12}


@dataclass(frozen=True)
class Split:
    """An indicator taken apart by a field with choices."""

    kind: RecordKind
    indicator: Indicator
    field: str

    @property
    def code(self) -> str:
        return f"{self.indicator.code}@{self.field}"

    @property
    def name(self) -> Text:
        return self.kind.field(self.field).verbose_name

    @property
    def label(self) -> Text:
        return format_lazy("{} · {}", self.indicator.label, self.name)

    @property
    def parts(self) -> list[Part]:
        return self.kind.parts(self.indicator, self.field)


def splits() -> list[Split]:
    return [
        Split(kind, indicator, name)
        for kind in registry.kinds()
        for indicator in kind.indicators
        for name in indicator.splits
    ]


# --- the question ---------------------------------------------------------------------------------


@dataclass
class Pivot:
    """What is asked for. What is not understood has a message in `problems`, by parameter."""

    unit: Unit
    period: Period
    rows: Rows = Rows.UNITS
    indicators: list[str] = field(default_factory=list)
    # With rows of parts, what the parts are of; otherwise its parts are columns beside the whole.
    split: Split | None = None
    against: Against | None = None
    boundaries: Boundaries = Boundaries.OF_THE_TIME
    without: tuple[Unit, ...] = ()
    name: str = ""
    problems: dict[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        return self.name or _("Custom statistics of %(unit)s") % {"unit": self.unit.name}

    @property
    def headline(self) -> str:
        """The title with what is left out."""
        return scoped(self.title, self.without)

    @property
    def rows_name(self) -> Text:
        return ROWS_NAMES[self.rows]

    @property
    def parameters(self) -> list[tuple[str, str]]:
        """Of an address that asks the same, in one order whoever asked."""
        return [
            ("unit", self.unit.code),
            ("from", f"{self.period.first:%Y-%m}"),
            ("to", f"{self.period.last:%Y-%m}"),
            ("rows", self.rows.value),
            *(("indicator", code) for code in self.indicators),
            *([("split", self.split.code)] if self.split else []),
            *([("against", self.against.value)] if self.against else []),
            *([("boundaries", self.boundaries.value)] if self.boundaries is Boundaries.TODAY else []),
            *((WITHOUT, unit.code) for unit in self.without),
        ]

    @property
    def query(self) -> str:
        return urlencode(self.parameters)

    @property
    def address(self) -> str:
        named = [*self.parameters, ("name", self.name)] if self.name else self.parameters
        return f"{reverse('pivot')}?{urlencode(named)}"

    @property
    def columns(self) -> list[str]:
        """The indicators that have a column; with rows of parts, those that are kept in such parts."""
        if self.rows is not Rows.PARTS or self.split is None:
            return self.indicators
        kept = {
            split.indicator.code
            for split in splits()
            if (split.kind, split.field) == (self.split.kind, self.split.field)
        }
        return [code for code in self.indicators if code in kept]

    @property
    def spans(self) -> list[Period]:
        """The period cut into the rows' months, quarters or years; the first and the last may be shorter."""
        return _cut(self.period, MONTHS_OF_A_ROW[self.rows]) if self.rows in MONTHS_OF_A_ROW else []


def _cut(period: Period, months: int) -> list[Period]:
    groups = itertools.groupby(period.months, lambda month: (month.year, (month.month - 1) // months))
    cut = [list(group) for _key, group in groups]
    return [Period(group[0], group[-1]) for group in cut]


PARAMETERS = ("unit", "from", "to", "rows", "indicator", "split", "against", "boundaries", "without", "name")


def pivot_of(unit: Unit, parameters: QueryDict) -> Pivot:
    """Whatever the parameters hold, there is a table: the usual stands in for what is not understood."""
    asked = question({name: parameters.get(name, "") for name in ("from", "to", "against", "boundaries")})
    compared = parameters.get("against") and "against" not in asked.problems
    pivot = Pivot(
        unit,
        asked.period,
        against=asked.against if compared else None,
        boundaries=asked.boundaries,
        problems=asked.problems,
    )
    _read_columns(parameters, pivot)
    _read_rows(parameters, pivot)
    try:
        pivot.name = name_of(parameters.get("name", ""))
    except ValueError as error:
        pivot.problems["name"] = str(error)
    return pivot


def name_of(text: str) -> str:
    """A name as it is kept; ValueError with a sentence if it cannot be."""
    name = " ".join(text.split())
    if len(name) > NAME_LENGTH:
        raise ValueError(_("A name has at most %(number)d characters.") % {"number": NAME_LENGTH})
    if UNSTORABLE.search(name) or not name.isprintable():
        raise ValueError(_("The text contains characters that cannot be stored."))
    return name


def _read_columns(parameters: QueryDict, pivot: Pivot) -> None:
    chosen = {code for code in parameters.getlist("indicator") if code}
    known = [figure.code for figure in registry.declared()]
    if not chosen <= set(known):
        pivot.problems["indicator"] = _("There is no such indicator.")
    code = parameters.get("split", "")
    pivot.split = next((split for split in splits() if split.code == code), None)
    if code and pivot.split is None:
        pivot.problems["split"] = _("There is no such division into parts.")
    if pivot.split:
        chosen.add(pivot.split.indicator.code)
    pivot.indicators = [code for code in known if code in chosen] or _usual_indicators()


def _usual_indicators() -> list[str]:
    return next(([figure.code for figure in kind.indicators] for kind in registry.kinds()), [])


def _read_rows(parameters: QueryDict, pivot: Pivot) -> None:
    try:
        pivot.rows = Rows(parameters.get("rows") or Rows.UNITS)
    except ValueError:
        pivot.problems["rows"] = _("Rows are “units”, “months”, “quarters”, “years” or “parts”.")
    if pivot.rows is Rows.PARTS:
        _read_parts(pivot)
    elif len(pivot.spans) > MOST_ROWS:
        pivot.rows = Rows.YEARS
        message = _("That would be more than %(number)d rows; the table goes by year.")
        pivot.problems["rows"] = message % {"number": MOST_ROWS}


def _read_parts(pivot: Pivot) -> None:
    """Without a division, the first one of what was chosen."""
    of_chosen = (split for split in splits() if split.indicator.code in pivot.indicators)
    pivot.split = pivot.split or next(of_chosen, None)
    if pivot.split is None:
        pivot.rows = Rows.UNITS
        pivot.problems["rows"] = _("None of the chosen indicators is kept in parts.")
        return
    left_out = [
        figure for figure in registry.declared() if figure.code in {*pivot.indicators} - {*pivot.columns}
    ]
    if left_out:
        pivot.problems["split"] = _("Not kept by %(field)s, and left out: %(indicators)s.") % {
            "field": pivot.split.name,
            "indicators": get_text_list([str(figure.label) for figure in left_out], _("and")),
        }


# --- the table ------------------------------------------------------------------------------------


@dataclass
class Column:
    name: Text
    measure: Measure
    hue: str
    # Whether its rows add up to its total.
    additive: bool


@dataclass
class Table:
    """The answer. The total is always a figure of the whole period, never worked out from the rows."""

    corner: Text  # what the rows are
    columns: list[Column]
    blocks: list[Block]
    total: Line
    before: Line | None
    changes: list[str]
    before_label: str
    has_moved: bool
    hides_some: bool
    chart: dict[str, Any]
    as_of: dt.datetime | None

    @property
    def lines(self) -> list[Line]:
        return [line for block in self.blocks for line in block.lines]

    @property
    def adds_up(self) -> bool:
        return all(column.additive for column in self.columns)


def table(actor: Actor, pivot: Pivot) -> Table:
    """The figures as the actor may see them, in three queries: the units below, the cells, the time."""
    whole = covers_below(actor, pivot.unit)
    by_unit = pivot.rows is Rows.UNITS and whole
    found = figures(
        pivot.unit,
        pivot.period.first,
        pivot.period.last,
        [*pivot.columns, *_codes_of_parts(pivot)],
        whole=whole,
        below=around(pivot.unit)[1] if by_unit else (),
        spans=pivot.spans,
        against=pivot.against or Against.YEAR,
        boundaries=pivot.boundaries,
        without=pivot.without,
        reader=actor.unit,
    )
    link = Links(
        actor,
        pivot.unit,
        pivot.period,
        pivot.boundaries,
        page=lambda other: replace(pivot, unit=other, without=still_left_out(other, pivot.without)).address,
        without=pivot.without,
    )
    by_part = pivot.rows is Rows.PARTS
    columns = [figure for figure in found.figures if not (by_part and isinstance(figure.indicator, Part))]
    blocks = _blocks(pivot, found, columns, link)
    total = [_cell(figure.value, link.figure(figure)) for figure in columns]
    before = [_cell(figure.before, link.figure(figure, found.before)) for figure in columns]
    return Table(
        corner=_corner(pivot),
        columns=[
            Column(
                figure.kind.name_of(figure.indicator),
                figure.measure,
                figure.kind.action.hue,
                figure.indicator.additive,
            )
            for figure in columns
        ],
        blocks=blocks,
        total=Line(
            scoped(_("Total") if whole or blocks else _("Led by the unit"), found.without),
            total,
            sort="total",
        ),
        before=Line(str(AGAINST_NAMES[pivot.against]), before) if pivot.against else None,
        changes=[_change(figure) for figure in columns] if pivot.against else [],
        before_label=label_of(found.before),
        has_moved=has_moved(found, link),
        hides_some=found.hides_some,
        chart=_chart(pivot, columns, blocks),
        as_of=found.as_of,
    )


def _codes_of_parts(pivot: Pivot) -> Iterator[str]:
    if pivot.split:
        wholes = pivot.columns if pivot.rows is Rows.PARTS else [pivot.split.indicator.code]
        for code in wholes:
            whole = pivot.split.kind.indicator(code)
            yield from (part.code for part in pivot.split.kind.parts(whole, pivot.split.field))


def _corner(pivot: Pivot) -> Text:
    if pivot.rows is Rows.PARTS and pivot.split:
        return pivot.split.name
    names = {
        Rows.UNITS: _("Unit"), Rows.MONTHS: _("Month"), Rows.QUARTERS: _("Quarter"), Rows.YEARS: _("Year")
    }  # fmt: skip
    return names[pivot.rows]


def _blocks(pivot: Pivot, found: Figures, columns: list[Figure], link: Links) -> list[Block]:
    if pivot.rows is Rows.UNITS:
        return blocks_of(found, columns, link)
    if pivot.rows is Rows.PARTS:
        return [Block("", list(_lines_of_parts(pivot, found, columns, link)))]
    return [Block("", list(_lines_of_spans(pivot, columns, link)))]


def _lines_of_spans(pivot: Pivot, columns: list[Figure], link: Links) -> Iterator[Line]:
    for place, span in enumerate(pivot.spans):
        cells = [_cell(figure.by_span[place], link.figure(figure, span)) for figure in columns]
        is_short = len(span.months) < MONTHS_OF_A_ROW[pivot.rows]
        yield Line(_span_name(pivot.rows, span), cells, note=label_of(span) if is_short else "")


def _span_name(rows: Rows, span: Period) -> str:
    match rows:
        case Rows.QUARTERS:
            words = {"year": span.first.year, "quarter": (span.first.month - 1) // 3 + 1}
            return _("%(year)s Q%(quarter)s") % words
        case Rows.YEARS:
            return f"{span.first:%Y}"
    return f"{span.first:%Y-%m}"


def _lines_of_parts(pivot: Pivot, found: Figures, columns: list[Figure], link: Links) -> Iterator[Line]:
    assert pivot.split  # noqa: S101 (rows of parts have one)
    for part in pivot.split.parts:
        of_columns = [found[f"{column.code}@{part.field}={part.value}"] for column in columns]
        # A value that may be blank is a line only where something was left blank.
        if part.value or any(figure.value for figure in of_columns):
            cells = [_cell(figure.value, link.figure(figure)) for figure in of_columns]
            yield Line(str(part.label), cells)


def _cell(value: Value, url: str) -> Cell:
    return Cell(value, url if value else "")


def _change(figure: Figure) -> str:
    """On the period compared with, as it is written."""
    if figure.change is None:
        return NO_FIGURE
    if figure.measure is Measure.PERCENT:
        return _("%(change)s pct. pt.") % {"change": signed(figure.change)}
    return f"{signed(figure.change)}%"


def _period(pivot: Pivot) -> str:
    return scoped(label_of(pivot.period), pivot.without)


def _left_out(pivot: Pivot, drawn: list[tuple[int, Figure]]) -> str:
    names = get_text_list([str(figure.kind.name_of(figure.indicator)) for _place, figure in drawn], _("and"))
    return _("%(period)s. The chart holds %(indicators)s; the table holds them all.") % {
        "period": _period(pivot),
        "indicators": names,
    }


def _chart(pivot: Pivot, columns: list[Figure], blocks: list[Block]) -> dict[str, Any]:
    """The rows of the first columns of one measure, for components/chart.html; empty where there is nothing to draw."""
    lines = [line for block in blocks for line in block.lines]
    if not columns or not 1 < len(lines) <= MOST_BARS:
        return {}
    measure = columns[0].measure
    same = [(place, figure) for place, figure in enumerate(columns) if figure.measure is measure]
    drawn = same[: max(1, min(MOST_SERIES, MOST_BARS // len(lines)))]
    series = [
        {
            "name": str(figure.indicator.label),
            "hue": figure.kind.action.hue,
            "values": [bare_number(line.cells[place].value) for line in lines],
            "links": [line.cells[place].url for line in lines],
        }
        for place, figure in drawn
    ]
    if not any(value for one in series for value in one["values"]):
        return {}
    return {
        "id": "pivot-chart",
        "title": str(drawn[0][1].kind.name_of(drawn[0][1].indicator)) if len(drawn) == 1 else pivot.headline,
        "note": _period(pivot) if len(drawn) == len(columns) else _left_out(pivot, drawn),
        "data": {
            "kind": "bar",
            "unit": str(measure.label),
            "whole": all(isinstance(value, int) for one in series for value in one["values"] if value),
            "categories": [line.name for line in lines],
            "series": series,
        },
    }
