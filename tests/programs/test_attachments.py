"""Photos and files of a record: what is taken, how it is kept, how it leaves the server."""

from __future__ import annotations

import datetime as dt
import io
import uuid
import zipfile
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
import time_machine
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from programs import attachments, registry
from programs.access import Actor
from programs.actions import save_record
from programs.attachments import MAX_BYTES, clean_name
from programs.models import Attachment, AuditEvent, EducationActivity, Unit, User
from tests.conftest import read_to_the_end

SignIn = Callable[[User], Client]
MakeRecord = Callable[..., Any]

NEW = "/records/activities/new/"
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + b"\x00" * 64
PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 64
WEBP = b"RIFF\x40\x00\x00\x00WEBPVP8 " + b"\x00" * 64
PDF = b"%PDF-1.7\n%%EOF"


def office(part: str, *more: str, types: str = "<Types/>") -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", types)
        for name in (part, *more):
            archive.writestr(name, "<x/>")
    return content.getvalue()


DOCX = office("word/document.xml")
XLSX = office("xl/workbook.xml")
TAKEN = {
    "照片.jpg": (JPEG, "image/jpeg"),
    "照片.JPEG": (JPEG, "image/jpeg"),
    "截图.png": (PNG, "image/png"),
    "照片.webp": (WEBP, "image/webp"),
    "方案.pdf": (PDF, "application/pdf"),
    "总结.docx": (DOCX, f"{attachments.OFFICE}wordprocessingml.document"),
    "名单.xlsx": (XLSX, f"{attachments.OFFICE}spreadsheetml.sheet"),
}
MACROS = {
    "a project of macros": office("word/document.xml", "word/vbaProject.bin"),
    "a project of another case": office("xl/workbook.xml", "xl/VBAPROJECT.BIN"),
    "a declaration of macros": office(
        "word/document.xml",
        types='<Override ContentType="application/vnd.ms-word.document.macroEnabled.main+xml"/>',
    ),
    "a sheet of macros": office("xl/workbook.xml", "xl/macrosheets/sheet1.xml"),
    "controls": office("word/document.xml", "word/activeX/activeX1.bin"),
}
REFUSED = {
    "a page as a picture": ("a.jpg", b"<html><script>alert(1)</script>"),
    "a picture under another name": ("a.png", JPEG),
    "a program": ("a.exe", b"MZ\x90\x00"),
    "a program as a document": ("a.docx", b"MZ\x90\x00"),
    "a drawing with scripts": ("a.svg", b"<svg/>"),
    "a page": ("a.html", b"<html/>"),
    "a plain zip": ("a.zip", DOCX),
    "a zip as a document": ("a.docx", office("readme.txt")),
    "a workbook as a document": ("a.docx", XLSX),
    "half a zip": ("a.docx", DOCX[:-30]),
    "an old document": ("a.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
    "an old document under the new name": ("a.docx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
    "a document for macros by name": ("a.docm", DOCX),
    "no ending": ("jpg", JPEG),
    "two endings": ("a.jpg.exe", JPEG),
    "nothing in it": ("a.jpg", b""),
    "too much": ("a.jpg", JPEG + b"\x00" * MAX_BYTES),
    **{what: (f"a.{'xlsx' if b'xl/' in content else 'docx'}", content) for what, content in MACROS.items()},
}


@pytest.fixture(autouse=True)
def media(tmp_path: Path, settings: Any) -> Path:
    settings.MEDIA_ROOT = tmp_path
    return tmp_path


@pytest.fixture
def officer(people: SimpleNamespace, sign_in: SignIn) -> Client:
    return sign_in(people.community_officer)


def file(name: str, content: bytes) -> SimpleUploadedFile:
    return SimpleUploadedFile(
        name, content, content_type="text/html"
    )  # what a browser claims counts for nothing


def activity(unit: Unit, *files: SimpleUploadedFile, **over: Any) -> dict[str, Any]:
    return {
        "theme": "感恩教育进校园",
        "series": "six_ones",
        "setting": "school",
        "occurred_on": "2026-03-05",
        "unit": unit.code,
        "participants": "120",
        "submission_key": str(uuid.uuid4()),
        "files": list(files),
        **over,
    }


def stored(media: Path) -> list[Path]:
    return [path for path in media.rglob("*") if path.is_file()]


@pytest.fixture
def photo(tree: SimpleNamespace, officer: Client) -> Attachment:
    officer.post(NEW, activity(tree.own, file("活动照片.jpg", JPEG)))
    return Attachment.objects.get()


def url(attachment: Attachment, verb: str = "") -> str:
    return f"/records/activities/{attachment.record_id}/files/{attachment.pk}/{verb}"


# --- what is taken ------------------------------------------------------------------------------------------------


def test_files_are_optional(tree: SimpleNamespace, officer: Client) -> None:
    assert officer.post(NEW, activity(tree.own)).status_code == 302


def test_every_accepted_kind_with_the_record(
    tree: SimpleNamespace, people: SimpleNamespace, officer: Client, media: Path
) -> None:
    files = [file(name, content) for name, (content, _type) in TAKEN.items()]
    assert officer.post(NEW, activity(tree.own, *files)).status_code == 302
    record = EducationActivity.objects.get()
    rows = Attachment.objects.filter(kind="activities", record_id=record.pk)
    assert {row.name: row.content_type for row in rows} == {name: kind for name, (_, kind) in TAKEN.items()}
    assert {row.created_by for row in rows} == {people.community_officer}
    for row in rows:
        with row.file.open("rb") as kept:
            assert kept.read() == TAKEN[row.name][0]
    for path in stored(media):
        assert path.suffix == "", "a stored name says nothing of the file"
        assert path.stat().st_mode & 0o111 == 0
    assert AuditEvent.objects.filter(action="activities.attach").count() == len(TAKEN)


@pytest.mark.parametrize("what", REFUSED)
def test_a_refused_file_is_named_and_nothing_is_written(
    tree: SimpleNamespace, officer: Client, media: Path, what: str
) -> None:
    name, content = REFUSED[what]
    events = AuditEvent.objects.count()
    response = officer.post(NEW, activity(tree.own, file("好的.jpg", JPEG), file(name, content)))
    errors = response.context["form"].errors
    assert list(errors) == ["files"]
    assert any(
        f"“{name}”" in message or f"「{name}」" in message or name in message for message in errors["files"]
    )
    assert not any("好的" in message for message in errors["files"])
    assert unescape(response.content.decode()).count(errors["files"][0]) >= 2
    assert EducationActivity.objects.count() == 0
    assert Attachment.objects.count() == 0
    assert AuditEvent.objects.count() == events
    assert stored(media) == []


def test_every_refused_file_has_its_own_sentence(tree: SimpleNamespace, officer: Client) -> None:
    response = officer.post(NEW, activity(tree.own, file("一.exe", b"MZ"), file("二.jpg", b"x")))
    messages = response.context["form"].errors["files"]
    assert "一.exe" in messages[0]
    assert "二.jpg" in messages[1]


def test_nine_files_at_most(tree: SimpleNamespace, officer: Client, media: Path) -> None:
    nine = [file(f"{number}.jpg", JPEG) for number in range(9)]
    ten = [*nine, file("9.jpg", JPEG)]
    assert list(officer.post(NEW, activity(tree.own, *ten)).context["form"].errors) == ["files"]
    for one in nine:
        one.seek(0)
    officer.post(NEW, activity(tree.own, *nine))
    record = EducationActivity.objects.get()
    more = activity(tree.own, file("10.jpg", JPEG), version="1")
    response = officer.post(f"/records/activities/{record.pk}/edit/", more)
    assert "9" in response.context["form"].errors["files"][0]
    record.refresh_from_db()
    assert record.version == 1, "the edit was refused as a whole"
    assert len(stored(media)) == 9


def test_files_are_asked_for_again_when_something_else_is_wrong(
    tree: SimpleNamespace, officer: Client
) -> None:
    response = officer.post(NEW, activity(tree.own, file("a.jpg", JPEG), participants="-1"))
    assert set(response.context["form"].errors) == {"participants", "files"}


def test_the_same_form_twice_keeps_its_files_once(
    tree: SimpleNamespace, officer: Client, media: Path
) -> None:
    data = activity(tree.own)
    for _time in range(2):
        assert officer.post(NEW, {**data, "files": [file("a.jpg", JPEG)]}).status_code == 302
    assert Attachment.objects.count() == 1
    assert len(stored(media)) == 1


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("../../etc/passwd.jpg", "passwd.jpg"),
        ("C:\\Users\\王\\照片.jpg", "照片.jpg"),
        ("前\x00后\r\n.jpg", "前后.jpg"),
        ("photo\u202egpj.exe.jpg", "photogpj.exe.jpg"),
        ("长" * 300 + ".jpg", "长" * 146 + ".jpg"),
        ("𠮷😀.png", "𠮷😀.png"),
    ],
)
def test_names_are_kept_without_what_nobody_sees(given: str, kept: str) -> None:
    assert clean_name(given) == kept


def test_a_bomb_is_not_unpacked(tree: SimpleNamespace, officer: Client) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", b"\x00" * (30 * 1024 * 1024))
        archive.writestr("word/document.xml", "<x/>")
    response = officer.post(NEW, activity(tree.own, file("bomb.docx", content.getvalue())))
    assert list(response.context["form"].errors) == ["files"]


def test_a_request_larger_than_any_form_is_not_read(officer: Client) -> None:
    with mock.patch.object(attachments, "MAX_REQUEST_BYTES", 100):
        response = officer.post(NEW, {"files": [file("a.jpg", JPEG * 10)]})
    assert response.status_code == 400


# --- together with its row, or not at all -------------------------------------------------------------------------


def failing(place: str) -> Any:
    return mock.patch(place, side_effect=RuntimeError("the power went"))


@pytest.mark.parametrize(
    "place",
    ["programs.actions.records.audit", "programs.actions.attachments.audit", "programs.bell.ring_on_commit"],
)
@pytest.mark.parametrize("change", [False, True])
def test_a_failure_leaves_neither_row_nor_file(
    tree: SimpleNamespace,
    people: SimpleNamespace,
    make_record: MakeRecord,
    media: Path,
    actor: Callable[[User], Actor],
    place: str,
    change: bool,
) -> None:
    record = make_record("activities", tree.own, people.community_officer)
    with failing(place), pytest.raises(RuntimeError):
        save_record(
            by=actor(people.community_officer),
            kind=registry.kind("activities"),
            values={"theme": "新题"} if change else {**_values(record), "unit": tree.own},
            record=record if change else None,
            files=[file("a.jpg", JPEG), file("b.jpg", JPEG)],
        )
    assert Attachment.objects.count() == 0
    assert stored(media) == []
    assert EducationActivity.objects.count() == 1


def _values(record: EducationActivity) -> dict[str, Any]:
    names = ("theme", "series", "festival", "setting", "participants", "occurred_on")
    return {name: getattr(record, name) for name in names}


def test_a_full_disk_leaves_nothing(
    tree: SimpleNamespace, officer: Client, media: Path, settings: Any
) -> None:
    def half(self: Any, name: str, content: Any) -> str:
        raise OSError(28, "No space left on device")

    officer.raise_request_exception = False
    with mock.patch("django.core.files.storage.FileSystemStorage._save", half):
        assert officer.post(NEW, activity(tree.own, file("a.jpg", JPEG))).status_code == 500
    assert EducationActivity.objects.count() == 0
    assert Attachment.objects.count() == 0


# --- how it leaves ------------------------------------------------------------------------------------------------


def answer(client: Client, address: str) -> Iterator[Any]:
    response = client.get(address)
    yield response
    read_to_the_end(response)


def test_a_picture_is_shown_and_runs_nothing(officer: Client, photo: Attachment) -> None:
    response = officer.get(url(photo))
    assert b"".join(response.streaming_content) == JPEG
    assert response["Content-Type"] == "image/jpeg"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert response["Content-Disposition"].startswith("inline; filename*=utf-8''")
    assert "%E6%B4%BB%E5%8A%A8%E7%85%A7%E7%89%87.jpg" in response["Content-Disposition"]
    assert "no-store" in response["Cache-Control"]


@pytest.mark.parametrize("name", ["方案.pdf", "总结.docx", "名单.xlsx"])
def test_everything_else_is_saved_not_opened(tree: SimpleNamespace, officer: Client, name: str) -> None:
    officer.post(NEW, activity(tree.own, file(name, TAKEN[name][0])))
    response = officer.get(url(Attachment.objects.get()))
    assert b"".join(response.streaming_content) == TAKEN[name][0]
    assert response["Content-Disposition"].startswith("attachment; ")
    assert response["X-Content-Type-Options"] == "nosniff"


def test_only_who_sees_the_record_has_its_files(
    tree: SimpleNamespace, people: SimpleNamespace, sign_in: SignIn, photo: Attachment, client: Client
) -> None:
    for person, status in (
        (people.leader, 200),
        (people.street_officer, 200),
        (people.auditor, 200),
        (people.outsider, 404),
        (people.unit_officer, 404),
        (people.counsellor, 403),
    ):
        response = sign_in(person).get(url(photo))
        assert response.status_code == status, person
        read_to_the_end(response)
    assert client.get(url(photo)).status_code == 302


def test_a_file_is_had_through_its_own_record_only(
    tree: SimpleNamespace,
    people: SimpleNamespace,
    officer: Client,
    photo: Attachment,
    make_record: MakeRecord,
) -> None:
    other = make_record("activities", tree.own, people.community_officer)
    carrier = make_record("carriers", tree.own, people.community_officer)
    assert officer.get(f"/records/activities/{other.pk}/files/{photo.pk}/").status_code == 404
    assert officer.get(f"/records/carriers/{carrier.pk}/files/{photo.pk}/").status_code == 404
    assert officer.get(f"/records/activities/{photo.record_id}/files/{photo.pk + 1}/").status_code == 404


def test_files_of_sensitive_kinds_are_for_who_reads_these_fields(
    tree: SimpleNamespace, people: SimpleNamespace, sign_in: SignIn
) -> None:
    """A case holds fields of C3: its files may hold the same."""
    data = {
        "title": "走访",
        "hours": "1",
        "client": "欧阳",
        "occurred_on": "2026-03-05",
        "unit": tree.own.code,
    }
    sign_in(people.community_officer).post("/records/cases/new/", {**data, "files": [file("证.jpg", JPEG)]})
    photo = Attachment.objects.get()
    address = f"/records/cases/{photo.record_id}/"
    for person, status in (
        (people.community_officer, 200),
        (people.leader, 403),
        (people.street_officer, 403),
    ):
        client = sign_in(person)
        response = client.get(f"{address}files/{photo.pk}/")
        assert response.status_code == status, person
        read_to_the_end(response)
        assert ("证.jpg" in client.get(address).content.decode()) is (status == 200)
    street = sign_in(people.street_officer)
    street.post(f"{address}reveal/", {"reason": "核对低保申请材料需要原件"})
    response = street.get(f"{address}files/{photo.pk}/")
    assert response.status_code == 200
    read_to_the_end(response)


def test_a_file_lost_from_the_disk_is_not_found(officer: Client, photo: Attachment) -> None:
    photo.file.storage.delete(photo.file.name)
    assert officer.get(url(photo)).status_code == 404


# --- taking off and putting back ----------------------------------------------------------------------------------


def test_taking_off_asks_and_can_be_undone(officer: Client, photo: Attachment) -> None:
    assert officer.get(url(photo, "remove/")).status_code == 200
    assert read_to_the_end(officer.get(url(photo))) == JPEG, "asking removes nothing"

    officer.post(url(photo, "remove/"))
    assert officer.get(url(photo)).status_code == 404
    edit = f"/records/activities/{photo.record_id}/edit/"
    assert url(photo, "restore/") in officer.get(edit).content.decode()
    assert officer.post(url(photo, "remove/")).status_code == 404

    assert officer.get(url(photo, "restore/")).status_code == 200
    officer.post(url(photo, "restore/"))
    response = officer.get(url(photo))
    assert response.status_code == 200
    read_to_the_end(response)
    timeline = officer.get(f"/records/activities/{photo.record_id}/").context["timeline"]
    assert [
        AuditEvent.objects.filter(action=f"activities.{verb}").count() for verb in ("detach", "reattach")
    ] == [1, 1]
    assert len(timeline) == 4


def test_putting_back_ends_after_thirty_days(
    people: SimpleNamespace, officer: Client, sign_in: SignIn, photo: Attachment
) -> None:
    officer.post(url(photo, "remove/"))
    with time_machine.travel(timezone.now() + dt.timedelta(days=31)):
        later = sign_in(people.community_officer)
        later.post(url(photo, "restore/"))
        assert later.get(url(photo)).status_code == 404
        assert later.get(f"/records/activities/{photo.record_id}/edit/").context["removed_attachments"] == []


def test_putting_back_needs_room(tree: SimpleNamespace, officer: Client, photo: Attachment) -> None:
    officer.post(url(photo, "remove/"))
    nine = [file(f"{number}.jpg", JPEG) for number in range(9)]
    officer.post(f"/records/activities/{photo.record_id}/edit/", activity(tree.own, *nine, version="1"))
    response = officer.post(url(photo, "restore/"), follow=True)
    assert [message.level_tag for message in response.context["messages"]][-1:] == ["error"]
    assert officer.get(url(photo)).status_code == 404


def test_only_who_writes_takes_off(people: SimpleNamespace, sign_in: SignIn, photo: Attachment) -> None:
    for person in (people.leader, people.street_officer, people.auditor):
        assert sign_in(person).post(url(photo, "remove/")).status_code == 403
    assert sign_in(people.outsider).post(url(photo, "remove/")).status_code in (403, 404)
    photo.refresh_from_db()
    assert photo.removed_at is None
