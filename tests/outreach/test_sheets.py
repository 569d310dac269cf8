"""Ledgers of listening visits: visits and opinions in one workbook, and their way back."""

from __future__ import annotations

import datetime as dt
import io
import re
import zipfile
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import IntegrityError
from django.urls import reverse

from outreach.models import Opinion, OpinionStep, Visit
from programs import registry
from programs.access import Actor
from programs.actions.bulk import ChangedRow, NewRow, Outdated, save_records
from programs.sheets import DATE
from reporting.models import UploadRemark
from reporting.models.upload import State
from reporting.uploads import jobs, writing
from reporting.uploads.layout import NOTES
from tests.reporting.uploads.conftest import Office, workbook

pytestmark = pytest.mark.django_db
VISITS, OPINIONS = registry.kind("visits"), registry.kind("opinions")
DAY = dt.date(2026, 3, 11)


@pytest.fixture
def office(tree: SimpleNamespace, people: SimpleNamespace) -> Office:
    return Office(people.community_officer, tree.own)


def visit(number: str, theme: str = "走访居民", **more: Any) -> dict[str, Any]:
    usual = {"form": "unit", "purpose": "opinion_poll", DATE: DAY, "person_times": 12}
    return {"theme": f"{theme}{number}", "number": number, **usual, **more}


def opinion(title: str, visit_number: str, **more: Any) -> dict[str, Any]:
    usual = {"type": "problem", "category": "housing", "channel": "visit", DATE: DAY, "voices": 1}
    return {"title": title, "visit_number": visit_number, **usual, **more}


def ledger(visits: list[dict[str, Any]], opinions: list[dict[str, Any]], salt: str = "") -> bytes:
    return workbook(("意见台账", OPINIONS, opinions), ("走访台账", VISITS, visits), salt=salt)


def remarks(upload: Any) -> list[tuple[int, str]]:
    return list(UploadRemark.objects.filter(sheet__upload=upload).values_list("row", "field"))


def test_a_workbook_of_both_goes_all_the_way_and_back(office: Office) -> None:
    content = ledger([visit("1"), visit("2")], [opinion("路灯不亮", "1"), opinion("井盖松动", "2")])
    upload = office.entered(content, None)
    assert (upload.state, upload.written_new, upload.refused) == (State.APPLIED, 4, 0)
    assert set(Opinion.objects.values_list("title", "visit_number")) == {("路灯不亮", "1"), ("井盖松动", "2")}
    assert OpinionStep.objects.count() == 2
    upload = office.taken_back(upload)
    assert (upload.state, upload.deleted, upload.kept) == (State.UNDONE, 4, 0)
    assert not Visit.objects.exists()
    assert not Opinion.objects.exists()


def test_an_opinion_of_an_unknown_visit_is_refused_with_its_cell(office: Office) -> None:
    upload = office.previewed(
        ledger([visit("1")], [opinion("路灯不亮", "1"), opinion("井盖松动", "9")]), None
    )
    assert (upload.read, upload.new, upload.refused) == (3, 2, 1)
    assert remarks(upload) == [(3, "visit_number")]


def test_a_visit_among_the_records_will_do_but_not_one_of_another_unit(
    office: Office, tree: SimpleNamespace, people: SimpleNamespace, make_record: Any
) -> None:
    make_record("visits", tree.own, people.community_officer, number="7")
    make_record("visits", tree.elsewhere_community, people.outsider, number="8")
    rows = [opinion("路灯不亮", "7"), opinion("井盖松动", "8")]
    upload = office.previewed(workbook(("意见", OPINIONS, rows)), None)
    assert (upload.new, upload.refused) == (1, 1)
    assert remarks(upload) == [(3, "visit_number")]


def test_an_opinion_of_a_refused_visit_is_refused_as_well(office: Office) -> None:
    content = ledger([visit("1", person_times="许多")], [opinion("路灯不亮", "1")])
    upload = office.previewed(content, None)
    assert (upload.new, upload.refused) == (0, 2)


def test_a_number_stands_once_in_the_workbook_and_among_the_records(
    office: Office, tree: SimpleNamespace, people: SimpleNamespace, make_record: Any
) -> None:
    make_record("visits", tree.own, people.community_officer, number="7")
    rows = [visit("1", "甲"), visit("1", "乙"), visit("7", "丙")]
    upload = office.previewed(workbook(("走访", VISITS, rows)), None)
    assert (upload.new, upload.refused) == (1, 2)
    assert remarks(upload) == [(3, "number"), (4, "number")]


def test_the_same_workbook_again_adds_nothing(office: Office) -> None:
    office.entered(ledger([visit("1")], [opinion("路灯不亮", "1")]), None)
    again = office.previewed(ledger([visit("1")], [opinion("路灯不亮", "1")], salt="again"), None)
    assert (again.new, again.changed, again.same, again.refused) == (0, 0, 2, 0)


def test_what_ledgers_call_their_columns(office: Office) -> None:
    import xlsxwriter

    target = io.BytesIO()
    book = xlsxwriter.Workbook(target, {"in_memory": True})
    sheet = book.add_worksheet("走访")
    sheet.write_row(
        0, 0, ["走访编号", "走访时间", "走访主题", "走访形式", "走访目的", "走访人", "走访对象", "走访人次"]
    )
    sheet.write_row(1, 0, ["1", "2026年3月11日", "走访居民", "领导走访", "征求意见", "李主任", "王芳", "12"])
    sheet = book.add_worksheet("意见")
    sheet.write_row(
        0,
        0,
        [
            "走访编号",
            "登记日期",
            "诉求主题",
            "诉求类型",
            "问题类别",
            "反映渠道",
            "反映人",
            "联系电话",
            "诉求内容",
        ],
    )
    sheet.write_row(
        1, 0, ["1", "2026.3.11", "路灯不亮", "问题", "物业", "走访", "王芳", "0576-88000000", "楼前无灯"]
    )
    book.close()
    upload = office.entered(target.getvalue(), None)
    assert (upload.state, upload.written_new) == (State.APPLIED, 2), remarks(upload)
    assert Visit.objects.get().form == "leader"
    assert Opinion.objects.get().citizen == "王芳"


def test_a_row_that_repeats_a_refused_one_is_refused_and_told_so(
    office: Office, tree: SimpleNamespace, people: SimpleNamespace, make_record: Any
) -> None:
    """Nothing of the row that it repeats is entered: it must not be told that all is there already."""
    make_record("visits", tree.own, people.community_officer, number="7")
    upload = office.previewed(
        workbook(("走访", VISITS, [visit("7"), visit("7"), visit("1")])), None, language="en"
    )
    assert (upload.read, upload.new, upload.same, upload.refused) == (3, 1, 0, 2)
    said = dict(
        UploadRemark.objects.filter(sheet__upload=upload, sort="refused").values_list("row", "message")
    )
    assert "has this visit number" in said[2]
    assert "Row 2 says the same and is refused" in said[3]


def test_a_row_that_repeats_a_refused_one_of_another_sheet(
    office: Office, tree: SimpleNamespace, people: SimpleNamespace, make_record: Any
) -> None:
    make_record("visits", tree.own, people.community_officer, number="7")
    sheets = ("上半年", VISITS, [visit("7")]), ("下半年", VISITS, [visit("7"), visit("1")])
    upload = office.previewed(workbook(*sheets), None, language="en")
    assert (upload.new, upload.same, upload.refused) == (1, 0, 2)
    messages = UploadRemark.objects.filter(sheet__upload=upload, sort="refused").values_list(
        "message", flat=True
    )
    assert any("Row 2 of 上半年 says the same and is refused" in message for message in messages)


def test_an_opinion_of_a_refused_visit_is_told_to_correct_its_row(office: Office) -> None:
    content = ledger([visit("1", person_times="许多")], [opinion("路灯不亮", "1")])
    upload = office.previewed(content, None, language="en")
    said = UploadRemark.objects.get(sheet__upload=upload, field="visit_number").message
    assert "correct its row if that is refused" in said


def test_of_two_uploads_with_one_number_the_second_is_shown_again(
    office: Office, tree: SimpleNamespace, people: SimpleNamespace, make_record: Any, monkeypatch: Any
) -> None:
    """Both were confirmed when the number was free; the other was entered between check and writing."""
    upload = jobs.confirm(by=office.by, upload=office.previewed(ledger([visit("7"), visit("8")], []), None))
    enter, times = writing._enter, []

    def somebody_is_faster(*args: Any) -> None:
        times.append(1)
        if len(times) == 1:
            make_record("visits", tree.own, people.community_officer, number="7", theme="别的走访")
        enter(*args)

    monkeypatch.setattr(writing, "_enter", somebody_is_faster)
    upload = jobs.finish(upload, seconds=5)
    assert (upload.state, bool(upload.message)) == (State.PREVIEWED, True)
    assert (upload.new, upload.refused, len(times)) == (1, 1, 1)
    assert list(Visit.objects.values_list("theme", flat=True)) == ["别的走访"], "nothing half written"


@pytest.mark.parametrize("how", ["new", "changed"])
def test_a_number_taken_meanwhile_is_no_error_of_the_database(
    how: str, tree: SimpleNamespace, people: SimpleNamespace, make_record: Any
) -> None:
    by = Actor.of(people.community_officer)
    make_record("visits", tree.own, by.user, number="7")
    other = make_record("visits", tree.own, by.user, number="8")
    values = {name: value for name, value in visit("7").items() if name != DATE}
    free = NewRow(2, {**values, "occurred_on": DAY, "unit": tree.own, "number": "9"})
    new, changed = [free], []
    if how == "new":
        new.append(NewRow(3, {**values, "occurred_on": DAY, "unit": tree.own}))
    else:
        changed.append(ChangedRow(3, other.pk, other.version, {"number": "7"}))
    with pytest.raises(Outdated):
        save_records(by=by, kind=VISITS, new=new, changed=changed, upload_id=7)
    assert sorted(Visit.objects.values_list("number", flat=True)) == ["7", "8"]


def test_another_error_of_the_database_stays_one(tree: SimpleNamespace, people: SimpleNamespace) -> None:
    by = Actor.of(people.community_officer)
    values = {name: value for name, value in visit("7").items() if name != DATE}
    wrong = NewRow(2, {**values, "occurred_on": dt.date(1999, 1, 1), "unit": tree.own})
    with pytest.raises(IntegrityError):
        save_records(by=by, kind=VISITS, new=[wrong], upload_id=7)


def test_the_blank_workbook_of_visits_with_opinions(
    people: SimpleNamespace, tree: SimpleNamespace, sign_in: Any
) -> None:
    client = sign_in(people.community_officer)
    page = client.get(reverse("upload_list")).content.decode()
    address = f"{reverse('upload_blank')}?kind=visits&kind=opinions"
    assert address.replace("&", "&amp;") in page
    content = io.BytesIO(b"".join(client.get(address)))
    with zipfile.ZipFile(content) as book:
        names = re.findall(r'<sheet name="([^"]+)"', book.read("xl/workbook.xml").decode())
    assert names == [str(VISITS.label_plural), str(OPINIONS.label_plural), str(NOTES)]
    assert client.get(f"{address}&kind=unheard-of").status_code == 404
