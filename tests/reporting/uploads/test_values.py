"""Cells and what they say."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.utils import translation

from programs import registry
from programs.access import Actor
from programs.actions.units import close_unit, create_unit, merge_units
from reporting.uploads.units import UnitNames, one_of
from reporting.uploads.values import Days, choice, line, number, text, whole, yes_or_no

DAY = dt.date(2026, 3, 5)


def refusal(convert: Any, cell: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        convert(cell)
    return "".join(caught.value.messages)


# --- days ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cell",
    [
        DAY,
        dt.datetime(2026, 3, 5),
        dt.datetime(2026, 3, 5, 14, 30),
        "2026/3/5",
        "2026-03-05",
        "2026.3.5",
        "2026年3月5日",
        "2026年03月05号",
        "3月5日",
        "２０２６／３／５",
        "２０２６年３月５日",
        " 2026-03-05 \u3000",
        "2026-03-05 14:30",
        "2026-03-05T00:00:00",
        "2026/3/5 0:00:00",
        "2026年3月5日（星期四）",
        "2026年3月5日 周四",
        "20260305",
        20260305,
        46086,
        46086.75,
    ],
)
def test_days_in_every_style(cell: Any) -> None:
    assert Days(year=2026)(cell) == DAY


def test_serials_count_from_the_epoch_of_the_file() -> None:
    assert Days(epoch_1904=True)(46086 - 1462) == DAY
    assert Days()(46086 - 1462) != DAY


@pytest.mark.parametrize(
    "cell",
    ["三月初五", "2026-02-30", "26/3/5", "3/5", "2026年3月", "2026-3/5", 3.5, 12, -1, True, dt.time(8), float("nan"),
     float("inf"), "", "待定", "2026-13-01", "9" * 400, dt.timedelta(hours=30)],
)  # fmt: skip
def test_what_is_no_day_is_refused(cell: Any) -> None:
    assert refusal(Days(year=2026), cell)


def test_several_days_are_refused_by_name() -> None:
    with translation.override("en"):
        for cell in ("3月5日-3月7日", "2026-03-05至2026-03-07", "3月5日、6日", "2026.3.5—3.8"):
            assert "several days" in refusal(Days(year=2026), cell), cell


def test_a_day_without_a_year_needs_one() -> None:
    with translation.override("en"):
        assert "names no year" in refusal(Days(), "3月5日")


# --- numbers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        (12, 12),
        (12.0, 12),
        ("12", 12),
        ("１２０", 120),
        ("1,200", 1200),
        ("1，200", 1200),
        ("1 200", 1200),
        ("1.2万", 12_000),
        ("3.5亿元", 350_000_000),
        ("120人次", 120),
        ("120 人", 120),
        ("¥1,200.00元", 1200),
        ("1.5万人次", 15_000),
        ("-5", -5),
        ("−5", -5),
        ("+5", 5),
    ],
)
def test_whole_numbers(cell: Any, value: int) -> None:
    assert whole(cell) == value


@pytest.mark.parametrize(
    "cell",
    ["约120", "120余人", "百余", "1,20", "1,2000", "12-15", "1e5", "=1+1", True, dt.date(2026, 3, 5), "3.5", 3.5,
     float("inf"), float("nan"), "9" * 60, "１２．５"],
)  # fmt: skip
def test_what_is_no_whole_number_is_refused(cell: Any) -> None:
    assert refusal(whole, cell)


def test_a_computed_number_is_what_the_sheet_shows() -> None:
    assert number(0.1 + 0.2) == Decimal("0.3")
    assert number("0.10") == Decimal("0.10")


# --- texts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("  主题 \u3000\ufeff", "主题"),
        (13812345678.0, "13812345678"),
        (12.5, "12.5"),
        (0.0, "0"),
        (True, "TRUE"),
        ("'=1+1", "=1+1"),  # as our own files write it
        ("'quoted'", "'quoted'"),
        ("𠮷野家", "𠮷野家"),
        ("-", "-"),
    ],
)
def test_texts(cell: Any, value: str) -> None:
    assert text(cell) == value


@pytest.mark.parametrize("cell", [1.10101199003078e17, 110101199003077758, "1.10101E+17", "1.10101e+17"])
def test_a_number_that_lost_its_last_digits_is_refused_with_the_reason(cell: Any) -> None:
    with translation.override("en"):
        assert "more than 15 digits" in refusal(text, cell)


def test_fifteen_digits_are_kept() -> None:
    assert text(110101900307775.0) == "110101900307775"


@pytest.mark.parametrize(
    "cell", [dt.date(2026, 3, 8), dt.datetime(2026, 3, 8), dt.time(8), dt.timedelta(hours=1)]
)
def test_a_text_that_became_a_date_is_refused(cell: Any) -> None:
    assert refusal(text, cell)


def test_a_line_broken_in_its_cell_is_joined() -> None:
    assert line("庆祝建党\n一百周年") == "庆祝建党一百周年"
    assert line("Love\r\n education") == "Love education"
    assert text("第一段\n第二段") == "第一段\n第二段"


# --- choices, yes and no ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cell",
    ["six_ones", "“六个一”系列", "六个一", "”六个一“系列", "六个一 系列", "“Six ones” series", "SIX_ONES", "six ones",
     "六个一活动"],
)  # fmt: skip
@pytest.mark.parametrize("language", ["zh-hans", "en"])
def test_choices_in_both_languages_by_code_or_by_a_declared_word(cell: str, language: str) -> None:
    kind = registry.kind("activities")
    with translation.override(language):
        assert choice(kind.field("series"), kind.sheet.choice_synonyms["series"])(cell) == "six_ones"


def test_what_is_no_choice_is_refused_with_the_choices() -> None:
    kind = registry.kind("activities")
    sentence = refusal(choice(kind.field("setting"), {}), "广场")
    assert "广场" in sentence
    assert "学校" in sentence


def test_a_word_for_two_choices_is_none() -> None:
    kind = registry.kind("activities")
    convert = choice(kind.field("setting"), {"school": ["那里"], "organ": ["那里"]})
    assert refusal(convert, "那里")


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        (True, True),
        ("是", True),
        ("√", True),
        (1.0, True),
        ("否", False),
        ("×", False),
        ("无", False),
        ("No", False),
    ],
)
def test_yes_and_no(cell: Any, value: bool) -> None:
    assert yes_or_no(cell) is value


def test_maybe_is_neither() -> None:
    assert refusal(yes_or_no, "大概")


# --- units --------------------------------------------------------------------------------------------------------


@pytest.fixture
def of_street(people: SimpleNamespace) -> Actor:
    return Actor.of(people.street_officer)


def test_units_by_name_code_and_full_name(of_street: Actor, tree: SimpleNamespace) -> None:
    names = UnitNames(of_street)
    for text_ in (
        "城隍浦社区",
        "331002001003",
        "海门街道城隍浦社区",
        "椒江区海门街道城隍浦社区",
        "椒江区 城隍浦社区",
    ):
        assert names.leads(text_) == [tree.own], text_


def test_units_out_of_reach_and_unknown_ones(of_street: Actor, tree: SimpleNamespace) -> None:
    names = UnitNames(of_street)
    with translation.override("en"):
        assert "You cannot enter records for 云西社区" in refusal(names.leads, "云西社区")
        assert "no unit “东浦社区”" in refusal(names.leads, "东浦社区"), "another district is not told of"
        assert "no unit" in refusal(names.leads, "白云街道城隍浦社区"), "it lies elsewhere"
    assert names.joint("云西社区") == (tree.cousin,)


@pytest.mark.parametrize(
    "cell",
    [
        "云西社区、公安分局",
        "公安分局，云西社区",
        "云西社区；331002D01",
        "公安分局\n云西社区",
        "公安分局 云西社区",
        "公安分局,,云西社区、公安分局",
    ],
)
def test_joint_units_in_every_way_of_listing(of_street: Actor, tree: SimpleNamespace, cell: str) -> None:
    expected = sorted([tree.cousin, tree.police], key=lambda unit: unit.pk)
    assert list(UnitNames(of_street).joint(cell)) == expected


def test_a_closed_or_merged_unit_is_no_joint_unit(of_street: Actor, tree: SimpleNamespace) -> None:
    day = dt.date(2025, 6, 30)
    close_unit(by=None, unit=tree.police, effective_on=day)
    merge_units(by=None, unit=tree.sibling, into=tree.own, effective_on=day)
    names = UnitNames(of_street)
    with translation.override("en"):
        assert "公安分局 was closed on" in refusal(names.joint, "公安分局")
        assert "was merged into 城隍浦社区" in refusal(names.joint, "衙门巷社区")
    assert names.leads("衙门巷社区") == [tree.sibling], "for records of its time"


def test_of_two_units_with_one_name_the_day_decides(of_street: Actor, tree: SimpleNamespace) -> None:
    day = dt.date(2025, 6, 30)
    close_unit(by=None, unit=tree.sibling, effective_on=day)
    heir = create_unit(
        by=None, code="331002001009", name="衙门巷社区", tier="community", kind="community", parent=tree.street,
        opened_on=dt.date(2025, 7, 1),
    )  # fmt: skip
    found = UnitNames(of_street).leads("衙门巷社区")
    assert one_of(found, dt.date(2025, 3, 1)) == tree.sibling
    assert one_of(found, dt.date(2025, 8, 1)) == heir
    with pytest.raises(ValidationError, match="331002001009"):
        one_of([heir, heir], dt.date(2025, 8, 1))
