"""Whose turn it is, and who is at it: claims with a lease, a heartbeat and a fencing token.

The row in the database is the truth. A worker that dies leaves a lease that runs out; one that was only slow finds,
when it moves the upload, that its fence no longer counts. Of a unit's uploads one runs at a time, and the
unit that had its last turn longest ago goes first.
"""

from __future__ import annotations

import datetime as dt
import logging
import threading
import time
from collections.abc import Callable
from types import TracebackType

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.db.models import F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce, Greatest
from django.utils import timezone
from django.utils.translation import gettext as _

from programs.access import Actor
from programs.roles import Permission
from reporting.models import Upload
from reporting.models.upload import WAITING, Step
from reporting.uploads.states import Move, Superseded

logger = logging.getLogger(__name__)

# Seconds after which a worker that gives no sign is taken for dead; it gives one four times as often.
LEASE_SECONDS: float = settings.UPLOAD_LEASE_SECONDS
# Seconds between two looks at how far the work has come.
PULSE_SECONDS = 1.0
# So often work may break off before nobody tries again.
MOST_ATTEMPTS = 3
# Of those who wait so many are tried in turn, when other workers are faster.
TRIED = 20


def waiting() -> QuerySet[Upload]:
    """The uploads that could be claimed now, first who goes first."""
    now = timezone.now()
    others = Upload.objects.filter(asked_for=OuterRef("asked_for"))
    running = Upload.objects.filter(lease_until__isnull=False).values("asked_for")
    last_turn = Subquery(
        others.filter(claimed_at__isnull=False).order_by("-claimed_at").values("claimed_at")[:1]
    )
    found = Upload.objects.filter(state__in=WAITING).filter(
        Q(lease_until__lt=now) | (Q(lease_until=None) & ~Q(asked_for__in=running))
    )
    since = Greatest("asked_at", Coalesce(last_turn, "asked_at"))
    return found.annotate(since=since).order_by("since", "pk")


def claim(only: Upload | None = None) -> Upload | None:
    """Take the upload whose turn it is (`only` that one, if named); None if nothing can be taken."""
    candidates = waiting() if only is None else waiting().filter(pk=only.pk)
    for pk, fence, state in candidates.values_list("pk", "fence", "state")[:TRIED]:
        if _take(pk, fence, state):
            return Upload.objects.select_related("unit", "asked_by", "asked_for").get(pk=pk)
    return None


def _take(pk: int, fence: int, state: str) -> bool:
    now = timezone.now()
    try:
        with transaction.atomic():
            if connection.vendor != "postgresql" and Upload.objects.filter(lease_until__gte=now).exists():
                return False  # there is one writer: two at work would only wait for each other
            found = Upload.objects.filter(pk=pk, fence=fence, state=state)
            return bool(
                found.update(
                    state=Move.BEGIN.target if state in Move.BEGIN.sources else state,
                    fence=fence + 1,
                    lease_until=_until(now),
                    claimed_at=now,
                    attempts=F("attempts") + 1,
                )
            )
    except IntegrityError:
        return False  # another worker took another upload of this unit at this very moment


def _until(now: dt.datetime) -> dt.datetime:
    return now + dt.timedelta(seconds=LEASE_SECONDS)


def actor_of(upload: Upload) -> Actor:
    """Who asked for what is to be done, with the grants they hold now. PermissionDenied, with a sentence, if these no
    longer reach the unit."""
    user = upload.asked_by
    by = Actor.of(user, upload.asked_for, ip=upload.ip, request_id=upload.request_id)
    if not user.is_active or not by.covers(Permission.RECORD_BRING, upload.unit):
        raise PermissionDenied(
            _("%(person)s may no longer enter records for %(unit)s; nothing was changed.")
            % {"person": user.name, "unit": upload.unit.name}
        )
    return by


class Pulse:
    """Keeps the lease of a claimed upload and tells how far the work is, from a thread of its own.

        with Pulse(upload) as pulse:
            pulse.at(Step.CHECKING, rows)
            pulse.progress(500)

    `progress` raises Superseded once somebody else has the upload, or it was cancelled.
    """

    def __init__(self, upload: Upload) -> None:
        self.mine = Upload.objects.filter(pk=upload.pk, fence=upload.fence, lease_until__isnull=False)
        self.now = (Step.NONE, 0, 0)
        self.told = (Step.NONE, 0, 0)
        self.lost = False
        self.ended = threading.Event()
        self.thread: threading.Thread | None = None

    def __enter__(self) -> Pulse:
        # Inside a transaction of the caller another connection sees nothing of the claim.
        if not connection.in_atomic_block:
            self.thread = threading.Thread(target=self._run, name="upload-pulse", daemon=True)
            self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ended.set()
        if self.thread is not None:
            self.thread.join()

    def at(self, step: Step, total: int = 0) -> None:
        """A new step of the work begins, of so many rows."""
        self.now = (step, 0, total)
        self._check()

    def progress(self, done: int) -> None:
        """So many rows of the step are done."""
        step, _before, total = self.now
        self.now = (step, done, total)
        self._check()

    def within(self, before: int) -> Callable[[int], None]:
        """A progress for a part of the step that begins after `before` rows."""
        return lambda done: self.progress(before + done)

    def _check(self) -> None:
        if self.lost:
            raise Superseded

    def _run(self) -> None:
        beaten = time.monotonic()
        try:
            while not self.ended.wait(min(PULSE_SECONDS, LEASE_SECONDS / 4)):
                if self.now != self.told or time.monotonic() - beaten > LEASE_SECONDS / 4:
                    self.beat()
                    beaten = time.monotonic()
        finally:
            connection.close()

    def beat(self) -> None:
        """Prolong the lease and write the progress down."""
        now = self.now
        step, done, total = now
        try:
            beats = self.mine.update(lease_until=_until(timezone.now()), step=step, done=done, total=total)
        except DatabaseError:
            # SQLite while the records are written, or a database that is gone for a moment: the next beat may do.
            logger.info("The lease of an upload could not be prolonged this time.", exc_info=True)
            return
        self.told = now
        self.lost = not beats


def units_waiting() -> int:
    """How many units have something that could be claimed now."""
    return waiting().order_by().values("asked_for").distinct().count()
