"""What a step asks for and what it does to the opinion. Nothing here writes to a table."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext as _

from outreach import deadlines, life
from outreach.life import Need, Transition
from outreach.models.opinion import MOST_VOICES, Opinion, OpinionStep, State
from programs.access import Actor
from programs.models.unit import Unit
from programs.text import check_text

if TYPE_CHECKING:
    from outreach.actions.opinions import Given

LEAST_REASON = 2
LONGEST_REASON = 1000
LONGEST_ANSWER = 5000


def check(
    opinion: Opinion, step: Transition, given: Given, steps: Sequence[OpinionStep], by: Actor | None
) -> None:
    """ValidationError by name of what is missing or not right."""
    errors: dict[str, Any] = {}
    for need in step.needs:
        try:
            CHECKS[need](opinion, step, given, steps, by)
        except ValidationError as error:
            errors[need.value if need is not Need.NOTE else "reason"] = error
    if given.satisfaction and given.satisfaction not in Opinion.Satisfaction.values:
        errors["satisfaction"] = ValidationError(_("Choose one of the answers."))
    if errors:
        raise ValidationError(errors)
    if step.code == "pause" and opinion.due_on is not None and timezone.localdate() > opinion.due_on:
        raise ValidationError(_("It is overdue already; only what is in time can be paused."), code="overdue")
    if step.code == "return":
        _came_from(opinion, steps)


Check = Callable[[Opinion, Transition, "Given", Sequence[OpinionStep], Actor | None], None]


def _note(
    opinion: Opinion, step: Transition, given: Given, steps: Sequence[OpinionStep], by: Actor | None
) -> None:
    check_text(given.reason)
    if len(given.reason) > LONGEST_REASON:
        raise ValidationError(_("At most %(number)d characters.") % {"number": LONGEST_REASON})


def _reason(
    opinion: Opinion, step: Transition, given: Given, steps: Sequence[OpinionStep], by: Actor | None
) -> None:
    _note(opinion, step, given, steps, by)
    if len(given.reason.strip()) < LEAST_REASON:
        raise ValidationError(_("Say why, in a few words."), code="required")


def _unit(
    opinion: Opinion, step: Transition, given: Given, steps: Sequence[OpinionStep], by: Actor | None
) -> None:
    unit = given.unit
    if unit is None:
        raise ValidationError(_("Name the unit."), code="required")
    if unit.merged_into_id is not None:
        raise ValidationError(
            _("%(unit)s was merged into %(other)s; name that one.")
            % {"unit": unit.name, "other": unit.merged_into},
            code="merged",
        )
    if unit.closed_on is not None:
        raise ValidationError(
            _("%(unit)s was closed on %(date)s.") % {"unit": unit.name, "date": unit.closed_on}, code="closed"
        )
    if unit.root_id != opinion.unit.root_id:
        raise ValidationError(_("This unit lies in another district."), code="elsewhere")
    if unit.pk == opinion.responsible_id:
        raise ValidationError(_("This unit has it already."), code="same")
    held = life.ever_held(steps) if step.code == "transfer" else set(life.path_of(steps))
    if step.code != "dispatch" and unit.pk in held:
        raise ValidationError(
            _("%(unit)s had it before; it would go round in a circle. Use “Return”.") % {"unit": unit.name},
            code="circle",
        )


def _answer(
    opinion: Opinion, step: Transition, given: Given, steps: Sequence[OpinionStep], by: Actor | None
) -> None:
    check_text(given.answer)
    if not given.answer.strip():
        raise ValidationError(_("Write the answer as the citizen will read it."), code="required")
    if len(given.answer) > LONGEST_ANSWER:
        raise ValidationError(_("At most %(number)d characters.") % {"number": LONGEST_ANSWER})


def _outcome(
    opinion: Opinion, step: Transition, given: Given, steps: Sequence[OpinionStep], by: Actor | None
) -> None:
    if given.outcome not in Opinion.Outcome.values:
        raise ValidationError(_("Say what came of it."), code="required")


def _day(
    opinion: Opinion, step: Transition, given: Given, steps: Sequence[OpinionStep], by: Actor | None
) -> None:
    if given.day is None:
        return
    if given.day > timezone.localdate():
        raise ValidationError(_("This date is in the future; log what has taken place."), code="future")
    if given.day < opinion.occurred_on:
        raise ValidationError(
            _("It was received on %(day)s only.") % {"day": opinion.occurred_on}, code="before_receipt"
        )
    reopened = [s.day for s in steps if s.transition == "reopen"]
    if reopened and given.day < reopened[-1]:
        raise ValidationError(
            _("It was reopened on %(day)s only.") % {"day": reopened[-1]}, code="before_reopening"
        )


def _satisfaction(
    opinion: Opinion, step: Transition, given: Given, steps: Sequence[OpinionStep], by: Actor | None
) -> None:
    if given.satisfaction not in Opinion.Satisfaction.values:
        raise ValidationError(_("Say how satisfied the citizen is."), code="required")


def _into(
    opinion: Opinion, step: Transition, given: Given, steps: Sequence[OpinionStep], by: Actor | None
) -> None:
    into = given.into
    if into is None:
        raise ValidationError(_("Name the opinion that goes on."), code="required")
    if into.pk == opinion.pk:
        raise ValidationError(_("An opinion cannot be merged into itself."), code="same")
    target = Opinion.objects.select_related("unit", "responsible").get(pk=into.pk)
    if target.is_removed or target.state not in life.OPEN:
        raise ValidationError(_("That opinion is not open any more."), code="ended")
    if by is None or not life.parties(by, target):
        raise ValidationError(_("That opinion is in the hands of another unit."), code="elsewhere")
    if target.voices + opinion.voices > MOST_VOICES:
        raise ValidationError(_("These are too many voices for one opinion."), code="too_many")


def _pieces(
    opinion: Opinion, step: Transition, given: Given, steps: Sequence[OpinionStep], by: Actor | None
) -> None:
    from outreach.actions.opinions import MOST_PIECES

    if not 2 <= len(given.pieces) <= MOST_PIECES:
        raise ValidationError(
            _("Name two problems at least, and %(number)d at most.") % {"number": MOST_PIECES},
            code="required",
        )
    for piece in given.pieces:
        check_text(piece.get("title", ""))
        title = piece.get("title", "").strip()
        if not title or len(title) > 100 or piece.get("category") not in Opinion.Category.values:
            raise ValidationError(_("Every problem needs a subject and a category."), code="incomplete")


def _days(
    opinion: Opinion, step: Transition, given: Given, steps: Sequence[OpinionStep], by: Actor | None
) -> None:
    if given.days is None or not 1 <= given.days <= deadlines.LONGEST_EXTENSION:
        raise ValidationError(
            _("From 1 to %(number)d working days.") % {"number": deadlines.LONGEST_EXTENSION}, code="range"
        )
    if opinion.answer_due_on is not None and timezone.localdate() > opinion.answer_due_on:
        raise ValidationError(
            _("It is overdue already; a deadline is extended before it ends."), code="overdue"
        )
    if sum(1 for s in steps if s.transition == "extend") >= deadlines.MOST_EXTENSIONS:
        raise ValidationError(
            _("The deadline was extended %(number)d times already.") % {"number": deadlines.MOST_EXTENSIONS},
            code="too_often",
        )


CHECKS: dict[Need, Check] = {
    Need.REASON: _reason,
    Need.NOTE: _note,
    Need.UNIT: _unit,
    Need.ANSWER: _answer,
    Need.OUTCOME: _outcome,
    Need.DAY: _day,
    Need.SATISFACTION: _satisfaction,
    Need.INTO: _into,
    Need.PIECES: _pieces,
    Need.DAYS: _days,
}


def _came_from(opinion: Opinion, steps: Sequence[OpinionStep]) -> Unit:
    """The unit that handed the item to where it lies, or the one that carries on its work."""
    path = life.path_of(steps)
    if len(path) < 2:
        raise ValidationError(_("No unit handed it here; there is nobody to return it to."), code="first")
    unit = Unit.objects.get(pk=path[-2])
    while unit.merged_into_id is not None:
        unit = Unit.objects.get(pk=unit.merged_into_id)
    if unit.closed_on is not None:
        unit = opinion.unit
    if unit.closed_on is not None or unit.pk == opinion.responsible_id:
        raise ValidationError(
            _("The unit that handed it here is closed; ask the office to assign it."), code="closed"
        )
    return unit


def apply(
    opinion: Opinion,
    step: Transition,
    given: Given,
    steps: Sequence[OpinionStep],
    day: dt.date,
    now: dt.datetime,
) -> None:
    """Change the opinion as the step says; its deadlines last, from what stands then."""
    match step.code:
        case "assign" | "transfer" | "dispatch":
            opinion.responsible = given.unit
        case "return":
            opinion.responsible = _came_from(opinion, steps)
        case "answer":
            opinion.answer, opinion.outcome, opinion.answered_on = given.answer, given.outcome, day
            opinion.on_time = opinion.answer_due_on is None or day <= opinion.answer_due_on
            opinion.days_to_answer = (day - opinion.occurred_on).days
        case "revisit":
            opinion.satisfaction = given.satisfaction
        case "close":
            opinion.closed_at = now
        case "merge":
            opinion.merged_into = given.into
        case "reopen":
            _take_back_answer(opinion)
            opinion.answer_due_on = deadlines.answer_due(opinion.category, day)
        case "supervise":
            opinion.is_supervised = True
        case "pause":
            opinion.paused_on = day
        case "resume":
            _shift(opinion, deadlines.working_days(opinion.paused_on or day, day))
            opinion.paused_on = None
        case "extend":
            opinion.answer_due_on = deadlines.after(opinion.answer_due_on or day, given.days or 0)
            if opinion.state == State.HANDLING:
                opinion.due_on = opinion.answer_due_on
    if step.to is not None:
        opinion.state = step.to
        opinion.due_on = deadlines.due_after(step.to, opinion.category, day, opinion.answer_due_on)


def _take_back_answer(opinion: Opinion) -> None:
    """The steps keep what was said."""
    opinion.answer = opinion.outcome = opinion.satisfaction = ""
    opinion.answered_on = opinion.on_time = opinion.days_to_answer = opinion.closed_at = None
    opinion.is_released = False


def _shift(opinion: Opinion, number: int) -> None:
    """Give back the working days that the clock stood still."""
    if opinion.due_on is not None:
        opinion.due_on = deadlines.after(opinion.due_on, number)
    if opinion.answer_due_on is not None:
        opinion.answer_due_on = deadlines.after(opinion.answer_due_on, number)
