"""Dashboards, and the portal's own state for those who watch over it."""

from __future__ import annotations

from django.db import Error, connection
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from programs.access import Actor, get_unit_or_404, public, requires
from programs.roles import Permission
from reporting import statistics
from reporting.dashboards import dashboard as dashboard_of
from reporting.dashboards import question
from reporting.models import Reconciliation


@public
@never_cache
@require_safe
def health(request: HttpRequest) -> JsonResponse:
    """For load balancers and monitors: 503 without the database; 200 when only the worker is behind, but it says so."""
    try:
        return JsonResponse(_state())
    except Error:
        return JsonResponse({"database": "unavailable"}, status=503)


def _state() -> dict[str, object]:
    connection.ensure_connection()
    behind = statistics.seconds_behind()
    last = Reconciliation.objects.first()
    return {
        "database": "ok",
        "statistics": "behind" if behind > statistics.LATE_SECONDS else "ok",
        "seconds_behind": behind,
        "reconciled_at": last.at.isoformat() if last else None,
        "reconciliation": ("ok" if not last.differences else "differences") if last else "none",
    }


@requires(Permission.STATISTICS_VIEW)
@require_safe
def dashboard(request: HttpRequest) -> HttpResponse:
    """The page of the unit in whose name one works."""
    actor: Actor = request.actor  # type: ignore[attr-defined]
    if actor.unit is None:
        raise Http404
    query = request.META.get("QUERY_STRING", "")
    address = reverse("dashboard_unit", args=[actor.unit.code])
    return redirect(f"{address}?{query}" if query else address)


@requires(Permission.STATISTICS_VIEW)
@require_safe
def dashboard_unit(request: HttpRequest, code: str) -> HttpResponse:
    actor: Actor = request.actor  # type: ignore[attr-defined]
    unit = get_unit_or_404(actor, Permission.STATISTICS_VIEW, code=code)
    asked = question(request.GET)
    page = dashboard_of(actor, unit, asked)
    return render(
        request,
        "reporting/dashboard.html",
        {"page": page, "unit": unit, "problems": list(asked.problems.values()), "period": page.period_label},
    )
