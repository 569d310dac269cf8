"""The list as a file: exactly its rows, as the reader reads them, and nothing a spreadsheet program would calculate."""

from __future__ import annotations

import csv
import datetime as dt
import io
import zipfile
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from unittest import mock
from xml.etree import ElementTree as ET

import pytest
from django.test import Client

from programs import exports
from programs.exports import safe_text
from programs.models import AuditEvent, EducationActivity, User
from tests.conftest import read_to_the_end

SignIn = Callable[[User], Client]
MakeRecord = Callable[..., Any]

CSV, XLSX = "/records/activities/export.csv", "/records/activities/export.xlsx"
SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


@pytest.fixture
def officer(people: SimpleNamespace, sign_in: SignIn) -> Client:
    return sign_in(people.community_officer)


def content_of(response: Any) -> bytes:
    assert response.status_code == 200
    return b"".join(response.streaming_content)


def rows_of(response: Any) -> list[dict[str, str]]:
    text = content_of(response).decode("utf-8")
    assert text.startswith("\ufeff"), "without it Excel takes UTF-8 for something else"
    return list(csv.DictReader(io.StringIO(text[1:], newline="")))


def cells_of(response: Any) -> dict[str, tuple[str, str]]:
    """{"A2": (type, value)} of the only sheet."""
    with zipfile.ZipFile(io.BytesIO(content_of(response))) as workbook:
        sheet = ET.fromstring(workbook.read("xl/worksheets/sheet1.xml"))
        names = workbook.namelist()
    assert not [name for name in names if "vba" in name or "externalLink" in name]
    assert sheet.findall(f".//{SHEET}f") == []
    found = {}
    for cell in sheet.iter(f"{SHEET}c"):
        text = "".join(cell.itertext())
        found[cell.get("r", "")] = (cell.get("t", "n"), text)
    return found


def test_the_file_holds_the_rows_of_the_list_in_its_order(
    tree: SimpleNamespace, people: SimpleNamespace, officer: Client, make_record: MakeRecord
) -> None:
    for number, theme in enumerate(["感恩一", "感恩二", "邻里", "感恩三"]):
        make_record("activities", tree.own, people.community_officer, theme=theme, participants=10 - number)
    make_record("activities", tree.elsewhere_community, people.outsider, theme="感恩外")
    query = "?q=感恩&sort=participants"
    listed = [row["cells"][1]["value"] for row in officer.get(f"/records/activities/{query}").context["rows"]]
    assert listed == ["感恩三", "感恩二", "感恩一"]
    assert [row["主题"] for row in rows_of(officer.get(CSV + query))] == listed
    cells = cells_of(officer.get(XLSX + query))
    assert [cells[f"A{line}"][1] for line in (2, 3, 4)] == listed
    assert "A5" not in cells


def test_cells_are_what_they_are(
    tree: SimpleNamespace, people: SimpleNamespace, officer: Client, make_record: MakeRecord
) -> None:
    make_record(
        "activities",
        tree.own,
        people.community_officer,
        [tree.sibling, tree.police],
        theme='引号"，逗号,\n换行',
        participants=1200,
        place="",
    )
    (row,) = rows_of(officer.get(CSV))
    assert row["主题"] == '引号"，逗号,\n换行'
    assert row["日期"] == "2026-03-05"
    assert row["单位"] == tree.own.name
    assert row["协办单位"] == f"{tree.sibling.name}\n{tree.police.name}"
    assert row["地点"] == ""
    assert "1200" in row.values()
    cells = cells_of(officer.get(XLSX))
    kinds = {value: kind for kind, value in cells.values()}
    assert kinds["1200"] == "n"
    assert kinds["46086"] == "n", "2026-03-05 as a date of the workbook"
    assert kinds["“六个一”系列"] in ("s", "inlineStr", "str")


def test_numbers_stay_numbers(
    tree: SimpleNamespace, people: SimpleNamespace, sign_in: SignIn, make_record: MakeRecord
) -> None:
    make_record("cases", tree.own, people.community_officer, hours="12.50")
    client = sign_in(people.community_officer)
    text = content_of(client.get("/records/cases/export.csv")).decode()
    assert ",12.50," in text
    cells = cells_of(client.get("/records/cases/export.xlsx"))
    assert any(kind == "n" and float(text) == 12.5 for kind, text in cells.values())


STARTS = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "＝1+1",
    "＋1",
    "－1",
    "＠SUM",
    " =1+1",
    "\u3000=1",
    "\n=1",
]


@pytest.mark.parametrize("text", STARTS)
def test_no_text_begins_a_formula(text: str) -> None:
    assert safe_text(text) == f"'{text}"


@pytest.mark.parametrize("text", ["感恩", "1-2", "a=b", "'=1", "(见附件)", "", "１＋１"])
def test_other_text_stays(text: str) -> None:
    assert safe_text(text) == text


def test_formulas_are_harmless_in_both_files(
    tree: SimpleNamespace, people: SimpleNamespace, officer: Client, make_record: MakeRecord
) -> None:
    make_record(
        "activities", tree.own, people.community_officer, theme='=HYPERLINK("http://a/","x")', place="a;=1"
    )
    text = content_of(officer.get(CSV)).decode()
    assert '"\'=HYPERLINK(""http://a/"",""x"")"' in text
    assert '"a;=1"' in text, "quoted: a program that parts at semicolons finds no cell in it"
    cells = cells_of(officer.get(XLSX))
    assert cells["A2"][1] == '\'=HYPERLINK("http://a/","x")'


@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_masked_is_masked_and_withheld_withheld(
    tree: SimpleNamespace, people: SimpleNamespace, sign_in: SignIn, make_record: MakeRecord, form: str
) -> None:
    secrets = {
        "client": "欧阳明月",
        "phone": "13800135678",
        "id_number": "110101199003077758",
        "illness": "抑郁症",
    }
    make_record("cases", tree.own, people.community_officer, **secrets)

    def exported(person: User) -> str:
        content = content_of(sign_in(person).get(f"/records/cases/export.{form}"))
        if form == "csv":
            return content.decode()
        with zipfile.ZipFile(io.BytesIO(content)) as workbook:
            return "".join(workbook.read(name).decode() for name in workbook.namelist())

    own, leader, office = (exported(p) for p in (people.community_officer, people.leader, people.office))
    assert all(secret in own for secret in secrets.values())
    assert not any(secret in leader for secret in secrets.values())
    assert "欧***" in leader
    assert "138****5678" in leader
    assert ("欧阳明月" in office) and ("110101199003077758" not in office)
    assert "110***********7758" in office


def test_the_log_knows_how_many_rows_left_and_what_was_asked(
    tree: SimpleNamespace, people: SimpleNamespace, officer: Client, make_record: MakeRecord
) -> None:
    for _ in range(3):
        make_record("activities", tree.own, people.community_officer, theme="感恩张三")
    content_of(officer.get(f"{CSV}?q=张三&setting=school"))
    event = AuditEvent.objects.get(action="activities.export")
    assert (event.row_count, event.actor_id) == (3, people.community_officer.pk)
    assert event.changes == {"format": [None, "csv"], "q": None, "setting": [None, "school"]}
    assert "张三" not in str(event.changes), "searched words may be a name"


@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_a_file_ends_with_a_sentence_when_it_is_full(
    tree: SimpleNamespace, people: SimpleNamespace, officer: Client, make_record: MakeRecord, form: str
) -> None:
    for _ in range(4):
        make_record("activities", tree.own, people.community_officer)
    assert exports.MOST_ROWS == 100_000
    with mock.patch.object(exports, "MOST_ROWS", 3):
        response = officer.get(f"/records/activities/export.{form}")
        if form == "csv":
            lines = content_of(response).decode().splitlines()
            assert len(lines) == 5
            assert "3" in lines[-1]
        else:
            cells = cells_of(response)
            assert "A4" in cells
            assert "3" in cells["A5"][1]
            assert "B5" not in cells
    assert AuditEvent.objects.get(action="activities.export").row_count == 3


def test_an_empty_list_is_a_file_with_heads(officer: Client) -> None:
    assert rows_of(officer.get(CSV)) == []
    assert "A1" in cells_of(officer.get(XLSX))


def test_the_name_of_the_file_is_chinese_and_safe(officer: Client) -> None:
    response = officer.get(CSV)
    read_to_the_end(response)
    disposition = response["Content-Disposition"]
    assert disposition.startswith("attachment; filename*=utf-8''")
    assert disposition.endswith(".csv")
    assert response["Content-Type"] == "text/csv; charset=utf-8"


def test_the_file_speaks_the_readers_language(
    tree: SimpleNamespace, people: SimpleNamespace, officer: Client, make_record: MakeRecord, settings: Any
) -> None:
    """The rows leave after the request is over, when its language is gone."""
    make_record("activities", tree.own, people.community_officer)
    officer.cookies[settings.LANGUAGE_COOKIE_NAME] = "en"
    text = content_of(officer.get(CSV)).decode()
    assert "theme" in text.splitlines()[0]
    assert "School" in text
    assert "学校" not in text


@pytest.mark.parametrize("query", ["series=nothing", "sort=id", "q=%00", "unit=000", "occurred_on_to=x"])
def test_what_is_not_understood_exports_nothing(
    tree: SimpleNamespace, people: SimpleNamespace, officer: Client, make_record: MakeRecord, query: str
) -> None:
    make_record("activities", tree.own, people.community_officer)
    response = officer.get(f"{CSV}?{query}")
    assert (response.status_code, response.url.split("?")[0]) == (302, "/records/activities/")
    assert officer.get(response.url).context["problems"]
    assert not AuditEvent.objects.filter(action="activities.export").exists()


@pytest.mark.parametrize("form", ["pdf", "html", "CSV", "csvx"])
def test_other_formats_are_not_found(officer: Client, form: str) -> None:
    assert officer.get(f"/records/activities/export.{form}").status_code == 404


def test_removed_records_do_not_leave(
    tree: SimpleNamespace, people: SimpleNamespace, officer: Client, make_record: MakeRecord
) -> None:
    make_record("activities", tree.own, people.community_officer)
    EducationActivity.objects.update(
        removed_at=dt.datetime(2026, 3, 6, tzinfo=dt.UTC), removed_by=people.community_officer
    )
    assert rows_of(officer.get(CSV)) == []


def test_rows_come_from_the_database_in_portions(
    tree: SimpleNamespace,
    people: SimpleNamespace,
    officer: Client,
    make_record: MakeRecord,
    django_assert_num_queries: Any,
) -> None:
    for _ in range(30):
        make_record("activities", tree.own, people.community_officer, [tree.sibling])
    officer.get("/records/activities/")
    content_of(officer.get(CSV))
    with mock.patch.object(exports, "CHUNK", 10), django_assert_num_queries(14, exact=False) as captured:
        assert len(rows_of(officer.get(CSV))) == 30
    assert len(captured) <= 14
