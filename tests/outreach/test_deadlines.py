"""Working days of China, and what is due when."""

from __future__ import annotations

import datetime as dt

import pytest
from django.utils import translation

from outreach import deadlines
from outreach.models.opinion import Opinion


@pytest.mark.parametrize(
    ("day", "works"),
    [
        (dt.date(2026, 10, 1), False),  # National Day
        (dt.date(2026, 10, 10), True),  # a Saturday that makes up for it
        (dt.date(2026, 10, 11), False),
        (dt.date(2026, 11, 23), True),
        (dt.date(2026, 12, 31), True),
        (dt.date(2027, 1, 1), True),  # a Friday of a year not announced: weekdays only
        (dt.date(2027, 1, 2), False),
    ],
)
def test_working_days(day: dt.date, works: bool) -> None:
    assert deadlines.is_working_day(day) is works
    assert deadlines.is_certain(day) is (day.year <= 2026)


def test_counting_there_and_back() -> None:
    day = dt.date(2026, 9, 25)
    for number in range(40):
        last = deadlines.after(day, number)
        assert deadlines.working_days(day, last) == number
        assert deadlines.working_days(last, day) == -number


def test_over_the_national_holiday() -> None:
    assert deadlines.after(dt.date(2026, 9, 30), 1) == dt.date(2026, 10, 8)
    assert deadlines.after(dt.date(2026, 10, 9), 1) == dt.date(2026, 10, 10)


@translation.override("en")
def test_the_deadline_in_words() -> None:
    opinion = Opinion(due_on=dt.date(2026, 11, 20))
    assert deadlines.in_words(opinion, dt.date(2026, 11, 20)) == "Due today"
    assert deadlines.in_words(opinion, dt.date(2026, 11, 18)) == "2 working days left"
    # Due on Friday: on Saturday it is overdue, though no working day has passed.
    assert deadlines.is_overdue(opinion, dt.date(2026, 11, 21))
    assert deadlines.in_words(opinion, dt.date(2026, 11, 21)) == "1 working day overdue"
    assert deadlines.in_words(opinion, dt.date(2026, 11, 24)) == "2 working days overdue"
    opinion.paused_on = dt.date(2026, 11, 19)
    assert not deadlines.is_overdue(opinion, dt.date(2026, 12, 1))
