"""The JSON of records: which fields, of which types. What is described here is what is read, written and documented.

Values go in as the kind's form takes them, units by their code, and come out as the reader may see them
(`programs.disclosure`). Fields of class C2 and above come out as text, since their masks are text.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django import forms
from django.core.validators import MaxLengthValidator, MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from programs.access import Actor
from programs.disclosure import disclosure_of, read_as
from programs.field_classes import C2, C4, class_of
from programs.models.record import Record
from programs.models.unit import Unit
from programs.registry import RecordKind, Text
from programs.roles import Disclosure
from programs.text import UNSTORABLE

Schema = dict[str, Any]
MOST_ENTRIES = 50
ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
# Fields of the form that travel in other ways: the key in a header, the version only with a change.
APART = ("submission_key", "version")

UNSTORABLE_TEXT = _("The text contains characters that cannot be stored.")
NOT_TEXT = _("This must be text.")
NOT_WHOLE = _("This must be a whole number, without quotation marks.")
NOT_NUMBER = _("This must be a number.")
NOT_BOOLEAN = _("This must be true or false.")
NOT_DATE = _("This must be a date as YYYY-MM-DD.")
NOT_CODES = _("This must be a list of codes of units.")
NOT_TEXTS = _("This must be a list of texts.")
TOO_MANY = _("There are too many entries.")


@dataclass(frozen=True)
class Shape:
    """The type of one value in a body. `problem` says what is wrong with a value, or nothing."""

    schema: Schema
    problem: Callable[[Any], Text]
    required: bool = False
    nullable: bool = False


# --- what comes in ----------------------------------------------------------------------------------------------


def text_problem(value: Any) -> Text:
    if not isinstance(value, str):
        return NOT_TEXT
    return UNSTORABLE_TEXT if UNSTORABLE.search(value) else ""


def _whole_problem(value: Any) -> Text:
    return "" if type(value) is int else NOT_WHOLE


def _number_problem(value: Any) -> Text:
    if isinstance(value, str):
        return text_problem(value)
    return "" if type(value) is int or isinstance(value, Decimal) else NOT_NUMBER


def _boolean_problem(value: Any) -> Text:
    return "" if isinstance(value, bool) else NOT_BOOLEAN


def _date_problem(value: Any) -> Text:
    return "" if isinstance(value, str) and (not value or ISO_DATE.fullmatch(value)) else NOT_DATE


def _texts_problem(value: Any, message: Text = NOT_TEXTS) -> Text:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        return message
    if len(value) > MOST_ENTRIES:
        return TOO_MANY
    return next((problem for item in value if (problem := text_problem(item))), "")


def _codes_problem(value: Any) -> Text:
    return _texts_problem(value, NOT_CODES) or (NOT_CODES if "" in value else "")


VERSION = Shape(
    {"type": "integer", "minimum": 1, "description": _("The version that the change begins from.")},
    _whole_problem,
    required=True,
)
REASON = Shape({"type": "string", "maxLength": 200}, text_problem)


def input_shapes(kind: RecordKind, *, change: bool = False, partial: bool = False) -> dict[str, Shape]:
    """What a body may hold: the fields of the kind's form that JSON can carry; to change a record, its version too."""
    fields: dict[str, forms.Field] = kind.form.base_fields
    shapes = {
        name: _shape(field, partial)
        for name, field in fields.items()
        if name not in APART and not isinstance(field, forms.FileField)
    }
    return {**shapes, "version": VERSION} if change else shapes


def _shape(field: forms.Field, partial: bool) -> Shape:
    schema, problem = _typed(field)
    default = default_of(field)
    schema = {"title": field.label, "description": field.help_text, **schema}
    if default is not None and not partial:
        schema["default"] = default
    return Shape(
        {key: value for key, value in schema.items() if value != ""},
        problem,
        required=field.required and default is None and not partial,
        nullable=not field.required,
    )


def default_of(field: forms.Field) -> Any:
    """What stands for a field that is left out: the model's default, as a browser's form would show and send it."""
    initial = field.initial() if callable(field.initial) else field.initial
    return str(initial) if isinstance(initial, dt.date | Decimal) else initial


def _typed(field: forms.Field) -> tuple[Schema, Callable[[Any], Text]]:
    match field:
        case forms.ModelMultipleChoiceField():
            return {"type": "array", "items": _code(), "maxItems": MOST_ENTRIES}, _codes_problem
        case forms.ModelChoiceField():
            return _code(), text_problem
        case forms.MultipleChoiceField():
            items = {"type": "string", "enum": _values(field.choices)}
            return {"type": "array", "items": items, "maxItems": MOST_ENTRIES}, _texts_problem
        case forms.ChoiceField():
            problem = _whole_problem if _are_whole(_values(field.choices)) else text_problem
            return _choice(field.choices, blank=not field.required), problem
        case forms.BooleanField():
            return {"type": "boolean"}, _boolean_problem
        case forms.DecimalField() | forms.FloatField():
            return {"type": ["number", "string"], **_range(field)}, _number_problem
        case forms.IntegerField():
            return {"type": "integer", **_range(field)}, _whole_problem
        case forms.DateField():
            return {"type": "string", "format": "date"}, _date_problem
        case forms.CharField():
            return {"type": "string", **_length(field.max_length, field.required)}, text_problem
        case _:
            return {"type": "string"}, text_problem


def _code() -> Schema:
    return {"type": "string", "minLength": 1, "maxLength": 20, "description": _("Code of a unit.")}


def _length(longest: int | None, required: bool = False) -> Schema:
    return {**({"pattern": r"\S"} if required else {}), **({"maxLength": longest} if longest else {})}


def _range(field: Any) -> Schema:
    bounds = {"minimum": field.min_value, "maximum": field.max_value}
    return {name: bound for name, bound in bounds.items() if bound is not None}


def _values(choices: Any) -> list[Any]:
    """The values of (perhaps grouped) choices, the empty one apart."""
    found = []
    for value, label in choices:
        found += _values(label) if isinstance(label, list | tuple) else [value]
    return [value for value in found if value not in (None, "")]


def _choice(choices: Any, *, blank: bool) -> Schema:
    values = _values(choices)
    if _are_whole(values):
        return {"type": "integer", "enum": values}
    return {"type": "string", "enum": [*values, *([""] if blank else [])]}


def _are_whole(values: list[Any]) -> bool:
    return bool(values) and all(isinstance(value, int) for value in values)


# --- what goes out ----------------------------------------------------------------------------------------------


def entered_fields(kind: RecordKind) -> list[Any]:
    """The columns that a person fills in."""
    return [f for f in kind.model._meta.concrete_fields if f.editable and not f.primary_key]


def as_json(kind: RecordKind, record: Record, actor: Actor, *, listed: bool = False) -> dict[str, Any]:
    """The record as `actor` may read it; `listed`: as one of many."""
    return {
        "id": record.pk,
        "version": record.version,
        **{field.name: _value(field, record, actor, listed) for field in entered_fields(kind)},
        "unit_name": record.unit.name,
        "joint_units": sorted(unit.code for unit in record.joint_units.all()),
        "created_at": record.created_at,
        "created_by": record.created_by.name,
        "updated_at": record.updated_at,
        "updated_by": record.updated_by.name,
        "removed_at": record.removed_at,
        "restorable_until": record.restorable_until,
    }


def _value(field: Any, record: Record, actor: Actor, listed: bool) -> Any:
    if listed:
        # Reveals open single records, and so does whatever opens C4.
        disclosure = Disclosure.WITHHELD if class_of(field) >= C4 else disclosure_of(field, actor)
    else:
        disclosure = disclosure_of(field, actor, record)
    value = read_as(field, getattr(record, field.name), disclosure)
    if isinstance(value, Unit):
        return value.code
    if class_of(field) >= C2:
        return "" if value is None else str(value)
    return exact(value)


def exact(value: Any) -> Any:
    """Decimals as text: REST framework's encoder would round them to binary fractions."""
    return str(value) if isinstance(value, Decimal) else value


def output_schema(kind: RecordKind) -> Schema:
    moment = {"type": "string", "format": "date-time"}
    no_moment = {"type": ["string", "null"], "format": "date-time"}
    return closed_object(
        {
            "id": {"type": "integer"},
            "version": {"type": "integer", "minimum": 1},
            **{field.name: _described(field) for field in entered_fields(kind)},
            "unit_name": {"type": "string"},
            "joint_units": {"type": "array", "items": _code()},
            "created_at": moment,
            "created_by": {"type": "string"},
            "updated_at": moment,
            "updated_by": {"type": "string"},
            "removed_at": no_moment,
            "restorable_until": no_moment,
        },
        description=kind.label,
    )


def _described(field: Any) -> Schema:
    schema = {"title": field.verbose_name, "description": field.help_text, **_output_type(field)}
    if field.null and class_of(field) < C2:
        schema["type"] = [schema["type"], "null"]
    return {key: value for key, value in schema.items() if value != ""}


def _output_type(field: Any) -> Schema:
    if class_of(field) >= C2:
        return {"type": "string", "description": _("Masked or withheld (—) for those who may not read it.")}
    if isinstance(field, models.ForeignKey):
        return _code() if field.related_model is Unit else {"type": "string"}
    if field.choices:
        return _choice(field.choices, blank=field.blank)
    match field:
        case models.BooleanField():
            return {"type": "boolean"}
        case models.DecimalField():
            return {"type": "string", "format": "decimal"}
        case models.IntegerField():
            return {"type": "integer", **_bounds(field.validators)}
        case models.FloatField():
            return {"type": "number"}
        case models.DateTimeField():
            return {"type": "string", "format": "date-time"}
        case models.DateField():
            return {"type": "string", "format": "date"}
        case _:
            longest = [v.limit_value for v in field.validators if isinstance(v, MaxLengthValidator)]
            return {"type": "string", **_length(min(longest) if longest else None)}


def _bounds(validators: Iterable[Any]) -> Schema:
    found = {}
    for validator in validators:
        if isinstance(validator, MinValueValidator):
            found["minimum"] = validator.limit_value
        elif isinstance(validator, MaxValueValidator):
            found["maximum"] = validator.limit_value
    return found


def input_schema(shapes: dict[str, Shape], description: Text = "") -> Schema:
    properties = {name: _nullable(shape) for name, shape in shapes.items()}
    return closed_object(
        properties,
        description=description,
        required=[name for name, shape in shapes.items() if shape.required],
    )


def _nullable(shape: Shape) -> Schema:
    if not shape.nullable:
        return shape.schema
    kinds = shape.schema["type"]
    schema = {**shape.schema, "type": [*([kinds] if isinstance(kinds, str) else kinds), "null"]}
    return {**schema, "enum": [*schema["enum"], None]} if "enum" in schema else schema


def closed_object(
    properties: dict[str, Schema], *, description: Text = "", required: list[str] | None = None
) -> Schema:
    """An object of these properties and no others; all of them required unless told otherwise."""
    schema: Schema = {
        "type": "object",
        "description": description,
        "properties": properties,
        "required": list(properties) if required is None else required,
        "additionalProperties": False,
    }
    return {key: value for key, value in schema.items() if value not in ("", [])}
