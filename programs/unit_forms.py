"""Forms of the units' pages. What a change of the tree may be is decided by `programs.actions.units`."""

from __future__ import annotations

from typing import Any

from django import forms
from django.urls import reverse_lazy
from django.utils import timezone
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from programs.access import Actor, units_for
from programs.actions.units import CODE, TIER_OF_KIND
from programs.forms import UnitCodeField
from programs.models.record import PROGRAMME_BEGAN
from programs.models.unit import STREET_KINDS, Unit, UnitKind
from programs.roles import Permission
from programs.text import check_text
from programs.widgets import DateInput, UnitPicker

SEARCH_LENGTH = 100


def managed_units() -> UnitPicker:
    return UnitPicker(format_lazy("{url}?scope=manage", url=reverse_lazy("unit_search")))


class UnitFilter(forms.Form):
    """What the directory can be asked."""

    q = forms.CharField(
        label=_("Name, pinyin or code"), required=False, max_length=SEARCH_LENGTH, validators=[check_text]
    )
    closed = forms.BooleanField(label=_("Show closed units as well"), required=False)


class UnitQuestion(forms.Form):
    """What the searching field asks: `q` in the units that one knows (district), writes for, manages, or reads."""

    SCOPES = {
        "district": Permission.UNIT_VIEW,
        "write": Permission.RECORD_WRITE,
        "manage": Permission.UNIT_MANAGE,
        "statistics": Permission.STATISTICS_VIEW,
    }
    q = forms.CharField(required=False, max_length=SEARCH_LENGTH, validators=[check_text])
    scope = forms.ChoiceField(required=False, choices=[(scope, scope) for scope in SCOPES])
    closed = forms.BooleanField(required=False)

    def permission(self) -> Permission:
        return self.SCOPES[self.cleaned_data["scope"] or "district"]


def expected_below(actor: Actor, code: str) -> dict[str, Any]:
    """What a new unit below the one with this code will most likely be."""
    managed = units_for(actor, Permission.UNIT_MANAGE).open()
    parent = managed.filter(code=code).first() if CODE.fullmatch(code) else None
    if parent is None:
        return {}
    usual: dict[str, UnitKind] = {
        UnitKind.DISTRICT: UnitKind.STREET,
        **dict.fromkeys(STREET_KINDS, UnitKind.COMMUNITY),
    }
    return {"parent": parent, "kind": usual.get(parent.kind, UnitKind.SCHOOL)}


class NewUnitForm(forms.Form):
    parent = UnitCodeField(label=_("Parent unit"), widget=managed_units())
    kind = forms.ChoiceField(
        label=_("Kind"), choices=[choice for choice in UnitKind.choices if choice[0] != UnitKind.DISTRICT]
    )
    name = forms.CharField(label=_("Name"), max_length=100)
    code = forms.CharField(
        label=_("Code"),
        max_length=20,
        help_text=_("The national statistical code, or one of the district's own."),
    )
    opened_on = forms.DateField(label=_("Opened on"), widget=DateInput)

    def __init__(self, *args: Any, actor: Actor, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial.setdefault("opened_on", timezone.localdate())
        parent: Any = self.fields["parent"]
        parent.queryset = units_for(actor, Permission.UNIT_MANAGE).open()

    def clean_code(self) -> str:
        return str(self.cleaned_data["code"]).upper()

    def clean(self) -> dict[str, Any]:
        """A body serves the tier of its parent."""
        cleaned = super().clean() or self.cleaned_data
        if cleaned.get("parent") and cleaned.get("kind"):
            cleaned["tier"] = TIER_OF_KIND.get(cleaned["kind"], cleaned["parent"].tier)
        return cleaned


class ChangeForm(forms.Form):
    """A change of a unit on a day; the fields that come first differ."""

    first_fields: list[str] = []

    effective_on = forms.DateField(
        label=_("Takes effect on"),
        widget=DateInput,
        help_text=_("The first day on which it holds. Figures of earlier months stay as they are."),
    )

    def __init__(self, *args: Any, actor: Actor, unit: Unit, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial.setdefault("effective_on", timezone.localdate())
        self.order_fields(self.first_fields)
        date = self.fields["effective_on"]
        date.widget = DateInput({"min": PROGRAMME_BEGAN.isoformat(), "max": timezone.localdate().isoformat()})
        for name in ("parent", "into"):
            if name in self.fields:
                field: Any = self.fields[name]
                field.queryset = units_for(actor, Permission.UNIT_MANAGE).open().exclude(pk=unit.pk)
        if "name" in self.fields:
            self.initial.setdefault("name", unit.name)


class RenameForm(ChangeForm):
    first_fields = ["name"]
    name = forms.CharField(label=_("New name"), max_length=100)


class MoveForm(ChangeForm):
    first_fields = ["parent"]
    parent = UnitCodeField(label=_("New parent unit"), widget=managed_units())


class MergeForm(ChangeForm):
    first_fields = ["into"]
    into = UnitCodeField(label=_("Merged into"), widget=managed_units())


class CloseForm(ChangeForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["effective_on"].label = _("Last day of its work")
        self.fields["effective_on"].help_text = ""


class ReopenForm(forms.Form):
    """Nothing to fill in: the closing is taken back."""

    def __init__(self, *args: Any, actor: Actor, unit: Unit, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
