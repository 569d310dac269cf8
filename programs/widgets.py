"""Widgets that say what a control needs to know; `{% field %}` (programs.templatetags.portal) draws them."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from django import forms
from django.utils.datastructures import MultiValueDict


class DateInput(forms.DateInput):
    """The browser's own calendar; it wants ISO dates whatever the language."""

    input_type = "date"

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__(attrs, format="%Y-%m-%d")

    def value_from_datadict(self, data: Any, files: Any, name: str) -> Any:
        """Full-width digits, as a Chinese keyboard may write them, are digits."""
        value = super().value_from_datadict(data, files, name)
        return unicodedata.normalize("NFKC", value) if isinstance(value, str) else value


class UnitPicker(forms.TextInput):
    """A field that searches units on the server, for `ModelChoiceField(..., to_field_name="code")`.

    Without JavaScript it is a text input for the unit's code. `search_url` answers `?q=` with
    `{"results": [{"value": code, "label": name, "detail": where it belongs}], "more": bool}`.
    """

    multiple = False
    # Filled by ModelChoiceField; the queryset behind it names the chosen units.
    choices: Any = ()

    def __init__(self, search_url: Any = "", attrs: dict[str, Any] | None = None) -> None:
        super().__init__(attrs)
        self.search_url = search_url

    def codes(self, value: Any) -> list[str]:
        values = value if isinstance(value, (list, tuple)) else [value]
        return [str(code) for code in values if code not in (None, "")]

    def format_value(self, value: Any) -> str | None:
        return ",".join(self.codes(value)) or None

    def chosen(self, value: Any) -> list[dict[str, str]]:
        """The chosen units with their names; a code that names no unit shows as it was typed."""
        codes = self.codes(value)
        queryset = getattr(self.choices, "queryset", None)
        if not codes or queryset is None:
            return [{"value": code, "label": code} for code in codes]
        key = self.choices.field.to_field_name or "pk"
        label = self.choices.field.label_from_instance
        try:
            names = {
                str(unit.serializable_value(key)): label(unit)
                for unit in queryset.filter(**{f"{key}__in": codes})
            }
        except (ValueError, TypeError):  # not a key at all: the field says so itself
            names = {}
        return [{"value": code, "label": str(names.get(code, code))} for code in codes]


class UnitsPicker(UnitPicker):
    """Several units, for `ModelMultipleChoiceField(..., to_field_name="code")`; codes apart by commas or spaces."""

    multiple = True

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[str]:
        values = data.getlist(name) if isinstance(data, MultiValueDict) else data.get(name) or []
        if isinstance(values, str):
            values = [values]
        return [
            code for value in values for code in re.split(r"[\s,;\uff0c\u3001\uff1b]+", str(value)) if code
        ]


class FixedUnit(forms.TextInput):
    """The only unit a person may write for: named for the reader, its code sent along."""

    template_name = "records/fixed_unit.html"

    def __init__(self, unit: Any) -> None:
        super().__init__()
        self.unit = unit

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        context["shown"] = self.unit.name if str(value) == self.unit.code else value
        return context


class FilesInput(forms.ClearableFileInput):
    """Several files at once; the browser checks the limits before anything is sent, the server again after."""

    allow_multiple_selected = True

    def __init__(
        self, *, max_bytes: int, max_files: int, accept: str = "", attrs: dict[str, Any] | None = None
    ) -> None:
        super().__init__({"accept": accept, **(attrs or {})})
        self.max_bytes, self.max_files = max_bytes, max_files
