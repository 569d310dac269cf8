"""Values for a record of any kind, read off its model, so that a new kind needs no factory."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

from django.db import models

from programs.registry import RecordKind

# Fields whose rule ties them to another field of the same kind.
FIXED: dict[str, dict[str, Any]] = {
    "activities": {"series": "six_ones", "festival": ""},
    "visits": {"number": ""},  # one may stand once
}
# What stands in a record at the end of its life, so that no figure of it is nothing.
ENDED: dict[str, dict[str, Any]] = {
    "opinions": {
        "state": "closed",
        "outcome": "solved",
        "answered_on": dt.date(2026, 3, 9),
        "days_to_answer": 4,
        "on_time": True,
        "satisfaction": "satisfied",
    },
}
# Fields that a form fills in where they were left open.
GIVEN = {"visits": ["number"]}


def sample_values(kind: RecordKind) -> dict[str, Any]:
    """A valid value for every field that a person fills in, `unit` and joint units apart."""
    values = {
        field.name: _value(field)
        for field in kind.model._meta.concrete_fields
        if field.editable and not field.primary_key and field.name != "unit"
    }
    return {**values, **FIXED.get(kind.code, {})}


def _value(field: Any) -> Any:
    if field.choices:
        return field.choices[0][0]
    if isinstance(field, models.DateField):
        return dt.date(2026, 3, 5)
    if isinstance(field, models.DecimalField):
        return Decimal("1.50")
    if isinstance(field, models.IntegerField):
        return 12
    if isinstance(field, models.BooleanField):
        return False
    return f"样例{field.name}"[: field.max_length]
