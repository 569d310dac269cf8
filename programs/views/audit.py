"""The audit log, for auditors: searched, opened, exported. Reading it changes nothing."""

from __future__ import annotations

import csv
import datetime as dt
from typing import Any

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse, reverse_lazy
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from programs import audit_words
from programs.access import Actor, audit_events_for, requires, units_for
from programs.account_forms import SEARCH_LENGTH, PlainForm
from programs.actions.audit import audit
from programs.exports import BOM, safe_text
from programs.forms import UnitCodeField
from programs.menu import Page, add_page
from programs.models.audit import AuditEvent
from programs.models.people import User
from programs.models.unit import Unit
from programs.paging import page_of
from programs.roles import Permission
from programs.views.people import address_with, tags_of
from programs.widgets import DateInput, UnitPicker

add_page(Page("supervision", gettext_lazy("Audit log"), "audit_list", "history", Permission.AUDIT_VIEW))

# Without dates the log is searched so far back: an unlucky question does not read years of it.
USUAL_DAYS = 90
EXPORTED = 10_000
IN_REACH = [MinValueValidator(dt.date(2008, 1, 1)), MaxValueValidator(dt.date(2199, 12, 31))]


class AuditFilter(PlainForm):
    """What the log can be asked. `by` and `of` are carried by links: a person's id, an object ("programs.user:7")."""

    person = forms.CharField(label=gettext_lazy("Person"), max_length=SEARCH_LENGTH, required=False)
    action = forms.ChoiceField(label=gettext_lazy("What was done"), required=False)
    object = forms.CharField(label=gettext_lazy("Object"), max_length=SEARCH_LENGTH, required=False)
    unit = UnitCodeField(
        label=gettext_lazy("Unit"), required=False, widget=UnitPicker(reverse_lazy("unit_search"))
    )
    outcome = forms.ChoiceField(
        label=gettext_lazy("Outcome"),
        required=False,
        choices=[("", gettext_lazy("All")), *AuditEvent.Outcome.choices],
    )
    since = forms.DateField(label=gettext_lazy("From"), required=False, widget=DateInput, validators=IN_REACH)
    until = forms.DateField(
        label=gettext_lazy("Through"), required=False, widget=DateInput, validators=IN_REACH
    )
    request_id = forms.CharField(label=gettext_lazy("Request number"), max_length=36, required=False)
    by = forms.IntegerField(
        label=gettext_lazy("Person number"),
        required=False,
        min_value=1,
        max_value=2**63 - 1,
        widget=forms.HiddenInput,
    )
    of = forms.RegexField(
        label=gettext_lazy("Object number"),
        regex=r"^[a-z_.]{1,50}:[0-9A-Za-z-]{1,40}$",
        required=False,
        widget=forms.HiddenInput,
    )

    def __init__(self, *args: Any, actor: Actor, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        action: Any = self.fields["action"]
        action.choices = [("", gettext_lazy("All")), *audit_words.areas()]
        unit: Any = self.fields["unit"]
        unit.queryset = units_for(actor, Permission.AUDIT_VIEW)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        since, until = cleaned.get("since"), cleaned.get("until")
        if since and until and until < since:
            self.add_error("until", _("This date lies before the first one."))
        return cleaned


@requires(Permission.AUDIT_VIEW)
def audit_list(request: HttpRequest) -> HttpResponse:
    actor: Actor = request.actor  # type: ignore[attr-defined]
    form, events = asked(request, actor)
    page = page_of(events, "-at", request.GET.get("cursor", ""))
    context = {
        "filter_form": form,
        "rows": [row_of(event, actor) for event in page.rows],
        "active_filters": tags_of(request, form),
        "prev_url": address_with(request, page.previous_cursor),
        "next_url": address_with(request, page.next_cursor),
        "export_url": f"{reverse('audit_export')}?{request.GET.urlencode()}" if page.rows else "",
    }
    return render(request, "audit/list.html", context)


@requires(Permission.AUDIT_VIEW)
def audit_detail(request: HttpRequest, pk: int) -> HttpResponse:
    actor: Actor = request.actor  # type: ignore[attr-defined]
    event = audit_events_for(actor).filter(pk=pk).first()
    if event is None:
        raise Http404
    context = {
        **row_of(event, actor),
        "facts": facts_of(event, actor),
        "changes": audit_words.changes_of_event(event, actor),
        "related": related_to(event),
    }
    return render(request, "audit/detail.html", context)


@requires(Permission.AUDIT_VIEW)
def audit_export(request: HttpRequest) -> HttpResponse:
    """What the list shows, newest first, as CSV. The export is an event itself, written before the answer."""
    actor: Actor = request.actor  # type: ignore[attr-defined]
    form, events = asked(request, actor)
    if not form.is_valid():
        return audit_list(request)
    rows = [cells_of(event, actor) for event in events.order_by("-at", "-pk")[:EXPORTED]]
    audit(by=actor, action="audit.export", row_count=len(rows))
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="audit-{timezone.localdate():%Y%m%d}.csv"'
    response.write(BOM)
    writer = csv.writer(response)
    writer.writerow(HEADINGS)
    writer.writerows([[safe_text(cell) for cell in row] for row in rows])
    return response


def asked(request: HttpRequest, actor: Actor) -> tuple[AuditFilter, QuerySet[AuditEvent]]:
    """The filters and the events in scope that pass them; none if a filter was not understood."""
    data = request.GET.copy()
    if not data.get("since", "").strip():
        data["since"] = str(timezone.localdate() - dt.timedelta(days=USUAL_DAYS))
    form = AuditFilter(data, actor=actor)
    events = audit_events_for(actor)
    return form, events.filter(condition_of(form.cleaned_data, actor)) if form.is_valid() else events.none()


def condition_of(wanted: dict[str, Any], actor: Actor) -> Q:
    condition = Q()
    if wanted["since"]:
        condition &= Q(at__gte=start_of(wanted["since"]))
    if wanted["until"]:
        condition &= Q(at__lt=start_of(wanted["until"] + dt.timedelta(days=1)))
    if wanted["person"]:
        people = User.objects.filter(Q(username=wanted["person"]) | Q(name__icontains=wanted["person"]))
        condition &= Q(actor_id__in=people.values("pk"))
    if wanted["by"]:
        condition &= Q(actor_id=wanted["by"])
    if wanted["action"]:
        condition &= audit_words.of_area(wanted["action"])
    if wanted["object"]:
        named = Q(
            object_type__in=audit_words.types_searched_by_name(actor),
            object_label__icontains=wanted["object"],
        )
        condition &= named | Q(object_pk=wanted["object"])
    if wanted["of"]:
        object_type, _colon, object_pk = wanted["of"].partition(":")
        condition &= Q(object_type=object_type, object_pk=object_pk)
    if wanted["unit"]:
        condition &= Q(unit_path__startswith=wanted["unit"].path)
    for name in ("outcome", "request_id"):
        if wanted[name]:
            condition &= Q(**{name: wanted[name]})
    return condition


def start_of(day: dt.date) -> dt.datetime:
    return timezone.make_aware(dt.datetime.combine(day, dt.time.min))


def row_of(event: AuditEvent, actor: Actor) -> dict[str, Any]:
    return {
        "event": event,
        "what": audit_words.action_label(event.action),
        "object": audit_words.object_label(event, actor),
        "object_type": audit_words.type_label(event.object_type) if event.object_type else "",
        "denied": event.outcome == AuditEvent.Outcome.DENIED,
    }


def facts_of(event: AuditEvent, actor: Actor) -> list[tuple[str, Any, bool]]:
    acting = Unit.objects.filter(pk=event.acting_unit_id).first() if event.acting_unit_id else None
    facts: list[tuple[str, Any]] = [
        (_("Time"), timezone.localtime(event.at).strftime("%Y-%m-%d %H:%M:%S")),
        (_("Person"), event.actor_name),
        (_("Role at that time"), audit_words.role_label(event.role)),
        (_("Acting unit"), acting.name if acting else ""),
        (_("Outcome"), event.get_outcome_display()),
        (_("Object"), audit_words.object_label(event, actor)),
        (_("Number of the object"), event.object_pk),
        (_("Unit"), event.unit_name),
        (_("Reason"), event.reason),
        (_("Rows"), event.row_count),
        (_("Address in the network"), event.ip),
        (_("Request number"), event.request_id),
    ]
    return [(label, value, False) for label, value in facts if value not in (None, "")]


def related_to(event: AuditEvent) -> list[tuple[str, str]]:
    """Where to go on from an event: (words, address)."""
    address = reverse("audit_list")
    since = timezone.localdate(event.at) - dt.timedelta(days=USUAL_DAYS)
    links = []
    if event.request_id:
        links.append(
            (_("Everything of this request"), f"{address}?request_id={event.request_id}&since={since}")
        )
    if event.actor_id:
        links.append((_("Everything this person did"), f"{address}?by={event.actor_id}&since={since}"))
    if event.object_type:
        of = f"{event.object_type}:{event.object_pk}"
        links.append((_("Everything about this object"), f"{address}?of={of}&since={since}"))
    return links


HEADINGS = [
    "time", "person", "role", "action", "what", "object type", "object", "object id", "unit", "outcome", "reason",
    "changed fields", "ip", "request id",
]  # fmt: skip


def cells_of(event: AuditEvent, actor: Actor) -> list[str]:
    return [
        timezone.localtime(event.at).strftime("%Y-%m-%d %H:%M:%S"),
        event.actor_name,
        event.role,
        event.action,
        audit_words.action_label(event.action),
        event.object_type,
        audit_words.object_label(event, actor),
        event.object_pk,
        event.unit_name,
        event.outcome,
        event.reason,
        " ".join(sorted(event.changes)),
        event.ip or "",
        event.request_id,
    ]
