"""What an opinion's own page offers of the citizens' channel: for the `actions` of its kind's detail page."""

from __future__ import annotations

from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _

from outreach.models.opinion import Opinion
from outreach.tracking import ANSWERED
from programs.access import Actor
from programs.roles import Permission


def links_of(opinion: Opinion, actor: Actor) -> list[dict[str, Any]]:
    """[{label, url, icon}]: a tracking code to hand over, and the release of the answer."""
    if opinion.is_removed or not actor.covers(Permission.RECORD_WRITE, opinion.unit):
        return []
    links = [{"label": _("Tracking code"), "url": reverse("opinion_code", args=[opinion.pk]), "icon": "key"}]
    if opinion.is_released:
        address = reverse("opinion_withdraw", args=[opinion.pk])
        links.append({"label": _("Take back the release"), "url": address, "icon": "eye-off"})
    elif opinion.state in ANSWERED and opinion.answer:
        address = reverse("opinion_release", args=[opinion.pk])
        links.append({"label": _("Release the answer"), "url": address, "icon": "eye"})
    return links
