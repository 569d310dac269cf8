"""The pages of spreadsheets: every state in both languages, nothing done twice, and only to whom it belongs."""

from __future__ import annotations

import datetime as dt
import io
import re
import uuid
import zipfile
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone, translation

from programs import registry
from programs.audit_words import ACTIONS
from programs.models import AuditEvent, EducationActivity, User
from programs.roles import Permission
from reporting.models import SheetMapping, Upload, UploadRemark, UploadSheet
from reporting.models.upload import State
from reporting.upload_parts import FEW_REMARKS, LOOKS, Life
from reporting.uploads import downloads, jobs
from tests.conftest import read_to_the_end
from tests.reporting.uploads.conftest import ACTIVITIES, Office, row_values, sheet_rows, workbook

pytestmark = pytest.mark.django_db
SignIn = Callable[[User], Client]
HTMX = {"HX-Request": "true"}
CASES = registry.kind("cases")
LIST = "/uploads/"


def ledger(*numbers: int, salt: str = "", **more: Any) -> bytes:
    return workbook(("台账", ACTIVITIES, sheet_rows(ACTIVITIES, numbers, **more)), salt=salt)


def mixed(office: Office, make_record: Any) -> bytes:
    """New, changed, known already and refused rows, a total, and a row that somebody else has logged."""
    make_record("activities", office.unit, office.by.user, **row_values(ACTIVITIES, 1))
    make_record("activities", office.unit, office.by.user, **row_values(ACTIVITIES, 2, place="旧址"))
    rows = sheet_rows(ACTIVITIES, range(1, 7))
    rows[1]["place"] = "新址"
    rows[3]["participants"] = "许多人"
    rows[4]["occurred_on"] = dt.date(2099, 1, 1)
    rows.append({"theme": "合计", "participants": 60})
    return workbook(("台账", ACTIVITIES, rows))


@pytest.fixture
def client(office: Office, sign_in: SignIn) -> Client:
    """Of the community's officer."""
    return sign_in(office.by.user)


@pytest.fixture
def previewed(office: Office, make_record: Any) -> Upload:
    upload = office.previewed(mixed(office, make_record))
    assert (upload.new, upload.changed, upload.same, upload.refused, upload.left_out) == (2, 1, 1, 2, 1)
    return upload


def page(upload: Upload, *names: str) -> str:
    return reverse("_".join(("upload", *(names or ("detail",)))), args=[upload.public_id])


def dropped(content: bytes, name: str = "三月台账.xlsx") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content)


def text_of(response: Any) -> str:
    assert response.status_code == 200, response.status_code
    return re.sub(r"\s+", " ", response.content.decode())


def worked_on(upload: Upload) -> None:
    upload.refresh_from_db()
    jobs.finish(upload, seconds=5)


def in_language(client: Client, language: str) -> Client:
    client.cookies[settings.LANGUAGE_COOKIE_NAME] = language
    return client


def put_into(upload: Upload, state: str) -> None:
    """As the upload stands in that state, with all that comes before it."""
    now, by = timezone.now(), upload.created_by
    later: dict[str, Any] = {"confirmed_by": by, "confirmed_at": now, "applied_at": now, "written_new": 2}
    values: dict[str, Any] = {"state": state}
    if state in {State.APPLIED, State.UNDOING, State.UNDONE}:
        values |= later
    if state == State.UNDONE:
        values |= {"undone_by": by, "undone_at": now, "deleted": 2, "restored": 1, "kept": 1}
    if state in {State.REFUSED, State.FAILED}:
        values |= {"message": "说明", "ended_at": now}
    Upload.objects.filter(pk=upload.pk).update(**values)
    upload.refresh_from_db()


# --- every state ----------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["zh-hans", "en"])
@pytest.mark.parametrize("state", State.values)
def test_every_state_has_its_page(state: str, language: str, previewed: Upload, client: Client) -> None:
    UploadRemark.objects.create(
        sheet=previewed.sheets.get(position=0), sort="kept", row=2, message="留下", record=1
    )
    put_into(previewed, state)
    in_language(client, language)
    text = text_of(client.get(page(previewed)))
    with translation.override(language):
        assert str(LOOKS[state].label) in text
        assert str(LOOKS[state].label) in text_of(client.get(LIST))
    assert ("every 1s" in text) is (state in {State.RECEIVED, State.READING, State.APPLYING, State.UNDOING})
    assert ('http-equiv="refresh"' in text) is ("every 1s" in text)
    # What can be done, and nothing else.
    for move, states in {
        "confirm": {State.PREVIEWED},
        "cancel": {State.RECEIVED, State.READING, State.PREVIEWED},
        "undo": {State.APPLIED},
    }.items():
        assert (page(previewed, move) in text) is (state in states), move
    partial = text_of(client.get(page(previewed), headers=HTMX))
    assert "<html" not in partial
    assert 'id="upload"' in partial


def test_every_state_has_a_look() -> None:
    assert set(LOOKS) == set(State)


@pytest.mark.parametrize("state", [State.READING, State.APPLYING])
def test_progress_tells_step_numbers_and_time(state: str, previewed: Upload, client: Client) -> None:
    put_into(previewed, state)
    now = timezone.now()
    Upload.objects.update(
        lease_until=now + dt.timedelta(seconds=30),
        step="checking",
        done=1200,
        total=3000,
        asked_at=now - dt.timedelta(seconds=65),
    )
    text = text_of(in_language(client, "en").get(page(previewed)))
    assert "Checking the rows" in text
    assert "1,200 of 3,000 rows" in text
    assert 'max="100" value="40"' in text
    assert "1:05" in text
    assert "every 2s" in text, "old work is looked at less often"


def test_who_waits_is_told_so(previewed: Upload, client: Client) -> None:
    put_into(previewed, State.RECEIVED)
    Upload.objects.update(asked_at=timezone.now() - dt.timedelta(seconds=20))
    assert "Waiting for its turn" in text_of(in_language(client, "en").get(page(previewed)))


def test_a_part_follows_as_long_as_nothing_else_changes(previewed: Upload, client: Client) -> None:
    put_into(previewed, State.READING)
    seen = client.get(f"{page(previewed)}?seen=reading.", headers=HTMX)
    assert 'id="upload-now"' in text_of(seen)
    assert "HX-Retarget" not in seen.headers
    put_into(previewed, State.PREVIEWED)
    other = client.get(f"{page(previewed)}?seen=reading.", headers=HTMX)
    assert other.headers["HX-Retarget"] == "#upload"
    assert 'id="upload-said"' in text_of(other), "a screen reader is told"
    assert page(previewed, "confirm") in text_of(other)


def test_the_marked_workbook_is_waited_for(previewed: Upload, client: Client) -> None:
    there = text_of(client.get(page(previewed)))
    assert page(previewed, "marked") in there
    Upload.objects.update(marked="")
    assert "?marked" in text_of(client.get(page(previewed)))
    assert text_of(client.get(f"{page(previewed)}?marked", headers=HTMX)).count("<html") == 0
    Upload.objects.update(previewed_at=timezone.now() - dt.timedelta(minutes=11))
    assert "?marked" not in text_of(client.get(page(previewed))), "nobody is making it any more"


# --- the preview ----------------------------------------------------------------------------------


def test_the_preview_adds_up_and_names_every_mistake(previewed: Upload, client: Client) -> None:
    text = text_of(in_language(client, "en").get(page(previewed)))
    numbers = [int(found) for found in re.findall(r"<dd>([\d,]+)</dd>", text)]
    assert numbers == [7, 2, 1, 1, 2, 1]
    assert numbers[0] == sum(numbers[1:])
    for remark in UploadRemark.objects.filter(sort="refused"):
        assert remark.message in text
        assert remark.header in text
    assert "许多人" in text
    sheet = previewed.sheets.get()
    participants = sheet.headers.index(sheet.columns["participants"])
    assert f"{'ABCDEFGH'[participants]}5" in text, "the very cell"
    assert "Enter 3 rows" in text
    assert "Enter 2 rows" in text, "without the one that changes"
    assert "旧址" in text
    assert "新址" in text
    assert "第3条" in text, "a row as it will be saved"


def test_the_page_tells_how_the_columns_were_read(office: Office, client: Client) -> None:
    rows = [{**row, "note": "x"} for row in sheet_rows(ACTIVITIES, range(3))]
    content = with_headers(rows, {"theme": "活动名称", "note": "领导批示"})
    upload = office.previewed(content)
    assert upload.state == State.PREVIEWED, upload.message
    [part] = Life(upload, office.by).parts
    assert "领导批示" in part.ignored
    assert "活动名称" in dict(part.recognised)
    assert [header for header, _label in part.recognised] == part.sheet.headers[:-1], "in the sheet's order"
    text = text_of(in_language(client, "en").get(page(upload)))
    assert "headers in row 1" in text
    assert "领导批示 is ignored" in text


def test_values_that_a_reader_does_not_see_are_hidden_in_the_sample(
    tree: SimpleNamespace, people: SimpleNamespace, office: Office
) -> None:
    row = {"title": "个案", "occurred_on": dt.date(2025, 3, 1), "client": "张三丰", "phone": "13800138000"}
    upload = office.previewed(workbook(("个案", CASES, [row])), CASES)
    assert upload.state == State.PREVIEWED, upload.message
    from programs.access import Actor

    [(_number, mine)] = Life(upload, office.by).parts[0].sample
    assert "张三丰" in dict(mine).values()
    [(_number, theirs)] = Life(upload, Actor.of(people.leader)).parts[0].sample
    assert "张三丰" not in dict(theirs).values()
    assert "13800138000" not in dict(theirs).values()
    assert "个案" in dict(theirs).values()


def with_headers(rows: list[dict[str, Any]], headers: dict[str, str]) -> bytes:
    """A sheet with these words for fields; others get the kind's own."""
    import xlsxwriter

    from programs.facts import label_of
    from tests.reporting.uploads.conftest import cell_of

    target = io.BytesIO()
    with xlsxwriter.Workbook(target, {"in_memory": True, "default_date_format": "yyyy-mm-dd"}) as book:
        sheet = book.add_worksheet("台账")
        names = list(rows[0])
        with translation.override("zh-hans"):
            sheet.write_row(0, 0, [headers.get(n) or str(label_of(ACTIVITIES, n)) for n in names])
            for number, row in enumerate(rows, 1):
                for at, name in enumerate(names):
                    known = name in ACTIVITIES.sheet.names()
                    sheet.write(number, at, cell_of(ACTIVITIES, name, row[name]) if known else row[name])
    return target.getvalue()


# --- dropping -------------------------------------------------------------------------------------


def test_a_dropped_file_is_taken_in_and_shown(office: Office, client: Client) -> None:
    response = client.post(LIST, {"file": dropped(ledger(1, 2)), "kind": "activities", "period": "2026-03"})
    upload = Upload.objects.get()
    assert response.status_code == 302
    assert response["Location"] == page(upload)
    assert (upload.kind, upload.period, upload.unit) == ("activities", dt.date(2026, 3, 1), office.unit)
    assert upload.created_by == office.by.user
    assert upload.language == "zh-hans"


def test_with_htmx_the_browser_is_sent_on(client: Client) -> None:
    response = client.post(LIST, {"file": dropped(ledger(1)), "kind": "any"}, headers=HTMX)
    assert response.headers["HX-Redirect"] == page(Upload.objects.get())
    assert Upload.objects.get().kind == "", "its sheets tell"


def test_the_same_file_is_the_same_upload(client: Client) -> None:
    for _time in range(2):
        response = client.post(LIST, {"file": dropped(ledger(1))}, follow=True)
    assert Upload.objects.count() == 1
    with translation.override("zh-hans"):
        assert [str(message) for message in response.context["messages"]] == [
            translation.gettext("This very file has been brought before; here it is.")
        ]


@pytest.mark.parametrize(
    ("sent", "sentence"),
    [
        ({}, "Choose a file."),
        ({"file": b""}, "The file is empty."),
        ({"file": b"x" * 100, "name": "会议纪要.docx"}, "This is no spreadsheet."),
        ({"file": b"x" * 100, "period": "2026-13"}, "A month is written like 2026-03."),
        ({"file": b"x" * 100, "period": "2099-01"}, "Give a month from 2008 on that has begun."),
        ({"file": b"x" * 100, "kind": "nothing"}, "nothing"),
    ],
)
def test_what_cannot_be_taken_is_said_beside_the_field(
    sent: dict[str, Any], sentence: str, client: Client
) -> None:
    data = {name: value for name, value in sent.items() if name not in ("file", "name")}
    if "file" in sent:
        data["file"] = dropped(sent["file"], sent.get("name", "三月台账.xlsx"))
    for headers in ({}, HTMX):
        text = text_of(in_language(client, "en").post(LIST, data, headers=headers))
        assert sentence in text
        assert ("<html" in text) is not bool(headers)
    assert not Upload.objects.exists()


def test_a_street_may_bring_for_a_community(
    street_office: Office, tree: SimpleNamespace, sign_in: SignIn, client: Client
) -> None:
    street = sign_in(street_office.by.user)
    assert 'name="unit"' in text_of(street.get(LIST))
    street.post(LIST, {"file": dropped(ledger(1)), "unit": tree.own.code})
    assert Upload.objects.get().unit == tree.own
    # Not for another street's; and who has no choice is not asked.
    text_of(street.post(LIST, {"file": dropped(ledger(2)), "unit": tree.cousin.code}))
    assert Upload.objects.count() == 1
    assert 'name="unit"' not in text_of(client.get(LIST))


def test_the_kind_of_the_list_one_comes_from_is_chosen(client: Client) -> None:
    text = text_of(client.get(f"{reverse('record_list', args=['gratitude'])}"))
    assert f"{LIST}?for=gratitude" in text
    assert re.search(r'value="gratitude" (?:checked|selected)', text_of(client.get(f"{LIST}?for=gratitude")))
    assert re.search(r'value="any" (?:checked|selected)', text_of(client.get(f"{LIST}?for=nothing")))


def test_who_may_not_bring_is_offered_nothing(people: SimpleNamespace, sign_in: SignIn) -> None:
    leader = sign_in(people.leader)
    assert LIST not in text_of(leader.get(reverse("record_list", args=["activities"])))
    assert leader.get(LIST).status_code == 403


# --- doing it, and doing it twice -----------------------------------------------------------------


def test_the_whole_way_by_the_pages(previewed: Upload, client: Client) -> None:
    before = EducationActivity.objects.count()
    plan = {"plan": previewed.plan, "choices": "1", "with_changes": "on"}
    for _click in range(2):
        response = client.post(page(previewed, "confirm"), plan)
        assert response["Location"] == page(previewed)
    assert not list(client.get(page(previewed)).context["messages"]), "a double click is no mistake"
    worked_on(previewed)
    assert (previewed.written_new, previewed.written_changed) == (2, 1)
    assert EducationActivity.objects.count() == before + 2
    shown = text_of(client.get(page(previewed)))
    assert f"/records/activities/?upload={previewed.pk}" in shown

    asked = text_of(in_language(client, "en").get(page(previewed, "undo")))
    assert "2 records that it made are deleted." in asked
    assert "1 record that it changed gets its earlier values back." in asked
    for _click in range(2):
        assert client.post(page(previewed, "undo"))["Location"] == page(previewed)
    worked_on(previewed)
    assert (previewed.state, previewed.deleted, previewed.restored) == (State.UNDONE, 2, 1)
    assert EducationActivity.objects.count() == before
    again = client.post(page(previewed, "undo"), follow=True)
    assert [str(message) for message in again.context["messages"]] == [
        "This spreadsheet has been taken back."
    ]
    assert client.get(page(previewed, "undo"))["Location"] == page(previewed), "there is nothing to ask"


def test_changes_are_left_alone_where_the_box_is_not_ticked(previewed: Upload, client: Client) -> None:
    client.post(page(previewed, "confirm"), {"plan": previewed.plan, "choices": "1"})
    worked_on(previewed)
    assert (previewed.written_new, previewed.written_changed) == (2, 0)
    assert EducationActivity.objects.filter(place="旧址").exists()
    assert "was not entered" in text_of(in_language(client, "en").get(page(previewed)))


def test_a_preview_that_is_not_the_last_one_is_not_confirmed(previewed: Upload, client: Client) -> None:
    """The page stands in another tab since before the file was read again."""
    response = in_language(client, "en").post(page(previewed, "confirm"), {"plan": "0" * 64}, follow=True)
    assert "please look again" in text_of(response)
    previewed.refresh_from_db()
    assert previewed.state == State.PREVIEWED


@pytest.mark.parametrize("move", ["confirm", "cancel", "undo", "read_as"])
def test_what_cannot_be_any_more_gets_a_sentence(move: str, previewed: Upload, client: Client) -> None:
    jobs.cancel(by=Office(previewed.created_by, previewed.unit).by, upload=previewed)
    in_language(client, "en")
    sent = client.post(page(previewed, move), {"plan": previewed.plan, "kind": "activities"}, follow=True)
    told = [str(message) for message in sent.context["messages"]]
    assert told == ([] if move == "cancel" else ["This spreadsheet was cancelled."])
    assert Upload.objects.get().state == State.CANCELLED
    assert client.get(page(previewed, move))["Location"] == page(previewed)


def test_two_tabs_of_two_people(previewed: Upload, client: Client, make_user: Any, sign_in: SignIn) -> None:
    colleague = sign_in(make_user("colleague", "community_officer", previewed.unit))
    colleague.post(page(previewed, "cancel"))
    response = in_language(client, "en").post(page(previewed, "confirm"), follow=True)
    assert "This spreadsheet was cancelled." in text_of(response)
    assert not EducationActivity.objects.filter(upload_id=previewed.pk).exists()


def test_what_was_left_is_listed_with_the_reason(office: Office, client: Client) -> None:
    upload = office.entered(ledger(1, 2, 3))
    record = EducationActivity.objects.filter(upload_id=upload.pk).first()
    assert record is not None
    from programs.actions import save_record

    save_record(by=office.by, kind=ACTIVITIES, record=record, version=1, values={"theme": "改过"})
    upload = office.taken_back(upload)
    assert (upload.deleted, upload.kept) == (2, 1)
    text = text_of(in_language(client, "en").get(page(upload)))
    assert "It was changed or removed since." in text or "修改" in text
    assert reverse("record_detail", args=["activities", record.pk]) in text


# --- lists ----------------------------------------------------------------------------------------


def queries(client: Client, address: str) -> list[str]:
    client.get(address)
    with CaptureQueriesContext(
        connection,
    ) as context:
        assert client.get(address).status_code == 200
    return [query["sql"] for query in context.captured_queries]


def test_the_list_costs_the_same_however_long(office: Office, client: Client, make_user: Any) -> None:
    office.bring(ledger(1))
    first = queries(client, LIST)
    for number in range(2, 12):
        upload = office.bring(ledger(number))
        upload.created_by = make_user(f"colleague{number}")
        upload.save()
    assert len(queries(client, LIST)) == len(first) <= 8, first


def test_the_page_costs_the_same_however_much_is_wrong(office: Office, client: Client) -> None:
    def of(*numbers: int) -> int:
        upload = office.previewed(ledger(1, *numbers, participants="许多人"))
        return len(queries(client, page(upload)))

    few = of(2)
    assert of(*range(3, 90)) == few <= 14


def test_the_list_goes_page_by_page_and_is_narrowed(office: Office, client: Client) -> None:
    now = timezone.now()
    Upload.objects.bulk_create(
        Upload(
            unit=office.unit,
            name=f"表{number}.xlsx",
            sha256=str(number),
            size=1,
            kind="activities" if number % 2 else "",
            state=State.CANCELLED,
            ended_at=now,
            created_by=office.by.user,
            asked_by=office.by.user,
            asked_for=office.unit,
        )
        for number in range(60)
    )
    first = client.get(LIST)
    assert [row.upload.name for row in first.context["rows"]] == [f"表{n}.xlsx" for n in range(59, 9, -1)]
    second = client.get(first.context["next_url"])
    assert [row.upload.name for row in second.context["rows"]] == [f"表{n}.xlsx" for n in range(9, -1, -1)]
    assert len(client.get(f"{LIST}?kind=activities").context["rows"]) == 30
    sheet = UploadSheet.objects.create(
        upload=Upload.objects.get(name="表0.xlsx"), position=0, kind="activities", name="x"
    )
    assert sheet.upload in [
        row.upload for row in client.get(f"{LIST}?state=cancelled&kind=activities").context["rows"]
    ]
    assert not client.get(f"{LIST}?state=applied").context["rows"]
    assert not client.get(f"{LIST}?state=nothing").context["rows"]
    assert "rows" in client.get(f"{LIST}?unit=%00").context


def test_remarks_have_pages_of_their_own(office: Office, client: Client) -> None:
    upload = office.previewed(ledger(*range(1, 80), participants="许多人"))
    text = text_of(client.get(page(upload)))
    assert text.count("许多人</span>") == FEW_REMARKS
    assert f"{page(upload, 'remarks')}?sort=refused" in text
    first = client.get(page(upload, "remarks"))
    second = client.get(page(upload, "remarks") + first.context["next_url"].partition("/remarks/")[2])
    rows = [row.remark.row for row in (*first.context["rows"], *second.context["rows"])]
    assert rows == list(range(2, 81))
    assert client.get(f"{page(upload, 'remarks')}?sort=nothing").status_code == 404


# --- files ----------------------------------------------------------------------------------------


def test_files_come_as_attachments_and_leave_a_trace(office: Office, client: Client) -> None:
    name = '三月"台账"\r\n.xlsx'
    content = ledger(1, 2, participants="许多人")
    upload = office.previewed(content, name=name)
    original = client.get(page(upload, "original"))
    assert read_to_the_end(original) == content
    marked = client.get(page(upload, "marked"))
    assert zipfile.ZipFile(io.BytesIO(read_to_the_end(marked))).testzip() is None
    for response in (original, marked):
        assert response["Content-Disposition"].startswith("attachment;")
        assert not re.search(r"[\r\n]", response["Content-Disposition"])
        assert response["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in response["Content-Security-Policy"]
        assert "no-store" in response["Cache-Control"]
    assert original["Content-Type"] == "application/octet-stream"
    events = AuditEvent.objects.filter(action__in=("upload.original", "upload.marked"))
    assert [(event.action, event.upload_id, event.actor_id) for event in events.order_by("pk")] == [
        ("upload.original", upload.pk, office.by.user.pk),
        ("upload.marked", upload.pk, office.by.user.pk),
    ]
    assert {event.action for event in events} <= ACTIONS.keys(), "the log has words for it"


def test_files_that_are_no_longer_kept_are_not_found(previewed: Upload, client: Client) -> None:
    previewed.file.storage.delete(previewed.file.name)
    assert client.get(page(previewed, "original")).status_code == 404
    Upload.objects.update(file="", marked="")
    for which in ("original", "marked"):
        assert client.get(page(previewed, which)).status_code == 404
    text = text_of(in_language(client, "en").get(page(previewed)))
    assert "deleted after 90 days" in text
    assert page(previewed, "original") not in text
    assert not AuditEvent.objects.filter(action="upload.original").exists()


def test_a_file_with_sensitive_columns_is_for_who_reads_them(
    office: Office, street_office: Office, client: Client, sign_in: SignIn, make_user: Any
) -> None:
    """The street sees that its community brought something, and what became of it; not what stands in the file."""
    row = {"title": "个案", "occurred_on": dt.date(2025, 3, 1), "client": "张三丰", "id_number": "33"}
    upload = office.previewed(workbook(("个案", CASES, [row, {**row, "title": ""}])), CASES)
    street = sign_in(street_office.by.user)
    assert downloads.may_open(office.by, upload)
    assert not downloads.may_open(street_office.by, upload)
    text = text_of(street.get(page(upload)))
    for which in ("original", "marked"):
        assert read_to_the_end(client.get(page(upload, which)))
        assert street.get(page(upload, which)).status_code == 403
        assert page(upload, which) not in text
    assert street.get(reverse("upload_columns", args=[upload.public_id, 0])).status_code == 403
    denied = AuditEvent.objects.filter(actor_id=street_office.by.user.pk, outcome=AuditEvent.Outcome.DENIED)
    assert denied.count() == 3
    # Love education has nothing that a street does not read.
    harmless = office.previewed(ledger(1))
    assert read_to_the_end(street.get(page(harmless, "original"))) == ledger(1)


def test_another_units_upload_is_not_there_and_the_log_tells(
    office: Office, people: SimpleNamespace, sign_in: SignIn
) -> None:
    upload = office.bring(ledger(1))
    outsider = sign_in(people.outsider)
    for name in ("detail", "remarks", "original", "marked", "confirm", "cancel", "undo", "read_as"):
        assert outsider.get(page(upload, name)).status_code == 404, name
    assert outsider.get(page(Upload(public_id=uuid.uuid4()))).status_code == 404
    events = AuditEvent.objects.filter(actor_id=people.outsider.pk, outcome=AuditEvent.Outcome.DENIED)
    assert {event.action for event in events} == {Permission.RECORD_BRING.value}
    assert {event.unit_id for event in events} == {office.unit.pk}


def test_blank_sheets_are_made_for_the_unit(client: Client, office: Office) -> None:
    import openpyxl

    one = client.get(f"{reverse('upload_blank')}?kind=gratitude")
    assert one["Content-Disposition"].startswith("attachment;")
    every = client.get(reverse("upload_blank"))
    books = [openpyxl.load_workbook(io.BytesIO(response.content)) for response in (one, every)]
    assert len(books[0].sheetnames) == 2
    assert len(books[1].sheetnames) == 1 + len(registry.kinds())
    assert office.unit.name in str(books[0].worksheets[0]["A1"].value)
    assert client.get(f"{reverse('upload_blank')}?kind=nothing").status_code == 404


# --- what columns mean ----------------------------------------------------------------------------

STRANGE = {
    "theme": "做了什么",
    "series": "哪一类",
    "setting": "在哪类地方",
    "occurred_on": "哪一天",
    "participants": "来了多少",
}
WITHOUT_PLACE = ("theme", "series", "festival", "setting", "occurred_on", "participants")


def strange(*numbers: int) -> bytes:
    rows = sheet_rows(ACTIVITIES, numbers)
    return with_headers([{name: row.get(name, "") for name in WITHOUT_PLACE} for row in rows], STRANGE)


def columns_page(upload: Upload, position: int = 0) -> str:
    return reverse("upload_columns", args=[upload.public_id, position])


def assigned(form: Any, chosen: dict[str, str]) -> dict[str, str]:
    """What the browser sends: the choice of each column, by its header."""
    return {bound.html_name: chosen.get(column.header, "") for column, bound in form.by_column()}


def test_a_sheet_with_strange_headers_is_read_once_somebody_says_what_they_mean(
    office: Office, client: Client
) -> None:
    upload = office.previewed(strange(1, 2, 3), None)
    assert upload.state == State.REFUSED
    assert columns_page(upload) in text_of(client.get(page(upload)))
    shown = client.get(f"{columns_page(upload)}?kind=activities")
    form = shown.context["form"]
    samples = {column.header: column.samples for column, _bound in form.by_column()}
    assert samples["做了什么"] == ["第1条", "第2条", "第3条"]
    assert samples["来了多少"] == ["12"]
    data = assigned(form, {header: name for name, header in STRANGE.items()})
    response = client.post(f"{columns_page(upload)}?kind=activities", {**data, "name": "老台账"})
    assert response["Location"] == page(upload)
    upload = jobs.finish(Upload.objects.get(), seconds=5)
    assert (upload.state, upload.new, upload.kind) == (State.PREVIEWED, 3, "activities"), upload.message
    # Remembered for the unit, and offered by its name.
    assert office.previewed(strange(7, 8)).new == 2
    offered = client.get(LIST).context["drop_form"]
    [(_empty, _label), (pk, label)] = [*offered.fields["mapping"].choices]
    assert "老台账" in label
    SheetMapping.objects.filter(name="").delete()
    client.post(LIST, {"file": dropped(strange(9)), "mapping": pk.value, "kind": "activities"})
    assert jobs.finish(Upload.objects.first(), seconds=5).new == 1  # type: ignore[arg-type]
    wrong = {"file": dropped(strange(10)), "mapping": pk.value, "kind": "gratitude"}
    assert client.post(LIST, wrong).context["drop_form"].errors.keys() == {"mapping"}


def test_a_layout_of_another_units_is_not_offered(
    office: Office, people: SimpleNamespace, sign_in: SignIn, tree: SimpleNamespace, client: Client
) -> None:
    for unit, name in ((tree.street, "街道的"), (tree.sibling, "邻居的"), (tree.district, "区里的")):
        SheetMapping.objects.create(
            unit=unit, kind="activities", name=name, columns={}, updated_by=office.by.user
        )
    labels = [str(label) for _value, label in client.get(LIST).context["drop_form"].fields["mapping"].choices]
    assert {name for name in ("街道的", "邻居的", "区里的") if any(name in label for label in labels)} == {
        "街道的",
        "区里的",
    }
    theirs = SheetMapping.objects.get(name="邻居的")
    refused = client.post(LIST, {"file": dropped(ledger(1)), "mapping": theirs.pk})
    assert refused.context["drop_form"].errors.keys() == {"mapping"}


def test_what_is_assigned_is_checked(office: Office, client: Client) -> None:
    upload = office.previewed(strange(1))
    form = client.get(columns_page(upload)).context["form"]
    in_language(client, "en")
    twice = assigned(form, {"做了什么": "theme", "哪一类": "theme"})
    assert "Theme is chosen for two columns." in text_of(client.post(columns_page(upload), twice))
    missing = assigned(form, {"做了什么": "theme"})
    assert "Every row needs these: Series" in text_of(client.post(columns_page(upload), missing))
    bad = text_of(client.post(columns_page(upload), {**missing, "name": "长" * 61}))
    assert "aria-invalid" in bad
    assert not SheetMapping.objects.exists()
    upload.refresh_from_db()
    assert upload.state == State.REFUSED


def test_a_column_that_was_recognised_can_be_left_aside(office: Office, client: Client) -> None:
    rows = [{**row, "place": f"地点{number}"} for number, row in enumerate(sheet_rows(ACTIVITIES, range(2)))]
    upload = office.previewed(with_headers(rows, {}))
    assert "place" in upload.sheets.get().columns
    form = client.get(columns_page(upload)).context["form"]
    chosen = {column.header: column.field for column, _bound in form.by_column() if column.field != "place"}
    client.post(columns_page(upload), assigned(form, chosen))
    upload = jobs.finish(Upload.objects.get(), seconds=5)
    assert (upload.state, upload.new) == (State.PREVIEWED, 2), upload.message
    assert "place" not in upload.sheets.get().columns
    assert SheetMapping.objects.get().columns["place"] == ""


def test_a_sheet_without_any_header_says_so(office: Office, client: Client) -> None:
    rows: list[dict[str, Any]] = [{"theme": 1, "participants": 2}]
    upload = office.previewed(with_headers(rows, {"theme": "1", "participants": "2"}))
    Upload.objects.update(state=State.REFUSED)
    import openpyxl

    book = openpyxl.Workbook()
    book.active.title = "台账"
    book.active.append([1, 2])
    target = io.BytesIO()
    book.save(target)
    upload.file.delete(save=False)
    upload.file.save("x", SimpleUploadedFile("x", target.getvalue()))
    assert "no row that could be a header" in text_of(in_language(client, "en").get(columns_page(upload)))


def test_columns_are_assigned_where_that_leads_somewhere(office: Office, client: Client) -> None:
    upload = office.entered(ledger(1))
    in_language(client, "en")
    assert client.get(columns_page(upload))["Location"] == page(upload)
    assert client.get(columns_page(upload, 7)).status_code == 404
    assert client.get(columns_page(upload, 10**12)).status_code == 404
    gone = office.previewed(ledger(2))
    Upload.objects.filter(pk=gone.pk).update(file="")
    told = client.get(columns_page(gone), follow=True)
    assert "no longer kept" in text_of(told)


def test_a_file_taken_for_something_else_is_read_again(office: Office, client: Client) -> None:
    upload = office.previewed(ledger(1, 2), registry.kind("carriers"))
    assert upload.state == State.REFUSED
    assert page(upload, "read_as") in text_of(client.get(page(upload)))
    client.post(page(upload, "read_as"), {"kind": "nothing"})
    upload.refresh_from_db()
    assert upload.state == State.REFUSED
    client.post(page(upload, "read_as"), {"kind": "activities"})
    upload = jobs.finish(Upload.objects.get(), seconds=5)
    assert (upload.state, upload.kind, upload.new) == (State.PREVIEWED, "activities", 2)


# --- elsewhere ------------------------------------------------------------------------------------


def test_a_list_of_records_can_be_that_of_an_upload(
    office: Office, client: Client, make_record: Any, people: SimpleNamespace, sign_in: SignIn
) -> None:
    other = office.entered(ledger(8, 9))
    upload = office.entered(ledger(1, 2, 3))
    address = f"{reverse('record_list', args=['activities'])}?upload={upload.pk}"
    response = client.get(address)
    assert {row["cells"][1]["value"] for row in response.context["rows"]} == {"第1条", "第2条", "第3条"}
    [tag] = response.context["active_filters"]
    assert tag["value"] == "三月台账.xlsx"
    assert (
        client.get(f"/api/v1/records/activities/?upload={other.pk}").json()["results"][1]["theme"] == "第8条"
    )
    # By the ids, which are indexed: there is no index on where a record came from.
    [listing] = [sql for sql in queries(client, address) if "ORDER BY" in sql and "upload_id" in sql]
    assert "BETWEEN" in listing
    # Of another kind, of no upload, of one that the reader does not know: nothing.
    assert not client.get(f"/records/gratitude/?upload={upload.pk}").context["rows"]
    assert not client.get("/records/activities/?upload=999999").context["rows"]
    assert not sign_in(people.leader).get(address).context["rows"]
    for wrong in ("x", "0", str(2**63), "1.5"):
        wrong_answer = client.get(f"/records/activities/?upload={wrong}")
        assert wrong_answer.context["problems"], wrong
        assert client.get(f"/api/v1/records/activities/?upload={wrong}").status_code == 400


def test_a_record_leads_to_its_spreadsheet(office: Office, client: Client) -> None:
    upload = office.entered(ledger(1))
    record = EducationActivity.objects.get(upload_id=upload.pk)
    assert page(upload) in text_of(client.get(reverse("record_detail", args=["activities", record.pk])))


def test_the_home_page_tells_what_waits(office: Office, client: Client, people: SimpleNamespace) -> None:
    home = reverse("home")
    assert LIST not in text_of(client.get(home)).partition("<main")[2]
    upload = office.previewed(ledger(1))
    assert page(upload) in text_of(client.get(home))
    old = office.previewed(strange(1))
    assert old.state == State.REFUSED
    assert page(old) in text_of(client.get(home))
    Upload.objects.filter(pk=old.pk).update(ended_at=timezone.now() - dt.timedelta(days=8))
    jobs.finish(jobs.confirm(by=office.by, upload=upload), seconds=5)
    assert LIST not in text_of(client.get(home)).partition("<main")[2]


# --- the next step --------------------------------------------------------------------------------


def test_nobody_is_asked_to_confirm_what_holds_nothing_to_enter(office: Office, client: Client) -> None:
    in_language(client, "en")
    to_mend = office.previewed(ledger(1, participants="many"))
    told = text_of(client.get(page(to_mend)))
    assert "To be mended" in told
    assert "To be confirmed" not in told
    office.entered(ledger(2))
    known = office.previewed(ledger(2, salt="again"))
    assert "Nothing new" in text_of(client.get(page(known)))


def test_records_that_change_are_called_by_their_names(office: Office, client: Client) -> None:
    before = sheet_rows(ACTIVITIES, range(2))
    office.entered(workbook(("台账", ACTIVITIES, before)))
    after = [{**row, "participants": 999} for row in before]
    changed = office.previewed(workbook(("台账", ACTIVITIES, after)))
    assert changed.changed == 2
    told = text_of(client.get(page(changed)))
    assert "第0条" in told
    assert "第1条" in told
