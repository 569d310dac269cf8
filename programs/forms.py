"""Forms of records. A form checks what was typed; writing is left to `programs.actions`."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS, FieldDoesNotExist, ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.db.models import F, Q, Sum
from django.urls import reverse_lazy
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from programs import registry
from programs.access import Actor, units_for
from programs.attachments import ACCEPTED, MAX_BYTES, MAX_FILES, check_files
from programs.disclosure import disclosure_of
from programs.field_classes import C3, class_of
from programs.models.education import Carrier, EducationActivity, GratitudeEvent
from programs.models.record import PROGRAMME_BEGAN, Record
from programs.models.unit import Unit
from programs.roles import Disclosure, Permission
from programs.text import check_text
from programs.widgets import DateInput, FilesInput, FixedUnit, UnitPicker, UnitsPicker

if TYPE_CHECKING:
    from django.forms.boundfield import BoundField

UNIT_SEARCH = reverse_lazy("unit_search")
# Own units to write for are few: the unit itself and those merged into it. Beyond this they are searched.
MOST_SHOWN_UNITS = 20
MOST_JOINT_UNITS = 50


class UnitCodeField(forms.ModelChoiceField):
    """A unit named by its code: what the searching field sends, and what can be typed without it."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("queryset", Unit.objects.none())
        kwargs.setdefault("widget", UnitPicker(UNIT_SEARCH))
        super().__init__(to_field_name="code", **kwargs)
        self.error_messages["invalid_choice"] = _("No such unit can be chosen here.")

    def prepare_value(self, value: Any) -> Any:
        return value.code if isinstance(value, Unit) else value

    def to_python(self, value: Any) -> Unit | None:
        _refuse_unstorable(value)
        return super().to_python(value)


class UnitCodesField(forms.ModelMultipleChoiceField):
    """Several units by code."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("queryset", Unit.objects.none())
        kwargs.setdefault("widget", UnitsPicker(UNIT_SEARCH))
        super().__init__(to_field_name="code", **kwargs)
        self.error_messages["invalid_choice"] = _("No such unit can be chosen here.")

    def clean(self, value: Any) -> Any:
        for code in value if isinstance(value, list | tuple) else ():
            _refuse_unstorable(code)
        if value and len(value) > MOST_JOINT_UNITS:
            raise ValidationError(
                _("Name at most %(count)d joint units."), code="too_many", params={"count": MOST_JOINT_UNITS}
            )
        return super().clean(value)


def _refuse_unstorable(value: Any) -> None:
    """Before the database is asked: it answers such text with an error of its own."""
    if isinstance(value, str):
        check_text(value)


class FilesField(forms.FileField):
    """Several files, each checked; what is wrong is said with the file's name."""

    def __init__(self, **kwargs: Any) -> None:
        widget = FilesInput(max_bytes=MAX_BYTES, max_files=MAX_FILES, accept=",".join(ACCEPTED))
        super().__init__(widget=widget, **kwargs)

    def clean(self, data: Any, initial: Any = None) -> list[UploadedFile]:
        files = [file for file in data or [] if file]
        check_files(files)
        return files


class RecordForm(forms.ModelForm):
    """The base of every kind's form: unit, date, joint units, files, and the fields of the kind.

    `groups` puts field names under headings; fields not named there come last. Fields that the person may not read
    in the clear are left out, and stay as they are.
    """

    unit = UnitCodeField(label=_("Unit"))
    joint_units = UnitCodesField(label=_("Joint units"), required=False)
    submission_key = forms.UUIDField(required=False, widget=forms.HiddenInput)
    version = forms.IntegerField(required=False, widget=forms.HiddenInput)

    groups: ClassVar[list[tuple[Any, list[str]]]] = []
    # What stands below the fields where a kind takes more than the record in one page: see `further_forms`.
    more_template: ClassVar[str] = ""
    more_script: ClassVar[str] = ""

    def __init__(self, *args: Any, actor: Actor, **kwargs: Any) -> None:
        self.actor = actor
        super().__init__(*args, **kwargs)
        self.is_new = self.instance.pk is None
        for name in unwritable(self.instance, self.fields, actor):
            del self.fields[name]
        self._set_units()
        self._set_dates()
        self._set_measures()
        if registry.kind_of(self.instance).attachments:
            self.fields["files"] = FilesField(label=_("Photos and files"), required=False)
        if self.is_new:
            self.initial.setdefault("submission_key", uuid.uuid4())
        else:
            self.initial.setdefault("version", self.instance.version)
        for name, field in self.fields.items():
            _keep_out_of_drafts(self.instance, name, field)

    def _set_units(self) -> None:
        unit_field: Any = self.fields["unit"]
        unit_field.queryset = units_for(self.actor, Permission.RECORD_WRITE)
        own = list(unit_field.queryset[: MOST_SHOWN_UNITS + 1])
        if self.is_new:
            self.initial.setdefault("unit", self.actor.unit)
        else:
            self.initial["unit"] = self.instance.unit
        if len(own) == 1:
            unit_field.widget = FixedUnit(own[0])
        elif len(own) <= MOST_SHOWN_UNITS:
            unit_field.widget = forms.Select()
        unit_field.widget.choices = unit_field.choices
        joint_field: Any = self.fields["joint_units"]
        choosable = Q(closed_on=None)
        if not self.is_new:
            # Units closed since then stay what they were.
            choosable |= Q(pk__in=self.instance.joint_units.values("pk"))
        joint_field.queryset = units_for(self.actor, Permission.UNIT_VIEW).filter(choosable)

    def _set_dates(self) -> None:
        date = self.fields["occurred_on"]
        today = timezone.localdate()
        date.widget = DateInput({"min": PROGRAMME_BEGAN.isoformat(), "max": today.isoformat()})
        if self.is_new:
            self.initial.setdefault("occurred_on", today)

    def _set_measures(self) -> None:
        """A number wears the measure of the figure that adds it up."""
        for indicator in registry.kind_of(self.instance).indicators:
            summed = indicator.aggregate.get_source_expressions()[0]
            name = getattr(summed, "name", "") if isinstance(summed, F) else ""
            if isinstance(indicator.aggregate, Sum) and name in self.fields:
                self.fields[name].widget.attrs["data-suffix"] = indicator.measure.label

    def fieldsets(self) -> list[tuple[Any, list[BoundField]]]:
        """The visible fields in groups: [(heading, [bound field, …]), …]."""
        named = [name for _heading, names in self.groups for name in names]
        rest = [field.name for field in self.visible_fields() if field.name not in named]
        groups = [*self.groups, ("", rest)] if rest else self.groups
        found = [
            (heading, [self[name] for name in names if name in self.fields]) for heading, names in groups
        ]
        return [(heading, bound_fields) for heading, bound_fields in found if bound_fields]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        for name, value in list(cleaned.items()):
            if isinstance(value, str):
                try:
                    check_text(value)
                except ValidationError as error:
                    self.add_error(name, error)
        self._forgive_hidden_fields()
        unit, joint = cleaned.get("unit"), cleaned.get("joint_units")
        if unit is not None and joint and any(other.pk == unit.pk for other in joint):
            self.add_error("joint_units", _("The lead unit cannot be a joint unit as well."))
        return cleaned

    def _forgive_hidden_fields(self) -> None:
        """Nobody typed these: a broken key counts as a new one, a broken version as an old one."""
        if self.errors.pop("submission_key", None):
            self.cleaned_data["submission_key"] = None
        version = self.cleaned_data.get("version")
        if self.errors.pop("version", None) or version is None or not 0 <= version < 2**31:
            self.cleaned_data["version"] = 0

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        if self.errors and self.cleaned_data.get("files"):
            self.add_error("files", _("Please choose the files again: the browser does not send them twice."))

    def values(self) -> dict[str, Any]:
        """What `save_record` takes: the cleaned values of the model's own columns."""
        columns = {field.name for field in self._meta.model._meta.concrete_fields if field.editable}
        return {name: value for name, value in self.cleaned_data.items() if name in columns}

    def further_forms(self) -> list[forms.BaseForm]:
        """Further forms of the same page, whose mistakes are told with those of this one."""
        return []

    def further_forms_are_valid(self) -> bool:
        return True

    def is_unfinished(self) -> bool:
        """Whether it was sent for one more row, and not to be saved."""
        return False

    def write_more(self, record: Record) -> None:
        """Write what was filled in besides the new record, in its transaction; ValidationError undoes both."""

    def says_the_same(self, record: Record) -> bool:
        """Whether the record is what this form says; if not, the form's key made another one before."""
        joint = {unit.pk for unit in self.cleaned_data.get("joint_units") or ()}
        return all(getattr(record, name) == value for name, value in self.values().items()) and joint == {
            unit.pk for unit in record.joint_units.all()
        }

    def add_refusal(self, error: ValidationError) -> None:
        """Show what `save_record` refused beside the fields; what belongs to no field of the form, at the top."""
        found = error.error_dict if hasattr(error, "error_dict") else {NON_FIELD_ERRORS: error.error_list}
        for name, errors in found.items():
            self.add_error(name if name in self.fields else None, errors)

    def _save_m2m(self) -> None:
        raise NotImplementedError("records are written by actions.save_record")

    def save(self, commit: bool = True) -> Record:
        raise NotImplementedError("records are written by actions.save_record")


def unwritable(record: Record, names: Iterable[str], actor: Actor) -> list[str]:
    """The fields among `names` that the person may not fill in: on a record that stands, those not read in the clear;
    on a new one, those that a role never sees."""
    found = []
    for name in names:
        try:
            field = record._meta.get_field(name)
        except FieldDoesNotExist:
            continue
        disclosure = disclosure_of(field, actor, record if record.pk else None)
        if disclosure is Disclosure.WITHHELD or (record.pk and disclosure is not Disclosure.CLEAR):
            found.append(name)
    return found


def _keep_out_of_drafts(record: Record, name: str, field: forms.Field) -> None:
    """Sensitive values are not kept in the browser of a shared computer."""
    try:
        sensitive = class_of(record._meta.get_field(name)) >= C3
    except FieldDoesNotExist:
        return
    if sensitive:
        field.widget.attrs["data-draft-skip"] = True


class EducationActivityForm(RecordForm):
    groups = [
        (_("What took place"), ["theme", "series", "festival", "setting"]),
        (_("When, where, with whom"), ["occurred_on", "unit", "joint_units", "place", "participants"]),
        (_("More"), ["summary"]),
    ]

    class Meta:
        model = EducationActivity
        fields = [
            "theme",
            "series",
            "festival",
            "setting",
            "occurred_on",
            "unit",
            "joint_units",
            "place",
            "participants",
            "summary",
        ]
        help_texts = {"festival": _("For a festival only.")}

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        series, festival = cleaned.get("series"), cleaned.get("festival")
        if series == EducationActivity.Series.FESTIVAL and not festival:
            self.add_error("festival", _("Which festival was it?"))
        elif series and series != EducationActivity.Series.FESTIVAL and festival:
            self.add_error(
                "festival", _("Only activities of the series “Festival” name one; leave this open.")
            )
        return cleaned


class GratitudeEventForm(RecordForm):
    groups = [
        (_("What took place"), ["title", "form", "enterprise"]),
        (_("When, where, with whom"), ["occurred_on", "unit", "joint_units", "participants"]),
        (_("Media coverage"), ["media_reports", "media"]),
        (_("More"), ["summary"]),
    ]

    class Meta:
        model = GratitudeEvent
        fields = [
            "title",
            "form",
            "enterprise",
            "occurred_on",
            "unit",
            "joint_units",
            "participants",
            "media_reports",
            "media",
            "summary",
        ]


class CarrierForm(RecordForm):
    groups = [
        (_("The carrier"), ["name", "type", "occurred_on", "rhythm"]),
        (_("Who is responsible"), ["unit", "joint_units", "responsible", "phone"]),
        (_("More"), ["description"]),
    ]

    class Meta:
        model = Carrier
        labels = {"occurred_on": _("Set up on")}
        fields = [
            "name",
            "type",
            "occurred_on",
            "rhythm",
            "unit",
            "joint_units",
            "responsible",
            "phone",
            "description",
        ]
