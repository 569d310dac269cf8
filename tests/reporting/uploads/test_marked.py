"""The marked workbook: the user's own rows back, what is wrong shown in place; mended it is taken."""

from __future__ import annotations

import datetime as dt
import io
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import openpyxl
import pytest
from django.utils import translation

from programs import registry
from programs.access import Actor
from reporting.uploads import gate, marked, reading
from reporting.uploads.checking import Checked, Problem, check
from reporting.uploads.layout import Layout, find
from reporting.uploads.marked import marked_workbook
from reporting.uploads.sheet import Flaw, FlawKind, Sheet

ACTIVITIES = registry.kind("activities")
HEADER = ["日期", "主题", "序号", "系列", "场所", "参加人数", "地点"]
DAY = dt.datetime(2026, 3, 5)


@pytest.fixture
def by(people: SimpleNamespace) -> Actor:
    return Actor.of(people.community_officer)


@pytest.fixture
def marked_of(by: Actor, tree: SimpleNamespace) -> Callable[..., tuple[bytes, Checked, Layout]]:
    """The workbook of a sheet with what the check says of its rows."""

    def make(sheet: Sheet, *others: Sheet) -> tuple[bytes, Checked, Layout]:
        with translation.override("en"):
            layout = find(sheet, ACTIVITIES, by=by)
            assert layout.is_usable, layout
            found = check(by=by, unit=tree.own, kind=ACTIVITIES, sheet=sheet, layout=layout)
            target = io.BytesIO()
            problems, layouts = {sheet.name: found.refused}, {sheet.name: layout}
            marked_workbook(sheets=[sheet, *others], problems=problems, target=target, layouts=layouts)
        return target.getvalue(), found, layout

    return make


def read(content: bytes, folder: Path) -> list[Sheet]:
    path = folder / "marked.xlsx"
    path.write_bytes(content)
    return reading.read(path, gate.examine(path, path.name))


def opened(content: bytes) -> Any:
    return openpyxl.load_workbook(io.BytesIO(content))


def row(title: str = "读书会", **more: Any) -> list[Any]:
    cells = {
        "日期": DAY,
        "主题": title,
        "序号": "007",
        "系列": "六个一",
        "场所": "社区",
        "参加人数": 12,
        "地点": "礼堂",
    } | more
    return [cells[header] for header in HEADER]


def test_everything_stands_where_it_stood(marked_of: Any, tmp_path: Path) -> None:
    sheet = Sheet(
        "三月",
        [
            ["城隍浦社区台账", None, None],
            [],
            HEADER,
            row(参加人数="很多"),
            row("=1+1", 序号="110101199003077758", 地点="+86"),
            row("三", 日期=dt.datetime(2026, 3, 5, 14, 30), 序号=True, 地点="2026-03-05", 参加人数=12.5),
            row("四", 序号=dt.time(8, 30), 参加人数=1e17),
            row("五", 序号=dt.timedelta(hours=30)),
            row("六", 序号=None),
            ["合计", None, None, None, None, 48.5, None],
        ],
        first_row=2,
        hidden_rows=frozenset({6}),
        merged=[(2, 0, 2, 6), (5, 6, 6, 6)],
        widths={1: 33.0},
    )
    other = Sheet("其他 [1]", [["什么", 1]], is_hidden=True)
    content, found, _layout = marked_of(sheet, other)
    assert found.refused_rows
    again, second = read(content, tmp_path)
    assert again.name == "三月"
    cells = {
        (again.first_row + index, at): cell
        for index, cells in enumerate(again.rows)
        for at, cell in enumerate(cells)
        if cell is not None and at < 7
    }
    expected = {
        (sheet.first_row + index, at): cell
        for index, row_ in enumerate(sheet.rows)
        for at, cell in enumerate(row_)
        if cell is not None
    }
    plain = {
        key: dt.datetime.combine(cell, dt.time.min) if type(cell) is dt.date else cell
        for key, cell in cells.items()
    }
    assert plain == expected
    assert {key: type(value) for key, value in plain.items() if isinstance(value, str)} == {
        key: str for key, value in expected.items() if isinstance(value, str)
    }
    assert again.hidden_rows == {6}
    assert sorted(again.merged) == sorted(sheet.merged)
    assert (second.name, second.is_hidden, second.rows) == ("其他  1", True, [["什么", 1]])
    assert opened(content)["三月"].column_dimensions["B"].width == pytest.approx(33, abs=1)


def test_what_is_wrong_is_marked_in_place(marked_of: Any) -> None:
    content, found, _layout = marked_of(
        Sheet("三月", [HEADER, row(), row("二", 参加人数="很多", 场所=None), row("三")])
    )
    page = opened(content)["三月"]
    assert len(found.refused) == 2
    for cell in ("E3", "F3"):
        assert page[cell].fill.fgColor.rgb == "FFFFC7CE"
        assert page[cell].comment is not None
    assert "not a plain number" in page["F3"].comment.text
    assert [page[f"H{number}"].value for number in (1, 2, 4)] == ["Please mend", None, None]
    assert page["H3"].value.startswith("场所: This field is required. 参加人数: “很多” is not")
    assert page["F2"].comment is None
    assert page["F2"].fill.fgColor.rgb != "FFFFC7CE"
    assert page.auto_filter.ref == "A1:H4"


def test_mended_and_dropped_again_it_is_taken(
    marked_of: Any, by: Actor, tree: SimpleNamespace, tmp_path: Path
) -> None:
    bad = [HEADER, row(), row("二", 参加人数="很多", 场所=None), ["合计", *[None] * 6]]
    content, _found, _layout = marked_of(Sheet("三月", bad))
    book = opened(content)
    page = book["三月"]
    page["F3"], page["E3"] = 12, "学校"
    target = io.BytesIO()
    book.save(target)
    [again] = read(target.getvalue(), tmp_path)
    layout = find(again, ACTIVITIES, by=by)
    assert layout.unknown == ["序号"], "our own column is none of the user's"
    found = check(by=by, unit=tree.own, kind=ACTIVITIES, sheet=again, layout=layout)
    assert (len(found.new), found.refused, len(found.left_out)) == (2, [], 1)


def test_marked_twice_it_has_one_column_of_reasons(marked_of: Any, tmp_path: Path) -> None:
    content, _found, _layout = marked_of(
        Sheet("三月", [HEADER, row(参加人数="很多"), row("二", 参加人数="多")])
    )
    [again] = read(content, tmp_path)
    again.rows[1][5] = 12
    content, found, _layout = marked_of(again)
    assert found.refused_rows == 1
    page = opened(content)["三月"]
    assert [cell.value for cell in page[1]] == [*HEADER, "Please mend"]
    assert page["H2"].value is None
    assert page["H3"].value


def test_cells_that_could_not_be_read_stay_refused_until_they_are_mended(
    marked_of: Any, by: Actor, tree: SimpleNamespace, tmp_path: Path
) -> None:
    flaws = {(2, 6): Flaw(FlawKind.ERROR_VALUE, "#REF!"), (3, 5): Flaw(FlawKind.FORMULA_WITHOUT_VALUE)}
    content, found, _layout = marked_of(
        Sheet("三月", [HEADER, row(地点=None), row("二", 参加人数=None)], flaws=flaws)
    )
    assert found.refused_rows == 2
    [again] = read(content, tmp_path)
    found = check(by=by, unit=tree.own, kind=ACTIVITIES, sheet=again, layout=find(again, ACTIVITIES, by=by))
    assert [(problem.row, problem.field) for problem in found.refused] == [(2, "place"), (3, "participants")]


def test_serials_of_1904_stay_the_same_days(
    marked_of: Any, by: Actor, tree: SimpleNamespace, tmp_path: Path
) -> None:
    serial = (DAY.date() - dt.date(1904, 1, 1)).days
    sheet = Sheet("三月", [HEADER, row(日期=serial), row("二"), row("三", 参加人数="很多")], epoch_1904=True)
    content, _found, _layout = marked_of(sheet)
    [again] = read(content, tmp_path)
    found = check(by=by, unit=tree.own, kind=ACTIVITIES, sheet=again, layout=find(again, ACTIVITIES, by=by))
    assert [new.values["occurred_on"] for new in found.new] == [DAY.date()] * 2


def test_no_text_begins_a_formula(marked_of: Any) -> None:
    bad = ["=1+1", "+1", "-1", "@x", "＝1", '=HYPERLINK("x")']
    rows = [row(text, 参加人数=text, 序号=text) for text in bad]
    content, _found, _layout = marked_of(Sheet("三月", [HEADER, *rows]))
    page = opened(content)["三月"]
    for cells in page.iter_rows(min_row=2):
        for cell in cells:
            assert cell.data_type != "f"
            if isinstance(cell.value, str) and cell.value in bad:
                assert cell.style and cell.quotePrefix


def test_comments_and_reasons_tell_nothing_secret(by: Actor, tree: SimpleNamespace) -> None:
    kind, secret = registry.kind("cases"), "110101199003077758"
    sheet = Sheet(
        "个案", [["title", "date", "client", "ID number"], ["访谈", DAY, "欧阳", f"{secret}{secret}"]]
    )
    layout = find(sheet, kind, by=by)
    found = check(by=by, unit=tree.own, kind=kind, sheet=sheet, layout=layout)
    target = io.BytesIO()
    marked_workbook(sheets=[sheet], problems={"个案": found.refused}, target=target, layouts={"个案": layout})
    page = opened(target.getvalue())["个案"]
    assert page["D2"].comment is not None
    assert secret not in page["D2"].comment.text
    assert secret not in page["E2"].value


def test_many_rows_take_little_memory(by: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marked, "MOST_COMMENTS", 50)
    sheet = Sheet("三月", [HEADER, *(row(f"第{number}场", 参加人数="很多") for number in range(5_000))])
    problems = [
        Problem(number, 5, "participants", "参加人数", "很多", "不是数") for number in range(2, 5_002)
    ]
    layouts = {"三月": find(sheet, ACTIVITIES, by=by)}

    def peak(count: int) -> int:
        part = Sheet("三月", sheet.rows[: count + 1])
        tracemalloc.start()
        with tempfile.TemporaryFile() as target:
            marked_workbook(
                sheets=[part], problems={"三月": problems[:count]}, target=target, layouts=layouts
            )
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(100)
    assert peak(5_000) < peak(500) + 3 * 2**20
