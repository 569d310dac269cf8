"""Guessing a password: after a few wrong ones an account is locked for a while, known or not (django-axes counts)."""

from __future__ import annotations

import datetime as dt
import math

from axes.handlers.proxy import AxesProxyHandler
from axes.models import AccessAttempt
from django.conf import settings
from django.contrib.auth import authenticate
from django.db.models import Max, Sum
from django.http import HttpRequest
from django.utils import timezone

from programs.models.people import User


class Locked(Exception):
    """No password is tried for this name until `until`."""

    def __init__(self, until: dt.datetime) -> None:
        super().__init__(f"locked until {until}")
        self.until = until

    @property
    def minutes(self) -> int:
        """Whole minutes that are left, one at least."""
        return max(1, math.ceil((self.until - timezone.now()).total_seconds() / 60))


def check_password(request: HttpRequest, username: str, password: str) -> User | None:
    """The person of this name and password; None if either is wrong. Raises Locked, also for the guess that locks.

    Every password asked for anywhere in the portal goes through here, so that none can be guessed at leisure.
    """
    # Axes tries no password for a name that is locked.
    user = authenticate(request, username=username, password=password)
    # The page that asked tells about the lock; the middleware of axes would put an answer of its own over it.
    request.axes_locked_out = False  # type: ignore[attr-defined]
    until = locked_until(username) if user is None else None
    if until is not None:
        raise Locked(until)
    return user


def locked_until(username: str) -> dt.datetime | None:
    """When the lock on this name opens by itself; None if it is not locked."""
    attempts = AccessAttempt.objects.filter(
        username=username, attempt_time__gt=timezone.now() - settings.AXES_COOLOFF_TIME
    )
    found = attempts.aggregate(failures=Sum("failures_since_start"), last=Max("attempt_time"))
    if (found["failures"] or 0) < settings.AXES_FAILURE_LIMIT:
        return None
    return found["last"] + settings.AXES_COOLOFF_TIME


def unlock(username: str) -> None:
    AxesProxyHandler.reset_attempts(username=username)
