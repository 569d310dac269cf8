"""What every page's frame needs: menu, acting unit, languages."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import SimpleLazyObject
from django.utils.text import get_text_list
from django.utils.translation import gettext

from programs.access import Actor
from programs.menu import menu_for
from programs.models.people import Grant


def frame(request: HttpRequest) -> dict[str, Any]:
    return {"frame": SimpleLazyObject(lambda: _frame(request)), "search_url": reverse("search")}


def _frame(request: HttpRequest) -> dict[str, Any]:
    """See templates/base.html for what each entry is used for."""
    actor: Actor | None = getattr(request, "actor", None)
    language = getattr(request, "LANGUAGE_CODE", settings.LANGUAGE_CODE)
    languages = [
        {"code": code, "label": label, "selected": code == language} for code, label in settings.LANGUAGES
    ]
    if actor is None:
        return {"person": None, "menu": [], "acting": None, "choices": [], "languages": languages}
    choices = _choices(actor)
    return {
        "person": actor.user,
        "menu": menu_for(actor, request.path),
        "acting": next((choice for choice in choices if choice["selected"]), None),
        "choices": choices,
        "switch_url": reverse("switch_unit"),
        "languages": languages,
    }


def _choices(actor: Actor) -> list[dict[str, Any]]:
    """The units the person may act for, one entry each with all the roles held there."""
    by_unit: dict[int, list[Grant]] = {}
    for grant in actor.choices:
        by_unit.setdefault(grant.unit_id, []).append(grant)
    return [
        {
            "value": unit_id,
            "label": grants[0].unit.name,
            "unit": grants[0].unit.name,
            "role": get_text_list([str(grant.role_class.label) for grant in grants], gettext("and")),
            "selected": actor.unit is not None and unit_id == actor.unit.pk,
        }
        for unit_id, grants in by_unit.items()
    ]
