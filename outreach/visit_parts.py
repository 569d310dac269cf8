"""What belongs together by what ledgers write down: opinions name the number of a visit, visits the name of a place.

Both within one unit, and each record as the reader may see it.
"""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.urls import reverse
from django.utils.translation import gettext as _

from outreach.models.opinion import Opinion
from outreach.models.place import Place
from outreach.models.visit import Visit
from programs.access import Actor, visible
from programs.facts import title_of

MOST_SHOWN = 100


def opinions_of(visit: Visit, actor: Actor) -> QuerySet[Opinion]:
    """The opinions heard on the visit that the reader may see, in the order of their entry."""
    heard: Any = Opinion.objects.present().filter(unit=visit.unit_id)
    heard = heard.filter(visit_number=visit.number) if visit.number else heard.none()
    return visible(heard.for_list(), actor).order_by("pk")


def visit_of(opinion: Opinion, actor: Actor) -> Visit | None:
    """The visit on which the opinion was heard, if there is one that the reader may see."""
    if not opinion.visit_number:
        return None
    named: Any = Visit.objects.present().filter(unit=opinion.unit_id, number=opinion.visit_number)
    return visible(named.for_list(), actor).first()


def shown_visit(opinion: Opinion, actor: Actor) -> list[dict[str, Any]]:
    """The link to that visit, if there is one: [{url, number, title}]."""
    visit = visit_of(opinion, actor)
    if visit is None:
        return []
    url = reverse("record_detail", args=["visits", visit.pk])
    return [{"url": url, "number": visit.number, "title": title_of(visit, actor)}]


def visits_at(place: Place, actor: Actor) -> QuerySet[Visit]:
    """The visits held at the place, newest first."""
    held: Any = Visit.objects.present().filter(unit=place.unit_id, place=place.name)
    return visible(held.for_list(), actor).order_by("-occurred_on", "-pk")


def shown_opinions(visit: Visit, actor: Actor) -> dict[str, Any]:
    found = opinions_of(visit, actor)
    rows = [
        {
            "url": reverse("record_detail", args=["opinions", opinion.pk]),
            "title": title_of(opinion, actor),
            "state": opinion.get_state_display(),
            "responsible": opinion.responsible,
            "day": opinion.occurred_on,
        }
        for opinion in found.select_related("responsible")[:MOST_SHOWN]
    ]
    return {"rows": rows, "count": len(rows) if len(rows) < MOST_SHOWN else found.count()}


def shown_visits(place: Place, actor: Actor) -> dict[str, Any]:
    found = visits_at(place, actor)
    rows = [
        {
            "url": reverse("record_detail", args=["visits", visit.pk]),
            "title": title_of(visit, actor),
            "state": visit.get_form_display(),
            "day": visit.occurred_on,
        }
        for visit in found[:MOST_SHOWN]
    ]
    return {"rows": rows, "count": len(rows) if len(rows) < MOST_SHOWN else found.count()}


def links_of_place(place: Place) -> list[dict[str, Any]]:
    """[{label, url, icon}]: what to hang up there. Of a place that citizens do not find, the poster says so itself."""
    if place.is_removed:
        return []
    url = reverse("poster_place", args=[place.pk])
    return [{"label": _("Poster with QR code"), "url": url, "icon": "qrcode"}]
