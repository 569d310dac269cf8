"""Headers of real ledgers, and what is made of them."""

from __future__ import annotations

import datetime as dt
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import translation

from programs import registry
from programs.access import Actor
from programs.registry import RecordKind
from programs.sheets import header_of
from reporting.uploads.gate import Refused
from reporting.uploads.layout import NOTES, PLEASE_MEND, Layout, arrange, find, remembered, year_above
from reporting.uploads.sheet import Sheet

KINDS = registry.kinds()
ACTIVITIES = registry.kind("activities")
LEDGER = ["活动时间", "活动主题", "主办单位", "活动系列", "活动场所类别", "参加人数"]
FOUND = {"occurred_on": 0, "theme": 1, "unit": 2, "series": 3, "setting": 4, "participants": 5}


@pytest.fixture
def by(people: SimpleNamespace) -> Actor:
    return Actor.of(people.community_officer)


def sheet(*rows: list[Any], name: str = "Sheet1", **more: Any) -> Sheet:
    return Sheet(name, [list(row) for row in rows], **more)


def columns(by: Actor, *rows: list[Any], mapping: dict[str, str] | None = None, **more: Any) -> Layout:
    return find(sheet(*rows, **more), ACTIVITIES, by=by, mapping=mapping)


# --- finding the header -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["zh-hans", "en"])
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_our_own_headers_are_known_in_both_languages(kind: RecordKind, language: str, by: Actor) -> None:
    names = [name for name in kind.sheet.names() if name in find(sheet(), kind, by=by).kind.sheet.names()]
    with translation.override(language):
        headers = [str(header_of(kind, name)) for name in names]
    found = find(sheet(headers), kind, by=by)
    readable = [name for name in names if name != "notes"]  # class C4 is not for officers
    assert found.columns == {name: names.index(name) for name in readable}
    assert found.is_usable


def test_the_headers_of_a_ledger_below_titles_and_blank_rows(by: Actor) -> None:
    found = columns(
        by,
        ["海门街道爱心教育活动台账"],
        [],
        [None, "填报单位：城隍浦社区", None, "2026年3月"],
        LEDGER,
        [dt.date(2026, 3, 5)],
    )
    assert (found.columns, found.header_row) == (FOUND, 4)
    assert found.headers["participants"] == "参加人数"
    assert found.is_usable


def test_rows_count_from_the_first_of_the_sheet(by: Actor) -> None:
    assert columns(by, LEDGER, first_row=7).header_row == 7


@pytest.mark.parametrize(
    "header",
    ["参加\n人数", "参 加 人 数", "参加人数（人次）", "参加人数(人)", "*参加人数", "参加人数*", "参加人数：",
     "ＰＡＲＴＩＣＩＰＡＮＴＳ",
     "【必填】参加人数", "参加人次", "participants", "Number of participants", "“参加人数”"],
)  # fmt: skip
def test_headers_are_known_however_they_are_written(by: Actor, header: str) -> None:
    assert columns(by, [*LEDGER[:5], header]).columns == FOUND


def test_columns_stand_in_any_order_and_unknown_ones_are_told(by: Actor) -> None:
    found = columns(by, ["序号", *reversed(LEDGER), "经费来源", None, "备 注 栏"])
    assert found.columns == {name: 6 - at for name, at in FOUND.items()}
    assert found.unknown == ["序号", "经费来源", "备 注 栏"]


def test_a_header_of_two_lines(by: Actor) -> None:
    upper = ["活动时间", "活动主题", "基本情况", None, None, "参加"]
    lower = [None, None, "主办单位", "活动系列", "活动场所类别", "人数"]
    merged = [(1, 0, 2, 0), (1, 1, 2, 1), (1, 2, 1, 4)]
    found = columns(by, upper, lower, [dt.date(2026, 3, 5), "主题", "城隍浦社区"], merged=merged)
    assert (found.columns, found.header_row) == (FOUND, 2)
    assert found.headers["participants"] == "参加人数"


def test_a_number_in_two_columns_is_no_number_of_participants(by: Actor) -> None:
    """参加人数 over 机关 and 社区: neither is the whole."""
    upper, lower = [*LEDGER[:5], "参加人数", None], [None] * 5 + ["机关", "社区"]
    found = columns(by, upper, lower, merged=[(1, 5, 1, 6)])
    assert not found.is_usable
    assert "F" in found.refusal().message


def test_a_header_merged_over_two_columns_is_the_first_of_them(by: Actor) -> None:
    found = columns(by, [*LEDGER, "内容摘要", None, "地点"], merged=[(1, 6, 1, 7)])
    assert found.columns == {**FOUND, "summary": 6, "place": 8}


def test_rows_of_data_are_no_header(by: Actor) -> None:
    rows = [["2026-03-05", "参加人数", "城隍浦社区", "六个一", "社区", 12]] * 3
    assert columns(by, LEDGER, *rows).header_row == 1


# --- what is wrong with it ----------------------------------------------------------------------------------------


def test_a_doubled_header_is_refused_with_both_cells(by: Actor) -> None:
    found = columns(by, ["标题"], [*LEDGER, "参加人数"])
    assert not found.is_usable
    sentence = found.refusal().message
    assert "F2" in sentence
    assert "G2" in sentence


def test_of_two_headers_for_a_field_the_surer_is_taken_and_the_other_told(by: Actor) -> None:
    found = columns(by, ["时间", *LEDGER])
    assert found.columns["occurred_on"] == 1, "活动时间 says it better than 时间"
    assert found.unknown == ["时间"]
    assert found.is_usable


def test_missing_columns_are_named_with_the_header_that_was_seen(by: Actor) -> None:
    with translation.override("zh-hans"):
        found = columns(by, ["台账"], [], ["活动时间", "活动主题", "随便"])
        assert not found.is_usable
        sentence = found.refusal().message
    for word in ("参加人次", "所属系列", "开展场所", "3", "活动时间", "随便", "Sheet1"):
        assert word in sentence


def test_a_sheet_of_something_else_has_no_layout_and_raises_nothing(by: Actor) -> None:
    found = columns(by, ["姓名", "工资"], ["张三", 3000])
    assert (found.header_row, found.columns) == (0, {})
    assert found.missing
    assert columns(by).missing


def test_the_unit_is_no_needed_column(by: Actor) -> None:
    assert columns(by, [header for header in LEDGER if header != "主办单位"]).is_usable


# --- mappings -----------------------------------------------------------------------------------------------------


def test_a_mapping_goes_before_all_other_words(by: Actor) -> None:
    headers = ["活动时间", "活动主题", "主办单位", "活动系列", "活动场所类别", "参加人数", "实到"]
    found = columns(by, headers, mapping={"participants": "实到（人）", "theme": "没有这一列"})
    assert found.columns == {**FOUND, "participants": 5}, "实到（人） is not 实到"
    found = columns(by, headers, mapping={"participants": "实 到", "theme": "没有这一列"})
    assert found.columns == {**FOUND, "participants": 6}
    assert found.unknown == ["参加人数"]


def test_what_was_found_can_be_remembered(by: Actor) -> None:
    found = columns(by, [*LEDGER[:5], "参 加\n人数"])
    assert remembered(found)["participants"] == "参 加 人数"
    assert columns(by, [*LEDGER[:5], "参 加\n人数"], mapping=remembered(found)).columns == FOUND


# --- workbooks ----------------------------------------------------------------------------------------------------

GRATITUDE = ["日期", "标题", "形式", "企业名称", "参加人数"]


def test_sheets_of_several_kinds_in_one_workbook(by: Actor) -> None:
    sheets = [sheet(LEDGER, name="三月"), sheet(GRATITUDE, name="随便"), sheet(LEDGER, name="四月")]
    found = arrange(sheets, KINDS, by=by).found
    assert [(used.name, layout.kind.code) for used, layout in found] == [
        ("三月", "activities"),
        ("随便", "gratitude"),
        ("四月", "activities"),
    ]


def test_a_sheet_named_after_a_kind_is_of_it(by: Actor) -> None:
    both = ["日期", "主题", "系列", "场所", "形式", "企业名称", "参加人数"]
    words = "love-education activities or gratitude-culture events"
    with translation.override("en"), pytest.raises(Refused, match=words) as caught:
        arrange([sheet(both)], [registry.kind("activities"), registry.kind("gratitude")], by=by)
    assert caught.value.code == "two_kinds"
    found = arrange([sheet(both, name=" 感恩文化活动 ")], KINDS, by=by).found
    assert [layout.kind.code for _sheet, layout in found] == ["gratitude"]


def test_sheets_that_hold_no_records_are_left_out_with_the_reason(by: Actor) -> None:
    hidden, other = sheet(LEDGER, name="藏", is_hidden=True), sheet(["姓名", "工资"], name="工资")
    with translation.override("en"):
        notes = str(NOTES)
    sheets = [
        sheet(LEDGER),
        hidden,
        sheet([], [None, " "], name="空"),
        sheet([None, notes], LEDGER, name="说明"),
        other,
    ]
    arranged = arrange(sheets, KINDS, by=by)
    assert [used.name for used, _layout in arranged.found] == ["Sheet1"]
    assert [name for name, _reason in arranged.left_out] == ["藏", "空", "说明", "工资"]
    assert all(reason for _name, reason in arranged.left_out)


def test_a_workbook_without_a_sheet_that_can_be_used_is_refused_by_its_best_sheet(by: Actor) -> None:
    with pytest.raises(Refused) as caught:
        arrange([sheet(["姓名", "工资"], name="工资"), sheet(LEDGER[:4], name="三月")], [ACTIVITIES], by=by)
    assert (caught.value.code, caught.value.sheet) == ("missing_headers", "三月")
    with pytest.raises(Refused) as caught:
        arrange([sheet()], KINDS, by=by)
    assert caught.value.code == "nothing"


def test_garbled_text_is_called_so(by: Actor) -> None:
    garbled = [header.encode().decode("gb18030", "replace") for header in LEDGER]
    with pytest.raises(Refused) as caught:
        arrange([sheet(garbled, ["a"])], KINDS, by=by)
    assert caught.value.code == "garbled"


def test_the_column_of_a_marked_workbook_is_ours(by: Actor) -> None:
    with translation.override("en"):
        mark = str(PLEASE_MEND)
    found = columns(by, [*LEDGER, mark])
    assert (found.unknown, found.mark, mark in found.all_headers) == ([], 6, False)


@pytest.mark.parametrize(
    ("name", "title", "year"),
    [
        ("三月", "2026年3月爱心教育活动台账", 2026),
        ("２０２５年", "台账", 2025),
        ("三月", "台账", None),
        ("2025", "2026年台账", None),
        ("三月", "电话 0576-20268888", None),
        ("三月", dt.datetime(2026, 3, 1), 2026),
    ],
)
def test_the_year_above_the_header(by: Actor, name: str, title: Any, year: int | None) -> None:
    ledger = sheet([title], LEDGER, ["2024年"], name=name)
    assert year_above(ledger, find(ledger, ACTIVITIES, by=by)) == year
