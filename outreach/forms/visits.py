"""The form of visits: the visit, and the opinions heard on the spot in the same page."""

from __future__ import annotations

import copy
import datetime as dt
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from outreach.models.opinion import Opinion
from outreach.models.place import Place
from outreach.models.visit import Visit
from programs import registry
from programs.access import Actor, units_for
from programs.actions.records import save_record
from programs.forms import RecordForm, unwritable
from programs.models.record import Record
from programs.models.unit import Unit
from programs.roles import Permission
from programs.text import check_text

MOST_OPINIONS = 30
MOST_SUGGESTIONS = 100
PREFIX = "opinions"
# The button that asks for one more row, for browsers without JavaScript.
ADD = "add_opinion"


class SuggestingInput(forms.TextInput):
    """A text with suggestions, of which none must be taken."""

    template_name = "outreach/visit_suggestions.html"

    def __init__(self, suggestions: Callable[[], list[str]]) -> None:
        """They are looked up only when the control is drawn."""
        super().__init__()
        self.suggestions = suggestions

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        listed = f"suggestions_{name}"
        context = super().get_context(name, value, {**(attrs or {}), "list": listed})
        return {**context, "suggestions": self.suggestions(), "listed": listed}


class OpinionRow(forms.ModelForm):
    """An opinion as it is heard on a visit: day, unit and channel are those of the visit."""

    class Meta:
        model = Opinion
        fields = ["title", "type", "category", "content", "location", "citizen", "phone", "voices"]

    def __init__(self, *args: Any, actor: Actor, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in unwritable(self.instance, self.fields, actor):
            del self.fields[name]
        self.initial.setdefault("type", Opinion.Kind.OPINION)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        for name, value in list(cleaned.items()):
            if isinstance(value, str):
                try:
                    check_text(value)
                except ValidationError as error:
                    self.add_error(name, error)
        return cleaned

    def refuse(self, error: ValidationError) -> None:
        """Show what the action refused, beside the fields."""
        found = error.error_dict if hasattr(error, "error_dict") else {None: error.error_list}
        for name, errors in found.items():
            self.add_error(name if name in self.fields else None, errors)


class OpinionRows(forms.BaseFormSet):
    """The rows of a visit's form; one left blank is none."""

    def as_typed(self) -> None:
        """The rows as they were sent and one more, without a word on what is wrong or missing."""
        data: Any = copy.copy(self.data)
        data[f"{self.prefix}-TOTAL_FORMS"] = str(min(self.total_form_count() + 1, MOST_OPINIONS))
        self.data = data
        self.__dict__.pop("forms", None)
        self.__dict__.pop("management_form", None)
        for row in self.forms:
            row._errors = forms.utils.ErrorDict()  # noqa: SLF001  (nobody has asked for a verdict yet)


RowSet: Any = forms.formset_factory(
    OpinionRow,
    formset=OpinionRows,
    extra=0,
    max_num=MOST_OPINIONS,
    absolute_max=MOST_OPINIONS,
    validate_max=True,
)


class VisitForm(RecordForm):
    more_template, more_script = "outreach/visit_opinions.html", "js/visits.js"
    groups = [
        (_("The visit"), ["theme", "form", "purpose"]),
        (_("When, where, with whom"), ["occurred_on", "unit", "joint_units", "place", "visitors"]),
        (_("Whom they met"), ["person_times", "met"]),
        (_("More"), ["number", "summary"]),
    ]

    class Meta:
        model = Visit
        fields = [
            "theme",
            "form",
            "purpose",
            "occurred_on",
            "unit",
            "joint_units",
            "place",
            "visitors",
            "person_times",
            "met",
            "number",
            "summary",
        ]
        help_texts = {
            "number": _("Your own number of the visit. Left open, it is given one."),
            "met": _("Names only if they are needed later on."),
        }

    def __init__(self, *args: Any, actor: Actor, **kwargs: Any) -> None:
        super().__init__(*args, actor=actor, **kwargs)
        limits = self.fields["place"].widget.attrs
        self.fields["place"].widget = SuggestingInput(partial(places_known_to, actor))
        self.fields["place"].widget.attrs = dict(limits)
        self.opinions: Any = None
        if self.is_new:
            # A form that was sent without rows (an API, an old page) has none.
            sent = self.data if self.is_bound and f"{PREFIX}-TOTAL_FORMS" in self.data else None
            self.opinions = RowSet(sent, prefix=PREFIX, form_kwargs={"actor": actor})

    def further_forms(self) -> list[Any]:
        return list(self.opinions) if self.opinions is not None and self.opinions.is_bound else []

    def is_unfinished(self) -> bool:
        if self.opinions is None or not self.opinions.is_bound or ADD not in self.data:
            return False
        self.opinions.as_typed()
        self.cleaned_data, self._errors = {}, forms.utils.ErrorDict()
        if self.files:
            self.add_error("files", _("Please choose the files again: the browser does not send them twice."))
        return True

    def further_forms_are_valid(self) -> bool:
        return self.opinions is None or not self.opinions.is_bound or self.opinions.is_valid()

    def values(self) -> dict[str, Any]:
        found = super().values()
        unit, day = found.get("unit"), found.get("occurred_on")
        if self.is_new and not found.get("number") and unit and day:
            found["number"] = next_number(unit, day)
        return found

    def says_the_same(self, record: Record) -> bool:
        if not self.cleaned_data.get("number"):
            # The number that it was given is the only one there is.
            self.cleaned_data["number"] = getattr(record, "number", "")
        return super().says_the_same(record)

    def write_more(self, record: Record) -> None:
        """Every opinion as a record of its own, by the same action as a single one."""
        for place, row in enumerate(self.further_forms()):
            if not row.has_changed():
                continue
            values = {
                **row.cleaned_data,
                "unit": record.unit,
                "occurred_on": record.occurred_on,
                "channel": Opinion.Channel.VISIT,
                "visit_number": getattr(record, "number", ""),
            }
            try:
                save_record(
                    by=self.actor,
                    kind=registry.kind("opinions"),
                    values=values,
                    submission_key=uuid.uuid5(record.submission_key, f"{PREFIX}-{place}"),
                )
            except ValidationError as error:
                row.refuse(error)
                raise ValidationError(
                    _("An opinion could not be taken; nothing was saved. What is wrong stands beside it.")
                ) from error


def places_known_to(actor: Actor) -> list[str]:
    """The names of the places of the units that the person writes for."""
    units = units_for(actor, Permission.RECORD_WRITE)
    names = Place.objects.present().filter(unit__in=units.values("pk")).order_by("name")
    return list(names.values_list("name", flat=True).distinct()[:MOST_SUGGESTIONS])


def next_number(unit: Unit, day: dt.date) -> str:
    """The first number of the day that the unit has not used: 2026-0311-02."""
    begin = f"{day:%Y-%m%d}-"
    taken = set(Visit.objects.filter(unit=unit, number__startswith=begin).values_list("number", flat=True))
    return next(number for at in range(1, len(taken) + 2) if (number := f"{begin}{at:02}") not in taken)
