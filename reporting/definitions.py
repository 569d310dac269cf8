"""What every figure means, told from its declaration alone: one view-model for the page of definitions and the API."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import and_
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db.models import Count, Q, Sum
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from programs import registry
from programs.access import Actor
from programs.registry import Derived, Indicator, Measure, Part, RecordKind, Text
from programs.roles import Permission


@dataclass(frozen=True)
class Split:
    """A field by whose values the figure is kept too."""

    field: str
    label: Text
    parts: list[Part]


@dataclass(frozen=True)
class Definition:
    """One indicator or derived figure, in words."""

    kind: RecordKind
    figure: Indicator | Derived
    counted: str  # how the number comes about; of a derived figure, its formula
    condition: str  # which records count; "" stands for all of the kind
    splits: list[Split]
    made_of: list[Indicator]

    @property
    def is_derived(self) -> bool:
        return isinstance(self.figure, Derived)

    @property
    def measure(self) -> Measure:
        return registry.measure_of(self.figure)

    @property
    def anchor(self) -> str:
        return anchor_of(self.figure.code)

    @property
    def owner(self) -> str:
        return str(self.figure.owner or _("Leading-group office"))

    @property
    def links(self) -> list[tuple[str, Text]]:
        """Of the formula: where each of the figures is explained, and its name."""
        return [(f"#{anchor_of(indicator.code)}", indicator.label) for indicator in self.made_of]


@dataclass(frozen=True)
class Chapter:
    """The definitions of one kind of record. `url` opens its list, where the reader may."""

    kind: RecordKind
    definitions: list[Definition]
    url: str


def anchor_of(code: str) -> str:
    """The id of a definition on its page."""
    return code.replace(".", "-")


def definition_url(code: str) -> str:
    """Where the indicator or derived figure of this code is explained."""
    return f"{reverse('indicators')}#{anchor_of(code)}"


def definitions() -> list[Definition]:
    """Of every indicator and derived figure, in the order of declaration."""
    return [definition(kind, figure) for kind in registry.kinds() for figure in kind.declared]


def chapters(actor: Actor) -> list[Chapter]:
    """The definitions kind by kind, those without figures left out."""
    may_open = actor.may(Permission.RECORD_VIEW)
    return [
        Chapter(
            kind,
            [definition(kind, figure) for figure in kind.declared],
            reverse("record_list", args=[kind.code]) if may_open else "",
        )
        for kind in registry.kinds()
        if kind.declared
    ]


def definition(kind: RecordKind, figure: Indicator | Derived) -> Definition:
    if isinstance(figure, Derived):
        by_code = {indicator.code: indicator for indicator in registry.indicators()}
        made_of = [by_code[code] for code in figure.of]
        return Definition(kind, figure, _formula(figure, made_of), "", [], made_of)
    counted, condition = _count_in_words(kind, figure.aggregate), _condition(kind, figure)
    splits = [Split(name, kind.field(name).verbose_name, kind.parts(figure, name)) for name in figure.splits]
    return Definition(kind, figure, counted, condition, splits, [])


def _formula(figure: Derived, made_of: list[Indicator]) -> str:
    names = f" {figure.sign} ".join(str(indicator.label) for indicator in made_of)
    return f"{names} {figure.end}".strip()


# --- aggregates in words --------------------------------------------------------------------------


def _count_in_words(kind: RecordKind, aggregate: Any) -> str:
    """What is counted or added up. What these words do not cover, the description has to say."""
    source, distinct = aggregate.get_source_expressions()[0], aggregate.distinct
    field = _field(kind, getattr(source, "name", ""))
    if field is not None and isinstance(aggregate, Count) and field.primary_key:
        return _("Number of records")
    if field is not None and isinstance(aggregate, Count) and distinct:
        return _("Number of different values of “%(field)s”") % {"field": field.verbose_name}
    if field is not None and isinstance(aggregate, Sum) and not distinct:
        return _("Sum of “%(field)s”") % {"field": field.verbose_name}
    return _("As the definition says")


def _field(kind: RecordKind, name: str) -> Any:
    """The field of this name; None if the name leads elsewhere, as over a relation."""
    if name == "pk":
        return kind.model._meta.pk
    try:
        return kind.field(name)
    except FieldDoesNotExist:
        return None


# --- filters in words -----------------------------------------------------------------------------


def _condition(kind: RecordKind, indicator: Indicator) -> str:
    conditions = [condition for condition in (indicator.filter, indicator.aggregate.filter) if condition]
    return _in_words(kind, reduce(and_, conditions)) if conditions else ""


def _in_words(kind: RecordKind, condition: Any) -> str:
    """“field is value”, joined as in the condition. What these words do not cover, the description has to say."""
    if isinstance(condition, tuple):
        return _rule_in_words(kind, *condition)
    if not isinstance(condition, Q) or condition.connector == Q.XOR:
        return _("as the definition says")
    told = [_enclosed(kind, child) for child in condition.children]
    pattern = _("%(one)s and %(other)s") if condition.connector == Q.AND else _("%(one)s or %(other)s")
    joined = reduce(lambda one, other: pattern % {"one": one, "other": other}, told)
    return _("not (%(condition)s)") % {"condition": joined} if condition.negated else joined


def _enclosed(kind: RecordKind, condition: Any) -> str:
    text = _in_words(kind, condition)
    several = isinstance(condition, Q) and len(condition.children) > 1 and not condition.negated
    return _("(%(condition)s)") % {"condition": text} if several else text


def _rule_in_words(kind: RecordKind, lookup: str, value: Any) -> str:
    """A field that holds a value, or one of several: the field by its name, values by those of their choices."""
    name, _sep, how = lookup.partition("__")
    field = _field(kind, name)
    if field is None or field.is_relation or how not in {"", "exact", "in"}:
        return _("as the definition says")
    names = [_value_in_words(field, one) for one in (value if how == "in" else [value])]
    pattern = _("%(field)s is one of %(values)s") if len(names) > 1 else _("%(field)s is %(values)s")
    return pattern % {"field": field.verbose_name, "values": pgettext("list", ", ").join(names)}


def _value_in_words(field: Any, value: Any) -> str:
    if value in ("", None):
        return _("Not stated")
    if isinstance(value, bool):
        return _("Yes") if value else _("No")
    return str(dict(field.flatchoices).get(value, value))
