"""Reading figures: the only way for pages, API, exports and documents, so that all of them agree.

Figures that may be added up come from the cells. Those that may not (distinct people) come from the cell of a month,
and from the records when there are several months.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Any

from django.db.models import Case, F, Max, Min, Q, Sum, When

from programs import registry
from programs.boundaries import jointly_under, placed_under
from programs.models.unit import Unit, month_bounds, month_of, path_ids
from programs.registry import Indicator, RecordKind
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

    @cached_property
    def months(self) -> list[dt.date]:
        return months_between(self.first, self.last)

    def __contains__(self, month: dt.date) -> bool:
        return self.first <= month <= self.last

    def condition(self, name: str) -> Q:
        """For a date or a month: it lies in the period."""
        return Q(**{f"{name}__gte": self.first, f"{name}__lt": month_bounds(self.last)[1]})


@dataclass
class Figure:
    """One indicator for a unit and a period; `joint` stands apart and is never added to `value`."""

    kind: RecordKind
    indicator: Indicator
    value: Decimal = ZERO
    joint: Decimal = ZERO
    before: Decimal = ZERO  # the same months of the year before
    by_month: list[Decimal] = field(default_factory=list)
    by_month_before: list[Decimal] = field(default_factory=list)

    @property
    def change(self) -> Decimal | None:
        """In percent of the year before; None where that holds nothing to compare with."""
        if not self.before:
            return None
        return ((self.value - self.before) * 100 / self.before).quantize(PERCENT)


@dataclass
class Row:
    """A part of the total: the unit's own figures, or those of a unit below while it stood right there.

    A value None is one that may not be added up over several months.
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
    whole: bool
    as_of: dt.datetime | None
    figures: list[Figure]
    rows: list[Row] = field(default_factory=list)

    def __getitem__(self, code: str) -> Figure:
        return next(figure for figure in self.figures if figure.indicator.code == code)


def figures(
    unit: Unit,
    first: dt.date,
    last: dt.date,
    indicators: Iterable[str] | None = None,
    *,
    whole: bool = True,
    below: Sequence[Unit] = (),
) -> Figures:
    """The figures of the months from `first` to `last`, in the order of declaration; all indicators unless named.

    Each month counts in its own boundaries. `whole` False leaves out what units below did. With `below`, the units
    that stand or stood right below `unit`, there is a row for each of them and for the unit's own part: rows of one
    indicator add up to its value, unless it may not be added up.
    """
    period = Period(month_of(first), month_of(last))
    wanted = None if indicators is None else set(indicators)
    found = [
        Figure(kind, indicator)
        for kind in registry.kinds()
        for indicator in kind.indicators
        if wanted is None or indicator.code in wanted
    ]
    cells = _Cells(unit, period, [figure.indicator.code for figure in found], below)
    for figure in found:
        _read(figure, cells, whole)
    if len(period.months) > 1:
        _read_distinct(found, unit, period, whole)
    fresh = Freshness.objects.first()
    rows = list(_rows(cells, found)) if whole and below else []
    return Figures(unit, period, whole, fresh.refreshed_at if fresh else None, found, rows)


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

    def __init__(self, unit: Unit, period: Period, codes: list[str], below: Sequence[Unit]) -> None:
        self.unit, self.period, self.below = unit, period, below
        # (indicator, month) -> own, total, own_joint, total_joint
        self.months: dict[tuple[str, dt.date], list[Decimal]] = {}
        self.parts: defaultdict[int, dict[str, _Part]] = defaultdict(dict)
        own_rows = Q(unit=unit) & (period.condition("month") | period.year_before.condition("month"))
        below_rows = Q(unit__in=[other.pk for other in below]) & period.condition("month")
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


OWN, TOTAL, OWN_JOINT, TOTAL_JOINT = range(4)


def _read(figure: Figure, cells: _Cells, whole: bool) -> None:
    code, period = figure.indicator.code, cells.period
    figure.by_month = cells.series(code, TOTAL if whole else OWN, period)
    figure.by_month_before = cells.series(code, TOTAL if whole else OWN, period.year_before)
    figure.value = sum(figure.by_month, ZERO)
    figure.before = sum(figure.by_month_before, ZERO)
    figure.joint = sum(cells.series(code, TOTAL_JOINT if whole else OWN_JOINT, period), ZERO)


def _rows(cells: _Cells, found: list[Figure]) -> Iterator[Row]:
    """The unit's own part, then those below in administrative order."""
    single = len(cells.period.months) == 1
    adds_up = {figure.indicator.code: figure.indicator.additive or single for figure in found}
    own = {
        code: sum(cells.series(code, OWN, cells.period), ZERO) if adds else None
        for code, adds in adds_up.items()
    }
    yield Row(cells.unit, is_own=True, values=own)
    for unit in sorted(cells.below, key=lambda unit: unit.code):
        parts = cells.parts[unit.pk].values()
        here = [part for part in parts if path_ids(part.path)[-2:-1] == [cells.unit.pk]]
        elsewhere = [part for part in parts if part not in here]
        row = Row(unit)
        for code, adds in adds_up.items():
            row.values[code] = sum((part.totals.get(code, ZERO) for part in here), ZERO) if adds else None
        if here and elsewhere:
            row.stay = Period(min(part.first for part in here), max(part.last for part in here))
            row.is_split = any(
                part.first <= row.stay.last and part.last >= row.stay.first for part in elsewhere
            )
        if here or (not elsewhere and _is_due(unit, cells.unit, cells.period)):
            yield row


def stands_right_below(unit: Unit, above: Unit) -> bool:
    """Whether it does today; a merged unit lies below the one that carries on its work."""
    return path_ids(unit.path)[-2:-1] == [above.pk]


def _is_due(unit: Unit, above: Unit, period: Period) -> bool:
    """A unit without figures has its row all the same, if it was there to have some."""
    closed = unit.closed_on is not None and unit.closed_on < period.begins_on
    return stands_right_below(unit, above) and unit.opened_on <= period.ends_on and not closed


# --- from the records -----------------------------------------------------------------------------


def _read_distinct(found: list[Figure], unit: Unit, period: Period, whole: bool) -> None:
    """Count over the whole period what months do not add up to."""
    by_kind: defaultdict[str, list[Figure]] = defaultdict(list)
    for figure in found:
        if not figure.indicator.additive:
            by_kind[figure.kind.code].append(figure)
    before = period.year_before
    for some in by_kind.values():
        led, joined = _led_and_joined(some[0].kind, unit, whole)
        values = led.filter(period.condition("occurred_on") | before.condition("occurred_on")).aggregate(
            **{
                f"{name}{index}": aggregate_of(figure.indicator, span.condition("occurred_on"))
                for index, figure in enumerate(some)
                for name, span in (("now", period), ("before", before))
            }
        )
        joint = joined.filter(period.condition("occurred_on")).aggregate(
            **{f"joint{index}": aggregate_of(figure.indicator) for index, figure in enumerate(some)}
        )
        for index, figure in enumerate(some):
            figure.value, figure.before = number(values[f"now{index}"]), number(values[f"before{index}"])
            figure.joint = number(joint[f"joint{index}"])


def _led_and_joined(kind: RecordKind, unit: Unit, whole: bool) -> tuple[Any, Any]:
    """The records that count for the unit, and those that it, or a unit below it, only joined."""
    records = kind.model.objects.present()
    joint = kind.model.joint_model()._base_manager
    name = str(kind.model._meta.model_name)
    if whole:
        inside, rows = placed_under(unit), joint.filter(jointly_under(unit, name))
    else:
        inside, rows = Q(unit=unit), joint.filter(unit=unit)
    return records.filter(inside), records.filter(~inside, pk__in=rows.values(name))
