"""The citizens' channel: words that reach a unit without an account."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.utils import timezone, translation
from django.utils.translation import gettext

from outreach import tracking
from outreach.actions.opinions import receive_from_citizen, take_step
from outreach.flood import Ticket
from outreach.models.opinion import Opinion, State
from outreach.models.place import Place
from programs import registry
from programs.access import Actor
from programs.actions.attachments import add_files, discarded_on_failure, present
from programs.models.people import User
from programs.models.unit import STREET_KINDS, Unit, UnitQuerySet
from programs.roles import Permission, Reach

# No form lets anybody choose a name with a colon, so no person can ever hold this one.
CHANNEL_USERNAME = "citizens:channel"
TITLE_LENGTH = 100
MOST_FOUND = 20


@dataclass(frozen=True)
class CitizensDesk(Actor):
    """Acts for somebody without an account: may enter records for one unit, and may do and read nothing else.

    It knows no address: who wishes to stay unnamed is not written down by another way.
    """

    desk_of: Unit | None = None

    def may(self, permission: Permission) -> bool:
        return permission is Permission.RECORD_WRITE and self.desk_of is not None

    def reaches(self, permission: Permission) -> Iterator[tuple[Unit, Reach]]:
        if permission is Permission.RECORD_WRITE and self.desk_of is not None:
            yield self.desk_of, Reach.OWN


@dataclass(frozen=True)
class Received:
    opinion: Opinion
    code: str


def channel_person() -> User:
    """The author of what citizens send: an account that is closed, has no password and holds no role."""
    person, _created = User.objects.get_or_create(
        username=CHANNEL_USERNAME, defaults={"name": "群众端", "is_active": False, "password": "!"}
    )
    return person


def desk_of(unit: Unit, request_id: str = "") -> CitizensDesk:
    return CitizensDesk(channel_person(), desk_of=unit, request_id=request_id)


def sent_already(ticket: Ticket) -> bool:
    return Opinion.objects.filter(submission_key=ticket.submission_key).exists()


def receive(
    *,
    unit: Unit,
    values: dict[str, Any],
    ticket: Ticket,
    files: Iterable[UploadedFile] = (),
    request_id: str = "",
) -> Received:
    """What a citizen wrote becomes an opinion received by `unit`; the same ticket again returns what it made.

    `values`: type, category, content, location, citizen, phone. The code is made from the ticket, so that a repeat
    of the form, as after a double click, shows the same one; kept is its digest alone.
    """
    code = tracking.code_of(ticket)
    already = sent_already(ticket)
    kind = registry.kind("opinions")
    desk = desk_of(unit, request_id)
    with discarded_on_failure() as stored, transaction.atomic():
        opinion = receive_from_citizen(
            values={
                **values,
                "unit": unit,
                "occurred_on": timezone.localdate(),
                "channel": Opinion.Channel.WEB,
                "title": title_of(values["category"], values.get("location", "")),
            },
            person=desk.user,
            tracking_digest=tracking.digest_of(code),
            submission_key=ticket.submission_key,
        )
        # A twin of this very form may have been faster, and has brought the files.
        if not already and not present(kind, opinion).exists():
            add_files(by=desk, kind=kind, record=opinion, files=files, stored=stored)
    return Received(opinion, code)


def title_of(category: str, location: str) -> str:
    """Of category and place, never of the citizen's own words: a subject is read by more people than they are."""
    with translation.override("zh-hans"):
        label = str(Opinion.Category(category).label)
    where = " ".join(location.split())
    return (f"{label}：{where}" if where else label)[:TITLE_LENGTH]


# --- units that listen ----------------------------------------------------------------------------


def listening() -> UnitQuerySet:
    """The units that a citizen may turn to: all that are open."""
    return Unit.objects.open().select_related("parent")


def successor_of(code: str) -> Unit | None:
    """The unit of this code, or the one that carries on its work; None if there is none."""
    unit = Unit.objects.select_related("parent", "merged_into").filter(code=code).first()
    for _step in range(20):  # a unit may have been merged several times over
        if unit is None or unit.is_open or unit.merged_into_id is None:
            return unit if unit is not None and unit.is_open else None
        unit = Unit.objects.select_related("parent").filter(pk=unit.merged_into_id).first()
    return None


def found_by(text: str) -> list[Unit]:
    return list(listening().matching(text).order_by("code")[:MOST_FOUND])


def starting_points() -> list[tuple[Unit, list[Unit]]]:
    """Each district with its streets, in administrative order."""
    units = listening().order_by("code")
    streets = list(units.filter(kind__in=STREET_KINDS))
    return [
        (root, [street for street in streets if street.root_id == root.pk])
        for root in units.filter(parent=None)
    ]


def below(unit: Unit) -> list[Unit]:
    """The open units right below: the tiers' own first, then the bodies that attach to them."""
    found = list(listening().filter(parent=unit).order_by("code"))
    return sorted(found, key=lambda one: (not one.is_territorial, one.code))


def public_places(unit: Unit) -> list[Place]:
    """The places of the unit that it shows to citizens."""
    return list(Place.objects.present().filter(unit=unit, is_public=True).order_by("name", "pk"))


def public_place(unit: Unit, pk: int) -> Place | None:
    return Place.objects.present().filter(unit=unit, is_public=True, pk=pk).first()


# --- a citizen's word on the answer ---------------------------------------------------------------


def rate(*, opinion: Opinion, is_satisfied: bool) -> None:
    """Content: the answer counts as revisited. Not content: the unit that answered has to look at it again.

    A word that was said already, as by a double click, changes nothing. Words of the citizen's own are not taken here:
    the reason of a step is read by more people than they are.
    """
    if is_satisfied and opinion.state == State.ANSWERED:
        satisfied = Opinion.Satisfaction.SATISFIED
        take_step(
            by=None, opinion=opinion, transition="revisit", version=opinion.version, satisfaction=satisfied
        )
    elif not is_satisfied and opinion.state in tracking.ANSWERED:
        reason = gettext("The citizen is not satisfied with the answer.")
        take_step(by=None, opinion=opinion, transition="reopen", version=opinion.version, reason=reason)
