"""The blank workbook: filled in and dropped it is taken whole."""

from __future__ import annotations

import datetime as dt
import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import openpyxl
import pytest
from django.db import models
from django.utils import translation

from programs import registry
from programs.access import Actor
from programs.registry import RecordKind
from programs.sheets import JOINT_UNITS, UNIT, columns_for, header_of
from reporting.uploads import gate, reading
from reporting.uploads.blank import HEADER, blank_workbook, sheet_name
from reporting.uploads.checking import Checked, check
from reporting.uploads.layout import arrange
from tests.factories import sample_values

KINDS = registry.kinds()
both_languages = pytest.mark.parametrize("language", ["zh-hans", "en"])


@pytest.fixture
def by(people: SimpleNamespace) -> Actor:
    return Actor.of(people.community_officer)


def opened(content: bytes) -> Any:
    return openpyxl.load_workbook(io.BytesIO(content))


def dropped(
    content: bytes, folder: Path, by: Actor, unit: Any, kinds: list[RecordKind] = KINDS
) -> list[Checked]:
    path = folder / "book.xlsx"
    path.write_bytes(content)
    sheets = reading.read(path, gate.examine(path, path.name))
    arranged = arrange(sheets, kinds, by=by)
    assert not [name for name, reason in arranged.left_out if "notes" not in reason]
    return [
        check(by=by, unit=unit, kind=layout.kind, sheet=sheet, layout=layout)
        for sheet, layout in arranged.found
    ]


def cell_of(kind: RecordKind, name: str, number: int) -> Any:
    """As somebody fills it in: labels picked from the dropdown."""
    field = kind.field(name)
    if name == JOINT_UNITS:
        return "公安分局"
    value = sample_values(kind)[name]
    if name == kind.title:
        return f"第{number}条"
    if name == "id_number":
        return "110101199003077758"
    if field.choices and value != "":
        return str(dict(field.flatchoices)[value])
    if isinstance(field, models.DateField):
        return dt.datetime.combine(value, dt.time.min)
    return value if not isinstance(field, models.DecimalField) else float(value)


def filled_in(content: bytes, kinds: list[RecordKind], by: Actor, rows: int = 3) -> bytes:
    book = opened(content)
    for kind, sheet in zip(kinds, book.worksheets, strict=False):
        for at, name in enumerate(columns_for(kind, by), 1):
            for number in range(rows):
                if name != UNIT:
                    sheet.cell(HEADER + 2 + number, at).value = cell_of(kind, name, number)
    target = io.BytesIO()
    book.save(target)
    return target.getvalue()


@both_languages
def test_filled_in_and_dropped_it_is_taken_whole(
    language: str, tmp_path: Path, by: Actor, tree: SimpleNamespace
) -> None:
    with translation.override(language):
        content = filled_in(blank_workbook(by=by, unit=tree.own, kinds=KINDS), KINDS, by)
    with translation.override("en"):
        found = dropped(content, tmp_path, by, tree.own)
    assert [checked.kind for checked in found] == KINDS
    for checked in found:
        assert (len(checked.new), checked.read, checked.refused, checked.left_out) == (3, 3, [], [])
        assert {new.values["unit"] for new in checked.new} == {tree.own}


def test_an_empty_one_holds_no_rows(tmp_path: Path, by: Actor, tree: SimpleNamespace) -> None:
    with translation.override("en"):
        for checked in dropped(blank_workbook(by=by, unit=tree.own, kinds=KINDS), tmp_path, by, tree.own):
            assert checked.read == 0


@both_languages
def test_the_header_marks_what_is_needed_in_the_users_language(
    language: str, by: Actor, tree: SimpleNamespace
) -> None:
    kind = registry.kind("activities")
    with translation.override(language):
        sheet = opened(blank_workbook(by=by, unit=tree.own, kinds=[kind])).worksheets[0]
        header = [cell.value for cell in sheet[HEADER + 1]]
        labels = [str(header_of(kind, name)) for name in columns_for(kind, by)]
    assert [text.removesuffix("*") for text in header] == labels
    needed = {"theme", "series", "setting", "occurred_on", "participants"}
    assert {
        name for name, text in zip(columns_for(kind, by), header, strict=True) if text.endswith("*")
    } == needed
    assert sheet.cell(1, 1).value.startswith("城隍浦社区")
    column = columns_for(kind, by).index(UNIT) + 1
    assert sheet.cell(HEADER + 2, column).value == "城隍浦社区"


def test_dropdowns_formats_and_checks(by: Actor, tree: SimpleNamespace) -> None:
    kind = registry.kind("activities")
    with translation.override("zh-hans"):
        book = opened(blank_workbook(by=by, unit=tree.own, kinds=[kind]))
    sheet, notes = book.worksheets
    names = columns_for(kind, by)
    rules = {
        names[next(iter(rule.sqref.ranges)).min_col - 1]: rule
        for rule in sheet.data_validations.dataValidation
    }
    assert rules["setting"].formula1 == '"学校,企业,机关,社区"'
    assert (rules["participants"].type, rules["participants"].formula2) == ("whole", "200000")
    assert (rules["occurred_on"].type, rules["occurred_on"].formula2) == ("date", "TODAY()")
    assert (rules["theme"].type, rules["theme"].formula1) == ("textLength", "100")
    assert rules["unit"].formula1 == '"城隍浦社区"'
    letters = {name: openpyxl.utils.get_column_letter(at) for at, name in enumerate(names, 1)}
    assert sheet.column_dimensions[letters["occurred_on"]].width > 8
    assert book.sheetnames == ["爱心教育活动", notes.title]
    assert notes.sheet_state == "visible"


def test_long_lists_lie_in_the_notes(
    people: SimpleNamespace, tree: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reporting.uploads import blank

    monkeypatch.setattr(blank, "LONGEST_LIST", 10)
    by, kind = Actor.of(people.street_officer), registry.kind("activities")
    with translation.override("en"):
        book = opened(blank_workbook(by=by, unit=tree.street, kinds=[kind]))
    sheet, notes = book.worksheets
    rules = {rule.formula1 for rule in sheet.data_validations.dataValidation if rule.type == "list"}
    [reference] = [
        rule
        for rule in rules
        if "$" in rule
        and notes[rule.split("!")[1].split(":")[0].replace("$", "")].value in ("海门街道", "331002001")
    ]
    first, last = reference.split("!")[1].replace("$", "").split(":")
    assert [cell.value for [cell] in notes[f"{first}:{last}"]] == [
        "海门街道",
        "城隍浦社区",
        "衙门巷社区",
        "海门小学",
    ]


def test_an_example_stands_in_the_notes_only(by: Actor, tree: SimpleNamespace) -> None:
    with translation.override("en"):
        book = opened(blank_workbook(by=by, unit=tree.own, kinds=[registry.kind("activities")]))
    sheet, notes = book.worksheets
    texts = [cell.value for row in notes.iter_rows() for cell in row if cell.value]
    assert "学校礼堂" in texts
    assert any(text == "Yes" for text in texts)
    assert all(cell.value != "学校礼堂" for row in sheet.iter_rows() for cell in row)


def test_kinds_with_a_needed_field_that_is_not_for_this_person_are_left_out(
    by: Actor, tree: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from programs.field_classes import C4

    kind = registry.kind("cases")
    monkeypatch.setattr(kind.field("client"), "field_class", C4)
    assert len(opened(blank_workbook(by=by, unit=tree.own, kinds=[kind])).worksheets) == 1


def test_fields_that_a_person_does_not_read_are_no_columns(by: Actor, tree: SimpleNamespace) -> None:
    sheet = opened(blank_workbook(by=by, unit=tree.own, kinds=[registry.kind("cases")])).worksheets[0]
    assert not [cell.value for cell in sheet[HEADER + 1] if (cell.value or "").startswith("notes")]


def test_no_text_begins_a_formula(by: Actor, tree: SimpleNamespace) -> None:
    tree.own.name = "=1+1"
    book = opened(blank_workbook(by=by, unit=tree.own, kinds=KINDS))
    assert not [cell for sheet in book for row in sheet.iter_rows() for cell in row if cell.data_type == "f"]


def test_names_of_sheets() -> None:
    taken: set[str] = set()
    names = ["活动", "活动", "a/b:c[1]*?", "长" * 40, "长" * 40, "", "'引号'"]
    assert [sheet_name(name, taken) for name in names] == [
        "活动", "活动 2", "a b c 1", "长" * 31, f"{'长' * 27} 2", "1", "引号",
    ]  # fmt: skip
