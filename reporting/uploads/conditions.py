"""Check constraints judged in Python, as the database judges them: with three values, of which "unknown" passes.

A condition that is not understood raises `Unsupported` when it is compiled, never when it is asked.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db import models
from django.db.models import CheckConstraint, F, Q

Condition = Callable[[Mapping[str, Any]], bool | None]
Value = Callable[[Mapping[str, Any]], Any]

ORDERED = {"lt": operator.lt, "lte": operator.le, "gt": operator.gt, "gte": operator.ge}
# What the databases and Python order and compare alike; texts they order by a collation.
COMPARABLE = (models.IntegerField, models.DecimalField, models.DateField, models.BooleanField)
PLAIN_TEXT = (models.CharField, models.TextField)


class Unsupported(Exception):
    """This condition is for the database to judge."""


def compiled(constraint: CheckConstraint, model: type[models.Model]) -> Condition:
    """Whether values by field name (of a foreign key its id) pass: True, False, or None for unknown."""
    return _condition(constraint.condition, model)


def is_supported(constraint: CheckConstraint, model: type[models.Model]) -> bool:
    try:
        names_in(constraint.condition)
        compiled(constraint, model)
    except Unsupported:
        return False
    return True


def names_in(condition: Any) -> set[str]:
    """The fields that a supported condition asks about."""
    if not isinstance(condition, Q):
        raise Unsupported(type(condition).__name__)
    return set(_names(condition))


def _names(condition: Q) -> Iterator[str]:
    for child in condition.children:
        if isinstance(child, Q):
            yield from _names(child)
        elif isinstance(child, tuple):
            yield child[0].split("__")[0]
            if isinstance(child[1], F):
                yield _named(child[1])
        else:
            raise Unsupported(type(child).__name__)


def _named(reference: F) -> str:
    return str(reference.name)  # type: ignore[attr-defined]


def _condition(condition: Any, model: type[models.Model]) -> Condition:
    if not isinstance(condition, Q) or condition.connector == Q.XOR or not condition.children:
        raise Unsupported(type(condition).__name__)
    parts = [
        _condition(child, model) if isinstance(child, Q) else _leaf(child, model)
        for child in condition.children
    ]
    joined = parts[0] if len(parts) == 1 else _joined(parts, decided=condition.connector == Q.OR)
    return _negated(joined) if condition.negated else joined


def _joined(parts: list[Condition], *, decided: bool) -> Condition:
    """One part that is `decided` decides the whole: a true one an OR, a false one an AND."""

    def judge(values: Mapping[str, Any]) -> bool | None:
        unknown = False
        for part in parts:
            found = part(values)
            if found is decided:
                return decided
            unknown = unknown or found is None
        return None if unknown else not decided

    return judge


def _negated(part: Condition) -> Condition:
    def judge(values: Mapping[str, Any]) -> bool | None:
        found = part(values)
        return None if found is None else not found

    return judge


def _leaf(child: Any, model: type[models.Model]) -> Condition:
    if not isinstance(child, tuple):
        raise Unsupported(type(child).__name__)
    path, given = child
    name, _separator, lookup = path.partition("__")
    field = _field(model, name)
    lookup = lookup or "exact"
    if lookup == "isnull" or (lookup == "exact" and given is None):
        wanted = given is None or bool(given)
        return lambda values: (values[name] is None) is wanted
    if lookup == "in":
        return _one_of(name, field, given)
    if lookup == "range":
        first, last = _value(field, given[0], model), _value(field, given[1], model)
        bounds = [_compared(name, operator.ge, first), _compared(name, operator.le, last)]
        return _joined(bounds, decided=False) if isinstance(field, COMPARABLE) else _unsupported(path)
    if lookup in ORDERED and isinstance(field, COMPARABLE):
        return _compared(name, ORDERED[lookup], _value(field, given, model))
    if lookup == "exact":
        return _compared(name, operator.eq, _value(field, given, model))
    return _unsupported(path)


def _unsupported(path: str) -> Condition:
    raise Unsupported(path)


def _field(model: type[models.Model], name: str) -> Any:
    try:
        field = model._meta.get_field(name)
    except FieldDoesNotExist as error:
        raise Unsupported(name) from error
    if not isinstance(field, (*COMPARABLE, *PLAIN_TEXT, models.ForeignKey)):
        raise Unsupported(name)
    return field


def _stored(field: Any) -> Any:
    """The field whose values stand in the column: of a foreign key the key it points at."""
    return field.target_field if isinstance(field, models.ForeignKey) else field


def _compared(name: str, compare: Callable[[Any, Any], bool], other: Value) -> Condition:
    def judge(values: Mapping[str, Any]) -> bool | None:
        left, right = values[name], other(values)
        return None if left is None or right is None else compare(left, right)

    return judge


def _one_of(name: str, field: Any, given: Any) -> Condition:
    if not isinstance(given, list | tuple | set | frozenset) or not given:
        raise Unsupported(type(given).__name__)
    known = frozenset(_constant(field, item) for item in given)

    def judge(values: Mapping[str, Any]) -> bool | None:
        found = values[name]
        return None if found is None else found in known

    return judge


def _value(field: Any, given: Any, model: type[models.Model]) -> Value:
    if isinstance(given, F):
        name = _named(given)
        other = _field(model, name)
        alike = (_stored(field), _stored(other))
        if not any(all(isinstance(one, sort) for one in alike) for sort in (*COMPARABLE, PLAIN_TEXT)):
            raise Unsupported(type(given).__name__)
        return lambda values: values[name]
    constant = _constant(field, given)
    return lambda values: constant


def _constant(field: Any, given: Any) -> Any:
    if given is None or hasattr(given, "resolve_expression"):
        raise Unsupported(type(given).__name__)
    if isinstance(given, models.Model):
        return given.pk
    try:
        return field.to_python(given)
    except ValidationError as error:
        raise Unsupported(type(given).__name__) from error
