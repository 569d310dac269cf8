"""The form of an opinion, and the small forms of its steps."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from outreach import deadlines
from outreach.actions.effects import LONGEST_ANSWER, LONGEST_REASON
from outreach.actions.opinions import MOST_PIECES
from outreach.forms.citizens import SimilarInput
from outreach.life import Need, Transition
from outreach.models.opinion import Opinion
from programs.access import Actor, units_for, visible
from programs.forms import RecordForm, UnitCodeField
from programs.roles import Permission
from programs.text import check_text
from programs.widgets import DateInput, FixedUnit


class OpinionForm(RecordForm):
    groups = [
        (_("What it is about"), ["title", "type", "category", "content", "location", "voices"]),
        (_("How it came"), ["occurred_on", "channel", "visit_number", "unit", "joint_units"]),
        (_("Who raised it"), ["citizen", "phone"]),
    ]

    class Meta:
        model = Opinion
        labels = {"occurred_on": _("Received on")}
        widgets = {"title": SimilarInput()}
        fields = [
            "title",
            "type",
            "category",
            "content",
            "location",
            "voices",
            "occurred_on",
            "channel",
            "visit_number",
            "unit",
            "joint_units",
            "citizen",
            "phone",
        ]
        help_texts = {
            "title": _("In a few words, without names."),
            "voices": _("How many people said the same."),
            "citizen": _("May be left open."),
            "visit_number": _("The number of the visit on which it was heard."),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.is_new:
            # The history begins at the unit that received it.
            unit: Any = self.fields["unit"]
            unit.queryset = unit.queryset.filter(pk=self.instance.unit_id)
            unit.widget = FixedUnit(self.instance.unit)
            unit.widget.choices = unit.choices


class StepForm(forms.Form):
    """What one step asks for. `given()` is what `take_step` takes."""

    version = forms.IntegerField(widget=forms.HiddenInput)

    def __init__(self, *args: Any, step: Transition, opinion: Opinion, actor: Actor, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.step, self.opinion, self.actor = step, opinion, actor
        self.initial.setdefault("version", opinion.version)
        for need in step.needs:
            for name, field in _fields(need, opinion, actor).items():
                self.fields[name] = field

    def given(self) -> dict[str, Any]:
        cleaned = {name: value for name, value in self.cleaned_data.items() if name != "version"}
        titles = [(cleaned.pop(f"title_{n}", ""), cleaned.pop(f"category_{n}", "")) for n in _numbers()]
        if Need.PIECES in self.step.needs:
            cleaned["pieces"] = [{"title": t, "category": c} for t, c in titles if t]
        if number := cleaned.pop("into_number", None):
            cleaned["into"] = number
        return cleaned

    def add_refusal(self, error: Any) -> None:
        found = error.error_dict if hasattr(error, "error_dict") else {None: error.error_list}
        names = {"into": "into_number", "pieces": "title_1"}
        for name, errors in found.items():
            field = names.get(name or "", name)
            self.add_error(field if field in self.fields else None, errors)


def _numbers() -> range:
    return range(1, min(MOST_PIECES, 5) + 1)


class OpinionNumberField(forms.IntegerField):
    """An opinion of the actor's scope by its number."""

    def __init__(self, actor: Actor, **kwargs: Any) -> None:
        self.actor = actor
        super().__init__(min_value=1, max_value=2**63 - 1, **kwargs)

    def clean(self, value: Any) -> Any:
        number = super().clean(value)
        if number is None:
            return None
        found = visible(Opinion.objects.present(), self.actor).filter(pk=number).first()
        if found is None:
            raise forms.ValidationError(_("There is no such opinion."), code="unknown")
        return found


def _fields(need: Need, opinion: Opinion, actor: Actor) -> dict[str, forms.Field]:
    match need:
        case Need.REASON | Need.NOTE:
            label = _("Reason") if need is Need.REASON else _("Note")
            return {
                "reason": forms.CharField(
                    label=label,
                    required=need is Need.REASON,
                    max_length=LONGEST_REASON,
                    widget=forms.Textarea({"rows": 3}),
                    validators=[check_text],
                )
            }
        case Need.UNIT:
            field = UnitCodeField(label=_("To the unit"))
            # Closed ones too: the refusal says which unit goes on.
            field.queryset = units_for(actor, Permission.UNIT_VIEW).select_related("merged_into")
            return {"unit": field}
        case Need.ANSWER:
            return {
                "answer": forms.CharField(
                    label=_("Answer"),
                    help_text=_("As the citizen will read it: no names of persons."),
                    max_length=LONGEST_ANSWER,
                    widget=forms.Textarea({"rows": 6}),
                    validators=[check_text],
                )
            }
        case Need.OUTCOME:
            return {"outcome": _choice(pgettext_lazy("opinion", "Outcome"), Opinion.Outcome.choices)}
        case Need.SATISFACTION:
            return {"satisfaction": _choice(_("Satisfaction"), Opinion.Satisfaction.choices)}
        case Need.DAY:
            today = timezone.localdate()
            limits = {"min": opinion.occurred_on.isoformat(), "max": today.isoformat()}
            return {
                "day": forms.DateField(
                    label=_("Answered on"), required=False, initial=today, widget=DateInput(limits)
                )
            }
        case Need.INTO:
            return {
                "into_number": OpinionNumberField(
                    actor, label=_("Number of the opinion that goes on"), widget=forms.NumberInput
                )
            }
        case Need.DAYS:
            return {
                "days": forms.IntegerField(
                    label=_("Working days more"), min_value=1, max_value=deadlines.LONGEST_EXTENSION
                )
            }
        case Need.PIECES:
            return _piece_fields(opinion)


def _piece_fields(opinion: Opinion) -> dict[str, forms.Field]:
    found: dict[str, forms.Field] = {}
    for number in _numbers():
        found[f"title_{number}"] = forms.CharField(
            label=_("Problem %(number)d") % {"number": number},
            max_length=100,
            required=number <= 2,
            validators=[check_text],
        )
        found[f"category_{number}"] = forms.ChoiceField(
            label=_("Category %(number)d") % {"number": number},
            choices=Opinion.Category.choices,
            initial=opinion.category,
            required=False,
        )
    return found


def _choice(label: Any, choices: Any) -> forms.ChoiceField:
    return forms.ChoiceField(label=label, choices=choices, widget=forms.RadioSelect)
