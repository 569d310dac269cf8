"""What a list of records can be asked: one set of filters for pages, API and exports.

A question that cannot be understood gets its message beside the filter and an empty answer, never everything.
Fields that the actor does not read in the clear are not offered: they would tell their values all the same.
"""

from __future__ import annotations

from functools import cached_property, lru_cache, reduce
from operator import or_
from typing import TYPE_CHECKING, Any

import django_filters
from django import forms
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, models
from django.db.models import Q, QuerySet
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _

from programs import registry
from programs.access import MOST_UNITS_NAMED, Actor, units_for
from programs.boundaries import MOST_LEFT_OUT, Boundaries, jointly_under, placed_under
from programs.disclosure import may_use_in_query
from programs.field_classes import C1, class_of
from programs.forms import UnitCodeField, UnitCodesField
from programs.models.unit import Unit
from programs.origins import Origin, origin_of
from programs.roles import Permission
from programs.text import check_text
from programs.widgets import DateInput, UnitPicker

if TYPE_CHECKING:
    from programs.registry import RecordKind

SEARCH_LENGTH = 50
LEAD, OWN, JOINT = "lead", "own", "joint"
PARTS = [(LEAD, _("As lead unit")), (OWN, _("As lead unit itself")), (JOINT, _("As joint unit"))]
BOUNDARIES = [(Boundaries.OF_THE_TIME, _("Of the time")), (Boundaries.TODAY, _("Of today"))]
# Part of every set, whatever the kind declares: the links of figures name them.
ALWAYS = ["unit", "occurred_on"]
LARGEST_ID = 2**63 - 1


class UnitFilter(django_filters.ModelChoiceFilter):
    """A unit by its code, out of those the person may know of."""

    field_class = UnitCodeField


class _LeftOutField(UnitCodesField):
    def clean(self, value: Any) -> Any:
        if value and len(value) > MOST_LEFT_OUT:
            raise forms.ValidationError(_("Leave out %(number)d units at most.") % {"number": MOST_LEFT_OUT})
        return super().clean(value)


class LeftOutFilter(django_filters.ModelMultipleChoiceFilter):
    """Units by their codes, whose records are left out."""

    field_class = _LeftOutField


class NumberFilter(django_filters.Filter):
    """A whole number, such as an id."""

    field_class = forms.IntegerField


class FilterForm(forms.Form):
    """Rules that hold between filters; Django's own messages hold for each."""

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        for name in [name for name in cleaned if name.endswith("_from")]:
            first, last = cleaned[name], cleaned.get(f"{name[:-5]}_to")
            if first and last and last < first:
                self.add_error(f"{name[:-5]}_to", _("This date lies before the first one."))
        if cleaned.get("part") in (OWN, JOINT) and not cleaned.get("unit") and "unit" not in self.errors:
            self.add_error("part", _("Choose the unit as well."))
        if cleaned.get("without"):
            if not cleaned.get("unit") and "unit" not in self.errors:
                self.add_error("without", _("Choose the unit as well."))
            elif cleaned.get("part") == JOINT:
                self.add_error(
                    "without", _("Units are left out of what a unit leads, not of what it joined.")
                )
        return cleaned


class RecordFilterSet(django_filters.FilterSet):
    """The base of every kind's filters; `filter_set` derives one per kind and reader."""

    kind: RecordKind
    searched: list[str] = []

    @property
    def qs(self) -> QuerySet[Any]:
        """The records that pass, in no order of its own; none if a filter was not understood."""
        if self.is_bound and not self.form.is_valid():
            return self.queryset.none()
        return super().qs

    @property
    def sort(self) -> str:
        """The sort asked for ("participants", "-occurred_on"), or the first of the kind, newest first."""
        chosen = self.form.cleaned_data.get("sort") if self.is_bound and self.form.is_valid() else ""
        return chosen or default_sort(self.kind)

    def by_unit(self, queryset: QuerySet[Any], name: str, unit: Unit | None) -> QuerySet[Any]:
        if unit is None:
            return queryset
        if self.form.cleaned_data.get("part") == OWN:
            return queryset.filter(unit=unit)
        boundaries = Boundaries(self.form.cleaned_data.get("boundaries") or Boundaries.OF_THE_TIME)
        without = self.form.cleaned_data.get("without") or ()
        led_inside = placed_under(unit, _standing_today(unit), boundaries, without)
        if self.form.cleaned_data.get("part") != JOINT:
            return queryset.filter(led_inside)
        record = str(queryset.model._meta.model_name)
        joint = queryset.model.joint_model()._base_manager.filter(jointly_under(unit, record, boundaries))
        return queryset.filter(~led_inside, pk__in=joint.values(record))

    def by_indicator(self, queryset: QuerySet[Any], name: str, code: str) -> QuerySet[Any]:
        condition = self.kind.indicator(code).filter if code else None
        return queryset if condition is None else queryset.filter(condition)

    @cached_property
    def origin(self) -> Origin | None:
        """The spreadsheet asked for, if this reader may know of it."""
        number, actor = self.form.cleaned_data.get("upload"), getattr(self.request, "actor", None)
        return origin_of(number, actor) if number and actor else None

    def by_upload(self, queryset: QuerySet[Any], name: str, number: int | None) -> QuerySet[Any]:
        if number is None:
            return queryset
        span = self.origin.spans.get(self.kind.code) if self.origin else None
        return queryset.filter(upload_id=number, pk__range=span) if span else queryset.none()

    def by_text(self, queryset: QuerySet[Any], name: str, text: str) -> QuerySet[Any]:
        """Every word must be found in one of the searched fields; the longest is looked up, the others looked for."""
        for place, word in enumerate(sorted(text.split(), key=len, reverse=True)):
            lookup = "holds" if place == 0 else "holds_too"
            found = (Q(**{f"{field}__{lookup}": word}) for field in self.searched)
            queryset = queryset.filter(reduce(or_, found))
        return queryset

    def unchanged(self, queryset: QuerySet[Any], name: str, value: Any) -> QuerySet[Any]:
        """For parameters that another one reads."""
        return queryset


def _standing_today(unit: Unit) -> Q | None:
    """The units below, by name where PostgreSQL plans better by that (see programs.access)."""
    if connection.vendor != "postgresql":
        return None
    few = list(Unit.objects.under(unit).values_list("pk", flat=True)[: MOST_UNITS_NAMED + 1])
    return Q(unit__in=few) if len(few) <= MOST_UNITS_NAMED else None


def filter_set(kind: RecordKind, actor: Actor | None) -> type[RecordFilterSet]:
    """The filters of `kind` for this reader. Instances need `request=` with its `actor`: it bounds the units.

    `actor` None stands for the description of the API: filters that every reader has.
    """
    names = {*ALWAYS, *kind.filters, *kind.search, *map(_bare, kind.sorts)}
    return _filter_set(kind.code, frozenset(name for name in names if _usable(kind, name, actor)))


def sorts_for(kind: RecordKind, actor: Actor | None) -> list[str]:
    """The fields that a list may be sorted by, for this reader."""
    return [name for name in map(_bare, kind.sorts) if _usable(kind, name, actor)]


def default_sort(kind: RecordKind) -> str:
    return "-occurred_on"


def _usable(kind: RecordKind, name: str, actor: Actor | None) -> bool:
    field = kind.field(name)
    return class_of(field) <= C1 if actor is None else may_use_in_query(field, actor)


def _bare(name: str) -> str:
    return name.lstrip("-")


@lru_cache(maxsize=256)
def _filter_set(code: str, usable: frozenset[str]) -> type[RecordFilterSet]:
    kind = registry.kind(code)
    shown = [name for name in dict.fromkeys([*ALWAYS, *kind.filters]) if name in usable]
    searched = [name for name in kind.search if name in usable]
    attributes: dict[str, Any] = {"kind": kind, "searched": searched, "Meta": _Meta}
    if searched:
        attributes["q"] = django_filters.CharFilter(
            label=_("Search"), method="by_text", max_length=SEARCH_LENGTH, validators=[check_text]
        )
    for name in shown:
        attributes |= _filters_of(kind, name)
    attributes |= _hidden_filters(kind, [name for name in map(_bare, kind.sorts) if name in usable])
    return type(f"{type(kind).__name__}Filters", (RecordFilterSet,), attributes)


class _Meta:
    form = FilterForm


def _filters_of(kind: RecordKind, name: str) -> dict[str, django_filters.Filter]:
    field = kind.field(name)
    if name == "unit":
        return {
            "unit": UnitFilter(
                label=_("Unit"),
                method="by_unit",
                queryset=_units,
                widget=UnitPicker(reverse_lazy("unit_search")),
                help_text="",
            ),
            "part": django_filters.ChoiceFilter(
                label=_("Part of the unit"), method="unchanged", choices=PARTS, empty_label=_("Any")
            ),
        }
    if field.related_model is Unit:
        picker = UnitPicker(reverse_lazy("unit_search"))
        return {name: UnitFilter(label=field.verbose_name, queryset=_units, widget=picker, help_text="")}
    if field.choices:
        return {
            name: django_filters.ChoiceFilter(
                label=field.verbose_name, choices=field.choices, empty_label=_("All")
            )
        }
    if isinstance(field, models.BooleanField):
        return {name: django_filters.BooleanFilter(label=field.verbose_name)}
    if isinstance(field, models.DateField) and not isinstance(field, models.DateTimeField):
        date = {"field_name": name, "widget": DateInput}
        return {
            f"{name}_from": django_filters.DateFilter(label=_("From"), lookup_expr="gte", **date),
            f"{name}_to": django_filters.DateFilter(label=_("Through"), lookup_expr="lte", **date),
        }
    raise ImproperlyConfigured(f"{kind.code}: no filter is made for the field '{name}'")


def _hidden_filters(kind: RecordKind, sorts: list[str]) -> dict[str, django_filters.Filter]:
    """What links carry and nobody types."""
    hidden = forms.HiddenInput
    indicators = [(indicator.code, kind.name_of(indicator)) for indicator in kind.counted]
    orders = [(f"{sign}{name}", kind.field(name).verbose_name) for name in sorts for sign in ("", "-")]
    return {
        "indicator": django_filters.ChoiceFilter(
            label=_("Indicator"), method="by_indicator", choices=indicators, widget=hidden
        ),
        "boundaries": django_filters.ChoiceFilter(
            label=_("Boundaries"), method="unchanged", choices=BOUNDARIES, widget=hidden
        ),
        "without": LeftOutFilter(
            label=_("Without"), method="unchanged", queryset=_units, widget=forms.MultipleHiddenInput
        ),
        "upload": NumberFilter(
            label=_("From the spreadsheet"),
            method="by_upload",
            min_value=1,
            max_value=LARGEST_ID,
            widget=hidden,
        ),
        "sort": django_filters.ChoiceFilter(
            label=_("Sort"), method="unchanged", choices=orders, widget=hidden
        ),
    }


def _units(request: Any) -> QuerySet[Unit]:
    actor: Actor | None = getattr(request, "actor", None)
    return units_for(actor, Permission.UNIT_VIEW) if actor else Unit.objects.none()
