"""The forms around spreadsheets: dropping one, narrowing the list of them, saying what their columns mean."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Exists, OuterRef, Q
from django.urls import reverse_lazy
from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from programs import registry
from programs.access import Actor, units_for
from programs.account_forms import PlainForm
from programs.facts import label_of
from programs.forms import MOST_SHOWN_UNITS, UnitCodeField
from programs.models.record import PROGRAMME_BEGAN
from programs.registry import RecordKind
from programs.roles import Permission
from programs.sheets import columns_for
from programs.widgets import FilesInput, UnitPicker
from reporting.dashboards import MONTH
from reporting.models import SheetMapping, Upload, UploadSheet
from reporting.upload_parts import LOOKS
from reporting.uploads import jobs
from reporting.uploads.layout import is_needed
from reporting.uploads.limits import MAX_BYTES
from reporting.uploads.sheet import column_name
from reporting.uploads.words import listed

UNIT_SEARCH = reverse_lazy("unit_search")
ACCEPTED = ".xlsx,.xls,.ods,.csv"
NAME_LENGTH = SheetMapping._meta.get_field("name").max_length


# The sheets tell by their headers what they hold.
ANY = "any"


def kind_choices() -> list[tuple[str, Any]]:
    return [(kind.code, capfirst(str(kind.label_plural))) for kind in registry.kinds()]


class SpreadsheetInput(FilesInput):
    allow_multiple_selected = False

    def __init__(self) -> None:
        super().__init__(max_bytes=MAX_BYTES, max_files=0, accept=ACCEPTED)


class MonthInput(forms.TextInput):
    """The browser's own choice of a month, where it has one."""

    input_type = "month"

    def __init__(self) -> None:
        least = f"{PROGRAMME_BEGAN:%Y-%m}"
        super().__init__({"min": least, "placeholder": "2026-03", "pattern": "[0-9]{4}-[0-9]{2}"})

    def format_value(self, value: Any) -> str | None:
        return f"{value:%Y-%m}" if isinstance(value, dt.date) else super().format_value(value)


class MonthField(forms.Field):
    """2026-03: its first day."""

    widget = MonthInput

    def to_python(self, value: Any) -> dt.date | None:
        text = str(value or "").strip()
        if not text:
            return None
        match = MONTH.fullmatch(text)
        if not match:
            raise ValidationError(_("A month is written like 2026-03."), code="invalid")
        month = dt.date(int(match[1]), int(match[2]), 1)
        if not PROGRAMME_BEGAN <= month <= timezone.localdate():
            raise ValidationError(
                _("Give a month from %(year)s on that has begun."),
                code="out_of_range",
                params={"year": PROGRAMME_BEGAN.year},
            )
        return month


class LayoutField(forms.ModelChoiceField):
    def label_from_instance(self, mapping: Any) -> str:
        return _("%(name)s (%(kind)s)") % {
            "name": mapping.name,
            "kind": registry.kind(mapping.kind).label_plural,
        }


class DropForm(PlainForm):
    """A spreadsheet, and what it does not say itself. A page does not ask what a person has no choice of; for programs
    the form `is_complete`, but for layouts, which have no code to name them by."""

    file = forms.FileField(
        label=_("Spreadsheet"),
        widget=SpreadsheetInput,
        allow_empty_file=True,  # the gate has a sentence for it
        error_messages={"required": _("Choose a file.")},
    )
    kind = forms.ChoiceField(label=_("What it holds"), required=False)
    unit = UnitCodeField(
        label=_("Unit"),
        required=False,
        widget=UnitPicker(UNIT_SEARCH),
        help_text=_("Whose rows they are where a row names no unit."),
    )
    period = MonthField(
        label=_("Month"),
        required=False,
        help_text=_("Needed only for dates without a year, such as “5 March”."),
    )
    mapping = LayoutField(
        label=_("Saved layout"),
        required=False,
        queryset=SheetMapping.objects.none(),
        empty_label=_("None: by the headers"),
    )

    def __init__(self, *args: Any, actor: Actor, is_complete: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        kind, unit, mapping = (self.fields[name] for name in ("kind", "unit", "mapping"))  # type: Any, Any, Any
        unit.queryset = units_for(actor, Permission.RECORD_BRING)
        if is_complete:
            kind.choices = kind_choices()
            del self.fields["mapping"]
            return
        kind.choices = [(ANY, _("Told by the headers")), *kind_choices()]
        self.initial.setdefault("kind", ANY)
        self._set_units(actor, unit)
        mapping.queryset = _of_known_kinds(jobs.mappings_for(actor))
        if not mapping.queryset.exists():
            del self.fields["mapping"]

    def _set_units(self, actor: Actor, unit: Any) -> None:
        few = list(unit.queryset[: MOST_SHOWN_UNITS + 1])
        if len(few) < 2:
            del self.fields["unit"]
            return
        if len(few) <= MOST_SHOWN_UNITS:
            unit.widget = forms.Select()
            unit.empty_label = None
        unit.widget.choices = unit.choices
        self.initial.setdefault("unit", actor.unit)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        mapping, kind = cleaned.get("mapping"), cleaned.get("kind")
        if mapping and kind not in ("", ANY, mapping.kind):
            self.add_error("mapping", _("This layout is for other records than those chosen above."))
        return cleaned

    @property
    def chosen(self) -> RecordKind | None:
        code = self.cleaned_data["kind"]
        return registry.kind(code) if code not in ("", ANY) else None


def _of_known_kinds(mappings: Any) -> Any:
    return mappings.filter(kind__in=[kind.code for kind in registry.kinds()])


class UploadFilter(PlainForm):
    """What the list of spreadsheets can be asked."""

    state = forms.ChoiceField(label=_("State"), required=False, choices=Upload.State.choices)
    kind = forms.ChoiceField(label=_("What it holds"), required=False)
    unit = UnitCodeField(label=_("Unit"), required=False, widget=UnitPicker(UNIT_SEARCH))

    def __init__(self, *args: Any, actor: Actor, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        kind: Any = self.fields["kind"]
        kind.choices = [("", _("All")), *kind_choices()]
        state: Any = self.fields["state"]
        state.choices = [("", _("All")), *((code, look.label) for code, look in LOOKS.items())]
        unit: Any = self.fields["unit"]
        unit.queryset = units_for(actor, Permission.RECORD_BRING)

    def narrowed(self, uploads: Any) -> Any:
        """The uploads asked for; none if the question was not understood."""
        if not self.is_valid():
            return uploads.none()
        asked = {name: value for name, value in self.cleaned_data.items() if value}
        if code := asked.pop("kind", ""):
            holds = UploadSheet.objects.filter(upload=OuterRef("pk"), kind=code)
            uploads = uploads.filter(Q(kind=code) | Exists(holds))
        return uploads.filter(**asked)


class KindForm(forms.Form):
    """What a file, or a sheet, holds."""

    kind = forms.ChoiceField(label=_("What does it hold?"))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["kind"]
        field.choices = kind_choices()

    @property
    def chosen(self) -> RecordKind:
        return registry.kind(self.cleaned_data["kind"])


# --- columns --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SheetColumn:
    """A column as somebody sees it who says what it means: where it stands, what is written above and below it, and
    the field that it was taken for."""

    at: int
    header: str
    samples: list[str]
    field: str = ""

    @property
    def name(self) -> str:
        return column_name(self.at)


class ColumnsForm(PlainForm):
    """Which column holds which field of the kind. Columns without a header cannot be named and are not asked for."""

    name = forms.CharField(
        label=_("Save as a layout called"),
        required=False,
        max_length=NAME_LENGTH,
        help_text=_("Optional: it can then be chosen for other files, also by the units below yours."),
    )

    def __init__(self, *args: Any, kind: RecordKind, actor: Actor, columns: list[SheetColumn], **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.kind, self.columns = kind, [column for column in columns if column.header]
        names = columns_for(kind, actor)
        labels = {name: capfirst(str(label_of(kind, name))) for name in names}
        self.needed = [name for name in names if is_needed(kind, name)]
        choices = [
            ("", _("Ignore")),
            *((name, f"{label} *" if name in self.needed else label) for name, label in labels.items()),
        ]
        for column in self.columns:
            self.fields[_key(column)] = forms.ChoiceField(
                label=column.header, required=False, choices=choices, initial=column.field
            )
        self.labels = labels

    def by_column(self) -> list[tuple[SheetColumn, Any]]:
        """(column, its bound field)"""
        return [(column, self[_key(column)]) for column in self.columns]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        taken: dict[str, str] = {}
        for column in self.columns:
            name = cleaned.get(_key(column))
            if name and name in taken:
                message = _("%(field)s is chosen for two columns.") % {"field": self.labels[name]}
                self.add_error(_key(column), message)
            elif name:
                taken[name] = column.header
        missing = [self.labels[name] for name in self.needed if name not in taken]
        if missing and not self.errors:
            sentence = _("Every row needs these: %(fields)s. Choose their columns.")
            self.add_error(None, sentence % {"fields": listed(missing)})
        return cleaned

    def mapping(self) -> dict[str, str]:
        """{field: header}; an empty header for a field that its column was taken from."""
        chosen = {self.cleaned_data[_key(column)]: column.header for column in self.columns}
        chosen.pop("", None)
        left = {column.field: "" for column in self.columns if column.field and column.field not in chosen}
        return {**left, **chosen}


def _key(column: SheetColumn) -> str:
    return f"column-{column.at}"
