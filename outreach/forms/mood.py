"""The form of observations of public mood."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _

from outreach.models.mood import MoodObservation
from programs.access import Actor
from programs.forms import RecordForm


class MoodForm(RecordForm):
    groups = [
        (_("What was observed"), ["topic", "level", "trend", "gist"]),
        (_("When, where, from what"), ["occurred_on", "unit", "joint_units", "source", "groups"]),
        (_("More"), ["details"]),
    ]

    class Meta:
        model = MoodObservation
        fields = [
            "topic",
            "level",
            "trend",
            "gist",
            "occurred_on",
            "unit",
            "joint_units",
            "source",
            "groups",
            "details",
        ]
        help_texts = {
            "gist": _("Of groups and matters; no names, and nothing by which a person is recognised."),
            "level": _("From “Tense” on, the street and the office are told at once."),
            "groups": _("For example: fishermen, parents of pupils."),
        }

    def __init__(self, *args: Any, actor: Actor, **kwargs: Any) -> None:
        super().__init__(*args, actor=actor, **kwargs)
        # Nobody reads a trend into a first observation.
        if self.is_new:
            self.initial.setdefault("trend", MoodObservation.Trend.STEADY)
