"""Figures "without" a unit: which units may be left out, and what such a figure would tell of them.

Who knows a figure with and without a unit knows the unit's own by subtraction. Of sensitive kinds a figure without a
unit is therefore shown only where the whole figure and those of every unit left out are shown to the same reader: what
is shown then is made of what is known already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from programs.boundaries import MOST_LEFT_OUT, Boundaries
from programs.models.unit import Placement, Unit
from programs.registry import Suppressed, Value, is_small, plain
from programs.text import UNSTORABLE
from reporting.uploads.words import listed

if TYPE_CHECKING:
    from reporting.figures import Figure, Figures, Period, Row


def refuse(unit: Unit, without: Sequence[Unit]) -> None:
    """ValueError with a sentence if one of the units cannot be left out of the figures of `unit` at any time."""
    for other in without:
        if other.contains(unit):
            names = {"other": other.name, "unit": unit.name}
            raise ValueError(
                _("The figures of %(unit)s cannot be told without %(other)s: all of them lie in it.") % names
            )


def units_left_out(unit: Unit, codes: Sequence[str], period: Period, known: QuerySet[Unit]) -> list[Unit]:
    """The units of these codes, each once and in the order given; ValueError with a sentence if one cannot be left out.

    `known` are the units whose figures the reader may see: no other is said to be there.
    """
    wanted = list(dict.fromkeys(code for code in codes if code))
    storable = [code for code in wanted if not UNSTORABLE.search(code)]
    if len(wanted) > MOST_LEFT_OUT:
        raise ValueError(_("Leave out %(number)d units at most.") % {"number": MOST_LEFT_OUT})
    found = {other.code: other for other in known.filter(code__in=storable)} if storable else {}
    for code in wanted:
        if code not in found:
            shown = "".join(sign for sign in code[:20] if sign.isprintable())
            raise ValueError(_("There is no unit with the code %(code)s.") % {"code": shown})
    units = [found[code] for code in wanted]
    refuse(unit, units)
    below = {other.pk for other in units if unit.contains(other)}
    below.update(
        Placement.objects.filter(
            unit__in=units, path__contains=f"/{unit.pk}/", valid_from__lte=period.ends_on
        )
        .exclude(valid_to__lte=period.begins_on)
        .values_list("unit_id", flat=True)
        if units
        else ()
    )
    for other in units:
        if other.pk not in below:
            names = {"other": other.name, "unit": unit.name}
            raise ValueError(_("%(other)s does not lie below %(unit)s in this period.") % names)
    return units


def scope_of(without: Sequence[Unit]) -> str:
    """What is left out, in words; empty for nothing."""
    names = listed(unit.name for unit in without)
    return _("without %(units)s") % {"units": names} if names else ""


def scoped(what: str, without: Sequence[Unit]) -> str:
    """A title with what is left out of its figures."""
    return _("%(what)s (%(scope)s)") % {"what": what, "scope": scope_of(without)} if without else what


def still_left_out(unit: Unit, without: Sequence[Unit]) -> tuple[Unit, ...]:
    """Those that can be left out of the figures of another unit as well, as today's tree stands."""
    return tuple(other for other in without if unit.contains(other) and other != unit)


@dataclass
class Choice:
    """A unit that may be left out; `query` is of the address that does so, or no longer does."""

    unit: Unit
    query: str = ""


def offered(units: Iterable[Unit]) -> list[Choice]:
    """The departments first: they are what is reported apart."""
    return [Choice(unit) for unit in sorted(units, key=lambda unit: (unit.is_territorial, unit.code))]


# --- small cells ----------------------------------------------------------------------------------


def hide_differences(
    found: Figures,
    read: Callable[..., Figures],
    below: Sequence[Unit],
    spans: Sequence[Period],
    reader: Unit | None,
) -> None:
    """Suppress in `found`, exact as yet, what together with the whole figures would tell a hidden one of what is left
    out. `read` is `reporting.figures.figures` asked for the same spans, comparison and boundaries."""
    sensitive = [figure for figure in found.figures if figure.kind.is_sensitive and not figure.is_derived]
    if not sensitive:
        return
    codes = [figure.code for figure in sensitive]
    months = (found.period.first, found.period.last)
    asked = {"below": below, "each_month": any(row.by_month for row in found.rows)}
    whole = _Whole(
        read(found.unit, *months, codes, **asked, exact=True),
        read(found.unit, *months, codes, **asked, reader=reader),
    )
    apart = [_Apart(unit, found, codes, read, reader) for unit in found.without]
    for figure in sensitive:
        _hide(figure, found, whole, apart, spans)


class _Apart:
    """What the reader is shown of one unit that is left out: on its own page and as a row of those it stood below."""

    def __init__(
        self, unit: Unit, found: Figures, codes: list[str], read: Callable[..., Figures], reader: Unit | None
    ) -> None:
        of_the_time = found.boundaries is Boundaries.OF_THE_TIME
        placements = list(Placement.objects.filter(unit=unit)) if of_the_time else []
        # What it led here may be a part of its own figure: then its months are what adds up to that part.
        self.has_moved = len({placement.path for placement in placements} | {unit.path}) > 1
        self.page = read(unit, found.period.first, found.period.last, codes, reader=reader)
        parents = {placement.parent_id for placement in placements} | {unit.parent_id}
        self.rows: list[Row] = []
        self.rows_before: list[Row] = []
        for parent in Unit.objects.filter(pk__in=[parent for parent in parents if parent]):
            beside = Unit.objects.filter(placements__parent=parent).distinct()
            for period, rows in ((found.period, self.rows), (found.before, self.rows_before)):
                table = read(
                    parent, period.first, period.last, codes, below=beside, each_month=True, reader=reader
                )
                rows += [row for row in table.rows if row.unit.pk == unit.pk and not row.is_own]

    def month(self, code: str, place: int) -> bool:
        """Whether the figure of one of the months is hidden somewhere."""
        return _is_hidden(
            self.page[code].by_month[place],
            *(row.by_month[code][place] for row in self.rows if row.by_month.get(code)),
        )

    def month_before(self, code: str, place: int) -> bool:
        return _is_hidden(
            self.page[code].by_month_before[place],
            *(row.by_month[code][place] for row in self.rows_before if row.by_month.get(code)),
        )

    def whole(self, code: str) -> bool:
        months = range(len(self.page.period.months)) if self.has_moved else ()
        return _is_hidden(self.page[code].value, *(row.values.get(code) for row in self.rows)) or any(
            self.month(code, place) for place in months
        )

    def whole_before(self, code: str) -> bool:
        months = range(len(self.page.before.months)) if self.has_moved else ()
        return _is_hidden(self.page[code].before, *(row.values.get(code) for row in self.rows_before)) or any(
            self.month_before(code, place) for place in months
        )

    def span(self, code: str, place: int, span: Period) -> bool:
        months = [index for index, month in enumerate(self.page.period.months) if month in span]
        return _is_hidden(self.page[code].by_span[place]) or (
            self.has_moved and any(self.month(code, index) for index in months)
        )


def _is_hidden(*values: Value) -> bool:
    return any(isinstance(value, Suppressed) for value in values)


@dataclass
class _Cells:
    """The same series of cells three times: without the units, of everything, and that as the reader is shown it."""

    left: Sequence[Value]
    exact: Sequence[Value]
    shown: Sequence[Value]
    additive: bool

    def told(self, hidden: Callable[[int], bool]) -> list[Value]:
        """The cells as they may be shown, before the small-cell rule proper. `hidden` tells by place whether the figure
        of a unit that is left out is hidden."""
        return [
            Suppressed.WITH_IT if self._tells(place, hidden) else left for place, left in enumerate(self.left)
        ]

    def _tells(self, place: int, hidden: Callable[[int], bool]) -> bool:
        left, exact = plain(self.left[place]), plain(self.exact[place])
        if left is None or exact is None:
            return False
        if isinstance(self.shown[place], Suppressed):
            return True
        if left == exact and self.additive:
            return False  # nothing is left out here
        return is_small(exact - left) or hidden(place)


@dataclass
class _Whole:
    """The answer to the same question with nothing left out: exact, and as the reader is shown it."""

    exact: Figures
    shown: Figures

    def cells(self, figure: Figure, name: str) -> _Cells:
        return self._of(figure, lambda one: getattr(one, name))

    def cell(self, figure: Figure, name: str) -> _Cells:
        return self._of(figure, lambda one: [getattr(one, name)])

    def _of(self, figure: Figure, values: Callable[[Figure], list[Value]]) -> _Cells:
        exact, shown = self.exact[figure.code], self.shown[figure.code]
        return _Cells(values(figure), values(exact), values(shown), figure.indicator.additive)

    def row(self, row: Row) -> list[Row]:
        """The row of the same unit, exact and as it is shown; less where cells came or went between two readings."""
        return [
            other
            for found in (self.exact, self.shown)
            for other in found.rows
            if (other.unit.pk, other.is_own) == (row.unit.pk, row.is_own)
        ]


def _hide(
    figure: Figure, found: Figures, whole: _Whole, apart: list[_Apart], spans: Sequence[Period]
) -> None:
    code, additive = figure.code, figure.indicator.additive

    def any_month(place: int) -> bool:
        return any(unit.month(code, place) for unit in apart)

    def any_whole(_place: int) -> bool:
        return any(unit.whole(code) for unit in apart)

    [value] = whole.cell(figure, "value").told(any_whole)
    [before] = whole.cell(figure, "before").told(lambda _place: any(u.whole_before(code) for u in apart))
    by_month = whole.cells(figure, "by_month").told(any_month)
    by_month_before = whole.cells(figure, "by_month_before").told(
        lambda place: any(unit.month_before(code, place) for unit in apart)
    )
    by_span = whole.cells(figure, "by_span").told(
        lambda place: any(unit.span(code, place, spans[place]) for unit in apart)
    )
    figure.value, figure.before = value, before
    figure.by_month, figure.by_month_before, figure.by_span = by_month, by_month_before, by_span
    for row in found.rows:
        if len(same := whole.row(row)) != 2:
            row.values[code] = Suppressed.WITH_IT
            row.by_month.pop(code, None)
            continue
        exact, shown = same
        cells = _Cells([row.values[code]], [exact.values[code]], [shown.values[code]], additive)
        [row.values[code]] = cells.told(any_whole)
        if row.by_month.get(code):
            months = _Cells(row.by_month[code], exact.by_month[code], shown.by_month[code], additive)
            row.by_month[code] = months.told(any_month)
