"""Public mood: early warnings, and the overview by topic, month and place. Aggregates and groups only.

A warning is written in the transaction of the record that calls for it, whichever way it is entered
(`MoodKind.created`); `raise_alerts` finds by itself what an edit or a crash left, and is safe to repeat.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Count, DateField, Exists, ExpressionWrapper, Max, OuterRef, Q, QuerySet
from django.db.models.functions import TruncMonth
from django.urls import reverse
from django.utils import timezone

from outreach.models.mood import MoodAlert, MoodObservation
from programs.access import Actor, visible
from programs.actions.audit import audit
from programs.facts import title_of
from programs.models.unit import Unit, month_bounds, path_ids
from programs.roles import Permission

Level, Rule = MoodObservation.Level, MoodAlert.Rule
# What calls for a warning: this level, or so many levels more than the same unit saw of the topic within so many days.
LEVEL, RISE, WITHIN = Level.TENSE, 2, dt.timedelta(days=30)
# Of what is entered later nobody is warned any more.
RECENT = dt.timedelta(days=30)
MOST_SHOWN = 8
SOME = 500
MONTHS = 12


# --- early warnings ------------------------------------------------------------------------------------------------


def due(today: dt.date) -> dict[str, QuerySet[MoodObservation]]:
    """The recent observations that meet each rule."""
    recent: Any = MoodObservation.objects.present().filter(
        occurred_on__gte=today - RECENT, occurred_on__lte=today
    )
    lower: Any = MoodObservation.objects.present().filter(
        unit=OuterRef("unit"),
        topic=OuterRef("topic"),
        occurred_on__lte=OuterRef("occurred_on"),
        occurred_on__gte=ExpressionWrapper(OuterRef("occurred_on") - WITHIN, DateField()),
        level__lte=OuterRef("level") - RISE,
    )
    return {
        Rule.LEVEL: recent.filter(level__gte=LEVEL),
        Rule.RISE: recent.filter(level__gt=RISE).filter(Exists(lower)),
    }


def raise_alerts(pks: Sequence[int] | None = None) -> int:
    """Warn of everything recent that no warning was raised for (among `pks`, where given); the number of warnings."""
    today, raised = timezone.localdate(), 0
    for rule, observations in due(today).items():
        if pks is None:
            raised += _raise(rule, observations)
        else:
            for start in range(0, len(pks), SOME):
                raised += _raise(rule, observations.filter(pk__in=pks[start : start + SOME]))
    return raised


def _raise(rule: str, observations: QuerySet[MoodObservation]) -> int:
    known = MoodAlert.objects.filter(observation=OuterRef("pk"), rule=rule)
    found = list(observations.filter(~Exists(known)).values_list("pk", "unit__path"))
    streets = _streets({unit for _pk, path in found for unit in path_ids(path)})
    alerts = [
        MoodAlert(observation_id=pk, rule=rule, told_id=told)
        for pk, path in found
        for told in _told(path_ids(path), streets)
    ]
    # Several workers may find the same: the database takes each once.
    MoodAlert.objects.bulk_create(alerts, ignore_conflicts=True)
    return len(alerts)


def _streets(units: Iterable[int]) -> set[int]:
    return set(Unit.objects.filter(pk__in=units, tier="street").values_list("pk", flat=True))


def _told(path: Sequence[int], streets: set[int]) -> set[int]:
    """The street above the unit, and the district, where the office sits."""
    return {path[0], *(unit for unit in path[:-1] if unit in streets)}


def waiting(actor: Actor) -> QuerySet[MoodAlert]:
    """The warnings that nobody of the unit has seen yet."""
    found = MoodAlert.objects.filter(seen_at=None, observation__removed_at=None)
    if actor.unit is None or not actor.covers(Permission.RECORD_WRITE, actor.unit):
        return found.none()
    return found.filter(told=actor.unit).select_related("observation__unit")


def alerts_at_home(actor: Actor) -> dict[str, Any] | None:
    """For the panel of the home page."""
    found = list(waiting(actor)[: MOST_SHOWN + 1])
    if not found:
        return None
    rows = [
        {
            "alert": alert,
            "observation": alert.observation,
            "title": title_of(alert.observation, actor),
            "url": reverse("record_detail", args=["mood", alert.observation_id]),
        }
        for alert in found[:MOST_SHOWN]
    ]
    more = waiting(actor).count() - MOST_SHOWN if len(found) > MOST_SHOWN else 0
    return {"rows": rows, "more": more, "overview_url": reverse("mood_overview")}


def mark_seen(*, by: Actor, alert: MoodAlert) -> bool:
    """Say that the unit has seen the warning; False if somebody said so before."""
    if not by.covers(Permission.RECORD_WRITE, alert.told):
        raise PermissionDenied
    with transaction.atomic():
        changed = MoodAlert.objects.filter(pk=alert.pk, seen_at=None).update(
            seen_at=timezone.now(), seen_by=by.user
        )
        if changed:
            audit(by=by, action="mood.seen", obj=alert.observation, unit=alert.told)
    return bool(changed)


# --- the overview --------------------------------------------------------------------------------------------------


@dataclass
class Cell:
    """What was observed of a topic in a month, at its most worrying; `trend` against the month before with any."""

    count: int
    level: int
    url: str
    trend: str = ""

    @property
    def label(self) -> Any:
        return Level(self.level).label


@dataclass
class TopicRow:
    label: Any
    cells: list[Cell | None] = field(default_factory=list)


@dataclass
class PlaceRow:
    unit: Unit
    count: int
    tense: int
    level: int
    url: str

    @property
    def label(self) -> Any:
        return Level(self.level).label


@dataclass
class Overview:
    months: list[dt.date]
    topics: list[TopicRow]
    places: list[PlaceRow]
    count: int


def overview(actor: Actor, today: dt.date) -> Overview:
    """The last twelve months of everything that the reader may see."""
    months = _months(today)
    seen = visible(MoodObservation.objects.present(), actor).filter(
        occurred_on__gte=months[0], occurred_on__lte=today
    )
    by_topic = {
        (topic, month): (count, level)
        for topic, month, count, level in seen.order_by()
        .annotate(month=TruncMonth("occurred_on"))
        .values_list("topic", "month")
        .annotate(count=Count("pk"), highest=Max("level"))
    }
    topics = [
        TopicRow(label, _cells(topic, months, by_topic))
        for topic, label in MoodObservation.Topic.choices
        if any((topic, month) in by_topic for month in months)
    ]
    places = _places(seen, actor, months[0], today)
    return Overview(months, topics, places, sum(count for count, _level in by_topic.values()))


def _months(today: dt.date) -> list[dt.date]:
    month, found = today.replace(day=1), []
    for _number in range(MONTHS):
        found.append(month)
        month = (month - dt.timedelta(days=1)).replace(day=1)
    return found[::-1]


def _cells(
    topic: str, months: list[dt.date], found: dict[tuple[str, dt.date], tuple[int, int]]
) -> list[Cell | None]:
    cells: list[Cell | None] = []
    before: int | None = None
    for month in months:
        if (topic, month) not in found:
            cells.append(None)
            continue
        count, level = found[topic, month]
        last = month_bounds(month)[1] - dt.timedelta(days=1)
        trend = "" if before is None or level == before else ("rising" if level > before else "falling")
        cells.append(Cell(count, level, _list_url(month, last, topic=topic), trend))
        before = level
    return cells


def _places(seen: QuerySet[Any], actor: Actor, first: dt.date, last: dt.date) -> list[PlaceRow]:
    """The unit itself and those right below it, each with everything below."""
    home = actor.unit
    if home is None:
        return []
    of_units = (
        seen.order_by()
        .filter(unit__path__startswith=home.path)
        .values_list("unit__path")
        .annotate(
            count=Count("pk", distinct=True),
            tense=Count("pk", filter=Q(level__gte=LEVEL), distinct=True),
            highest=Max("level"),
        )
    )
    depth = len(path_ids(home.path))
    sums: dict[int, tuple[int, int, int]] = {}
    for path, count, tense, level in of_units:
        ids = path_ids(path)
        place = ids[depth] if len(ids) > depth else home.pk
        before = sums.get(place, (0, 0, 0))
        sums[place] = (before[0] + count, before[1] + tense, max(before[2], level))
    units = Unit.objects.filter(pk__in=sums).order_by("code")
    return [PlaceRow(unit, *sums[unit.pk], url=_place_url(unit, home, first, last)) for unit in units]


def _place_url(unit: Unit, home: Unit, first: dt.date, last: dt.date) -> str:
    part = {"part": "own"} if unit.pk == home.pk else {}
    return _list_url(first, last, unit=unit.code, boundaries="today", **part)


def _list_url(first: dt.date, last: dt.date, **asked: str) -> str:
    query = {**asked, "occurred_on_from": first.isoformat(), "occurred_on_to": last.isoformat()}
    return f"{reverse('record_list', args=['mood'])}?{urlencode(query)}"
