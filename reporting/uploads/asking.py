"""A kind's form that is asked about many rows: the form of the pages, with the units looked up before."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.forms.utils import ErrorDict
from django.utils.translation import gettext as _

from programs.access import Actor
from programs.actions.records import check_record
from programs.forms import RecordForm, UnitCodesField
from programs.models.unit import Unit
from programs.registry import RecordKind
from programs.roles import Permission
from programs.sheets import DATE, JOINT_UNITS, UNIT
from reporting.uploads.units import UnitNames

Values = dict[str, Any]
# By field; "" is the row as a whole.
Problems = dict[str, list[ValidationError]]


def form_of(kind: RecordKind, by: Actor, units: UnitNames) -> Any:
    """The kind's form as this person gets it, with the units known already."""
    form: Any = type(kind.form.__name__, (kind.form, AskedForm), {})({}, actor=by)
    for name in ("files", "submission_key", "version"):
        form.fields.pop(name, None)
    form.fields[UNIT] = _Given(label=form.fields[UNIT].label)
    if JOINT_UNITS in form.fields:
        joint = _GivenUnits(label=form.fields[JOINT_UNITS].label, required=form.fields[JOINT_UNITS].required)
        joint.known = {unit.code: unit for unit in units.by_id.values()}
        form.fields[JOINT_UNITS] = joint
    return form


class AskedForm(RecordForm):
    """Stands between a kind's form and `RecordForm`: what the kind's own `clean` asks for goes through here."""

    is_quick = False
    _errors: Any

    def clean(self) -> dict[str, Any]:
        return self.cleaned_data if self.is_quick else super().clean()

    def asked(self, cleaned: Values, own: Iterable[str], *, is_quick: bool = False) -> tuple[Problems, bool]:
        """What the `clean` methods say of cleaned values, and whether they changed one.

        Quick: those of the kind only, for values of which `Rules.accepts` has judged the rest.
        """
        self.is_quick = is_quick
        if self._errors or self._errors is None:
            self._errors: ErrorDict | None = ErrorDict()
        self.cleaned_data = cleaned.copy()
        for name in own:
            if name not in self.cleaned_data:
                continue
            try:
                self.cleaned_data[name] = getattr(self, f"clean_{name}")()
            except ValidationError as error:
                self.add_error(name, error)
        try:
            self.cleaned_data = self.clean() or self.cleaned_data
        except ValidationError as error:
            self.add_error(None, error)
        if self._errors:
            return _errors_of(self), False
        return {}, not cleaned.items() <= self.cleaned_data.items()

    def problems(self, values: Values, unread: set[str]) -> tuple[Problems, Values]:
        """What the form and `check_record` say of a new record with these values, and the values as they leave them.

        Nothing is said about fields that are `unread`, or about the row as a whole if there are any.
        """
        self.is_quick = False
        self.data = {name: value for name, value in values.items() if name not in unread}
        self.data[JOINT_UNITS] = codes_of(self.data.get(JOINT_UNITS))
        self.instance = type(self.instance)()
        self._bound_fields_cache: dict[str, Any] = {}
        self.full_clean()
        cleaned = self.cleaned_data
        joint = list(cleaned.get(JOINT_UNITS) or ())
        found = {name: errors for name, errors in _errors_of(self).items() if name not in unread}
        if self._errors or unread:
            # What `check_record` says of the rest could come from the values that are missing.
            found = self._with_life(found, unread)
        else:
            try:
                check_record(self.actor, self.instance, joint, Permission.RECORD_BRING)
            except ValidationError as error:
                found = by_field(error)
        if unread:
            found.pop("", None)
        kept = {name: cleaned.get(name, value) for name, value in values.items()}
        return found, {**kept, JOINT_UNITS: tuple(joint)} if JOINT_UNITS in values else kept

    def _with_life(self, found: Problems, unread: set[str]) -> Problems:
        unit, day = self.cleaned_data.get(UNIT), self.cleaned_data.get(DATE)
        if unit is None or day is None or {UNIT, DATE} & {*found, *unread} or lived(unit, day):
            return found
        return {DATE: [not_lived(unit, day)], **found}


class _Given(forms.Field):
    """The unit: found among those in reach already."""

    def clean(self, value: Any) -> Any:
        if value is None:
            raise ValidationError(self.error_messages["required"], code="required")
        return value


class _GivenUnits(UnitCodesField):
    """Joint units: found already; how many there may be is still asked."""

    known: Mapping[str, Unit] = {}

    def _check_values(self, value: Any) -> Any:
        return [self.known[code] for code in value]


def codes_of(joint: Any) -> list[str]:
    return [unit.code for unit in joint or ()]


def lived(unit: Unit, day: dt.date | None) -> bool:
    """Whether the unit existed on the day, as `check_record` judges."""
    return day is None or (unit.opened_on <= day and (unit.closed_on is None or day <= unit.closed_on))


def not_lived(unit: Unit, day: dt.date) -> ValidationError:
    """The words of `check_record`."""
    if day < unit.opened_on:
        return ValidationError(
            _("%(unit)s did not exist on this date."), code="not_open", params={"unit": unit.name}
        )
    return ValidationError(
        _("%(unit)s was closed on %(date)s."),
        code="closed",
        params={"unit": unit.name, "date": unit.closed_on},
    )


def _errors_of(form: forms.BaseForm) -> Problems:
    return {
        "" if name == NON_FIELD_ERRORS else name: list(errors.as_data())
        for name, errors in form.errors.items()
    }


def by_field(error: ValidationError) -> Problems:
    if not hasattr(error, "error_dict"):
        return {"": list(error.error_list)}
    return {
        "" if name == NON_FIELD_ERRORS else name: list(errors) for name, errors in error.error_dict.items()
    }


def merged(first: Problems, second: Problems) -> Problems:
    return {name: [*first.get(name, ()), *second.get(name, ())] for name in {**first, **second}}
