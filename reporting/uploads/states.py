"""The moves that an upload can make, all of them, and the one way to make one: a conditional update.

Of two who want to move the same upload one finds its row, the other is told what has become of it. A worker moves
under the fence of its claim: when somebody else has claimed the upload since, its move finds no row either.
"""

from __future__ import annotations

import enum
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from programs.registry import Text
from reporting.models import Upload
from reporting.models.upload import State


class Move(enum.Enum):
    """(from, to)"""

    # by a worker
    BEGIN = ((State.RECEIVED,), State.READING)  # see reporting.uploads.claims
    SHOW = ((State.READING,), State.PREVIEWED)
    SHOW_AGAIN = ((State.APPLYING,), State.PREVIEWED)
    FINISH = ((State.APPLYING,), State.APPLIED)
    FINISH_UNDO = ((State.UNDOING,), State.UNDONE)
    REFUSE = ((State.READING, State.APPLYING), State.REFUSED)
    FAIL = ((State.READING, State.APPLYING), State.FAILED)
    GIVE_UP_UNDO = ((State.UNDOING,), State.APPLIED)
    # by a person
    CONFIRM = ((State.PREVIEWED,), State.APPLYING)
    CANCEL = ((State.RECEIVED, State.READING, State.PREVIEWED), State.CANCELLED)
    READ_AGAIN = ((State.PREVIEWED, State.REFUSED), State.RECEIVED)
    UNDO = ((State.APPLIED,), State.UNDOING)
    # by the time
    EXPIRE = ((State.PREVIEWED,), State.EXPIRED)

    @property
    def sources(self) -> tuple[State, ...]:
        return self.value[0]

    @property
    def target(self) -> State:
        return self.value[1]


# Nobody works on it: the work is over, or has not begun.
AT_REST = {"lease_until": None, "step": "", "done": 0, "total": 0, "attempts": 0}
ENDS = {State.REFUSED, State.FAILED, State.CANCELLED, State.EXPIRED}
# What is said to somebody who asks for what cannot be any more.
SENTENCES: dict[str, Text] = {
    State.RECEIVED: _("This spreadsheet has not been read yet."),
    State.READING: _("This spreadsheet is being read."),
    State.PREVIEWED: _("This spreadsheet has not been confirmed yet."),
    State.APPLYING: _("This spreadsheet is being entered."),
    State.APPLIED: _("This spreadsheet has been entered."),
    State.UNDOING: _("This spreadsheet is being taken back."),
    State.UNDONE: _("This spreadsheet has been taken back."),
    State.REFUSED: _("This spreadsheet was refused."),
    State.FAILED: _("This spreadsheet could not be finished; bring it again."),
    State.CANCELLED: _("This spreadsheet was cancelled."),
    State.EXPIRED: _("This spreadsheet was not confirmed in time; bring it again."),
}


class WrongState(Exception):
    """The upload does not stand where the move begins. `str()` is a sentence for whoever asked."""

    def __init__(self, upload: Upload, sentence: Text = "") -> None:
        super().__init__(upload.state)
        self.upload = upload
        self.sentence = sentence or SENTENCES[upload.state]

    def __str__(self) -> str:
        return str(self.sentence)


class Superseded(Exception):
    """Somebody else works on the upload now, or it was cancelled: whoever gets this leaves everything as it is."""


def move(upload: Upload, how: Move, *, fence: int | None = None, **values: Any) -> None:
    """Make the move, with `values` for further fields, or raise: WrongState, or Superseded for a worker (`fence`).

    Part of the caller's transaction: a worker that writes records moves last, so that they are committed together.
    """
    found = Upload.objects.filter(pk=upload.pk, state__in=how.sources)
    if fence is not None:
        found = found.filter(fence=fence)
    values = {**AT_REST, **values}
    if how.target in ENDS:
        values["ended_at"] = timezone.now()
    if not found.update(state=how.target, **values):
        if fence is not None:
            raise Superseded
        upload.refresh_from_db()
        raise WrongState(upload)
    upload.refresh_from_db()
