"""Who may do what, where: every scope in the portal is made here.

Allowed = permission of a role ∧ scope of the grant ∧ class of the field ∧ state of the record.
A view declares what it asks for (`@requires`, `@signed_in`, `@public`); one that declares nothing is denied.
Out of scope is 404; in scope but not allowed is 403.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.db.models import BooleanField, Exists, Model, OuterRef, Q, QuerySet, Subquery, Value
from django.http import Http404
from django.utils import timezone

from programs.field_classes import C1, FieldClass
from programs.models.audit import AuditEvent
from programs.models.people import Grant, User
from programs.models.record import Record
from programs.models.unit import Unit, UnitQuerySet, subtree
from programs.roles import ROLES, Disclosure, Permission, Reach

if TYPE_CHECKING:
    from programs.registry import RecordKind

# Beyond these a list of ids costs more to read than it tells.
MOST_UNITS_NAMED = 500
MOST_RECORDS_NAMED = 2000

ViewT = TypeVar("ViewT", bound=Callable[..., Any])
ModelT = TypeVar("ModelT", bound=Model)
RecordT = TypeVar("RecordT", bound=Record)


@dataclass(frozen=True)
class Actor:
    """A person acting for one unit: the grants they hold there decide; their other grants rest until picked."""

    user: User
    grants: tuple[Grant, ...] = ()
    choices: tuple[Grant, ...] = ()
    ip: str | None = None
    request_id: str = ""
    # Reveals are looked up once a request, see programs.disclosure.
    cache: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(cls, user: User, unit: Unit | None = None, **context: Any) -> Actor:
        """The person with the grants active today, acting for `unit` or the first unit they have."""
        choices = tuple(
            sorted(
                user.grants.active().select_related("unit"), key=lambda g: (role_rank(g.role), g.unit.code)
            )
        )
        acting = unit.pk if unit else (choices[0].unit_id if choices else None)
        return cls(user, tuple(g for g in choices if g.unit_id == acting), choices, **context)

    @property
    def unit(self) -> Unit | None:
        return self.grants[0].unit if self.grants else None

    def may(self, permission: Permission) -> bool:
        """Whether the permission is held anywhere; where it reaches is a question for `covers` or `units_for`."""
        return any(permission in grant.role_class.permissions for grant in self.grants)

    def reaches(self, permission: Permission) -> Iterator[tuple[Unit, Reach]]:
        for grant in self.grants:
            reach = grant.role_class.permissions.get(permission)
            if reach is Reach.SUBTREE and not grant.include_descendants:
                reach = Reach.OWN
            if reach is not None:
                yield grant.unit, reach

    def covers(self, permission: Permission, unit: Unit) -> bool:
        """Whether the permission reaches `unit`."""
        return any(_reach_holds(reach, home, unit) for home, reach in self.reaches(permission))

    def disclosure(self, field_class: FieldClass) -> Disclosure:
        """The clearest way in which any of the acting roles reads this class."""
        if field_class <= C1:
            return Disclosure.CLEAR
        found = {grant.role_class.reads.get(field_class, Disclosure.WITHHELD) for grant in self.grants}
        for disclosure in Disclosure:  # declared from clear to withheld
            if disclosure in found:
                return disclosure
        return Disclosure.WITHHELD


def role_rank(role: str) -> int:
    return list(ROLES).index(role)


def _reach_holds(reach: Reach, home: Unit, unit: Unit) -> bool:
    match reach:
        case Reach.OWN:
            return unit.pk == home.pk or unit.merged_into_id == home.pk
        case Reach.SUBTREE:
            return home.contains(unit)
        case Reach.DISTRICT:
            return home.root_id == unit.root_id


def _reach_condition(reach: Reach, home: Unit) -> Q:
    match reach:
        case Reach.OWN:
            return Q(pk=home.pk) | Q(merged_into=home.pk)
        case Reach.SUBTREE:
            return subtree(home.path)
        case Reach.DISTRICT:
            return subtree(f"/{home.root_id}/")


def units_for(actor: Actor, permission: Permission) -> UnitQuerySet:
    """The units that the permission reaches; none if it is not held."""
    condition = Q(pk__in=())
    for home, reach in actor.reaches(permission):
        condition |= _reach_condition(reach, home)
    return Unit.objects.filter(condition)


def visible(
    queryset: QuerySet[RecordT],
    actor: Actor,
    permission: Permission = Permission.RECORD_VIEW,
    *,
    listing: bool = False,
) -> QuerySet[RecordT]:
    """The records of `queryset` that the permission reaches: led by a unit in scope, or, to read, with one joint.

    `listing` asks for the form that the database walks best in the order of a list.
    """
    units: Any = units_for(actor, permission).values_list("pk", flat=True)
    if permission is Permission.RECORD_WRITE:
        return queryset.filter(unit__in=units)
    record = str(queryset.model._meta.model_name)
    joint = queryset.model.joint_model()._base_manager.filter(unit__in=units).values_list(record, flat=True)
    joined = Q(pk__in=joint)
    if listing and any(is_whole_district(home, reach) for home, reach in actor.reaches(permission)):
        joined = Q(pk__in=())  # a joint unit lies in the district of its record's unit
    elif listing and connection.vendor == "postgresql":
        units, joined = _named(units, joint, record)
    return queryset.filter(Q(unit__in=units) | joined)


def _named(units: QuerySet[Any], joint: QuerySet[Any], record: str) -> tuple[Any, Q]:
    """Units, and records they joined, by their ids where these are few: PostgreSQL then knows how many rows to
    expect, where a subquery leaves it guessing, and may walk the whole table for a unit that has logged nothing."""
    few_units = units.annotate(part=Value(0)).values_list("part", "pk")[: MOST_UNITS_NAMED + 1]
    few_joint = joint.annotate(part=Value(1)).values_list("part", record)[: MOST_RECORDS_NAMED + 1]
    ids: tuple[list[int], list[int]] = ([], [])
    for part, pk in few_units.union(few_joint, all=True):
        ids[part].append(pk)
    named: Any = ids[0] if len(ids[0]) <= MOST_UNITS_NAMED else units
    if len(ids[1]) <= MOST_RECORDS_NAMED:
        return named, Q(pk__in=ids[1])
    # Many: asked row by row along the walk, instead of gathering all of them first.
    one = joint.model._base_manager.filter(**{record: OuterRef("pk")}, unit__in=named).values(
        found=Value(True)
    )
    return named, Q(Subquery(one[:1], output_field=BooleanField()))


def is_whole_district(home: Unit, reach: Reach) -> bool:
    return reach is Reach.DISTRICT or (reach is Reach.SUBTREE and home.parent_id is None)


def get_record_or_404(
    kind: RecordKind,
    actor: Actor,
    pk: int,
    permission: Permission = Permission.RECORD_VIEW,
    removed: bool | None = False,
) -> Any:
    """The record, if `actor` may see it (else 404) and `permission` reaches it (else 403).

    `removed`: False for present records, True for removed ones, None for either. Removed records show to those who
    may write or audit them only.
    """
    from programs.actions.audit import note_denial

    record = visible(kind.model.objects.for_detail(), actor).filter(pk=pk).first()
    if record is None:
        hidden = kind.model.objects.select_related("unit").filter(pk=pk).first()
        if hidden is not None:
            note_denial(actor, f"{kind.code}.{permission}", hidden, unit=hidden.unit)
        raise Http404
    if record.is_removed and not (
        actor.covers(Permission.RECORD_WRITE, record.unit) or actor.covers(Permission.AUDIT_VIEW, record.unit)
    ):
        raise Http404
    if removed is not None and record.is_removed is not removed:
        raise Http404
    if permission is not Permission.RECORD_VIEW and not actor.covers(permission, record.unit):
        raise PermissionDenied
    return record


def get_unit_or_404(actor: Actor, permission: Permission, **lookup: Any) -> Unit:
    """The unit, if it is in the actor's district (else 404) and `permission` reaches it (else 403)."""
    unit = units_for(actor, Permission.UNIT_VIEW).filter(**lookup).select_related("parent").first()
    if unit is None:
        raise Http404
    if not actor.covers(permission, unit):
        raise PermissionDenied
    return unit


def people_for(actor: Actor) -> QuerySet[User]:
    """The people whose accounts the actor keeps: they hold, or once held, a role in scope, and hold none outside.

    One standing grant elsewhere (not revoked, not over, begun or not) takes a person out of reach: whoever sets their
    password here could act there. Who never had a role belongs to nobody's pages; accounts begin with one.
    """
    units = units_for(actor, Permission.PEOPLE_MANAGE).values("pk")
    grants = Grant.objects.filter(user=OuterRef("pk"))
    standing = grants.filter(Q(valid_to=None) | Q(valid_to__gte=timezone.localdate()), revoked_at=None)
    return User.objects.filter(
        Exists(grants.filter(unit__in=units)), ~Exists(standing.exclude(unit__in=units))
    )


def get_person_or_404(actor: Actor, pk: int) -> User:
    """The person, if `actor` keeps their account."""
    from programs.actions.audit import note_denial

    person = people_for(actor).filter(pk=pk).first()
    if person is None:
        hidden = User.objects.filter(pk=pk).first()
        if hidden is not None:
            note_denial(actor, Permission.PEOPLE_MANAGE, hidden)
        raise Http404
    return person


def audit_events_for(actor: Actor) -> QuerySet[AuditEvent]:
    """The events of units in scope, and those that belong to no unit (a sign-in under an unknown name)."""
    if not actor.may(Permission.AUDIT_VIEW):
        return AuditEvent.objects.none()
    condition = Q(unit_path="")
    for home, reach in actor.reaches(Permission.AUDIT_VIEW):
        match reach:
            case Reach.OWN:
                own = Unit.objects.filter(_reach_condition(reach, home))
                condition |= Q(unit_id__in=own.values("pk"))
            case Reach.SUBTREE:
                condition |= Q(unit_path__startswith=home.path)
            case Reach.DISTRICT:
                condition |= Q(unit_path__startswith=f"/{home.root_id}/")
    return AuditEvent.objects.filter(condition)


@dataclass(frozen=True)
class Requirement:
    """What a view asks of the person in front of it."""

    permission: Permission | None = None
    public: bool = False
    # Open to somebody who still has to change the password or set up the second factor.
    unfinished: bool = False


def requires(permission: Permission) -> Callable[[ViewT], ViewT]:
    """The view needs a grant with this permission."""

    def declare(view: ViewT) -> ViewT:
        view.access = Requirement(permission)  # type: ignore[attr-defined]
        return view

    return declare


def signed_in(view: ViewT) -> ViewT:
    """Any signed-in person may open the view: it shows nothing but their own matters."""
    view.access = Requirement()  # type: ignore[attr-defined]
    return view


def signing_in(view: ViewT) -> ViewT:
    """As `signed_in`, and open before the password is changed or the second factor is set up."""
    view.access = Requirement(unfinished=True)  # type: ignore[attr-defined]
    return view


def public(view: ViewT) -> ViewT:
    """Opts out of sign-in, by name."""
    view = login_not_required(view)
    view.access = Requirement(public=True)  # type: ignore[attr-defined]
    return view


def requirement_of(view: Any, method: str = "GET") -> Requirement | None:
    """What a URL's callback declares for this method; None denies.

    A view made from a class declares on the method that answers (a viewset: on the action), or else on the class. For
    a method that it does not have it asks for a signed-in person only, who is then told so (405).
    """
    found = getattr(view, "access", None)
    view_class = getattr(view, "cls", None) or getattr(view, "view_class", None)
    if found is None and view_class is not None:
        answering = "get" if method.upper() == "HEAD" else method.lower()
        actions = getattr(view, "actions", None)
        name = answering if actions is None else actions.get(answering, "")
        handler = getattr(view_class, name, None) if answering in view_class.http_method_names else None
        if handler is None:
            return Requirement()
        found = getattr(handler, "access", None) or getattr(view_class, "access", None)
    return found if isinstance(found, Requirement) else None
