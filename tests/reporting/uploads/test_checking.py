"""What is made of each row of a sheet."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import time_machine
from django.core.exceptions import PermissionDenied
from django.db import connection, models
from django.test.utils import CaptureQueriesContext
from django.utils import translation

from programs import registry
from programs.access import Actor
from programs.actions import remove_record, save_record, save_records
from programs.actions.units import close_unit
from programs.models import EducationActivity, Grant
from programs.registry import RecordKind
from reporting.uploads import rules
from reporting.uploads.checking import Checked, Seen, check, clashes
from reporting.uploads.layout import PLEASE_MEND, find
from reporting.uploads.sheet import Flaw, FlawKind, Sheet
from tests.factories import sample_values

ACTIVITIES, CARRIERS, CASES = map(registry.kind, ("activities", "carriers", "cases"))
HEADER = ["日期", "主题", "单位", "协办单位", "系列", "节庆", "场所", "参加人数", "地点", "内容摘要"]
DAY = dt.date(2026, 3, 5)


def row(title: str = "读书会", day: Any = DAY, **more: Any) -> list[Any]:
    cells = {
        "日期": day,
        "主题": title,
        "系列": "六个一",
        "场所": "社区",
        "参加人数": 12,
        **more,
    }
    return [cells.get(header) for header in HEADER]


@pytest.fixture
def by(people: SimpleNamespace) -> Actor:
    return Actor.of(people.community_officer)


@pytest.fixture
def of_street(people: SimpleNamespace) -> Actor:
    return Actor.of(people.street_officer)


@pytest.fixture
def checked(by: Actor, tree: SimpleNamespace) -> Callable[..., Checked]:
    """checked(row(…), row(…)): the rows of a sheet below HEADER, the first of them row 2."""

    def make(*rows: list[Any], **more: Any) -> Checked:
        actor, unit = more.pop("by", by), more.pop("unit", tree.own)
        kind, header = more.pop("kind", ACTIVITIES), more.pop("header", HEADER)
        options = {name: more.pop(name) for name in ("period", "seen", "progress") if name in more}
        sheet = Sheet(more.pop("name", "三月"), [header, *rows], **more)
        layout = find(sheet, kind, by=actor)
        assert layout.is_usable, layout
        with translation.override("en"):
            found = check(by=actor, unit=unit, kind=kind, sheet=sheet, layout=layout, **options)
        assert found.adds_up
        return found

    return make


@pytest.fixture
def enter(by: Actor) -> Callable[..., Any]:
    """enter(checked(…)): its new rows become records."""

    def make(found: Checked, actor: Actor = by) -> None:
        save_records(by=actor, kind=found.kind, new=found.new, changed=found.changed, upload_id=1)

    return make


def problems(found: Checked) -> dict[int, list[str]]:
    told: dict[int, list[str]] = {}
    for problem in found.refused:
        told.setdefault(problem.row, []).append(f"{problem.field}: {problem.message}")
    return told


# --- good rows ----------------------------------------------------------------------------------------------------


def test_a_good_row_is_new_with_every_field(checked: Any, tree: SimpleNamespace) -> None:
    found = checked(row(协办单位="公安分局、云西社区", 地点=" 文化礼堂 "))
    [new] = found.new
    assert new.row == 2
    assert new.values == {
        "theme": "读书会",
        "series": "six_ones",
        "festival": "",
        "setting": "community",
        "occurred_on": DAY,
        "unit": tree.own,
        "place": "文化礼堂",
        "participants": 12,
        "summary": "",
    }
    assert set(new.joint) == {tree.police.pk, tree.cousin.pk}
    assert not found.refused
    assert not found.notices


def test_columns_that_are_absent_have_their_default(checked: Any) -> None:
    found = checked(
        ["谈话", DAY, "感恩谈", "海风鞋业", 5],
        kind=registry.kind("gratitude"),
        header=["标题", "日期", "形式", "企业名称", "参加人数"],
    )
    [new] = found.new
    assert (new.values["media_reports"], new.values["media"]) == (0, "")


def test_an_empty_cell_has_the_default_where_it_cannot_be_empty(checked: Any) -> None:
    header = ["标题", "日期", "形式", "企业名称", "参加人数", "媒体报道数"]
    found = checked(
        ["谈话", DAY, "感恩谈", "海风鞋业", 5, None], kind=registry.kind("gratitude"), header=header
    )
    assert found.new[0].values["media_reports"] == 0


def test_all_new_rows_have_the_same_fields(checked: Any) -> None:
    found = checked(row(), row("二", 地点="那里"), row("三", 系列="节庆", 节庆="邻居节"))
    assert len({tuple(new.values) for new in found.new}) == 1


# --- refused rows -------------------------------------------------------------------------------------------------


def test_every_mistake_of_every_row_at_once(checked: Any) -> None:
    found = checked(
        row(day="待定", 参加人数="很多", 场所="广场"),
        row(),
        row("二", 系列="节庆", 参加人数=300_000),
        row("三" * 101, day=dt.date(2007, 1, 1)),
    )
    told = problems(found)
    assert {problem.split(":")[0] for problem in told[2]} == {"occurred_on", "setting", "participants"}
    assert sorted(told[4]) == [
        "festival: Which festival was it?",
        "participants: Ensure this value is less than or equal to 200000.",
    ]
    assert sorted(problem.split(":")[0] for problem in told[5]) == ["occurred_on", "theme"]
    assert (len(found.new), found.refused_rows, found.read) == (1, 3, 4)


def test_a_problem_names_the_cell_the_header_and_the_value(checked: Any) -> None:
    [problem] = checked(row(), row("二", 参加人数="约120")).refused
    assert (problem.row, problem.column, problem.field) == (3, 7, "participants")
    assert (problem.header, problem.value) == ("参加人数", "约120")


def test_a_needed_cell_that_is_empty(checked: Any) -> None:
    found = checked(row(参加人数=None, 场所=" "))
    assert problems(found) == {
        2: ["setting: This field is required.", "participants: This field is required."]
    }


def test_a_row_without_its_day(checked: Any) -> None:
    found = checked(row(), row("二", day=None), row("三"))
    assert problems(found) == {3: ["occurred_on: This field is required."]}
    assert len(found.new) == 2


def test_what_stands_for_nothing_is_nothing(checked: Any) -> None:
    found = checked(row(协办单位="无", 节庆="/", 参加人数=0))
    assert found.new[0].joint == ()
    assert problems(checked(row(参加人数="—"))) == {2: ["participants: This field is required."]}


@time_machine.travel("2026-03-10 12:00+08:00", tick=False)
def test_future_days(checked: Any) -> None:
    assert "future" in problems(checked(row(day=dt.date(2026, 3, 11))))[2][0]
    assert checked(row(day=dt.date(2026, 3, 10))).new


def test_negative_numbers(checked: Any) -> None:
    assert "greater than or equal to 0" in problems(checked(row(参加人数=-1)))[2][0]


def test_a_text_that_cannot_be_stored(checked: Any) -> None:
    assert "cannot be stored" in problems(checked(row("\ud800")))[2][0]
    assert "Null characters" in problems(checked(row("a\x00b")))[2][0]


def test_a_cell_of_32767_characters(checked: Any) -> None:
    [problem] = checked(row(内容摘要="长" * 32_767)).refused
    assert "5000" in problem.message
    assert len(problem.value) < 50


def test_rows_beyond_those_asked_in_full_get_the_same_words(
    checked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = [
        row("一", day="待定", 参加人数="很多"),
        row("二", 系列="节庆", 参加人数=300_000, 协办单位="城隍浦社区"),
        row("三" * 101, day=dt.date(2007, 1, 1), 系列=None),
        row("a\x00b", 内容摘要="\ud800", 节庆="邻居节"),
        row("五", day=dt.date(2030, 1, 1)),
    ]
    in_full = problems(checked(*bad))
    monkeypatch.setattr(rules, "MOST_ASKED", 0)
    with CaptureQueriesContext(connection) as queries:
        assert {number: sorted(told) for number, told in problems(checked(*bad)).items()} == {
            number: sorted(told) for number, told in in_full.items()
        }
    assert len(queries) < 12


# --- units --------------------------------------------------------------------------------------------------------


def test_a_street_brings_the_rows_of_its_communities(
    checked: Any, of_street: Actor, tree: SimpleNamespace
) -> None:
    found = checked(
        row("一", 单位="城隍浦社区"), row("二", 单位="331002001004"), row("三"),
        row("四", 单位="云西社区"), row("五", 单位="东浦社区"),
        by=of_street, unit=tree.street,
    )  # fmt: skip
    assert [new.values["unit"] for new in found.new] == [tree.own, tree.sibling, tree.street]
    told = problems(found)
    assert told[5] == ["unit: You cannot enter records for 云西社区."]
    assert "no unit “东浦社区”" in told[6][0]


def test_an_upload_for_a_unit_out_of_reach_is_denied(checked: Any, tree: SimpleNamespace) -> None:
    with pytest.raises(PermissionDenied):
        checked(row(), unit=tree.street)


def test_the_life_of_the_unit(checked: Any, of_street: Actor, tree: SimpleNamespace) -> None:
    close_unit(by=None, unit=tree.sibling, effective_on=dt.date(2025, 6, 30))
    rows = [row("一", 单位="衙门巷社区"), row("二", day=dt.date(2025, 6, 30), 单位="衙门巷社区")]
    found = checked(*rows, by=of_street, unit=tree.street)
    assert problems(found) == {2: ["occurred_on: 衙门巷社区 was closed on 2025-06-30."]}
    assert [new.row for new in found.new] == [3]
    found = checked(row("一", 单位="衙门巷社区", 参加人数=-1), by=of_street, unit=tree.street)
    assert sorted(problem.field for problem in found.refused) == ["occurred_on", "participants"], "at once"


def test_joint_units_as_the_form_takes_them(checked: Any) -> None:
    told = problems(
        checked(
            row(协办单位="城隍浦社区"), row("二", 协办单位="公安分局、火星"), row("三", 协办单位="东浦社区")
        )
    )
    assert told[2] == ["joint_units: The lead unit cannot be a joint unit as well."]
    assert "no unit “火星”" in told[3][0]
    assert "no unit “东浦社区”" in told[4][0]


# --- years, merged cells, flaws, hidden rows ----------------------------------------------------------------------


def test_the_year_of_a_day_without_one(checked: Any, by: Actor) -> None:
    assert checked(row(day="3月5日"), period=dt.date(2025, 3, 1)).new[0].values["occurred_on"] == dt.date(
        2025, 3, 5
    )
    assert checked(row(day="3月5日"), name="2024年").new[0].values["occurred_on"] == dt.date(2024, 3, 5)
    assert "names no year" in problems(checked(row(day="3月5日")))[2][0]


def test_cells_merged_downwards_hold_for_every_row_but_numbers(checked: Any) -> None:
    rows = [row("一"), row("二", day=None, 场所=None), row("三", day=None, 参加人数=None)]
    found = checked(*rows, merged=[(2, 0, 4, 0), (2, 6, 3, 6), (3, 7, 4, 7)])
    assert [(new.row, new.values["occurred_on"], new.values["setting"]) for new in found.new] == [
        (2, DAY, "community"),
        (3, DAY, "community"),
    ]
    assert "merged with the one above" in problems(found)[4][0]


def test_an_empty_row_under_a_merged_cell_is_no_row(checked: Any) -> None:
    assert checked(row(), [None] * 10, merged=[(2, 0, 3, 0)]).read == 1


def test_flaws_are_refused_with_the_cell_and_never_read_as_empty(checked: Any) -> None:
    flaws = {
        (2, 7): Flaw(FlawKind.FORMULA_WITHOUT_VALUE),
        (3, 9): Flaw(FlawKind.ERROR_VALUE, "#REF!"),
        (4, 20): Flaw(FlawKind.ERROR_VALUE, "#REF!"),
    }
    found = checked(row(参加人数=None), row("二"), row("三"), flaws=flaws)
    told = problems(found)
    assert "The formula in H2 has no stored result" in told[2][0]
    assert told[3] == ["summary: The cell J3 shows the error #REF!."]
    assert [new.row for new in found.new] == [4], "nobody reads the column of the third"


def test_hidden_rows_are_read_and_told_of(checked: Any) -> None:
    found = checked(row(), row("二"), hidden_rows=frozenset({3, 99}))
    assert len(found.new) == 2
    assert [(notice.row, notice.message) for notice in found.notices] == [
        (0, "1 hidden row was read as well: 3.")
    ]


# --- rows that are none -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "word",
    [
        "合计",
        "小计",
        "合 计",
        "总计：",
        "共计",
        "本页小计",
        "3月合计",
        "一季度合计",
        "Total",
        "Grand total:",
        "Subtotal",
        "合计：12场",
    ],
)
@pytest.mark.parametrize("where", ["日期", "主题"])
def test_rows_of_totals_are_left_out(checked: Any, word: str, where: str) -> None:
    total = row(None, day=None, 系列=None, 场所=None, 参加人数=24)
    total[HEADER.index(where)] = word
    found = checked(row(), total)
    assert [(left.row, left.reason) for left in found.left_out] == [(3, "A row of totals.")]
    assert (len(found.new), found.read) == (1, 2)


def test_a_title_that_speaks_of_totals_is_a_title(checked: Any) -> None:
    assert checked(row("合计")).new
    assert checked(row("小计算师比赛", day=None)).refused


def test_headers_headings_and_notes_are_left_out(checked: Any) -> None:
    blank = [None] * 10
    rows = [
        ["一、校园活动", *blank[1:]],
        row(),
        HEADER,
        ["填表人：张三", None, "审核人：李四", *blank[3:]],
        ["备注：数据截至3月", *blank[1:]],
        ["随便一句话", *blank[1:]],
    ]
    found = checked(*rows, merged=[(2, 0, 2, 9)])
    assert [left.row for left in found.left_out] == [2, 4, 5, 6]
    assert set(problems(found)) == {7}


def test_empty_rows_are_no_rows_and_numbered_ones_are_left_out(checked: Any) -> None:
    header = ["序号", *HEADER]
    rows = [
        [1, *row()],
        [2] + [None] * 10,
        [None] * 11,
        [],
        [None, None, None, "城隍浦社区"],
        ["  ", *row("二")],
    ]
    found = checked(*rows, header=header)
    assert [new.row for new in found.new] == [2, 7]
    assert [left.row for left in found.left_out] == [3]
    assert found.read == 3, "where nothing but the unit stands, there is no row"


def test_reasons_of_a_marked_workbook_are_no_row(checked: Any) -> None:
    with translation.override("en"):
        mark = str(PLEASE_MEND)
    found = checked([*row(), None], [*[None] * 10, "参加人次：请填写"], header=[*HEADER, mark])
    assert (len(found.new), found.read) == (1, 1)


# --- the same once more -------------------------------------------------------------------------------------------


def test_the_same_row_twice_in_a_file(checked: Any) -> None:
    found = checked(row(), row("二"), row(), row(参加人数=13))
    assert [new.row for new in found.new] == [2, 3]
    assert [(same.row, same.of_row, same.of_record) for same in found.same] == [(4, 2, None)]
    told = problems(found)
    assert list(told) == [5]
    assert "Row 2 has the same" in told[5][0]


def test_a_bad_row_is_not_the_first(checked: Any) -> None:
    found = checked(row(参加人数=300_000), row())
    assert [new.row for new in found.new] == [3]


def test_the_same_row_in_two_sheets(checked: Any) -> None:
    seen = Seen()
    assert checked(row(), seen=seen, name="一").new
    found = checked(row(), row(参加人数=1), seen=seen, name="二")
    assert [same.message for same in found.same] == ["Row 2 of 一 says the same."]
    assert "Row 2 of 一 has the same" in problems(found)[3][0]


def test_rows_that_are_records_already(checked: Any, enter: Any) -> None:
    rows = [row("一", 协办单位="公安分局"), row("二"), row("三", 内容摘要="第一行\n第二行")]
    enter(checked(*rows))
    EducationActivity.objects.filter(theme="三").update(summary="第一行\r\n第二行")
    found = checked(*rows)
    assert [same.row for same in found.same] == [2, 3, 4]
    assert not found.new
    assert not found.changed


def test_rows_that_change_records(checked: Any, enter: Any, tree: SimpleNamespace) -> None:
    enter(checked(row("一", 协办单位="公安分局"), row("二", 协办单位="公安分局", 地点="那里")))
    found = checked(row("一", 参加人数=13, 协办单位="公安分局"), row("二", 协办单位="云西社区"))
    first, second = found.changed
    record = EducationActivity.objects.get(theme="一")
    assert (first.row, first.pk, first.version) == (2, record.pk, 1)
    assert (first.values, first.joint) == ({"participants": 13}, None)
    assert (second.values, second.joint) == ({"place": ""}, (tree.cousin.pk,))
    enter(found)
    record.refresh_from_db()
    assert (record.participants, record.version) == (13, 2)
    assert len(checked(row("一", 参加人数=13, 协办单位="公安分局")).same) == 1


def test_absent_columns_leave_a_record_as_it_is(checked: Any, enter: Any) -> None:
    enter(checked(row("一", 系列="节庆", 节庆="邻居节", 地点="那里", 协办单位="公安分局")))
    header = ["日期", "主题", "系列", "场所", "参加人数"]
    found = checked([DAY, "一", "节庆", "社区", 12], [DAY, "二", "节庆", "社区", 12], header=header)
    assert [same.row for same in found.same] == [2], "the festival stands in the record"
    assert set(problems(found)) == {3}
    [changed] = checked([DAY, "一", "节庆", "社区", 99], header=header).changed
    assert (changed.values, changed.joint) == ({"participants": 99}, None)


def test_an_empty_cell_where_there_must_be_a_value_leaves_it(checked: Any, enter: Any) -> None:
    kind, header = registry.kind("gratitude"), ["标题", "日期", "形式", "企业名称", "参加人数", "媒体报道数"]
    enter(checked(["谈话", DAY, "感恩谈", "海风鞋业", 5, 3], kind=kind, header=header))
    assert checked(["谈话", DAY, "感恩谈", "海风鞋业", 5, None], kind=kind, header=header).same
    assert checked(["谈话", DAY, "感恩谈", "海风鞋业", 5, 0], kind=kind, header=header).changed


def test_a_change_is_judged_over_what_stands(checked: Any, enter: Any) -> None:
    enter(checked(row("一", 系列="节庆", 节庆="邻居节")))
    header = ["日期", "主题", "系列", "场所", "参加人数"]
    told = problems(checked([DAY, "一", "六个一", "社区", 12], header=header))
    assert told == {2: ["festival: Only activities of the series “Festival” name one; leave this open."]}


def test_removed_records_do_not_count(checked: Any, enter: Any, by: Actor) -> None:
    enter(checked(row()))
    remove_record(by=by, kind=ACTIVITIES, record=EducationActivity.objects.get())
    assert len(checked(row()).new) == 1


def test_records_that_cannot_be_told_apart(checked: Any, by: Actor, tree: SimpleNamespace) -> None:
    for number in (1, 2):
        values = {**sample_values(ACTIVITIES), "theme": "读书会", "unit": tree.own, "participants": number}
        save_record(by=by, kind=ACTIVITIES, values=values)
    assert "which one is meant" in problems(checked(row()))[2][0]
    [same] = checked(row(参加人数=2, 地点="样例place", 内容摘要="样例summary", 场所="学校")).same
    assert same.of_record == EducationActivity.objects.get(participants=2).pk


def test_a_kind_with_a_key_of_its_own(checked: Any, enter: Any) -> None:
    header = ["载体名称", "类型", "成立日期", "频次", "负责人"]
    rows = [["张大姐工作室", "百姓新闻发言人", DAY, "每周", "张大姐"]]
    enter(checked(*rows, kind=CARRIERS, header=header))
    rows[0][2] = dt.date(2026, 3, 1)
    [changed] = checked(*rows, kind=CARRIERS, header=header).changed
    assert changed.values == {"occurred_on": dt.date(2026, 3, 1)}


def test_clashes_tell_of_records_that_came_meanwhile(checked: Any, enter: Any, by: Actor) -> None:
    found = checked(row(), row("二"))
    assert not clashes(by=by, kind=ACTIVITIES, new=found.new)
    enter(checked(row("二")))
    assert clashes(by=by, kind=ACTIVITIES, new=found.new)
    assert not clashes(by=by, kind=ACTIVITIES, new=found.new[:1])
    assert not clashes(by=by, kind=ACTIVITIES, new=[])


# --- logged by another unit, too ----------------------------------------------------------------------------------


def test_an_activity_that_a_joint_unit_logged_already(
    checked: Any, tree: SimpleNamespace, people: SimpleNamespace, make_record: Any
) -> None:
    record = make_record(
        "activities", tree.police, people.unit_officer, [tree.own], theme="读书会", occurred_on=DAY
    )
    found = checked(row(协办单位="公安分局"), row("二"))
    assert len(found.new) == 2, "it is said, not refused"
    [notice] = found.notices
    assert notice.row == 2
    assert "公安分局" in notice.message
    assert f"No. {record.pk}" in notice.message


def test_what_a_person_may_not_see_is_not_told(
    checked: Any, tree: SimpleNamespace, people: SimpleNamespace, make_record: Any
) -> None:
    make_record("activities", tree.police, people.unit_officer, [], theme="读书会", occurred_on=DAY)
    found = checked(row(协办单位="公安分局"))
    assert len(found.new) == 1
    assert found.notices == []


def test_two_units_of_one_file_with_the_same_activity(
    checked: Any, of_street: Actor, tree: SimpleNamespace
) -> None:
    rows = [
        row(单位="城隍浦社区", 协办单位="衙门巷社区"),
        row(单位="衙门巷社区"),
        row("二", 单位="衙门巷社区"),
    ]
    found = checked(*rows, by=of_street, unit=tree.street)
    assert len(found.new) == 3
    assert [(notice.row, "row 2" in notice.message) for notice in found.notices] == [(3, True)]


# --- sensitive fields ---------------------------------------------------------------------------------------------

CASE_HEADER = ["title", "hours", "date", "client", "telephone", "ID number", "illness"]
SECRET = "110101199003077758"


def test_sensitive_values_are_in_no_message(checked: Any) -> None:
    rows = [
        ["访谈", "1.005", DAY, "欧阳明月" * 20, "1380013567890123456789", f"{SECRET}{SECRET}", "抑郁症" * 50],
        ["访谈", 1, DAY, "欧阳明月", 13800135678.0, 110101199003077758.0, dt.date(2026, 3, 1)],
    ]
    found = checked(*rows, kind=CASES, header=CASE_HEADER)
    assert {problem.field for problem in found.refused} >= {
        "hours",
        "client",
        "phone",
        "id_number",
        "illness",
    }
    for problem in found.refused:
        told = f"{problem.message} {problem.value}"
        for secret in ("欧阳明月", SECRET, "抑郁", "13800135678", "1.10101", "2026-03-01", "110101199003077"):
            assert secret not in told, problem
        if problem.field in ("id_number", "illness"):
            assert problem.value == ""
    assert next(p for p in found.refused if p.field == "hours").value == "1.005"


def test_a_masked_field_is_never_compared(
    checked: Any, enter: Any, of_street: Actor, tree: SimpleNamespace
) -> None:
    """Whether a row says the same as a record would tell what stands in it."""
    good = ["访谈", 1, DAY, "欧阳明月", None, SECRET, "抑郁症"]
    enter(checked(good, kind=CASES, header=CASE_HEADER))
    guess = [*good[:5], "110101199003070000", "焦虑症"]
    header = [*CASE_HEADER, "单位"]
    for said in (good, guess):
        found = checked([*said, "城隍浦社区"], kind=CASES, header=header, by=of_street, unit=tree.street)
        assert len(found.same) == 1
    assert len(checked(guess, kind=CASES, header=CASE_HEADER).changed) == 1


def test_a_key_that_is_masked_matches_nothing(
    checked: Any, enter: Any, of_street: Actor, tree: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = ["访谈", 1, DAY, "欧阳明月", None, SECRET, "抑郁症"]
    enter(checked(good, kind=CASES, header=CASE_HEADER))
    monkeypatch.setattr(CASES.sheet, "key", ("unit", "id_number"))
    found = checked(
        [*good, "城隍浦社区"], kind=CASES, header=[*CASE_HEADER, "单位"], by=of_street, unit=tree.street
    )
    assert len(found.new) == 1
    assert not clashes(by=of_street, kind=CASES, new=found.new)


# --- rules of other sorts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", registry.kinds(), ids=str)
def test_rows_of_every_kind_are_proved_good_without_the_database(kind: RecordKind, by: Actor) -> None:
    from programs.sheets import columns_for
    from reporting.uploads.units import UnitNames

    assert rules.Rules(kind, by, columns_for(kind, by), UnitNames(by)).in_parts


def test_a_kind_with_rules_that_only_the_database_knows_is_asked_row_by_row(
    checked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules.Rules, "_knows_constraints", lambda self: False)
    monkeypatch.setattr(rules, "MOST_ASKED", 0)
    found = checked(row(), row("二", 参加人数=-1), row("三", 系列="节庆"))
    assert [new.row for new in found.new] == [2]
    assert set(problems(found)) == {3, 4}


@pytest.mark.parametrize("most_asked", [500, 0])
def test_a_constraint_counts(checked: Any, monkeypatch: pytest.MonkeyPatch, most_asked: int) -> None:
    monkeypatch.setattr(rules, "MOST_ASKED", most_asked)
    fewer = models.CheckConstraint(
        name="x", condition=models.Q(participants__gte=5), violation_error_message="at least five"
    )
    monkeypatch.setattr(EducationActivity._meta, "constraints", [*EducationActivity._meta.constraints, fewer])
    found = checked(row(参加人数=4), row("二", 参加人数=5), row("三", 参加人数="许多"))
    assert problems(found)[2] == [": at least five"]
    assert [problem.field for problem in found.refused if problem.row == 4] == ["participants"]
    assert [new.row for new in found.new] == [3]


@pytest.mark.parametrize("most_asked", [500, 0])
def test_rules_about_a_cell_that_cannot_be_read_are_not_held_against_the_row(
    checked: Any, monkeypatch: pytest.MonkeyPatch, most_asked: int
) -> None:
    monkeypatch.setattr(rules, "MOST_ASKED", most_asked)
    flaws = {(2, 5): Flaw(FlawKind.ERROR_VALUE, "#N/A")}
    found = checked(row(系列="节庆"), flaws=flaws)
    assert problems(found) == {2: ["festival: The cell F2 shows the error #N/A."]}


def test_what_clean_methods_change_is_written(checked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def clean_place(self: Any) -> str:
        return str(self.cleaned_data["place"]).upper()

    monkeypatch.setattr(ACTIVITIES.form, "clean_place", clean_place, raising=False)
    found = checked(row(地点="a1"), row("二", 地点="A1"))
    assert [new.values["place"] for new in found.new] == ["A1", "A1"]


def test_what_the_model_says_counts(checked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from django.core.exceptions import ValidationError

    def clean(self: Any) -> None:
        if self.theme == "坏":
            raise ValidationError({"theme": "no"})

    monkeypatch.setattr(EducationActivity, "clean", clean)
    for most in (500, 0):
        monkeypatch.setattr(rules, "MOST_ASKED", most)
        found = checked(row("坏"), row("好"))
        assert problems(found) == {2: ["theme: no"]}
        assert len(found.new) == 1


# --- cost ---------------------------------------------------------------------------------------------------------


def test_queries_do_not_grow_with_the_rows(checked: Any, enter: Any) -> None:
    rows = [row(f"第{number}场", 协办单位="公安分局") for number in range(40)]

    def queries(count: int) -> int:
        with CaptureQueriesContext(connection) as captured:
            checked(*rows[:count])
        return len(captured)

    assert queries(2) == queries(40)
    enter(checked(*rows))
    assert queries(2) == queries(40)


def test_progress_is_told(checked: Any) -> None:
    told: list[int] = []
    checked(*[row(f"第{number}场") for number in range(1200)], progress=told.append)
    assert told == [500, 1000, 1200]


def test_who_has_no_grant_brings_nothing(checked: Any, people: SimpleNamespace) -> None:
    Grant.objects.all().delete()
    with pytest.raises(PermissionDenied):
        checked(row(), by=Actor.of(people.community_officer))
