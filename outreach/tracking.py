"""Tracking codes: what somebody holds who raised something, and what it shows them.

A code is 80 random bits, shown once. Kept is a keyed digest, by which alone it is looked up; a wrong code takes the
same way as one that is right. A code travels in the body of a request or behind the # of an address, never in a part
that logs keep.
"""

from __future__ import annotations

import datetime as dt
import secrets
import unicodedata
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from outreach.flood import Ticket
from outreach.models.opinion import Opinion, State
from programs import registry
from programs.access import Actor
from programs.actions.audit import audit
from programs.roles import Permission

# 32 signs that are not taken for one another, 5 bits each.
SIGNS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
CODE_BYTES = 10  # 80 bits
CODE_LENGTH = 16
LONGEST_TYPED = 60

ANSWERED = (State.ANSWERED, State.REVISITED, State.CLOSED)

# The state as a citizen reads it; how it goes to and fro between offices is not theirs to puzzle out.
PLAIN_STATES: dict[str, Any] = {
    State.RECEIVED: gettext_lazy("Received; the unit is looking at it"),
    State.ACCEPTED: gettext_lazy("Accepted"),
    State.ASSIGNED: gettext_lazy("Being handled"),
    State.HANDLING: gettext_lazy("Being handled"),
    State.RETURNED: gettext_lazy("Being handled"),
    State.ANSWERED: gettext_lazy("Answered"),
    State.REVISITED: gettext_lazy("Answered"),
    State.CLOSED: gettext_lazy("Completed"),
    State.DECLINED: gettext_lazy("Not taken up"),
    State.MERGED: gettext_lazy("Handled together with a matter of the same kind"),
    State.SPLIT: gettext_lazy("Handled in several parts"),
}


# --- codes ----------------------------------------------------------------------------------------


def new_code() -> str:
    return _readable(secrets.token_bytes(CODE_BYTES))


def code_of(ticket: Ticket) -> str:
    """The code of what this form sends: the nonce is random, and whoever has not the key cannot tell one from it."""
    digest = salted_hmac("outreach.tracking.code", ticket.nonce, algorithm="sha256").digest()
    return _readable(digest[:CODE_BYTES])


def _readable(random: bytes) -> str:
    """ABCD-EFGH-JKLM-NPQR"""
    number = int.from_bytes(random, "big")
    signs = "".join(SIGNS[number >> shift & 31] for shift in range(5 * (CODE_LENGTH - 1), -1, -5))
    return "-".join(signs[start : start + 4] for start in range(0, CODE_LENGTH, 4))


def plain(code: str) -> str:
    """The code without the spaces and hyphens it is read out with; full-width signs of an input method count."""
    text = unicodedata.normalize("NFKC", code[:LONGEST_TYPED]).upper()
    return "".join(sign for sign in text if sign in SIGNS)


def digest_of(code: str, secret: str | None = None) -> str:
    return salted_hmac("outreach.tracking", plain(code), secret=secret, algorithm="sha256").hexdigest()


def look_up(code: str) -> Opinion | None:
    """The opinion of this code. Former keys are asked as well, so that codes survive a change of the key."""
    digests = [digest_of(code, secret) for secret in (None, *settings.SECRET_KEY_FALLBACKS)]
    return (
        Opinion.objects.present()
        .select_related("unit", "responsible", "merged_into")
        .filter(tracking_digest__in=digests)
        .first()
    )


def issue_code(*, by: Actor, opinion: Opinion) -> str:
    """A new code for a citizen who came by telephone, letter or in person; a former one is void from now on."""
    if not by.covers(Permission.RECORD_WRITE, opinion.unit):
        raise PermissionDenied
    code = new_code()
    with transaction.atomic():
        found = Opinion.objects.present().filter(pk=opinion.pk)
        if not found.update(tracking_digest=digest_of(code)):
            raise ValidationError(_("This record was removed; restore it first."), code="removed")
        kind = registry.kind_of(opinion)
        audit(by=by, action=f"{kind.code}.code", obj=opinion, unit=opinion.unit)
    return code


# --- what a code shows ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Shown:
    """All that a code shows: no words of the citizen, no names, no way between offices."""

    state: Any
    unit: str
    received_on: dt.date
    answer_due_on: dt.date | None
    answered_on: dt.date | None
    answer: str
    satisfaction: str
    may_rate: bool
    parts: list[Shown] = field(default_factory=list)


def shown(opinion: Opinion) -> Shown:
    leading = _leading(opinion)
    is_answered = leading.state in ANSWERED
    return Shown(
        state=PLAIN_STATES[opinion.state if opinion.state == State.MERGED else leading.state],
        unit=leading.responsible.name,
        received_on=opinion.occurred_on,
        answer_due_on=None if is_answered or leading.state == State.DECLINED else leading.answer_due_on,
        answered_on=leading.answered_on if is_answered else None,
        answer=leading.answer if is_answered or leading.state == State.DECLINED else "",
        satisfaction=opinion.get_satisfaction_display(),
        may_rate=may_rate(opinion),
        parts=[shown(piece) for piece in _pieces(opinion)],
    )


def may_rate(opinion: Opinion) -> bool:
    """A citizen's word on the answer is asked once; that it was not good enough may be said until they were content."""
    return opinion.state in ANSWERED and opinion.satisfaction != Opinion.Satisfaction.SATISFIED


def _leading(opinion: Opinion) -> Opinion:
    """Where the matter is handled: the opinion into which it was merged, however often."""
    for _step in range(20):
        if opinion.state != State.MERGED or opinion.merged_into_id is None:
            break
        opinion = Opinion.objects.select_related("unit", "responsible").get(pk=opinion.merged_into_id)
    return opinion


def _pieces(opinion: Opinion) -> list[Opinion]:
    if opinion.state != State.SPLIT:
        return []
    return list(opinion.pieces.filter(removed_at=None).select_related("unit", "responsible").order_by("pk"))
