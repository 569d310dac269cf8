"""The reminder of a working day: what waits for a person, once, on the home page and by e-mail where that is set up.

Every step may be repeated, by several workers and after a crash: the database takes one digest a person a day, and
a message is claimed before it is sent.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import partial
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.db import transaction
from django.db.models import Count
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from outreach import deadlines
from outreach.inbox import BY_CODE, UNENDED
from outreach.models.digest import Digest
from outreach.models.opinion import Opinion
from programs.access import Actor
from programs.actions.audit import audit
from programs.models.people import Grant
from programs.models.unit import Unit
from programs.roles import ROLES, Permission, Reach

logger = logging.getLogger(__name__)

# The tabs of the inbox that a person is reminded of, in the order of the message, and whose unit answers for each.
TOLD = ("overdue", "soon", "new", "returned", "revisit")
UNIT_OF = {"hand": "responsible", "received": "unit"}
WRITERS = [code for code, role in ROLES.items() if Permission.RECORD_WRITE in role.permissions]
SOME = 500
# A reminder is of use on its day alone. A year of them answers who was told of what when somebody asks why an opinion
# was left lying; then it says nothing that the opinions' own steps do not say better.
KEPT = dt.timedelta(days=366)


# --- what waits ----------------------------------------------------------------------------------------------------


def make_digests(day: dt.date | None = None) -> int:
    """Note for everybody who writes what waits on `day`, and send what was not sent; the number of people reminded.

    On other than working days of China there is nothing to do. What was noted this day stays as it was noted.
    """
    day = day or timezone.localdate()
    if not deadlines.is_working_day(day):
        return 0
    with transaction.atomic():
        digests = list(_due(day))
        # Whoever has one already, from another worker or an earlier run, keeps it.
        Digest.objects.bulk_create(digests, ignore_conflicts=True, batch_size=SOME)
        if is_mail_configured():
            transaction.on_commit(partial(send_mails, day))
    return len(digests)


def delete_old(day: dt.date | None = None) -> int:
    """Delete the reminders of more than a year before `day`; their number."""
    number, _by_model = Digest.objects.filter(day__lt=(day or timezone.localdate()) - KEPT).delete()
    return number


def _due(day: dt.date) -> Iterator[Digest]:
    waiting = _waiting(day)
    units = Unit.objects.in_bulk(list(waiting))
    # The units in which something waits, by the unit they are of or were merged into.
    own: dict[int, set[int]] = defaultdict(set)
    for unit in units.values():
        own[unit.pk].add(unit.pk)
        if unit.merged_into_id is not None:
            own[unit.merged_into_id].add(unit.pk)
    for actor in _writers(day):
        counts: Counter[str] = Counter()
        for pk in _reached(actor, own, units):
            counts.update(waiting[pk])
        if counts:
            yield Digest(
                user=actor.user, day=day, counts={code: counts[code] for code in TOLD if counts[code]}
            )


def _waiting(day: dt.date) -> dict[int, Counter[str]]:
    """How many wait, by unit and tab: one query for those in hand, one for those received."""
    found: dict[int, Counter[str]] = defaultdict(Counter)
    for whose, column in UNIT_OF.items():
        tabs = [BY_CODE[code] for code in TOLD if BY_CODE[code].whose == whose]
        asked = {f"{tab.code}_number": Count("pk", filter=tab.condition(day)) for tab in tabs}
        rows: Any = Opinion.objects.present().filter(state__in=UNENDED).order_by().values(column)
        for row in rows.annotate(**asked):
            numbers = {tab.code: row[f"{tab.code}_number"] for tab in tabs if row[f"{tab.code}_number"]}
            if numbers:
                found[row[column]].update(numbers)
    return found


def _writers(day: dt.date) -> Iterator[Actor]:
    """Everybody who writes records somewhere, with all such grants: a reminder leaves out no unit of theirs."""
    grants = Grant.objects.active(day).filter(user__is_active=True, role__in=WRITERS)
    held: dict[int, list[Grant]] = defaultdict(list)
    for grant in grants.select_related("user", "unit").order_by("user", "pk"):
        held[grant.user_id].append(grant)
    for mine in held.values():
        yield Actor(mine[0].user, tuple(mine), tuple(mine))


def _reached(actor: Actor, own: dict[int, set[int]], units: dict[int, Unit]) -> set[int]:
    """The units, of those in which something waits, that the person writes for."""
    reaches = list(actor.reaches(Permission.RECORD_WRITE))
    if all(reach is Reach.OWN for _home, reach in reaches):
        return set().union(*(own.get(home.pk, set()) for home, _reach in reaches))
    return {pk for pk, unit in units.items() if actor.covers(Permission.RECORD_WRITE, unit)}


# --- by e-mail -----------------------------------------------------------------------------------------------------


def is_mail_configured() -> bool:
    return bool(settings.EMAIL_HOST)


def send_mails(day: dt.date) -> int:
    """Send the reminders of `day` that were not sent; the number of those sent.

    Each is claimed first, so that it leaves at most once. While the server cannot be reached none is claimed: the
    next run tries again. A message that the server refuses is lost; the others go on.
    """
    if not is_mail_configured():
        return 0
    waiting = Digest.objects.filter(day=day, mailed_at=None, user__is_active=True).exclude(user__email="")
    sent, connection = 0, None
    for digest in waiting.select_related("user").order_by("pk"):
        connection = connection or _open()
        if connection is None:
            break
        if not Digest.objects.filter(pk=digest.pk, mailed_at=None).update(mailed_at=timezone.now()):
            continue  # another worker has it
        if _send(connection, digest):
            sent += 1
        else:
            _close(connection)  # whatever state it is in, the next message begins anew
            connection = None
    if connection is not None:
        _close(connection)
    return sent


def _open() -> Any:
    """A connection to the mail server, or None."""
    connection = get_connection()
    try:
        connection.open()
    except OSError:
        logger.warning("The mail server cannot be reached; reminders wait for the next run.", exc_info=True)
        return None
    return connection


def _close(connection: Any) -> None:
    try:
        connection.close()
    except OSError:
        logger.debug("The mail server had ended the connection.", exc_info=True)


def _send(connection: Any, digest: Digest) -> bool:
    try:
        message_of(digest, connection).send()
    except (OSError, ValueError) as error:
        # ValueError: an address that cannot be written. No text of the error: it may hold the address.
        logger.warning("The reminder %d was not sent: %s", digest.pk, type(error).__name__)
        return False
    return True


def message_of(digest: Digest, connection: Any = None) -> EmailMessage:
    """The message in the person's language: numbers and a link, nothing of citizens and no names."""
    with translation.override(digest.user.language):
        lines = [
            _("What waits for your units:"),
            "",
            *(
                _("%(what)s: %(number)d") % {"what": row["label"], "number": row["number"]}
                for row in rows_of(digest)
            ),
            "",
            settings.PUBLIC_URL.rstrip("/") + reverse("opinion_inbox"),
            "",
            _("The portal sends this at most once a working day. Please do not reply."),
        ]
        subject = _("Opinions to handle on %(day)s") % {"day": digest.day.isoformat()}
    return EmailMessage(subject, "\n".join(lines), to=[digest.user.email], connection=connection)


# --- on the home page ----------------------------------------------------------------------------------------------


def rows_of(digest: Digest) -> list[dict[str, Any]]:
    """What waits, in words, with the way there."""
    url = reverse("opinion_inbox")
    return [
        {
            "code": code,
            "label": BY_CODE[code].label,
            "number": digest.counts[code],
            "url": f"{url}?tab={code}",
        }
        for code in TOLD
        if digest.counts.get(code)
    ]


def digest_at_home(actor: Actor) -> dict[str, Any] | None:
    """The panel of the home page: today's reminder, until it is read."""
    if not actor.may(Permission.RECORD_WRITE):
        return None
    digest = Digest.objects.filter(user=actor.user, day=timezone.localdate(), read_at=None).first()
    return {"rows": rows_of(digest), "digest": digest} if digest else None


def mark_read(*, by: Actor, day: dt.date) -> bool:
    """Put away one's own reminder of `day`; False if there is none, or it was put away before."""
    with transaction.atomic():
        mine = Digest.objects.filter(user=by.user, day=day)
        if not mine.filter(read_at=None).update(read_at=timezone.now()):
            return False
        audit(by=by, action="digest.read", obj=mine.get(), unit=by.unit)
    return True
