"""The directory of units, a unit's own page, and the pages that change the tree."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from programs import registry, unit_forms
from programs.access import Actor, get_unit_or_404, requires, units_for
from programs.actions import units as actions
from programs.actions.units import Change
from programs.disclosure import disclosure_of, read_as
from programs.menu import Page, add_page
from programs.models.people import User
from programs.models.unit import Placement, Unit, path_ids
from programs.registry import Text
from programs.roles import Permission

MOST_OFFERED = 20  # by the searching field
MOST_LISTED = 100  # by the search of the directory
MOST_NAMED = 30  # units in a preview
MOST_COUNTED = 10_000  # records in a preview

add_page(Page("administration", gettext_lazy("Units"), "unit_list", "sitemap", Permission.UNIT_VIEW))


# --- finding --------------------------------------------------------------------------------------


@requires(Permission.UNIT_VIEW)
def unit_list(request: HttpRequest) -> HttpResponse:
    """The tree of the district; with a question, the units that answer it."""
    actor: Actor = request.actor  # type: ignore[attr-defined]
    form = unit_forms.UnitFilter(request.GET)
    asked = form.cleaned_data if form.is_valid() else {}
    units = units_for(actor, Permission.UNIT_VIEW)
    if not asked.get("closed"):
        units = units.open()
    context: dict[str, Any] = {"filter_form": form, "may_manage": actor.may(Permission.UNIT_MANAGE)}
    if not form.is_valid():
        context["found"] = []
    elif asked["q"]:
        found = list(units.matching(asked["q"]).select_related("parent")[: MOST_LISTED + 1])
        context |= {"found": found[:MOST_LISTED], "more": len(found) > MOST_LISTED}
    else:
        context["branches"] = tree_of(units, actor)
    return render(request, "units/list.html", context)


@requires(Permission.UNIT_VIEW)
def unit_search(request: HttpRequest) -> JsonResponse:
    """Answers the searching field (programs.widgets.UnitPicker): at most 20 units in administrative order."""
    actor: Actor = request.actor  # type: ignore[attr-defined]
    question = unit_forms.UnitQuestion(request.GET)
    if not question.is_valid():
        return JsonResponse({"errors": question.errors}, status=400)
    units = units_for(actor, question.permission()).matching(question.cleaned_data["q"])
    if not question.cleaned_data["closed"]:
        units = units.open()
    found = list(units.select_related("parent")[: MOST_OFFERED + 1])
    results = [{"value": unit.code, "label": unit.name, "detail": detail_of(unit)} for unit in found]
    return JsonResponse({"results": results[:MOST_OFFERED], "more": len(found) > MOST_OFFERED})


def detail_of(unit: Unit) -> str:
    """What tells units of one name apart."""
    where = unit.parent.name if unit.parent else unit.get_kind_display()
    return where if unit.is_open else _("%(where)s, closed") % {"where": where}


@dataclass
class Branch:
    unit: Unit
    below: list[Branch]
    unfolded: bool  # one's own unit lies within


def tree_of(units: Any, actor: Actor) -> list[Branch]:
    """The units below one another, by today's paths, in administrative order."""
    home = set(path_ids(actor.unit.path)) if actor.unit else set()
    branches = {unit.pk: Branch(unit, [], unit.pk in home) for unit in in_order(units)}
    roots: list[Branch] = []
    for branch in branches.values():
        above = next((pk for pk in reversed(branch.unit.ancestor_ids) if pk in branches), None)
        (branches[above].below if above else roots).append(branch)
    return roots


def in_order(units: Any) -> list[Unit]:
    """Administrative order: the tiers' own units by code, then the bodies that attach to them."""
    return sorted(units, key=lambda unit: (not unit.is_territorial, unit.code))


# --- one unit -------------------------------------------------------------------------------------


@requires(Permission.UNIT_VIEW)
def unit_detail(request: HttpRequest, code: str) -> HttpResponse:
    actor: Actor = request.actor  # type: ignore[attr-defined]
    unit = get_unit_or_404(actor, Permission.UNIT_VIEW, code=code)
    manages = actor.covers(Permission.UNIT_MANAGE, unit)
    below = Count("children", filter=Q(children__closed_on=None))
    children = in_order(unit.children.annotate(number_below=below))
    context = {
        "unit": unit,
        "crumbs": crumbs_of(unit),
        "facts": facts_of(unit),
        "children": [child for child in children if child.is_open],
        "any_below": any(child.number_below for child in children),  # type: ignore[attr-defined]
        "closed_children": [child for child in children if not child.is_open and not child.merged_into_id],
        "merged": unit.merged.order_by("code"),
        "history": history_of(unit),
        "verbs": [verb for verb in VERBS.values() if manages and verb.applies(unit)],
        "may_create": manages and unit.is_open,
        "shows_figures": actor.covers(Permission.STATISTICS_VIEW, unit),
        # Who answers there, or looks after the unit, prints what leads citizens to it.
        "offers_poster": unit.is_open and (manages or actor.covers(Permission.RECORD_WRITE, unit)),
    }
    return render(request, "units/detail.html", context)


def crumbs_of(unit: Unit) -> list[dict[str, str]]:
    above = {other.pk: other for other in Unit.objects.filter(pk__in=unit.ancestor_ids)}
    crumbs = [{"label": _("Units"), "url": reverse("unit_list")}]
    crumbs += [{"label": above[pk].name, "url": address_of(above[pk])} for pk in unit.ancestor_ids]
    return [*crumbs, {"label": unit.name, "url": ""}]


def address_of(unit: Unit) -> str:
    return reverse("unit_detail", args=[unit.code])


def link_to(unit: Unit) -> str:
    return format_html('<a href="{}">{}</a>', address_of(unit), unit.name)


def facts_of(unit: Unit) -> list[tuple[str, Any, bool]]:
    facts = [
        (_("Code"), unit.code),
        (_("Kind"), unit.get_kind_display()),
        (_("Tier"), unit.get_tier_display()),
        (_("Parent unit"), link_to(unit.parent) if unit.parent else _("None")),
        (_("Opened on"), unit.opened_on.isoformat()),
        (_("Found by"), f"{unit.initials} {unit.pinyin}"),
    ]
    if unit.closed_on:
        facts.append((_("Closed on"), unit.closed_on.isoformat()))
    if unit.merged_into:
        facts.append((_("Merged into"), link_to(unit.merged_into)))
    return [(label, value, False) for label, value in facts]


def history_of(unit: Unit) -> list[tuple[dt.date, str]]:
    """What became of the unit, newest first: (day, sentence)."""
    placements = list(unit.placements.select_related("parent").order_by("valid_from"))
    first = placements[0]
    events = [(first.valid_from, _("Opened as %(name)s") % {"name": first.name})]
    if first.parent:
        words = {"name": first.name, "parent": first.parent.name}
        events = [(first.valid_from, _("Opened as %(name)s under %(parent)s") % words)]
    for before, after in pairwise(placements):
        events += [(after.valid_from, sentence) for sentence in changes_between(unit, before, after)]
    if unit.closed_on and not unit.merged_into_id:
        events.append((unit.closed_on, _("Closed")))
    return events[::-1]


def changes_between(unit: Unit, before: Placement, after: Placement) -> list[str]:
    sentences = []
    if before.name != after.name:
        sentences.append(_("Renamed from %(old)s to %(new)s") % {"old": before.name, "new": after.name})
    if before.path == after.path or after.parent is None:
        return sentences
    parent = after.parent.name
    # A merged unit goes below the one that carries on, which is no parent: it is of the same tier.
    if unit.merged_into_id and unit.closed_on and after.valid_from >= unit.closed_on:
        sentences.append(_("Merged into %(unit)s") % {"unit": parent})
    elif before.parent_id != after.parent_id:
        old = before.parent.name if before.parent else ""
        sentences.append(_("Moved from %(old)s to %(new)s") % {"old": old, "new": parent})
    else:
        sentences.append(_("Went along with %(unit)s") % {"unit": parent})
    return sentences


# --- changing -------------------------------------------------------------------------------------


@requires(Permission.UNIT_MANAGE)
def unit_create(request: HttpRequest) -> HttpResponse:
    actor: Actor = request.actor  # type: ignore[attr-defined]
    initial = unit_forms.expected_below(actor, request.GET.get("parent", ""))
    form = unit_forms.NewUnitForm(request.POST or None, actor=actor, initial=initial)
    if request.method == "POST" and form.is_valid() and "back" not in request.POST:
        confirmed = "confirm" in request.POST
        write = actions.create_unit if confirmed else partial(actions.trial, actions.create_unit)
        unit = attempt(form, lambda: write(by=actor, **form.cleaned_data))
        if unit and confirmed:
            messages.success(request, _("%(unit)s is created.") % {"unit": unit.name})
            return redirect("unit_detail", unit.code)
        if unit:
            context = {"unit": None, "form": form, "facts": facts_of(unit), "submit": _("Create the unit")}
            return render(request, "units/preview.html", context)
    context = {"form": form, "unit": None, "heading": _("New unit"), "cancel_url": reverse("unit_list")}
    return render(request, "units/form.html", context)


@dataclass(frozen=True)
class Verb:
    """A change of a unit: a form asks, a trial shows what would change, a confirmation does it."""

    code: str
    label: Text
    submit: Text
    done: Text
    icon: str
    form: Callable[..., forms.Form]
    run: Callable[..., Change]
    applies: Callable[[Unit], bool]
    explanation: Text = ""
    danger: bool = False

    @property
    def url_name(self) -> str:
        return f"unit_{self.code}"


def is_open_below(unit: Unit) -> bool:
    return unit.is_open and unit.parent_id is not None


VERBS = {
    verb.code: verb
    for verb in (
        Verb(
            "rename",
            gettext_lazy("Rename"),
            gettext_lazy("Rename the unit"),
            gettext_lazy("The unit is renamed."),
            "pencil",
            unit_forms.RenameForm,
            actions.rename_unit,
            lambda unit: unit.is_open,
            gettext_lazy("Pages and figures of the past go on to show the old name in its history."),
        ),
        Verb(
            "move",
            gettext_lazy("Move"),
            gettext_lazy("Move the unit"),
            gettext_lazy("The unit is moved. The figures follow within a minute."),
            "arrows-move",
            unit_forms.MoveForm,
            actions.move_unit,
            is_open_below,
            gettext_lazy(
                "Everything below the unit goes along. The month of the change counts for the new place."
            ),
        ),
        Verb(
            "merge",
            gettext_lazy("Merge"),
            gettext_lazy("Merge the units"),
            gettext_lazy("The units are merged. The figures follow within a minute."),
            "arrow-merge",
            unit_forms.MergeForm,
            actions.merge_units,
            is_open_below,
            gettext_lazy(
                "The unit closes and the other one carries on: with the units below it, its people and its work. "
                "Its records and its past stay its own. This cannot be taken back."
            ),
            danger=True,
        ),
        Verb(
            "close",
            gettext_lazy("Close"),
            gettext_lazy("Close the unit"),
            gettext_lazy("The unit is closed."),
            "lock",
            unit_forms.CloseForm,
            actions.close_unit,
            lambda unit: unit.is_open,
            gettext_lazy("Nothing can be logged for later days. What was logged stays and counts as before."),
            danger=True,
        ),
        Verb(
            "reopen",
            gettext_lazy("Reopen"),
            gettext_lazy("Reopen the unit"),
            gettext_lazy("The unit is open again."),
            "lock-open",
            unit_forms.ReopenForm,
            actions.reopen_unit,
            lambda unit: not unit.is_open and unit.merged_into_id is None,
            gettext_lazy("The closing is taken back, as if it had never been."),
        ),
    )
}


@requires(Permission.UNIT_MANAGE)
def unit_change(request: HttpRequest, code: str, verb: str) -> HttpResponse:
    """GET asks, POST shows what would change, POST with `confirm` does it."""
    actor: Actor = request.actor  # type: ignore[attr-defined]
    unit = get_unit_or_404(actor, Permission.UNIT_MANAGE, code=code)
    chosen = VERBS[verb]
    form = chosen.form(request.POST if request.method == "POST" else None, actor=actor, unit=unit)
    if request.method == "POST" and form.is_valid() and "back" not in request.POST:
        seen = request.POST.get("seen", "")
        arguments = {"by": actor, "unit": unit, **form.cleaned_data}
        change = attempt(form, lambda: run_if_seen(chosen.run, arguments, seen))
        if change and fingerprint(change) == seen:
            messages.success(request, str(chosen.done))
            return redirect("unit_detail", code)
        if change:
            return render(request, "units/preview.html", preview_of(chosen, unit, form, change, actor, seen))
    context = {
        "form": form,
        "unit": unit,
        "heading": chosen.submit,
        "explanation": chosen.explanation,
        "cancel_url": address_of(unit),
    }
    return render(request, "units/form.html", context)


def run_if_seen(run: Callable[..., Change], arguments: dict[str, Any], seen: str) -> Change:
    """Do it if it does what the person saw before confirming; else take it back."""
    with transaction.atomic():
        change = run(**arguments)
        if fingerprint(change) != seen:
            transaction.set_rollback(True)
    return change


def fingerprint(change: Change) -> str:
    """What the preview shows, in short."""
    shown = [
        change.unit.pk,
        [(unit.pk, unit.path) for unit in change.placed],
        change.months,
        [(grant.user_id, grant.role) for grant in change.grants],
    ]
    return hashlib.sha256(repr(shown).encode()).hexdigest()[:32]


def preview_of(
    verb: Verb, unit: Unit, form: forms.Form, change: Change, actor: Actor, seen: str
) -> dict[str, Any]:
    name = User._meta.get_field("name")
    read = disclosure_of(name, actor)
    return {
        "unit": unit,
        "verb": verb,
        "form": form,
        "facts": facts_of_change(unit, form, change),
        "submit": verb.submit,
        "placed": change.placed[:MOST_NAMED],
        "not_named": max(0, len(change.placed) - MOST_NAMED),
        "grants": [(read_as(name, grant.user.name, read), grant.role_class.label) for grant in change.grants],
        "records": records_of(unit),
        "fingerprint": fingerprint(change),
        "outdated": bool(seen),
    }


def facts_of_change(unit: Unit, form: forms.Form, change: Change) -> list[tuple[str, Any, bool]]:
    facts: list[tuple[str, Any]] = []
    for name, value in form.cleaned_data.items():
        shown = value.isoformat() if isinstance(value, dt.date) else str(value)
        facts.append((str(form.fields[name].label), shown))
    if change.months:
        first, last = (f"{month:%Y-%m}" for month in (change.months[0], change.months[-1]))
        words = {"first": first, "last": last, "number": len(change.months)}
        facts.append((_("Figures computed anew"), _("%(first)s to %(last)s (%(number)d months)") % words))
    return [(label, value, False) for label, value in facts]


def records_of(unit: Unit) -> list[tuple[Text, int, bool]]:
    """The unit's own records, which stay its own: (kind, number, whether there are more)."""
    counted = []
    for kind in registry.kinds():
        number = kind.model.objects.present().filter(unit=unit)[: MOST_COUNTED + 1].count()
        if number:
            counted.append((kind.label_plural, min(number, MOST_COUNTED), number > MOST_COUNTED))
    return counted


def attempt(form: forms.Form, write: Callable[[], Any]) -> Any:
    """The result of the write; None if it was refused, with the reasons beside the fields they belong to."""
    try:
        return write()
    except ValidationError as error:
        found = error.error_dict if hasattr(error, "error_dict") else {"": error.error_list}
        for name, errors in found.items():
            form.add_error(name if name in form.fields else None, errors)
        return None
