"""The home page, by role, and the search of the header."""

from __future__ import annotations

from typing import Any

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from programs import registry
from programs.access import Actor, signed_in, units_for, visible
from programs.disclosure import disclose, may_use_in_query
from programs.menu import menu_for
from programs.panels import panels_for
from programs.registry import RecordKind
from programs.roles import Permission

RECENT = 8
FOUND_PER_KIND = 5
FOUND_UNITS = 10
LONGEST_SEARCH = 100


@signed_in
def home(request: HttpRequest) -> HttpResponse:
    """Officers log and go on with their work; who only reads goes to what they read."""
    actor: Actor = request.actor  # type: ignore[attr-defined]
    if not actor.may(Permission.RECORD_WRITE):
        for permission, url_name in READERS_HOME:
            if actor.may(permission):
                return redirect(url_name)
    return render(
        request,
        "programs/home.html",
        {
            "to_log": _to_log(actor),
            "recent": _recent(actor),
            "panels": panels_for(actor),
            "may_write": actor.may(Permission.RECORD_WRITE),
        },
    )


READERS_HOME = [
    (Permission.AUDIT_VIEW, "audit_list"),
    (Permission.STATISTICS_VIEW, "dashboard"),
    (Permission.PEOPLE_MANAGE, "people_list"),
]


def _to_log(actor: Actor) -> list[RecordKind]:
    return registry.kinds() if actor.may(Permission.RECORD_WRITE) else []


def _recent(actor: Actor) -> list[dict[str, Any]]:
    """The records that this person touched last, of every kind."""
    if not actor.may(Permission.RECORD_VIEW):
        return []
    rows = []
    for kind in registry.kinds():
        records = visible(kind.model.objects.present().for_list(), actor).filter(updated_by=actor.user)
        rows += [_row(kind, record, actor) for record in records.order_by("-updated_at")[:RECENT]]
    return sorted(rows, key=lambda row: row["at"], reverse=True)[:RECENT]


def _row(kind: RecordKind, record: Any, actor: Actor) -> dict[str, Any]:
    return {
        "kind": kind,
        "title": disclose(record, kind.title, actor),
        "unit": record.unit,
        "occurred_on": record.occurred_on,
        "at": record.updated_at,
        "url": reverse("record_detail", args=[kind.code, record.pk]),
    }


@signed_in
def search(request: HttpRequest) -> HttpResponse:
    """Pages by name, units by name, code or pinyin, records by number or words: within scope, a few of each."""
    actor: Actor = request.actor  # type: ignore[attr-defined]
    text = request.GET.get("q", "").replace("\x00", "").strip()
    if len(text) > LONGEST_SEARCH:
        text = text[:LONGEST_SEARCH]
    found: dict[str, Any] = {"pages": [], "units": [], "records": []}
    if text:
        found = {
            "pages": _pages(actor, text),
            "units": list(
                units_for(actor, Permission.UNIT_VIEW).matching(text).select_related("parent")[:FOUND_UNITS]
            ),
            "records": [row for kind in registry.kinds() for row in _records(kind, actor, text)],
        }
    context = {**found, "search_text": text, "nothing": text and not any(found.values())}
    return render(request, "programs/search.html", context)


def _pages(actor: Actor, text: str) -> list[Any]:
    entries = [entry for group in menu_for(actor, "") for entry in group.entries]
    return [entry for entry in entries if text.lower() in str(entry.label).lower()]


def _records(kind: RecordKind, actor: Actor, text: str) -> list[dict[str, Any]]:
    if not actor.may(Permission.RECORD_VIEW):
        return []
    condition = Q(pk__in=())
    if text.isdecimal() and len(text) < 19:
        condition |= Q(pk=int(text))
    for name in kind.search:
        if may_use_in_query(kind.field(name), actor):
            condition |= Q(**{f"{name}__icontains": text})
    records = visible(kind.model.objects.present().for_list(), actor).filter(condition)
    return [_row(kind, record, actor) for record in records[:FOUND_PER_KIND]]
