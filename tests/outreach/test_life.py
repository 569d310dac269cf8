"""The life of an opinion: who may take which step from where, what it does, and what is refused."""

from __future__ import annotations

import datetime as dt
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.utils import timezone

from outreach import deadlines, life
from outreach.actions.opinions import StepConflict, receive_opinion, take_step
from outreach.life import Party
from outreach.models.opinion import Opinion, OpinionStep, State
from programs import registry
from programs.access import Actor, visible
from programs.models.audit import AuditEvent

VALUES = {
    "title": "路灯不亮",
    "type": "problem",
    "category": "traffic",
    "channel": "telephone",
    "content": "巷口路灯坏了",
    "location": "城隍浦巷",
    "citizen": "张三",
    "phone": "13800138000",
}


@pytest.fixture
def world(tree: SimpleNamespace, people: SimpleNamespace, make_user: Any) -> SimpleNamespace:
    people.sibling_officer = make_user("sibling", "community_officer", tree.sibling)
    people.cousin_officer = make_user("cousin", "community_officer", tree.cousin)
    return SimpleNamespace(tree=tree, people=people, who=lambda name: Actor.of(getattr(people, name)))


def received(world: Any, by: str = "community_officer", **values: Any) -> Opinion:
    actor = world.who(by)
    given = {**VALUES, "occurred_on": timezone.localdate(), "unit": actor.unit, **values}
    return receive_opinion(by=actor, values=given)


GIVEN: dict[str, dict[str, Any]] = {
    "answer": {"answer": "已更换路灯", "outcome": "solved"},
    "revisit": {"satisfaction": "satisfied"},
    "extend": {"days": 3},
    "split": {
        "pieces": [{"title": "路灯", "category": "traffic"}, {"title": "垃圾", "category": "environment"}]
    },
}


def step(world: Any, opinion: Opinion, name: str, by: str = "community_officer", **given: Any) -> Opinion:
    details = {**GIVEN.get(name, {}), "reason": "情况说明", **given}
    opinion.refresh_from_db()
    actor = None if by == "citizen" else world.who(by)
    return take_step(by=actor, opinion=opinion, transition=name, version=opinion.version, **details)


WAYS: dict[str, list[str]] = {
    State.RECEIVED: [],
    State.ACCEPTED: ["accept"],
    State.ASSIGNED: ["accept", "assign"],
    State.HANDLING: ["accept", "assign", "start"],
    State.RETURNED: ["accept", "assign", "return"],
    State.ANSWERED: ["accept", "assign", "start", "answer"],
    State.REVISITED: ["accept", "assign", "start", "answer", "revisit"],
    State.CLOSED: ["accept", "assign", "start", "answer", "revisit", "close"],
    State.DECLINED: ["decline"],
    State.MERGED: ["accept", "merge"],
    State.SPLIT: ["accept", "split"],
}
AT_POLICE = {"start", "answer", "return"}


def brought_to(world: Any, state: str) -> Opinion:
    opinion = received(world)
    for name in WAYS[state]:
        given: dict[str, Any] = {}
        if name == "assign":
            given["unit"] = world.tree.police
        if name == "merge":
            given["into"] = received(world)
        by = "unit_officer" if name in AT_POLICE else "community_officer"
        opinion = step(world, opinion, name, by, **given)
    assert opinion.state == state
    return opinion


PERSONS = (
    "community_officer",
    "unit_officer",
    "sibling_officer",
    "street_officer",
    "office",
    "leader",
    "auditor",
    "administrator",
    "counsellor",
    "outsider",
    "citizen",
)
# Worked out from where the item lies alone: who holds it, who received it.
AT_RECEIVER = {State.RECEIVED, State.ACCEPTED, State.RETURNED, State.DECLINED, State.MERGED, State.SPLIT}


def who_is(name: str, state: str) -> set[Party]:
    found = set()
    if name == "community_officer":
        found.add(Party.RECEIVER)
    if name == ("community_officer" if state in AT_RECEIVER else "unit_officer"):
        found.add(Party.RESPONSIBLE)
    if name == "office":
        found.add(Party.OFFICE)
    if name == "citizen":
        found.add(Party.CITIZEN)
    return found


def row(opinion: Opinion) -> dict[str, Any]:
    return Opinion.objects.filter(pk=opinion.pk).values().get()


@pytest.mark.parametrize("state", list(WAYS))
def test_every_step_by_everybody_from_this_state(world: SimpleNamespace, state: str) -> None:
    """Every transition × person from one state: taken exactly when the table says so, and nothing changes else."""
    allowed = 0
    opinion = brought_to(world, state)
    for name, transition in life.TRANSITIONS.items():
        for person in PERSONS:
            before = row(opinion), opinion.steps.count(), AuditEvent.objects.count()
            may = bool(who_is(person, state) & transition.parties)
            possible = state in transition.sources and name != "resume"
            if name == "return" and state in AT_RECEIVER:
                possible = False
            given: dict[str, Any] = {"unit": world.tree.cousin}
            if name == "merge":
                given["into"] = received(
                    world, "unit_officer" if person == "unit_officer" else "community_officer"
                )
                before = row(opinion), opinion.steps.count(), AuditEvent.objects.count()
            from django.db import transaction

            try:
                with transaction.atomic():
                    after = step(world, opinion, name, person, **given)
                    assert may and possible, (state, name, person)
                    assert after.state == (transition.to or state)
                    assert after.version == before[0]["version"] + 1
                    assert after.steps.last().transition == name
                    allowed += 1
                    raise Undo
            except Undo:
                continue
            except PermissionDenied:
                assert not may, (state, name, person)
            except ValidationError:
                assert may and not possible, (state, name, person)
            assert (row(opinion), opinion.steps.count(), AuditEvent.objects.count()) == before
    expected = {State.DECLINED: 0, State.MERGED: 0, State.SPLIT: 0}
    assert allowed == expected.get(State(state), allowed)
    if state not in expected:
        assert allowed > 0


class Undo(Exception):
    """Ends a trial whose writing is taken back."""


def test_a_unit_that_was_handed_an_item_sees_it_and_others_do_not(world: SimpleNamespace) -> None:
    opinion = received(world)
    sees = lambda name: visible(Opinion.objects.all(), world.who(name)).filter(pk=opinion.pk).exists()  # noqa: E731
    assert sees("community_officer") and sees("street_officer") and not sees("unit_officer")
    step(world, opinion, "accept")
    step(world, opinion, "assign", unit=world.tree.police)
    assert sees("unit_officer") and not sees("sibling_officer")
    step(world, opinion, "transfer", "unit_officer", unit=world.tree.sibling)
    # Who had it goes on seeing what became of it.
    assert sees("unit_officer") and sees("sibling_officer")


def test_the_deadline_of_every_step(world: SimpleNamespace) -> None:
    today = timezone.localdate()
    opinion = received(world)
    assert (opinion.due_on, opinion.answer_due_on) == (deadlines.after(today, 2), deadlines.after(today, 15))
    assert opinion.responsible == world.tree.own
    opinion = step(world, opinion, "accept")
    opinion = step(world, opinion, "start")
    assert opinion.due_on == deadlines.after(today, 15)
    opinion = step(world, opinion, "extend", days=3)
    assert opinion.due_on == opinion.answer_due_on == deadlines.after(today, 18)
    opinion = step(world, opinion, "answer")
    assert opinion.on_time is True and opinion.days_to_answer == 0
    assert opinion.due_on == deadlines.after(today, 5)
    opinion = step(world, opinion, "reopen", "citizen", satisfaction="dissatisfied")
    assert opinion.state == State.HANDLING and opinion.outcome == "" and opinion.answered_on is None
    assert opinion.steps.get(transition="answer").outcome == "solved"
    assert opinion.answer_due_on == deadlines.after(today, 15)


def test_a_late_answer_is_late(world: SimpleNamespace) -> None:
    opinion = received(world, occurred_on=timezone.localdate() - dt.timedelta(days=60))
    for name in ("accept", "start"):
        step(world, opinion, name)
    opinion = step(world, opinion, "answer")
    assert opinion.on_time is False and opinion.days_to_answer == 60


@pytest.mark.parametrize(
    ("name", "given", "at"),
    [
        ("answer", {"answer": " "}, "answer"),
        ("answer", {"outcome": "wonderful"}, "outcome"),
        ("answer", {"day": dt.date(2020, 1, 1)}, "day"),
        ("answer", {"day": dt.date(2100, 1, 1)}, "day"),
        ("transfer", {"reason": ""}, "reason"),
        ("transfer", {"unit": None}, "unit"),
        ("transfer", {"reason": "\x00 nul"}, "reason"),
        ("extend", {"days": 0}, "days"),
        ("extend", {"days": 16}, "days"),
        ("split", {"pieces": [{"title": "一", "category": "other"}]}, "pieces"),
        ("split", {"pieces": [{"title": "", "category": "other"}] * 2}, "pieces"),
    ],
)
def test_what_is_not_right_is_said_at_its_field(
    world: SimpleNamespace, name: str, given: dict[str, Any], at: str
) -> None:
    opinion = received(world)
    for before in ("accept", "start"):
        opinion = step(world, opinion, before)
    stands = row(opinion)
    with pytest.raises(ValidationError) as refused:
        step(world, opinion, name, **given)
    assert at in refused.value.error_dict
    assert row(opinion) == stands


def test_units_that_cannot_be_handed_to(world: SimpleNamespace) -> None:
    tree = world.tree
    opinion = step(world, received(world), "accept")

    def refusal(unit: Any, name: str = "assign", by: str = "community_officer") -> str:
        with pytest.raises(ValidationError) as refused:
            step(world, opinion, name, by, unit=unit)
        return refused.value.error_dict["unit"][0].code

    assert refusal(tree.elsewhere_community) == "elsewhere"
    assert refusal(tree.own) == "same"
    tree.school.closed_on = timezone.localdate()
    assert refusal(tree.school) == "closed"
    tree.school.merged_into = tree.sibling
    assert refusal(tree.school) == "merged"
    step(world, opinion, "assign", unit=tree.police)
    assert refusal(tree.own, "transfer", "unit_officer") == "circle"
    step(world, opinion, "transfer", "unit_officer", unit=tree.sibling)
    assert refusal(tree.police, "transfer", "sibling_officer") == "circle"
    back = step(world, opinion, "return", "sibling_officer")
    assert back.responsible == tree.police and back.state == State.RETURNED


def test_pausing_stops_the_clock_and_everything_else(world: SimpleNamespace) -> None:
    opinion = step(world, received(world), "accept")
    opinion = step(world, opinion, "pause")
    assert deadlines.days_left(opinion) is None
    with pytest.raises(ValidationError):
        step(world, opinion, "start")
    Opinion.objects.filter(pk=opinion.pk).update(paused_on=timezone.localdate() - dt.timedelta(days=14))
    opinion.refresh_from_db()
    due, began = opinion.answer_due_on, opinion.paused_on
    opinion = step(world, opinion, "resume")
    assert due and began
    assert opinion.answer_due_on == deadlines.after(due, deadlines.working_days(began, timezone.localdate()))
    assert opinion.paused_on is None


def test_what_is_overdue_is_neither_paused_nor_extended(world: SimpleNamespace) -> None:
    opinion = received(world, occurred_on=timezone.localdate() - dt.timedelta(days=90))
    opinion = step(world, opinion, "accept")
    opinion = step(world, opinion, "start")
    for name in ("pause", "extend"):
        with pytest.raises(ValidationError):
            step(world, opinion, name)


def test_a_deadline_is_extended_twice_at_most(world: SimpleNamespace) -> None:
    opinion = step(world, received(world), "accept")
    for _turn in range(deadlines.MOST_EXTENSIONS):
        opinion = step(world, opinion, "extend")
    with pytest.raises(ValidationError) as refused:
        step(world, opinion, "extend")
    assert refused.value.error_dict["days"][0].code == "too_often"


def test_merging_keeps_the_voices_and_the_eyes(world: SimpleNamespace) -> None:
    into = received(world, voices=3)
    merged = step(world, received(world, voices=4), "merge", into=into)
    into.refresh_from_db()
    assert (into.voices, into.version, merged.state, merged.merged_into) == (7, 2, State.MERGED, into)
    assert [s.transition for s in into.steps.all()] == ["receive", "absorb"]
    with pytest.raises(ValidationError):
        step(world, received(world), "merge", into=merged)
    with pytest.raises(ValidationError):
        step(world, into, "merge", into=into)


def test_a_merge_reaches_nothing_in_other_hands(world: SimpleNamespace) -> None:
    theirs = received(world, "sibling_officer")
    with pytest.raises(ValidationError) as refused:
        step(world, received(world), "merge", into=theirs)
    assert refused.value.error_dict["into"][0].code == "elsewhere"


def test_splitting_makes_items_of_their_own_counted_once(world: SimpleNamespace) -> None:
    parent = step(world, received(world), "accept")
    parent = step(world, parent, "split")
    pieces = list(parent.pieces.order_by("pk"))
    assert [(p.title, p.state, p.responsible, p.occurred_on) for p in pieces] == [
        (title, State.ACCEPTED, parent.responsible, parent.occurred_on) for title in ("路灯", "垃圾")
    ]
    counted = registry.kind("opinions").indicator("opinions.collected").filter
    assert counted is not None
    assert list(Opinion.objects.filter(counted).order_by("pk")) == pieces


def test_the_loser_of_a_race_is_told_who_did_what(world: SimpleNamespace) -> None:
    opinion = received(world)
    step(world, opinion, "accept")
    stale = Opinion.objects.get(pk=opinion.pk)
    with pytest.raises(StepConflict) as lost:
        take_step(
            by=world.who("community_officer"), opinion=stale, transition="decline", version=1, reason="不属实"
        )
    assert lost.value.step is not None and lost.value.step.transition == "accept"
    assert world.people.community_officer.name in str(lost.value)


def test_an_item_at_work_is_not_edited_or_removed_by_hand(world: SimpleNamespace, sign_in: Any) -> None:
    from programs.actions import remove_record, save_record

    kind, actor = registry.kind("opinions"), world.who("community_officer")
    opinion = received(world)
    changed: Any = save_record(by=actor, kind=kind, values={"category": "order"}, record=opinion)
    assert changed.answer_due_on == deadlines.answer_due("order", opinion.occurred_on)
    step(world, opinion, "accept")
    opinion.refresh_from_db()
    with pytest.raises(ValidationError):
        save_record(by=actor, kind=kind, values={"title": "别的"}, record=opinion)
    with pytest.raises(ValidationError):
        remove_record(by=actor, kind=kind, record=opinion, reason="试试")
    client = sign_in(world.people.community_officer)
    page = client.get(f"/records/opinions/{opinion.pk}/").content.decode()
    assert f"/records/opinions/{opinion.pk}/edit/" not in page


def test_spreadsheets_bring_items_with_their_first_step_and_take_them_back(world: SimpleNamespace) -> None:
    from programs.actions.bulk import NewRow, save_records, take_back_records

    kind, actor = registry.kind("opinions"), world.who("community_officer")
    rows = [
        NewRow(n, {**VALUES, "unit": world.tree.own.pk, "occurred_on": timezone.localdate(), "voices": 1})
        for n in (2, 3)
    ]
    written = save_records(by=actor, kind=kind, new=rows, upload_id=7)
    one, two = Opinion.objects.order_by("pk")
    single = received(world)
    for opinion in (one, two):
        assert (opinion.responsible, opinion.due_on, opinion.answer_due_on) == (
            single.responsible,
            single.due_on,
            single.answer_due_on,
        )
        assert [s.transition for s in opinion.steps.all()] == ["receive"]
    step(world, two, "accept")
    assert written.first_pk and written.last_pk
    taken = take_back_records(by=actor, kind=kind, upload_id=7, within=(written.first_pk, written.last_pk))
    assert taken.deleted == 1 and [left.pk for left in taken.left] == [two.pk]
    assert not OpinionStep.objects.filter(opinion_id=one.pk).exists()
    assert two.steps.count() == 2


def test_a_spreadsheet_changes_no_item_at_work(world: SimpleNamespace) -> None:
    from programs.actions.bulk import ChangedRow, Outdated, save_records

    kind, actor = registry.kind("opinions"), world.who("community_officer")
    opinion = received(world)
    row_of = ChangedRow(2, opinion.pk, 1, {"category": "order"})
    save_records(by=actor, kind=kind, new=[], changed=[row_of], upload_id=7)
    opinion.refresh_from_db()
    assert opinion.answer_due_on == deadlines.answer_due("order", opinion.occurred_on)
    opinion = step(world, opinion, "accept")
    again = ChangedRow(2, opinion.pk, opinion.version, {"category": "other"})
    with pytest.raises(Outdated):
        save_records(by=actor, kind=kind, new=[], changed=[again], upload_id=8)
