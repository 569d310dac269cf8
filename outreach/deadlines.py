"""How long each step of an opinion may take, in working days of China with their make-up days.

`LIMITS` is the whole table. The calendar knows the years that the State Council has announced; beyond them every day
from Monday to Friday counts as a working day, and pages say so (`is_certain`).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import lru_cache

import chinese_calendar
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from outreach.models.opinion import Opinion, State

FIRST_KNOWN, LAST_KNOWN = min(chinese_calendar.holidays), max(chinese_calendar.workdays)
FIRST_YEAR, LAST_YEAR = FIRST_KNOWN.year, max(LAST_KNOWN, max(chinese_calendar.holidays)).year
# An item is warned of when so many working days are left.
WARN_DAYS = 2
MOST_EXTENSIONS = 2
LONGEST_EXTENSION = 15


@dataclass(frozen=True)
class Limits:
    """Working days for each step; `answer` is counted from the day of receipt, the others from the step before."""

    accept: int = 2
    start: int = 2
    answer: int = 15
    revisit: int = 5
    close: int = 5


USUAL = Limits()
LIMITS: dict[str, Limits] = {
    Opinion.Category.ORDER: Limits(accept=1, start=1, answer=5),
    Opinion.Category.HEALTH: Limits(accept=1, start=1, answer=7),
    Opinion.Category.LABOUR: Limits(accept=1, start=1, answer=7),
}


def limits_of(category: str) -> Limits:
    return LIMITS.get(category, USUAL)


def is_certain(day: dt.date) -> bool:
    """Whether the holidays of this day's year are announced."""
    return FIRST_YEAR <= day.year <= LAST_YEAR


@lru_cache(maxsize=8192)
def is_working_day(day: dt.date) -> bool:
    if not is_certain(day):
        return day.weekday() < 5
    return bool(chinese_calendar.is_workday(day))


@lru_cache(maxsize=8192)
def after(day: dt.date, number: int) -> dt.date:
    """The `number`-th working day after `day`."""
    while number > 0:
        day += dt.timedelta(days=1)
        if is_working_day(day):
            number -= 1
    return day


def working_days(first: dt.date, last: dt.date) -> int:
    """The working days after `first` up to and with `last`; negative when `last` lies before `first`."""
    if last < first:
        return -working_days(last, first)
    days = (first + dt.timedelta(days=number) for number in range(1, (last - first).days + 1))
    return sum(1 for day in days if is_working_day(day))


def due_after(state: str, category: str, day: dt.date, answer_due_on: dt.date | None) -> dt.date | None:
    """The last day of the step that begins with `state` on `day`; None where nothing is left to do."""
    limits = limits_of(category)
    match state:
        case State.RECEIVED:
            return after(day, limits.accept)
        case State.ACCEPTED | State.ASSIGNED | State.RETURNED:
            return after(day, limits.start)
        case State.HANDLING:
            return answer_due_on
        case State.ANSWERED:
            return after(day, limits.revisit)
        case State.REVISITED:
            return after(day, limits.close)
    return None


def answer_due(category: str, day: dt.date) -> dt.date:
    """The last day for the answer to what was received, or taken up again, on `day`."""
    return after(day, limits_of(category).answer)


def days_left(opinion: Opinion, today: dt.date | None = None) -> int | None:
    """Working days until the present step is due; negative when it is overdue, None while nothing is due."""
    if opinion.due_on is None or opinion.paused_on is not None:
        return None
    return working_days(today or timezone.localdate(), opinion.due_on)


def is_overdue(opinion: Opinion, today: dt.date | None = None) -> bool:
    """Calendar days decide: what was due on Friday is overdue on Saturday."""
    day = today or timezone.localdate()
    return opinion.due_on is not None and opinion.paused_on is None and opinion.due_on < day


def in_words(opinion: Opinion, today: dt.date | None = None) -> str:
    """The deadline of the present step, as an officer reads it."""
    today = today or timezone.localdate()
    if opinion.due_on is None:
        return ""
    if opinion.paused_on is not None:
        return _("Paused since %(day)s") % {"day": opinion.paused_on.isoformat()}
    number = working_days(today, opinion.due_on)
    if opinion.due_on < today:
        # From Friday to the weekend no working day has passed; it is one day late all the same.
        late = max(-number, 1)
        return ngettext("%(number)d working day overdue", "%(number)d working days overdue", late) % {
            "number": late
        }
    if number <= 0:
        return _("Due today")
    return ngettext("%(number)d working day left", "%(number)d working days left", number) % {
        "number": number
    }
