"""What waits for an officer: a few questions to the table of opinions, the same for counts and lists."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Q, QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from outreach import deadlines, life
from outreach.models.opinion import Opinion, State
from programs.access import Actor, units_for
from programs.disclosure import disclose
from programs.registry import Text
from programs.roles import Permission

ROWS = 30
AT_HOME = 5


@dataclass(frozen=True)
class Tab:
    """One reason to wait. `condition(today)` says which of the opinions in hand (of the scope) are meant."""

    code: str
    label: Text
    condition: Callable[[dt.date], Q]
    # Whose: "hand" those the unit has to act on, "received" those it received, "district" all in reach of the office.
    whose: str = "hand"
    permission: Permission | None = None


def _running(**more: Any) -> Q:
    return Q(paused_on=None, **more)


OPEN, UNENDED = sorted(life.OPEN), sorted(life.UNENDED)

TABS: list[Tab] = [
    Tab("overdue", _("Overdue"), lambda today: _running(state__in=OPEN, due_on__lt=today)),
    Tab(
        "soon",
        _("Due soon"),
        lambda today: _running(
            state__in=OPEN, due_on__gte=today, due_on__lte=deadlines.after(today, deadlines.WARN_DAYS)
        ),
    ),
    Tab("new", _("New"), lambda today: Q(state__in=(State.RECEIVED, State.ASSIGNED))),
    Tab("returned", _("Returned"), lambda today: Q(state=State.RETURNED)),
    Tab("handling", _("In hand"), lambda today: Q(state__in=(State.ACCEPTED, State.HANDLING))),
    Tab("revisit", _("To revisit"), lambda today: Q(state=State.ANSWERED), "received"),
    Tab("close", _("To close"), lambda today: Q(state=State.REVISITED), "received"),
    Tab(
        "supervised",
        _("Supervised"),
        lambda today: Q(state__in=UNENDED, is_supervised=True),
        "district",
        Permission.OPINION_SUPERVISE,
    ),
    Tab(
        "district_overdue",
        _("Overdue in the district"),
        lambda today: _running(state__in=UNENDED, due_on__lt=today),
        "district",
        Permission.OPINION_SUPERVISE,
    ),
]
BY_CODE = {tab.code: tab for tab in TABS}


def _scope(actor: Actor, whose: str) -> Q:
    """Own units are few: by name, so that the index of the inbox is walked."""
    if whose == "district":
        return Q(unit__in=units_for(actor, Permission.OPINION_SUPERVISE).values("pk"))
    own = list(units_for(actor, Permission.RECORD_WRITE).values_list("pk", flat=True))
    return Q(responsible__in=own) if whose == "hand" else Q(unit__in=own)


def _waiting(actor: Actor, code: str, today: dt.date) -> QuerySet[Opinion]:
    tab = BY_CODE[code]
    return Opinion.objects.present().filter(_scope(actor, tab.whose), tab.condition(today))


def counts(actor: Actor, today: dt.date | None = None) -> dict[str, int]:
    """How many wait, by tab: one query for each of hand, received and district."""
    today = today or timezone.localdate()
    found: dict[str, int] = {}
    for whose in ("hand", "received", "district"):
        tabs = [t for t in TABS if t.whose == whose and (t.permission is None or actor.may(t.permission))]
        if not tabs:
            continue
        asked = {tab.code: Count("pk", filter=tab.condition(today)) for tab in tabs}
        # Nothing else than the states that are asked for needs to be looked at.
        found |= Opinion.objects.present().filter(_scope(actor, whose), state__in=UNENDED).aggregate(**asked)
    return found


def rows_of(
    actor: Actor, code: str, start: int = 0, number: int = ROWS, today: dt.date | None = None
) -> tuple[list[dict[str, Any]], int]:
    """The opinions of a tab, the most pressing first, and where the next page starts (0: there is none)."""
    today = today or timezone.localdate()
    waiting = _waiting(actor, code, today).select_related("unit", "responsible").order_by("due_on", "pk")
    page = list(waiting.defer("content", "answer")[start : start + number + 1])
    rows = [_row(opinion, actor, today) for opinion in page[:number]]
    return rows, start + number if len(page) > number else 0


def _row(opinion: Opinion, actor: Actor, today: dt.date) -> dict[str, Any]:
    offered = life.offered(opinion, life.parties(actor, opinion))
    likely = "resume" if opinion.paused_on is not None else life.LIKELY.get(opinion.state, "")
    is_overdue = deadlines.is_overdue(opinion, today)
    step = offered[0] if offered and offered[0].code == likely else None
    if step is None and is_overdue and not opinion.is_supervised:
        # The office has no step of its own to take: it presses on with whoever has.
        step = next((one for one in offered if one.code == "supervise"), None)
    return {
        "opinion": opinion,
        "title": disclose(opinion, "title", actor),
        "url": reverse("record_detail", args=["opinions", opinion.pk]),
        "deadline": deadlines.in_words(opinion, today),
        "is_overdue": is_overdue,
        "step": step,
        "step_url": reverse("opinion_step", args=[opinion.pk, step.code]) if step else "",
        "at_once": step is not None and step.code in life.AT_ONCE,
    }


def at_home(actor: Actor) -> dict[str, Any] | None:
    """The panel of the home page: every count, and the most pressing few."""
    if not actor.may(Permission.RECORD_WRITE):
        return None
    numbers = counts(actor)
    url = reverse("opinion_inbox")
    tabs = [
        {"label": tab.label, "number": numbers[tab.code], "url": f"{url}?tab={tab.code}", "code": tab.code}
        for tab in TABS
        if numbers.get(tab.code)
    ]
    if not tabs:
        return None
    rows: list[dict[str, Any]] = []
    for code in ("overdue", "soon", "returned", "new", "revisit", "close"):
        if len(rows) < AT_HOME and numbers[code]:
            seen = {row["opinion"].pk for row in rows}
            found, _more = rows_of(actor, code, number=AT_HOME)
            rows += [row for row in found if row["opinion"].pk not in seen]
    return {"tabs": tabs, "rows": rows[:AT_HOME], "url": url}
