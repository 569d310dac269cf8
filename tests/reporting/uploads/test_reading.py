"""Every file of the corpus is read right or refused with the reason, in a process that ends with it."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings

from reporting.uploads import child, gate, reading
from reporting.uploads.gate import FileType, Refused
from reporting.uploads.limits import LAST_ROW, Unfit
from reporting.uploads.sheet import FlawKind, Sheet
from tests.reporting.uploads import raw_files as raw
from tests.reporting.uploads.corpus import CASES, Case
from tests.reporting.uploads.mutations import mutants
from tests.reporting.uploads.zygote import Zygote

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[3]
MUTATIONS = int(os.environ.get("UPLOAD_MUTATIONS", "2000"))
READ = [case for case in CASES.values() if case.expect == "rows" or not case.at_gate]


def read(path: Path) -> list[Sheet]:
    return reading.read(path, gate.examine(path, path.name))


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("good") / "台账.xlsx"
    CASES["epoch_of_1900"].make(path)
    return path


def still_reads(good: Path) -> bool:
    check = CASES["epoch_of_1900"].seen
    return check is not None and check(read(good))


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    """A file on which a reader waits for ever."""
    path = tmp_path / "a.csv"
    os.mkfifo(path)
    return path


@pytest.fixture
def patched(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Run some Python in the child before it begins."""

    def patch(code: str) -> None:
        head, tail = reading.CHILD.split("from reporting", 1)
        monkeypatch.setattr(
            reading, "CHILD", f"{head}\nfrom reporting.uploads import child\n{code}\nfrom reporting{tail}"
        )

    return patch


# --- the corpus ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", READ, ids=lambda case: case.name)
def test_a_file_is_read_or_refused(
    case: Case,
    tmp_path: Path,
    good: Path,
    caplog: pytest.LogCaptureFixture,
    record_property: Callable[..., None],
) -> None:
    path = tmp_path / case.file
    case.make(path)
    caplog.set_level(logging.DEBUG, reading.__name__)
    began = time.monotonic()
    if case.expect == "rows":
        found = read(path)
        assert case.seen is None or case.seen(found), found
    else:
        with pytest.raises(Refused) as caught:
            read(path)
        assert (caught.value.code, caught.value.cell) == (case.code, case.cell)
    took = time.monotonic() - began
    peak = next(
        (int(record.args[0]) >> 10 for record in caplog.records if record.levelno == logging.DEBUG), None
    )  # type: ignore[index,arg-type]
    record_property("reading", {"name": case.name, "place": "child", "seconds": took, "megabytes": peak})
    assert took < 30
    assert still_reads(good)


def test_what_is_expected_of_the_rows_adds_up() -> None:
    """`later` of the corpus is for the tests of checking; here only that it can be true of the rows read."""
    for case in CASES.values():
        if case.later is not None:
            rows = {cell.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ") for cell in case.later.refused}
            assert case.expect == "rows"
            assert case.later.accepted + len(rows) + case.later.left_out >= 0


def test_a_sheet_keeps_its_place(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    data = '<row r="7"><c r="C7"><v>1</v></c></row><row r="9"><c r="D9"><v>2.5</v></c></row>'
    raw.write_zip(path, raw.package({"甲": raw.sheet_xml(data), "乙": raw.sheet_xml("")}, hidden=["乙"]))
    one, other = read(path)
    assert (one.name, one.first_row) == ("甲", 7)
    assert one.rows == [[None, None, 1, None], [None] * 4, [None, None, None, 2.5]]
    assert (other.name, other.rows, other.is_hidden) == ("乙", [], True)


def test_a_flaw_above_the_rows_keeps_its_place(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    data = '<row r="2"><c r="E2"><f>1</f></c></row><row r="4"><c r="A4"><v>1</v></c></row>'
    raw.write_zip(path, raw.package({"甲": raw.sheet_xml(data)}))
    (sheet,) = read(path)
    assert (sheet.first_row, [row[:1] for row in sheet.rows]) == (2, [[None], [], [1]])
    assert list(sheet.flaws) == [(2, 4)]


@pytest.mark.parametrize("base", ["formulas_without_value", "error_cells", "hidden_rows"])
def test_the_quick_search_misses_nothing_in_a_large_sheet(base: str, tmp_path: Path) -> None:
    """The odd cell stands in the last row of many: the sheet is parsed all the same."""
    path = tmp_path / "a.xlsx"
    rows = "".join(f'<row r="{row}"><c r="A{row}"><v>{row}</v></c></row>' for row in range(1, 20_000))
    odd = {
        "formulas_without_value": '<row r="20000"><c r="A20000"><f>A1</f></c></row>',
        "error_cells": '<row r="20000"><c r="A20000" t="e"><v>#REF!</v></c></row>',
        "hidden_rows": '<row r="20000" hidden="1"><c r="A20000"><v>1</v></c></row>',
    }[base]
    raw.write_zip(path, raw.package({"甲": raw.sheet_xml(rows + odd)}))
    (sheet,) = read(path)
    assert len(sheet.rows) == 20_000
    assert sheet.hidden_rows == ({20_000} if base == "hidden_rows" else frozenset())
    assert list(sheet.flaws) == ([] if base == "hidden_rows" else [(20_000, 0)])


def test_a_formula_with_a_value_costs_no_parsing(monkeypatch: pytest.MonkeyPatch) -> None:
    from reporting.uploads import xlsx

    row = '<row r="{0}"><c r="A{0}"><f>1+{0}</f><v>{0}</v></c><c r="B{0}" t="str"><f>A{0}</f><v>甲</v></c></row>'
    head = '<worksheet><cols><col min="1" max="1" hidden="1"/></cols><sheetData>'
    plain = [
        head.encode(),
        "".join(row.format(number) for number in range(1, 500)).encode(),
        b"</sheetData></worksheet>",
    ]
    assert not xlsx.is_odd(plain)
    assert xlsx.is_odd([*plain[:2], b'<row r="500"><c r="A500"><f>1</f></c></row></sheetData>'])


def test_formulas_that_openpyxl_writes_have_no_value(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    workbook = openpyxl.Workbook()
    for row in range(1, 500):
        workbook.active.append([row, f"=A{row}+1", None])
    workbook.save(path)
    (sheet,) = read(path)
    assert len(sheet.flaws) == 499
    assert sheet.flaws[499, 1].kind == FlawKind.FORMULA_WITHOUT_VALUE


def test_too_many_flaws_are_refused(tmp_path: Path, patched: Callable[[str], None]) -> None:
    path = tmp_path / "a.xlsx"
    CASES["formulas_without_value"].make(path)
    patched("from reporting.uploads import xlsx; xlsx.MAX_FLAWS = 2")
    with pytest.raises(Refused) as caught:
        read(path)
    assert (caught.value.code, caught.value.cell) == ("flaws", "K4")


# --- text ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", ["gb18030", "latin-1", "cp1252"])
def test_garbled_text_is_told(wrong: str) -> None:
    garbled = "主题活动".encode().decode(wrong, "replace")
    assert reading.is_garbled(garbled)
    assert reading.is_garbled("主题活动".encode("gb18030").decode("latin-1"))


@pytest.mark.parametrize(
    "text", ["主题", "联通", "参加人次（人）", "é", "Müller, 30 °C", "", "2026/3/5", "䶮𠮷", "№①②"]
)
def test_plain_text_is_not_garbled(text: str) -> None:
    assert not reading.is_garbled(text)


# --- the child ----------------------------------------------------------------------------------------------------


def test_the_child_knows_nothing_of_our_secrets(
    tmp_path: Path, patched: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://a:secret@b/c")
    patched("import os; child.READERS['csv'] = lambda path, output: output.sheet(' '.join(os.environ))")
    (sheet,) = reading.read(tmp_path / "a.csv", FileType.CSV)
    assert set(sheet.name.split()) <= {"PATH", "LD_LIBRARY_PATH", "MALLOC_ARENA_MAX", "LC_CTYPE"}


def test_the_child_does_not_import_django(tmp_path: Path, patched: Callable[[str], None]) -> None:
    patched(
        "import sys; child.READERS['csv'] = lambda path, output: output.sheet(str('django' in sys.modules))"
    )
    assert reading.read(tmp_path / "a.csv", FileType.CSV)[0].name == "False"


def test_it_reads_where_limits_cannot_be_set(good: Path, patched: Callable[[str], None]) -> None:
    patched("import sys; sys.modules['resource'] = None; sys.platform = 'other'")
    assert still_reads(good)


ENDS = {
    "takes all memory": ("[bytes(1 << 24) for _ in iter(int, 1)]", "memory"),
    "is aborted": ("__import__('os').abort()", "memory"),
    "is killed": ("__import__('os').kill(__import__('os').getpid(), 9)", "memory"),
    "crashes": ("__import__('ctypes').string_at(0)", "unreadable"),
    "falls silent": ("(__import__('os').close(1), __import__('time').sleep(99))", "unreadable"),
    "leaves": ("__import__('os')._exit(3)", "unreadable"),
    "raises": ("1 / 0", "unreadable"),
    "never stops computing": ("[None for _ in iter(int, 1) if False]", "time"),
    "never stops writing": (
        "(output.sheet(''), [output.put(b'[[' + b'1.0,' * 99999 + b'1.0]]') for _ in iter(int, 1)])",
        "memory",
    ),
    "writes one line for ever": ("[__import__('os').write(1, b'[' * 65536) for _ in iter(int, 1)]", "memory"),
    "writes nonsense": ("output.put(b'nonsense')", "unreadable"),
    "writes another nonsense": ("output.put(b'[[1e999, {\"x\": 1}]]')", "unreadable"),
    "writes a date that is none": (
        "(output.sheet(''), output.put(b'[[99999999999999999999]]'))",
        "unreadable",
    ),
    "writes a deep line": ("(output.sheet(''), output.put(b'[' * 100000))", "unreadable"),
    "writes a wrong header": ("output.put(b'[\"sheet\",1]')", "unreadable"),
    "writes a wrong refusal": ("output.put(b'[\"unfit\",1]')", "unreadable"),
    "writes a file": ("open('/tmp/never-written', 'w').write('x' * 100000)", "unreadable"),
}


@pytest.mark.parametrize("end", ENDS)
def test_whatever_becomes_of_the_child_is_a_refusal(
    end: str, tmp_path: Path, good: Path, patched: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    does, code = ENDS[end]
    monkeypatch.setattr(reading, "CHILD_SECONDS", 30)
    began = time.monotonic()
    patched(f"child.CHILD_CPU = 1; child.READERS['csv'] = lambda path, output: {does}")
    with pytest.raises(Refused) as caught:
        reading.read(tmp_path / "a.csv", FileType.CSV)
    assert caught.value.code == code
    assert time.monotonic() - began < 20
    assert children_of(os.getpid()) == set()


def test_the_child_counts_what_it_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []
    monkeypatch.setattr(child.os, "write", lambda _number, line: written.append(bytes(line)) or len(line))
    monkeypatch.setattr(child, "MAX_OUTPUT", 25)
    output = child.Output()
    output.rows([["123456"], ["é"]], 2_000)
    with pytest.raises(Unfit, match="memory"):
        output.rows([["1"]], 1)
    assert written == [b'[["123456"]]\n', '[["é"]]\n'.encode()]


def test_a_child_that_waits_is_ended(fifo: Path, monkeypatch: pytest.MonkeyPatch, good: Path) -> None:
    monkeypatch.setattr(reading, "CHILD_SECONDS", 0.5)
    began = time.monotonic()
    with pytest.raises(Refused) as caught:
        reading.read(fifo, FileType.CSV)
    assert caught.value.code == "time"
    assert time.monotonic() - began < 3
    assert children_of(os.getpid()) == set()
    monkeypatch.undo()
    assert still_reads(good)


def test_sheets_that_nobody_wants_any_more_end_the_child(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    CASES["as_many_rows_as_may_be"].make(path)
    reader = reading.sheets(path, FileType.XLSX)
    reader.close()
    with contextlib.closing(reading.sheets(path, FileType.XLSX)) as reader:
        assert next(reader).rows
    assert children_of(os.getpid()) == set()


def children_of(pid: int) -> set[int]:
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            found.update(map(int, (task / "children").read_text().split()))
    return found


def until(condition: Callable[[], bool], seconds: float = 5) -> bool:
    ends = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > ends:
            return False
        time.sleep(0.02)
    return True


def is_alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return False


CHILD_OF = [sys.executable, "-I", "-c", reading.CHILD, str(ROOT), reading._packages()]
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@linux
def test_the_child_ends_with_the_pipe_of_its_parent(fifo: Path) -> None:
    """Where the system does not tell of the parent's end."""
    with subprocess.Popen(
        [*CHILD_OF, str(fifo), "csv"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        time.sleep(0.3)
        assert process.poll() is None
        process.stdin.close()
        assert until(lambda: process.poll() is not None)


@linux
def test_the_child_ends_with_its_killed_parent(fifo: Path) -> None:
    """Even if another process has a copy of that pipe's other end."""
    code = "import subprocess, sys, time; subprocess.Popen(sys.argv[1:]); time.sleep(60)"
    keeps, kept = os.pipe()
    with subprocess.Popen([sys.executable, "-c", code, *CHILD_OF, str(fifo), "csv"], stdin=keeps) as parent:
        assert until(lambda: len(children_of(parent.pid)) == 1)
        (child,) = children_of(parent.pid)
        time.sleep(0.5)
        assert is_alive(child)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        assert until(lambda: not is_alive(child))
    os.close(keeps)
    os.close(kept)


# --- mutations ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    with Zygote() as zygote:
        yield zygote


@settings(
    max_examples=MUTATIONS,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)
@given(mutant=mutants())
def test_a_broken_file_is_read_or_refused(
    mutant: tuple[str, bytes], tmp_path: Path, zygote: Zygote, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sheets or Refused, nothing else, under the child's limits and soon."""
    name, content = mutant
    path = tmp_path / name
    path.write_bytes(content)
    monkeypatch.setattr(reading.subprocess, "Popen", zygote.popen)
    began = time.monotonic()
    try:
        found = read(path)
    except Refused as refused:
        found, code, said = [], refused.code, str(refused)
    else:
        code, said = "", "rows"
    assert said
    assert code != "time"
    assert all(isinstance(sheet, Sheet) and len(sheet.rows) <= LAST_ROW for sheet in found)
    assert time.monotonic() - began < 20


def test_children_of_the_zygote_are_confined(
    zygote: Zygote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mutations prove something only if these are the same children under the same limits."""
    monkeypatch.setattr(reading.subprocess, "Popen", zygote.popen)
    for name in ("two_corners_in_other_words", "epoch_of_1900", "xls", "ods", "csv_utf8"):
        case = CASES[name]
        path = tmp_path / case.file
        case.make(path)
        if case.expect == "rows":
            assert read(path)[0].rows
        else:
            with pytest.raises(Refused) as caught:
                read(path)
            assert caught.value.code == "memory"


def test_a_cell_that_no_program_would_write_is_not_told_as_an_open_quotation_mark(tmp_path: Path) -> None:
    path = tmp_path / "长.csv"
    path.write_text("主题,地点\n一,二\n" + "长" * 200_000 + ",三\n", encoding="utf-8")
    with pytest.raises(Refused) as caught:
        read(path)
    assert caught.value.code == "long_cell"
    assert "3" in str(caught.value)
