"""Sheets out of a file that has passed the gate: parsed in a child process, handed over as lines of JSON.

The parser may run out of memory, loop or crash on a file made for it: that is the child's end, and a Refused here.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import glob
import json
import logging
import os
import selectors
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, cast

from reporting.uploads.csv_text import is_garbled
from reporting.uploads.gate import FileType, refused
from reporting.uploads.limits import CHILD_SECONDS, MAX_CELLS, MAX_OUTPUT, Unfit
from reporting.uploads.sheet import Cell, Flaw, FlawKind, Sheet

__all__ = ["drop_kept", "is_garbled", "read", "read_kept", "sheets"]

logger = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[2]
# As a module, not as a script: of a module the compiled form is kept. Python starts without `site`, which looks for
# packages longer than the child needs to import one; so it is told where they are.
CHILD = (
    "import sys; sys.path[:0] = sys.argv[1:3]; from reporting.uploads.child import main; main(*sys.argv[3:])"
)
CHUNK = 1 << 20
# How the last line of a file begins that was read to its end.
DONE = b'["done"'
# Seconds for a child to end that has nothing more to say.
GRACE = 5
# A line holds 2,000 cells; a longer one than this is no line of ours.
LONGEST_LINE = 64 << 20
# Numbers that are whole and exact. From 16 digits on Excel has already lost the last: those stay floats.
EXACT = 1e15
MOST_SHARED = 20_000


def read(path: Path, file_type: FileType, *, keep: bool = False) -> list[Sheet]:
    """Every sheet of the file, hidden ones too; raises Refused. `keep`: for `read_kept`, until `drop_kept`."""
    return list(sheets(path, file_type, keep=keep))


def sheets(path: Path, file_type: FileType, *, keep: bool = False) -> Iterator[Sheet]:
    """The same, one sheet after the other, so that only one need be held; the child waits meanwhile, and its time runs.
    Raises Refused, at any sheet."""
    try:
        with _Child(path, file_type) as child:
            yield from _sheets(_keeping(child, path) if keep else child)
    except Unfit as unfit:
        raise refused(unfit) from None


# --- what was read before -----------------------------------------------------------------------------------------


def read_kept(path: Path) -> list[Sheet] | None:
    """The sheets of a file that was read before, without another child; None if they were not kept, or not whole."""
    try:
        with _kept(path).open("rb") as lines:
            return list(_sheets(lines))
    except (OSError, Unfit):
        return None


def drop_kept(path: Path) -> None:
    """Forget what was kept, and what a reader left that died over it."""
    for beside in path.parent.glob(f"{glob.escape(path.name)}.*"):
        with contextlib.suppress(OSError):
            beside.unlink()


def _kept(path: Path) -> Path:
    """Where the child's lines are kept. The number is that of their form: an updated portal reads no older one."""
    return path.with_name(f"{path.name}.cells-1")


def _keeping(lines: Iterator[bytes], path: Path) -> Iterator[bytes]:
    keeper = _Keeper(path)
    try:
        for line in lines:
            keeper.take(line)
            yield line
    finally:
        keeper.end()


class _Keeper:
    """Writes the child's lines beside the file; they stand there once all have been said. Without room it gives up."""

    def __init__(self, path: Path) -> None:
        self._target = _kept(path)
        self._part = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
        self._file: IO[bytes] | None = None
        with contextlib.suppress(OSError):
            self._file = self._part.open("wb")

    def take(self, line: bytes) -> None:
        if self._file is None:
            return
        try:
            self._file.writelines((line, b"\n"))
            if line.startswith(DONE):
                self._file.close()
                self._part.replace(self._target)
                self._file = None
        except OSError:
            self.end()

    def end(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
                self._part.unlink()
            self._file = None


# --- what the child says ------------------------------------------------------------------------------------------


class _Numbers(dict[str, int | float]):
    """The numbers of a file by how they are written: most occur many times."""

    def __missing__(self, text: str) -> int | float:
        number: int | float = float(text)
        if abs(number) < EXACT and number == (whole := int(number)):
            number = whole
        if len(self) > 100_000:
            self.clear()
        self[text] = number
        return number


class _Days(dict[str, dt.date]):
    """Dates by their ordinals."""

    def __missing__(self, text: str) -> dt.date:
        day = self[text] = dt.date.fromordinal(int(text))
        return day


def _from_json(value: dict[str, Any]) -> Cell:
    ((kind, said),) = value.items()
    if kind == "m":
        return dt.datetime.fromisoformat(said)
    if kind == "t":
        return dt.time.fromisoformat(said)
    days, seconds, microseconds = map(int, said.split())
    return dt.timedelta(days, seconds, microseconds)


def _sheets(lines: Iterator[bytes]) -> Iterator[Sheet]:
    decode = json.JSONDecoder(
        object_hook=_from_json,
        parse_int=_Days().__getitem__,
        parse_float=_Numbers().__getitem__,
        parse_constant=str,
    ).decode
    sheet: Sheet | None = None
    left = MAX_CELLS
    texts: dict[str, str | None] = {}
    try:
        for line in lines:
            if line.startswith(b"[["):
                if sheet is None:
                    raise Unfit("unreadable")
                rows = decode(line.decode())
                left -= sum(map(len, rows))
                if left < 0:
                    raise Unfit("memory")
                sheet.rows.extend(_shared(rows, texts))
                continue
            word, *said = json.loads(line)
            if sheet is not None:
                yield _trimmed(sheet)
                sheet = None
            if word in ("done", "unfit"):
                logger.debug("A spreadsheet was read with %d KiB.", said.pop())
            if word == "done":
                return
            if word == "unfit":
                code, name, at, details = said
                raise Unfit(code, sheet=name, at=tuple(at) if at else None, **details)
            sheet = _begun(*said)
    except (ValueError, TypeError, LookupError, OverflowError, RecursionError) as error:
        raise Unfit("unreadable") from error
    raise Unfit("unreadable")


def _shared(rows: list[list[Cell]], texts: dict[str, str | None]) -> list[list[Cell]]:
    """The rows with None for empty texts, and with one object for texts that occur again and again: that halves the
    memory of most sheets."""
    if len(texts) > MOST_SHARED:
        texts.clear()
    texts[""] = None
    return [[texts.setdefault(cell, cell) if type(cell) is str else cell for cell in row] for row in rows]


def _begun(
    name: str,
    first_row: int,
    is_hidden: bool,
    epoch: bool,
    hidden: list[int],
    merged: list[Any],
    flaws: list[Any],
) -> Sheet:
    return Sheet(
        name=name,
        rows=[],
        first_row=first_row,
        is_hidden=is_hidden,
        epoch_1904=epoch,
        hidden_rows=frozenset(hidden),
        merged=[(top, left, bottom, right) for top, left, bottom, right in merged],
        flaws={(row, column): Flaw(FlawKind(kind), text) for row, column, kind, text in flaws},
    )


def _trimmed(sheet: Sheet) -> Sheet:
    """Without empty rows and columns at the end, but with every row and column that has a flaw."""
    rows = sheet.rows
    while rows and all(not row or row[-1] is None for row in rows) and any(rows):
        rows[:] = [row[:-1] for row in rows]
    if sheet.flaws:
        first = min(row for row, _column in sheet.flaws)
        if not rows or first < sheet.first_row:
            rows[:0] = [[] for _row in range(sheet.first_row - first)] if rows else []
            sheet.first_row = first
        last = max(row for row, _column in sheet.flaws)
        rows.extend([] for _row in range(last + 1 - sheet.first_row - len(rows)))
        for row, column in sheet.flaws:
            cells = rows[row - sheet.first_row]
            cells.extend([None] * (column + 1 - len(cells)))
    flawed = {row for row, _column in sheet.flaws}
    while rows and sheet.first_row + len(rows) - 1 not in flawed and all(cell is None for cell in rows[-1]):
        rows.pop()
    return sheet


@cache
def _packages() -> str:
    """The folder of the parser."""
    found = find_spec("python_calamine")
    if found is None or found.origin is None:
        raise ImportError("python_calamine")
    return str(Path(found.origin).parents[1])


# --- the child ----------------------------------------------------------------------------------------------------


class _Child:
    """The process, as an iterator over the lines that it writes. Raises Unfit: time, memory, unreadable."""

    def __init__(self, path: Path, file_type: FileType) -> None:
        arguments = [str(ROOT), _packages(), str(path.resolve()), file_type.value]
        # Nothing of our environment: passwords of databases are in it.
        keep = {
            name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT") if name in os.environ
        }
        self._ends = time.monotonic() + CHILD_SECONDS
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-I", "-S", "-X", "utf8", "-c", CHILD, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # What a parser says of a file may hold what stands in its cells.
            stderr=subprocess.DEVNULL,
            env=keep | {"MALLOC_ARENA_MAX": "2"},
            bufsize=0,
        )
        self._selector = selectors.DefaultSelector()
        self._lines = self._read_lines()

    def __enter__(self) -> Iterator[bytes]:
        return self._lines

    def __exit__(self, *_error: object) -> None:
        """End the process, whatever it is doing."""
        self._process.kill()
        self._selector.close()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self._process.wait()

    def _read_lines(self) -> Iterator[bytes]:
        output, left = cast("IO[bytes]", self._process.stdout).fileno(), MAX_OUTPUT + CHUNK
        self._selector.register(output, selectors.EVENT_READ)
        pending: list[bytes] = []
        length = 0
        while chunk := self._chunk(output):
            left -= len(chunk)
            length += len(chunk)
            if left < 0 or length > LONGEST_LINE:
                raise Unfit("memory")
            *ended, rest = chunk.split(b"\n")
            if ended:
                ended[0] = b"".join([*pending, ended[0]])
                yield from ended
                pending, length = [], len(rest)
            pending.append(rest)
        raise self._died()

    def _chunk(self, output: int) -> bytes:
        wait = self._ends - time.monotonic()
        if wait <= 0 or not self._selector.select(wait):
            raise Unfit("time")
        return os.read(output, CHUNK)

    def _died(self) -> Unfit:
        """Why the child ended without a word."""
        try:
            code = self._process.wait(timeout=GRACE)
        except subprocess.TimeoutExpired:  # it has closed its output and goes on
            return Unfit("unreadable")
        logger.warning("The reader of spreadsheets ended with %d.", code)
        if code == -signal.SIGXCPU:
            return Unfit("time")
        # Rust aborts when it gets no memory; a machine that has none left kills.
        return Unfit("memory" if code in (-signal.SIGABRT, -signal.SIGKILL) else "unreadable")
