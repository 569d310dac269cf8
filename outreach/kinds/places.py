"""Places where people meet and are heard."""

from __future__ import annotations

from typing import Any

from django.db.models import Count
from django.utils.translation import gettext_lazy as _

from outreach.forms.places import PlaceForm
from outreach.models.place import Place
from outreach.sheets import PlaceSheet
from outreach.visit_parts import links_of_place, shown_visits
from programs.access import Actor
from programs.registry import Action, Indicator, Measure, RecordKind, register


@register
class PlaceKind(RecordKind):
    code = "places"
    model, form, sheet = Place, PlaceForm, PlaceSheet
    action = Action.LISTENING
    icon = "map-pin"
    title = "name"
    columns = ["name", "type", "unit", "address", "opening_times", "responsible", "is_public"]
    filters = ["unit", "type", "is_public", "occurred_on"]
    search = ["name", "address"]
    sorts = ["occurred_on", "created_at"]
    detail_template = "outreach/place_detail.html"
    indicators = [
        Indicator(
            "places.count",
            _("Places opened"),
            Count("pk"),
            Measure.PIECES,
            description=_("Places where people meet and are heard, in the month in which they were opened."),
            splits=("type",),
        ),
    ]

    def on_detail_page(self, record: Place, actor: Actor) -> dict[str, Any]:
        return {"visits": shown_visits(record, actor), "actions": links_of_place(record)}
