"""Observations of public mood."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import Count, Q
from django.utils.translation import gettext_lazy as _

from outreach.forms.mood import MoodForm
from outreach.models.mood import MoodObservation
from outreach.mood import raise_alerts
from outreach.sheets import MoodSheet
from programs.access import Actor
from programs.registry import Action, Indicator, Measure, RecordKind, register


@register
class MoodKind(RecordKind):
    code = "mood"
    model, form, sheet = MoodObservation, MoodForm, MoodSheet
    action = Action.LISTENING
    icon = "mood-smile"
    title = "gist"
    columns = ["occurred_on", "gist", "unit", "topic", "level", "trend", "source"]
    filters = ["unit", "occurred_on", "topic", "level", "trend", "source"]
    search = ["gist", "groups"]
    sorts = ["occurred_on", "level", "created_at"]
    belongings = ["alerts"]
    # An observation tells of groups; a file could tell of a person.
    attachments = False
    indicators = [
        Indicator(
            "mood.observations",
            _("Observations of public mood"),
            Count("pk"),
            Measure.ITEMS,
            description=_("What units observed, of groups and topics."),
            splits=("topic", "level"),
        ),
        Indicator(
            "mood.tense",
            _("Observations of a tense mood"),
            Count("pk"),
            Measure.ITEMS,
            filter=Q(level__gte=MoodObservation.Level.TENSE),
            description=_("Observations of the levels “Tense” and “Urgent”."),
            splits=("topic",),
        ),
    ]

    def created(self, by: Actor | None, keys: Sequence[int]) -> None:
        raise_alerts(keys)
