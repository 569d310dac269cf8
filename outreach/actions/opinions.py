"""The steps of an opinion: each one conditional update, one row of history and one audit event, in one transaction."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from outreach import deadlines, life
from outreach.actions import effects
from outreach.life import Need, Party, Transition
from outreach.models.opinion import Opinion, OpinionStep, State
from programs import bell, registry
from programs.access import Actor
from programs.actions.audit import audit, changes_of
from programs.actions.records import check_rules, save_record, snapshot
from programs.models.people import User
from programs.models.unit import Unit

# What a step may change, told in the audit log.
LIFE = (
    "state",
    "responsible",
    "outcome",
    "satisfaction",
    "answer",
    "due_on",
    "answer_due_on",
    "answered_on",
    "on_time",
    "days_to_answer",
    "closed_at",
    "paused_on",
    "is_supervised",
    "merged_into",
    "voices",
    "is_released",
)
MOST_PIECES = 10


class StepConflict(Exception):
    """Somebody was faster; `current` is what stands now, `step` the last one taken (None: it was edited or removed)."""

    def __init__(self, current: Opinion, step: OpinionStep | None) -> None:
        super().__init__(f"{current.pk} is at version {current.version}")
        self.current = current
        self.step = step

    def __str__(self) -> str:
        if self.step is None:
            return _("Somebody else has changed this opinion meanwhile; see what stands there now.")
        return _("%(who)s has done this meanwhile at %(time)s: %(step)s. See what stands there now.") % {
            "who": self.step.by.name if self.step.by else _("The citizen"),
            "time": timezone.localtime(self.step.at).strftime("%Y-%m-%d %H:%M"),
            "step": life.DONE_WORDS.get(self.step.transition, self.step.transition),
        }


@dataclass
class Given:
    """What a step was given. Which of it a step asks for stands in `life.TRANSITIONS`."""

    reason: str = ""
    unit: Unit | None = None
    answer: str = ""
    outcome: str = ""
    satisfaction: str = ""
    into: Opinion | None = None
    pieces: Sequence[dict[str, str]] = ()
    days: int | None = None
    day: dt.date | None = None


def receive_opinion(
    *,
    by: Actor,
    values: dict[str, Any],
    joint_units: Sequence[Unit] = (),
    submission_key: uuid.UUID | None = None,
) -> Opinion:
    """A new opinion, entered by staff: as the form does, for who has no form."""
    record: Any = save_record(
        by=by,
        kind=registry.kind("opinions"),
        values=values,
        joint_units=joint_units,
        submission_key=submission_key,
    )
    return record


def receive_from_citizen(
    *,
    values: dict[str, Any],
    person: User,
    tracking_digest: str,
    submission_key: uuid.UUID | None = None,
) -> Opinion:
    """A new opinion from the public page. `person` stands for the portal itself; a key seen before gives back what it
    made. ValidationError by field."""
    kind = registry.kind("opinions")
    key = submission_key or uuid.uuid4()
    if twin := Opinion.objects.filter(submission_key=key).first():
        return twin
    opinion = Opinion(
        **values, tracking_digest=tracking_digest, submission_key=key, created_by=person, updated_by=person
    )
    kind.prepare(opinion)
    check_rules(opinion, [])
    if opinion.unit.closed_on is not None:
        raise ValidationError({"unit": _("This unit is closed.")})
    try:
        with transaction.atomic():
            opinion.save(force_insert=True)
            kind.created(None, [opinion.pk])
            audit(
                by=None,
                action="opinions.create",
                obj=opinion,
                unit=opinion.unit,
                changes=changes_of(opinion, {}, snapshot(opinion, [])),
            )
            bell.ring_on_commit()
    except IntegrityError:
        if twin := Opinion.objects.filter(submission_key=key).first():
            return twin
        raise
    return opinion


def take_step(
    *,
    by: Actor | None,
    opinion: Opinion,
    transition: str,
    version: int,
    at: dt.datetime | None = None,
    **given: Any,
) -> Opinion:
    """Take the step named `transition` from the opinion as it stood at `version`; the opinion as it stands then.

    `by` None stands for the citizen who holds its tracking code. `at` is when it was taken, if not now (the demo
    tells of past months). `given`: see `Given`. Raises PermissionDenied for who may not, StepConflict for who came
    too late, ValidationError by name of what was given.
    """
    step, details = life.TRANSITIONS[transition], Given(**given)
    now = at or timezone.now()
    with transaction.atomic():
        if details.into is not None:
            # Always in the same order, so that two merges never wait for each other.
            list(
                Opinion.objects.filter(pk__in=[opinion.pk, details.into.pk])
                .order_by("pk")
                .select_for_update()
                .values_list("pk")
            )
        found = Opinion.objects.present().filter(pk=opinion.pk, version=version)
        # The conditional update is the lock: of two steps from one version, one finds no row.
        won = found.update(version=version + 1, updated_at=now)
        current: Opinion = Opinion.objects.select_related("unit", "responsible").get(pk=opinion.pk)
        if not _who(by, opinion) & step.parties:
            raise PermissionDenied
        if not won:
            raise StepConflict(current, current.steps.select_related("by").last())
        # The person may have had a part in it only before what came between.
        if not _who(by, current) & step.parties:
            raise PermissionDenied
        _write(by, current, step, details, now)
        bell.ring_on_commit()
    return current


def _who(by: Actor | None, opinion: Opinion) -> frozenset[Party]:
    return frozenset({Party.CITIZEN}) if by is None else life.parties(by, opinion)


def _write(by: Actor | None, opinion: Opinion, step: Transition, given: Given, now: dt.datetime) -> None:
    if not life.is_possible(opinion, step):
        raise ValidationError(why_not(opinion), code="state")
    steps = list(opinion.steps.all())
    effects.check(opinion, step, given, steps, by)
    before = {name: getattr(opinion, name) for name in LIFE}
    from_state, from_unit = opinion.state, opinion.responsible
    today = timezone.localdate(now)
    day = given.day if Need.DAY in step.needs and given.day else today
    effects.apply(opinion, step, given, steps, day, now)
    if by is not None:
        opinion.updated_by = by.user
    opinion.save(update_fields=[*LIFE, "updated_by"])
    hand_to(opinion, opinion.responsible)
    last = steps[-1].number if steps else 0
    write_step(
        opinion,
        number=last + 1,
        transition=step.code,
        from_state=from_state,
        from_unit=from_unit,
        by=by.user if by else None,
        at=now,
        day=day,
        reason=given.reason,
        outcome=given.outcome if Need.OUTCOME in step.needs else "",
        satisfaction=given.satisfaction,
        answer=given.answer if Need.ANSWER in step.needs else "",
        days=given.days if Need.DAYS in step.needs else None,
        other=given.into if Need.INTO in step.needs else None,
    )
    after = {name: getattr(opinion, name) for name in LIFE}
    audit(
        by=by,
        action=f"opinions.{step.code}",
        obj=opinion,
        unit=opinion.unit,
        changes=changes_of(opinion, before, after),
        reason=given.reason,
    )
    if step.code == "merge" and given.into is not None:
        _absorb(by, opinion, given.into, now)
    elif step.code == "split":
        _make_pieces(by, opinion, given, now)


def why_not(opinion: Opinion) -> str:
    """In one sentence why an item is not where a step begins."""
    if opinion.is_removed:
        return _("This opinion was removed.")
    if opinion.paused_on is not None:
        return _("This opinion is paused; resume it first.")
    state = opinion.get_state_display()
    if opinion.state == State.CLOSED:
        return _("This opinion is closed. Reopen it if the matter is not settled.")
    return _("This cannot be done now: the opinion stands at “%(state)s”.") % {"state": state}


def hand_to(opinion: Opinion, unit: Unit) -> None:
    """A unit that holds the item, or held it, sees it and counts it apart."""
    if unit.pk != opinion.unit_id:
        opinion.joint_units.add(unit)


def write_step(opinion: Opinion, **values: Any) -> OpinionStep:
    return OpinionStep.objects.create(
        opinion=opinion,
        to_state=opinion.state,
        to_unit_id=opinion.responsible_id,
        due_on=opinion.due_on,
        answer_due_on=opinion.answer_due_on,
        **values,
    )


def _absorb(by: Actor | None, merged: Opinion, into: Opinion, now: dt.datetime) -> None:
    """The other item takes over the voices; who received the merged one goes on seeing what becomes of it."""
    target: Opinion = Opinion.objects.select_related("unit", "responsible").get(pk=into.pk)
    before = {"voices": target.voices}
    target.voices += merged.voices
    target.version += 1
    target.updated_at = now
    if by is not None:
        target.updated_by = by.user
    target.save(update_fields=["voices", "version", "updated_at", "updated_by"])
    hand_to(target, merged.unit)
    write_step(
        target,
        number=target.steps.count() + 1,
        transition=life.ABSORB,
        from_state=target.state,
        from_unit=target.responsible,
        by=by.user if by else None,
        at=now,
        day=timezone.localdate(now),
        other=merged,
    )
    changes = changes_of(target, before, {"voices": target.voices})
    audit(by=by, action=f"opinions.{life.ABSORB}", obj=target, unit=target.unit, changes=changes)


def _make_pieces(by: Actor | None, parent: Opinion, given: Given, now: dt.datetime) -> None:
    """Every piece is an accepted item of its own in the same hands; the citizen waits no longer for it."""
    if by is None:
        raise PermissionDenied
    joint = list(parent.joint_units.all())
    today = timezone.localdate(now)
    for piece in given.pieces:
        made = Opinion(
            **{name: getattr(parent, name) for name in ("unit", "occurred_on", "type", "channel", "content")},
            **{name: getattr(parent, name) for name in ("location", "citizen", "phone", "voices")},
            visit_number=parent.visit_number,
            title=piece["title"],
            category=piece["category"],
            created_by=by.user,
            updated_by=by.user,
            state=State.ACCEPTED,
            responsible=parent.responsible,
            split_from=parent,
            answer_due_on=parent.answer_due_on,
            is_supervised=parent.is_supervised,
        )
        made.due_on = deadlines.due_after(State.ACCEPTED, made.category, today, made.answer_due_on)
        check_rules(made, joint)
        made.save(force_insert=True)
        made.joint_units.set(joint)
        write_step(
            made,
            number=1,
            transition=life.PIECE,
            from_state="",
            from_unit=None,
            by=by.user,
            at=now,
            day=today,
            other=parent,
        )
        changes = changes_of(made, {}, snapshot(made, joint))
        audit(by=by, action="opinions.create", obj=made, unit=made.unit, changes=changes)


def first_steps(by: Actor | None, keys: Sequence[int]) -> list[OpinionStep]:
    """The first step of new opinions, not yet written."""
    rows = Opinion.objects.filter(pk__in=keys).values_list(
        "pk", "responsible_id", "due_on", "answer_due_on", "occurred_on", "created_at"
    )
    return [
        OpinionStep(
            opinion_id=pk,
            number=1,
            transition=life.RECEIVE,
            to_state=State.RECEIVED,
            to_unit_id=unit,
            by=by.user if by else None,
            at=at,
            day=day,
            due_on=due,
            answer_due_on=answer_due,
        )
        for pk, unit, due, answer_due, day, at in rows
    ]
