"""Background work on public mood: safe to repeat, to lose, and to run in several workers."""

from __future__ import annotations

from celery import shared_task

from outreach import mood


@shared_task(name="outreach.sweep_mood")
def sweep_mood() -> None:
    """Raise the warnings that an edit or a crash left."""
    mood.raise_alerts()
