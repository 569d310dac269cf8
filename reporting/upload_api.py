"""Spreadsheets for programs: what the pages of uploads do, in JSON.

A file is taken in with 202: the work is done by a worker, and the upload says how far it is. Whoever asks for what
cannot be any more gets 409 with the upload as it stands.
"""

from __future__ import annotations

import uuid
from typing import Any

from django import forms
from django.http import Http404, HttpResponseBase
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import exceptions, status
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSet

from programs import registry
from programs.access import requires
from programs.api import bodies, paging
from programs.api.access import actor_of
from programs.api.errors import Conflict, Invalid
from programs.api.schema import JSON, LINK, TEXT, list_of, page_parameters, parameter, ref
from programs.api.shapes import Schema, Shape, closed_object, text_problem
from programs.exports import XLSX_TYPE
from programs.paging import page_of
from programs.registry import RecordKind
from programs.roles import Permission
from reporting.api import MONTH_NAMED
from reporting.models import Upload, UploadRemark
from reporting.upload_forms import DropForm, UploadFilter
from reporting.upload_parts import kind_or_none
from reporting.upload_views import blank_name
from reporting.uploads import blank, downloads, jobs
from reporting.uploads.gate import Refused
from reporting.uploads.jobs import get_upload_or_404
from reporting.uploads.report import COUNTS, WRITTEN, remark_of, sheet_of, summary_of
from reporting.uploads.states import WrongState

BRING = Permission.RECORD_BRING
FORM = "multipart/form-data"
NUMBER: Schema = {"type": "integer", "minimum": 0}
NO_NUMBER: Schema = {"type": ["integer", "null"], "minimum": 0}
MOMENT: Schema = {"type": "string", "format": "date-time"}
NO_MOMENT: Schema = {"type": ["string", "null"], "format": "date-time"}
CODE: Schema = {"type": "string", "pattern": "^[0-9A-Z-]{1,20}$"}


def _kind() -> Schema:
    return {"type": "string", "enum": [kind.code for kind in registry.kinds()]}


COUNTED = closed_object(
    dict.fromkeys(COUNTS, NUMBER),
    description=_("What the check found of the rows; the others add up to `read`."),
)
SUMMARY = {
    "id": {"type": "string", "format": "uuid"},
    "number": NUMBER,
    "file": TEXT,
    "size": NUMBER,
    "kind": TEXT,
    "unit": TEXT,
    "period": TEXT,
    "state": {"type": "string", "enum": Upload.State.values},
    "message": TEXT,
    "step": {"type": "string", "enum": Upload.Step.values},
    "done": NUMBER,
    "total": NUMBER,
    "counts": COUNTED,
    "written": closed_object(
        dict.fromkeys(WRITTEN, NUMBER),
        description=_(
            "Records entered and changed; after taking back, deleted, restored and kept as they are."
        ),
    ),
    "brought_at": MOMENT,
    "previewed_at": NO_MOMENT,
    "confirmed_at": NO_MOMENT,
    "entered_at": NO_MOMENT,
    "taken_back_at": NO_MOMENT,
    "undo_until": NO_MOMENT,
    "plan": TEXT,
    "has_original": {"type": "boolean"},
    "has_marked": {"type": "boolean"},
}
SHEET = closed_object(
    {
        "name": TEXT,
        "kind": TEXT,
        "reason": TEXT,
        "header_row": NUMBER,
        "columns": {"type": "object", "additionalProperties": TEXT},
        "missing": list_of(TEXT),
        "counts": COUNTED,
    },
    description=_(
        "`columns`: the header of each field. A sheet without a kind was left out, for its `reason`."
    ),
)
SHORT = closed_object(SUMMARY)
LONG = closed_object(
    {**SUMMARY, "sheets": list_of(SHEET)},
    description=_(
        "A spreadsheet and how far it is. `state` previewed waits for a confirmation; `message` says why it was"
        " refused. `plan` names what a confirmation agrees to."
    ),
)
REMARK = closed_object(
    {
        "sheet": TEXT,
        "sort": {"type": "string", "enum": UploadRemark.Sort.values},
        "row": NO_NUMBER,
        "cell": TEXT,
        "field": TEXT,
        "header": TEXT,
        "value": TEXT,
        "message": TEXT,
        "record": NO_NUMBER,
    }
)
WRONG_STATE = closed_object(
    {"detail": TEXT, "sent": {"type": "object"}, "current": LONG},
    description=_("The spreadsheet is in another state; `current` says which."),
)
DROP = closed_object(
    {
        "file": {"type": "string", "format": "binary"},
        "kind": {**_kind(), "description": _("What it holds; left out, its headers tell.")},
        "unit": {
            **CODE,
            "description": _("Whose rows they are where a row names no unit; else the acting unit."),
        },
        "period": {**MONTH_NAMED, "description": _("The month whose year dates without one belong to.")},
    },
    required=["file"],
)
TICK: Schema = {"type": "boolean", "default": True}
CONFIRMATION = closed_object(
    {
        "with_changes": {**TICK, "description": _("Enter rows that change records, too.")},
        "all_or_none": {**TICK, "default": False, "description": _("Enter nothing if a row was refused.")},
        "plan": {
            "type": "string",
            "maxLength": 64,
            "description": _("Only if the preview is still this one."),
        },
    },
    required=[],
)


def _no_boolean(value: Any) -> Any:
    return "" if isinstance(value, bool) else _("This must be true or false.")


CHOICES = {
    "with_changes": Shape(TICK, _no_boolean),
    "all_or_none": Shape(TICK, _no_boolean),
    "plan": Shape({"type": "string"}, text_problem),
}
ID = parameter("id", {"type": "string", "format": "uuid"}, place=OpenApiParameter.PATH)
SORT = parameter(
    "sort",
    {"type": "string", "enum": UploadRemark.Sort.values, "default": UploadRemark.Sort.REFUSED},
)
PLACE = OpenApiParameter(
    "Location",
    {"type": "string"},
    OpenApiParameter.HEADER,
    response=[200, 202],
    description=_("Where the spreadsheet is."),
)


class Elsewhere(Conflict):
    """The upload does not stand where the request begins."""

    default_code = "wrong_state"

    def __init__(self, error: WrongState, sent: dict[str, Any]) -> None:
        super().__init__(sent=sent, current=_long(error.upload))
        self.detail = exceptions.ErrorDetail(str(error), self.default_code)


def _long(upload: Upload) -> dict[str, Any]:
    return {**summary_of(upload), "sheets": [sheet_of(sheet) for sheet in upload.sheets.all()]}


def _operation(verb: str, summary: Any, **more: Any) -> Any:
    return extend_schema(operation_id=f"uploads_{verb}", tags=["uploads"], summary=summary, **more)


def _moving(verb: str, summary: Any, body: Schema, done: int = 202) -> Any:
    return _operation(
        verb, summary, parameters=[ID], request={JSON: body}, responses={done: LONG, 409: WRONG_STATE}
    )


class UploadViewSet(ViewSet):
    http_method_names = ["get", "head", "post"]

    def get_parsers(self) -> list[Any]:
        """A file comes as a form, everything else in JSON."""
        return (
            [MultiPartParser()]
            if getattr(self, "action_map", {}).get("post") == "create"
            else super().get_parsers()
        )

    @_operation(
        "list",
        _("List spreadsheets, the newest first"),
        parameters=[
            parameter("state", {"type": "string", "enum": Upload.State.values}),
            parameter("kind", _kind()),
            parameter("unit", CODE),
            *page_parameters(),
        ],
        responses={200: closed_object({"next": LINK, "previous": LINK, "results": list_of(SHORT)})},
    )
    @requires(BRING)
    def list(self, request: Request) -> Response:
        actor = actor_of(request)
        given = paging.query(request, {*UploadFilter.base_fields, *paging.PAGE_PARAMETERS})
        cursor, size = paging.page_wanted(given)
        form = UploadFilter(given, actor=actor)
        uploads = form.narrowed(jobs.uploads_for(actor))
        _check(form)
        page = page_of(uploads, "-id", cursor, size)
        return Response(paging.answer(request, page, [summary_of(upload) for upload in page.rows]))

    @_operation(
        "create",
        _("Bring a spreadsheet; the same file again is the one that is there"),
        parameters=[PLACE],
        request={FORM: DROP},
        responses={200: LONG, 202: LONG},
    )
    @requires(BRING)
    def create(self, request: Request) -> Response:
        actor = actor_of(request)
        form = DropForm(_fields(request), request.FILES, actor=actor, is_complete=True)
        _check(form)
        if actor.unit is None:
            raise Http404
        asked = form.cleaned_data
        try:
            upload, is_new = jobs.receive(
                by=actor,
                unit=asked.get("unit") or actor.unit,
                kind=form.chosen,
                file=asked["file"],
                name=asked["file"].name,
                period=asked["period"],
                language=get_language() or "",
            )
        except Refused as refusal:
            raise Invalid({"file": [str(refusal)]}) from refusal
        place = reverse("api_uploads_detail", args=[upload.public_id])
        code = status.HTTP_202_ACCEPTED if is_new else status.HTTP_200_OK
        return Response(_long(upload), status=code, headers={"Location": place})

    @_operation("retrieve", _("Read how far a spreadsheet is"), parameters=[ID], responses={200: LONG})
    @requires(BRING)
    def retrieve(self, request: Request, id: uuid.UUID) -> Response:
        return Response(_long(get_upload_or_404(actor_of(request), id)))

    @_operation(
        "remarks",
        _("List what is said of its rows, of one sort"),
        parameters=[ID, SORT, *page_parameters()],
        responses={200: closed_object({"next": LINK, "previous": LINK, "results": list_of(REMARK)})},
    )
    @requires(BRING)
    def remarks(self, request: Request, id: uuid.UUID) -> Response:
        upload = get_upload_or_404(actor_of(request), id)
        given = paging.query(request, {"sort", *paging.PAGE_PARAMETERS})
        cursor, size = paging.page_wanted(given)
        form = RemarkForm(given)
        _check(form)
        sort = form.cleaned_data["sort"] or UploadRemark.Sort.REFUSED
        remarks = UploadRemark.objects.filter(sheet__upload=upload, sort=sort).select_related("sheet")
        page = page_of(remarks, "id", cursor, size)
        found = [{"sheet": one.sheet.name, **remark_of(one)} for one in page.rows]
        return Response(paging.answer(request, page, found))

    @_moving("confirm", _("Have the good rows entered"), CONFIRMATION)
    @requires(BRING)
    def confirm(self, request: Request, id: uuid.UUID) -> Response:
        return self._move(request, id, jobs.confirm, bodies.read(request.data, CHOICES))

    @_moving("cancel", _("Give it up before it is entered"), ref("Nothing"), done=200)
    @requires(BRING)
    def cancel(self, request: Request, id: uuid.UUID) -> Response:
        return self._move(request, id, jobs.cancel, bodies.read(request.data, {}), done=status.HTTP_200_OK)

    @_moving("undo", _("Have everything taken back; for 30 days"), ref("Nothing"))
    @requires(BRING)
    def undo(self, request: Request, id: uuid.UUID) -> Response:
        return self._move(request, id, jobs.undo, bodies.read(request.data, {}))

    def _move(
        self,
        request: Request,
        id: uuid.UUID,
        verb: Any,
        sent: dict[str, Any],
        done: int = status.HTTP_202_ACCEPTED,
    ) -> Response:
        actor = actor_of(request)
        upload = get_upload_or_404(actor, id)
        try:
            return Response(_long(verb(by=actor, upload=upload, **sent)), status=done)
        except WrongState as error:
            raise Elsewhere(error, sent) from error


class RemarkForm(forms.Form):
    sort = forms.ChoiceField(required=False, choices=UploadRemark.Sort.choices)


def _fields(request: Request) -> dict[str, str]:
    """The fields of the form: each known, and given once."""
    errors: dict[str, list[Any]] = {}
    for name, values in [*request.POST.lists(), *request.FILES.lists()]:
        if name not in DROP["properties"]:
            errors[bodies.shown(name)] = [_("There is no such field.")]
        elif len(values) > 1:
            errors[name] = [_("This field is given more than once.")]
    if errors:
        raise Invalid(errors)
    return {name: str(value) for name, value in request.POST.items()}


def _check(form: forms.Form) -> None:
    if not form.is_valid():
        raise Invalid(form.errors)


# --- files ----------------------------------------------------------------------------------------


class WhateverIsAccepted(DefaultContentNegotiation):
    """A file comes as it is; only what is said instead of it is JSON."""

    def select_renderer(self, request: Request, renderers: Any, format_suffix: Any = None) -> Any:
        return renderers[0], renderers[0].media_type


def _file(media_type: str) -> dict[Any, Any]:
    return {(200, media_type): OpenApiTypes.BINARY}


class OriginalView(APIView):
    http_method_names = ["get", "head"]
    content_negotiation_class = WhateverIsAccepted

    @_operation(
        "original",
        _("Download the file as it came; for 90 days"),
        parameters=[ID],
        responses=_file("application/octet-stream"),
    )
    @requires(BRING)
    def get(self, request: Request, id: uuid.UUID) -> HttpResponseBase:
        actor = actor_of(request)
        return downloads.original(by=actor, upload=get_upload_or_404(actor, id))


class MarkedView(APIView):
    http_method_names = ["get", "head"]
    content_negotiation_class = WhateverIsAccepted

    @_operation(
        "marked",
        _("Download the workbook with its mistakes marked"),
        parameters=[ID],
        responses=_file(XLSX_TYPE),
    )
    @requires(BRING)
    def get(self, request: Request, id: uuid.UUID) -> HttpResponseBase:
        actor = actor_of(request)
        return downloads.marked(by=actor, upload=get_upload_or_404(actor, id))


class BlankView(APIView):
    http_method_names = ["get", "head"]
    content_negotiation_class = WhateverIsAccepted

    @_operation(
        "blank",
        _("Make a workbook to fill in"),
        parameters=[parameter("kind", _kind(), _("With this sheet alone, else with one for each kind."))],
        responses=_file(XLSX_TYPE),
    )
    @requires(BRING)
    def get(self, request: Request) -> HttpResponseBase:
        actor = actor_of(request)
        code = paging.query(request, {"kind"}).get("kind", "")
        kind: RecordKind | None = kind_or_none(code)
        if code and kind is None:
            raise Invalid({"kind": [_("There is no such kind of record.")]})
        if actor.unit is None:
            raise Http404
        content = blank.blank_workbook(by=actor, unit=actor.unit, kinds=[kind] if kind else registry.kinds())
        return downloads.workbook(content, blank_name(actor, [kind] if kind else []))
