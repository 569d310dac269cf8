"""The life of an opinion: which steps there are, from where to where, who may take them, and what they ask for.

This module only declares and answers questions; `outreach.actions.opinions` writes.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass

from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from outreach.models.opinion import Opinion, OpinionStep, State
from programs.access import Actor
from programs.registry import Text
from programs.roles import Permission


class Party(enum.Enum):
    """Who somebody is to an opinion."""

    RESPONSIBLE = "responsible"  # writes for the unit that has to act now
    RECEIVER = "receiver"  # writes for the unit that received it
    OFFICE = "office"  # supervises the district
    CITIZEN = "citizen"  # raised it, and holds its tracking code


class Need(enum.StrEnum):
    """What a step asks for."""

    REASON = "reason"
    NOTE = "note"  # a reason that may be left out
    UNIT = "unit"
    ANSWER = "answer"
    OUTCOME = "outcome"
    DAY = "day"
    SATISFACTION = "satisfaction"
    INTO = "into"
    PIECES = "pieces"
    DAYS = "days"


@dataclass(frozen=True)
class Transition:
    """A named step. `to` None: the state stays. `icon` and `label` are those of its button."""

    code: str
    label: Text
    done: Text
    sources: frozenset[State]
    to: State | None
    parties: frozenset[Party]
    needs: tuple[Need, ...] = ()
    icon: str = "arrow-right"
    # Whether it may be taken while the clock is stopped.
    while_paused: bool = False


AT_WORK = frozenset({State.ACCEPTED, State.ASSIGNED, State.HANDLING, State.RETURNED})
# Waiting for an answer.
OPEN = AT_WORK | {State.RECEIVED}
DONE = frozenset({State.ANSWERED, State.REVISITED, State.CLOSED})
# Nothing more is due.
ENDED = frozenset({State.CLOSED, State.DECLINED, State.MERGED, State.SPLIT})
UNENDED = frozenset(State) - ENDED

_RESPONSIBLE = frozenset({Party.RESPONSIBLE})
_OFFICE = frozenset({Party.OFFICE})
_BOTH = frozenset({Party.RESPONSIBLE, Party.RECEIVER})

TRANSITIONS: dict[str, Transition] = {
    step.code: step
    for step in (
        Transition(
            "accept",
            _("Accept"),
            _("Accepted"),
            frozenset({State.RECEIVED}),
            State.ACCEPTED,
            _RESPONSIBLE,
            (Need.NOTE,),
            "check",
        ),
        Transition(
            "start",
            _("Begin to handle"),
            _("Began to handle"),
            frozenset({State.ACCEPTED, State.ASSIGNED, State.RETURNED}),
            State.HANDLING,
            _RESPONSIBLE,
            (Need.NOTE,),
            "arrow-right",
        ),
        Transition(
            "answer",
            _("Answer"),
            _("Answered"),
            frozenset({State.HANDLING}),
            State.ANSWERED,
            _RESPONSIBLE,
            (Need.OUTCOME, Need.ANSWER, Need.DAY),
            "message-circle",
        ),
        Transition(
            "revisit",
            _("Revisit"),
            _("Revisited"),
            frozenset({State.ANSWERED}),
            State.REVISITED,
            _BOTH | {Party.CITIZEN},
            (Need.SATISFACTION, Need.NOTE),
            "phone",
        ),
        Transition(
            "close",
            pgettext_lazy("opinion", "Close"),
            pgettext_lazy("opinion", "Closed"),
            frozenset({State.REVISITED}),
            State.CLOSED,
            _BOTH,
            (Need.NOTE,),
            "circle-check",
        ),
        Transition(
            "assign",
            _("Assign"),
            _("Assigned"),
            frozenset({State.ACCEPTED, State.RETURNED}),
            State.ASSIGNED,
            _RESPONSIBLE | _OFFICE,
            (Need.UNIT, Need.NOTE),
            "send",
        ),
        Transition(
            "transfer",
            _("Transfer"),
            _("Transferred"),
            AT_WORK,
            State.ASSIGNED,
            _RESPONSIBLE,
            (Need.UNIT, Need.REASON),
            "arrows-exchange",
        ),
        Transition(
            "dispatch",
            _("Assign anew"),
            _("Assigned anew by the office"),
            OPEN,
            State.ASSIGNED,
            _OFFICE,
            (Need.UNIT, Need.REASON),
            "sitemap",
        ),
        Transition(
            "return",
            _("Return"),
            _("Returned"),
            frozenset({State.ASSIGNED, State.HANDLING}),
            State.RETURNED,
            _RESPONSIBLE,
            (Need.REASON,),
            "arrow-back-up",
        ),
        Transition(
            "extend",
            _("Extend the deadline"),
            _("Deadline extended"),
            AT_WORK,
            None,
            _RESPONSIBLE,
            (Need.DAYS, Need.REASON),
            "calendar-event",
        ),
        Transition(
            "pause",
            _("Pause"),
            _("Paused"),
            AT_WORK,
            None,
            _RESPONSIBLE,
            (Need.REASON,),
            "clock",
        ),
        Transition(
            "resume",
            _("Resume"),
            _("Resumed"),
            AT_WORK,
            None,
            _RESPONSIBLE,
            (Need.NOTE,),
            "arrow-right",
            while_paused=True,
        ),
        Transition(
            "merge",
            _("Merge into another"),
            _("Merged into another"),
            OPEN,
            State.MERGED,
            _RESPONSIBLE,
            (Need.INTO, Need.REASON),
            "arrow-merge",
        ),
        Transition(
            "split",
            _("Split"),
            _("Split"),
            AT_WORK,
            State.SPLIT,
            _RESPONSIBLE,
            (Need.PIECES, Need.REASON),
            "arrows-move",
        ),
        Transition(
            "decline",
            _("Decline"),
            _("Declined"),
            frozenset({State.RECEIVED}),
            State.DECLINED,
            _RESPONSIBLE,
            (Need.REASON,),
            "ban",
        ),
        Transition(
            "reopen",
            _("Take up again"),
            _("Taken up again"),
            DONE,
            State.HANDLING,
            _BOTH | {Party.CITIZEN},
            (Need.REASON,),
            "refresh",
        ),
        Transition(
            "supervise",
            _("Supervise"),
            _("Supervised by the office"),
            UNENDED,
            None,
            _OFFICE,
            (Need.REASON,),
            "eye",
            while_paused=True,
        ),
    )
}

# Steps that nobody takes by name: how an item came to be, and what a merge leaves with the other one.
RECEIVE, PIECE, ABSORB = "receive", "piece", "absorb"
DONE_WORDS: dict[str, Text] = {
    RECEIVE: _("Received"),
    PIECE: _("Came of a split"),
    ABSORB: _("Another was merged into it"),
    **{code: step.done for code, step in TRANSITIONS.items()},
}
# The likely next action in each state: the filled button, and the one click of the inbox.
LIKELY: dict[str, str] = {
    State.RECEIVED: "accept",
    State.ACCEPTED: "start",
    State.ASSIGNED: "start",
    State.RETURNED: "start",
    State.HANDLING: "answer",
    State.ANSWERED: "revisit",
    State.REVISITED: "close",
}
# Steps of one click: they ask for nothing that must be filled in.
AT_ONCE = frozenset({"accept", "start", "close", "resume"})


def parties(actor: Actor, opinion: Opinion) -> frozenset[Party]:
    """Who the actor is to the opinion."""
    found = set()
    if actor.covers(Permission.RECORD_WRITE, opinion.responsible):
        found.add(Party.RESPONSIBLE)
    if actor.covers(Permission.RECORD_WRITE, opinion.unit):
        found.add(Party.RECEIVER)
    if actor.covers(Permission.OPINION_SUPERVISE, opinion.unit):
        found.add(Party.OFFICE)
    return frozenset(found)


def is_possible(opinion: Opinion, step: Transition) -> bool:
    """Whether the item stands where the step begins, whoever asks."""
    if opinion.is_removed or opinion.state not in step.sources:
        return False
    if opinion.paused_on is not None:
        return step.while_paused
    match step.code:
        case "resume":
            return False
        case "return":
            return opinion.responsible_id != opinion.unit_id
    return True


def offered(opinion: Opinion, who: Iterable[Party]) -> list[Transition]:
    """The steps that these parties may take now, the likely one first."""
    holders = frozenset(who)
    found = [s for s in TRANSITIONS.values() if s.parties & holders and is_possible(opinion, s)]
    likely = "resume" if opinion.paused_on is not None else LIKELY.get(opinion.state, "")
    return sorted(found, key=lambda step: step.code != likely)


# --- the path --------------------------------------------------------------------------------------------------------


def path_of(steps: Iterable[OpinionStep]) -> list[int]:
    """The units, by primary key, through whose hands it came to where it lies: a return takes the last one off."""
    path: list[int] = []
    for step in steps:
        if step.to_unit_id == step.from_unit_id:
            continue
        if step.transition == "return" and step.to_unit_id in path:
            del path[path.index(step.to_unit_id) + 1 :]
        else:
            path.append(step.to_unit_id)
    return path


def ever_held(steps: Iterable[OpinionStep]) -> set[int]:
    """Every unit that the item was in the hands of."""
    return {step.to_unit_id for step in steps}
