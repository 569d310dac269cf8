"""Slowing a flood of public posts: a ticket for each opened form, a proof of work, and counts by address and unit.

A ticket is random, signed, and good for one opinion within its time. The browser shows with a proof of work that it
took some trouble; without JavaScript the form has to have been open for a while, and fewer of them are taken.
Counts stand in the shared cache under keyed digests of addresses, for a day at most. They slow, they lose nothing:
the page says when to try again and keeps what was typed. Staff who are signed in are never counted.
"""

from __future__ import annotations

import hashlib
import logging
import math
import secrets
import time
import uuid
from dataclasses import dataclass

from django.core.cache import cache
from django.core.signing import BadSignature, Signer
from django.utils.crypto import salted_hmac
from redis.exceptions import RedisError

from programs.models.unit import Unit

logger = logging.getLogger(__name__)

# Leading zero bits of SHA-256(nonce:proof): some 65,000 tries, well under a second on a telephone.
DIFFICULTY = 16
TICKET_SECONDS = 4 * 3600
# How long a form without a proof has to have been open.
PLAIN_WAIT_SECONDS = 20
MINUTE, HOUR, DAY = 60, 3600, 86_400


@dataclass(frozen=True)
class Limit:
    """At most `most` of something in a window of `seconds`."""

    name: str
    most: int
    seconds: int


BY_ADDRESS = (Limit("address", 6, 10 * MINUTE), Limit("address-day", 30, DAY))
BY_ADDRESS_PLAIN = (Limit("plain", 2, 10 * MINUTE), Limit("plain-day", 6, DAY))
BY_UNIT = (Limit("unit", 60, HOUR),)
BY_UNIT_PLAIN = (Limit("unit-plain", 15, HOUR),)
WRONG_CODES = (Limit("wrong-code", 10, 10 * MINUTE), Limit("wrong-code-day", 60, DAY))


class TooMany(Exception):
    """Not now; `seconds` from now it will be taken."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"again in {seconds} s")
        self.seconds = max(1, seconds)

    @property
    def minutes(self) -> int:
        return math.ceil(self.seconds / 60)


class BadTicket(Exception):
    """The form was open for too long, or was not made by this portal."""


@dataclass(frozen=True)
class Ticket:
    nonce: str
    issued: int

    @property
    def submission_key(self) -> uuid.UUID:
        """The same form sent twice makes one opinion."""
        return uuid.UUID(bytes=salted_hmac("outreach.ticket.key", self.nonce).digest()[:16], version=4)

    @property
    def age(self) -> int:
        return int(time.time()) - self.issued


def new_ticket() -> str:
    """The signed text of a ticket, for a hidden field."""
    return _signer().sign(f"{secrets.token_urlsafe(18)}.{int(time.time())}")


def read_ticket(text: str) -> Ticket:
    """Raises BadTicket."""
    try:
        nonce, issued = _signer().unsign(text).rsplit(".", 1)
        ticket = Ticket(nonce, int(issued))
    except (BadSignature, ValueError) as error:
        raise BadTicket from error
    if not -MINUTE <= ticket.age <= TICKET_SECONDS:
        raise BadTicket
    return ticket


def _signer() -> Signer:
    return Signer(salt="outreach.ticket")


def is_proven(ticket: Ticket, proof: str) -> bool:
    """Whether `proof` is the work that the ticket asks for."""
    if not proof.isascii() or not proof.isdigit() or len(proof) > 12:
        return False
    digest = hashlib.sha256(f"{ticket.nonce}:{proof}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> (64 - DIFFICULTY) == 0


def admit(*, ticket: Ticket, proof: str, address: str | None, unit: Unit) -> None:
    """Counts one post of a citizen. Raises TooMany when it has to wait."""
    proven = is_proven(ticket, proof)
    if not proven and ticket.age < PLAIN_WAIT_SECONDS:
        raise TooMany(PLAIN_WAIT_SECONDS - ticket.age)
    for limits, who in (
        (BY_ADDRESS if proven else BY_ADDRESS_PLAIN, address or "unknown"),
        (BY_UNIT if proven else BY_UNIT_PLAIN, f"unit {unit.pk}"),
    ):
        count(limits, who)


def count(limits: tuple[Limit, ...], who: str) -> None:
    """Counts one more of `who`; raises TooMany beyond a limit, with the time until the window ends."""
    for limit in limits:
        if _one_more(limit, who) > limit.most:
            raise TooMany(_window_left(limit))


def check(limits: tuple[Limit, ...], who: str) -> None:
    """Raises TooMany if `who` has used up a limit, without counting."""
    for limit in limits:
        if _counted(limit, who) >= limit.most:
            raise TooMany(_window_left(limit))


def _window_left(limit: Limit) -> int:
    return limit.seconds - int(time.time()) % limit.seconds


def _key(limit: Limit, who: str) -> str:
    window = int(time.time()) // limit.seconds
    return f"say:{limit.name}:{window}:{salted_hmac('outreach.flood', who).hexdigest()[:32]}"


def _one_more(limit: Limit, who: str) -> int:
    """A cache that is away must not silence anybody: the proof of work still stands."""
    key = _key(limit, who)
    try:
        cache.add(key, 0, limit.seconds + MINUTE)
        return cache.incr(key)
    except ValueError:  # it ended in between
        return 1
    except (OSError, RedisError):
        logger.warning("The cache does not answer; public posts are not counted.")
        return 0


def _counted(limit: Limit, who: str) -> int:
    try:
        return int(cache.get(_key(limit, who), 0))
    except (OSError, RedisError):
        logger.warning("The cache does not answer; wrong codes are not counted.")
        return 0
