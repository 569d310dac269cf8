"""A sheet as the reader hands it on: plain Python, so that the process that parses needs no Django."""

from __future__ import annotations

import datetime as dt
import enum
from dataclasses import dataclass, field

Cell = None | str | int | float | bool | dt.date | dt.datetime | dt.time | dt.timedelta
# First row, first column, last row, last column; rows as the user sees them, columns from 0.
Range = tuple[int, int, int, int]


class FlawKind(enum.StrEnum):
    FORMULA_WITHOUT_VALUE = "formula_without_value"
    ERROR_VALUE = "error_value"


@dataclass(frozen=True, slots=True)
class Flaw:
    """Why a cell has no value that could be read; `text` is what the program shows there ("#REF!")."""

    kind: FlawKind
    text: str = ""


@dataclass(slots=True)
class Sheet:
    """`rows[i]` is row `first_row + i` as the user sees it; its cells begin at column A, empty ones are None.

    Of merged cells only the first holds the value. `flaws` are keyed by (row as the user sees it, column from 0).
    """

    name: str
    rows: list[list[Cell]]
    first_row: int = 1
    is_hidden: bool = False
    hidden_rows: frozenset[int] = frozenset()
    merged: list[Range] = field(default_factory=list)
    flaws: dict[tuple[int, int], Flaw] = field(default_factory=dict)
    # What a bare number in a column of dates counts from.
    epoch_1904: bool = False
    # Of columns, in characters, where the file tells.
    widths: dict[int, float] = field(default_factory=dict)


def column_name(column: int) -> str:
    """ "A" for 0, "AB" for 27."""
    name, number = "", column + 1
    while number:
        number, letter = divmod(number - 1, 26)
        name = chr(ord("A") + letter) + name
    return name


def address(row: int, column: int) -> str:
    """The cell as a spreadsheet program names it: "C7"."""
    return f"{column_name(column)}{row}"
