"""Units, the declared kinds of records, and oneself: what a program needs to know before it writes."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSet

from programs import registry
from programs.access import Actor, get_unit_or_404, requires, signed_in, units_for
from programs.api import paging
from programs.api.access import actor_of
from programs.api.errors import Invalid
from programs.api.schema import describe_kinds, describe_me, describe_units
from programs.api.shapes import Shape, input_shapes
from programs.disclosure import disclosure_of
from programs.field_classes import class_of
from programs.filters import filter_set, sorts_for
from programs.forms import UnitCodeField
from programs.models.people import Grant
from programs.models.unit import Tier, Unit, UnitKind
from programs.paging import page_of
from programs.registry import RecordKind
from programs.roles import Permission
from programs.text import check_text

READ_ONLY = ["get", "head"]


class UnitForm(forms.Form):
    """How the list of units is narrowed."""

    q = forms.CharField(label=_("Search"), required=False, max_length=50, validators=[check_text])
    tier = forms.ChoiceField(label=_("Tier"), required=False, choices=Tier.choices)
    kind = forms.ChoiceField(label=_("Kind"), required=False, choices=UnitKind.choices)
    parent = UnitCodeField(label=_("Parent unit"), required=False)

    def __init__(self, *args: Any, actor: Actor, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        parent: Any = self.fields["parent"]
        parent.queryset = units_for(actor, Permission.UNIT_VIEW)


@describe_units
class UnitViewSet(ViewSet):
    http_method_names = READ_ONLY

    @requires(Permission.UNIT_VIEW)
    def list(self, request: Request) -> Response:
        actor = actor_of(request)
        given = paging.query(request, {*UnitForm.base_fields, *paging.PAGE_PARAMETERS})
        cursor, size = paging.page_wanted(given)
        form = UnitForm(given, actor=actor)
        if not form.is_valid():
            raise Invalid(form.errors)
        wanted = {name: value for name, value in form.cleaned_data.items() if value and name != "q"}
        units = units_for(actor, Permission.UNIT_VIEW).filter(**wanted).matching(form.cleaned_data["q"])
        page = page_of(units.select_related("parent", "merged_into"), "code", cursor, size)
        return Response(paging.answer(request, page, [unit_json(unit) for unit in page.rows]))

    @requires(Permission.UNIT_VIEW)
    def retrieve(self, request: Request, code: str) -> Response:
        return Response(unit_json(get_unit_or_404(actor_of(request), Permission.UNIT_VIEW, code=code)))


def unit_json(unit: Unit) -> dict[str, Any]:
    return {
        "code": unit.code,
        "name": unit.name,
        "tier": unit.tier,
        "kind": unit.kind,
        "parent": unit.parent.code if unit.parent else None,
        "opened_on": unit.opened_on,
        "closed_on": unit.closed_on,
        "merged_into": unit.merged_into.code if unit.merged_into else None,
    }


@describe_kinds
class KindsView(APIView):
    http_method_names = READ_ONLY

    @requires(Permission.RECORD_VIEW)
    def get(self, request: Request) -> Response:
        actor = actor_of(request)
        return Response({"results": [kind_json(kind, actor) for kind in registry.kinds()]})


def kind_json(kind: RecordKind, actor: Actor) -> dict[str, Any]:
    """The declaration, with filters and sorts as far as this reader may use them."""
    return {
        "code": kind.code,
        "label": str(kind.label),
        "label_plural": str(kind.label_plural),
        "action": {"code": kind.action.code, "label": str(kind.action.label)},
        "title": kind.title,
        "columns": kind.columns,
        "filters": list(filter_set(kind, actor).base_filters),
        "sorts": sorts_for(kind, actor),
        "fields": [_field(kind, name, shape, actor) for name, shape in input_shapes(kind).items()],
        "indicators": [
            {
                "code": indicator.code,
                "label": str(indicator.label),
                "measure": {"code": indicator.measure.code, "label": str(indicator.measure.label)},
                "description": str(indicator.description),
            }
            for indicator in kind.indicators
        ],
    }


def _field(kind: RecordKind, name: str, shape: Shape, actor: Actor) -> dict[str, Any]:
    """What the schema says of the field, its choices by name, and how this reader gets to see it."""
    known = {field.name: field for field in kind.model._meta.get_fields()}
    field = known.get(name)
    kinds = shape.schema["type"]
    return {
        "name": name,
        "label": str(shape.schema.get("title") or name),
        "help": str(shape.schema.get("description", "")),
        "type": kinds if isinstance(kinds, str) else kinds[0],
        "required": shape.required,
        "max_length": shape.schema.get("maxLength"),
        "choices": [
            {"value": value, "label": str(label)} for value, label in getattr(field, "flatchoices", ())
        ],
        "class": f"C{class_of(field):d}",
        "disclosure": disclosure_of(field, actor).value,
    }


@describe_me
class MeView(APIView):
    http_method_names = READ_ONLY

    @signed_in
    def get(self, request: Request) -> Response:
        actor = actor_of(request)
        return Response(
            {
                "username": actor.user.username,
                "name": actor.user.name,
                "language": actor.user.language,
                "acting_unit": _named(actor.unit) if actor.unit else None,
                "roles": [_role(grant) for grant in actor.grants],
                "permissions": [permission.value for permission in Permission if actor.may(permission)],
                "grants": [{"unit": _named(grant.unit), "role": _role(grant)} for grant in actor.choices],
            }
        )


def _named(unit: Unit) -> dict[str, str]:
    return {"code": unit.code, "name": unit.name}


def _role(grant: Grant) -> dict[str, str]:
    return {"code": grant.role, "label": str(grant.role_class.label)}
