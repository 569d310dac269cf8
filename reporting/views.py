"""Dashboards, and the portal's own state for those who watch over it."""

from __future__ import annotations

import datetime as dt

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db import Error, connection
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from programs.access import Actor, get_unit_or_404, public, requires, units_for
from programs.actions.zero import check_zero, declare_zero, withdraw_zero
from programs.models.zero import ZeroReport
from programs.record_views import kind_or_404
from programs.roles import Permission
from reporting import heat_map as months
from reporting import statistics
from reporting.dashboards import WITHOUT, leave_out, question
from reporting.dashboards import dashboard as dashboard_of
from reporting.definitions import chapters
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
    leave_out(asked, unit, request.GET.getlist(WITHOUT), units_for(actor, Permission.STATISTICS_VIEW))
    page = dashboard_of(actor, unit, asked)
    return render(
        request,
        "reporting/dashboard.html",
        {"page": page, "unit": unit, "problems": list(asked.problems.values()), "period": page.headline},
    )


@requires(Permission.STATISTICS_VIEW)
@require_safe
def indicators(request: HttpRequest) -> HttpResponse:
    """What every figure means, and how figures come about."""
    actor: Actor = request.actor  # type: ignore[attr-defined]
    return render(request, "reporting/indicators.html", {"chapters": chapters(actor)})


@requires(Permission.STATISTICS_VIEW)
@require_safe
def heat_map(request: HttpRequest, code: str) -> HttpResponse:
    """Months × units: who reported what, who declared zero, what is missing."""
    actor: Actor = request.actor  # type: ignore[attr-defined]
    unit = get_unit_or_404(actor, Permission.STATISTICS_VIEW, code=code)
    asked = months.question(request.GET)
    page = months.heat_map(actor, unit, asked)
    return render(
        request,
        "reporting/heat_map.html",
        {"page": page, "unit": unit, "problems": list(asked.problems.values()), "period": page.period_label},
    )


@requires(Permission.RECORD_WRITE)
def zero_declare(request: HttpRequest, code: str, kind: str, month: dt.date) -> HttpResponse:
    """Asks; then the unit has declared that it did nothing of the kind in the month."""
    actor: Actor = request.actor  # type: ignore[attr-defined]
    this = kind_or_404(kind)
    unit = get_unit_or_404(actor, Permission.RECORD_WRITE, code=code)
    back = months.months_url(unit, months.question(request.GET))
    if request.method == "POST":
        try:
            declare_zero(by=actor, unit=unit, kind=this, month=month)
        except ValidationError as error:
            messages.error(request, error.messages[0])
        else:
            named = {"unit": unit.name, "month": f"{month:%Y-%m}", "kind": this.label}
            messages.success(request, _("%(unit)s declared zero for %(month)s: %(kind)s.") % named)
        return redirect(back)
    try:
        check_zero(unit, this, month)
    except ValidationError as error:
        messages.error(request, error.messages[0])
        return redirect(back)
    context = {"kind": this, "unit": unit, "month": month, "cancel_url": back}
    return render(request, "reporting/zero_declare.html", context)


@requires(Permission.RECORD_WRITE)
def zero_withdraw(request: HttpRequest, code: str, kind: str, month: dt.date) -> HttpResponse:
    actor: Actor = request.actor  # type: ignore[attr-defined]
    this = kind_or_404(kind)
    unit = get_unit_or_404(actor, Permission.RECORD_WRITE, code=code)
    back = months.months_url(unit, months.question(request.GET))
    standing = ZeroReport.objects.of(unit, this.code, month).standing()
    zero = standing.select_related("unit", "declared_by").first()
    if zero is None:
        messages.info(request, _("No declared zero stands for this month."))
        return redirect(back)
    if request.method == "POST":
        withdraw_zero(by=actor, zero=zero)
        messages.success(request, _("The declared zero was withdrawn; nothing is reported for the month."))
        return redirect(back)
    context = {"kind": this, "unit": unit, "month": month, "zero": zero, "cancel_url": back}
    return render(request, "reporting/zero_withdraw.html", context)
