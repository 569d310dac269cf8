"""The process that parses: started by `reporting.uploads.reading`, under limits, with nothing but the file.

It writes lines of JSON to its standard output: for each sheet one that begins with "sheet", then lists of rows; at the
end "done", or "unfit" with the reason. In rows a whole number is a date (its ordinal), as dates are many and numbers
come with a decimal point anyway; an empty cell is an empty text or null. Its standard input is a pipe into which nobody
writes: it closes when the parent is gone. No Django here, and few imports: it starts in a few hundredths of a second.
"""

from __future__ import annotations

import datetime as dt
import gc
import json
import os
import sys
import threading
from itertools import islice

from reporting.uploads.limits import (
    CHILD_CPU,
    CHILD_MEMORY,
    LAST_ROW,
    MAX_COLUMNS,
    MAX_MERGED,
    MAX_OUTPUT,
    MAX_SHEETS,
    Unfit,
)

TYPE_CHECKING = False  # as typing has it, without importing typing
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from reporting.uploads.xlsx import Oddities

CELLS_A_LINE = 2_000
STDIN, STDOUT = 0, 1
SIGKILL = 9
KNOWN_ERRORS = frozenset({"#DIV/0!", "#N/A", "#NAME?", "#NULL!", "#NUM!", "#REF!", "#VALUE!"})


# --- limits -------------------------------------------------------------------------------------------------------


def confine() -> None:
    """Limit memory, time and files, where the system can."""
    try:
        import resource
    except ImportError:
        return
    limits = {
        resource.RLIMIT_AS: CHILD_MEMORY,
        resource.RLIMIT_CPU: CHILD_CPU,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 0,
    }
    for which, most in limits.items():
        hard = resource.getrlimit(which)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        try:
            resource.setrlimit(which, (most, hard))
        except (ValueError, OSError):
            continue  # some systems know the limit and refuse to set it


def end_with_parent() -> None:
    """Wait for the parent's end: told by a signal where the system is Linux, else by the end of the pipe."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
    while os.read(STDIN, 1):
        pass
    os._exit(1)


# --- writing ------------------------------------------------------------------------------------------------------


class _Moments(dict):
    """Dates and times as JSON; most occur many times."""

    def __missing__(self, value: object) -> Any:
        said: Any
        if isinstance(value, dt.datetime):
            said = {"m": value.isoformat()}
        elif isinstance(value, dt.date):
            said = value.toordinal()
        elif isinstance(value, dt.time):
            said = {"t": value.isoformat()}
        elif isinstance(value, dt.timedelta):
            said = {"s": f"{value.days} {value.seconds} {value.microseconds}"}
        else:
            raise TypeError
        self[value] = said
        return said


_encode = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), check_circular=False, default=_Moments().__getitem__
).encode


class Output:
    """Lines of JSON, up to a number of bytes."""

    def __init__(self) -> None:
        self._left = MAX_OUTPUT

    def put(self, line: bytes) -> None:
        self._left -= len(line) + 1
        if self._left < 0:
            raise Unfit("memory")
        rest = memoryview(line + b"\n")
        while rest:
            rest = rest[os.write(STDOUT, rest) :]

    def sheet(
        self,
        name: str,
        first_row: int = 1,
        *,
        is_hidden: bool = False,
        epoch_1904: bool = False,
        hidden_rows: Iterable[int] = (),
        merged: Iterable[tuple[int, int, int, int]] = (),
        flaws: Iterable[tuple[int, int, str, str]] = (),
    ) -> None:
        """Everything of a sheet but its rows."""
        said = [name, first_row, is_hidden, epoch_1904, sorted(hidden_rows), list(merged), list(flaws)]
        self.put(_encode(["sheet", *said]).encode())

    def rows(self, rows: Iterable[list[Any]], width: int) -> None:
        """Rows, several to a line."""
        many, rows = max(1, CELLS_A_LINE // max(width, 1)), iter(rows)
        while batch := list(islice(rows, many)):
            self.put(_encode(batch).encode())


# --- reading ------------------------------------------------------------------------------------------------------


def read_csv(path: str, output: Output) -> None:
    from reporting.uploads import csv_text

    with open(path, "rb") as file:  # noqa: PTH123 - pathlib is slow to import
        rows = csv_text.rows(csv_text.decode(file.read()))
    output.sheet("")
    output.rows(rows, MAX_COLUMNS // 4)


def read_ods(path: str, output: Output) -> None:
    from reporting.uploads import ods
    from reporting.uploads.archive import Archive

    with open(path, "rb") as file:  # noqa: PTH123
        archive = Archive(file)
        content = archive.named("content.xml")
        if content is None:
            raise Unfit("damaged")
        sheets = ods.read(archive.pieces(content))
    for sheet in sheets:
        output.sheet(
            sheet.name,
            is_hidden=sheet.is_hidden,
            epoch_1904=sheet.epoch_1904,
            hidden_rows=sheet.hidden_rows,
            merged=sheet.merged,
            flaws=((*place, flaw.kind.value, flaw.text) for place, flaw in sheet.flaws.items()),
        )
        output.rows(sheet.rows, MAX_COLUMNS // 4)


def read_xlsx(path: str, output: Output) -> None:
    from reporting.uploads import xlsx
    from reporting.uploads.archive import Archive

    with open(path, "rb") as file:  # noqa: PTH123
        parts = xlsx.parts(Archive(file))

    def oddities(_number: int, name: str) -> Oddities:
        if name not in parts.sheets:
            raise Unfit("unreadable", sheet=name)
        with open(path, "rb") as file:  # noqa: PTH123 - one of its own: a thread reads it
            archive, entry = Archive(file), parts.sheets[name]
            is_odd = xlsx.is_odd(archive.pieces(entry))
            return xlsx.oddities(archive.pieces(entry)) if is_odd else xlsx.Oddities()

    _read_book(path, output, oddities, epoch_1904=parts.epoch_1904)


def read_xls(path: str, output: Output) -> None:
    import olefile

    from reporting.uploads import xls

    with olefile.OleFileIO(path) as ole:
        stream = xls.stream_of(ole)
    places = xls.sheet_places(stream)

    def oddities(number: int, _name: str) -> Oddities:
        return xls.oddities(stream, places[number])

    _read_book(path, output, oddities, epoch_1904=xls.has_epoch_1904(stream), whole=True)


def _read_book(
    path: str,
    output: Output,
    oddities: Callable[[int, str], Oddities],
    *,
    epoch_1904: bool,
    whole: bool = False,
) -> None:
    """The sheets as calamine reads them; `oddities` tells what it does not, at the same time.

    `whole`: numbers may come as int.
    """
    import python_calamine as calamine

    with open(path, "rb") as file:  # noqa: PTH123
        book = calamine.CalamineWorkbook.from_filelike(file)
    if len(book.sheets_metadata) > MAX_SHEETS:
        raise Unfit("sheets")
    for number, about in enumerate(book.sheets_metadata):
        if about.typ != calamine.SheetTypeEnum.WorkSheet:
            continue
        told = _Aside(oddities, number, about.name)
        try:
            found = book.get_sheet_by_name(about.name)
        except calamine.CalamineError as error:
            raise _why(told, about.name) from error
        odd = told.result()
        start, end = found.start or (0, 0), found.end or (0, 0)
        if end[0] >= LAST_ROW or end[1] >= MAX_COLUMNS:
            raise Unfit("far", sheet=about.name, at=(end[0] + 1, end[1]))
        output.sheet(
            about.name,
            start[0] + 1,
            is_hidden=about.visible != calamine.SheetVisibleEnum.Visible,
            epoch_1904=epoch_1904,
            hidden_rows=odd.hidden_rows,
            merged=_merged(found),
            flaws=((*place, *flaw) for place, flaw in odd.flaws.items()),
        )
        if found.start is not None:
            output.rows(_rows(found, start, whole), end[1] + 1)


def _why(told: _Aside, name: str) -> Unfit:
    """The reason for a sheet that calamine could not read; it does not know every error that a cell may show."""
    for place, (_flaw, text) in told.result().flaws.items():
        if text and text not in KNOWN_ERRORS:
            return Unfit("error_value", sheet=name, at=place, text=text)
    return Unfit("unreadable", sheet=name)


def _merged(found: Any) -> list[tuple[int, int, int, int]]:
    ranges = found.merged_cell_ranges or []
    if len(ranges) > MAX_MERGED:
        raise Unfit("unreadable", sheet=found.name)
    return [(top + 1, left, bottom + 1, right) for (top, left), (bottom, right) in ranges]


def _rows(found: Any, start: tuple[int, int], whole: bool) -> Iterator[list[Any]]:
    """Rows from the first that holds anything, cells from column A."""
    rows: Iterator[list[Any]] = islice(found.iter_rows(), start[0], None)
    if start[1]:
        rows = ([""] * start[1] + row for row in rows)
    if whole:
        rows = ([float(cell) if type(cell) is int else cell for cell in row] for row in rows)
    return rows


class _Aside:
    """Something done in a thread while calamine, which lets other threads run, reads."""

    def __init__(self, do: Callable[[int, str], Oddities], number: int, name: str) -> None:
        self._done: Oddities | BaseException
        self._name = name

        def run() -> None:
            try:
                self._done = do(number, name)
            except BaseException as error:  # noqa: BLE001 - raised by result()
                self._done = error

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()

    def result(self) -> Oddities:
        self._thread.join()
        if isinstance(self._done, Unfit):
            self._done.sheet = self._done.sheet or self._name
        if isinstance(self._done, BaseException):
            raise self._done
        return self._done


READERS: dict[str, Callable[[str, Output], None]] = {
    "csv": read_csv,
    "ods": read_ods,
    "xlsx": read_xlsx,
    "xls": read_xls,
}


def main(path: str, file_type: str) -> None:
    """Read the file and end the process."""
    gc.disable()  # it lives for one file
    confine()
    threading.Thread(target=end_with_parent, daemon=True).start()
    output = Output()
    line: list[Any]
    try:
        READERS[file_type](path, output)
        line = ["done"]
    except Unfit as unfit:
        line = ["unfit", unfit.code, unfit.sheet, unfit.at, unfit.details]
    except MemoryError:
        line = ["unfit", "memory", "", None, {}]
    except BaseException:  # noqa: BLE001 - also a panic of the reader, which is no Exception
        line = ["unfit", "unreadable", "", None, {}]
    os.write(STDOUT, _encode([*line, peak()]).encode() + b"\n")
    os._exit(0)  # nothing to tidy up, and the memory of a large sheet need not be given back piece by piece


def peak() -> int:
    """The most memory that this process held, in KiB; 0 where the system does not tell."""
    try:
        with open("/proc/self/status", "rb") as status:  # noqa: PTH123
            return next(int(line.split()[1]) for line in status if line.startswith(b"VmHWM"))
    except (OSError, StopIteration):
        return 0
