"""Background work: thin, without arguments, safe to repeat and to lose. What there is to do stands in the database."""

from __future__ import annotations

import logging
import time
from typing import Any

from celery import shared_task

from reporting import reconciliation, statistics

logger = logging.getLogger(__name__)

# Seconds for which a queue that could not be reached is left alone, so that not every save waits for it.
SILENCE = 30
_silent_until = 0.0
# A ring for spreadsheets that no worker has taken by then is one of many: each takes whatever waits.
UPLOADS_EXPIRE = 300


@shared_task(name="reporting.refresh")
def refresh() -> None:
    statistics.refresh()


@shared_task(name="reporting.sweep")
def sweep() -> None:
    """Refresh whatever a lost ring or a crash left, and say in the log how far the figures had fallen behind."""
    behind = statistics.seconds_behind()
    statistics.refresh()
    if behind > statistics.LATE_SECONDS:
        logger.warning("Records had been waiting to be counted for up to %d seconds.", behind)


# Acknowledged at its start: it may run longer than the queue waits before it hands a task out again.
@shared_task(name="reporting.reconcile", acks_late=False, soft_time_limit=6 * 3600, time_limit=6 * 3600 + 60)
def reconcile() -> None:
    reconciliation.reconcile()


@shared_task(name="reporting.work_on_uploads")
def work_on_uploads() -> None:
    from reporting.uploads import jobs

    jobs.work()


@shared_task(name="reporting.sweep_uploads")
def sweep_uploads() -> None:
    """Ring for the spreadsheets that a lost ring or a killed worker left."""
    from reporting.uploads import jobs

    jobs.sweep()


@shared_task(name="reporting.forget_uploads")
def forget_uploads() -> None:
    from reporting.uploads import files

    files.forget()


def ring() -> None:
    """Ask a worker to refresh; raises if the queue does not take it. The bell logs that, and the sweep comes anyway."""
    _ring(refresh, expires=SILENCE)


def ring_for_uploads() -> None:
    """Ask a worker to look for spreadsheets; never raises, since the sweep comes anyway."""
    try:
        _ring(work_on_uploads, expires=UPLOADS_EXPIRE)
    except Exception:
        logger.warning("No worker could be rung for a spreadsheet; the sweeper will.", exc_info=True)


def _ring(task: Any, *, expires: int) -> None:
    global _silent_until
    if time.monotonic() < _silent_until:
        return
    try:
        task.apply_async(retry=False, expires=expires)
    except Exception:
        _silent_until = time.monotonic() + SILENCE
        raise
