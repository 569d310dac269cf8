"""Visits to the grass roots."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, Sum
from django.utils.translation import gettext_lazy as _

from outreach.forms.visits import VisitForm
from outreach.models.visit import Visit
from outreach.sheets import VisitSheet
from outreach.visit_parts import shown_opinions
from programs.access import Actor
from programs.registry import Action, Average, Indicator, Measure, Promise, RecordKind, register


@register
class VisitKind(RecordKind):
    code = "visits"
    model, form, sheet = Visit, VisitForm, VisitSheet
    action = Action.LISTENING
    icon = "ear"
    title = "theme"
    columns = ["occurred_on", "theme", "unit", "form", "purpose", "person_times", "place", "number"]
    filters = ["unit", "occurred_on", "form", "purpose"]
    search = ["theme", "place", "number", "visitors"]
    sorts = ["occurred_on", "person_times", "created_at"]
    indicators = [
        Indicator(
            "visits.count",
            _("Visits to the grass roots"),
            Count("pk"),
            Measure.TIMES,
            description=_(
                "Visits by leaders and units, fixed office days, mediation days, open talks and receptions."
            ),
            splits=("form", "purpose"),
        ),
        Indicator(
            "visits.person_times",
            _("People met on visits"),
            Sum("person_times"),
            Measure.PERSON_TIMES,
            description=_("People who were met, counted once for each visit."),
            splits=("form", "purpose"),
        ),
    ]
    derived = [
        Average(
            "visits.person_times_each",
            _("People met per visit"),
            of=("visits.person_times", "visits.count"),
            description=_("People met, for each visit."),
        )
    ]
    detail_template = "outreach/visit_detail.html"
    promises = {Promise.LISTENING: ["visits.count"]}

    def on_detail_page(self, record: Visit, actor: Actor) -> dict[str, Any]:
        return {"opinions": shown_opinions(record, actor)}
