"""What other apps add to the demo: they register a loader, which logs through the one way in like everything else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_loaders: list[Callable[[Any], None]] = []


def add_loader(loader: Callable[[Any], None]) -> None:
    """`loader` gets the writer of `programs.demo`, after the records of this app."""
    if loader not in _loaders:
        _loaders.append(loader)


def loaders() -> list[Callable[[Any], None]]:
    return list(_loaders)
