"""Looking for garbage less often while many rows are held."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

USUAL = gc.get_threshold()
# Objects that refer to each other, such as errors and where they were raised, are young when they are dropped, and are
# still found; all that is older is not gone through again and again.
SELDOM = (20_000, 10, 1_000)


@contextlib.contextmanager
def seldom_collected() -> Iterator[None]:
    """For work that makes and keeps hundreds of thousands of objects, of which Python would otherwise look at each time
    after time: a third of the work. It is the whole process's: threads that do the same at once do no harm."""
    gc.set_threshold(*SELDOM)
    try:
        yield
    finally:
        gc.set_threshold(*USUAL)
