"""What must not pass is told before any parser sees it, with a sentence; what is usual in real files passes."""

from __future__ import annotations

import re
import resource
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.utils import translation

from reporting.uploads import gate, limits, xlsx
from reporting.uploads.gate import FileType, Refused
from tests.reporting.uploads import raw_files as raw
from tests.reporting.uploads.cases import GOOD_XML, SHEET, with_dates
from tests.reporting.uploads.corpus import CASES, Case

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[3]
AT_GATE = [case for case in CASES.values() if case.expect == "refused" and case.at_gate]
PASSING = [case for case in CASES.values() if case not in AT_GATE]


@pytest.fixture
def no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: Any, **_options: Any) -> None:
        pytest.fail("a process was started")

    monkeypatch.setattr(subprocess, "Popen", fail)


def refusal(path: Path, name: str = "") -> Refused:
    with pytest.raises(Refused) as caught:
        gate.examine(path, name or path.name)
    return caught.value


@pytest.mark.usefixtures("no_process")
@pytest.mark.parametrize("case", AT_GATE, ids=lambda case: case.name)
def test_a_hostile_file_does_not_pass(
    case: Case, tmp_path: Path, record_property: Callable[..., None]
) -> None:
    path = tmp_path / case.file
    case.make(path)
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    refused = refusal(path)
    took, more = time.monotonic() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    record_property(
        "reading", {"name": case.name, "place": "gate", "seconds": took, "megabytes": more // 1024}
    )
    assert (refused.code, refused.cell) == (case.code, case.cell)
    assert took < 5
    assert more < 50 * 1024


@pytest.mark.usefixtures("no_process")
@pytest.mark.parametrize("case", PASSING, ids=lambda case: case.name)
def test_everything_else_passes(case: Case, tmp_path: Path) -> None:
    path = tmp_path / case.file
    case.make(path)
    assert gate.examine(path, path.name).value == path.suffix[1:].lower()


def test_the_type_is_told_by_the_name_that_the_user_gave(tmp_path: Path) -> None:
    path = tmp_path / "7f3a"  # as it is stored
    CASES["xls"].make(path)
    assert gate.examine(path, "三月 台账.XLS") == FileType.XLS
    assert refusal(path, "台账.xlsx").code == "renamed"
    assert refusal(path, "台账").code == "type"


# --- sentences ----------------------------------------------------------------------------------------------------


def codes_in_sources() -> set[str]:
    sources = (path.read_text(encoding="utf-8") for path in (ROOT / "reporting/uploads").glob("*.py"))
    found = [re.findall(r'Unfit\(\s*"(\w+)"|"unfit", "(\w+)"', source) for source in sources]
    choices = re.findall(
        r'Unfit\("(\w+)" if [^)]*? else "(\w+)"', (ROOT / "reporting/uploads/gate.py").read_text()
    )
    return {code for pairs in [*found, choices] for pair in pairs for code in pair if code}


def test_every_refusal_has_a_sentence_and_every_sentence_a_refusal() -> None:
    codes = codes_in_sources() | {"memory", "time", "unreadable"}
    assert codes == set(gate.SENTENCES)
    tested = {case.code for case in CASES.values() if case.expect == "refused"}
    assert codes - tested <= {"time", "flaws"}  # see test_reading.py


@pytest.mark.parametrize("language", ["en", "zh-hans"])
@pytest.mark.parametrize("code", sorted(gate.SENTENCES))
def test_a_sentence_is_filled_in(code: str, language: str) -> None:
    unfit = limits.Unfit(code, sheet="台账", at=(7, 2), line=3, row=4, text="#REF!")
    refused = gate.refused(unfit, named="xls")
    with translation.override(language):
        said = refused.message
        assert said == str(refused)
        assert ("C7" in said) == ("%(cell)s" in str(gate.SENTENCES[code]))
    assert "%" not in said
    assert said.endswith((".", "。"))
    assert (refused.code, refused.sheet, refused.cell) == (code, "台账", "C7")


def test_a_sentence_is_said_in_the_language_of_the_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    said = Refused("x", gate.SENTENCES["empty"])
    with translation.override("en"):
        assert str(said) == "The file is empty."
    assert str(Refused("x", "已经翻译好的一句话。")) == "已经翻译好的一句话。"


# --- what is looked for ---------------------------------------------------------------------------------------------


def beyond(*cells: str) -> list[str]:
    """Those of the references that the search for far cells finds, each in a sheet of its own."""

    def found(cell: str) -> bool:
        far = xlsx.Far()
        far.look(
            f'<worksheet><sheetData><row r="{cell.strip("ABCDFVWXZ")}"><c r="{cell}"><v>1</v></c>'.encode()
        )
        return far.is_possible

    return [cell for cell in cells if found(cell)]


def test_the_search_for_far_cells_is_exact() -> None:
    near = ["A1", "Z9999", "AA1", "BZ7", "CA1", "CV1", "CV50099", "A50000", "A50099"]
    far = [
        "CW1",
        "CX12",
        "DA1",
        "ZZ1",
        "AAA1",
        "XFD1048576",
        "A50100",
        "A51000",
        "A60000",
        "A99999",
        "A100000",
        "CW50100",
    ]
    assert beyond(*near) == []
    assert beyond(*far) == far


def test_a_far_cell_is_found_wherever_a_piece_ends(tmp_path: Path) -> None:
    cell = b'<row r="70000"><c r="A70000" s="1"><v>1</v></c></row>'
    for cut in range(len(cell)):
        far = xlsx.Far()
        for piece in (b"x" * 70 + cell[:cut], cell[cut:] + b"x" * 70):
            far.look(piece)
        assert far.is_possible, cut


def test_a_far_formula_is_content(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    raw.write_zip(
        path, with_dates({SHEET: raw.sheet_xml('<row r="60000"><c r="B60000"><f>1+1</f></c></row>')})
    )
    refused = refusal(path)
    assert (refused.code, refused.sheet, refused.cell) == ("far", SHEET, "B60000")
    assert "B60000" in str(refused)


def test_bytes_are_counted_as_they_come_out(tmp_path: Path) -> None:
    """Not as they are declared, and up to the last: the largest workbook that may pass does, one byte more does not."""
    parts = [(name, *raw.deflated(part, 1)) for name, part in raw.package({SHEET: GOOD_XML}).items()]
    left = limits.MAX_UNPACKED - sum(size for *_rest, size in parts)
    path = tmp_path / "a.xlsx"
    for size, is_fine in ((left, True), (left + 1, False)):
        packer = raw.deflated(b" " * size, 1)
        path.write_bytes(raw.raw_zip([*parts, ("xl/media/a.png", *packer)]))
        if is_fine:
            assert gate.examine(path, path.name) == FileType.XLSX
        else:
            assert refusal(path).code == "unpacked"
