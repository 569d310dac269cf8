"""The boundaries of the time: under which units a unit stood in a given month.

A month belongs to the latest placement that overlaps it. Moves are few: a condition follows today's paths and
names the units whose past differs from them.
"""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Iterable

from django.db.models import F, Q

from programs.models.unit import Placement, Unit, month_bounds, month_of, path_ids, subtree

# Of a unit that is left out records are looked through once more.
MOST_LEFT_OUT = 10

Span = tuple[dt.date | None, dt.date | None]  # months from the first, until before the second; None: no bound


class Boundaries(enum.StrEnum):
    """Where a unit counts: every month where it stood then, or all of them where it stands now."""

    OF_THE_TIME = "time"
    TODAY = "today"


def placed_under(
    unit: Unit,
    today: Q | None = None,
    boundaries: Boundaries = Boundaries.OF_THE_TIME,
    without: Iterable[Unit] = (),
) -> Q:
    """The condition for records led by units that stood at or below `unit` in the month of the record, and at or below
    none of `without`.

    `today` may say in another form which units stand there now.
    """
    condition = _placed_under(unit, "occurred_on", today, boundaries)
    for other in without:
        condition &= ~_placed_under(other, "occurred_on", None, boundaries)
    return condition


def jointly_under(unit: Unit, record: str, boundaries: Boundaries = Boundaries.OF_THE_TIME) -> Q:
    """The same over a table of joint units, whose column `record` names the record: for a subquery."""
    return _placed_under(unit, f"{record}__occurred_on", None, boundaries)


def _placed_under(unit: Unit, date: str, today: Q | None, boundaries: Boundaries) -> Q:
    # A subquery, not a join: the units are found first, however many there are elsewhere.
    today = today or Q(unit__in=Unit.objects.under(unit).values("pk"))
    spans = spans_of_moved(unit) if boundaries is Boundaries.OF_THE_TIME else {}
    if not spans:
        return today
    moved = {unit_id for unit_ids in spans.values() for unit_id in unit_ids}
    condition = today & ~Q(unit__in=moved)
    for (first, after), unit_ids in spans.items():
        within = Q(unit__in=unit_ids)
        if first is not None:
            within &= Q(**{f"{date}__gte": first})
        if after is not None:
            within &= Q(**{f"{date}__lt": after})
        condition |= within
    return condition


def spans_of_moved(unit: Unit) -> dict[Span, list[int]]:
    """The units that stood under `unit` for a part of their time only, by the months in which they did."""
    if unit.root_id == unit.pk:  # nothing moves between districts
        return {}
    moved = (
        Placement.objects.filter(subtree(f"/{unit.root_id}/"))
        .exclude(path=F("unit__path"))
        .values_list("unit_id", flat=True)
    )
    placements: dict[int, list[Placement]] = {}
    for placement in Placement.objects.filter(unit__in=moved).order_by("unit_id", "valid_from"):
        placements.setdefault(placement.unit_id, []).append(placement)
    spans: dict[Span, list[int]] = {}
    for unit_id, rows in placements.items():
        for span in spans_under(unit, rows):
            if span != (None, None):
                spans.setdefault(span, []).append(unit_id)
    return spans


def spans_under(unit: Unit, placements: list[Placement]) -> list[Span]:
    """The spans of whole months whose latest placement lies at or below `unit`.

    `placements` are all of one unit, in order. Ids are compared, not paths: `unit` itself may have moved.
    """
    spans: list[Span] = []
    for index, placement in enumerate(placements):
        first = month_of(placement.valid_from) if index else None
        after = month_of(placements[index + 1].valid_from) if index + 1 < len(placements) else None
        if unit.pk not in path_ids(placement.path):
            continue
        if spans and spans[-1][1] == first:  # goes on from the one before
            first = spans.pop()[0]
        spans.append((first, after))
    return spans


def paths_in(month: dt.date, unit_ids: set[int]) -> dict[int, str]:
    """Where each of the units stood in the month: {unit id: path}.

    Before a unit opened its first placement counts, after it closed its last: no record is without a place.
    """
    _first, after = month_bounds(month)
    paths: dict[int, str] = {}
    placements = Placement.objects.filter(unit_id__in=unit_ids).order_by("unit_id", "valid_from")
    for unit_id, valid_from, path in placements.values_list("unit_id", "valid_from", "path"):
        if unit_id not in paths or valid_from < after:
            paths[unit_id] = path
    return paths
