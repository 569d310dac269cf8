"""Showing an answer in the open, and taking it back."""

from __future__ import annotations

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from outreach.models.opinion import Opinion
from outreach.tracking import ANSWERED
from programs import registry
from programs.access import Actor
from programs.actions.audit import audit
from programs.actions.records import EditConflict
from programs.roles import Permission


def release(*, by: Actor, opinion: Opinion, version: int) -> None:
    """Subject and answer may be read by everybody from now on. `version`: what the person looked at while deciding.

    Whatever changes the answer has to take the release back: what was released is this answer, no later one.
    """
    if opinion.state not in ANSWERED or not opinion.answer.strip():
        raise ValidationError(_("Only an answer that was given can be released."), code="no_answer")
    _set(by, opinion, version, is_released=True)


def withdraw(*, by: Actor, opinion: Opinion, version: int) -> None:
    _set(by, opinion, version, is_released=False)


def _set(by: Actor, opinion: Opinion, version: int, *, is_released: bool) -> None:
    if not by.covers(Permission.RECORD_WRITE, opinion.unit):
        raise PermissionDenied
    with transaction.atomic():
        # The conditional update is the lock: nobody releases an answer that they have not seen.
        found = Opinion.objects.present().filter(pk=opinion.pk, version=version)
        changed = found.exclude(is_released=is_released).update(
            is_released=is_released,
            version=F("version") + 1,
            updated_by=by.user,
            updated_at=timezone.now(),
        )
        opinion.refresh_from_db()
        if not changed:
            if opinion.is_released is is_released:
                return  # the same button twice
            raise EditConflict(opinion)
        audit(
            by=by,
            action=f"{registry.kind_of(opinion).code}.{'release' if is_released else 'withdraw'}",
            obj=opinion,
            unit=opinion.unit,
            changes={"is_released": [not is_released, is_released]},
        )
