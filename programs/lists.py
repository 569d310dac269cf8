"""What a list page shows around its rows: heads that sort, filters in force, and what was not understood."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from typing import Any

from django.forms import ModelMultipleChoiceField
from django.http import HttpRequest, QueryDict
from django.utils.translation import gettext as _

from programs.facts import Column
from programs.filters import RecordFilterSet
from programs.models.unit import Unit

CURSOR, COUNT = "cursor", "count"
TAG_LENGTH = 50


def without(request: HttpRequest, *names: str, **changes: str) -> str:
    """The address of this list from its first page, without these parameters and with those changes."""
    params: QueryDict = request.GET.copy()
    for name in (CURSOR, COUNT, *names):
        params.pop(name, None)
    for name, value in changes.items():
        if value:
            params[name] = value
    return f"{request.path}?{params.urlencode()}" if params else request.path


def column_heads(
    request: HttpRequest, columns: Iterable[Column], sort: str, sorts: list[str]
) -> list[dict[str, Any]]:
    """The heads; a sortable one links to its other direction, and begins with the newest or the largest."""
    heads = []
    for column in columns:
        head = {
            "name": column.name,
            "label": column.label,
            "sort_url": "",
            "sorted": "",
            "is_number": column.is_number,
        }
        if column.name in sorts:
            falling = sort == f"-{column.name}"
            if sort.lstrip("-") == column.name:
                head["sorted"] = "desc" if falling else "asc"
            head["sort_url"] = without(request, sort=column.name if falling else f"-{column.name}")
        heads.append(head)
    return heads


def active_filters(request: HttpRequest, filters: RecordFilterSet) -> list[dict[str, Any]]:
    """The filters in force, each with the address that takes it away; one that was not understood as it was sent."""
    found: list[dict[str, Any]] = []
    errors = filters.form.errors
    for name, field in filters.form.fields.items():
        sent = request.GET.get(name, "").strip()
        if not sent or (name == "sort" and name not in errors):
            continue
        if isinstance(field, ModelMultipleChoiceField):
            found += _several(request, name, field, filters.form.cleaned_data.get(name) or ())
            continue
        names = ["unit", "part"] if name == "unit" else [name]
        value = _in_words(field, filters.form.cleaned_data.get(name)) or sent[:TAG_LENGTH]
        if name == "upload" and "upload" not in errors and filters.origin:
            value = filters.origin.name
        found.append({"label": field.label, "value": value, "remove_url": without(request, *names)})
    return found


def _several(
    request: HttpRequest, name: str, field: ModelMultipleChoiceField, units: Iterable[Unit]
) -> Iterator[dict[str, Any]]:
    """One for each unit, which is taken away alone."""
    names = {unit.code: unit.name for unit in units}
    sent = list(dict.fromkeys(code for code in request.GET.getlist(name) if code))
    for code in sent:
        params: QueryDict = request.GET.copy()
        params.setlist(name, [other for other in sent if other != code])
        for other in (CURSOR, COUNT):
            params.pop(other, None)
        value = names.get(code, code[:TAG_LENGTH])
        yield {"label": field.label, "value": value, "remove_url": f"{request.path}?{params.urlencode()}"}


def _in_words(field: Any, value: Any) -> Any:
    if isinstance(value, Unit):
        return value.name
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, bool):
        return _("Yes") if value else _("No")
    choices = {str(code): label for code, label in getattr(field, "choices", ())} if value else {}
    return choices.get(str(value), value)


def filter_problems(filters: RecordFilterSet) -> list[dict[str, Any]]:
    """What was not understood, filter by filter, for the place of the list itself."""
    return [
        {"label": filters.form.fields[name].label, "message": message}
        for name, errors in filters.form.errors.items()
        if name in filters.form.fields
        for message in errors
    ]
