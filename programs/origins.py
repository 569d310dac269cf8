"""Where a record came from when it was no form: spreadsheets live in an app that this one does not know, and that app
tells their names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from programs.access import Actor


@dataclass(frozen=True)
class Origin:
    """A file that brought records; `url` leads to its page.

    `spans`: by the code of a kind, the ids between which the records lie that it made: they are found by these, since
    no index is kept of where records came from.
    """

    name: str
    url: str = ""
    spans: Mapping[str, tuple[int, int]] = field(default_factory=dict)


# For an upload's number and a reader: what the reader may know of it; None: nothing, or it is not the teller's.
Teller = Callable[[int, Actor], Origin | None]
_tellers: list[Teller] = []


def add_teller(teller: Teller) -> None:
    if teller not in _tellers:
        _tellers.append(teller)


def origin_of(upload_id: int, actor: Actor) -> Origin | None:
    return next((origin for teller in _tellers if (origin := teller(upload_id, actor))), None)
