"""What the form and `actions.save_record` say about the values of a row, row after row.

`Rules.accepts` proves a row good without asking the database: it runs the form's own fields, each different value once,
the kind's own `clean`, the constraints in Python, and the rules of `check_record` on units and days. What it cannot
prove goes through the form and `check_record` themselves (`AskedForm.problems`); their words are the ones shown. Of
very many bad rows the later ones get the same words from the parts, which costs no queries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import MaxLengthValidator, ProhibitNullCharactersValidator
from django.db import models
from django.db.models import CheckConstraint, UniqueConstraint
from django.utils.translation import gettext as _

from programs.access import Actor
from programs.actions.records import SET_HERE
from programs.forms import MOST_JOINT_UNITS, RecordForm
from programs.registry import RecordKind
from programs.sheets import DATE, JOINT_UNITS, UNIT
from programs.text import UNSTORABLE
from reporting.uploads import conditions
from reporting.uploads.asking import (
    Problems,
    Values,
    by_field,
    codes_of,
    form_of,
    lived,
    merged,
    not_lived,
)
from reporting.uploads.units import UnitNames
from reporting.uploads.values import is_read_by_form

# Rows that are asked about in full, at two or three milliseconds each; of a file with more mistakes than this the other
# rows get their words the short way.
MOST_ASKED = 500
# Of the form and the model: what does not judge values as these classes do cannot be judged in parts.
FORM_METHODS = ("_clean_fields", "_clean_form", "_post_clean", "full_clean", "add_error", "is_valid")
MODEL_METHODS = ("full_clean", "clean_fields", "validate_unique", "validate_constraints")


class Rules:
    """The rules for new rows of a kind as this person may bring them.

    Values are those of `names` (fields of the sheet), with `unit` a Unit and `joint_units` a tuple of them.
    """

    def __init__(self, kind: RecordKind, by: Actor, names: Iterable[str], units: UnitNames) -> None:
        self.kind, self.names = kind, list(names)
        self.form: Any = form_of(kind, by, units)
        self._asked = 0
        blank = kind.model()
        fields = kind.model._meta.concrete_fields
        self._fixed = {field.name: getattr(blank, field.attname) for field in fields}
        own = [name for name in self.names if name not in (UNIT, JOINT_UNITS)]
        self._cleaners = {name: _Cleaner(kind, name, self.form.fields[name], blank) for name in own}
        self._passes = [(name, cleaner.passes) for name, cleaner in self._cleaners.items()]
        self._own_cleans = [name for name in self.names if hasattr(kind.form, f"clean_{name}")]
        self._model_cleans = _is_overridden(kind.model, models.Model, "clean")
        self._cleans = (
            self._model_cleans or bool(self._own_cleans) or _is_overridden(kind.form, RecordForm, "clean")
        )
        self._constraints = [_Constraint(c, kind, self._fixed) for c in self._judged_here()]
        # Whether rows can be proved good at all; of a kind with rules that only the database knows, none can.
        self.in_parts = self._knows_constraints() and not self._is_strange()

    def _is_strange(self) -> bool:
        return (
            any(_is_overridden(self.kind.form, RecordForm, name) for name in FORM_METHODS)
            or any(_is_overridden(self.kind.model, models.Model, name) for name in MODEL_METHODS)
            or any(field.unique for field in _columns(self.kind) if field.name in self.names)
            or bool(self.kind.model._meta.unique_together)
        )

    def _knows_constraints(self) -> bool:
        return all(
            (type(constraint) is CheckConstraint and conditions.is_supported(constraint, self.kind.model))
            or (isinstance(constraint, UniqueConstraint) and bool(self.kind.sheet.together))
            for constraint in self.kind.model._meta.constraints
        )

    def _judged_here(self) -> list[CheckConstraint]:
        """The form leaves out constraints on what it does not show, the action those on what it sets itself."""
        found = []
        for constraint in self.kind.model._meta.constraints:
            if isinstance(constraint, CheckConstraint) and conditions.is_supported(
                constraint, self.kind.model
            ):
                asked = conditions.names_in(constraint.condition)
                if asked <= set(self.form.fields) or not asked & set(SET_HERE):
                    found.append(constraint)
        return found

    # --- is it good? ---

    def accepts(self, values: Values) -> bool:
        """Whether the row is known to be good. False is no verdict: see `problems`."""
        if not self.in_parts:
            return False
        try:
            for name, passes in self._passes:
                if not passes(values[name]):
                    return False
            if not lived(values[UNIT], values.get(DATE)) or not _joint_pass(values):
                return False
            if self._cleans and self._said_by_clean(values) != ({}, False):
                return False
        except (AttributeError, TypeError):
            # A value that cannot be remembered, or a `clean` that asks for something only a real form has.
            return False
        return all(constraint.holds(values) for constraint in self._constraints)

    def _said_by_clean(self, values: Values) -> tuple[Problems, bool]:
        """What the kind's own `clean` methods and the model's say, and whether they changed a value."""
        found, changed = self.form.asked(values, self._own_cleans, is_quick=True)
        if self._model_cleans and not found:
            own = {name: value for name, value in values.items() if name != JOINT_UNITS}
            record = self.kind.model(**own)
            try:
                record.clean()
            except ValidationError as error:
                return by_field(error), False
            changed = changed or any(getattr(record, name) != value for name, value in own.items())
        return found, changed

    # --- what is wrong? ---

    def problems(self, values: Values, unread: Iterable[str] = ()) -> tuple[Problems, Values]:
        """What is wrong with the row, by field ("" for the row as a whole), and its values as the form leaves them.

        Nothing at all is wrong with a good one. `unread` are fields of which the cell could not be read; nothing is
        said about these.
        """
        unread = set(unread)
        if self.in_parts and self._asked >= MOST_ASKED:
            found = self._from_parts(values, unread)
            if found or unread:
                return found, values
        self._asked += 1
        return self.form.problems(values, unread)

    def _from_parts(self, values: Values, unread: set[str]) -> Problems:
        found: Problems = {}
        cleaned = {name: value for name, value in values.items() if name not in unread}
        for name, cleaner in self._cleaners.items():
            if name in unread or cleaner.passes(values[name]):
                continue
            try:
                cleaned[name] = cleaner(values[name])
            except ValidationError as error:
                found[name] = list(error.error_list)
                del cleaned[name]
        if cleaned.get(JOINT_UNITS):
            try:
                self.form.fields[JOINT_UNITS].clean(codes_of(cleaned[JOINT_UNITS]))
            except ValidationError as error:
                found[JOINT_UNITS] = list(error.error_list)
                del cleaned[JOINT_UNITS]
        said, _changed = self.form.asked(cleaned, self._own_cleans)
        found = {name: errors for name, errors in merged(found, said).items() if name not in unread}
        if self._model_cleans and not found and not unread:
            found, _changed = self._said_by_clean(cleaned)
        unit, day = cleaned.get(UNIT), cleaned.get(DATE)
        if unit is not None and day is not None and DATE not in found and not lived(unit, day):
            found[DATE] = [not_lived(unit, day)]
        for constraint in self._constraints if not unread else ():
            if constraint.asked.isdisjoint(found) and not constraint.holds(cleaned):
                found.setdefault("", []).append(constraint.problem())
        if unread:
            # The rules for the row as a whole may be about what could not be read.
            found.pop("", None)
        return found


def _joint_pass(values: Values) -> bool:
    joint = values.get(JOINT_UNITS)
    if not joint:
        return True
    unit = values[UNIT]
    return (
        len(joint) <= MOST_JOINT_UNITS
        and unit not in joint
        and all(other.root_id == unit.root_id for other in joint)
    )


class _Constraint:
    """A check constraint, asked once for each combination of the values that it is about."""

    def __init__(self, constraint: CheckConstraint, kind: RecordKind, fixed: Mapping[str, Any]) -> None:
        self.constraint = constraint
        self.asked = conditions.names_in(constraint.condition)
        self._condition = conditions.compiled(constraint, kind.model)
        self._fixed = {name: fixed[name] for name in self.asked}
        self._key = itemgetter(*sorted(self.asked))
        self._known: dict[Any, bool] = {}

    def holds(self, values: Values) -> bool:
        try:
            return self._known[self._key(values)]
        except KeyError:  # not asked before, or about something that no row says
            return self._ask(values)

    def _ask(self, values: Values) -> bool:
        known = {**self._fixed, **{name: values[name] for name in self.asked if name in values}}
        if isinstance(known.get(UNIT), models.Model):
            known[UNIT] = known[UNIT].pk
        holds = self._condition(known) is not False
        if self.asked <= values.keys():
            self._known[self._key(values)] = holds
        return holds

    def problem(self) -> ValidationError:
        return ValidationError(
            self.constraint.get_violation_error_message(), code=self.constraint.violation_error_code
        )


class _Cleaner:
    """A field of the form and the field of the model behind it, which judge one value."""

    def __init__(self, kind: RecordKind, name: str, form_field: forms.Field, blank: Any) -> None:
        self.form_field, self.model_field, self._blank = form_field, kind.field(name), blank
        self._is_clean = is_read_by_form(kind, name, form_field)
        most = _longest(form_field, self.model_field)
        # Whether a value is good as it is.
        self.passes: Callable[[Any], bool] = (
            _Verdicts(self).__getitem__
            if most is None
            else _text_passes(most, is_optional=not form_field.required and self.model_field.blank)
        )

    def __call__(self, value: Any) -> Any:
        cleaned = value if self._is_clean and value is not None else self.form_field.clean(value)
        field = self.model_field
        if cleaned in field.empty_values and (field.blank or not self.form_field.required):
            return cleaned
        if isinstance(field, models.ForeignKey):
            return cleaned  # the field of the form has found it
        if isinstance(cleaned, str) and UNSTORABLE.search(cleaned):
            raise ValidationError(_("The text contains characters that cannot be stored."), code="unstorable")
        try:
            return field.clean(cleaned, self._blank)
        except ValidationError as error:
            for problem in error.error_list:  # as the form does with what the model says
                problem.message = self.form_field.error_messages.get(problem.code or "", problem.message)
            raise


class _Verdicts(dict[Any, bool]):
    """Values of a field and whether they are good as they are; each different one is judged once."""

    def __init__(self, cleaner: _Cleaner) -> None:
        super().__init__()
        self._cleaner = cleaner

    def __missing__(self, value: Any) -> bool:
        try:
            cleaned = self._cleaner(value)
            good = type(cleaned) is type(value) and bool(cleaned == value)
        except ValidationError:
            good = False
        self[value] = good
        return good


def _longest(form_field: Any, model_field: Any) -> int | None:
    """The most characters of a text of which nothing else is asked; None for any other field."""
    validators = [*form_field.validators, *model_field.validators]
    known = (MaxLengthValidator, ProhibitNullCharactersValidator)
    if (
        type(form_field) is not forms.CharField
        or type(model_field) not in (models.CharField, models.TextField)
        or any(type(validator) not in known for validator in validators)
        or form_field.empty_value != ""
        or not form_field.strip
        or model_field.choices
    ):
        return None
    limits = [v.limit_value for v in validators if isinstance(v, MaxLengthValidator)]
    return min((limit for limit in limits if isinstance(limit, int)), default=2**31)


def _text_passes(most: int, *, is_optional: bool) -> Callable[[Any], bool]:
    """For texts, which are all different: nothing is remembered."""
    unstorable = UNSTORABLE.search

    def passes(value: Any) -> bool:
        if not value:
            return is_optional and value == ""
        return (
            type(value) is str
            and len(value) <= most
            and not unstorable(value)
            and not (value[0].isspace() or value[-1].isspace())
        )

    return passes


def _columns(kind: RecordKind) -> list[Any]:
    return [field for field in kind.model._meta.concrete_fields if not field.primary_key]


def _is_overridden(cls: type, base: type, name: str) -> bool:
    return getattr(cls, name) is not getattr(base, name)
