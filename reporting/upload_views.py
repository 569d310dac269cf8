"""The pages of spreadsheets: dropping one, its life from the check to the records and back, what its columns mean."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import prefetch_related_objects
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.text import capfirst
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe
from django_htmx.http import HttpResponseClientRedirect, reswap, retarget

from programs import registry
from programs.access import Actor, requires
from programs.lists import CURSOR, without
from programs.paging import page_of
from programs.registry import RecordKind
from programs.roles import Permission
from programs.views.people import tags_of
from reporting.models import Upload, UploadRemark, UploadSheet
from reporting.models.upload import UNDO_DAYS, State
from reporting.upload_forms import ANY, ColumnsForm, DropForm, KindForm, SheetColumn, UploadFilter
from reporting.upload_parts import HEADINGS, Life, Row, is_any_waiting, kind_or_none, remarks_of
from reporting.uploads import blank, downloads, gate, jobs, layout, pipeline, reading
from reporting.uploads.files import KEEP_DAYS
from reporting.uploads.gate import Refused
from reporting.uploads.jobs import get_upload_or_404
from reporting.uploads.limits import MAX_BYTES, MAX_ROWS
from reporting.uploads.sheet import Sheet
from reporting.uploads.states import WrongState
from reporting.uploads.values import is_blank
from reporting.uploads.values import shown as cell_shown
from reporting.uploads.words import listed

BRING = Permission.RECORD_BRING
# What a page tells of the cells below a header, to know a column again by.
SAMPLES, LONGEST_SAMPLE = 3, 40


def _actor(request: HttpRequest) -> Actor:
    return request.actor  # type: ignore[attr-defined]


def _is_part(request: HttpRequest) -> bool:
    """Whether a part of the page is asked for, and not the page."""
    return bool(request.htmx)  # type: ignore[attr-defined]


# --- dropping one, and what was dropped -----------------------------------------------------------


@requires(BRING)
@require_http_methods(["GET", "HEAD", "POST"])
def upload_list(request: HttpRequest) -> HttpResponse:
    if request.method == "POST":
        return _drop(request)
    actor = _actor(request)
    kind = kind_or_none(request.GET.get("for", ""))
    return _list_page(request, DropForm(actor=actor, initial={"kind": kind.code if kind else ANY}))


def _drop(request: HttpRequest) -> HttpResponse:
    actor = _actor(request)
    form = DropForm(request.POST, request.FILES, actor=actor)
    if not form.is_valid() or actor.unit is None:
        return _list_page(request, form)
    asked = form.cleaned_data
    try:
        upload, is_new = jobs.receive(
            by=actor,
            unit=asked.get("unit") or actor.unit,
            kind=form.chosen,
            file=asked["file"],
            name=asked["file"].name,
            period=asked["period"],
            mapping=asked.get("mapping"),
            language=get_language() or "",
        )
    except Refused as refusal:
        form.add_error("file", str(refusal))
        return _list_page(request, form)
    if not is_new:
        messages.info(request, _("This very file has been brought before; here it is."))
    address = reverse("upload_detail", args=[upload.public_id])
    return HttpResponseClientRedirect(address) if _is_part(request) else redirect(address)


def _list_page(request: HttpRequest, form: DropForm) -> HttpResponse:
    actor = _actor(request)
    if request.method == "POST" and _is_part(request):
        return render(request, "uploads/drop.html", _about_dropping(form))
    filters = UploadFilter(request.GET, actor=actor)
    uploads = filters.narrowed(jobs.uploads_for(actor).select_related("created_by"))
    page = page_of(uploads, "-id", request.GET.get(CURSOR, ""))
    tags = tags_of(request, filters)
    context = {
        **_about_dropping(form),
        "rows": [Row(upload) for upload in page.rows],
        "has_units": any(upload.unit_id != (actor.unit.pk if actor.unit else 0) for upload in page.rows),
        "is_any_waiting": is_any_waiting(page.rows),
        "has_filters": bool(tags or filters.errors or page.next_cursor or page.previous_cursor),
        "filter_form": filters,
        "active_filters": tags,
        "page_lost": page.lost,
        "prev_url": without(request, cursor=page.previous_cursor) if page.previous_cursor else "",
        "next_url": without(request, cursor=page.next_cursor) if page.next_cursor else "",
    }
    return render(request, "uploads/list.html", context)


def _about_dropping(form: DropForm) -> dict[str, Any]:
    return {
        "drop_form": form,
        "kinds": registry.kinds(),
        "together": _together(),
        "most_megabytes": MAX_BYTES >> 20,
        "most_rows": MAX_ROWS,
        "undo_days": UNDO_DAYS,
    }


@requires(BRING)
@require_safe
def upload_blank(request: HttpRequest) -> HttpResponseBase:
    """A workbook to fill in: of one kind (?kind=) or several (?kind=&kind=), or a sheet for each."""
    actor = _actor(request)
    codes = dict.fromkeys(code for code in request.GET.getlist("kind") if code)
    kinds = [kind for kind in registry.kinds() if kind.code in codes]
    if actor.unit is None or len(kinds) != len(codes):
        raise Http404
    content = blank.blank_workbook(by=actor, unit=actor.unit, kinds=kinds or registry.kinds())
    return downloads.workbook(content, blank_name(actor, kinds))


def blank_name(actor: Actor, kinds: Sequence[RecordKind]) -> str:
    what = listed(str(kind.label_plural) for kind in kinds) if kinds else _("All records")
    return f"{actor.unit.name if actor.unit else ''} {what}.xlsx".strip()


def _together() -> dict[str, str]:
    """The blank workbook of the kinds whose rows name each other: its label and the question for it."""
    kinds = [kind for kind in registry.kinds() if kind.sheet.together]
    return {
        "label": capfirst(listed(str(kind.label_plural) for kind in kinds)),
        "query": urlencode([("kind", kind.code) for kind in kinds]),
    }


# --- one upload -----------------------------------------------------------------------------------


@requires(BRING)
@require_safe
def upload_detail(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    upload = get_upload_or_404(_actor(request), public_id)
    life = Life(upload, _actor(request))
    seen, step = request.GET.get("seen", "").partition(".")[::2]
    if _is_part(request) and life.is_waiting and seen == upload.state:
        return render(request, "uploads/now.html", {"life": life, "is_new_step": step != upload.step})
    prefetch_related_objects([upload], "sheets")
    if _is_part(request) and "marked" in request.GET:
        return render(request, "uploads/marked.html", {"life": life})
    context = {
        "life": life,
        "undo_days": UNDO_DAYS,
        "keep_days": KEEP_DAYS,
        "kind_form": KindForm(initial={"kind": upload.sheets.all()[0].kind if upload.sheets.all() else ""}),
    }
    if _is_part(request):
        response = render(request, "uploads/life.html", context)
        return reswap(retarget(response, "#upload"), "outerHTML")
    return render(request, "uploads/detail.html", context)


@requires(BRING)
@require_safe
def upload_remarks(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Everything that is kept of what was said of its rows, sort by sort."""
    upload = get_upload_or_404(_actor(request), public_id)
    sort = request.GET.get("sort", UploadRemark.Sort.REFUSED)
    if sort not in UploadRemark.Sort.values:
        raise Http404
    remarks = UploadRemark.objects.filter(sheet__upload=upload, sort=sort).select_related("sheet")
    page = page_of(remarks, "id", request.GET.get(CURSOR, ""))
    prefetch_related_objects([upload], "sheets")
    context = {
        "life": Life(upload, _actor(request)),
        "sort": sort,
        "heading": HEADINGS[sort],
        "rows": remarks_of(page.rows),
        "page_lost": page.lost,
        "prev_url": without(request, cursor=page.previous_cursor) if page.previous_cursor else "",
        "next_url": without(request, cursor=page.next_cursor) if page.next_cursor else "",
    }
    return render(request, "uploads/remarks.html", context)


def _back(upload: Upload) -> HttpResponse:
    return redirect("upload_detail", upload.public_id)


@requires(BRING)
def upload_confirm(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    actor = _actor(request)
    upload = get_upload_or_404(actor, public_id)
    if request.method == "POST":
        try:
            jobs.confirm(
                by=actor,
                upload=upload,
                # Without changes there is no box to tick.
                with_changes="choices" not in request.POST or "with_changes" in request.POST,
                plan=request.POST.get("plan", ""),
            )
        except WrongState as error:
            messages.warning(request, str(error))
    return _back(upload)


@requires(BRING)
def upload_cancel(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    actor = _actor(request)
    upload = get_upload_or_404(actor, public_id)
    if request.method == "POST":
        try:
            jobs.cancel(by=actor, upload=upload)
        except WrongState as error:
            messages.warning(request, str(error))
    return _back(upload)


@requires(BRING)
@require_http_methods(["GET", "HEAD", "POST"])
def upload_undo(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Asks, and says what will become of the records; then has them taken back."""
    actor = _actor(request)
    upload = get_upload_or_404(actor, public_id)
    if request.method == "POST":
        try:
            jobs.undo(by=actor, upload=upload)
        except WrongState as error:
            messages.warning(request, str(error))
        return _back(upload)
    if not upload.may_be_undone:
        return _back(upload)
    return render(request, "uploads/undo.html", {"upload": upload, "cancel_url": Life(upload, actor).url})


@requires(BRING)
@require_safe
def upload_original(request: HttpRequest, public_id: uuid.UUID) -> HttpResponseBase:
    actor = _actor(request)
    return downloads.original(by=actor, upload=get_upload_or_404(actor, public_id))


@requires(BRING)
@require_safe
def upload_marked(request: HttpRequest, public_id: uuid.UUID) -> HttpResponseBase:
    actor = _actor(request)
    return downloads.marked(by=actor, upload=get_upload_or_404(actor, public_id))


# --- what its columns mean ------------------------------------------------------------------------


@requires(BRING)
def upload_read_as(request: HttpRequest, public_id: uuid.UUID) -> HttpResponse:
    """Says what a refused file holds; it is read again."""
    actor = _actor(request)
    upload = get_upload_or_404(actor, public_id)
    form = KindForm(request.POST)
    if request.method == "POST" and form.is_valid():
        try:
            jobs.read_as(by=actor, upload=upload, kind=form.chosen)
        except WrongState as error:
            messages.warning(request, str(error))
    return _back(upload)


@requires(BRING)
@require_http_methods(["GET", "HEAD", "POST"])
def upload_columns(request: HttpRequest, public_id: uuid.UUID, position: int) -> HttpResponse:
    """Which column of a sheet holds what, with a few of its cells to tell by; remembered for the unit."""
    actor = _actor(request)
    upload = get_upload_or_404(actor, public_id)
    sheet = upload.sheets.filter(position=position).first()
    if sheet is None:
        raise Http404
    if upload.state not in (State.PREVIEWED, State.REFUSED):
        messages.warning(request, str(WrongState(upload)))
        return _back(upload)
    if not downloads.may_open(actor, upload):
        raise PermissionDenied
    try:
        found = _looked_at(actor, upload, sheet, kind_or_none(request.GET.get("kind", "")))
    except Refused as refusal:
        messages.warning(request, str(refusal))
        return _back(upload)
    columns = columns_of(*found)
    data = request.POST if request.method == "POST" else None
    form = ColumnsForm(data, kind=found[1].kind, actor=actor, columns=columns)
    if form.is_valid():
        try:
            jobs.map_columns(
                by=actor,
                upload=upload,
                sheet=sheet,
                kind=found[1].kind,
                columns=form.mapping(),
                name=form.cleaned_data["name"],
            )
        except WrongState as error:
            messages.warning(request, str(error))
        return _back(upload)
    context = {
        "life": Life(upload, actor),
        "sheet_name": sheet.name or upload.name,
        "kind": found[1].kind,
        "kind_form": KindForm(initial={"kind": found[1].kind.code}),
        "header_row": found[1].header_row,
        "form": form,
    }
    return render(request, "uploads/columns.html", context)


def _looked_at(
    actor: Actor, upload: Upload, sheet: UploadSheet, kind: RecordKind | None
) -> tuple[Sheet, layout.Layout]:
    """The sheet, read out of the file once more, since no cells of it are kept elsewhere; as one of `kind`, else of the
    kind that fits best. Refused, if the file can no longer be read."""
    if not upload.file:
        raise Refused("gone", _("The file is no longer kept; bring it again."))
    path = Path(upload.file.path)
    sheets: Any = reading.sheets(path, gate.examine(path, upload.name))
    with closing(sheets):  # the reader ends with the sheet that is wanted
        found = next((one for one in sheets if one.name[:255] == sheet.name), None)
    if found is None:
        raise Refused("gone", _("This sheet is not in the file any more."))
    kinds = [one for one in (kind or kind_or_none(sheet.kind),) if one] or pipeline.kinds_of(upload)
    mappings = pipeline.mappings_of(upload)
    layouts = [layout.find(found, one, by=actor, mapping=mappings.get(one.code)) for one in kinds]
    return found, max(layouts, key=lambda one: len(one.columns))


def columns_of(sheet: Sheet, found: layout.Layout) -> list[SheetColumn]:
    """Its columns by their headers; where none was found, by the first row with several cells."""
    header_row, headers = found.header_row, list(found.all_headers)
    if found.mark is not None:
        headers.insert(found.mark, "")  # the column that we added ourselves
    if not header_row:
        header_row, headers = _likely_header(sheet)
    below = sheet.rows[max(0, header_row + 1 - sheet.first_row) :]
    fields = {at: name for name, at in found.columns.items()}
    return [
        SheetColumn(at, header, _samples(below, at), fields.get(at, "")) for at, header in enumerate(headers)
    ]


def _likely_header(sheet: Sheet) -> tuple[int, list[str]]:
    for index, row in enumerate(sheet.rows[: layout.ROWS_SEARCHED]):
        texts = [" ".join(str(cell).split()) if isinstance(cell, str) else "" for cell in row]
        if sum(map(bool, texts)) >= layout.FEWEST_HEADERS:
            return sheet.first_row + index, texts
    return 0, []


def _samples(rows: list[list[Any]], at: int) -> list[str]:
    """The first few cells of a column that say something."""
    found: list[str] = []
    for row in rows:
        if at < len(row) and not is_blank(row[at]):
            text = str(cell_shown(row[at]))[:LONGEST_SAMPLE]
            if text not in found:
                found.append(text)
        if len(found) == SAMPLES:
            break
    return found
