"""The pages of tables that people make themselves: making, keeping, sharing, exporting them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from programs.access import Actor, get_unit_or_404, requires, units_for
from programs.actions.audit import audit
from programs.exports import FORMATS, file_response, safe_text
from programs.models.unit import Unit
from programs.registry import Suppressed, Value
from programs.roles import Permission
from programs.templatetags.portal import NO_FIGURE
from reporting.actions import NameTaken, remove_pivot, save_pivot
from reporting.dashboards import BOUNDARIES_NAMES, WITHOUT
from reporting.left_out import scope_of, scoped, units_left_out
from reporting.models import NAME_LENGTH, SavedPivot
from reporting.parts import bare_number, label_of
from reporting.pivot import Pivot, Table, name_of, pivot_of, table
from reporting.pivot_form import form_of

CODE = re.compile(r"[0-9A-Za-z-]{1,20}")


def _actor(request: HttpRequest) -> Actor:
    return request.actor  # type: ignore[attr-defined]


def asked_for(actor: Actor, parameters: QueryDict) -> Pivot:
    """The table asked for, of a unit that the actor may see: without another, the one they act for."""
    pivot = pivot_of(_unit(actor, parameters.get("unit", "").strip()), parameters)
    known = units_for(actor, Permission.STATISTICS_VIEW)
    try:
        pivot.without = tuple(units_left_out(pivot.unit, parameters.getlist(WITHOUT), pivot.period, known))
    except ValueError as error:
        pivot.problems[WITHOUT] = str(error)
    return pivot


def _unit(actor: Actor, code: str) -> Unit:
    if actor.unit and code in ("", actor.unit.code):
        return actor.unit
    if not CODE.fullmatch(code):
        raise Http404
    return get_unit_or_404(actor, Permission.STATISTICS_VIEW, code=code)


# --- the table ------------------------------------------------------------------------------------


@requires(Permission.STATISTICS_VIEW)
@require_safe
def pivot(request: HttpRequest) -> HttpResponse:
    actor = _actor(request)
    asked = asked_for(actor, request.GET)
    context = {
        "pivot": asked,
        "table": table(actor, asked),
        "form": form_of(actor, asked),
        "problems": list(asked.problems.values()),
        "period": scoped(label_of(asked.period), asked.without),
        "name_length": NAME_LENGTH,
        "exports": {form: _export_address(asked, form) for form in FORMATS},
    }
    return render(request, "reporting/pivot.html", context)


def _export_address(asked: Pivot, form: str) -> str:
    return reverse("pivot_export", args=[form]) + asked.address.removeprefix(reverse("pivot"))


@requires(Permission.STATISTICS_VIEW)
@require_safe
def pivot_export(request: HttpRequest, form: str) -> HttpResponseBase:
    """Exactly the table of the page under the same parameters, as a file."""
    actor = _actor(request)
    if form not in FORMATS:
        raise Http404
    asked = asked_for(actor, request.GET)
    if asked.problems:  # the page says what was not understood
        return redirect(f"{reverse('pivot')}?{request.GET.urlencode()}")
    found = table(actor, asked)
    rows = list(_rows(found))
    with transaction.atomic():
        logged = {name: [None, ", ".join(values)[:100]] for name, values in QueryDict(asked.query).lists()}
        audit(
            by=actor,
            action="statistics.export",
            unit=asked.unit,
            row_count=len(rows),
            changes={"format": [None, form], **logged},
        )
    head = [str(found.corner), *(f"{column.name} ({column.measure.label})" for column in found.columns)]
    if _has_notes(found):
        head.append(_("Note"))
    return file_response(form, asked.headline, head, rows, above=list(_above(asked, found)))


def _above(asked: Pivot, found: Table) -> Iterator[tuple[str, str]]:
    yield _("Title"), asked.title
    yield _("Unit"), asked.unit.name
    if asked.without:
        yield _("Scope"), scope_of(asked.without)
    yield _("Period"), label_of(asked.period)
    yield _("Units as they stood"), str(BOUNDARIES_NAMES[asked.boundaries])
    as_of = f"{timezone.localtime(found.as_of):%Y-%m-%d %H:%M:%S}" if found.as_of else NO_FIGURE
    yield _("As of"), as_of


def _rows(found: Table) -> Iterator[list[Any]]:
    """The lines of the page from top to bottom."""
    has_notes = _has_notes(found)
    empty = [""] * len(found.columns)
    for block in found.blocks:
        if block.heading:
            yield [safe_text(str(block.heading)), *empty, *([""] if has_notes else [])]
        for line in block.lines:
            cells = [_exported(cell.value) for cell in line.cells]
            yield [safe_text(line.name), *cells, *([safe_text(line.note)] if has_notes else [])]
    last = [""] if has_notes else []
    yield [found.total.name, *(_exported(cell.value) for cell in found.total.cells), *last]
    if found.before:
        yield [found.before.name, *(_exported(cell.value) for cell in found.before.cells), *last]
        yield [
            _("Increase or decrease"),
            *(safe_text(change.removeprefix("+")) for change in found.changes),
            *last,
        ]


def _has_notes(found: Table) -> bool:
    return any(line.note for line in found.lines)


def _exported(value: Value) -> int | float | str:
    if isinstance(value, Suppressed):
        return str(value)
    number = bare_number(value)
    return NO_FIGURE if number is None else number


# --- tables that are kept -------------------------------------------------------------------------


def saved_for(actor: Actor) -> QuerySet[SavedPivot]:
    """One's own, and those shared at a unit above, at one's own, or where one sees the figures."""
    seen = Q(unit__in=units_for(actor, Permission.STATISTICS_VIEW).values("pk"))
    if actor.unit:
        seen |= Q(unit__in=[actor.unit.pk, *actor.unit.ancestor_ids])
    return SavedPivot.objects.filter(Q(owner=actor.user) | Q(shared=True) & seen)


def _saved_or_404(actor: Actor, pk: int) -> SavedPivot:
    saved = saved_for(actor).filter(pk=pk).select_related("owner", "unit").first()
    if saved is None:
        raise Http404
    return saved


@requires(Permission.STATISTICS_VIEW)
@require_safe
def pivot_list(request: HttpRequest) -> HttpResponse:
    actor = _actor(request)
    saved = saved_for(actor).select_related("owner", "unit").order_by("name", "pk")
    mine = [one for one in saved if one.owner_id == actor.user.pk]
    others = [one for one in saved if one.owner_id != actor.user.pk]
    return render(request, "reporting/pivot_list.html", {"mine": mine, "others": others})


@requires(Permission.STATISTICS_VIEW)
@require_safe
def pivot_saved(request: HttpRequest, saved: int) -> HttpResponse:
    """Opens a kept table: of its unit where the reader sees that, otherwise of their own."""
    actor = _actor(request)
    kept = _saved_or_404(actor, saved)
    parameters = QueryDict(kept.query, mutable=True)
    unit = Unit.objects.filter(code=parameters.get("unit", "")).first()
    if unit is None or not actor.covers(Permission.STATISTICS_VIEW, unit):
        parameters.pop("unit", None)
        parameters.pop(WITHOUT, None)  # units below the other one
        messages.info(request, _("This table was made for another unit; it shows the figures of your own."))
    parameters["name"] = kept.name
    return redirect(f"{reverse('pivot')}?{parameters.urlencode()}")


@requires(Permission.STATISTICS_VIEW)
def pivot_save(request: HttpRequest) -> HttpResponse:
    """Keeps the table of `query`; asks before it takes the place of another of the same name."""
    actor = _actor(request)
    if request.method != "POST":
        return redirect("pivot")  # signed in again after the session had ended
    asked = asked_for(actor, QueryDict(request.POST.get("query", "")))
    asked.name = ""
    shared = bool(request.POST.get("shared"))
    try:
        asked.name = name_of(request.POST.get("name", ""))
        if not asked.name:
            raise ValueError(_("Give the table a name."))
        if asked.problems:
            raise ValueError(" ".join(asked.problems.values()))
    except ValueError as error:
        messages.error(request, _("Not saved: %(problem)s") % {"problem": error})
        return redirect(asked.address)
    try:
        save_pivot(
            by=actor,
            name=asked.name,
            query=asked.query,
            shared=shared,
            replace=bool(request.POST.get("replace")),
        )
    except NameTaken:
        context = {"pivot": asked, "shared": shared, "cancel_url": asked.address}
        return render(request, "reporting/pivot_replace.html", context)
    messages.success(request, _("Saved: %(name)s") % {"name": asked.name})
    return redirect(asked.address)


@requires(Permission.STATISTICS_VIEW)
@require_http_methods(["GET", "HEAD", "POST"])
def pivot_remove(request: HttpRequest, saved: int) -> HttpResponse:
    actor = _actor(request)
    kept = _saved_or_404(actor, saved)
    if kept.owner_id != actor.user.pk:
        raise PermissionDenied
    if request.method != "POST":
        return render(
            request, "reporting/pivot_remove.html", {"saved": kept, "cancel_url": reverse("pivot_list")}
        )
    remove_pivot(by=actor, saved=kept)
    messages.success(request, _("Removed: %(name)s") % {"name": kept.name})
    return redirect("pivot_list")
