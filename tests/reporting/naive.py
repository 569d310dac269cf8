"""What the cells should hold, by going through every record in Python: no grouping, no sums of sums, no SQL of ours."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from programs import registry
from programs.models import Placement
from tests.reporting.cells import cells as all_cells

Key = tuple[int, dt.date, str]
Columns = tuple[Decimal, Decimal, Decimal, Decimal]


def summed(
    value: Callable[[Any], Any], test: Callable[[Any], bool] = lambda record: True
) -> Callable[..., Decimal]:
    return lambda records: sum((Decimal(value(r)) for r in records if test(r)), Decimal(0))


_SAID = {"satisfied", "partly", "dissatisfied"}


def _stands(opinion: Any) -> bool:
    """An opinion that was neither merged into another nor split."""
    return opinion.state not in {"merged", "split"}


# Each indicator once more, by hand: a filter or aggregate that the portal reads wrongly must show.
BY_HAND: dict[str, Callable[[Iterable[Any]], Decimal]] = {
    "activities.count": summed(lambda r: 1),
    "activities.six_ones": summed(lambda r: 1, lambda r: r.series == "six_ones"),
    "activities.festivals": summed(lambda r: 1, lambda r: r.series == "festival"),
    "activities.participants": summed(lambda r: r.participants),
    "gratitude.count": summed(lambda r: 1),
    "gratitude.media_reports": summed(lambda r: r.media_reports),
    "carriers.count": summed(lambda r: 1),
    "visits.count": summed(lambda r: 1),
    "visits.person_times": summed(lambda r: r.person_times),
    "opinions.collected": summed(lambda r: 1, _stands),
    "opinions.voices": summed(lambda r: r.voices, _stands),
    "opinions.answered": summed(lambda r: 1, lambda r: _stands(r) and r.answered_on is not None),
    "opinions.solved": summed(lambda r: 1, lambda r: _stands(r) and r.outcome == "solved"),
    "opinions.on_time": summed(lambda r: 1, lambda r: _stands(r) and r.on_time is True),
    "opinions.revisited": summed(lambda r: 1, lambda r: _stands(r) and r.satisfaction in _SAID),
    "opinions.satisfied": summed(lambda r: 1, lambda r: _stands(r) and r.satisfaction == "satisfied"),
    "opinions.days_to_answer": summed(lambda r: r.days_to_answer or 0, _stands),
    "places.count": summed(lambda r: 1),
    "mood.observations": summed(lambda r: 1),
    "mood.tense": summed(lambda r: 1, lambda r: r.level in (4, 5)),
    "cases.count": summed(lambda r: 1),
    "cases.hours": summed(lambda r: r.hours),
    "cases.clients": lambda records: Decimal(len({r.client for r in records})),
}


def by_hand(code: str, records: Iterable[Any]) -> Decimal:
    """Of an indicator, or of a part of one, whose code ends in "@field=value"."""
    whole, _at, part = code.partition("@")
    name, _is, value = part.partition("=")
    return BY_HAND[whole]([record for record in records if not part or str(getattr(record, name)) == value])


def place_of(unit_id: int, month: dt.date, placements: dict[int, list[Placement]]) -> list[int]:
    """The ids from the district down to the unit: of its last placement that began before the month was over."""
    after = (month + dt.timedelta(days=32)).replace(day=1)
    begun = [p for p in placements[unit_id] if p.valid_from < after] or placements[unit_id][:1]
    return [int(part) for part in begun[-1].path.split("/") if part]


def placements_by_unit() -> dict[int, list[Placement]]:
    placements = defaultdict(list)
    for placement in Placement.objects.order_by("valid_from"):
        placements[placement.unit_id].append(placement)
    return placements


def recount() -> dict[Key, Columns]:
    placements = placements_by_unit()
    columns: list[defaultdict[Key, set[Any]]] = [defaultdict(set) for _ in range(4)]
    own, total, own_joint, total_joint = columns
    for kind in registry.kinds():
        for record in kind.model.objects.filter(removed_at=None).prefetch_related("joint_units"):
            month = record.occurred_on.replace(day=1)
            lead = place_of(record.unit_id, month, placements)
            joints = [place_of(unit.pk, month, placements) for unit in record.joint_units.all()]
            for indicator in kind.counted:
                own[record.unit_id, month, indicator.code].add(record)
                for above in lead:
                    total[above, month, indicator.code].add(record)
                for joint in joints:
                    if joint[-1] != record.unit_id:
                        own_joint[joint[-1], month, indicator.code].add(record)
                    for above in joint:
                        if above not in lead:
                            total_joint[above, month, indicator.code].add(record)
    cells = {}
    for key in {key for column in columns for key in column}:
        values = tuple(by_hand(key[2], column.get(key, ())) for column in columns)
        if any(values):
            cells[key] = values
    return cells  # type: ignore[return-value]


def cells() -> dict[Key, Columns]:
    return {(cell.unit_id, cell.month, cell.indicator): cell.columns for cell in all_cells()}


def assert_exact() -> int:
    """Every cell holds what the records say, none is missing, none is too many. Returns the number of cells."""
    expected, found = recount(), cells()
    wrong = {
        key: (found.get(key), expected.get(key))
        for key in expected | found
        if found.get(key) != expected.get(key)
    }
    assert not wrong, f"{len(wrong)} of {len(expected)} cells are wrong: {list(wrong.items())[:5]}"
    return len(expected)


def assert_adds_up() -> None:
    """A unit's total is its own figure and the totals of the units right below it, wherever they stood."""
    additive = {i.code for kind in registry.kinds() for i in kind.counted if i.additive}
    parts: defaultdict[Key, Decimal] = defaultdict(Decimal)
    rows = [cell for cell in all_cells() if cell.indicator in additive]
    for cell in rows:
        parts[cell.unit_id, cell.month, cell.indicator] += cell.own
        ids = [int(part) for part in cell.path.split("/") if part]
        if len(ids) > 1:
            parts[ids[-2], cell.month, cell.indicator] += cell.total
    totals = {(cell.unit_id, cell.month, cell.indicator): cell.total for cell in rows}
    assert {key: value for key, value in parts.items() if value} == {k: v for k, v in totals.items() if v}
