"""JSON bodies, read strictly: what the words of JSON allow in two ways, or not at all, is refused by name.

What the values mean is not judged here: that is the work of the kind's form, the same as in the browser.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import IO, Any, NoReturn

from django.utils.translation import gettext as _
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

from programs.api.errors import WHOLE, BodyTooLarge, Invalid
from programs.api.shapes import Shape
from programs.text import UNSTORABLE

# Six times the longest text that a form takes, written as escapes.
MOST_BYTES = 512 * 1024
MOST_NAMED = 20
LONGEST_NAME = 60


class JSONParser(BaseParser):
    """An object, in UTF-8, of limited size, without repeated names and without NaN and Infinity."""

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        raw = stream.read(MOST_BYTES + 1)
        if len(raw) > MOST_BYTES:
            raise BodyTooLarge
        if not raw:
            return {}
        try:
            body = json.loads(
                raw.decode("utf-8"), object_pairs_hook=_object, parse_constant=_no_number, parse_float=Decimal
            )
        except UnicodeDecodeError as error:
            raise ParseError(_("The request body is not text in UTF-8.")) from error
        except (ValueError, ArithmeticError, RecursionError) as error:
            raise ParseError(_("The request body is not valid JSON.")) from error
        if not isinstance(body, dict):
            raise ParseError(_("The request body must be a JSON object."))
        return body


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise Invalid({shown(name): [_("This field is given more than once.")]})
        found[name] = value
    return found


def _no_number(name: str) -> NoReturn:
    raise ValueError(name)


def read(body: Any, shapes: Mapping[str, Shape]) -> dict[str, Any]:
    """The body's values, if every name is known and every value has its type; Invalid names the rest.

    What is missing is for the form to say.
    """
    errors: dict[str, list[Any]] = {}
    for name, value in body.items():
        shape = shapes.get(name)
        if shape is None:
            errors[shown(name)] = [_("There is no such field.")]
        elif not (value is None and shape.nullable) and (problem := shape.problem(value)):
            errors[name] = [problem]
    if len(errors) > MOST_NAMED:
        errors = {WHOLE: [_("Too many fields are unknown or of the wrong type.")]}
    if errors:
        raise Invalid(errors)
    return dict(body)


def shown(name: str) -> str:
    """A name that somebody made up, as an answer may repeat it."""
    return UNSTORABLE.sub("\ufffd", name)[:LONGEST_NAME]
