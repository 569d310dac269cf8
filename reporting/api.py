"""The figures of a unit as JSON: what its page shows, read in the same way."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from programs import registry
from programs.access import get_unit_or_404, requires
from programs.api import paging
from programs.api.access import actor_of
from programs.api.errors import Invalid
from programs.api.schema import list_of, parameter
from programs.api.shapes import Schema, closed_object
from programs.models.unit import Unit
from programs.registry import Measure
from programs.roles import Permission
from reporting.dashboards import MONTH, PARAMETERS, around, covers_below, question
from reporting.figures import Figure, Figures, Row, figures

TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
MONTH_NAMED: Schema = {"type": "string", "pattern": f"^{MONTH.pattern}$"}
UNIT = closed_object({"code": TEXT, "name": TEXT})
FIGURE = closed_object(
    {
        "indicator": TEXT,
        "label": TEXT,
        "measure": closed_object(
            {"code": {"type": "string", "enum": [measure.code for measure in Measure]}, "label": TEXT}
        ),
        "additive": {"type": "boolean"},
        "value": NUMBER,
        "joint": NUMBER,
        "year_before": NUMBER,
        "by_month": list_of(NUMBER),
    }
)
PART = closed_object(
    {
        "unit": UNIT,
        "itself": {"type": "boolean"},
        "values": {"type": "object", "additionalProperties": {"type": ["number", "null"]}},
    }
)
ANSWER = closed_object(
    {
        "unit": UNIT,
        "from": MONTH_NAMED,
        "to": MONTH_NAMED,
        "whole": {"type": "boolean"},
        "as_of": {"type": ["string", "null"], "format": "date-time"},
        "figures": list_of(FIGURE),
        "parts": list_of(PART),
    },
    description=_(
        "Figures of the months, each in the boundaries of its time. `whole`: of the unit and what lies below it, and"
        " `parts` that add up to them; otherwise of the unit itself. `joint` counts records led by others, apart."
        " `as_of`: what was saved before is in the figures."
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
                {"type": "string", "enum": [indicator.code for indicator in registry.indicators()]},
                _("This indicator alone."),
            ),
        ],
        responses={200: ANSWER},
    )
    @requires(Permission.STATISTICS_VIEW)
    def get(self, request: Request, code: str) -> Response:
        actor = actor_of(request)
        unit = get_unit_or_404(actor, Permission.STATISTICS_VIEW, code=code)
        asked = question(paging.query(request, PARAMETERS))
        if asked.problems:
            raise Invalid({name: [message] for name, message in asked.problems.items()})
        whole = covers_below(actor, unit)
        found = figures(
            unit,
            asked.period.first,
            asked.period.last,
            [asked.indicator] if asked.indicator else None,
            whole=whole,
            below=around(unit)[1] if whole else (),
        )
        return Response(as_json(found))


def as_json(found: Figures) -> dict[str, Any]:
    return {
        "unit": _unit(found.unit),
        "from": f"{found.period.first:%Y-%m}",
        "to": f"{found.period.last:%Y-%m}",
        "whole": found.whole,
        "as_of": found.as_of,
        "figures": [_figure(figure) for figure in found.figures],
        "parts": [_part(row) for row in found.rows],
    }


def _figure(figure: Figure) -> dict[str, Any]:
    indicator = figure.indicator
    return {
        "indicator": indicator.code,
        "label": str(indicator.label),
        "measure": {"code": indicator.measure.code, "label": str(indicator.measure.label)},
        "additive": indicator.additive,
        "value": _number(figure.value),
        "joint": _number(figure.joint),
        "year_before": _number(figure.before),
        "by_month": [_number(value) for value in figure.by_month],
    }


def _part(row: Row) -> dict[str, Any]:
    values = {code: None if value is None else _number(value) for code, value in row.values.items()}
    return {"unit": _unit(row.unit), "itself": row.is_own, "values": values}


def _unit(unit: Unit) -> dict[str, str]:
    return {"code": unit.code, "name": unit.name}


def _number(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)
