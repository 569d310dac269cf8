"""Changing the tree of units: every change has an effective date and leaves the past as it was.

A placement says where a unit stood for a time. A change on a day splits the placements of that day and
rewrites those after it. The units of one district change one after the other: every action first locks the district.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import Max, Q, Value
from django.db.models.functions import Concat, Length, Substr
from django.utils import timezone
from django.utils.translation import gettext as _

from programs import bell, registry
from programs.access import Actor
from programs.actions.audit import Changes, audit
from programs.models.mark import Mark
from programs.models.people import Grant
from programs.models.unit import (
    COMMUNITY_KINDS,
    STREET_KINDS,
    TERRITORIAL_KINDS,
    Placement,
    Tier,
    Unit,
    UnitKind,
    month_bounds,
    month_of,
    path_ids,
    subtree,
)
from programs.roles import Permission
from programs.text import check_text

ResultT = TypeVar("ResultT")
PATH_LENGTH = 200  # of the columns
CODE = re.compile(r"[0-9A-Z-]{1,20}")
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
TIER_OF_KIND = {
    UnitKind.DISTRICT: Tier.DISTRICT,
    **dict.fromkeys(STREET_KINDS, Tier.STREET),
    **dict.fromkeys(COMMUNITY_KINDS, Tier.COMMUNITY),
}


@dataclass(frozen=True)
class Change:
    """What an action did, for the page that asks before and the message that tells after."""

    unit: Unit
    placed: list[Unit] = field(default_factory=list)  # the units whose place changed, in administrative order
    months: list[dt.date] = field(default_factory=list)  # whose figures are computed anew
    grants: list[Grant] = field(default_factory=list)  # begun at the unit that carries on


def trial(action: Callable[..., ResultT], **arguments: Any) -> ResultT:
    """What `action` would do: it is really done, and all of it is taken back. Refusals are the real ones."""
    with transaction.atomic():
        result = action(**arguments)
        transaction.set_rollback(True)
    return result


# --- the actions ---------------------------------------------------------------------------------


def create_unit(
    *,
    by: Actor | None,
    code: str,
    name: str,
    tier: Tier | str,
    kind: UnitKind | str,
    parent: Unit | None = None,
    opened_on: dt.date,
) -> Unit:
    """Create a unit with its first placement. Here and below, `by` None stands for the command line."""
    with transaction.atomic():
        if parent is not None:
            parent = _locked(parent)
        _permit(by, parent)
        check_code(code)
        check_name(name)
        problem = misplaced(kind, tier, parent.kind if parent else None, parent.tier if parent else None)
        if problem:
            raise _refusal("parent", problem)
        _check_past(opened_on, "opened_on")
        if parent is not None:
            _check_open(parent, "parent")
            _check_stands_since(parent, opened_on, "opened_on")
        unit = Unit(code=code, name=name, tier=tier, kind=kind, parent=parent, opened_on=opened_on)
        unit.full_clean(exclude=["path"])
        unit.save(force_insert=True)
        unit.path = _path_below(parent, unit)
        unit.save(update_fields=["path"])
        Placement.objects.create(unit=unit, name=name, parent=parent, path=unit.path, valid_from=opened_on)
        audit(by=by, action="unit.create", obj=unit, unit=unit)
    return unit


def rename_unit(*, by: Actor | None, unit: Unit, name: str, effective_on: dt.date) -> Change:
    """Give the unit another name from the day on; the past keeps the old one."""
    with _changing(by, unit, effective_on) as (unit, current):
        check_name(name)
        if name == unit.name:
            raise _refusal("name", _("The unit has this name already."))
        before, unit.name = unit.name, name
        unit.full_clean(exclude=["path"])
        unit.save()
        _split(Placement.objects.filter(pk=current.pk), effective_on)
        Placement.objects.filter(unit=unit, valid_to=None).update(name=name)
        audit(
            by=by,
            action="unit.rename",
            obj=unit,
            unit=unit,
            changes={"name": [before, name], "effective_on": [None, str(effective_on)]},
        )
    return Change(unit)


def move_unit(*, by: Actor | None, unit: Unit, parent: Unit, effective_on: dt.date) -> Change:
    """Put the unit, with everything below it, under another parent of the same district from the day on."""
    with _changing(by, unit, effective_on) as (unit, _current):
        old = unit.parent
        if old is None:
            raise _refusal(None, _("A district cannot be moved."))
        parent = _checked_partner(by, unit, parent, effective_on, "parent")
        if parent.pk == old.pk:
            raise _refusal("parent", _("%(unit)s stands there already."), unit=unit.name)
        if unit.contains(parent):
            raise _refusal("parent", _("A unit cannot stand below itself."))
        problem = misplaced(unit.kind, unit.tier, parent.kind, parent.tier)
        if problem:
            raise _refusal("parent", problem)
        above = {*path_ids(old.path), *path_ids(parent.path)}
        placed = _relocate(unit, parent, effective_on)
        Unit.objects.filter(pk=unit.pk).update(parent=parent)
        unit.refresh_from_db()
        months = _mark(placed | above, effective_on)
        audit(
            by=by,
            action="unit.move",
            obj=unit,
            unit=unit,
            changes={"parent": [_named(old), _named(parent)], "effective_on": [None, str(effective_on)]},
            row_count=len(placed),
        )
    return Change(unit, _units(placed), months)


def merge_units(*, by: Actor | None, unit: Unit, into: Unit, effective_on: dt.date) -> Change:
    """Close `unit` and let `into` carry on its work from the day on.

    What stands below `unit` and is open goes to `into`, as do the people's grants. The merged unit keeps its
    records and its past; its path continues below `into`, so that today's boundaries count its past there.
    """
    with _changing(by, unit, effective_on) as (unit, _current):
        if into.pk == unit.pk:
            raise _refusal("into", _("A unit cannot be merged into itself."))
        into = _checked_partner(by, unit, into, effective_on, "into")
        if unit.tier != into.tier or unit.is_territorial != into.is_territorial:
            raise _refusal("into", _("Only units of the same tier and sort can be merged."))
        if unit.contains(into):
            raise _refusal("into", _("A unit cannot be merged into one that stands below it."))
        above = {*unit.ancestor_ids, *path_ids(into.path)}
        placed = set()
        for child in unit.children.open().order_by("pk"):
            placed |= _relocate(child, into, effective_on)
            Unit.objects.filter(pk=child.pk).update(parent=into)
        for merged_before in unit.merged.order_by("pk"):
            placed |= _relocate(merged_before, into, effective_on)
        placed |= _relocate(unit, into, effective_on)
        unit.merged.update(merged_into=into)
        Unit.objects.filter(pk=unit.pk).update(closed_on=effective_on, merged_into=into)
        unit.refresh_from_db()
        grants = _hand_over_grants(by, unit, into)
        months = _mark(placed | above, effective_on)
        audit(
            by=by,
            action="unit.merge",
            obj=unit,
            unit=unit,
            changes={"merged_into": [None, _named(into)], "closed_on": [None, str(effective_on)]},
            row_count=len(placed),
        )
    return Change(unit, _units(placed), months, grants)


def close_unit(*, by: Actor | None, unit: Unit, effective_on: dt.date) -> Change:
    """End the unit's work; its last day is `effective_on`. Its records stay and count where they did."""
    with _changing(by, unit, effective_on) as (unit, _current):
        below = Unit.objects.under(unit).open().exclude(pk=unit.pk).count()
        if below:
            sentence = _("Open units stand below %(unit)s (%(number)s); move, merge or close them first.")
            raise _refusal(None, sentence, unit=unit.name, number=below)
        last = _last_record_on(unit)
        if last and last > effective_on:
            sentence = _("%(unit)s has logged work up to %(date)s; it cannot close before that day.")
            raise _refusal("effective_on", sentence, unit=unit.name, date=last)
        Unit.objects.filter(pk=unit.pk).update(closed_on=effective_on)
        unit.refresh_from_db()
        months = _mark({unit.pk}, effective_on)
        changes: Changes = {"closed_on": [None, str(effective_on)]}
        audit(by=by, action="unit.close", obj=unit, unit=unit, changes=changes)
    return Change(unit, [unit], months)


def reopen_unit(*, by: Actor | None, unit: Unit) -> Change:
    """Take back that the unit was closed. A merged unit stays merged: others have carried on since."""
    with transaction.atomic():
        unit = _locked(unit)
        _permit(by, unit)
        if unit.is_open:
            raise _refusal(None, _("%(unit)s is open."), unit=unit.name)
        if unit.merged_into_id:
            raise _refusal(None, _("%(unit)s was merged and cannot be reopened."), unit=unit.name)
        if unit.parent is not None:
            _check_open(unit.parent)
        changes: Changes = {"closed_on": [str(unit.closed_on), None]}
        unit.closed_on = None
        unit.save(update_fields=["closed_on"])
        audit(by=by, action="unit.reopen", obj=unit, unit=unit, changes=changes)
    return Change(unit, [unit])


# --- rules ----------------------------------------------------------------------------------------


def _refusal(name: str | None, sentence: str, **params: Any) -> ValidationError:
    """A clear sentence about the argument of this name, or about the whole."""
    error = ValidationError(sentence, params=params)
    return ValidationError({name: error}) if name else error


def check_code(code: str) -> None:
    if not CODE.fullmatch(code):
        raise _refusal("code", _("A code has up to 20 capital letters, digits and hyphens."))


def check_name(name: str) -> None:
    """Names stand in one line, without blanks around them."""
    try:
        check_text(name)
    except ValidationError as error:
        raise _refusal("name", str(error.message)) from None
    if not name or name != name.strip() or CONTROL.search(name):
        raise _refusal("name", _("A name is one line of text without blanks around it."))


def misplaced(
    kind: UnitKind | str, tier: Tier | str, parent_kind: UnitKind | str | None, parent_tier: Tier | str | None
) -> str:
    """Why a unit of this kind and tier cannot stand under such a parent (None: no parent); "" if it can."""
    if kind in TERRITORIAL_KINDS and TIER_OF_KIND[UnitKind(kind)] != tier:
        return _("This kind of unit does not belong to this tier.")
    if kind == UnitKind.DISTRICT:
        return _("A district has no parent unit.") if parent_kind else ""
    if kind in STREET_KINDS and parent_kind != UnitKind.DISTRICT:
        return _("A street, town or zone stands under a district.")
    if kind in COMMUNITY_KINDS and parent_kind not in STREET_KINDS:
        return _("A community or village stands under a street, town or zone.")
    if kind not in TERRITORIAL_KINDS and parent_tier != tier:
        return _("A department or other body stands under a unit of the tier that it serves.")
    return ""


def stands_since(unit: Unit) -> dt.date:
    """The day since which the unit stands where it stands today; a new name in between does not count."""
    since = unit.opened_on
    for placement in unit.placements.order_by("-valid_from"):
        if placement.path != unit.path:
            break
        since = placement.valid_from
    return since


def _permit(by: Actor | None, unit: Unit | None) -> None:
    """Managing reaches `unit`; a district (None above it) is made from the command line only."""
    if by is not None and (unit is None or not by.covers(Permission.UNIT_MANAGE, unit)):
        raise PermissionDenied


def _check_past(day: dt.date, name: str) -> None:
    if day > timezone.localdate():
        raise _refusal(name, _("This date is in the future; enter the change once it has taken effect."))


def _check_open(unit: Unit, name: str | None = None) -> None:
    if not unit.is_open:
        raise _refusal(name, _("%(unit)s is closed."), unit=unit.name)


def _check_stands_since(unit: Unit, day: dt.date, name: str) -> None:
    since = stands_since(unit)
    if day < since:
        sentence = _("%(unit)s stands where it stands since %(date)s; give that day or a later one.")
        raise _refusal(name, sentence, unit=unit.name, date=since)


def _checked_partner(by: Actor | None, unit: Unit, partner: Unit, effective_on: dt.date, name: str) -> Unit:
    """The unit that another goes to, as it stands now."""
    partner = Unit.objects.get(pk=partner.pk)
    if partner.root_id != unit.root_id:
        raise _refusal(name, _("%(unit)s lies in another district."), unit=partner.name)
    _permit(by, partner)
    _check_open(partner, name)
    _check_stands_since(partner, effective_on, "effective_on")
    return partner


def _last_record_on(unit: Unit) -> dt.date | None:
    records = [kind.model.objects.present().filter(unit=unit) for kind in registry.kinds()]
    days = [rows.aggregate(last=Max("occurred_on"))["last"] for rows in records]
    return max((day for day in days if day), default=None)


# --- the work -------------------------------------------------------------------------------------


def _locked(unit: Unit) -> Unit:
    """`unit` as it stands now, its district locked until the transaction ends.

    The root's row is the lock; roots never change. SQLite has one writer anyway. Records may still be written
    meanwhile: the lock leaves the key alone that they refer to.
    """
    Unit.objects.select_for_update(no_key=True).get(pk=unit.root_id)
    return Unit.objects.select_related("parent").get(pk=unit.pk)


@contextmanager
def _changing(by: Actor | None, unit: Unit, effective_on: dt.date) -> Iterator[tuple[Unit, Placement]]:
    """One transaction for a change of an open unit on a day that its present placement covers."""
    with transaction.atomic():
        unit = _locked(unit)
        _permit(by, unit)
        _check_open(unit)
        _check_past(effective_on, "effective_on")
        current = unit.placements.get(valid_to=None)
        if effective_on < current.valid_from:
            sentence = _("The last change of %(unit)s took effect on %(date)s; give that day or a later one.")
            raise _refusal("effective_on", sentence, unit=unit.name, date=current.valid_from)
        yield unit, current


def _path_below(parent: Unit | None, unit: Unit, deeper: int = 0) -> str:
    """The path of `unit` under `parent`; below it paths are up to `deeper` characters longer."""
    path = f"{parent.path if parent else '/'}{unit.pk}/"
    if len(path) + deeper > PATH_LENGTH:
        raise _refusal(None, _("Too many units would stand one below the other."))
    return path


def _relocate(unit: Unit, parent: Unit, effective_on: dt.date) -> set[int]:
    """Let the path of `unit`, and of what is or was below it, run below `parent` from the day on.

    Returns the ids of the units whose place changes at some time; `Unit.parent` is the caller's.
    """
    unit = Unit.objects.get(pk=unit.pk)  # its path may have changed a moment ago
    old = unit.path
    since = Placement.objects.filter(subtree(old)).filter(Q(valid_to=None) | Q(valid_to__gt=effective_on))
    new = _path_below(parent, unit, since.aggregate(longest=Max(Length("path")))["longest"] - len(old))
    _split(since, effective_on)
    later = since.filter(valid_from__gte=effective_on)
    ids = set(later.values_list("unit_id", flat=True))
    later.filter(unit=unit).update(parent=parent)
    rest = Concat(Value(new), Substr("path", len(old) + 1))
    later.update(path=rest)
    Unit.objects.under(unit).update(path=rest)
    return ids


def _split(placements: Any, day: dt.date) -> None:
    """Cut the placements that began before `day` in two; the second half begins on it."""
    halves = [
        Placement(
            unit_id=whole.unit_id,
            name=whole.name,
            parent_id=whole.parent_id,
            path=whole.path,
            valid_from=day,
            valid_to=whole.valid_to,
        )
        for whole in placements.filter(valid_from__lt=day)
    ]
    placements.filter(valid_from__lt=day).update(valid_to=day)
    Placement.objects.bulk_create(halves)


def _hand_over_grants(by: Actor | None, unit: Unit, into: Unit) -> list[Grant]:
    """End the grants at `unit` and begin equal ones at `into`, unless the person holds as much there."""
    today = timezone.localdate()
    begun = []
    standing = Grant.objects.filter(Q(valid_to=None) | Q(valid_to__gte=today), revoked_at=None)
    standing = standing.select_related("user")
    for grant in standing.filter(unit=unit).order_by("pk"):
        Grant.objects.filter(pk=grant.pk).update(revoked_at=timezone.now())
        audit(by=by, action="grant.revoke", obj=grant, unit=unit, changes={"role": [grant.role, None]})
        held = standing.filter(user=grant.user, role=grant.role, unit=into)
        as_long = (
            Q(valid_to=None) if grant.valid_to is None else Q(valid_to=None) | Q(valid_to__gte=grant.valid_to)
        )
        if held.filter(as_long).exists():
            continue
        successor = Grant.objects.create(
            user=grant.user,
            role=grant.role,
            unit=into,
            include_descendants=grant.include_descendants,
            valid_from=max(today, grant.valid_from),
            valid_to=grant.valid_to,
            granted_by=by.user if by else None,
        )
        audit(by=by, action="grant.create", obj=successor, unit=into, changes={"role": [None, grant.role]})
        begun.append(successor)
    return begun


def _mark(unit_ids: Iterable[int], effective_on: dt.date) -> list[dt.date]:
    """Have the figures of these units computed anew, from the month of the day to the present one."""
    months = [month_of(effective_on)]
    while month_bounds(months[-1])[1] <= timezone.localdate():
        months.append(month_bounds(months[-1])[1])
    marks = [Mark(unit_id=unit_id, month=month) for month in months for unit_id in sorted(unit_ids)]
    Mark.objects.bulk_create(marks, batch_size=5000)
    bell.ring_on_commit()
    return months


def _units(ids: Iterable[int]) -> list[Unit]:
    return list(Unit.objects.filter(pk__in=ids).select_related("parent").order_by("code"))


def _named(unit: Unit) -> str:
    return f"{unit.code} {unit.name}"
