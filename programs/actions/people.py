"""Accounts and grants. Whoever keeps accounts reads no content by it, and nobody changes what they may do themselves.

`by` None stands for set-up from the command line.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from programs import lockout, second_factor
from programs.access import Actor, people_for
from programs.actions.account import raise_epoch
from programs.actions.audit import audit, changes_of
from programs.models.people import Grant, User
from programs.models.unit import COMMUNITY_KINDS, STREET_KINDS, Unit, UnitKind
from programs.roles import ROLES, Permission, Reach
from programs.text import check_text

# How far ahead a grant may begin, and end.
LATEST_START = dt.timedelta(days=366)
LONGEST = dt.timedelta(days=366 * 10)
CONTACT = ("name", "phone", "email")


def create_user(
    *,
    by: Actor | None,
    username: str,
    name: str,
    role: str,
    unit: Unit,
    phone: str = "",
    email: str = "",
    valid_from: dt.date | None = None,
    valid_to: dt.date | None = None,
    include_descendants: bool | None = None,
) -> tuple[User, str]:
    """A new account with its first grant, and the password to hand over: it must be changed at the first sign-in.

    An account begins with a grant, so that it is clear from the first day whose administrator keeps it.
    ValidationError by field; of two who take one name at the same time, one gets it.
    """
    password = second_factor.random_code(groups=3)
    user = User(
        username=User.normalize_username(username),
        name=name,
        phone=phone,
        email=email,
        must_change_password=True,
    )
    user.set_password(password)
    _check(user, ("username", *CONTACT))
    if User.objects.filter(username__iexact=user.username).exists():
        raise _name_taken()
    try:
        with transaction.atomic():
            user.save(force_insert=True)
            values = {field: getattr(user, field) for field in ("username", *CONTACT)}
            audit(by=by, action="person.create", obj=user, unit=unit, changes=changes_of(user, {}, values))
            grant = _new_grant(by, user, role, unit, valid_from, valid_to, include_descendants)
            _insert(by, grant)
    except IntegrityError as error:
        raise _name_taken() from error
    return user, password


def change_user(*, by: Actor, user: User, name: str, phone: str = "", email: str = "") -> User:
    """Change name and contact. Nothing is written if nothing differs."""
    _check_keeps(by, user)
    with transaction.atomic():
        user = User.objects.select_for_update().get(pk=user.pk)
        before = {field: getattr(user, field) for field in CONTACT}
        user.name, user.phone, user.email = name, phone, email
        _check(user)
        changes = changes_of(user, before, {field: getattr(user, field) for field in CONTACT})
        if changes:
            user.save(update_fields=CONTACT)
            audit(by=by, action="person.change", obj=user, unit=home_of(user), changes=changes)
    return user


def set_active(*, by: Actor, user: User, active: bool) -> None:
    """Close or reopen an account. Closing ends its sessions, for good."""
    _check_keeps_another(by, user)
    with transaction.atomic():
        found = User.objects.filter(pk=user.pk, is_active=not active)
        if found.update(is_active=active, session_epoch=F("session_epoch") + 1):
            action = "person.reactivate" if active else "person.deactivate"
            audit(by=by, action=action, obj=user, unit=home_of(user))
    user.refresh_from_db()


def reset_password(*, by: Actor, user: User) -> str:
    """A new password to hand over, to be changed at the next sign-in; sessions end, a lock opens.

    The second factor stays: the new password alone opens nothing that has one.
    """
    _check_keeps_another(by, user)
    password = second_factor.random_code(groups=3)
    with transaction.atomic():
        user.set_password(password)
        user.must_change_password = True
        user.save(update_fields=["password", "must_change_password"])
        raise_epoch(user)
        lockout.unlock(user.username)
        audit(by=by, action="person.reset_password", obj=user, unit=home_of(user))
    return password


def reset_second_factor(*, by: Actor, user: User) -> None:
    """Take the second factor away, for somebody who lost telephone and recovery codes; sessions end."""
    _check_keeps_another(by, user)
    with transaction.atomic():
        second_factor.take_away(user)
        raise_epoch(user)
        audit(by=by, action="person.reset_second_factor", obj=user, unit=home_of(user))


def unlock(*, by: Actor, user: User) -> None:
    """Open the lock that wrong passwords closed."""
    _check_keeps_another(by, user)
    with transaction.atomic():
        lockout.unlock(user.username)
        audit(by=by, action="person.unlock", obj=user, unit=home_of(user))


def end_sessions(*, by: Actor, user: User) -> None:
    """Sign the person out everywhere, as they ask themselves or their administrator does for them."""
    if by.user.pk != user.pk:
        _check_keeps(by, user)
    with transaction.atomic():
        raise_epoch(user)
        audit(by=by, action="person.end_sessions", obj=user, unit=home_of(user))


# Grants


def grant_role(
    *,
    by: Actor | None,
    user: User,
    role: str,
    unit: Unit,
    valid_from: dt.date | None = None,
    valid_to: dt.date | None = None,
    include_descendants: bool | None = None,
) -> Grant:
    """Give `user` a role at a unit from a day (today) through another (open). ValidationError by field."""
    if by is not None:
        _check_keeps_another(by, user)
    with transaction.atomic():
        # Grants of one person are given one after another, so that two at a time cannot contradict each other.
        user = User.objects.select_for_update().get(pk=user.pk)
        grant = _new_grant(by, user, role, unit, valid_from, valid_to, include_descendants)
        return _insert(by, grant)


def revoke_grant(*, by: Actor, grant: Grant, reason: str = "") -> None:
    """Take the role away from now on; it bites on the person's next request. Revoking twice changes nothing."""
    _check_keeps_another(by, grant.user)
    if not by.covers(Permission.PEOPLE_MANAGE, grant.unit):
        raise PermissionDenied
    check_text(reason)
    with transaction.atomic():
        if Grant.objects.filter(pk=grant.pk, revoked_at=None).update(revoked_at=timezone.now()):
            audit(
                by=by,
                action="person.revoke",
                obj=grant.user,
                unit=grant.unit,
                changes=_facts(grant, gone=True),
                reason=reason,
            )
    grant.refresh_from_db()


def _new_grant(
    by: Actor | None,
    user: User,
    role: str,
    unit: Unit,
    valid_from: dt.date | None,
    valid_to: dt.date | None,
    include_descendants: bool | None,
) -> Grant:
    """The grant, checked against every rule but the database's own."""
    if role not in ROLES:
        raise ValidationError({"role": _("There is no such role.")}, code="unknown")
    grant = Grant(
        user=user,
        role=role,
        unit=unit,
        include_descendants=(
            ROLES[role].with_descendants if include_descendants is None else include_descendants
        ),
        valid_from=valid_from or timezone.localdate(),
        valid_to=valid_to,
        granted_by=by.user if by else None,
    )
    if by is not None and not _may_grant(by, grant):
        raise PermissionDenied
    _check_dates(grant)
    _check_place(grant)
    _check_other_grants(grant)
    return grant


def _insert(by: Actor | None, grant: Grant) -> Grant:
    try:
        with transaction.atomic():
            grant.save(force_insert=True)
    except IntegrityError as error:
        raise _held_already() from error
    audit(by=by, action="person.grant", obj=grant.user, unit=grant.unit, changes=_facts(grant))
    return grant


def _may_grant(by: Actor, grant: Grant) -> bool:
    """Nobody grants beyond their own scope: what reaches below a unit comes from somebody who does."""
    for home, reach in by.reaches(Permission.PEOPLE_MANAGE):
        if reach is Reach.OWN:
            if home.pk == grant.unit_id and not grant.include_descendants:
                return True
        elif home.contains(grant.unit):
            return True
    return False


def _check_dates(grant: Grant) -> None:
    today = timezone.localdate()
    if grant.valid_from < today:
        raise ValidationError({"valid_from": _("A grant cannot begin in the past.")}, code="past")
    if grant.valid_from > today + LATEST_START:
        raise ValidationError({"valid_from": _("A grant begins within a year from today.")}, code="late")
    if grant.valid_to is None:
        return
    if grant.valid_to < grant.valid_from:
        raise ValidationError({"valid_to": _("A grant cannot end before it begins.")}, code="order")
    if grant.valid_to > grant.valid_from + LONGEST:
        raise ValidationError(
            {"valid_to": _("A grant ends within ten years, or is left without an end.")}, code="long"
        )


def _check_place(grant: Grant) -> None:
    unit = grant.unit
    if not unit.is_open:
        raise ValidationError({"unit": _("This unit is closed.")}, code="closed")
    match grant.role:
        case "leader" | "office" | "auditor" | "administrator":
            fits, sentence = unit.kind == UnitKind.DISTRICT, _("This role is held at a district.")
        case "street_officer":
            fits, sentence = unit.kind in STREET_KINDS, _("This role is held at a street, town or zone.")
        case "community_officer":
            fits, sentence = unit.kind in COMMUNITY_KINDS, _("This role is held at a community or village.")
        case "unit_officer":
            fits = not unit.is_territorial
            sentence = _("This role is held at a department, school, enterprise or other body.")
        case _:
            fits, sentence = True, ""
    if not fits:
        raise ValidationError({"unit": sentence}, code="misfit")


def _check_other_grants(grant: Grant) -> None:
    """Duties exclude one another, and a role is held once, at any one time."""
    until_after_start = Q(valid_to=None) | Q(valid_to__gte=grant.valid_from)
    others = Grant.objects.filter(until_after_start, user=grant.user, revoked_at=None)
    if grant.valid_to is not None:
        others = others.filter(valid_from__lte=grant.valid_to)
    for other in others:
        if other.role_class.duty is not grant.role_class.duty:
            raise ValidationError(
                {
                    "role": _(
                        "This person holds the role “%(role)s” at the same time. "
                        "Whoever works in the programme, audits it or keeps its accounts does only that."
                    )
                    % {"role": other.role_class.label}
                },
                code="separation",
            )
        if (other.role, other.unit_id) == (grant.role, grant.unit_id):
            raise _held_already()


def _facts(grant: Grant, gone: bool = False) -> dict[str, Any]:
    """What was granted, as changes of an audit event."""
    values = {
        "role": grant.role,
        "unit": grant.unit.code,
        "include_descendants": grant.include_descendants,
        "valid_from": str(grant.valid_from),
        "valid_to": str(grant.valid_to) if grant.valid_to else None,
    }
    return {name: [value, None] if gone else [None, value] for name, value in values.items()}


# Helpers


def home_of(user: User) -> Unit | None:
    """The unit under which events about a person are found: of a grant that stands, else of the last one."""
    grants = user.grants.select_related("unit")
    grant = grants.active().first() or grants.order_by("-valid_from", "-pk").first()
    return grant.unit if grant else None


def _check_keeps(by: Actor, user: User) -> None:
    if not people_for(by).filter(pk=user.pk).exists():
        raise PermissionDenied


def _check_keeps_another(by: Actor, user: User) -> None:
    if by.user.pk == user.pk:
        raise PermissionDenied(_("Nobody changes what they may do themselves: ask another administrator."))
    _check_keeps(by, user)


def _check(user: User, names: tuple[str, ...] = CONTACT) -> None:
    """ValidationError by field for what was typed; the rest of the row is not this form's business."""
    errors: dict[str, Any] = {}
    for name in names:
        try:
            check_text(getattr(user, name))
        except ValidationError as error:
            errors[name] = error
    if errors:
        raise ValidationError(errors)
    user.clean_fields(exclude=[field.name for field in user._meta.fields if field.name not in names])


def _name_taken() -> ValidationError:
    return ValidationError({"username": _("This user name is taken.")}, code="unique")


def _held_already() -> ValidationError:
    return ValidationError({"role": _("This person already holds this role at this unit.")}, code="duplicate")
