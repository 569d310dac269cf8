"""Background work on reminders: safe to repeat, to lose, and to run in several workers."""

from __future__ import annotations

from celery import shared_task

from outreach import digests


@shared_task(name="outreach.make_digests")
def make_digests() -> None:
    """Remind everybody of today, and clear away what is old; what an earlier run left undone is done now."""
    digests.make_digests()
    digests.delete_old()
