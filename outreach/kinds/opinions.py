"""Opinions and problems of citizens.

Figures count matters by the day of receipt: what became of the opinions received in a month, whenever it did. An
opinion that was merged is not counted beside the one that goes on, nor one that was split beside its pieces.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import Count, Q, Sum
from django.utils.translation import gettext_lazy as _

from outreach import deadlines, life
from outreach.actions.opinions import first_steps
from outreach.forms.opinions import OpinionForm
from outreach.models.opinion import Opinion, State
from outreach.sheets import OpinionSheet
from programs.access import Actor
from programs.actions import bulk_rows
from programs.registry import (
    Action,
    Average,
    Indicator,
    Measure,
    Promise,
    Rate,
    RecordKind,
    Text,
    register,
)

COUNTED = ~Q(state__in=(State.MERGED, State.SPLIT))
# Steps are written for so many opinions at a time.
SOME = 1_000


def _of(**more: Any) -> Q:
    return Q(COUNTED, **more)


REVISITED = _of(satisfaction__in=("satisfied", "partly", "dissatisfied"))


@register
class OpinionKind(RecordKind):
    code = "opinions"
    model, form, sheet = Opinion, OpinionForm, OpinionSheet
    action = Action.LISTENING
    icon = "messages"
    title = "title"
    columns = [
        "occurred_on",
        "title",
        "unit",
        "category",
        "channel",
        "state",
        "responsible",
        "due_on",
        "voices",
    ]
    filters = [
        "unit",
        "occurred_on",
        "state",
        "responsible",
        "category",
        "type",
        "channel",
        "outcome",
        "is_supervised",
    ]
    search = ["title", "location"]
    sorts = ["occurred_on", "voices", "created_at"]
    prepared = ["responsible", "due_on", "answer_due_on"]
    belongings = ["steps"]
    verbs = life.DONE_WORDS
    nobody = _("The citizen")
    detail_template = "outreach/opinion_detail.html"
    indicators = [
        Indicator(
            "opinions.collected",
            _("Opinions collected"),
            Count("pk"),
            Measure.ITEMS,
            filter=COUNTED,
            description=_(
                "Opinions and problems of citizens by day of receipt. Those merged into another, and those split "
                "into several, are left out: the one that goes on, and the pieces, are counted."
            ),
            splits=("category", "channel"),
        ),
        Indicator(
            "opinions.voices",
            _("Voices"),
            Sum("voices"),
            Measure.PERSON_TIMES,
            filter=COUNTED,
            description=_("People who raised them, counted once for each matter."),
        ),
        Indicator(
            "opinions.answered",
            _("Opinions answered"),
            Count("pk"),
            Measure.ITEMS,
            filter=_of(answered_on__isnull=False),
            description=_("Of the opinions received in the period, those that have an answer."),
            splits=("category", "channel"),
        ),
        Indicator(
            "opinions.solved",
            _("Problems solved"),
            Count("pk"),
            Measure.ITEMS,
            filter=_of(outcome=Opinion.Outcome.SOLVED),
            description=_("Those whose outcome is “solved”; explained or handed over is not solved."),
            splits=("category", "channel"),
        ),
        Indicator(
            "opinions.on_time",
            _("Answered on time"),
            Count("pk"),
            Measure.ITEMS,
            filter=Q(_of(answered_on__isnull=False), on_time=True),
            description=_("Answered on or before the day that was due, pauses and extensions included."),
        ),
        Indicator(
            "opinions.revisited",
            _("Opinions revisited"),
            Count("pk"),
            Measure.ITEMS,
            filter=REVISITED,
            description=_("Those whose citizen said how satisfied they are."),
        ),
        Indicator(
            "opinions.satisfied",
            _("Citizens satisfied"),
            Count("pk"),
            Measure.ITEMS,
            filter=Q(REVISITED, satisfaction=Opinion.Satisfaction.SATISFIED),
            description=_("Of those revisited, the ones whose citizen is satisfied."),
        ),
        Indicator(
            "opinions.days_to_answer",
            _("Days to answer, added up"),
            Sum("days_to_answer"),
            Measure.DAYS,
            filter=_of(answered_on__isnull=False),
            description=_("Calendar days from receipt to answer, added up; the average is made of it."),
        ),
    ]
    derived = [
        Rate(
            "opinions.answered_rate",
            _("Rate answered"),
            of=("opinions.answered", "opinions.collected"),
            description=_("Opinions answered in percent of those collected."),
        ),
        Rate(
            "opinions.solved_rate",
            _("Rate solved"),
            of=("opinions.solved", "opinions.collected"),
            description=_("Problems solved in percent of opinions collected."),
        ),
        Rate(
            "opinions.on_time_rate",
            _("Rate on time"),
            of=("opinions.on_time", "opinions.answered"),
            description=_("Answered on time in percent of those answered."),
        ),
        Rate(
            "opinions.satisfaction_rate",
            _("Rate of satisfaction"),
            of=("opinions.satisfied", "opinions.revisited"),
            description=_("Citizens satisfied in percent of those revisited."),
        ),
        Average(
            "opinions.days_each",
            _("Average days to answer"),
            of=("opinions.days_to_answer", "opinions.answered"),
            description=_("Calendar days from receipt to answer, for each opinion answered."),
        ),
    ]
    promises = {
        Promise.CHANNEL: ["opinions.collected"],
        Promise.RESOLUTION: ["opinions.solved"],
    }

    def prepare(self, record: Any) -> None:
        """Who has to act, and until when. Once at work, the life of the item decides."""
        if record.pk is not None and record.state != State.RECEIVED:
            return
        record.responsible_id = record.unit_id
        if record.occurred_on is not None:
            record.due_on = deadlines.due_after(State.RECEIVED, record.category, record.occurred_on, None)
            record.answer_due_on = deadlines.answer_due(record.category, record.occurred_on)

    def created(self, by: Actor | None, keys: Sequence[int]) -> None:
        for start in range(0, len(keys), SOME):
            bulk_rows.insert(first_steps(by, keys[start : start + SOME]))

    def refusal(self, record: Any) -> Text:
        if record.state != State.RECEIVED:
            return _("This opinion is at work; its steps tell what is done with it.")
        return ""

    def on_detail_page(self, record: Any, actor: Actor) -> dict[str, Any]:
        from outreach.citizen_links import links_of
        from outreach.opinion_views import life_of

        return {**life_of(record, actor), "actions": links_of(record, actor)}
