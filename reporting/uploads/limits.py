"""What a spreadsheet may weigh, and how a file that may not pass is named.

This module and those that the child imports with it (archive, xml_parts, xlsx, xls, ods, csv_text) know nothing of
Django and import little: most of a small file's time is the child's start.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as typing has it, without importing typing
if TYPE_CHECKING:
    from typing import Any

MAX_BYTES = 20 << 20
MAX_ENTRIES = 2_000
MAX_UNPACKED = 200 << 20
MAX_ROWS = 50_000
MAX_COLUMNS = 100
MAX_SHEETS = 100
# The last row that may hold anything: titles, headers and totals stand above and below the rows.
LAST_ROW = MAX_ROWS + 100
# Of all sheets together, empty cells between others included: a full sheet, and something beside it.
MAX_CELLS = 6_000_000
# Of one sheet: what people make stays far below.
MAX_MERGED = 100_000
MAX_FLAWS = 200_000
# What the child may write, in bytes, and use: bytes of address space, seconds of one core, seconds by the clock.
MAX_OUTPUT = 256 << 20
CHILD_MEMORY = 1 << 30
CHILD_CPU = 60
CHILD_SECONDS = 120


class Unfit(Exception):
    """A file that is not read; `code` names the sentence in reporting.uploads.gate, `details` fill it in.

    `at` is the row as the user sees it and the column from 0.
    """

    def __init__(
        self, code: str, *, sheet: str = "", at: tuple[int, int] | None = None, **details: Any
    ) -> None:
        super().__init__(code)
        self.code, self.sheet, self.at, self.details = code, sheet, at, details
