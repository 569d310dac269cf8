"""Query parameters and pages of lists."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from rest_framework.request import Request

from programs.api.bodies import shown
from programs.api.errors import Invalid
from programs.paging import CURSOR_LENGTH, PAGE_SIZE, Page
from programs.text import UNSTORABLE

MOST_ROWS = 200


class PageForm(forms.Form):
    cursor = forms.CharField(required=False, max_length=CURSOR_LENGTH)
    page_size = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=MOST_ROWS,
        error_messages={"invalid": gettext_lazy("This must be a whole number.")},
    )


PAGE_PARAMETERS = frozenset(PageForm.base_fields)


def query(request: Request, known: Collection[str], several: Collection[str] = ()) -> dict[str, Any]:
    """The query parameters: each known, given once, and not without text. Invalid names the others.

    Those of `several` may be given more than once: they are lists.
    """
    errors: dict[str, list[Any]] = {}
    values: dict[str, Any] = {}
    for name, given in request.query_params.lists():
        if name not in known:
            errors[shown(name)] = [_("There is no such parameter.")]
        elif len(given) > 1 and name not in several:
            errors[name] = [_("This parameter is given more than once.")]
        elif not all(given):
            errors[name] = [_("This parameter is empty.")]
        elif any(UNSTORABLE.search(value) for value in given):
            errors[name] = [_("The text contains characters that cannot be stored.")]
        else:
            values[name] = given if name in several else given[0]
    if errors:
        raise Invalid(errors)
    return values


def page_wanted(values: dict[str, Any]) -> tuple[str, int]:
    """Cursor and size of the page that is asked for."""
    form = PageForm(values)
    if not form.is_valid():
        raise Invalid(form.errors)
    return form.cleaned_data["cursor"], form.cleaned_data["page_size"] or PAGE_SIZE


def answer(request: Request, page: Page[Any], rows: list[Any]) -> dict[str, Any]:
    """The body of a page, with links to its neighbours."""
    if page.lost and request.query_params.get("cursor"):
        raise Invalid({"cursor": [_("This page is no longer there. Begin with the first page.")]})
    return {
        "next": _link(request, page.next_cursor),
        "previous": _link(request, page.previous_cursor),
        "results": rows,
    }


def _link(request: Request, cursor: str) -> str | None:
    if not cursor:
        return None
    parameters = {**dict(request.query_params.lists()), "cursor": cursor}
    return request.build_absolute_uri(f"{request.path}?{urlencode(parameters, doseq=True)}")
