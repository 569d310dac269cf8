"""Declaring that a unit did nothing of a kind in a month, and taking it back."""

from __future__ import annotations

import datetime as dt

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from programs.access import Actor
from programs.actions.audit import audit
from programs.models.record import PROGRAMME_BEGAN
from programs.models.unit import Unit, month_bounds, month_of
from programs.models.zero import ZeroReport
from programs.registry import RecordKind
from programs.roles import Permission


def declare_zero(*, by: Actor, unit: Unit, kind: RecordKind, month: dt.date) -> ZeroReport:
    """The standing zero of the unit, kind and month; declaring twice gives the same. ValidationError if it cannot be:
    the month is none of the programme's or the unit's, or the unit led a record of the kind in it."""
    if not by.covers(Permission.RECORD_WRITE, unit):
        raise PermissionDenied
    month = month_of(month)
    check_zero(unit, kind, month)
    if standing := _standing(unit, kind, month):
        return standing
    try:
        with transaction.atomic():
            zero = ZeroReport.objects.create(unit=unit, kind=kind.code, month=month, declared_by=by.user)
            audit(by=by, action=f"{kind.code}.declare_zero", obj=zero, unit=unit)
    except IntegrityError:
        # Somebody may have declared the same at this moment.
        if standing := _standing(unit, kind, month):
            return standing
        raise
    return zero


def withdraw_zero(*, by: Actor, zero: ZeroReport) -> None:
    """Take the declaration back: nothing is said of the month any more. Withdrawing twice changes nothing."""
    if not by.covers(Permission.RECORD_WRITE, zero.unit):
        raise PermissionDenied
    with transaction.atomic():
        standing = ZeroReport.objects.standing().filter(pk=zero.pk)
        if standing.update(withdrawn_by=by.user, withdrawn_at=timezone.now()):
            audit(by=by, action=f"{zero.kind}.withdraw_zero", obj=zero, unit=zero.unit)
    zero.refresh_from_db()


def _standing(unit: Unit, kind: RecordKind, month: dt.date) -> ZeroReport | None:
    return ZeroReport.objects.of(unit, kind.code, month).standing().select_related("unit").first()


def check_zero(unit: Unit, kind: RecordKind, month: dt.date) -> None:
    """ValidationError if there is no zero to declare."""
    if month > timezone.localdate():
        raise ValidationError(_("This month has not begun yet."), code="future")
    if month < PROGRAMME_BEGAN:
        raise ValidationError(
            _("The programme began in %(year)s; give a later month."),
            code="too_early",
            params={"year": PROGRAMME_BEGAN.year},
        )
    if not unit.was_open_in(month):
        raise ValidationError(
            _("%(unit)s was not open in %(month)s; nothing is due."),
            code="not_open",
            params={"unit": unit.name, "month": f"{month:%Y-%m}"},
        )
    led = kind.model.objects.present().filter(unit=unit)
    if led.filter(occurred_on__gte=month, occurred_on__lt=month_bounds(month)[1]).exists():
        raise ValidationError(
            _("%(unit)s logged records of this kind in %(month)s; that is no zero."),
            code="reported",
            params={"unit": unit.name, "month": f"{month:%Y-%m}"},
        )
