"""Records of every kind: one viewset per kind of the registry, with routes and descriptions of its own."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.forms import model_to_dict
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from programs import registry
from programs.access import Actor, get_record_or_404, requires, visible
from programs.actions import EditConflict, remove_record, restore_record, save_record
from programs.api import bodies, paging
from programs.api.access import actor_of
from programs.api.errors import Conflict, Invalid, KeyUsed
from programs.api.schema import describe_records
from programs.api.shapes import REASON, as_json, default_of, input_shapes
from programs.filters import filter_set
from programs.forms import RecordForm
from programs.models.record import Record
from programs.paging import page_of
from programs.registry import RecordKind
from programs.roles import Permission

KEY_HEADER = "Idempotency-Key"


class RecordViewSet(ViewSet):
    """What the pages of a kind do, in JSON."""

    kind: ClassVar[RecordKind]
    http_method_names = ["get", "head", "post", "put", "patch", "delete"]

    @requires(Permission.RECORD_VIEW)
    def list(self, request: Request) -> Response:
        actor = actor_of(request)
        filters_class = filter_set(self.kind, actor)
        given = paging.query(request, {*filters_class.base_filters, *paging.PAGE_PARAMETERS}, {"without"})
        cursor, size = paging.page_wanted(given)
        records = visible(self.kind.model.objects.present().for_detail(), actor, listing=True)
        filters = filters_class(given, queryset=records, request=request)
        if not filters.form.is_valid():
            raise Invalid(filters.form.errors)
        page = page_of(filters.qs, filters.sort, cursor, size)
        rows = [as_json(self.kind, record, actor, listed=True) for record in page.rows]
        return Response(paging.answer(request, page, rows))

    @requires(Permission.RECORD_WRITE)
    def create(self, request: Request) -> Response:
        key = submission_key(request)
        body = bodies.read(request.data, input_shapes(self.kind))
        record = self._save(actor_of(request), body, key=key)
        place = reverse(f"api_{self.kind.code}_detail", args=[record["id"]])
        return Response(record, status=201, headers={"Location": place})

    @requires(Permission.RECORD_VIEW)
    def retrieve(self, request: Request, id: int) -> Response:
        return Response(self._read(actor_of(request), id))

    @requires(Permission.RECORD_WRITE)
    def update(self, request: Request, id: int) -> Response:
        record = get_record_or_404(self.kind, actor_of(request), id, Permission.RECORD_WRITE)
        return Response(self._change(request, record, partial=False))

    @requires(Permission.RECORD_WRITE)
    def partial_update(self, request: Request, id: int) -> Response:
        record = get_record_or_404(self.kind, actor_of(request), id, Permission.RECORD_WRITE)
        return Response(self._change(request, record, partial=True))

    @requires(Permission.RECORD_WRITE)
    def destroy(self, request: Request, id: int) -> Response:
        actor = actor_of(request)
        record = get_record_or_404(self.kind, actor, id, Permission.RECORD_WRITE)
        reason = bodies.read(request.data, {"reason": REASON}).get("reason", "")
        if len(reason) > REASON.schema["maxLength"]:
            raise Invalid({"reason": [_("The reason is too long.")]})
        try:
            remove_record(by=actor, kind=self.kind, record=record, reason=reason)
        except ValidationError as error:
            raise Invalid.of(error) from error
        return Response(status=204)

    @action(methods=["post"], detail=True)
    @requires(Permission.RECORD_WRITE)
    def restore(self, request: Request, id: int) -> Response:
        actor = actor_of(request)
        record = get_record_or_404(self.kind, actor, id, Permission.RECORD_WRITE, removed=None)
        bodies.read(request.data, {})
        try:
            restore_record(by=actor, kind=self.kind, record=record)
        except ValidationError as error:
            raise Invalid.of(error) from error
        return self.retrieve(request, id)

    def _change(self, request: Request, record: Record, *, partial: bool) -> dict[str, Any]:
        body = bodies.read(request.data, input_shapes(self.kind, change=True, partial=partial))
        if "version" not in body:
            raise Invalid({"version": [_("Name the version of the record that your change begins from.")]})
        return self._save(actor_of(request), body, record=record, partial=partial)

    def _save(
        self,
        actor: Actor,
        body: dict[str, Any],
        *,
        record: Record | None = None,
        partial: bool = False,
        key: uuid.UUID | None = None,
    ) -> dict[str, Any]:
        """Check with the form of the pages and write as they do; the record as it stands then."""
        form = self.kind.form({}, actor=actor, instance=record)
        form.fields.pop("files", None)
        form.data = form_data(form, body, record if partial else None)
        if not form.is_valid():
            raise Invalid(form.errors)
        try:
            saved = save_record(
                by=actor,
                kind=self.kind,
                values=form.values(),
                joint_units=form.cleaned_data["joint_units"],
                record=record,
                version=form.cleaned_data["version"] if record else None,
                submission_key=key,
            )
        except ValidationError as error:
            raise Invalid.of(error) from error
        except EditConflict as conflict:
            raise Conflict(sent=body, current=self._read(actor, conflict.current.pk)) from conflict
        if key is not None and not form.says_the_same(saved):
            raise KeyUsed(sent=body, current=self._read(actor, saved.pk))
        return self._read(actor, saved.pk)

    def _read(self, actor: Actor, pk: int) -> dict[str, Any]:
        """The record, unless it has moved out of sight."""
        return as_json(self.kind, get_record_or_404(self.kind, actor, pk, removed=None), actor)


def submission_key(request: Request) -> uuid.UUID | None:
    """The key that makes a repeated request one record: a UUID in the header, or none."""
    given = request.headers.get(KEY_HEADER)
    if given is None:
        return None
    try:
        return uuid.UUID(given)
    except ValueError as error:
        raise Invalid({KEY_HEADER: [_("This must be a UUID.")]}) from error


def form_data(form: RecordForm, body: dict[str, Any], record: Record | None) -> dict[str, Any]:
    """What a browser would send: the body, and for what it leaves out the value that stands, or the default.

    Fields that the form leaves out are those the person does not read in the clear: they cannot be overwritten unseen.
    """
    unseen = [name for name in body if name not in form.fields]
    if unseen:
        raise Invalid(
            {name: [_("You do not see this field in full, so you cannot fill it in.")] for name in unseen}
        )
    if record is not None:
        return {**standing(form, record), **body}
    defaults = {name: default_of(field) for name, field in form.fields.items() if name not in body}
    return {**{name: value for name, value in defaults.items() if value is not None}, **body}


def standing(form: RecordForm, record: Record) -> dict[str, Any]:
    """The values of the record as its form takes them."""
    values = {name: value for name, value in model_to_dict(record).items() if name in form.fields}
    return {
        name: [unit.code for unit in value]
        if name == "joint_units"
        else form.fields[name].prepare_value(value)
        for name, value in {**values, "unit": record.unit}.items()
    }


# --- routes -----------------------------------------------------------------------------------------------------

COLLECTION: dict[str, Any] = {"get": "list", "post": "create"}
ITEM: dict[str, Any] = {"get": "retrieve", "put": "update", "patch": "partial_update", "delete": "destroy"}


def viewset_of(kind: RecordKind) -> type[RecordViewSet]:
    viewset = type(f"{kind.model.__name__}ViewSet", (RecordViewSet,), {"kind": kind, "__doc__": None})
    return describe_records(kind)(viewset)


def routes() -> list[URLPattern]:
    """api_<kind>_list, api_<kind>_detail and api_<kind>_restore for every kind."""
    patterns = []
    for kind in registry.kinds():
        viewset, base = viewset_of(kind), f"records/{kind.code}/"
        patterns += [
            path(base, viewset.as_view(COLLECTION), name=f"api_{kind.code}_list"),
            path(f"{base}<int:id>/", viewset.as_view(ITEM), name=f"api_{kind.code}_detail"),
            path(
                f"{base}<int:id>/restore/",
                viewset.as_view({"post": "restore"}),
                name=f"api_{kind.code}_restore",
            ),
        ]
    return patterns
