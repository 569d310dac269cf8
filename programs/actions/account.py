"""What people do with their own account."""

from __future__ import annotations

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import F

from programs import second_factor
from programs.access import Actor
from programs.actions.audit import audit, changes_of
from programs.models.people import User


def change_password(*, by: Actor, password: str) -> None:
    """Set one's own password, which was checked by the form; every other session ends with the old one."""
    user = by.user
    with transaction.atomic():
        user.set_password(password)
        user.must_change_password = False
        user.save(update_fields=["password", "must_change_password"])
        audit(by=by, action="account.password", obj=user)


def choose_language(*, by: Actor, language: str) -> None:
    user = by.user
    if user.language == language:
        return
    with transaction.atomic():
        changes = changes_of(user, {"language": user.language}, {"language": language})
        User.objects.filter(pk=user.pk).update(language=language)
        audit(by=by, action="account.language", obj=user, changes=changes)
    user.language = language


def set_up_second_factor(*, by: Actor, key: str, step: int) -> list[str]:
    """Switch the second factor on, after a code of time step `step` proved that the key arrived. Recovery codes.

    Sessions that were opened without it end; the caller keeps its own.
    """
    with transaction.atomic():
        User.objects.select_for_update().get(pk=by.user.pk)  # two at once would leave two devices
        codes = second_factor.set_up(by.user, key, step)
        raise_epoch(by.user)
        audit(by=by, action="account.second_factor_on", obj=by.user)
    return codes


def renew_recovery_codes(*, by: Actor) -> list[str]:
    with transaction.atomic():
        codes = second_factor.new_recovery_codes(by.user)
        audit(by=by, action="account.recovery_codes", obj=by.user)
    return codes


def switch_off_second_factor(*, by: Actor) -> None:
    if second_factor.is_required(by):
        raise PermissionDenied
    with transaction.atomic():
        second_factor.take_away(by.user)
        audit(by=by, action="account.second_factor_off", obj=by.user)


def raise_epoch(user: User) -> None:
    """End every session of the person. Part of the transaction of whatever is the reason."""
    User.objects.filter(pk=user.pk).update(session_epoch=F("session_epoch") + 1)
    user.session_epoch = User.objects.values_list("session_epoch", flat=True).get(pk=user.pk)
