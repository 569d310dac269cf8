"""Background work: thin, without arguments, safe to repeat and to lose. What there is to do stands in the database."""

from __future__ import annotations

import logging
import time

from celery import shared_task

from reporting import reconciliation, statistics

logger = logging.getLogger(__name__)

# Seconds for which a queue that could not be reached is left alone, so that not every save waits for it.
SILENCE = 30
_silent_until = 0.0


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


def ring() -> None:
    """Ask a worker to refresh; raises if the queue does not take it. The bell logs that, and the sweep comes anyway."""
    global _silent_until
    if time.monotonic() < _silent_until:
        return
    try:
        refresh.apply_async(retry=False, expires=SILENCE)
    except Exception:
        _silent_until = time.monotonic() + SILENCE
        raise
