"""Random lives: whatever people do, an opinion keeps one holder, one state, and an unbroken history."""

from __future__ import annotations

import datetime as dt
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import connection, transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outreach import life
from outreach.actions.opinions import StepConflict, take_step
from outreach.deadlines import is_working_day, limits_of
from outreach.models.opinion import Opinion, State
from tests.outreach.test_life import GIVEN, received, world

__all__ = ["world"]  # a fixture


def next_working_day(day: dt.date, number: int) -> dt.date:
    """Counted in the plainest way."""
    while number:
        day += dt.timedelta(days=1)
        number -= is_working_day(day)
    return day


def worked(first: dt.date, last: dt.date) -> int:
    count, day = 0, first
    while day < last:
        day += dt.timedelta(days=1)
        count += is_working_day(day)
    return count


def recomputed(opinion: Opinion) -> tuple[Any, ...]:
    """State, holder and deadlines, from the steps alone."""
    limits = limits_of(opinion.category)
    due = answer_due = paused = None
    state, holder, supervised = "", None, False
    for step in opinion.steps.order_by("number"):
        assert (step.from_state, step.from_unit_id) == (state, holder), "the history is broken"
        state, holder = step.to_state, step.to_unit_id
        match step.transition:
            case "receive":
                due = next_working_day(step.day, limits.accept)
                answer_due = next_working_day(step.day, limits.answer)
            case "piece":
                assert opinion.split_from is not None
                due, answer_due = next_working_day(step.day, limits.start), step.answer_due_on
            case "accept" | "assign" | "transfer" | "dispatch" | "return":
                due = next_working_day(step.day, limits.start)
            case "start":
                due = answer_due
            case "answer":
                due = next_working_day(step.day, limits.revisit)
            case "revisit":
                due = next_working_day(step.day, limits.close)
            case "reopen":
                due = answer_due = next_working_day(step.day, limits.answer)
            case "pause":
                paused = step.day
            case "resume":
                number = worked(paused, step.day)
                due, answer_due, paused = (
                    next_working_day(due, number),
                    next_working_day(answer_due, number),
                    None,
                )
            case "extend":
                answer_due = next_working_day(answer_due, step.days or 0)
                due = answer_due if state == State.HANDLING else due
            case "supervise":
                supervised = True
            case "close" | "decline" | "merge" | "split":
                due = None
    return state, holder, due, answer_due, paused, supervised


MOVES = st.lists(
    st.tuples(
        st.sampled_from([*life.TRANSITIONS, "answer", "start", "start", "assign", "accept", "later"]),
        st.integers(0, 4),
        st.integers(0, 5),
        st.integers(0, 3),
    ),
    min_size=3,
    max_size=20,
)
OFFICERS = ("community_officer", "unit_officer", "sibling_officer", "cousin_officer", "office")


class Undo(Exception):
    """Ends an example, so that the next one finds the tables as they were."""


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves=MOVES, honest=st.booleans())
def test_random_lives(world: SimpleNamespace, monkeypatch: Any, moves: list[Any], honest: bool) -> None:
    tree = world.tree
    units = [tree.own, tree.police, tree.sibling, tree.cousin, tree.street, tree.elsewhere_community]
    began = timezone.now()
    try:
        with transaction.atomic(), monkeypatch.context() as clock:
            now = began
            clock.setattr(timezone, "now", lambda: now)
            opinion = received(world)
            others = [received(world) for _turn in range(2)]
            for name, officer, unit, days in moves:
                if name == "later":
                    now += dt.timedelta(days=days * 3)
                    continue
                opinion.refresh_from_db()
                who = world.who(OFFICERS[officer])
                if honest and (holder := holder_of(world, opinion)):
                    who = holder
                details = {
                    **GIVEN.get(name, {}),
                    "reason": "说明",
                    "unit": units[unit],
                    "into": others[days % 2],
                }
                if name != "merge":
                    details.pop("into")
                stands = Opinion.objects.filter(pk=opinion.pk).values().get()
                try:
                    with transaction.atomic():
                        take_step(
                            by=who, opinion=opinion, transition=name, version=opinion.version, **details
                        )
                except (PermissionDenied, ValidationError):
                    assert Opinion.objects.filter(pk=opinion.pk).values().get() == stands
                for item in Opinion.objects.all():
                    holds = (item.state, item.responsible_id, item.due_on, item.answer_due_on)
                    assert (*holds, item.paused_on, item.is_supervised) == recomputed_of(item)
                    assert (
                        item.responsible_id == item.unit_id
                        or item.joint_units.filter(pk=item.responsible_id).exists()
                    )
                    assert [s.number for s in item.steps.all()] == list(range(1, item.steps.count() + 1))
            raise Undo
    except Undo:
        pass


def recomputed_of(item: Opinion) -> tuple[Any, ...]:
    found = recomputed(item)
    # A piece is supervised as the one that it came of.
    return (*found[:-1], found[-1] or (item.split_from is not None and item.is_supervised))


def holder_of(world: SimpleNamespace, opinion: Opinion) -> Any:
    for name in OFFICERS:
        actor = world.who(name)
        if actor.unit.pk == opinion.responsible_id:
            return actor
    return None


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_of_two_officers_at_once_one_wins(world: SimpleNamespace) -> None:
    opinion = received(world)
    barrier, results = threading.Barrier(2), []

    def act(name: str) -> None:
        try:
            mine = Opinion.objects.select_related("unit", "responsible").get(pk=opinion.pk)
            actor = world.who("community_officer")
            barrier.wait(10)
            take_step(by=actor, opinion=mine, transition=name, version=1, reason="不属实")
            results.append(name)
        except StepConflict as conflict:
            results.append(str(conflict))
        finally:
            connection.close()

    threads = [threading.Thread(target=act, args=(name,)) for name in ("accept", "decline")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    won = [r for r in results if r in {"accept", "decline"}]
    lost = [r for r in results if r not in {"accept", "decline"}]
    assert len(won) == len(lost) == 1
    assert world.people.community_officer.name in lost[0]
    assert opinion.steps.count() == 2
