"""What a check of a sheet found, row by row."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from programs.actions.bulk import ChangedRow, NewRow
from programs.registry import RecordKind
from reporting.uploads.standing import Key

Values = dict[str, Any]


@dataclass(slots=True)
class Same:
    """A row that adds nothing: it is the record `of_record`, or says what the row `of_row` of the sheet `of_sheet`
    said."""

    row: int
    of_record: int | None
    of_row: int | None
    message: str
    of_sheet: str = ""


@dataclass(slots=True)
class Problem:
    """One thing that is wrong with a row; `column` None and `field` "" where it is about the row as a whole.

    `value` is what stands in the cell: masked for class C2, "" for C3 and C4, whose values are in no message either.
    """

    row: int
    column: int | None
    field: str
    header: str
    value: str
    message: str


@dataclass(slots=True)
class LeftOut:
    row: int
    reason: str


@dataclass(slots=True)
class Notice:
    """Something to know before one confirms. Row 0: about the whole sheet."""

    row: int
    message: str


@dataclass(slots=True)
class Checked:
    """What would happen to the rows. Every row that was read is in exactly one of the lists."""

    kind: RecordKind
    sheet: str
    read: int = 0
    new: list[NewRow] = field(default_factory=list)
    changed: list[ChangedRow] = field(default_factory=list)
    same: list[Same] = field(default_factory=list)
    refused: list[Problem] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    refused_rows: int = 0

    @property
    def adds_up(self) -> bool:
        good = len(self.new) + len(self.changed) + len(self.same)
        return self.read == good + self.refused_rows + len(self.left_out)


@dataclass(slots=True)
class First:
    """The first row of a file with a key."""

    sheet: str
    row: int
    values: Values


class Seen(dict[Key, First]):
    """The good rows of a file so far, by key: one for all sheets of a kind."""
