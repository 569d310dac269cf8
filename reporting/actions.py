"""The writes that belong to reporting: the tables that people keep."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction

from programs.access import Actor
from programs.actions.audit import audit, changes_of
from programs.roles import Permission
from reporting.models import SavedPivot


class NameTaken(Exception):
    """The owner keeps another table under this name."""


def save_pivot(
    *, by: Actor, name: str, query: str, shared: bool = False, replace: bool = False
) -> SavedPivot:
    """Keep a table for its maker, in the name of the unit they act for.

    `query` is the canonical text of a question (reporting.pivot.Pivot.query). NameTaken if they keep one of this name
    already, unless it is to be replaced.
    """
    if by.unit is None or not by.may(Permission.STATISTICS_VIEW):
        raise PermissionDenied
    try:
        with transaction.atomic():
            saved = SavedPivot.objects.select_for_update().filter(owner=by.user, name=name).first()
            if saved and not replace:
                raise NameTaken
            before = _said_by(saved) if saved else {}
            saved = saved or SavedPivot(owner=by.user, name=name)
            saved.query, saved.shared, saved.unit = query, shared, by.unit
            saved.save()
            audit(
                by=by,
                action="statistics.save",
                obj=saved,
                changes=changes_of(saved, before, _said_by(saved)),
            )
    except IntegrityError:  # sent twice at the same time
        raise NameTaken from None
    return saved


def remove_pivot(*, by: Actor, saved: SavedPivot) -> None:
    """Only its owner removes a table."""
    if saved.owner_id != by.user.pk:
        raise PermissionDenied
    with transaction.atomic():
        audit(by=by, action="statistics.remove", obj=saved, changes=changes_of(saved, _said_by(saved), {}))
        saved.delete()


def _said_by(saved: SavedPivot) -> dict[str, Any]:
    return {"name": saved.name, "query": saved.query, "shared": saved.shared}
