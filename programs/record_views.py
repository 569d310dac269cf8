"""The pages of every kind of record: list, form, detail, removal, files, export. What they show comes from the kind."""

from __future__ import annotations

import datetime as dt
import logging
import uuid
from typing import Any
from urllib.parse import quote

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.validators import MinLengthValidator
from django.db.models import Count, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from programs import registry
from programs.access import Actor, get_record_or_404, requires, visible
from programs.actions.attachments import is_restorable, present, remove_attachment, restore_attachment
from programs.actions.records import EditConflict, remove_record, restore_record, save_record
from programs.attachments import INLINE, attachment_class, response_of
from programs.disclosure import (
    REASON_LENGTH,
    REVEAL_MINUTES,
    can_reveal,
    disclosure_of,
    disclosure_of_class,
    reveal,
)
from programs.exports import FORMATS, MOST_ROWS, export_response
from programs.facts import (
    Column,
    columns_of,
    facts_of,
    form_fields,
    label_of,
    shown,
    timeline_of,
    title_of,
    told,
    value_of,
)
from programs.filters import RecordFilterSet, filter_set, sorts_for
from programs.forms import RecordForm
from programs.lists import COUNT, CURSOR, active_filters, column_heads, filter_problems, without
from programs.models.attachment import Attachment
from programs.models.record import RESTORE_DAYS, Record
from programs.paging import Page, capped_count, page_of
from programs.registry import RecordKind
from programs.roles import Disclosure, Permission
from programs.text import check_text

logger = logging.getLogger(__name__)
REASON_MOST = 200


def kind_or_404(code: str) -> RecordKind:
    try:
        return registry.kind(code)
    except KeyError:
        raise Http404 from None


def _actor(request: HttpRequest) -> Actor:
    return request.actor  # type: ignore[attr-defined]


# --- lists -------------------------------------------------------------------------------------------------------


@requires(Permission.RECORD_VIEW)
def record_list(request: HttpRequest, kind: str) -> HttpResponse:
    actor, this = _actor(request), kind_or_404(kind)
    records = visible(this.model.objects.present(), actor, listing=True)
    context = {
        "can_add": actor.may(Permission.RECORD_WRITE),
        "can_bring": actor.may(Permission.RECORD_BRING),
        "new_url": reverse("record_new", args=[this.code]),
        "removed_url": reverse("record_removed", args=[this.code])
        if actor.may(Permission.RECORD_WRITE)
        else "",
    }
    if actor.may(Permission.RECORD_EXPORT):
        query = without(request).removeprefix(request.path)
        for form in FORMATS:
            context[f"export_{form}_url"] = reverse("record_export", args=[this.code, form]) + query
        context["export_most"] = MOST_ROWS
    context |= _list_context(request, this, records)
    counting = request.htmx and COUNT in request.GET  # type: ignore[attr-defined]
    return render(request, "records/count.html" if counting else "records/list.html", context)


@requires(Permission.RECORD_WRITE)
def record_removed(request: HttpRequest, kind: str) -> HttpResponse:
    """What was removed in the last 30 days, for those who may bring it back."""
    this = kind_or_404(kind)
    since = timezone.now() - dt.timedelta(days=RESTORE_DAYS)
    removed = this.model.objects.removed().filter(removed_at__gt=since)
    records = visible(removed, _actor(request), Permission.RECORD_WRITE)
    context = {"list_url": reverse("record_list", args=[this.code]), "restore_days": RESTORE_DAYS}
    listed = _list_context(request, this, records)
    for row in listed["rows"]:
        row["restore_url"] = reverse("record_restore", args=[this.code, row["pk"]])
    return render(request, "records/removed.html", listed | context)


def _list_context(request: HttpRequest, kind: RecordKind, records: QuerySet[Any]) -> dict[str, Any]:
    actor = _actor(request)
    columns = columns_of(kind, kind.columns, actor)
    filters = filter_set(kind, actor)(
        request.GET, queryset=_for_rows(kind, records, columns), request=request
    )
    page = page_of(filters.qs, filters.sort, request.GET.get(CURSOR, ""))
    return {
        "kind": kind,
        "columns": column_heads(request, columns, filters.sort, sorts_for(kind, actor)),
        "rows": [_row(kind, record, columns) for record in page.rows],
        "filter_form": filters.form,
        "problems": filter_problems(filters),
        "active_filters": active_filters(request, filters),
        "page_lost": page.lost,
        "prev_url": without(request, cursor=page.previous_cursor) if page.previous_cursor else "",
        "next_url": without(request, cursor=page.next_cursor) if page.next_cursor else "",
        **_count(request, filters, page),
    }


def _count(request: HttpRequest, filters: RecordFilterSet, page: Page[Any]) -> dict[str, Any]:
    """A list of one page is counted; of a longer one the page says "more", and asks for the count by itself."""
    if not (page.next_cursor or page.previous_cursor):
        return {"count": len(page.rows), "count_capped": False, "summed": _summed(filters)}
    if COUNT in request.GET:
        count = capped_count(filters.qs)
        summed = None if count.capped else _summed(filters)
        return {"count": count.number, "count_capped": count.capped, "summed": summed}
    url = without(request, count="1", **{CURSOR: request.GET.get(CURSOR, "")})
    return {"count": len(page.rows), "count_capped": True, "count_url": url}


def _summed(filters: RecordFilterSet) -> dict[str, Any] | None:
    """What the records of a figure come to, so that whoever opened the figure finds it again; the count says it where
    records are what the figure counts."""
    code = filters.form.cleaned_data.get("indicator") if filters.form.is_valid() else ""
    if not code:
        return None
    indicator = filters.kind.indicator(code)
    if isinstance(indicator.aggregate, Count) and indicator.additive:
        return None
    value = filters.qs.order_by().aggregate(value=indicator.aggregate)["value"] or 0
    label = filters.kind.name_of(indicator)
    return {"label": label, "value": value, "measure": indicator.measure.label}


def _for_rows(kind: RecordKind, records: Any, columns: list[Column]) -> QuerySet[Any]:
    """Only what a row shows: long texts stay in the database."""
    names = {column.name for column in columns}
    long = [f.name for f in kind.model._meta.concrete_fields if f.get_internal_type() == "TextField"]
    listed = records.for_list().defer(*(name for name in long if name not in names))
    return listed.prefetch_related(*(column.name for column in columns if column.field.many_to_many))


def _row(kind: RecordKind, record: Record, columns: list[Column]) -> dict[str, Any]:
    cells = [
        {
            "label": column.label,
            "value": column.read(record) if column.is_number else column.tell(record),
            "is_number": column.is_number,
            "is_title": column.name == kind.title,
        }
        for column in columns
    ]
    url = reverse("record_detail", args=[kind.code, record.pk])
    return {"pk": record.pk, "url": url, "cells": cells, "removed": record.is_removed}


@requires(Permission.RECORD_EXPORT)
def record_export(request: HttpRequest, kind: str, form: str) -> HttpResponseBase:
    """Exactly what the list shows under the same address, as a file."""
    actor, this = _actor(request), kind_or_404(kind)
    if form not in FORMATS:
        raise Http404
    records = visible(this.model.objects.present().for_list(), actor, Permission.RECORD_EXPORT, listing=True)
    filters = filter_set(this, actor)(request.GET, queryset=records, request=request)
    if not filters.form.is_valid():
        # The list shows what was not understood.
        return redirect(f"{reverse('record_list', args=[this.code])}?{request.GET.urlencode()}")
    sent = {name: request.GET.getlist(name) for name in filters.form.fields}
    asked = {name: value for name, values in sent.items() if (value := ", ".join(values).strip())}
    return export_response(
        by=actor, kind=this, queryset=filters.qs, sort=filters.sort, form=form, filters=asked
    )


# --- one record --------------------------------------------------------------------------------------------------


@requires(Permission.RECORD_VIEW)
def record_detail(request: HttpRequest, kind: str, pk: int) -> HttpResponse:
    actor, this = _actor(request), kind_or_404(kind)
    record = get_record_or_404(this, actor, pk, removed=None)
    return _detail_page(request, this, record)


def _detail_page(
    request: HttpRequest, kind: RecordKind, record: Record, reveal_form: forms.Form | None = None
) -> HttpResponse:
    actor = _actor(request)
    title = title_of(record, actor)
    crumbs = [
        {"label": capfirst(str(kind.label_plural)), "url": reverse("record_list", args=[kind.code])},
        {"label": title, "url": ""},
    ]
    context = {
        "kind": kind,
        "record": record,
        "title": title,
        "crumbs": crumbs,
        "facts": facts_of(record, actor),
        "attachments": _attachments(kind, record, actor),
        "timeline": timeline_of(record, actor),
        "reveal_minutes": REVEAL_MINUTES,
    }
    if record.is_removed:
        context["removed_note"] = _removed_note(record)
    elif can_reveal(record, actor):
        context["reveal_form"] = reveal_form or ReasonForm(REASON_LENGTH)
        context["reveal_url"] = reverse("record_reveal", args=[kind.code, record.pk])
    more = kind.on_detail_page(record, actor)
    context["actions"] = [*more.pop("actions", ()), *_record_actions(kind, record, actor)]
    return render(request, kind.detail_template, {**context, **more})


def _record_actions(kind: RecordKind, record: Record, actor: Actor) -> list[dict[str, Any]]:
    if not actor.covers(Permission.RECORD_WRITE, record.unit):
        return []
    address = [kind.code, record.pk]
    if record.is_removed:
        if not record.is_restorable:
            return []
        return [
            {
                "label": _("Restore"),
                "url": reverse("record_restore", args=address),
                "icon": "restore",
                "primary": True,
            }
        ]
    if kind.refusal(record):
        return []
    return [
        {"label": _("Edit"), "url": reverse("record_edit", args=address), "icon": "edit", "primary": True},
        {
            "label": _("Remove"),
            "url": reverse("record_remove", args=address),
            "icon": "trash",
            "danger": True,
        },
    ]


def _removed_note(record: Record) -> str:
    until = shown(None, record.restorable_until)
    words = {"person": record.removed_by, "time": shown(None, record.removed_at), "until": until}
    if record.is_restorable:
        return _("Removed by %(person)s at %(time)s. It can be restored until %(until)s.") % words
    return _("Removed by %(person)s at %(time)s. The time for restoring it is over.") % words


# --- the form ----------------------------------------------------------------------------------------------------


@requires(Permission.RECORD_WRITE)
def record_new(request: HttpRequest, kind: str) -> HttpResponse:
    actor, this = _actor(request), kind_or_404(kind)
    if request.method != "POST":
        return _form_page(request, this, this.form(actor=actor, initial=_asked_for(request)))
    form = this.form(request.POST, request.FILES, actor=actor)
    if form.is_unfinished():
        return _form_page(request, this, form)
    record = _save(actor, this, form)
    if record is None:
        return _form_page(request, this, form)
    if not form.says_the_same(record):
        return _form_page(
            request, this, _sent_with(form, "submission_key", str(uuid.uuid4())), sent_before=record
        )
    return _saved(request, this, record, None)


@requires(Permission.RECORD_WRITE)
def record_edit(request: HttpRequest, kind: str, pk: int) -> HttpResponse:
    actor, this = _actor(request), kind_or_404(kind)
    record = get_record_or_404(this, actor, pk, Permission.RECORD_WRITE)
    title = title_of(record, actor)
    if request.method != "POST":
        return _form_page(request, this, this.form(instance=record, actor=actor), record, title)
    form = this.form(request.POST, request.FILES, instance=record, actor=actor)
    try:
        saved = _save(actor, this, form, record)
    except EditConflict as conflict:
        return _conflict_page(request, this, form, conflict.current)
    if saved is None:
        return _form_page(request, this, form, record, title)
    return _saved(request, this, saved, record)


def _asked_for(request: HttpRequest) -> dict[str, Any]:
    """ "Log another" keeps the day."""
    try:
        return {"occurred_on": dt.date.fromisoformat(request.GET.get("occurred_on", ""))}
    except ValueError:
        return {}


def _save(actor: Actor, kind: RecordKind, form: RecordForm, record: Record | None = None) -> Record | None:
    """The saved record, or None with what is wrong in the form."""
    if not all([form.is_valid(), form.further_forms_are_valid()]):
        return None
    cleaned = form.cleaned_data
    try:
        return save_record(
            by=actor,
            kind=kind,
            values=form.values(),
            joint_units=cleaned.get("joint_units"),
            record=record,
            version=cleaned.get("version"),
            submission_key=cleaned.get("submission_key"),
            files=cleaned.get("files") or (),
            then=form.write_more,
        )
    except ValidationError as error:
        form.add_refusal(error)
        return None


def _sent_with(form: RecordForm, name: str, value: str) -> RecordForm:
    """The form as it was sent, but for a hidden field."""
    data: Any = form.data
    form.data = data.copy()
    form.data[name] = value  # type: ignore[index]
    return form


def _saved(request: HttpRequest, kind: RecordKind, record: Record, before: Record | None) -> HttpResponse:
    actor = _actor(request)
    url = reverse("record_detail", args=[kind.code, record.pk])
    link = format_html('<a href="{}">{}</a>', url, title_of(record, actor))
    messages.success(request, format_html(_("Saved: {record}"), record=link))
    if before is None and request.POST.get("save") == "again":
        url = f"{reverse('record_new', args=[kind.code])}?occurred_on={record.occurred_on.isoformat()}"
    response = redirect(url)
    # Read by static/js/portal.js, which ends the draft that the browser kept.
    response.set_cookie(
        "clear_draft", quote(draft_key(actor, kind, before), safe=""), max_age=600, samesite="Lax"
    )
    return response


def draft_key(actor: Actor, kind: RecordKind, record: Record | None) -> str:
    return f"{actor.user.pk}:{kind.code}:{record.pk if record else 'new'}"


def _form_page(
    request: HttpRequest,
    kind: RecordKind,
    form: RecordForm,
    record: Record | None = None,
    title: str = "",
    sent_before: Record | None = None,
) -> HttpResponse:
    actor = _actor(request)
    back = ("record_detail", [kind.code, record.pk]) if record else ("record_list", [kind.code])
    context = {
        "kind": kind,
        "form": form,
        "record": record,
        "title": title,
        "cancel_url": reverse(back[0], args=back[1]),
        "draft_key": draft_key(actor, kind, record),
        "attachments": _attachments(kind, record, actor, to_edit=True) if record else [],
        "removed_attachments": _removed_attachments(kind, record, actor) if record else [],
    }
    if sent_before is not None:
        context["sent_before"] = {
            "title": title_of(sent_before, actor),
            "url": reverse("record_detail", args=[kind.code, sent_before.pk]),
        }
    return render(request, "records/form.html", context)


def _conflict_page(request: HttpRequest, kind: RecordKind, form: RecordForm, current: Record) -> HttpResponse:
    actor = _actor(request)
    rows = []
    for name in (name for name in form_fields(kind) if name in form.fields):
        column = kind.field(name)
        theirs = value_of(current, column)
        yours = form.cleaned_data.get(name)
        if column.many_to_many:
            yours = sorted(yours or (), key=lambda unit: unit.code)
        told_theirs = told(column, theirs, disclosure_of(column, actor, current))
        rows.append((label_of(kind, name), shown(column, yours), told_theirs, yours != theirs))
    context = {
        "kind": kind,
        "record": current,
        "title": title_of(current, actor),
        "rows": rows,
        "form": _sent_with(form, "version", str(current.version)),
        "post_url": reverse("record_edit", args=[kind.code, current.pk]),
        "detail_url": reverse("record_detail", args=[kind.code, current.pk]),
        "draft_key": draft_key(actor, kind, current),
        "theirs_by": current.updated_by,
        "theirs_at": current.updated_at,
        "files_dropped": bool(form.cleaned_data.get("files")),
    }
    return render(request, "records/conflict.html", context, status=409)


# --- removing, restoring, revealing ------------------------------------------------------------------------------


class ReasonForm(forms.Form):
    """Why somebody does what leaves a trace."""

    reason = forms.CharField(label=gettext_lazy("Reason"), max_length=REASON_MOST, validators=[check_text])

    def __init__(self, least: int, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["reason"]
        field.min_length = least
        field.validators.append(MinLengthValidator(least))


@requires(Permission.RECORD_WRITE)
def record_remove(request: HttpRequest, kind: str, pk: int) -> HttpResponse:
    """Asks, with a reason; then the record rests for 30 days."""
    actor, this = _actor(request), kind_or_404(kind)
    record = get_record_or_404(this, actor, pk, Permission.RECORD_WRITE)
    form = ReasonForm(2, request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            remove_record(by=actor, kind=this, record=record, reason=form.cleaned_data["reason"])
        except ValidationError as error:
            messages.error(request, error.messages[0])
            return redirect("record_detail", this.code, record.pk)
        text = _('Removed: {record}. <a href="{url}">Removed records</a> can be restored for {days} days.')
        url = reverse("record_removed", args=[this.code])
        messages.success(
            request, format_html(text, record=title_of(record, actor), url=url, days=RESTORE_DAYS)
        )
        return redirect("record_list", this.code)
    context = {
        "kind": this,
        "record": record,
        "title": title_of(record, actor),
        "form": form,
        "restore_days": RESTORE_DAYS,
        "cancel_url": reverse("record_detail", args=[this.code, record.pk]),
    }
    return render(request, "records/remove.html", context)


@requires(Permission.RECORD_WRITE)
def record_restore(request: HttpRequest, kind: str, pk: int) -> HttpResponse:
    actor, this = _actor(request), kind_or_404(kind)
    record = get_record_or_404(this, actor, pk, Permission.RECORD_WRITE, removed=True)
    detail = reverse("record_detail", args=[this.code, record.pk])
    if request.method == "POST":
        try:
            restore_record(by=actor, kind=this, record=record)
        except ValidationError as error:
            messages.error(request, error.messages[0])
        else:
            messages.success(request, _("The record is back in lists and figures."))
        return redirect(detail)
    context = {
        "kind": this,
        "record": record,
        "title": title_of(record, actor),
        "removed_note": _removed_note(record),
        "cancel_url": detail,
    }
    return render(request, "records/restore.html", context)


@requires(Permission.RECORD_REVEAL)
def record_reveal(request: HttpRequest, kind: str, pk: int) -> HttpResponse:
    """Opens the masked fields of one record to this person, for a reason; the log keeps it."""
    actor, this = _actor(request), kind_or_404(kind)
    record = get_record_or_404(this, actor, pk, Permission.RECORD_REVEAL)
    detail = redirect("record_detail", this.code, record.pk)
    if request.method != "POST" or not can_reveal(record, actor):
        return detail
    form = ReasonForm(REASON_LENGTH, request.POST)
    if not form.is_valid():
        return _detail_page(request, this, record, form)
    reveal(by=actor, record=record, reason=form.cleaned_data["reason"])
    return detail


# --- files -------------------------------------------------------------------------------------------------------


def _may_open_files(kind: RecordKind, record: Record, actor: Actor) -> bool:
    return disclosure_of_class(attachment_class(kind), actor, record) is Disclosure.CLEAR


def _attachments(
    kind: RecordKind, record: Record, actor: Actor, to_edit: bool = False
) -> list[dict[str, Any]]:
    if not kind.attachments or not _may_open_files(kind, record, actor):
        return []
    return [
        {
            "name": file.name,
            "size": file.size,
            "url": reverse("attachment", args=[kind.code, record.pk, file.pk]),
            "is_image": file.content_type in INLINE,
            "remove_url": reverse("attachment_remove", args=[kind.code, record.pk, file.pk])
            if to_edit
            else "",
        }
        for file in present(kind, record)
    ]


def _removed_attachments(kind: RecordKind, record: Record, actor: Actor) -> list[dict[str, Any]]:
    if not _may_open_files(kind, record, actor):
        return []
    files = Attachment.objects.filter(kind=kind.code, record_id=record.pk, removed_at__isnull=False)
    return [
        {"name": file.name, "url": reverse("attachment_restore", args=[kind.code, record.pk, file.pk])}
        for file in files
        if is_restorable(file)
    ]


def _file_or_404(
    kind: RecordKind, record: Record, file: int, actor: Actor, *, removed: bool = False
) -> Attachment:
    """The record's file (else 404), if the person reads what the files of this record hold (else 403)."""
    found = Attachment.objects.filter(
        pk=file, kind=kind.code, record_id=record.pk, removed_at__isnull=not removed
    ).first()
    if found is None:
        raise Http404
    if not _may_open_files(kind, record, actor):
        raise PermissionDenied
    return found


@requires(Permission.RECORD_VIEW)
def attachment(request: HttpRequest, kind: str, pk: int, file: int) -> HttpResponseBase:
    actor, this = _actor(request), kind_or_404(kind)
    record = get_record_or_404(this, actor, pk, removed=None)
    found = _file_or_404(this, record, file, actor)
    try:
        return response_of(found)
    except FileNotFoundError:
        logger.error("The file of attachment %s is missing.", found.pk)
        raise Http404 from None


@requires(Permission.RECORD_WRITE)
def attachment_remove(request: HttpRequest, kind: str, pk: int, file: int) -> HttpResponse:
    actor, this = _actor(request), kind_or_404(kind)
    record = get_record_or_404(this, actor, pk, Permission.RECORD_WRITE)
    found = _file_or_404(this, record, file, actor)
    if request.method == "POST":
        remove_attachment(by=actor, kind=this, record=record, attachment=found)
        messages.success(
            request,
            _("The file “%(name)s” was taken off; it can be put back for %(days)d days.")
            % {"name": found.name, "days": RESTORE_DAYS},
        )
        return redirect("record_edit", this.code, record.pk)
    return _ask_about_file(request, this, record, found)


@requires(Permission.RECORD_WRITE)
def attachment_restore(request: HttpRequest, kind: str, pk: int, file: int) -> HttpResponse:
    actor, this = _actor(request), kind_or_404(kind)
    record = get_record_or_404(this, actor, pk, Permission.RECORD_WRITE)
    found = _file_or_404(this, record, file, actor, removed=True)
    if request.method == "POST":
        try:
            restore_attachment(by=actor, kind=this, record=record, attachment=found)
        except ValidationError as error:
            messages.error(request, error.messages[0])
        else:
            messages.success(request, _("The file “%(name)s” was put back.") % {"name": found.name})
        return redirect("record_edit", this.code, record.pk)
    return _ask_about_file(request, this, record, found)


def _ask_about_file(
    request: HttpRequest, kind: RecordKind, record: Record, found: Attachment
) -> HttpResponse:
    context = {
        "kind": kind,
        "title": title_of(record, _actor(request)),
        "file": found,
        "restore_days": RESTORE_DAYS,
        "cancel_url": reverse("record_edit", args=[kind.code, record.pk]),
    }
    return render(request, "records/file.html", context)
