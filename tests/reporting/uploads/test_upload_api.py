"""Spreadsheets for programs: brought, watched, confirmed and taken back in JSON, as on the pages."""

from __future__ import annotations

import io
import uuid
import zipfile
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import translation

from programs.models import EducationActivity, User
from reporting.models import Upload
from reporting.models.upload import State
from reporting.uploads import jobs
from reporting.uploads.report import COUNTS, summary_of
from tests.conftest import read_to_the_end
from tests.reporting.uploads.conftest import ACTIVITIES, Office, row_values, sheet_rows, workbook

pytestmark = pytest.mark.django_db
SignIn = Callable[[User], Client]
UPLOADS = "/api/v1/uploads/"


def ledger(*numbers: int, **more: Any) -> bytes:
    return workbook(("台账", ACTIVITIES, sheet_rows(ACTIVITIES, numbers, **more)))


def file(content: bytes, name: str = "三月台账.xlsx") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content)


def place(upload: Upload, *names: str) -> str:
    return "/".join([f"{UPLOADS}{upload.public_id}", *names, ""])


@pytest.fixture
def client(office: Office, sign_in: SignIn) -> Client:
    found = sign_in(office.by.user)
    found.cookies[settings.LANGUAGE_COOKIE_NAME] = "en"
    return found


def post(client: Client, address: str, body: dict[str, Any] | None = None) -> Any:
    return client.post(address, body or {}, content_type="application/json")


def worked_on() -> Upload:
    return jobs.finish(Upload.objects.get(), seconds=5)


def test_a_program_goes_the_whole_way(client: Client, office: Office, make_record: Any) -> None:
    make_record("activities", office.unit, office.by.user, **row_values(ACTIVITIES, 1, place="旧址"))
    content = ledger(1, 2, 3, 4, place="新址")
    response = client.post(UPLOADS, {"file": file(content), "kind": "activities", "period": "2026-03"})
    upload = Upload.objects.get()
    assert response.status_code == 202
    assert response["Location"] == place(upload)
    brought = response.json()
    assert (brought["state"], brought["file"], brought["unit"]) == (
        "received",
        "三月台账.xlsx",
        office.unit.code,
    )
    assert (brought["period"], brought["kind"], brought["sheets"]) == ("2026-03", "activities", [])

    worked_on()
    seen = client.get(place(upload)).json()
    assert seen["state"] == "previewed"
    assert seen["counts"] == {"read": 4, "new": 3, "changed": 1, "same": 0, "refused": 0, "left_out": 0}
    assert seen["sheets"][0]["columns"]["theme"]
    assert not seen["has_marked"]
    assert EducationActivity.objects.count() == 1

    confirmed = post(client, place(upload, "confirm"), {"plan": seen["plan"], "with_changes": False})
    assert (confirmed.status_code, confirmed.json()["state"]) == (202, "applying")
    worked_on()
    entered = client.get(place(upload)).json()
    assert (entered["state"], entered["written"]["written_new"], entered["written"]["written_changed"]) == (
        "applied",
        3,
        0,
    )
    listed = client.get(f"/api/v1/records/activities/?upload={entered['number']}").json()["results"]
    assert len(listed) == 3

    undone = post(client, place(upload, "undo"))
    assert (undone.status_code, undone.json()["state"]) == (202, "undoing")
    worked_on()
    assert client.get(place(upload)).json()["written"]["deleted"] == 3
    assert EducationActivity.objects.count() == 1


def test_the_same_file_is_the_one_that_is_there(client: Client) -> None:
    first = client.post(UPLOADS, {"file": file(ledger(1))})
    second = client.post(UPLOADS, {"file": file(ledger(1), "另一个名字.xlsx")})
    assert (first.status_code, second.status_code) == (202, 200)
    assert first.json()["id"] == second.json()["id"]
    assert second["Location"] == first["Location"]


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({}, "file"),
        ({"file": file(b"")}, "file"),
        ({"file": file(b"x", "会议.docx")}, "file"),
        ({"file": file(b"x"), "kind": "any"}, "kind"),
        ({"file": file(b"x"), "kind": "nothing"}, "kind"),
        ({"file": file(b"x"), "period": "2026-3"}, "period"),
        ({"file": file(b"x"), "unit": "331002002"}, "unit"),
        ({"file": file(b"x"), "unit": "nowhere"}, "unit"),
        ({"file": file(b"x"), "mapping": "1"}, "mapping"),
        ({"file": file(b"x"), "all": "1"}, "all"),
        ({"file": [file(b"x"), file(b"y")]}, "file"),
        ({"file": file(b"x"), "kind": ["activities", "carriers"]}, "kind"),
    ],
)
def test_what_cannot_be_taken_is_named(sent: dict[str, Any], field: str, client: Client) -> None:
    for one in sent.values():
        for each in one if isinstance(one, list) else [one]:
            if isinstance(each, SimpleUploadedFile):
                each.seek(0)
    response = client.post(UPLOADS, sent)
    assert response.status_code == 400, response.json()
    assert list(response.json()["errors"]) == [field]
    assert not Upload.objects.exists()


def test_a_file_comes_as_a_form_and_the_rest_as_json(client: Client, office: Office) -> None:
    assert post(client, UPLOADS, {"file": "x"}).status_code == 415
    upload = office.previewed(ledger(1))
    assert client.post(place(upload, "confirm"), {"with_changes": "true"}).status_code == 415
    for body in ({"with_changes": "yes"}, {"all": True}, {"plan": 7}):
        assert post(client, place(upload, "confirm"), body).status_code == 400, body
    assert post(client, place(upload, "cancel"), {"why": "x"}).status_code == 400
    upload.refresh_from_db()
    assert upload.state == State.PREVIEWED


def test_what_cannot_be_any_more_is_a_conflict_with_what_is(client: Client, office: Office) -> None:
    upload = office.previewed(ledger(1, 2, participants="许多人"))
    none = post(client, place(upload, "confirm"))
    assert (none.status_code, none.json()["detail"]) == (409, "There is nothing to enter.")
    mixed = office.previewed(
        workbook(("台账", ACTIVITIES, [*sheet_rows(ACTIVITIES, [1]), *sheet_rows(ACTIVITIES, [2], theme="")]))
    )
    all_or_none = post(client, place(mixed, "confirm"), {"all_or_none": True})
    assert all_or_none.status_code == 409
    assert "1 row was refused" in all_or_none.json()["detail"]
    other_plan = post(client, place(mixed, "confirm"), {"plan": "x"})
    assert other_plan.status_code == 409
    assert other_plan.json()["sent"] == {"plan": "x"}
    assert other_plan.json()["current"]["plan"] == mixed.plan
    assert post(client, place(mixed, "cancel")).status_code == 200
    again = post(client, place(mixed, "undo"))
    assert again.status_code == 409
    assert again.json()["current"]["state"] == "cancelled"
    assert post(client, place(mixed, "cancel")).status_code == 200, "cancelling twice is cancelling once"


def test_the_list_holds_the_newest_first_page_by_page(client: Client, office: Office) -> None:
    uploads = [office.bring(ledger(number)) for number in range(5)]
    first = client.get(f"{UPLOADS}?page_size=3").json()
    assert [one["id"] for one in first["results"]] == [str(one.public_id) for one in uploads[:1:-1]]
    second = client.get(first["next"]).json()
    assert [one["id"] for one in second["results"]] == [str(one.public_id) for one in uploads[1::-1]]
    assert set(first["results"][0]) == set(summary_of(uploads[0]))
    jobs.cancel(by=office.by, upload=uploads[0])
    assert len(client.get(f"{UPLOADS}?state=cancelled&kind=activities").json()["results"]) == 1
    for wrong in ("state=nothing", "kind=nothing", "unit=nothing", "page=2", "cursor=x"):
        assert client.get(f"{UPLOADS}?{wrong}").status_code == 400, wrong


def test_remarks_are_listed_by_sort(client: Client, office: Office) -> None:
    upload = office.previewed(ledger(*range(1, 6), participants="许多人"))
    found = client.get(f"{place(upload, 'remarks')}?page_size=3").json()
    rest = client.get(found["next"]).json()
    rows = [*found["results"], *rest["results"]]
    assert [row["row"] for row in rows] == [2, 3, 4, 5, 6]
    assert rows[0]["value"] == "许多人"
    assert rows[0]["field"] == "participants"
    assert rows[0]["cell"].endswith("2")
    assert rows[0]["sheet"] == "台账"
    assert client.get(f"{place(upload, 'remarks')}?sort=same").json()["results"] == []
    assert client.get(f"{place(upload, 'remarks')}?sort=nothing").status_code == 400
    assert sum(client.get(place(upload)).json()["counts"][name] for name in COUNTS if name != "read") == 5


def test_files_come_whatever_is_accepted(client: Client, office: Office) -> None:
    content = ledger(1, 2, participants="许多人")
    upload = office.previewed(content)
    xlsx = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    for accepted in ("*/*", "application/json", xlsx):
        assert read_to_the_end(client.get(place(upload, "original"), headers={"Accept": accepted})) == content
    marked = client.get(place(upload, "marked"))
    assert marked["Content-Type"] == xlsx
    assert marked["X-Content-Type-Options"] == "nosniff"
    assert zipfile.is_zipfile(io.BytesIO(read_to_the_end(marked)))
    blank = client.get(f"{UPLOADS}blank/?kind=activities", headers={"Accept": xlsx})
    assert zipfile.is_zipfile(io.BytesIO(blank.content))
    assert client.get(f"{UPLOADS}blank/?kind=nothing").json()["errors"].keys() == {"kind"}
    other = office.previewed(ledger(3))
    missing = client.get(place(other, "marked"), headers={"Accept": xlsx})
    assert (missing.status_code, missing["Content-Type"]) == (404, "application/json")


def test_only_within_reach(
    client: Client, office: Office, people: SimpleNamespace, sign_in: SignIn, tree: SimpleNamespace
) -> None:
    upload = office.previewed(ledger(1))
    moves = ("confirm", "cancel", "undo")
    outsider, leader, stranger = sign_in(people.outsider), sign_in(people.leader), Client()
    for someone, status in ((outsider, 404), (leader, 403), (stranger, 401)):
        for name in ("", "remarks", "original", "marked"):
            address = place(upload, name) if name else place(upload)
            assert someone.get(address).status_code == status, (status, name)
        for name in moves:
            assert post(someone, place(upload, name)).status_code == status, (status, name)
    assert client.get(f"{UPLOADS}{uuid.uuid4()}/").status_code == 404
    assert outsider.get(UPLOADS).json()["results"] == []
    upload.refresh_from_db()
    assert upload.state == State.PREVIEWED
    # A street enters rows for its communities, and not for those of others.
    street = sign_in(people.street_officer)
    for unit, status in ((tree.sibling, 202), (tree.cousin, 400)):
        sent = {"file": file(ledger(unit.pk)), "unit": unit.code}
        assert street.post(UPLOADS, sent).status_code == status


def test_messages_are_in_the_language_of_the_session(client: Client, office: Office) -> None:
    """The sentences about rows in that of whoever brought the file, who mends them."""
    client.cookies[settings.LANGUAGE_COOKIE_NAME] = "en"
    client.post(UPLOADS, {"file": file(ledger(1, participants="许多人"))})
    upload = worked_on()
    assert upload.language == "en"
    [remark] = client.get(place(upload, "remarks")).json()["results"]
    assert "is not a plain number" in remark["message"]
    with translation.override("zh-hans"):
        assert "plain number" in upload.sheets.get().remarks.get().message
