"""What of a record a person may read: values are masked here, before they reach a page, the API or a file."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from programs import registry
from programs.access import Actor
from programs.field_classes import C3, FieldClass, Mask, class_of, mask_of
from programs.models.audit import Reveal
from programs.models.record import Record
from programs.roles import Disclosure, Permission
from programs.text import check_text

REVEAL_MINUTES = 30
REASON_LENGTH = 10
WITHHELD = "—"
HIDDEN = "***"


def disclosure_of(field: Any, actor: Actor, record: Record | None = None) -> Disclosure:
    """How `actor` reads this field; with `record`, an open reveal of it counts."""
    return disclosure_of_class(class_of(field), actor, record)


def disclosure_of_class(field_class: FieldClass, actor: Actor, record: Record | None = None) -> Disclosure:
    disclosure = actor.disclosure(field_class)
    # A reveal opens what a role sees masked with a reason (C3), never what it may see masked only.
    if record is None or disclosure is not Disclosure.MASKED or field_class != C3:
        return disclosure
    opened = actor.covers(Permission.RECORD_REVEAL, record.unit) and is_revealed(record, actor)
    return Disclosure.CLEAR if opened else disclosure


def disclose(record: Record, name: str, actor: Actor) -> Any:
    """The field's value as `actor` may read it: itself, masked text, or the sign for withheld."""
    field = record._meta.get_field(name)
    return read_as(field, getattr(record, name), disclosure_of(field, actor, record))


def read_as(field: Any, value: Any, disclosure: Disclosure) -> Any:
    """A value of this field, disclosed that way."""
    if disclosure is Disclosure.CLEAR:
        return value
    if disclosure is Disclosure.WITHHELD:
        return WITHHELD
    return masked(str(value), mask_of(field)) if value not in (None, "") else ""


def masked(text: str, mask: Mask) -> str:
    match mask:
        case Mask.NAME:
            return text[:1] + "*" * max(1, len(text) - 1)
        case Mask.PHONE:
            return f"{text[:3]}****{text[-4:]}" if len(text) >= 11 else "****"
        case Mask.ID_NUMBER:
            return f"{text[:3]}{'*' * 11}{text[-4:]}" if len(text) >= 15 else HIDDEN
        case Mask.HIDDEN:
            return HIDDEN


def may_use_in_query(field: Any, actor: Actor) -> bool:
    """Sorting, filtering and searching by a field one cannot read would tell its values all the same."""
    return actor.disclosure(class_of(field)) is Disclosure.CLEAR


def reveal(*, by: Actor, record: Record, reason: str) -> None:
    """Open one record's masked fields to `by` for 30 minutes. The audit row commits with it, before any answer."""
    from programs.actions.audit import audit

    if not by.covers(Permission.RECORD_REVEAL, record.unit):
        raise PermissionDenied
    reason = reason.strip()
    check_text(reason)
    if len(reason) < REASON_LENGTH:
        raise ValidationError(
            _("Give a reason of at least %(count)d characters."),
            code="short",
            params={"count": REASON_LENGTH},
        )
    now = timezone.now()
    with transaction.atomic():
        Reveal.objects.create(
            user_id=by.user.pk,
            object_type=record._meta.label_lower,
            object_pk=record.pk,
            reason=reason[:500],
            at=now,
            expires_at=now + dt.timedelta(minutes=REVEAL_MINUTES),
        )
        audit(
            by=by,
            action=f"{registry.kind_of(record).code}.reveal",
            obj=record,
            unit=record.unit,
            reason=reason,
        )
    by.cache.clear()


def is_revealed(record: Record, actor: Actor) -> bool:
    """Whether an unexpired reveal of this record by this person stands. One query a request and kind."""
    key = f"reveals:{record._meta.label_lower}"
    if key not in actor.cache:
        actor.cache[key] = set(
            Reveal.objects.filter(
                user_id=actor.user.pk, object_type=record._meta.label_lower, expires_at__gt=timezone.now()
            ).values_list("object_pk", flat=True)
        )
    return record.pk in actor.cache[key]


def can_reveal(record: Record, actor: Actor) -> bool:
    """Whether a reveal would show something more."""
    return (
        actor.covers(Permission.RECORD_REVEAL, record.unit)
        and actor.disclosure(C3) is Disclosure.MASKED
        and any(class_of(field) == C3 for field in record._meta.concrete_fields)
        and not is_revealed(record, actor)
    )
