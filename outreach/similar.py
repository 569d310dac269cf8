"""Similar opinions: what else was raised lately about the same place and matter, within the asker's own scope.

Subject and place alone are compared (class C1), never the citizen's own words. PostgreSQL finds candidates by
trigrams where the extension is there and knows Chinese signs (a database in C.UTF-8 or zh_CN.UTF-8); elsewhere they
are the latest of the scope. Either way the same measure puts them in order: character bigrams, which need no words.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from django.db import DatabaseError, connection, transaction
from django.db.models import F, FloatField, Func, QuerySet, TextField, Value
from django.db.models.functions import Concat
from django.urls import reverse
from django.utils import timezone

from outreach.models.opinion import Opinion, State
from programs.access import Actor, visible
from programs.models.unit import COMMUNITY_KINDS, Unit
from programs.roles import Permission

OPEN = (State.RECEIVED, State.ACCEPTED, State.ASSIGNED, State.HANDLING, State.RETURNED)
DAYS_BACK = 90
MOST_CANDIDATES = 500
MOST_SHOWN = 5
ALIKE = 0.3  # of two subjects, from 0 to 1
SHORTEST = 2  # characters that say anything
WIDELY_DAYS = 30
WIDELY_COMMUNITIES = 3
MOST_COMPARED = 3000
OF_ONE_MATTER = 0.5


@dataclass(frozen=True)
class Similar:
    opinion: Opinion
    likeness: float


def similar_opinions(
    actor: Actor,
    *,
    title: str,
    location: str = "",
    category: str = "",
    today: dt.date | None = None,
    leave_out: int | None = None,
) -> list[Similar]:
    """Open opinions that `actor` may read, the most similar first."""
    words = f"{title} {location}".strip()
    if len("".join(words.split())) < SHORTEST:
        return []
    today = today or timezone.localdate()
    scope = visible(Opinion.objects.present(), actor, listing=True).filter(
        state__in=OPEN, occurred_on__gte=today - dt.timedelta(days=DAYS_BACK), occurred_on__lte=today
    )
    if leave_out is not None:
        scope = scope.exclude(pk=leave_out)
    found = [
        Similar(one, likeness_of(title, location, category, one))
        for one in _candidates(scope.select_related("unit"), words)
    ]
    alike = [one for one in found if one.likeness >= ALIKE]
    alike.sort(
        key=lambda one: (-round(one.likeness, 3), -one.opinion.occurred_on.toordinal(), -one.opinion.pk)
    )
    return alike[:MOST_SHOWN]


def _candidates(scope: QuerySet[Opinion], words: str) -> list[Opinion]:
    if knows_trigrams():
        both = Concat("title", Value(" "), "location", output_field=TextField())
        scope = scope.annotate(trigrams=_trigrams(both, Value(words)))
        return list(scope.order_by(F("trigrams").desc(), "-occurred_on", "-pk")[:MOST_CANDIDATES])
    return list(scope.order_by("-occurred_on", "-pk")[:MOST_CANDIDATES])


def _trigrams(one: Func | Value, other: Value) -> Func:
    return Func(one, other, function="similarity", output_field=FloatField())


def knows_trigrams() -> bool:
    """Whether this database compares Chinese text by trigrams; asked once in a process."""
    return connection.vendor == "postgresql" and _trigrams_work(
        connection.alias, connection.settings_dict["NAME"]
    )


@lru_cache
def _trigrams_work(alias: str, name: str) -> bool:
    same = _trigrams(Value("垃圾清运", output_field=TextField()), Value("垃圾清运"))
    try:
        with transaction.atomic(using=alias):
            found = Unit.objects.using(alias).annotate(same=same).values_list("same", flat=True)[:1]
            return bool(found) and found[0] > 0.9
    except DatabaseError:  # no such function: the extension is not there
        return False


# --- the measure ----------------------------------------------------------------------------------


def bigrams(text: str) -> frozenset[str]:
    """Pairs of neighbouring letters, digits and Chinese signs; of a single sign, itself."""
    signs = "".join(sign for sign in text.lower() if sign.isalnum())
    return frozenset(signs[at : at + 2] for at in range(max(1, len(signs) - 1))) if signs else frozenset()


def dice(one: frozenset[str], other: frozenset[str]) -> float:
    return 2 * len(one & other) / (len(one) + len(other)) if one and other else 0.0


def likeness_of(title: str, location: str, category: str, other: Opinion) -> float:
    """From 0 to 1: of the words, and of the place where both name one; the same category tips the scale."""
    words = dice(bigrams(title), bigrams(other.title))
    place = dice(bigrams(location), bigrams(other.location))
    likeness = max(words, 0.6 * words + 0.4 * place, 0.75 * place)
    return min(1.0, likeness + (0.1 if likeness and category and category == other.category else 0.0))


# --- raised in several communities ----------------------------------------------------------------


@dataclass
class Matter:
    """Opinions that are about one thing."""

    opinions: list[Opinion] = field(default_factory=list)
    words: frozenset[str] = frozenset()

    @property
    def communities(self) -> list[Unit]:
        found = {one.unit_id: one.unit for one in self.opinions if one.unit.kind in COMMUNITY_KINDS}
        return sorted(found.values(), key=lambda unit: unit.code)

    @property
    def voices(self) -> int:
        return sum(one.voices for one in self.opinions)

    @property
    def title(self) -> str:
        return self.opinions[0].title

    @property
    def category(self) -> str:
        return str(self.opinions[0].get_category_display())


@dataclass(frozen=True)
class Raised:
    """`compared` is the number of opinions that were looked at; `is_all` is False where more were received."""

    matters: list[Matter]
    compared: int
    is_all: bool


def raised_widely(actor: Actor, today: dt.date | None = None) -> Raised:
    """Matters of one category raised in three or more communities within 30 days, as far as `actor` may read; most
    communities first. What was merged still counts: it was raised there. The latest `MOST_COMPARED` are compared."""
    today = today or timezone.localdate()
    recent = list(
        visible(Opinion.objects.present(), actor, listing=True)
        .filter(occurred_on__gt=today - dt.timedelta(days=WIDELY_DAYS), occurred_on__lte=today)
        .exclude(state__in=[State.DECLINED, State.SPLIT])
        .select_related("unit")
        .defer("content", "answer")
        .order_by("-occurred_on", "-pk")[: MOST_COMPARED + 1]
    )
    compared = recent[:MOST_COMPARED]
    wide = [matter for matter in _matters(compared) if len(matter.communities) >= WIDELY_COMMUNITIES]
    wide.sort(key=lambda matter: (-len(matter.communities), -matter.voices))
    return Raised(wide, len(compared), len(recent) == len(compared))


def widely_at_home(actor: Actor) -> dict[str, Any] | None:
    """The panel of the home page, for who may press on with such matters. It asks how many once the page stands:
    comparing the opinions of a month takes longer than the page."""
    if not actor.may(Permission.OPINION_SUPERVISE):
        return None
    return {"days": WIDELY_DAYS, "communities": WIDELY_COMMUNITIES, "url": reverse("opinions_widely")}


def _matters(opinions: Iterable[Opinion]) -> list[Matter]:
    """Each joins the first matter of its category that it is like. Only those that share a bigram are compared."""
    matters: list[Matter] = []
    by_bigram: dict[tuple[str, str], list[Matter]] = defaultdict(list)
    for opinion in opinions:
        words = matter_words(opinion)
        if not words:
            continue
        near = {id(m): m for one in words for m in by_bigram[opinion.category, one]}
        best = max(near.values(), key=lambda m: dice(words, m.words), default=None)
        if best is None or dice(words, best.words) < OF_ONE_MATTER:
            best = Matter(words=words)
            matters.append(best)
            for one in words:
                by_bigram[opinion.category, one].append(best)
        best.opinions.append(opinion)
    return matters


def matter_words(opinion: Opinion) -> frozenset[str]:
    """What it is about, wherever it is: the subject without its place. A subject that is made of category and place,
    as those of the citizens' page are, has nothing else to compare."""
    subject = opinion.title.split("：", 1)[-1]
    without_place = subject.replace(opinion.location, "") if opinion.location else subject
    return bigrams(without_place) or bigrams(subject)
