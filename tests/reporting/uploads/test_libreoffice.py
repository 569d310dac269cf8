"""Files as LibreOffice writes them, where it is installed: the same rows in every format."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from reporting.uploads import gate, reading
from reporting.uploads.sheet import FlawKind, Sheet
from tests.reporting.uploads.cases import GOOD, HEADERS, activity, book, good

SOFFICE = os.environ.get("LIBREOFFICE") or shutil.which("soffice")
pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(not SOFFICE, reason="needs LibreOffice: install libreoffice-calc or set LIBREOFFICE"),
]
FORMATS = {"xlsx": "xlsx", "xls": "xls:MS Excel 97", "ods": "ods"}
# Comma, quotation mark, UTF-8, from the first line, quoting no texts, dates and numbers as they are shown.
CSV = "csv:Text - txt - csv (StarCalc):44,34,{charset},1,,0,false,true,false"


def everything(workbook: Any, sheet: Any) -> None:
    """Formulas, one that fails, a hidden row, merged cells, a column formatted to its end, a hidden sheet."""
    sheet.write_formula(4, 8, "=10+24", None, 34)
    sheet.write_formula(4, 9, "=1/0", None, "#DIV/0!")
    sheet.set_row(5, options={"hidden": True})
    sheet.merge_range(6, 1, 7, 1, "其他活动", workbook.add_format())
    sheet.set_column(4, 4, 20, workbook.add_format({"num_format": "yyyy-mm-dd", "bg_color": "#eeeeee"}))
    workbook.add_worksheet("旧").hide()


def converted(folder: Path, to: str) -> Path:
    source = folder / "源.xlsx"
    rows = [*GOOD, activity(4, 参加人次=None, 内容摘要=None), *(activity(number) for number in (5, 6, 7))]
    rows[-1][1] = None
    book(source, rows, then=everything)
    command = [str(SOFFICE), f"-env:UserInstallation={(folder / 'profile').as_uri()}", "--headless"]
    command += ["--convert-to", to, "--outdir", str(folder / "out"), str(source)]
    subprocess.run(command, check=True, capture_output=True, timeout=180)
    return folder / "out" / f"源.{to.partition(':')[0]}"


def read(path: Path) -> list[Sheet]:
    return reading.read(path, gate.examine(path, path.name))


@pytest.mark.parametrize("ending", FORMATS)
def test_every_format_has_the_same_rows(ending: str, tmp_path: Path) -> None:
    shown, hidden = read(converted(tmp_path, FORMATS[ending]))
    assert (shown.name, shown.is_hidden, hidden.name, hidden.is_hidden) == ("活动台账", False, "旧", True)
    assert shown.rows[0][: len(HEADERS)] == HEADERS
    assert [row[:10] for row in shown.rows[1:4]] == good()
    assert shown.rows[4][8] == 34
    assert {place: (flaw.kind, flaw.text) for place, flaw in shown.flaws.items()} == {
        (5, 9): (FlawKind.ERROR_VALUE, "#DIV/0!")
    }
    assert shown.hidden_rows == {6}
    assert (7, 1, 8, 1) in shown.merged
    assert (shown.rows[6][1], shown.rows[7][1], shown.rows[7][0]) == ("其他活动", None, "邻里互助7")
    assert len(shown.rows) == 8


@pytest.mark.parametrize(("charset", "encoding"), [("76", "utf-8"), ("GB-18030", "gb18030")])
def test_text_in_both_encodings(charset: str, encoding: str, tmp_path: Path) -> None:
    number = {"GB-18030": "85"}.get(charset, charset)
    path = converted(tmp_path, CSV.format(charset=number))
    path.read_bytes().decode(encoding)
    (sheet,) = read(path)
    assert sheet.rows[0] == HEADERS
    assert sheet.rows[1][0] == "邻里互助1"
    assert sheet.rows[1][4] == "2026-03-05"
    assert len(sheet.rows) == 8
