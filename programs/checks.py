"""System checks: a record's field without a class, a setting that names a role which does not exist."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from programs import registry
from programs.roles import ROLES


@register("kinds")
def check_field_classes(**kwargs: Any) -> list[CheckMessage]:
    return [
        Error(
            f"The field '{field.name}' declares no class.",
            hint="Wrap it: classed(C1, models.CharField(...)). See programs/field_classes.py.",
            obj=kind.model,
            id="programs.E001",
        )
        for kind in registry.kinds()
        for field in (*kind.model._meta.concrete_fields, *kind.model._meta.many_to_many)
        if not field.primary_key and not hasattr(field, "field_class")
    ]


@register("kinds")
def check_derived_figures(**kwargs: Any) -> list[CheckMessage]:
    return [Error(problem, id="programs.E003") for problem in registry.problems_of_derived()]


@register("roles")
def check_two_factor_roles(**kwargs: Any) -> list[CheckMessage]:
    """A misspelt role would sign in without its second factor, and nobody would notice."""
    return [
        Error(
            f"TWO_FACTOR_REQUIRED_ROLES names '{code}', and there is no such role.",
            hint=f"The roles are: {', '.join(ROLES)}.",
            id="programs.E002",
        )
        for code in settings.TWO_FACTOR_REQUIRED_ROLES
        if code not in ROLES
    ]
