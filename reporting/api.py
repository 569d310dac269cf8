"""Figures and what they mean as JSON: what the pages show, read in the same way."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from programs import registry
from programs.access import get_unit_or_404, requires, units_for
from programs.api import paging
from programs.api.access import actor_of
from programs.api.errors import Invalid
from programs.api.schema import list_of, parameter, some_text
from programs.api.shapes import Schema, closed_object
from programs.boundaries import MOST_LEFT_OUT, Boundaries
from programs.models.unit import Unit
from programs.registry import Action, Measure, RecordKind, Suppressed, Value
from programs.roles import Permission
from reporting.dashboards import MONTH, PARAMETERS, WITHOUT, leave_out, question
from reporting.definitions import Definition, Split, definitions
from reporting.figures import Against, Figure, Figures, Period, Row, figures
from reporting.parts import around, bare_number, covers_below

TEXT: Schema = {"type": "string"}
# A number; null: there is no such figure; "<5" or "*": it is not shown, so that nobody is recognised.
SHOWN: Schema = {
    "anyOf": [{"type": ["number", "null"]}, {"type": "string", "enum": [str(s) for s in Suppressed]}]
}
MONTH_NAMED: Schema = {"type": "string", "pattern": f"^{MONTH.pattern}$"}
AGAINST: Schema = {"type": "string", "enum": list(Against)}
BOUNDARIES: Schema = {"type": "string", "enum": list(Boundaries)}
UNIT = closed_object({"code": TEXT, "name": TEXT})
LABELLED = closed_object({"code": TEXT, "label": TEXT})
MEASURE = closed_object(
    {"code": {"type": "string", "enum": [measure.code for measure in Measure]}, "label": TEXT}
)
FIGURE = closed_object(
    {
        "indicator": TEXT,
        "label": TEXT,
        "measure": MEASURE,
        "additive": {"type": "boolean"},
        "derived": {"type": "boolean"},
        "value": SHOWN,
        "joint": SHOWN,
        "before": SHOWN,
        "by_month": list_of(SHOWN),
    }
)
PART = closed_object(
    {
        "unit": UNIT,
        "itself": {"type": "boolean"},
        "values": {"type": "object", "additionalProperties": SHOWN},
    }
)
ANSWER = closed_object(
    {
        "unit": UNIT,
        "from": MONTH_NAMED,
        "to": MONTH_NAMED,
        "compared_with": closed_object({"from": MONTH_NAMED, "to": MONTH_NAMED}),
        "boundaries": BOUNDARIES,
        "whole": {"type": "boolean"},
        "without": list_of(UNIT),
        "as_of": {"type": ["string", "null"], "format": "date-time"},
        "figures": list_of(FIGURE),
        "parts": list_of(PART),
    },
    description=_(
        "Figures of the months, each in the boundaries of its time. `whole`: of the unit and what lies below it, and"
        " `parts` that add up to them; otherwise of the unit itself. `joint` counts records led by others, apart."
        " `without`: what these units, and those below them, led is left out; then `joint` is null."
        " `as_of`: what was saved before is in the figures."
    ),
)
PART_OF_SPLIT = closed_object({"code": TEXT, "value": TEXT, "label": TEXT})
DEFINITION = closed_object(
    {
        "code": TEXT,
        "label": TEXT,
        "description": TEXT,
        "action": LABELLED,
        "kind": LABELLED,
        "measure": MEASURE,
        "derived": {"type": "boolean"},
        "counted": TEXT,
        "condition": TEXT,
        "made_of": list_of(TEXT),
        "splits": list_of(closed_object({"field": TEXT, "label": TEXT, "parts": list_of(PART_OF_SPLIT)})),
        "additive": {"type": "boolean"},
        "owner": TEXT,
    },
    description=_(
        "One indicator or derived figure. `counted`: what is counted, or the formula of a derived figure, which is"
        " `made_of` others. `condition`: which records count; empty for all of the kind. `additive`: whether figures"
        " of units and months may be added up. Parts of a split are figures of their own, each with its code."
    ),
)


class FiguresView(APIView):
    http_method_names = ["get", "head"]

    @extend_schema(
        operation_id="figures",
        tags=["figures"],
        summary=_("Read the figures of a unit"),
        parameters=[
            parameter(
                "code", {"type": "string", "pattern": "^[0-9A-Z-]{1,20}$"}, place=OpenApiParameter.PATH
            ),
            parameter("from", MONTH_NAMED, _("First month; else January.")),
            parameter("to", MONTH_NAMED, _("Last month; else December, or the present month.")),
            parameter(
                "indicator",
                {"type": "string", "enum": [figure.code for figure in registry.declared()]},
                _("This indicator alone, with its parts by setting, series and the like."),
            ),
            parameter(
                "against",
                AGAINST,
                _("Compare with the same months a year before, or with those right before."),
            ),
            parameter(
                "boundaries", BOUNDARIES, _("Each month in the boundaries of its time, or in today's.")
            ),
            parameter(
                WITHOUT,
                {"type": "array", "items": some_text(20), "maxItems": MOST_LEFT_OUT},
                _("Codes of units below: what they, and those below them, led is left out."),
            ),
        ],
        responses={200: ANSWER},
    )
    @requires(Permission.STATISTICS_VIEW)
    def get(self, request: Request, code: str) -> Response:
        actor = actor_of(request)
        unit = get_unit_or_404(actor, Permission.STATISTICS_VIEW, code=code)
        given = paging.query(request, {*PARAMETERS, WITHOUT}, {WITHOUT})
        asked = question(given)
        leave_out(asked, unit, given.get(WITHOUT, ()), units_for(actor, Permission.STATISTICS_VIEW))
        if asked.problems:
            raise Invalid({name: [message] for name, message in asked.problems.items()})
        whole = covers_below(actor, unit)
        found = figures(
            unit,
            asked.period.first,
            asked.period.last,
            registry.with_parts(asked.indicator) if asked.indicator else None,
            whole=whole,
            below=around(unit)[1] if whole else (),
            against=asked.against,
            boundaries=asked.boundaries,
            without=asked.without,
            reader=actor.unit,
        )
        return Response(as_json(found))


class IndicatorsView(APIView):
    http_method_names = ["get", "head"]

    @extend_schema(
        operation_id="indicators",
        tags=["figures"],
        summary=_("Read what every figure means"),
        responses={200: closed_object({"results": list_of(DEFINITION)})},
    )
    @requires(Permission.STATISTICS_VIEW)
    def get(self, request: Request) -> Response:
        paging.query(request, ())
        return Response({"results": [_definition(found) for found in definitions()]})


def as_json(found: Figures) -> dict[str, Any]:
    return {
        "unit": _unit(found.unit),
        **_months(found.period),
        "compared_with": _months(found.before),
        "boundaries": found.boundaries,
        "whole": found.whole,
        "without": [_unit(unit) for unit in found.without],
        "as_of": found.as_of,
        "figures": [_figure(figure) for figure in found.figures],
        "parts": [_part(row) for row in found.rows],
    }


def _months(period: Period) -> dict[str, str]:
    return {"from": f"{period.first:%Y-%m}", "to": f"{period.last:%Y-%m}"}


def _figure(figure: Figure) -> dict[str, Any]:
    return {
        "indicator": figure.code,
        "label": str(figure.kind.name_of(figure.indicator)),
        "measure": _labelled(figure.measure),
        "additive": figure.indicator.additive,
        "derived": figure.is_derived,
        "value": _number(figure.value),
        "joint": _number(figure.joint),
        "before": _number(figure.before),
        "by_month": [_number(value) for value in figure.by_month],
    }


def _part(row: Row) -> dict[str, Any]:
    values = {code: _number(value) for code, value in row.values.items()}
    return {"unit": _unit(row.unit), "itself": row.is_own, "values": values}


def _unit(unit: Unit) -> dict[str, str]:
    return {"code": unit.code, "name": unit.name}


def _number(value: Value) -> int | float | str | None:
    return str(value) if isinstance(value, Suppressed) else bare_number(value)


def _definition(found: Definition) -> dict[str, Any]:
    return {
        "code": found.figure.code,
        "label": str(found.figure.label),
        "description": str(found.figure.description),
        "action": _labelled(found.kind.action),
        "kind": _labelled(found.kind),
        "measure": _labelled(found.measure),
        "derived": found.is_derived,
        "counted": found.counted,
        "condition": found.condition,
        "made_of": [indicator.code for indicator in found.made_of],
        "splits": [_split(split) for split in found.splits],
        "additive": found.figure.additive,
        "owner": found.owner,
    }


def _split(split: Split) -> dict[str, Any]:
    parts = [{"code": part.code, "value": str(part.value), "label": str(part.label)} for part in split.parts]
    return {"field": split.field, "label": str(split.label), "parts": parts}


def _labelled(thing: Action | Measure | RecordKind) -> dict[str, str]:
    return {"code": thing.code, "label": str(thing.label)}
