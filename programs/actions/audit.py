"""Writing the audit log."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

from django.db.models import Model
from django.utils.functional import Promise

from programs.access import Actor
from programs.field_classes import C2, class_of
from programs.models.audit import AuditEvent
from programs.models.unit import Unit

Changes = dict[str, list[Any] | None]


def audit(
    *,
    by: Actor | None,
    action: str,
    obj: Model | None = None,
    unit: Unit | None = None,
    changes: Changes | None = None,
    reason: str = "",
    outcome: str = AuditEvent.Outcome.DONE,
    **more: Any,
) -> AuditEvent:
    """Append one event. Call it inside the transaction of what it records: both commit, or neither."""
    event = event_of(
        by=by, action=action, obj=obj, unit=unit, changes=changes, reason=reason, outcome=outcome, **more
    )
    event.save(force_insert=True)
    return event


def event_of(
    *,
    by: Actor | None,
    action: str,
    obj: Model | None = None,
    unit: Unit | None = None,
    changes: Changes | None = None,
    reason: str = "",
    outcome: str = AuditEvent.Outcome.DONE,
    **more: Any,
) -> AuditEvent:
    """The event without writing it, for those who append many at once (`AuditEvent.objects.bulk_create`)."""
    unit = unit or (by.unit if by else None)
    return AuditEvent(
        actor_id=by.user.pk if by else None,
        actor_name=f"{by.user.name} ({by.user.username})" if by else "",
        role=",".join(grant.role for grant in by.grants) if by else "",
        grant_id=by.grants[0].pk if by and by.grants else None,
        acting_unit_id=by.unit.pk if by and by.unit else None,
        action=action,
        object_type=obj._meta.label_lower if obj else "",
        object_pk=str(obj.pk) if obj else "",
        object_label=_label(obj),
        unit_id=unit.pk if unit else None,
        unit_path=unit.path if unit else "",
        unit_name=unit.name if unit else "",
        changes=changes or {},
        reason=reason[:500],
        outcome=outcome,
        ip=by.ip if by else more.pop("ip", None),
        request_id=by.request_id if by else more.pop("request_id", ""),
        **more,
    )


def note_denial(by: Actor, action: str, obj: Model | None = None, unit: Unit | None = None) -> None:
    """A refusal leaves a trace of its own, outside any transaction that the refusal ends."""
    audit(by=by, action=action[:50], obj=obj, unit=unit, outcome=AuditEvent.Outcome.DENIED)


def changes_of(obj: Model, before: dict[str, Any], after: dict[str, Any]) -> Changes:
    """The fields that differ, with both values for C0–C2 and the bare name for C3 and C4."""
    changes: Changes = {}
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        readable = class_of(obj._meta.get_field(name)) <= C2
        changes[name] = [_plain(old), _plain(new)] if readable else None
    return changes


def _label(obj: Model | None) -> str:
    """The object's own words, unless they come from a field that the log may not repeat."""
    if obj is None:
        return ""
    from programs import registry
    from programs.models.record import Record

    if isinstance(obj, Record):
        kind = registry.kind_of(obj)
        return str(getattr(obj, kind.title))[:120] if class_of(kind.field(kind.title)) <= C2 else ""
    return str(obj)[:120]


def _plain(value: Any) -> Any:
    """A value as JSON can hold it."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Decimal | dt.date | dt.datetime | Promise):
        return str(value)
    if isinstance(value, Model):
        return str(value)
    if isinstance(value, list | tuple | set):
        return [_plain(item) for item in value]
    return str(value)
