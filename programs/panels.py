"""The panels of the home page: each app adds its own, shown in the order of `place`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from programs.access import Actor


@dataclass(frozen=True)
class Panel:
    """`context(actor)` returns what `template` needs, or None when there is nothing to show to this person."""

    place: int
    template: str
    context: Callable[[Actor], dict[str, Any] | None]


_panels: list[Panel] = []


def add_panel(panel: Panel) -> None:
    if panel not in _panels:
        _panels.append(panel)


def panels_for(actor: Actor) -> list[dict[str, Any]]:
    """[{template, data}] in order."""
    shown = []
    for panel in sorted(_panels, key=lambda panel: panel.place):
        data = panel.context(actor)
        if data is not None:
            shown.append({"template": panel.template, "data": data})
    return shown
