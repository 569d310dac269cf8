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
from functools import cached_property
from typing import Any

from django.db.models import Case, F, Max, Min, Q, Sum, When

from programs import registry
from programs.boundaries import Boundaries, jointly_under, placed_under
from programs.models.unit import Unit, month_bounds, month_of, path_ids
from programs.registry import Derived, Indicator, Measure, RecordKind
from reporting.models import Freshness, Statistic
from reporting.recount import ZERO, aggregate_of, number
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
    value: Decimal | None = ZERO
    joint: Decimal | None = ZERO  # None: derived figures have none
    before: Decimal | None = ZERO  # in the period compared with
    by_month: list[Decimal | None] = field(default_factory=list)
    by_month_before: list[Decimal | None] = field(default_factory=list)

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
        if self.value is None or self.before is None:
            return None
        if self.measure is Measure.PERCENT:
            return self.value - self.before
        if not self.before:
            return None
        return ((self.value - self.before) * 100 / self.before).quantize(PERCENT)


@dataclass
class Row:
    """A part of the total: the unit's own figures, or those of a unit below while it stood right there.

    A value None is one that may not be added up over several months, or a derived one with nothing to be made of.
    """

    unit: Unit
    is_own: bool = False
    values: dict[str, Decimal | None] = field(default_factory=dict)
    # From the first to the last month with figures here, if the unit had figures elsewhere in the period.
    stay: Period | None = None
    # It left and came back: no one range of months holds exactly these figures.
    is_split: bool = False


@dataclass
class Figures:
    """`whole`: of everything at and below the unit; otherwise of the unit itself alone."""

    unit: Unit
    period: Period
    before: Period
    whole: bool
    boundaries: Boundaries
    as_of: dt.datetime | None
    figures: list[Figure]
    rows: list[Row] = field(default_factory=list)

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
    against: Against = Against.YEAR,
    boundaries: Boundaries = Boundaries.OF_THE_TIME,
) -> Figures:
    """The figures of the months from `first` to `last`, in the order of declaration.

    `indicators` names indicators, parts of them (`programs.registry.Part`) and derived figures; without it, every
    indicator and derived figure. `whole` False leaves out what units below did. With `below`, the units that stand or
    stood right below `unit`, there is a row for each of them and for the unit's own part: rows of one indicator add up
    to its value, unless it may not be added up. `boundaries`: each month in its own, or all of them in today's.
    """
    period = Period(month_of(first), month_of(last))
    shown = _declared(indicators)
    made_of = {
        code for figure in shown if isinstance(figure.indicator, Derived) for code in figure.indicator.of
    }
    named = {figure.code for figure in shown}
    stored = [figure for figure in shown if not figure.is_derived] + _declared(made_of - named)
    question = _Question(unit, period, against.of(period), boundaries)
    reader = _Cells if boundaries is Boundaries.OF_THE_TIME else _TodaysCells
    cells = reader(question, [figure.code for figure in stored], below)
    for figure in stored:
        _read(figure, cells, whole)
    cells.complete(stored, whole)
    rows = list(_rows(cells, stored)) if whole and below else []
    _derive([figure for figure in shown if figure.is_derived], {f.code: f for f in stored}, rows)
    fresh = Freshness.objects.first()
    as_of = fresh.refreshed_at if fresh else None
    return Figures(unit, period, question.before, whole, boundaries, as_of, shown, rows)


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


# --- from the cells -------------------------------------------------------------------------------


@dataclass
class _Part:
    """What a unit below did while it stood at one place."""

    path: str
    first: dt.date
    last: dt.date
    totals: dict[str, Decimal]


class _Cells:
    """All that a page needs, in one query: the unit by month, the units below by the place where they stood."""

    def __init__(self, question: _Question, codes: list[str], below: Sequence[Unit]) -> None:
        self.question, self.below = question, below
        self.unit, self.period, self.before = question.unit, question.period, question.before
        # (indicator, month) -> own, total, own_joint, total_joint
        self.months: dict[tuple[str, dt.date], list[Decimal]] = {}
        self.parts: defaultdict[int, dict[str, _Part]] = defaultdict(dict)
        self.load(codes)

    def load(self, codes: list[str]) -> None:
        unit, period = self.unit, self.period
        own_rows = Q(unit=unit) & (period.condition("month") | self.before.condition("month"))
        below_rows = Q(unit__in=[other.pk for other in self.below]) & period.condition("month")
        rows = (
            Statistic.objects.filter(own_rows | below_rows, indicator__in=codes)
            .values_list("unit_id", "path", "indicator", Case(When(unit=unit, then=F("month"))))
            .annotate(
                Min("month"), Max("month"), Sum("own"), Sum("total"), Sum("own_joint"), Sum("total_joint")
            )
            .order_by()
        )
        for unit_id, path, code, month, first, last, *columns in rows:
            if unit_id == unit.pk:
                self.months[code, month] = [number(value) for value in columns]
            else:
                part = self.parts[unit_id].setdefault(path, _Part(path, first, last, {}))
                part.first, part.last = min(part.first, first), max(part.last, last)
                part.totals[code] = number(columns[1])

    def series(self, code: str, column: int, period: Period) -> list[Decimal]:
        return [
            self.months[code, month][column] if (code, month) in self.months else ZERO
            for month in period.months
        ]

    def complete(self, found: list[Figure], whole: bool) -> None:
        """Read from the records what the cells of months do not add up to."""
        if len(self.period.months) > 1:
            _read_distinct(
                [figure for figure in found if not figure.indicator.additive], self.question, whole
            )

    def adds_up(self, indicator: Indicator | Derived) -> bool:
        """Whether the parts of the figure stand in the cells."""
        return indicator.additive or len(self.period.months) == 1

    def part_of(self, unit: Unit) -> Row | None:
        """The figures of a unit below while it stood right here; None: it has no row."""
        parts = self.parts[unit.pk].values()
        here = [part for part in parts if path_ids(part.path)[-2:-1] == [self.unit.pk]]
        elsewhere = [part for part in parts if part not in here]
        row = Row(unit)
        for part in here:
            for code, value in part.totals.items():
                row.values[code] = (row.values.get(code) or ZERO) + value
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

    def load(self, codes: list[str]) -> None:
        inside = Statistic.objects.filter(unit__in=Unit.objects.under(self.unit), indicator__in=codes)
        both = self.period.condition("month") | self.before.condition("month")
        by_month = inside.filter(both).values_list("indicator", "month").order_by()
        for code, month, own, total in by_month.annotate(
            itself=Sum("own", filter=Q(unit=self.unit)), everything=Sum("own")
        ):
            self.months[code, month] = [number(own), number(total), ZERO, ZERO]
        depth = len(path_ids(self.unit.path))
        by_unit = inside.filter(self.period.condition("month")).exclude(unit=self.unit).order_by()
        for path, code, value in by_unit.values_list("unit__path", "indicator").annotate(Sum("own")):
            child = path_ids(path)[depth]
            here = self.parts[child].setdefault("", _Part("", self.period.first, self.period.last, {}))
            here.totals[code] = here.totals.get(code, ZERO) + number(value)

    def complete(self, found: list[Figure], whole: bool) -> None:
        _read_distinct([figure for figure in found if not figure.indicator.additive], self.question, whole)
        _read_joint([figure for figure in found if figure.indicator.additive], self.question, whole)

    def adds_up(self, indicator: Indicator | Derived) -> bool:
        return indicator.additive

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
    figure.joint = sum(cells.series(code, TOTAL_JOINT if whole else OWN_JOINT, cells.period), ZERO)


def _rows(cells: _Cells, found: list[Figure]) -> Iterator[Row]:
    """The unit's own part, then those below in administrative order."""
    own = Row(cells.unit, is_own=True)
    for figure in found:
        own.values[figure.code] = sum(cells.series(figure.code, OWN, cells.period), ZERO)
    parts = [cells.part_of(unit) for unit in sorted(cells.below, key=lambda unit: unit.code)]
    for row in (own, *(part for part in parts if part is not None)):
        for figure in found:
            known = cells.adds_up(figure.indicator)
            row.values[figure.code] = row.values.get(figure.code, ZERO) if known else None
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
        for row in rows:
            row.values[figure.code] = _made(derived, [row.values[code] for code in derived.of])


def _made(derived: Derived, values: Iterable[Decimal | None]) -> Decimal | None:
    parts = list(values)
    known = [value for value in parts if value is not None]
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
    """Count over the whole period what months do not add up to."""
    period, before = question.period, question.before
    for kind, some in _by_kind(found):
        led, joined = _led_and_joined(kind, question, whole)
        values = led.filter(period.condition("occurred_on") | before.condition("occurred_on")).aggregate(
            **{
                f"{name}{index}": aggregate_of(_stored(figure), span.condition("occurred_on"))
                for index, figure in enumerate(some)
                for name, span in (("now", period), ("before", before))
            }
        )
        for index, figure in enumerate(some):
            figure.value, figure.before = number(values[f"now{index}"]), number(values[f"before{index}"])
        _count_joined(some, joined, period)
        if question.boundaries is Boundaries.TODAY:
            _read_distinct_months(some, led, question)


def _read_distinct_months(found: list[Figure], led: Any, question: _Question) -> None:
    """By month too, where the cells of months have other boundaries."""

    def counted(figure: Figure, span: Period) -> list[Decimal | None]:
        of_month = (led.filter(Period(month, month).condition("occurred_on")) for month in span.months)
        aggregate = aggregate_of(_stored(figure))
        return [number(records.aggregate(value=aggregate)["value"]) for records in of_month]

    for figure in found:
        figure.by_month = counted(figure, question.period)
        figure.by_month_before = counted(figure, question.before)


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
        inside = placed_under(unit, boundaries=boundaries)
        rows = joint.filter(jointly_under(unit, name, boundaries))
    else:
        inside, rows = Q(unit=unit), joint.filter(unit=unit)
    return records.filter(inside), records.filter(~inside, pk__in=rows.values(name))
