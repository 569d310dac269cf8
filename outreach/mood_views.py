"""The overview of public mood, and "seen" of an early warning."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from outreach.models.mood import MoodAlert
from outreach.mood import mark_seen, overview
from programs.access import Actor, requires, units_for
from programs.roles import Permission

MOST_DIGITS = 18


@requires(Permission.RECORD_VIEW)
@require_safe
def mood_overview(request: HttpRequest) -> HttpResponse:
    actor: Actor = request.actor  # type: ignore[attr-defined]
    return render(request, "outreach/mood_overview.html", {"page": overview(actor, timezone.localdate())})


def _alert_or_404(actor: Actor, named: str) -> MoodAlert:
    """A warning that was given to a unit in the person's scope (else 404), for whom they write (else 403)."""
    reach = units_for(actor, Permission.RECORD_VIEW)
    number = int(named) if named.isdecimal() and len(named) <= MOST_DIGITS else 0
    alert = (
        MoodAlert.objects.filter(pk=number, told__in=reach.values("pk"))
        .select_related("told", "observation__unit")
        .first()
    )
    if alert is None:
        raise Http404
    if not actor.covers(Permission.RECORD_WRITE, alert.told):
        raise PermissionDenied
    return alert


@requires(Permission.RECORD_WRITE)
@require_POST
def mood_seen(request: HttpRequest) -> HttpResponse:
    actor: Actor = request.actor  # type: ignore[attr-defined]
    if not request.POST.get("alert"):
        return redirect("home")
    alert = _alert_or_404(actor, request.POST["alert"])
    if mark_seen(by=actor, alert=alert):
        messages.success(request, _("Noted that the early warning was seen."))
    else:
        messages.info(request, _("Somebody of your unit has seen it already."))
    return redirect("home")
