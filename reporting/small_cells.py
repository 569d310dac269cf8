"""The small-cell rule: above a unit's own scope no figure of a sensitive kind tells of fewer than five.

A value of 1 to 4 shows as "<5". Where it could be worked out from its neighbours and their total, the smallest of
these is left out too; where there is none to leave out, the total is. Zero and five or more are shown. Every reader of
figures comes through here (`reporting.figures.figures`), so that page, export and API hide the same cells.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from programs.models.unit import Unit
from programs.registry import Part, Suppressed, Value, is_small

if TYPE_CHECKING:
    from reporting.figures import Figure, Figures, Row


def protect(found: Figures, reader: Unit | None) -> None:
    """Replace what a person working for `reader` may not know; None is above every unit."""
    if not found.whole and reader is not None and found.unit.pk == reader.pk:
        return  # their own unit, alone
    sensitive = [figure for figure in found.figures if figure.kind.is_sensitive and not figure.is_derived]
    for _round in range(2):  # what one table hides must not stand in another
        for figure in sensitive:
            _protect_rows(figure, found, reader)
            _protect_months(figure)
            _protect_months_of_rows(figure, found, reader)
            figure.joint = _alone(figure.joint)
        _protect_splits(sensitive, found)
    _protect_derived(found)


def covered(values: Sequence[Value], total: Value, known: Sequence[bool] = ()) -> tuple[list[Value], Value]:
    """The values that add up to `total`, and the total, as they may be shown together.

    `known` marks values that the reader knows anyway: they stay.
    """
    may_stay = list(known) or [False] * len(values)
    shown = [value if stays else _alone(value) for value, stays in zip(values, may_stay, strict=True)]
    total = _alone(total)
    hidden = [value for value in shown if isinstance(value, Suppressed)]
    adds_up = isinstance(total, Decimal)
    if (
        (adds_up and not hidden)
        or (hidden and not adds_up)
        or (Suppressed.WITH_IT in hidden and len(hidden) > 1)
    ):
        return shown, total
    # One is missing, of the values or the total: it is found by subtraction unless another one goes with it.
    left = [
        (value, index)
        for index, value in enumerate(shown)
        if isinstance(value, Decimal) and value and not may_stay[index]
    ]
    if left:
        shown[min(left)[1]] = Suppressed.WITH_IT
    return shown, Suppressed.WITH_IT if isinstance(total, Decimal) and not left else total


def _alone(value: Value) -> Value:
    return Suppressed.SMALL if is_small(value) else value


def _known(row: Row, reader: Unit | None) -> bool:
    return row.is_own and reader is not None and row.unit.pk == reader.pk


def _protect_rows(figure: Figure, found: Figures, reader: Unit | None) -> None:
    rows = [row for row in found.rows if row.values.get(figure.code) is not None]
    known = [_known(row, reader) for row in rows]
    shown, figure.value = covered([row.values[figure.code] for row in rows], figure.value, known)
    for row, value in zip(rows, shown, strict=True):
        row.values[figure.code] = value


def _protect_months(figure: Figure) -> None:
    if not figure.indicator.additive:  # months tell nothing of each other
        figure.by_month = [_alone(value) for value in figure.by_month]
        figure.by_month_before = [_alone(value) for value in figure.by_month_before]
        figure.by_span = [_alone(value) for value in figure.by_span]
        figure.before = _alone(figure.before)
        return
    figure.by_month, figure.value = covered(figure.by_month, figure.value)
    if figure.by_span:
        figure.by_span, figure.value = covered(figure.by_span, figure.value)
    figure.by_month_before, figure.before = covered(figure.by_month_before, figure.before)


def _protect_months_of_rows(figure: Figure, found: Figures, reader: Unit | None) -> None:
    """A table of months by units adds up both ways."""
    rows = [row for row in found.rows if row.by_month.get(figure.code)]
    for row in rows:
        if not _known(row, reader):
            shown, row.values[figure.code] = covered(row.by_month[figure.code], row.values[figure.code])
            row.by_month[figure.code] = shown
    known = [_known(row, reader) for row in rows]
    for month, total in enumerate(figure.by_month if rows else ()):
        shown, figure.by_month[month] = covered(
            [row.by_month[figure.code][month] for row in rows], total, known
        )
        for row, value in zip(rows, shown, strict=True):
            row.by_month[figure.code][month] = value


def _protect_splits(sensitive: list[Figure], found: Figures) -> None:
    """The parts of a split add up to the whole, in the total and in every row."""
    splits: defaultdict[tuple[str, str], list[Figure]] = defaultdict(list)
    for figure in sensitive:
        if isinstance(figure.indicator, Part):
            splits[figure.indicator.whole, figure.indicator.field].append(figure)
    wholes = {figure.code: figure for figure in sensitive}
    for (code, _field), parts in splits.items():
        if (whole := wholes.get(code)) is None:
            continue
        shown, whole.value = covered([part.value for part in parts], whole.value)
        for part, value in zip(parts, shown, strict=True):
            part.value = value
        for row in found.rows:
            shown, row.values[code] = covered([row.values[part.code] for part in parts], row.values[code])
            row.values |= {part.code: value for part, value in zip(parts, shown, strict=True)}


def _protect_derived(found: Figures) -> None:
    """What is made of a hidden figure would tell it."""
    by_code = {figure.code: figure for figure in found.figures}
    for figure in found.figures:
        of = [by_code[code] for code in getattr(figure.indicator, "of", ()) if code in by_code]
        if any(isinstance(part.value, Suppressed) for part in of):
            figure.value, figure.by_month = Suppressed.WITH_IT, [None for _month in figure.by_month]
            figure.by_span = [None for _span in figure.by_span]
        if any(isinstance(part.before, Suppressed) for part in of):
            figure.before, figure.by_month_before = Suppressed.WITH_IT, [None for _ in figure.by_month_before]
        for row in found.rows if of else ():
            if any(isinstance(row.values.get(part.code), Suppressed) for part in of):
                row.values[figure.code] = Suppressed.WITH_IT
                row.by_month.pop(figure.code, None)
