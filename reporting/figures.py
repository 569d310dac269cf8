"""Reading figures: the only way for pages, API, exports and documents, so that all of them agree.

Figures that may be added up come from the cells. Those that may not (distinct people) come from the cell of a month,
and from the records when there are several months. Derived figures (rates, averages, totals) are made of both here.
"""

from __future__ import annotations

import datetime as dt
import enum
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property, partial
from typing import Any

from django.db.models import Case, F, Max, Min, Q, When
from django.db.models.functions import TruncMonth

from programs import registry
from programs.boundaries import Boundaries, jointly_under, placed_under
from programs.models.unit import Unit, month_bounds, month_of, path_ids
from programs.registry import Derived, Indicator, Measure, RecordKind, Suppressed, Value, plain
from reporting.left_out import hide_differences, refuse
from reporting.models import Freshness, UnitMonth
from reporting.models.statistics import COLUMNS
from reporting.numbers import Sums, decimal
from reporting.recount import ZERO, Places, aggregate_of, number
from reporting.small_cells import protect
from reporting.statistics import months_between

PERCENT = Decimal("0.1")


@dataclass(frozen=True)
class Period:
    """Whole months; both are named by their first day."""

    first: dt.date
    last: dt.date

    @property
    def begins_on(self) -> dt.date:
        return self.first

    @property
    def ends_on(self) -> dt.date:
        return month_bounds(self.last)[1] - dt.timedelta(days=1)

    @property
    def year_before(self) -> Period:
        return Period(
            self.first.replace(year=self.first.year - 1), self.last.replace(year=self.last.year - 1)
        )

    @property
    def previous(self) -> Period:
        """As many months, right before."""
        return Period(_months_later(self.first, -len(self.months)), _months_later(self.first, -1))

    @cached_property
    def months(self) -> list[dt.date]:
        return months_between(self.first, self.last)

    def __contains__(self, month: dt.date) -> bool:
        return self.first <= month <= self.last

    def condition(self, name: str) -> Q:
        """For a date or a month: it lies in the period."""
        return Q(**{f"{name}__gte": self.first, f"{name}__lt": month_bounds(self.last)[1]})


def _months_later(month: dt.date, number: int) -> dt.date:
    years, index = divmod(month.month - 1 + number, 12)
    return dt.date(month.year + years, index + 1, 1)


class Against(enum.StrEnum):
    """What a period is compared with."""

    YEAR = "year"  # the same months of the year before (同比)
    PREVIOUS = "previous"  # as many months right before (环比)

    def of(self, period: Period) -> Period:
        return period.year_before if self is Against.YEAR else period.previous


@dataclass
class Figure:
    """One indicator for a unit and a period; `joint` stands apart and is never added to `value`.

    A value None is a derived figure with nothing to be made of, as a rate of nothing.
    """

    kind: RecordKind
    indicator: Indicator | Derived
    value: Value = ZERO
    joint: Value = ZERO  # None: derived figures have none, nor those without a unit
    before: Value = ZERO  # in the period compared with
    by_month: list[Value] = field(default_factory=list)
    by_month_before: list[Value] = field(default_factory=list)
    by_span: list[Value] = field(default_factory=list)

    @property
    def code(self) -> str:
        return self.indicator.code

    @property
    def is_derived(self) -> bool:
        return isinstance(self.indicator, Derived)

    @cached_property
    def measure(self) -> Measure:
        return registry.measure_of(self.indicator)

    @property
    def change(self) -> Decimal | None:
        """In percent of the period compared with; of a rate in percentage points. None: nothing to compare with."""
        value, before = plain(self.value), plain(self.before)
        if value is None or before is None:
            return None
        if self.measure is Measure.PERCENT:
            return value - before
        if not before:
            return None
        return ((value - before) * 100 / before).quantize(PERCENT)


@dataclass
class Row:
    """A part of the total: the unit's own figures, or those of a unit below while it stood right there.

    A value None is one that may not be added up over several months or told without a unit, or a derived one with
    nothing to be made of.
    """

    unit: Unit
    is_own: bool = False
    values: dict[str, Value] = field(default_factory=dict)
    # From the first to the last month with figures here, if the unit had figures elsewhere in the period.
    stay: Period | None = None
    # It left and came back: no one range of months holds exactly these figures.
    is_split: bool = False
    # The values of every month, if they were asked for; in today's boundaries None for what may not be added up.
    by_month: dict[str, list[Value]] = field(default_factory=dict)


@dataclass
class Figures:
    """`whole`: of everything at and below the unit but for what `without` led; otherwise of the unit itself alone."""

    unit: Unit
    period: Period
    before: Period
    whole: bool
    boundaries: Boundaries
    as_of: dt.datetime | None
    figures: list[Figure]
    rows: list[Row] = field(default_factory=list)
    without: tuple[Unit, ...] = ()

    @property
    def hides_some(self) -> bool:
        """Whether small figures are left out."""
        of_figures = [
            value for figure in self.figures for value in (figure.value, figure.joint, *figure.by_month)
        ]
        of_rows = [value for row in self.rows for value in row.values.values()]
        of_months = [value for row in self.rows for months in row.by_month.values() for value in months]
        return any(isinstance(value, Suppressed) for value in (*of_figures, *of_rows, *of_months))

    def __getitem__(self, code: str) -> Figure:
        return next(figure for figure in self.figures if figure.code == code)


def figures(
    unit: Unit,
    first: dt.date,
    last: dt.date,
    indicators: Iterable[str] | None = None,
    *,
    whole: bool = True,
    below: Sequence[Unit] = (),
    spans: Sequence[Period] = (),
    against: Against = Against.YEAR,
    boundaries: Boundaries = Boundaries.OF_THE_TIME,
    each_month: bool = False,
    without: Sequence[Unit] = (),
    reader: Unit | None = None,
    exact: bool = False,
) -> Figures:
    """The figures of the months from `first` to `last`, in the order of declaration.

    `indicators` names indicators, parts of them (`programs.registry.Part`) and derived figures; without it, every
    indicator and derived figure. `whole` False leaves out what units below did. With `below`, the units that stand or
    stood right below `unit`, there is a row for each of them and for the unit's own part: rows of one indicator add up
    to its value, unless it may not be added up. `spans` are parts of the period, as quarters: what each figure is in
    them stands in its `by_span`. `boundaries`: each month in its own, or all of them in today's.
    `each_month`: there is a row of the unit's own part in any case, and rows hold every month (`Row.by_month`).

    `without` leaves out every record whose leading unit is one of these or stood below one, in the boundaries asked
    for. Each must be a unit other than `unit` and none above it, else ValueError. Then rows are less by what they hold
    of it, a unit left out has none, and what was joined is not told. The unit itself alone is not changed by it.

    Small figures of sensitive kinds are suppressed (`reporting.small_cells`) but for those of `reader` itself, the unit
    in whose name they are read. `exact` is for the console, whose user holds the database anyway.
    """
    period = Period(month_of(first), month_of(last))
    shown = _declared(indicators)
    made_of = {
        code for figure in shown if isinstance(figure.indicator, Derived) for code in figure.indicator.of
    }
    named = {figure.code for figure in shown}
    unseen = _declared(made_of - named)
    stored = [figure for figure in shown if not figure.is_derived] + unseen
    apart = tuple(dict.fromkeys(without)) if whole else ()
    refuse(unit, without)
    question = _Question(unit, period, against.of(period), boundaries, tuple(spans), each_month, apart)
    source = _Cells if boundaries is Boundaries.OF_THE_TIME else _TodaysCells
    fresh = Freshness.objects.filter(pk=1).first()
    cells = source(question, [figure.code for figure in stored], fresh.places if fresh else {}, below)
    for figure in stored:
        _read(figure, cells, whole)
    cells.complete(stored, whole)
    rows = list(_rows(cells, stored)) if (whole and below) or each_month else []
    _derive([figure for figure in shown if figure.is_derived], {f.code: f for f in stored}, rows)
    as_of = fresh.refreshed_at if fresh else None
    if apart:
        for figure in stored:
            figure.joint = None
    found = Figures(unit, period, question.before, whole, boundaries, as_of, shown + unseen, rows, apart)
    if not exact:
        if apart:
            read = partial(figures, spans=spans, against=against, boundaries=boundaries)
            hide_differences(found, read, below, spans, reader)
        protect(found, reader)
    found.figures = shown
    return found


def _declared(codes: Iterable[str] | None) -> list[Figure]:
    """Blank figures of these codes in the order of declaration; of every indicator and derived figure when None."""
    if codes is None:
        return [Figure(kind, declared) for kind in registry.kinds() for declared in kind.declared]
    wanted = set(codes)
    found = []
    for kind in registry.kinds():
        every: list[Indicator | Derived] = [*kind.counted, *kind.derived]
        found += [Figure(kind, declared) for declared in every if declared.code in wanted]
    return found


@dataclass(frozen=True)
class _Question:
    unit: Unit
    period: Period
    before: Period
    boundaries: Boundaries
    spans: tuple[Period, ...] = ()
    each_month: bool = False
    without: tuple[Unit, ...] = ()

    @cached_property
    def left_out(self) -> set[int]:
        return {unit.pk for unit in self.without}

    def leaves_out(self, path: Iterable[int]) -> bool:
        """Whether what stands at the end of the path (ids from the district down) is left out."""
        return not self.left_out.isdisjoint(path)


# --- from the cells -------------------------------------------------------------------------------


@dataclass
class _Part:
    """What a unit below did while it stood at one place."""

    path: str
    first: dt.date
    last: dt.date
    totals: dict[str, Decimal] = field(default_factory=dict)
    months: dict[tuple[str, dt.date], Decimal] = field(default_factory=dict)  # if each is asked for

    def add(self, code: str, month: dt.date | None, value: Decimal) -> None:
        self.totals[code] = self.totals.get(code, ZERO) + value
        if month:
            self.months[code, month] = self.months.get((code, month), ZERO) + value


class _Cells:
    """All that a page needs, in one query: the unit by month, the units below by the place where they stood, and by
    month too if each is asked for."""

    def __init__(self, question: _Question, codes: list[str], places: Places, below: Sequence[Unit]) -> None:
        self.question, self.below = question, below
        self.unit, self.period, self.before = question.unit, question.period, question.before
        # (indicator, month) -> own, total, own_joint, total_joint
        self.months: dict[tuple[str, dt.date], list[Decimal]] = {}
        self.parts: defaultdict[int, dict[str, _Part]] = defaultdict(dict)
        # Of each kind asked for, the indicators and where in its cells their numbers stand.
        wanted = set(codes)
        self.places = {
            kind: [(code, place) for place, code in enumerate(of_kind) if code in wanted]
            for kind, of_kind in places.items()
            if not wanted.isdisjoint(of_kind)
        }
        self.load()

    @cached_property
    def asked(self) -> list[int]:
        """The places that are asked for, of whichever kind."""
        return sorted({place for of_kind in self.places.values() for _code, place in of_kind})

    def told(self, kind: str, sums: list[Any]) -> Iterator[tuple[str, Decimal]]:
        """The sums of `asked` by the indicators of the kind."""
        at = dict(zip(self.asked, sums, strict=True))
        return ((code, decimal(at[place])) for code, place in self.places[kind])

    def load(self) -> None:
        unit, period = self.unit, self.period
        own_rows = Q(unit=unit) & (period.condition("month") | self.before.condition("month"))
        below_rows = Q(unit__in=[other.pk for other in self.below]) & period.condition("month")
        # One row of a month and kind for the unit itself and for what is left out: the largest of one is that one.
        by_month = Q(unit__in=[unit.pk, *self.question.left_out])
        if apart := self.question.left_out:
            own_rows |= Q(unit__in=apart) & (period.condition("month") | self.before.condition("month"))
        itself = When(by_month, then=F("month"))
        sums = {"sums": Sums(F("total"), self.asked)} if self.below else {}
        whole = {f"all_{name}": Max(Case(When(by_month, then=F(name)))) for name in COLUMNS}
        rows = (
            UnitMonth.objects.filter(own_rows | below_rows if self.below else own_rows, kind__in=self.places)
            .values_list("unit_id", "path", "kind", F("month") if self.question.each_month else Case(itself))
            .annotate(Min("month"), Max("month"), **whole, **sums)
            .order_by()
        )
        for unit_id, path, kind, month, first, last, *found in rows:
            if unit_id == unit.pk:
                if self.question.leaves_out(path_ids(path)):
                    continue
                for code, columns in self.columns(kind, found):
                    held = self.months.setdefault((code, month), [ZERO] * len(COLUMNS))
                    self.months[code, month] = [
                        have + value for have, value in zip(held, columns, strict=True)
                    ]
            elif unit_id in apart:
                self.leave_out(path_ids(path), kind, first, found)
            else:
                part = self.parts[unit_id].setdefault(path, _Part(path, first, last))
                part.first, part.last = min(part.first, first), max(part.last, last)
                if self.question.leaves_out(path_ids(path)):
                    continue
                for code, value in self.told(kind, found[-1]):
                    if value:
                        part.add(code, month, value)

    def columns(self, kind: str, found: list[Any]) -> Iterator[tuple[str, list[Decimal]]]:
        """Of a row of one unit and month: own, total, own_joint, total_joint by the indicators of the kind."""
        for code, place in self.places[kind]:
            yield (
                code,
                [
                    decimal(column[place]) if column and place < len(column) else ZERO
                    for column in found[: len(COLUMNS)]
                ],
            )

    def leave_out(self, path: list[int], kind: str, month: dt.date, found: list[Any]) -> None:
        """Take what a unit and those below it led in the month away from the unit, and from the part that held it."""
        if self.unit.pk not in path or self.question.leaves_out(path[:-1]):
            return  # it stood elsewhere, or goes with another one that is left out
        child = path[path.index(self.unit.pk) + 1]
        place = f"/{'/'.join(map(str, path[: path.index(child) + 1]))}/"
        for code, columns in self.columns(kind, found):
            self.months.setdefault((code, month), [ZERO] * len(COLUMNS))[TOTAL] -= columns[TOTAL]
            if child != path[-1] and month in self.period:
                part = self.parts[child].setdefault(place, _Part(place, month, month))
                part.add(code, month if self.question.each_month else None, -columns[TOTAL])

    def series(self, code: str, column: int, period: Period) -> list[Decimal]:
        return [
            self.months[code, month][column] if (code, month) in self.months else ZERO
            for month in period.months
        ]

    def complete(self, found: list[Figure], whole: bool) -> None:
        """Read from the records what the cells of months do not add up to."""
        if len(self.period.months) > 1 or self.question.without:
            _read_distinct(
                [figure for figure in found if not figure.indicator.additive], self.question, whole
            )

    def adds_up(self, indicator: Indicator | Derived) -> bool:
        """Whether the parts of the figure stand in the cells."""
        return indicator.additive or (len(self.period.months) == 1 and not self.question.without)

    def adds_up_in_a_month(self, indicator: Indicator | Derived) -> bool:
        """Whether the parts of each month stand in the cells."""
        return indicator.additive or not self.question.without

    def here(self, unit: Unit) -> list[_Part]:
        """What a unit below did while it stood right here."""
        parts = self.parts[unit.pk].values()
        return [part for part in parts if path_ids(part.path)[-2:-1] == [self.unit.pk]]

    def by_month(self, row: Row, indicator: Indicator | Derived) -> list[Value]:
        """The months of a row, if each was asked for."""
        if row.is_own:
            return list(self.series(indicator.code, OWN, self.period))
        if not self.adds_up_in_a_month(indicator):
            return [None] * len(self.period.months)
        here = self.here(row.unit)
        return [
            sum((part.months.get((indicator.code, month), ZERO) for part in here), ZERO)
            for month in self.period.months
        ]

    def part_of(self, unit: Unit) -> Row | None:
        """The figures of a unit below while it stood right here; None: it has no row."""
        here = self.here(unit)
        elsewhere = [part for part in self.parts[unit.pk].values() if part not in here]
        codes = {code for part in here for code in part.totals}
        totals = {code: sum((part.totals.get(code, ZERO) for part in here), ZERO) for code in codes}
        row = Row(unit, values=dict(totals))
        if here and elsewhere:
            row.stay = Period(min(part.first for part in here), max(part.last for part in here))
            row.is_split = any(
                part.first <= row.stay.last and part.last >= row.stay.first for part in elsewhere
            )
        return row if here or (not elsewhere and _is_due(unit, self.unit, self.period)) else None


class _TodaysCells(_Cells):
    """The same with the boundaries of today: what units did themselves, added up where they stand now.

    Records that were joined are counted from the records: cells know them in the boundaries of their time only.
    """

    def load(self) -> None:
        counted = Unit.objects.under(self.unit)
        for other in self.question.without:
            counted = counted.exclude(pk__in=Unit.objects.under(other))
        inside = UnitMonth.objects.filter(unit__in=counted, kind__in=self.places)
        both = self.period.condition("month") | self.before.condition("month")
        sums = {
            "itself": Sums(Case(When(unit=self.unit, then=F("own"))), self.asked),
            "everything": Sums(F("own"), self.asked),
        }
        by_month = inside.filter(both).values_list("kind", "month").annotate(**sums).order_by()
        for kind, month, itself, everything in by_month:
            for (code, own), (_code, total) in zip(
                self.told(kind, itself), self.told(kind, everything), strict=True
            ):
                self.months[code, month] = [own, total, ZERO, ZERO]
        depth = len(path_ids(self.unit.path))
        by_unit = inside.filter(self.period.condition("month")).exclude(unit=self.unit).order_by()
        told_apart = ["unit__path", "kind", *(["month"] if self.question.each_month else [])]
        of_units = by_unit.values_list(*told_apart).annotate(sums=Sums(F("own"), self.asked))
        for path, kind, *months, found in of_units:
            child = path_ids(path)[depth]
            here = self.parts[child].setdefault("", _Part("", self.period.first, self.period.last))
            for code, value in self.told(kind, found):
                if value:
                    here.add(code, months[0] if months else None, value)

    def complete(self, found: list[Figure], whole: bool) -> None:
        _read_distinct([figure for figure in found if not figure.indicator.additive], self.question, whole)
        if self.question.without:
            return  # what was joined is not told then
        _read_joint([figure for figure in found if figure.indicator.additive], self.question, whole)

    def adds_up(self, indicator: Indicator | Derived) -> bool:
        return indicator.additive

    def adds_up_in_a_month(self, indicator: Indicator | Derived) -> bool:
        return indicator.additive

    def here(self, unit: Unit) -> list[_Part]:
        return list(self.parts[unit.pk].values())

    def part_of(self, unit: Unit) -> Row | None:
        here = self.parts[unit.pk].get("")
        if not stands_right_below(unit, self.unit):
            return None
        if here is None:
            return Row(unit) if _is_due(unit, self.unit, self.period) else None
        return Row(unit, values=dict(here.totals))


OWN, TOTAL, OWN_JOINT, TOTAL_JOINT = range(4)


def _read(figure: Figure, cells: _Cells, whole: bool) -> None:
    code, column = figure.code, TOTAL if whole else OWN
    by_month = cells.series(code, column, cells.period)
    by_month_before = cells.series(code, column, cells.before)
    figure.by_month, figure.by_month_before = list(by_month), list(by_month_before)
    figure.value, figure.before = sum(by_month, ZERO), sum(by_month_before, ZERO)
    months = list(zip(cells.period.months, by_month, strict=True))
    figure.by_span = [
        sum((value for month, value in months if month in span), ZERO) for span in cells.question.spans
    ]
    figure.joint = sum(cells.series(code, TOTAL_JOINT if whole else OWN_JOINT, cells.period), ZERO)


def _rows(cells: _Cells, found: list[Figure]) -> Iterator[Row]:
    """The unit's own part, then those below in administrative order."""
    own = Row(cells.unit, is_own=True)
    for figure in found:
        own.values[figure.code] = sum(cells.series(figure.code, OWN, cells.period), ZERO)
    counted = [unit for unit in cells.below if unit.pk not in cells.question.left_out]
    parts = [cells.part_of(unit) for unit in sorted(counted, key=lambda unit: unit.code)]
    for row in (own, *(part for part in parts if part is not None)):
        for figure in found:
            known = cells.adds_up(figure.indicator)
            row.values[figure.code] = row.values.get(figure.code, ZERO) if known else None
            if cells.question.each_month:
                row.by_month[figure.code] = cells.by_month(row, figure.indicator)
        yield row


def _derive(found: list[Figure], stored: dict[str, Figure], rows: list[Row]) -> None:
    """Fill in derived figures from those that they are made of."""
    for figure in found:
        derived = figure.indicator
        assert isinstance(derived, Derived)  # noqa: S101 (the caller chose them)
        of = [stored[code] for code in derived.of]
        figure.value = _made(derived, [part.value for part in of])
        figure.before = _made(derived, [part.before for part in of])
        figure.joint = None
        figure.by_month = [
            _made(derived, values) for values in zip(*(part.by_month for part in of), strict=True)
        ]
        figure.by_month_before = [
            _made(derived, values) for values in zip(*(part.by_month_before for part in of), strict=True)
        ]
        figure.by_span = [
            _made(derived, values) for values in zip(*(part.by_span for part in of), strict=True)
        ]
        for row in rows:
            row.values[figure.code] = _made(derived, [row.values[code] for code in derived.of])
            if row.by_month:
                months = zip(*(row.by_month[code] for code in derived.of), strict=True)
                row.by_month[figure.code] = [_made(derived, values) for values in months]


def _made(derived: Derived, values: Iterable[Value]) -> Value:
    parts = list(values)
    known = [value for value in parts if isinstance(value, Decimal)]
    return derived.value_of(known) if len(known) == len(parts) else None


def stands_right_below(unit: Unit, above: Unit) -> bool:
    """Whether it does today; a merged unit lies below the one that carries on its work."""
    return path_ids(unit.path)[-2:-1] == [above.pk]


def _is_due(unit: Unit, above: Unit, period: Period) -> bool:
    """A unit without figures has its row all the same, if it was there to have some."""
    closed = unit.closed_on is not None and unit.closed_on < period.begins_on
    return stands_right_below(unit, above) and unit.opened_on <= period.ends_on and not closed


# --- from the records -----------------------------------------------------------------------------


def _read_distinct(found: list[Figure], question: _Question, whole: bool) -> None:
    """Count over the whole period, and over each span of it, what months do not add up to."""
    period, before = question.period, question.before
    spans = (period, before, *question.spans)
    for kind, some in _by_kind(found):
        led, joined = _led_and_joined(kind, question, whole)
        values = led.filter(period.condition("occurred_on") | before.condition("occurred_on")).aggregate(
            **{
                f"figure{index}_{place}": aggregate_of(_stored(figure), span.condition("occurred_on"))
                for index, figure in enumerate(some)
                for place, span in enumerate(spans)
            }
        )
        for index, figure in enumerate(some):
            counted = [number(values[f"figure{index}_{place}"]) for place in range(len(spans))]
            figure.value, figure.before, *by_span = counted
            figure.by_span = list(by_span)
        if not question.without:
            _count_joined(some, joined, period)
        if question.boundaries is Boundaries.TODAY or question.without:
            _read_distinct_months(some, led, question)


def _read_distinct_months(found: list[Figure], led: Any, question: _Question) -> None:
    """By month too, where the cells of months have other boundaries, or cannot tell what is left out."""
    asked = question.period.condition("occurred_on") | question.before.condition("occurred_on")
    aggregates = {f"figure{index}": aggregate_of(_stored(figure)) for index, figure in enumerate(found)}
    months = led.filter(asked).annotate(in_month=TruncMonth("occurred_on")).values_list("in_month")
    counted = {month: values for month, *values in months.annotate(**aggregates).order_by()}
    for index, figure in enumerate(found):

        def of(month: dt.date, index: int = index) -> Value:
            return number(counted[month][index]) if month in counted else ZERO

        figure.by_month = [of(month) for month in question.period.months]
        figure.by_month_before = [of(month) for month in question.before.months]


def _read_joint(found: list[Figure], question: _Question, whole: bool) -> None:
    for kind, some in _by_kind(found):
        _count_joined(some, _led_and_joined(kind, question, whole)[1], question.period)


def _count_joined(found: list[Figure], joined: Any, period: Period) -> None:
    values = joined.filter(period.condition("occurred_on")).aggregate(
        **{f"joint{index}": aggregate_of(_stored(figure)) for index, figure in enumerate(found)}
    )
    for index, figure in enumerate(found):
        figure.joint = number(values[f"joint{index}"])


def _by_kind(found: list[Figure]) -> Iterator[tuple[RecordKind, list[Figure]]]:
    by_kind: defaultdict[str, list[Figure]] = defaultdict(list)
    for figure in found:
        by_kind[figure.kind.code].append(figure)
    yield from ((some[0].kind, some) for some in by_kind.values())


def _stored(figure: Figure) -> Indicator:
    assert isinstance(figure.indicator, Indicator)  # noqa: S101 (derived figures are made later)
    return figure.indicator


def _led_and_joined(kind: RecordKind, question: _Question, whole: bool) -> tuple[Any, Any]:
    """The records that count for the unit, and those that it, or a unit below it, only joined."""
    unit, boundaries = question.unit, question.boundaries
    records = kind.model.objects.present()
    joint = kind.model.joint_model()._base_manager
    name = str(kind.model._meta.model_name)
    if whole:
        inside = placed_under(unit, boundaries=boundaries, without=question.without)
        rows = joint.filter(jointly_under(unit, name, boundaries))
    else:
        inside, rows = Q(unit=unit), joint.filter(unit=unit)
    return records.filter(inside), records.filter(~inside, pk__in=rows.values(name))
