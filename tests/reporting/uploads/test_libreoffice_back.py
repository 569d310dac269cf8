"""What we hand out, opened in LibreOffice, where it is installed: nothing is lost on the way there and back."""

from __future__ import annotations

import csv
import io
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import openpyxl
import pytest

from programs import registry
from programs.access import Actor
from reporting.uploads import gate, reading
from reporting.uploads.blank import blank_workbook
from reporting.uploads.checking import Checked, check
from reporting.uploads.layout import find
from reporting.uploads.marked import marked_workbook
from reporting.uploads.sheet import Sheet
from tests.reporting.uploads.test_blank import filled_in
from tests.reporting.uploads.test_libreoffice import SOFFICE

pytestmark = [
    pytest.mark.once,
    pytest.mark.django_db,
    pytest.mark.skipif(not SOFFICE, reason="needs LibreOffice: install libreoffice-calc or set LIBREOFFICE"),
]
ACTIVITIES = registry.kind("activities")
HEADERS: list[Any] = ["主题", "系列", "场所", "日期", "参加人数", "内容摘要"]
# Comma, quotation mark, UTF-8; cells as they are shown; every sheet into a file of its own.
CSV = "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,true,false,false,false,-1"


def saved_by_libreoffice(content: bytes, folder: Path, to: str = "xlsx:Calc MS Excel 2007 XML") -> list[Path]:
    folder.mkdir(exist_ok=True)
    source, out = folder / "book.xlsx", folder / "out"
    source.write_bytes(content)
    command = [str(SOFFICE), f"-env:UserInstallation={(folder / 'profile').as_uri()}", "--headless"]
    command += ["--convert-to", to, "--outdir", str(out), str(source)]
    subprocess.run(command, check=True, capture_output=True, timeout=180)
    return sorted(out.iterdir())


def texts(content: bytes, sheet: str) -> list[list[str]]:
    """The cells with their trailing empty ones left away, as texts; days as they are shown."""
    rows = openpyxl.load_workbook(io.BytesIO(content))[sheet].iter_rows(values_only=True)
    return bare(
        [["" if cell is None else str(cell).removesuffix(" 00:00:00") for cell in row] for row in rows]
    )


def bare(rows: list[list[str]]) -> list[list[str]]:
    found = []
    for row in rows:
        while row and not row[-1]:
            row = row[:-1]
        found.append(row)
    while found and not found[-1]:
        found.pop()
    return found


def csv_of(files: list[Path], sheet: str) -> list[list[str]]:
    (path,) = [file for file in files if file.stem == f"book-{sheet}"]
    with path.open(encoding="utf-8", newline="") as file:
        return bare(list(csv.reader(file)))


def checked(path: Path, by: Actor, unit: Any, name: str) -> Checked:
    sheet = next(one for one in reading.read(path, gate.examine(path, path.name)) if one.name == name)
    return check(by=by, unit=unit, kind=ACTIVITIES, sheet=sheet, layout=find(sheet, ACTIVITIES, by=by))


@pytest.fixture
def by(people: SimpleNamespace) -> Actor:
    return Actor.of(people.community_officer)


def test_a_blank_sheet_is_the_same_there(by: Actor, tree: SimpleNamespace, tmp_path: Path) -> None:
    blank = blank_workbook(by=by, unit=tree.own, kinds=[ACTIVITIES])
    name, notes = openpyxl.load_workbook(io.BytesIO(blank)).sheetnames[:2]
    files = saved_by_libreoffice(blank, tmp_path, CSV)
    for sheet in (name, notes):
        assert csv_of(files, sheet) == texts(blank, sheet)


def test_a_blank_sheet_filled_in_there_is_taken(by: Actor, tree: SimpleNamespace, tmp_path: Path) -> None:
    blank = blank_workbook(by=by, unit=tree.own, kinds=[ACTIVITIES])
    (saved,) = saved_by_libreoffice(filled_in(blank, [ACTIVITIES], by), tmp_path)
    before, after = openpyxl.load_workbook(io.BytesIO(blank)), openpyxl.load_workbook(saved)
    name = before.sheetnames[0]
    lists = [
        {
            area.min_col
            for rule in book[name].data_validations.dataValidation
            if rule.type == "list"
            for area in rule.sqref.ranges
        }
        for book in (before, after)
    ]
    assert lists[0]
    assert lists[0] == lists[1], "the dropdowns stay"
    found = checked(saved, by, tree.own, name)
    assert (len(found.new), found.refused) == (3, [])


def test_a_marked_workbook_is_mended_there(by: Actor, tree: SimpleNamespace, tmp_path: Path) -> None:
    good: list[Any] = ["读书会", "六个一", "社区", "2026-03-05", 12, "=1+1"]
    bad: list[Any] = ["百家宴", "七个一", "社区", "2026-03-06", "约五十人", "@SUM(1)"]
    sheet = Sheet("三月", [list(HEADERS), good, bad])
    layout = find(sheet, ACTIVITIES, by=by)
    found = check(by=by, unit=tree.own, kind=ACTIVITIES, sheet=sheet, layout=layout)
    target = io.BytesIO()
    marked_workbook(sheets=[sheet], problems={"三月": found.refused}, target=target, layouts={"三月": layout})
    shown = csv_of(saved_by_libreoffice(target.getvalue(), tmp_path / "csv", CSV), "三月")
    assert shown == texts(target.getvalue(), "三月")
    assert [row[5] for row in shown[1:]] == [good[5], bad[5]], "no text has become a formula"

    (saved,) = saved_by_libreoffice(target.getvalue(), tmp_path / "xlsx")
    book = openpyxl.load_workbook(saved)
    page = book["三月"]
    marked = {cell.coordinate for row in page.iter_rows() for cell in row if cell.comment}
    assert marked == {"B3", "E3"}
    assert not [cell for row in page.iter_rows() for cell in row if cell.data_type == "f"]
    page["B3"], page["E3"] = "六个一", 50
    book.save(saved)
    again = checked(saved, by, tree.own, "三月")
    assert (len(again.new), again.refused) == (2, [])
