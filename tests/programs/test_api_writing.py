"""Writing through the API: the same rules, records and audit events as the form; bodies are read strictly."""

from __future__ import annotations

import datetime as dt
import json
import threading
import uuid
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from programs import registry
from programs.api.bodies import MOST_BYTES
from programs.models import AuditEvent, EducationActivity
from programs.models.record import Record

MakeRecord = Callable[..., Any]
SignIn = Callable[..., Client]

ACTIVITIES = "/api/v1/records/activities/"
CASES = "/api/v1/records/cases/"
JSON = "application/json"


def activity(**values: Any) -> dict[str, Any]:
    return {
        "theme": "我们的节日·重阳",
        "series": "six_ones",
        "setting": "community",
        "participants": 45,
        "occurred_on": "2026-03-05",
        "unit": "331002001003",
        **values,
    }


def send(client: Client, method: str, path: str, body: Any = None, **headers: str) -> Any:
    data = body if isinstance(body, bytes) else json.dumps({} if body is None else body)
    return client.generic(method, path, data, content_type=JSON, headers=headers)


def errors_of(response: Any) -> dict[str, list[str]]:
    assert response.status_code == 400, response.text
    return response.json()["errors"]


@pytest.fixture
def officer(people: SimpleNamespace, sign_in: SignIn) -> Client:
    return sign_in(people.community_officer)


# --- the same as the form -------------------------------------------------------------------------------------------


def told(record: Record) -> dict[str, Any]:
    """The record and its audit events, without what is of the moment."""
    of_the_moment = {"id", "at", "created_at", "updated_at", "submission_key", "object_pk", "request_id"}
    events = AuditEvent.objects.filter(object_type=record._meta.label_lower, object_pk=str(record.pk))
    columns = [field.name for field in AuditEvent._meta.concrete_fields if field.name not in of_the_moment]
    return {
        "record": {
            field.name: getattr(record, field.attname)
            for field in record._meta.concrete_fields
            if field.name not in of_the_moment
        },
        "joint": sorted(unit.code for unit in record.joint_units.all()),
        "events": list(events.order_by("pk").values(*columns)),
    }


def test_the_same_input_makes_the_same_record_and_audit_as_the_form(
    tree: SimpleNamespace, officer: Client
) -> None:
    values = activity(
        joint_units=[tree.school.code, tree.police.code], summary="读书会𠮷👍🏽\n第二行", place="文化礼堂"
    )
    page = officer.post(reverse("record_new", args=["activities"]), values)
    assert page.status_code == 302
    by_form = EducationActivity.objects.get()
    response = send(officer, "POST", ACTIVITIES, values)
    assert response.status_code == 201
    by_api = EducationActivity.objects.get(pk=response.json()["id"])
    assert response["Location"] == f"{ACTIVITIES}{by_api.pk}/"
    assert by_api.summary == "读书会𠮷👍🏽\n第二行"
    assert told(by_api) == told(by_form)

    changed = activity(theme="改过的主题", joint_units=[tree.school.code], place="", version=1)
    form = {**changed, "summary": ""}
    assert officer.post(reverse("record_edit", args=["activities", by_form.pk]), form).status_code == 302
    assert send(officer, "PUT", f"{ACTIVITIES}{by_api.pk}/", changed).status_code == 200
    by_form, by_api = EducationActivity.objects.order_by("pk")
    assert (by_form.theme, by_form.version, by_form.place) == ("改过的主题", 2, "")
    assert told(by_api) == told(by_form)

    officer.post(reverse("record_remove", args=["activities", by_form.pk]), {"reason": "录入重复"})
    assert send(officer, "DELETE", f"{ACTIVITIES}{by_api.pk}/", {"reason": "录入重复"}).status_code == 204
    officer.post(reverse("record_restore", args=["activities", by_form.pk]))
    restored = send(officer, "POST", f"{ACTIVITIES}{by_api.pk}/restore/")
    assert (restored.status_code, restored.json()["removed_at"]) == (200, None)
    by_form, by_api = EducationActivity.objects.order_by("pk")
    by_form_told, by_api_told = told(by_form), told(by_api)
    assert len(by_form_told["events"]) == 4
    assert by_api_told == by_form_told


REFUSED = {
    "no theme": {"theme": ""},
    "blank theme": {"theme": "   "},
    "long theme": {"theme": "长" * 101},
    "unknown series": {"series": "nonsense"},
    "negative": {"participants": -1},
    "absurd": {"participants": 10**9},
    "future": {"occurred_on": (timezone.localdate() + dt.timedelta(days=2)).isoformat()},
    "before the programme": {"occurred_on": "2007-12-31"},
    "no such day": {"occurred_on": "2026-02-30"},
    "foreign unit": {"unit": "331003001001"},
    "colleague's unit": {"unit": "331002001004"},
    "no such unit": {"unit": "nowhere"},
    "foreign joint unit": {"joint_units": ["331003001001"]},
    "itself jointly": {"joint_units": ["331002001003"]},
    "festival without one": {"series": "festival"},
    "one without festival": {"festival": "neighbours"},
}


def test_what_the_form_refuses_is_refused_with_its_words(officer: Client, tree: SimpleNamespace) -> None:
    for name, values in REFUSED.items():
        page = officer.post(reverse("record_new", args=["activities"]), activity(**values))
        expected = {
            "non_field_errors" if field == "__all__" else field: list(messages)
            for field, messages in page.context["form"].errors.items()
        }
        assert errors_of(send(officer, "POST", ACTIVITIES, activity(**values))) == expected, name
    assert not EducationActivity.objects.exists()
    assert not AuditEvent.objects.filter(action="activities.create").exists()


def test_messages_come_in_the_readers_language(officer: Client) -> None:
    chinese = errors_of(send(officer, "POST", ACTIVITIES, activity(theme="")))
    officer.cookies["django_language"] = "en"
    english = errors_of(send(officer, "POST", ACTIVITIES, activity(theme="")))
    assert (chinese["theme"], english["theme"]) == (["请填写此项。"], ["This field is required."])


# --- bodies ---------------------------------------------------------------------------------------------------------

WRONG_TYPES: dict[str, list[Any]] = {
    "theme": [1, True, ["a"], {"a": 1}, "\ud800", "a\x00b", None],
    "participants": ["45", True, 1.5, 45.0, [1], None, 10**400],
    "occurred_on": [
        20260305,
        "05.03.2026",
        "2026-3-5",
        "2026-03-05T00:00",
        "٢٠٢٦-٠٣-٠٥",
        "\ud800",
        None,
        ["2026-03-05"],
    ],
    "unit": [331002001003, ["331002001003"], "\x00", None, ""],
    "joint_units": ["331002001S1", [331002], [None], [["x"]], ["\ud800"], ["x"] * 51, {"0": "331002001S1"}],
    "series": [["six_ones"], {"six_ones": 1}, 0],
    "summary": [1, {}, "\udfff"],
}


def test_a_value_of_the_wrong_type_is_named(officer: Client) -> None:
    for field, values in WRONG_TYPES.items():
        for value in values:
            found = errors_of(send(officer, "POST", ACTIVITIES, activity(**{field: value})))
            assert list(found) == [field], (field, value)
    assert not EducationActivity.objects.exists()


def test_unknown_and_repeated_fields_are_named(officer: Client) -> None:
    found = errors_of(send(officer, "POST", ACTIVITIES, activity(id=1, created_by="我", **{"\ud800": 1})))
    assert list(found) == ["id", "created_by", "\ufffd"]
    assert list(errors_of(send(officer, "POST", ACTIVITIES, activity(version=1)))) == ["version"]
    assert list(errors_of(send(officer, "POST", ACTIVITIES, b'{"theme": "a", "theme": "b"}'))) == ["theme"]
    many = {f"field{number}": 1 for number in range(1000)}
    assert list(errors_of(send(officer, "POST", ACTIVITIES, many))) == ["non_field_errors"]


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"null",
        b'"text"',
        b"1",
        b"{",
        b"{'theme': 1}",
        b'{"participants": NaN}',
        b'{"participants": -Infinity}',
        b'{"participants": ' + b"9" * 5000 + b"}",
        b'{"participants": 1e99999999999999999999}',
        b'{"theme": "\xff"}',
        b"\xef\xbb\xbf{}",
        '{"theme": "字"}'.encode("gb18030"),
        "{}".encode("utf-16"),
        b"[" * 100_000,
        b'{"a":' * 50_000,
    ],
    ids=lambda body: repr(body[:24]),
)
def test_what_is_no_json_object_is_refused(officer: Client, body: bytes) -> None:
    response = send(officer, "POST", ACTIVITIES, body)
    assert response.status_code == 400
    assert response["Content-Type"] == JSON
    assert response.json()["detail"]


def test_a_body_too_large_or_of_another_type_is_refused(officer: Client) -> None:
    large = json.dumps(activity(summary="x" * MOST_BYTES)).encode()
    assert send(officer, "POST", ACTIVITIES, large).status_code == 413
    longest = activity(summary="𠮷" * 5000)  # escaped: twelve bytes each
    assert send(officer, "POST", ACTIVITIES, longest).status_code == 201
    assert EducationActivity.objects.get().summary == "𠮷" * 5000
    for content_type in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "",
    ):
        response = officer.generic("POST", ACTIVITIES, "theme=a", content_type=content_type)
        assert response.status_code == 415, content_type


def test_an_empty_body_lacks_every_required_field(officer: Client) -> None:
    response = officer.generic("POST", ACTIVITIES, "", content_type=JSON)
    assert set(errors_of(response)) == {"theme", "series", "setting", "participants", "occurred_on", "unit"}


# --- changes --------------------------------------------------------------------------------------------------------


@pytest.fixture
def record(tree: SimpleNamespace, people: SimpleNamespace, make_record: MakeRecord) -> EducationActivity:
    return make_record(
        "activities", tree.own, people.community_officer, [tree.school], theme="旧主题", summary="经过"
    )


def test_a_patch_changes_what_it_names(
    officer: Client, tree: SimpleNamespace, record: EducationActivity
) -> None:
    address = f"{ACTIVITIES}{record.pk}/"
    body = send(officer, "PATCH", address, {"version": 1, "theme": "新主题"}).json()
    assert (body["theme"], body["summary"], body["joint_units"], body["version"]) == (
        "新主题",
        "经过",
        [tree.school.code],
        2,
    )
    body = send(officer, "PATCH", address, {"version": 2, "joint_units": []}).json()
    assert (body["theme"], body["joint_units"]) == ("新主题", [])
    # Rules that hold between fields look at the values that stand as well.
    assert list(errors_of(send(officer, "PATCH", address, {"version": 3, "series": "festival"}))) == [
        "festival"
    ]
    changes = (
        AuditEvent.objects.filter(action="activities.change").order_by("pk").values_list("changes", flat=True)
    )
    assert list(changes) == [{"theme": ["旧主题", "新主题"]}, {"joint_units": [[tree.school.code], []]}]


def test_a_put_empties_what_it_leaves_out(officer: Client, record: EducationActivity) -> None:
    body = send(officer, "PUT", f"{ACTIVITIES}{record.pk}/", activity(version=1)).json()
    assert (body["summary"], body["joint_units"], body["version"]) == ("", [], 2)
    found = errors_of(send(officer, "PUT", f"{ACTIVITIES}{record.pk}/", {"version": 2}))
    assert set(found) == {"theme", "series", "setting", "participants", "occurred_on", "unit"}


def test_a_default_of_the_model_stands_for_what_is_left_out(officer: Client) -> None:
    event = {
        "title": "感恩墙",
        "form": "wall",
        "enterprise": "某厂",
        "occurred_on": "2026-03-05",
        "unit": "331002001003",
        "participants": 3,
    }
    assert send(officer, "POST", "/api/v1/records/gratitude/", event).json()["media_reports"] == 0


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_a_change_names_its_version(officer: Client, record: EducationActivity, method: str) -> None:
    address = f"{ACTIVITIES}{record.pk}/"
    assert list(errors_of(send(officer, method, address, activity()))) == ["version"]
    for version in ("1", None, True, 1.0):
        assert list(errors_of(send(officer, method, address, activity(version=version)))) == ["version"]
    for version in (0, -1, 2, 10**30):
        assert send(officer, method, address, activity(version=version)).status_code == 409
    assert send(officer, method, address, activity(version=1)).status_code == 200


def test_a_conflict_shows_both_versions(officer: Client, record: EducationActivity) -> None:
    address = f"{ACTIVITIES}{record.pk}/"
    assert send(officer, "PATCH", address, {"version": 1, "theme": "先到"}).status_code == 200
    response = send(officer, "PATCH", address, {"version": 1, "theme": "后到"})
    assert response.status_code == 409
    body = response.json()
    assert body["sent"] == {"version": 1, "theme": "后到"}
    assert (body["current"]["theme"], body["current"]["version"]) == ("先到", 2)
    assert body["current"] == officer.get(address).json()


def test_removing_is_soft_and_twice_is_404(officer: Client, record: EducationActivity) -> None:
    address = f"{ACTIVITIES}{record.pk}/"
    assert send(officer, "DELETE", address, {"reason": 1}).status_code == 400
    assert send(officer, "DELETE", address, {"reason": "x" * 201}).status_code == 400
    assert send(officer, "DELETE", address, {"why": "x"}).status_code == 400
    assert officer.delete(address).status_code == 204
    assert officer.delete(address).status_code == 404
    assert send(officer, "PATCH", address, {"version": 2, "theme": "新"}).status_code == 404
    record.refresh_from_db()
    assert record.is_removed
    for _again in range(2):
        restored = send(officer, "POST", f"{address}restore/").json()
        assert (restored["removed_at"], restored["version"]) == (None, 3)
    assert officer.delete(address).status_code == 204
    EducationActivity.objects.update(removed_at=timezone.now() - dt.timedelta(days=31))
    assert list(errors_of(send(officer, "POST", f"{address}restore/"))) == ["non_field_errors"]
    assert send(officer, "POST", f"{address}restore/", {"x": 1}).status_code == 400


# --- fields one does not read ---------------------------------------------------------------------------------------


def test_what_is_seen_masked_is_neither_overwritten_nor_told(
    tree: SimpleNamespace, people: SimpleNamespace, sign_in: SignIn, make_record: MakeRecord
) -> None:
    case = make_record(
        "cases",
        tree.street,
        people.street_officer,
        id_number="331002195001011234",
        illness="高血压",
        notes="不外传",
    )
    client, address = sign_in(people.street_officer), f"{CASES}{case.pk}/"
    seen = client.get(address).json()
    for name in ("id_number", "illness", "notes"):
        found = errors_of(send(client, "PATCH", address, {"version": 1, name: seen[name]}))
        assert list(found) == [name]
    for method in ("PATCH", "PUT"):
        version = client.get(address).json()["version"]
        body = {name: seen[name] for name in ("title", "hours", "client", "phone", "occurred_on", "unit")}
        assert (
            send(client, method, address, {**body, "title": f"{method}过", "version": version}).status_code
            == 200
        )
    case.refresh_from_db()
    assert (case.title, case.id_number, case.illness, case.notes) == (
        "PUT过",
        "331002195001011234",
        "高血压",
        "不外传",
    )
    conflict = send(client, "PATCH", address, {"version": 1, "title": "旧"})
    assert conflict.status_code == 409
    assert "331002195001011234" not in conflict.text
    assert "高血压" not in conflict.text


def test_decimals_keep_their_digits(people: SimpleNamespace, tree: SimpleNamespace, sign_in: SignIn) -> None:
    client = sign_in(people.community_officer)
    case = {"title": "一事", "client": "某人", "occurred_on": "2026-03-05", "unit": tree.own.code}
    for sent, kept in ((b"0.10", "0.10"), (b'"1234.56"', "1234.56"), (b"7", "7.00")):
        body = json.dumps({**case, "hours": "?"}).encode().replace(b'"?"', sent)
        response = send(client, "POST", CASES, body)
        assert response.status_code == 201, response.text
        stored = client.get(f"{CASES}{response.json()['id']}/").json()
        assert stored["hours"] == kept
    for refused in (b"0.001", b"1e400", b"true", b'"NaN"', b'"Infinity"', b'"\\ud800"', b"12345678"):
        body = json.dumps({**case, "hours": "?"}).encode().replace(b'"?"', refused)
        assert list(errors_of(send(client, "POST", CASES, body))) == ["hours"], refused


# --- the same request twice -------------------------------------------------------------------------------------------


def test_a_key_makes_one_record(officer: Client, people: SimpleNamespace, sign_in: SignIn) -> None:
    key = str(uuid.uuid4())
    first = send(officer, "POST", ACTIVITIES, activity(), **{"Idempotency-Key": key})
    again = send(officer, "POST", ACTIVITIES, activity(), **{"Idempotency-Key": key})
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    other = send(officer, "POST", ACTIVITIES, activity(theme="另一个"), **{"Idempotency-Key": key})
    assert other.status_code == 409
    assert other.json()["current"]["id"] == first.json()["id"]
    colleague = sign_in(people.street_officer)
    stolen = send(colleague, "POST", ACTIVITIES, activity(unit="331002001"), **{"Idempotency-Key": key})
    assert stolen.status_code == 400
    assert "我们的节日" not in stolen.text
    assert EducationActivity.objects.count() == 1
    for broken in ("x", "", "1" * 5000):
        found = errors_of(send(officer, "POST", ACTIVITIES, activity(), **{"Idempotency-Key": broken}))
        assert list(found) == ["Idempotency-Key"]


def together(number: int, do: Callable[[int], Any]) -> list[Any]:
    """`do(0)` … `do(number - 1)` at once, each with a connection of its own."""
    gate = threading.Barrier(number)
    found: list[Any] = [None] * number

    def run(index: int) -> None:
        try:
            gate.wait()
            found[index] = do(index)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[index]) for index in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


@pytest.mark.django_db(transaction=True)
def test_a_key_makes_one_record_even_at_once(people: SimpleNamespace, sign_in: SignIn) -> None:
    clients = [sign_in(people.community_officer) for _number in range(6)]
    key = str(uuid.uuid4())
    responses = together(
        6, lambda index: send(clients[index], "POST", ACTIVITIES, activity(), **{"Idempotency-Key": key})
    )
    assert [response.status_code for response in responses] == [201] * 6
    assert len({response.json()["id"] for response in responses}) == 1
    assert AuditEvent.objects.filter(action="activities.create").count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_changes_at_once_one_wins(
    people: SimpleNamespace, tree: SimpleNamespace, sign_in: SignIn, make_record: MakeRecord
) -> None:
    record = make_record("activities", tree.own, people.community_officer)
    clients = [sign_in(people.community_officer) for _number in range(6)]
    responses = together(
        6,
        lambda index: send(
            clients[index], "PATCH", f"{ACTIVITIES}{record.pk}/", {"version": 1, "theme": f"第{index}个"}
        ),
    )
    assert sorted(response.status_code for response in responses) == [200, *[409] * 5]
    winner = next(response.json() for response in responses if response.status_code == 200)
    record.refresh_from_db()
    assert (record.theme, record.version) == (winner["theme"], 2)
    assert {response.json()["current"]["theme"] for response in responses if response.status_code == 409} == {
        winner["theme"]
    }


def test_every_kind_takes_what_its_form_takes(officer: Client, tree: SimpleNamespace) -> None:
    from programs.api.shapes import input_shapes
    from programs.field_classes import C4, class_of
    from tests.factories import sample_values

    for kind in registry.kinds():
        values = {
            name: str(value) if isinstance(value, dt.date) or hasattr(value, "quantize") else value
            for name, value in sample_values(kind).items()
            if name in input_shapes(kind) and class_of(kind.field(name)) < C4
        }
        response = send(officer, "POST", f"/api/v1/records/{kind.code}/", {**values, "unit": tree.own.code})
        assert response.status_code == 201, (kind.code, response.text)
        body = response.json()
        # What is left open the portal may fill in.
        said = {name: value for name, value in values.items() if value != ""}
        assert {name: body[name] for name in said} == said
        assert officer.get(response["Location"]).json() == body
