"""What the template of a form field needs: the right control for a widget, with Tabler's classes and the ARIA links.

Django's BoundField already points `aria-describedby` at help and error; this module adds the look, and shows
choices under seven instead of hiding them in a list.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.forms import BoundField
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from programs.widgets import DateInput, FilesInput, UnitPicker

# Up to this many choices are shown at once (look.md: choices under seven are shown).
MOST_SHOWN = 6


def context(bound: BoundField, *, compact: bool = False) -> dict[str, Any]:
    """Context of components/field.html: `kind` names the control, `control` is its markup where a widget draws it."""
    widget = bound.field.widget
    basics = {
        "bound": bound,
        "invalid": bool(bound.errors),
        "required": bound.field.required and not bound.field.disabled and not compact,
        "compact": compact,
        "describedby": " ".join(describing_ids(bound)),
    }
    if isinstance(widget, UnitPicker):
        return basics | unit_picker(bound, widget)
    if isinstance(widget, (forms.CheckboxInput, forms.NullBooleanSelect)):
        return basics | tick(bound, widget)
    if is_shown(widget, compact):
        return basics | {"kind": "choices", "options": options(bound), "control_type": control_type(widget)}
    if isinstance(widget, forms.FileInput):
        return basics | files(bound, widget)
    return basics | single(bound, widget)


def describing_ids(bound: BoundField) -> list[str]:
    ids = [f"{bound.auto_id}_helptext"] if bound.help_text else []
    return [*ids, f"{bound.auto_id}_error"] if bound.errors else ids


def is_shown(widget: forms.Widget, compact: bool) -> bool:
    """Radios and check boxes always; a short list too, unless space is dear or its choices come in groups."""
    if isinstance(widget, forms.RadioSelect):  # CheckboxSelectMultiple is one of them
        return True
    if compact or not isinstance(widget, forms.Select):
        return False
    choices = list(widget.choices)
    grouped = any(isinstance(label, (list, tuple)) for _value, label in choices)
    return not grouped and sum(1 for value, _label in choices if str(value) != "") <= MOST_SHOWN


def control_type(widget: forms.Widget) -> str:
    return "checkbox" if getattr(widget, "allow_multiple_selected", False) else "radio"


def options(bound: BoundField) -> list[dict[str, Any]]:
    """The choices as flat options; the empty one only where it may be chosen, and with words."""
    widget = bound.field.widget
    chosen = {str(value) for value in widget.format_value(bound.value())}
    several = control_type(widget) == "checkbox"
    shown: list[dict[str, Any]] = []
    for value, label in widget.choices:
        empty = str(value) == ""
        if empty and (bound.field.required or several):
            continue
        shown.append(
            {
                "id": f"{bound.auto_id}_{len(shown)}",
                "value": "" if empty else value,
                "label": _("Not stated") if empty else label,
                "checked": str(value) in chosen or (empty and not chosen),
            }
        )
    return shown


def unit_picker(bound: BoundField, widget: UnitPicker) -> dict[str, Any]:
    value = bound.value()
    return {
        "kind": "units",
        "multiple": widget.multiple,
        "search_url": widget.search_url,
        "chosen": widget.chosen(value),
        "control": draw(bound, "form-control"),
    }


def tick(bound: BoundField, widget: forms.Widget) -> dict[str, Any]:
    if isinstance(widget, forms.NullBooleanSelect):
        return {"kind": "input", "control": draw(bound, "form-select")}
    return {"kind": "tick", "control": draw(bound, "form-check-input")}


def files(bound: BoundField, widget: forms.FileInput) -> dict[str, Any]:
    limits: dict[str, int | None] = {"max_bytes": None, "max_files": None}
    if isinstance(widget, FilesInput):
        limits = {"max_bytes": widget.max_bytes, "max_files": widget.max_files}
    return {
        "kind": "files",
        "control": draw(bound, "form-control", widget_type="file"),
        "accept": widget.attrs.get("accept", ""),
        "kinds": named_kinds(widget.attrs.get("accept", "")),
        "megabytes": (limits["max_bytes"] or 0) // 2**20,
        **limits,
    }


def named_kinds(accept: str) -> list[str]:
    """Suffixes as people say them: ".jpg,.jpeg,.pdf" are JPG and PDF."""
    said = (suffix.strip(" .").upper().replace("JPEG", "JPG") for suffix in accept.split(","))
    return [kind for kind in dict.fromkeys(said) if kind]


def single(bound: BoundField, widget: forms.Widget) -> dict[str, Any]:
    """A control that stands alone; its unit of measure comes from `data-suffix` of the widget."""
    suffix = widget.attrs.get("data-suffix", "")
    css = "form-select" if isinstance(widget, forms.Select) else "form-control"
    kind = "suffixed" if suffix else "input"
    return {"kind": kind, "suffix": suffix, "control": draw(bound, css)}


def draw(bound: BoundField, css: str, widget_type: str = "") -> SafeString:
    widget = bound.field.widget
    attrs: dict[str, Any] = {"class": f"{widget.attrs.get('class', '')} {css}".strip()}
    if bound.errors:
        attrs["class"] += " is-invalid"
    if isinstance(widget, forms.Textarea):
        attrs |= {"data-autogrow": True, "rows": 3}
    if isinstance(widget, forms.NumberInput):
        attrs["inputmode"] = (
            "decimal" if isinstance(bound.field, (forms.DecimalField, forms.FloatField)) else "numeric"
        )
    if isinstance(widget, forms.DateInput) and not isinstance(widget, DateInput):
        return bound.as_widget(DateInput(widget.attrs), attrs)
    if isinstance(widget, forms.ClearableFileInput):
        return bound.as_widget(plain_file_input(widget), attrs)
    return bound.as_widget(attrs=attrs)


def plain_file_input(widget: forms.ClearableFileInput) -> forms.FileInput:
    """The input alone: what is attached already is listed, and removed, elsewhere."""
    plain = forms.FileInput()
    plain.allow_multiple_selected = widget.allow_multiple_selected
    plain.attrs = dict(widget.attrs)
    if widget.allow_multiple_selected:
        plain.attrs["multiple"] = True
    return plain


def errors(form: forms.BaseForm) -> list[dict[str, str]]:
    """Every error of the form for the summary at the top: where it is, and what is wrong."""
    found = [{"anchor": "", "label": "", "message": str(message)} for message in form.non_field_errors()]
    for bound in form.hidden_fields():
        found += [{"anchor": "", "label": "", "message": str(message)} for message in bound.errors]
    for bound in form.visible_fields():
        found += [
            {"anchor": anchor(bound), "label": str(bound.label), "message": str(message)}
            for message in bound.errors
        ]
    for row in form.further_forms() if hasattr(form, "further_forms") else ():
        found += errors(row)
    return found


def anchor(bound: BoundField) -> str:
    """The id that gets the focus: the control's own, or the first one of a group."""
    if is_shown(bound.field.widget, compact=False):
        return f"{bound.auto_id}_0"
    return bound.id_for_label or str(bound.auto_id)
