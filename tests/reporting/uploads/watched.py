"""The portal's worker, for those who want to kill it at a place of their choice:

    celery -A tests.reporting.uploads.watched worker

It writes into the file WATCHED_FILE what it begins with, and after it stands still for WATCHED_SECONDS.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import django

django.setup()

from caring_portal.celery import app  # noqa: E402
from programs.actions import bulk_rows  # noqa: E402
from reporting import statistics  # noqa: E402
from reporting.uploads import checking, jobs, reading  # noqa: E402

__all__ = ["app"]
FILE = Path(os.environ["WATCHED_FILE"])
SECONDS = float(os.environ["WATCHED_SECONDS"])
# The task that this is part of is acknowledged only when it has returned.
BEFORE_ACKNOWLEDGEMENT = "acknowledging"


def say(place: str) -> None:
    with FILE.open("a", encoding="utf-8") as file:
        file.write(f"{place}\n")


def watch(place: str, module: Any, name: str) -> None:
    work: Callable[..., Any] = getattr(module, name)

    def watched(*args: Any, **options: Any) -> Any:
        say(place)
        found = work(*args, **options)
        time.sleep(SECONDS)
        return found

    setattr(module, name, watched)


def watch_the_end(module: Any, name: str) -> None:
    work: Callable[..., Any] = getattr(module, name)

    def watched(*args: Any, **options: Any) -> Any:
        found = work(*args, **options)
        if found:
            say(BEFORE_ACKNOWLEDGEMENT)
            time.sleep(SECONDS)
        return found

    setattr(module, name, watched)


watch("reading", reading, "read")
watch("checking", checking, "check")
watch("writing", bulk_rows, "insert_records")
watch("taking_back", bulk_rows, "delete_records")
watch("counting", statistics, "refresh")
watch_the_end(jobs, "work")
