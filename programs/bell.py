"""The doorbell: tells whoever listens that marks may be waiting.

Marks in the database are the truth; a bell that nobody hears loses nothing, since a sweeper looks every half
minute. `reporting` listens; this app does not know it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.db import transaction

logger = logging.getLogger(__name__)
_listeners: list[Callable[[], None]] = []


def listen(listener: Callable[[], None]) -> None:
    if listener not in _listeners:
        _listeners.append(listener)


def ring_on_commit() -> None:
    """Ring once the transaction is committed: once for all of its records."""
    waiting = transaction.get_connection().run_on_commit
    if all(function is not ring for _savepoints, function, *_rest in waiting):
        transaction.on_commit(ring)


def ring() -> None:
    """Ring at once; never raises."""
    for listener in _listeners:
        try:
            listener()
        except Exception:
            # What was written is safe, and the sweeper will find it: a broken queue must not fail a saved form.
            logger.warning(
                "The doorbell could not be rung; the sweeper will refresh the figures.", exc_info=True
            )
