"""What the form of a table offers: see templates/reporting/pivot_form.html."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from django.urls import reverse
from django.utils import timezone

from programs import registry
from programs.access import Actor
from programs.models.unit import Unit, month_of
from programs.registry import Text
from programs.widgets import UnitPicker
from reporting import left_out
from reporting.dashboards import AGAINST_NAMES, BOUNDARIES_NAMES, usual_periods
from reporting.parts import covers_below
from reporting.pivot import ROWS_NAMES, Pivot, splits


@dataclass
class Choice:
    value: str
    label: Text
    chosen: bool
    note: Text = ""


@dataclass
class Group:
    """The figures of one kind of record."""

    label: Text
    hue: str
    choices: list[Choice]


@dataclass
class Form:
    """All that can be asked, with what is."""

    rows: list[Choice]
    indicators: list[Group]
    splits: list[Choice]
    against: list[Choice]
    boundaries: list[Choice]
    presets: list[dict[str, Any]]
    may_be_left_out: list[left_out.Choice]
    picker: dict[str, Any]  # of the unit, for components/unit_picker.html; empty for who sees one unit only


def form_of(actor: Actor, pivot: Pivot) -> Form:
    today = month_of(timezone.localdate())
    return Form(
        rows=[Choice(rows, name, rows is pivot.rows) for rows, name in ROWS_NAMES.items()],
        indicators=[
            Group(
                kind.label_plural,
                kind.action.hue,
                [
                    Choice(
                        figure.code,
                        figure.label,
                        figure.code in pivot.indicators,
                        registry.measure_of(figure).label,
                    )
                    for figure in kind.declared
                ],
            )
            for kind in registry.kinds()
            if kind.declared
        ],
        splits=[Choice(split.code, split.label, split == pivot.split) for split in splits()],
        against=[Choice(against, name, against is pivot.against) for against, name in AGAINST_NAMES.items()],
        boundaries=[
            Choice(boundaries, name, boundaries is pivot.boundaries)
            for boundaries, name in BOUNDARIES_NAMES.items()
        ],
        presets=[
            {
                "label": label,
                "url": replace(pivot, period=period).address,
                "active": period == pivot.period,
            }
            for label, period in usual_periods(today)
        ],
        may_be_left_out=_may_be_left_out(pivot) if covers_below(actor, pivot.unit) else [],
        picker=_picker(pivot.unit) if actor.unit and covers_below(actor, actor.unit) else {},
    )


def _may_be_left_out(pivot: Pivot) -> list[left_out.Choice]:
    """What stands right below and is not left out yet."""
    below = Unit.objects.open().filter(parent=pivot.unit)
    return left_out.offered(below.exclude(pk__in=[unit.pk for unit in pivot.without]))


def _picker(unit: Unit) -> dict[str, Any]:
    widget = UnitPicker(f"{reverse('unit_search')}?scope=statistics")
    return {
        "search_url": widget.search_url,
        "chosen": [{"value": unit.code, "label": unit.name}],
        "control": widget.render("unit", unit.code, {"id": "pivot-unit", "class": "form-control"}),
    }
