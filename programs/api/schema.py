"""The OpenAPI description: written from the shapes of the kinds, so that it says what the API does.

Bodies are described as JSON Schema; every one gets a name among the components (`add_components`, a hook of the
generator). REST framework's serializers would say the same a second time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import django_filters
from django.utils.translation import gettext_lazy as _
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view

from programs import registry
from programs.api import shapes
from programs.api.paging import MOST_ROWS
from programs.api.shapes import Schema, closed_object
from programs.boundaries import MOST_LEFT_OUT
from programs.field_classes import FieldClass
from programs.filters import NumberFilter, filter_set
from programs.models.unit import Tier, UnitKind
from programs.paging import CURSOR_LENGTH, PAGE_SIZE
from programs.registry import RecordKind
from programs.roles import ROLES, Disclosure, Permission

ViewT = TypeVar("ViewT", bound=type)
JSON = "application/json"
WRITING = ("POST", "PUT", "PATCH", "DELETE")

TEXT: Schema = {"type": "string"}
NO_TEXT: Schema = {"type": ["string", "null"]}
DATE: Schema = {"type": "string", "format": "date"}
NO_DATE: Schema = {"type": ["string", "null"], "format": "date"}
LINK: Schema = {"type": ["string", "null"], "format": "uri"}


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def list_of(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def some_text(longest: int) -> Schema:
    return {"type": "string", "minLength": 1, "maxLength": longest}


def page_of(name: str) -> Schema:
    return closed_object({"next": LINK, "previous": LINK, "results": list_of(ref(name))})


# --- components -------------------------------------------------------------------------------------------------


def components() -> dict[str, Schema]:
    """Every named body, by name."""
    found = {
        "Error": closed_object({"detail": TEXT}),
        "Invalid": closed_object(
            {"detail": TEXT, "errors": {"type": "object", "additionalProperties": list_of(TEXT)}},
            required=["detail"],
            description=_("What cannot be accepted; `errors` holds messages by field, parameter or header."),
        ),
        "Removal": closed_object({"reason": shapes.REASON.schema}, required=[]),
        "Nothing": closed_object({}, description=_("No fields.")),
        **_reading_components(),
    }
    for kind in registry.kinds():
        found |= _record_components(kind)
    return found


def _record_components(kind: RecordKind) -> dict[str, Schema]:
    name = kind.model.__name__
    conflict = {"detail": TEXT, "sent": {"type": "object"}, "current": ref(name)}
    new, whole = shapes.input_shapes(kind), shapes.input_shapes(kind, change=True)
    part = shapes.input_shapes(kind, change=True, partial=True)
    return {
        name: shapes.output_schema(kind),
        f"{name}Page": page_of(name),
        f"{name}Input": shapes.input_schema(
            new, _("A new record. What is left out takes its default, or stays empty.")
        ),
        f"{name}Replacement": shapes.input_schema(whole, _("Every field anew, over the version it names.")),
        f"{name}Change": shapes.input_schema(part, _("Some fields anew, over the version it names.")),
        f"{name}Conflict": closed_object(
            conflict,
            description=_(
                "What was sent does not go with what stands: a newer version, or a key used before."
            ),
        ),
    }


def _reading_components() -> dict[str, Schema]:
    named = closed_object({"code": TEXT, "name": TEXT})
    labelled = closed_object({"code": TEXT, "label": TEXT})
    role = closed_object({"code": {"type": "string", "enum": list(ROLES)}, "label": TEXT})
    permission = {"type": "string", "enum": [permission.value for permission in Permission]}
    return {
        "Unit": closed_object(
            {
                "code": TEXT,
                "name": TEXT,
                "tier": {"type": "string", "enum": Tier.values},
                "kind": {"type": "string", "enum": UnitKind.values},
                "parent": NO_TEXT,
                "opened_on": DATE,
                "closed_on": NO_DATE,
                "merged_into": NO_TEXT,
            }
        ),
        "UnitPage": page_of("Unit"),
        "Kind": closed_object(
            {
                "code": TEXT,
                "label": TEXT,
                "label_plural": TEXT,
                "action": labelled,
                "title": TEXT,
                "columns": list_of(TEXT),
                "filters": list_of(TEXT),
                "sorts": list_of(TEXT),
                "fields": list_of(ref("KindField")),
                "indicators": list_of(
                    closed_object({"code": TEXT, "label": TEXT, "measure": labelled, "description": TEXT})
                ),
            }
        ),
        "KindField": closed_object(
            {
                "name": TEXT,
                "label": TEXT,
                "help": TEXT,
                "type": {"type": "string", "enum": ["string", "integer", "number", "boolean", "array"]},
                "required": {"type": "boolean"},
                "max_length": {"type": ["integer", "null"]},
                "choices": list_of(closed_object({"value": {}, "label": TEXT})),
                "class": {"type": "string", "enum": [field_class.name for field_class in FieldClass]},
                "disclosure": {"type": "string", "enum": [disclosure.value for disclosure in Disclosure]},
            }
        ),
        "Kinds": closed_object({"results": list_of(ref("Kind"))}),
        "Me": closed_object(
            {
                "username": TEXT,
                "name": TEXT,
                "language": TEXT,
                "acting_unit": {"oneOf": [named, {"type": "null"}]},
                "roles": list_of(role),
                "permissions": list_of(permission),
                "grants": list_of(closed_object({"unit": named, "role": role})),
            }
        ),
    }


def add_components(result: Schema, **kwargs: Any) -> Schema:
    """A hook of the generator: the named bodies, beside what it collected itself."""
    result.setdefault("components", {}).setdefault("schemas", {}).update(components())
    return result


# --- operations -------------------------------------------------------------------------------------------------


class PortalSchema(AutoSchema):
    """Adds the answers that every operation may give, and bodies as they are described."""

    def _is_list_view(self, serializer: Any = None) -> bool:
        return False  # pages of lists are described in full

    def _get_response_bodies(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        errors = {"401": "Error", "403": "Error", "406": "Error"}
        if "{" in self.path:
            errors["404"] = "Error"
        if self.method in WRITING:
            errors |= {"400": "Invalid", "413": "Error", "415": "Error"}
        elif self.get_override_parameters():
            errors["400"] = "Invalid"
        described = {
            status: {"description": "", "content": {JSON: {"schema": ref(name)}}}
            for status, name in errors.items()
        }
        return dict(sorted({**described, **super()._get_response_bodies(*args, **kwargs)}.items()))

    def _get_request_body(self, *args: Any, **kwargs: Any) -> Any:
        if self.method not in WRITING:
            return None
        bodies: Any = self.get_request_serializer()
        content = {media_type: {"schema": schema} for media_type, schema in bodies.items()}
        # A body without fields that are required may be left out.
        named = components()
        described = (
            named.get(schema.get("$ref", "").rpartition("/")[2], schema) for schema in bodies.values()
        )
        return {"content": content, "required": any("required" in schema for schema in described)}


class SessionScheme(OpenApiAuthenticationExtension):
    target_class = "programs.api.access.SessionAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: AutoSchema) -> Schema:
        from django.conf import settings

        return {"type": "apiKey", "in": "cookie", "name": settings.SESSION_COOKIE_NAME}


def describe_records(kind: RecordKind) -> Callable[[ViewT], ViewT]:
    name, tags = kind.model.__name__, [str(kind.code)]

    def operation(verb: str, summary: Any, **more: Any) -> Any:
        return extend_schema(operation_id=f"{kind.code}_{verb}", tags=tags, summary=summary, **more)

    def body(suffix: str) -> Schema:
        return {JSON: ref(f"{name}{suffix}")}

    conflict = {409: ref(f"{name}Conflict")}
    key = parameter(
        "Idempotency-Key",
        {"type": "string", "format": "uuid"},
        _("The same key sent again makes no second record."),
        place=OpenApiParameter.HEADER,
    )
    place = OpenApiParameter(
        "Location",
        {"type": "string"},
        OpenApiParameter.HEADER,
        response=[201],
        description=_("Where the record is."),
    )
    return extend_schema_view(
        list=operation(
            "list",
            _("List records"),
            parameters=[*filter_parameters(kind), *page_parameters()],
            responses={200: ref(f"{name}Page")},
        ),
        create=operation(
            "create",
            _("Log a record"),
            parameters=[key, place],
            request=body("Input"),
            responses={201: ref(name), **conflict},
        ),
        retrieve=operation("retrieve", _("Read a record"), responses={200: ref(name)}),
        update=operation(
            "update",
            _("Replace a record"),
            request=body("Replacement"),
            responses={200: ref(name), **conflict},
        ),
        partial_update=operation(
            "partial_update",
            _("Change a record"),
            request=body("Change"),
            responses={200: ref(name), **conflict},
        ),
        destroy=operation(
            "destroy",
            _("Remove a record; it can be restored for 30 days"),
            request={JSON: ref("Removal")},
            responses={204: None},
        ),
        restore=operation(
            "restore",
            _("Restore a removed record"),
            request={JSON: ref("Nothing")},
            responses={200: ref(name)},
        ),
    )


def describe_units(view: ViewT) -> ViewT:
    choices = {"tier": Tier.values, "kind": UnitKind.values}
    narrowing = [
        parameter("q", some_text(50), _("Code, name, pinyin or initials (hmjd).")),
        *(parameter(name, {"type": "string", "enum": values}) for name, values in choices.items()),
        parameter("parent", some_text(20), _("Code of the unit directly above.")),
    ]
    listing = extend_schema(
        operation_id="units_list",
        tags=["units"],
        summary=_("List units by code"),
        parameters=[*narrowing, *page_parameters()],
        responses={200: ref("UnitPage")},
    )
    reading = extend_schema(
        operation_id="units_retrieve",
        tags=["units"],
        summary=_("Read a unit"),
        parameters=[
            parameter("code", {"type": "string", "pattern": "^[0-9A-Z-]{1,20}$"}, place=OpenApiParameter.PATH)
        ],
        responses={200: ref("Unit")},
    )
    return extend_schema_view(list=listing, retrieve=reading)(view)


def describe_kinds(view: ViewT) -> ViewT:
    summary = _("The declared kinds of records, with their fields and choices")
    reading = extend_schema(
        operation_id="kinds", tags=["kinds"], summary=summary, responses={200: ref("Kinds")}
    )
    return extend_schema_view(get=reading)(view)


def describe_me(view: ViewT) -> ViewT:
    summary = _("Who is signed in, acting for which unit, allowed what")
    reading = extend_schema(operation_id="me", tags=["me"], summary=summary, responses={200: ref("Me")})
    return extend_schema_view(get=reading)(view)


# --- parameters -------------------------------------------------------------------------------------------------


def parameter(
    name: str, schema: Schema, description: Any = "", place: Any = OpenApiParameter.QUERY
) -> OpenApiParameter:
    required = place == OpenApiParameter.PATH
    return OpenApiParameter(name, schema, place, required=required, description=description)


def page_parameters() -> list[OpenApiParameter]:
    return [
        parameter(
            "cursor",
            some_text(CURSOR_LENGTH),
            _(
                "Where the page begins: taken from the `next` and `previous` links, other parameters unchanged."
            ),
        ),
        parameter("page_size", {"type": "integer", "minimum": 1, "maximum": MOST_ROWS, "default": PAGE_SIZE}),
    ]


def filter_parameters(kind: RecordKind) -> list[OpenApiParameter]:
    """The filters that every reader has; those over fields that some read masked are told by /kinds/."""
    filters = filter_set(kind, None).base_filters
    return [parameter(name, _filter_schema(found), found.label) for name, found in filters.items()]


def _filter_schema(found: Any) -> Schema:
    match found:
        case django_filters.ModelMultipleChoiceFilter():
            return {"type": "array", "items": some_text(20), "maxItems": MOST_LEFT_OUT}
        case django_filters.ModelChoiceFilter():
            return some_text(20)
        case django_filters.ChoiceFilter():
            return {"type": "string", "enum": [str(value) for value, _label in found.extra["choices"]]}
        case django_filters.DateFilter():
            return DATE
        case django_filters.BooleanFilter():
            return {"type": "boolean"}
        case NumberFilter():
            return {
                "type": "integer",
                "minimum": found.extra["min_value"],
                "maximum": found.extra["max_value"],
            }
        case django_filters.CharFilter():
            return some_text(found.extra["max_length"])
        case _:
            return TEXT
