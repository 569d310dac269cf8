"""The audit log: what gets into it, who reads what of it, and how it is searched."""

from __future__ import annotations

import ast
import csv
import datetime as dt
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from programs import audit_words, registry
from programs.access import Actor, audit_events_for
from programs.actions import audit, save_record
from programs.actions.people import change_user, grant_role
from programs.field_classes import C2, C3, C4, Mask, classed
from programs.models import AppendOnly, AuditEvent, Unit, User
from programs.roles import ROLES

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _in_english(settings: Any) -> None:
    settings.LANGUAGE_CODE = "en"


@pytest.fixture
def client(people: SimpleNamespace, sign_in: Callable[[User], Client]) -> Client:
    """The auditor of the first district."""
    client = sign_in(people.auditor)
    client.get("/account/")
    return client


def note(unit: Unit | None = None, action: str = "unit.rename", **more: Any) -> AuditEvent:
    return AuditEvent.objects.create(
        action=action,
        unit_id=unit.pk if unit else None,
        unit_path=unit.path if unit else "",
        unit_name=unit.name if unit else "",
        **more,
    )


def shown(client: Client, **asked: Any) -> list[int]:
    return [row["event"].pk for row in client.get("/audit/", asked).context["rows"]]


# --- whose events ---------------------------------------------------------------------------------


def test_an_auditor_reads_the_events_of_the_district_and_of_no_unit(
    client: Client, tree: SimpleNamespace
) -> None:
    seen = [note(tree.district), note(tree.own), note(tree.police), note()]
    hidden = [note(tree.elsewhere), note(tree.elsewhere_community)]
    listed = set(shown(client))
    assert {event.pk for event in seen} <= listed
    assert not {event.pk for event in hidden} & listed
    for event in seen:
        assert client.get(f"/audit/{event.pk}/").status_code == 200
    for event in hidden:
        assert client.get(f"/audit/{event.pk}/").status_code == 404
    rows = client.get("/audit/export/").content.decode()
    assert "城隍浦社区" in rows
    assert "东浦社区" not in rows


def test_a_path_that_only_looks_alike_is_out_of_scope(tree: SimpleNamespace, people: SimpleNamespace) -> None:
    """/1/ does not cover /10/."""
    like = f"/{tree.district.pk}0/"
    event = AuditEvent.objects.create(action="unit.rename", unit_path=like)
    assert not audit_events_for(Actor.of(people.auditor)).filter(pk=event.pk).exists()


def test_a_narrow_auditor_reads_the_own_unit_alone(
    tree: SimpleNamespace, make_user: Callable[..., User]
) -> None:
    narrow = Actor.of(make_user("narrow", "auditor", tree.district, include_descendants=False))
    own, below = note(tree.district), note(tree.street)
    found = set(audit_events_for(narrow).values_list("pk", flat=True))
    assert own.pk in found
    assert below.pk not in found


@pytest.mark.parametrize("role", [role for role in ROLES if role != "auditor"])
def test_nobody_else_reads_the_log(
    people: SimpleNamespace, tree: SimpleNamespace, sign_in: Callable[[User], Client], role: str
) -> None:
    person = getattr(people, role)
    client = sign_in(person)
    event = note(tree.own)
    note()
    for path in ("/audit/", "/audit/export/", f"/audit/{event.pk}/"):
        assert client.get(path).status_code == 403
    assert not audit_events_for(Actor.of(person)).exists()


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_the_log_is_only_read(client: Client, tree: SimpleNamespace, method: str) -> None:
    event = note(tree.own)
    getattr(client, method)(f"/audit/{event.pk}/")
    assert AuditEvent.objects.filter(pk=event.pk, action="unit.rename").exists()
    with pytest.raises(AppendOnly):
        event.save()
    with pytest.raises(AppendOnly):
        AuditEvent.objects.all().delete()
    with pytest.raises(AppendOnly):
        AuditEvent.objects.update(action="x")


@pytest.mark.parametrize("pk", [0, 999_999, 2**63, 10**30])
def test_an_event_that_does_not_exist_is_not_there(client: Client, pk: int) -> None:
    assert client.get(f"/audit/{pk}/").status_code == 404


# --- denials --------------------------------------------------------------------------------------


def test_denials_leave_rows_that_the_auditor_sees(
    client: Client, people: SimpleNamespace, sign_in: Callable[[User], Client]
) -> None:
    leader = sign_in(people.leader)
    leader.get("/people/", HTTP_X_REQUEST_ID="request-0001")
    leader.post("/people/new/", {})
    rows = client.get("/audit/", {"outcome": "denied"}).context["rows"]
    assert [row["what"] for row in rows] == [
        "Sent something to the page /people/new/",
        "Asked for the page /people/",
    ]
    assert {row["event"].actor_id for row in rows} == {people.leader.pk}
    assert shown(client, request_id="request-0001") == [rows[1]["event"].pk]
    page = client.get(f"/audit/{rows[1]['event'].pk}/").content.decode()
    assert "This was refused" in page


def test_asking_for_a_record_out_of_scope_is_a_denial(
    people: SimpleNamespace,
    tree: SimpleNamespace,
    sign_in: Callable[[User], Client],
    make_record: Callable[..., Any],
) -> None:
    record = make_record("activities", tree.elsewhere_community, by=people.outsider)
    sign_in(people.leader).get(f"/records/activities/{record.pk}/")
    [event] = AuditEvent.objects.filter(outcome="denied")
    assert (event.actor_id, event.object_pk) == (people.leader.pk, str(record.pk))
    assert event.unit_path == tree.elsewhere_community.path


# --- searching ------------------------------------------------------------------------------------


@pytest.fixture
def log(people: SimpleNamespace, tree: SimpleNamespace) -> dict[str, AuditEvent]:
    return {
        "renamed": note(
            tree.own,
            object_type="programs.unit",
            object_pk="7",
            object_label="城隍浦社区",
            actor_id=people.office.pk,
        ),
        "granted": note(tree.street, "person.grant", object_type="programs.user", object_pk="8"),
        "refused": note(tree.own, "GET /people/", outcome="denied", actor_id=people.leader.pk),
        "logged": note(
            tree.own, "activities.create", object_type="programs.educationactivity", object_pk="7"
        ),
        "asked": note(request_id="req-42", action="sign_in.failed", outcome="denied"),
    }


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"person": "office"}, {"renamed"}),
        ({"person": "leader姓"}, {"refused"}),
        ({"person": "nobody"}, set()),
        ({"action": "unit"}, {"renamed"}),
        ({"action": "person"}, {"granted"}),
        ({"action": "activities"}, {"logged"}),
        ({"action": "sign"}, {"asked"}),
        ({"action": "page"}, {"refused"}),
        ({"outcome": "denied"}, {"refused", "asked"}),
        ({"object": "城隍浦"}, {"renamed"}),
        ({"object": "7"}, {"renamed", "logged"}),
        ({"object": "%"}, set()),
        ({"of": "programs.unit:7"}, {"renamed"}),
        ({"unit": "331002001"}, {"renamed", "granted", "refused", "logged"}),
        ({"unit": "331002001003", "outcome": "denied"}, {"refused"}),
        ({"request_id": "req-42"}, {"asked"}),
    ],
)
def test_events_are_found(
    client: Client, log: dict[str, AuditEvent], asked: dict[str, str], found: set[str]
) -> None:
    known = {event.pk: name for name, event in log.items()}
    assert {known[pk] for pk in shown(client, **asked) if pk in known} == found


def test_a_person_is_found_by_number(client: Client, log: dict[str, AuditEvent], people: Any) -> None:
    assert shown(client, by=people.office.pk) == [log["renamed"].pk]


def test_a_unit_of_another_district_cannot_be_asked_for(client: Client, tree: SimpleNamespace) -> None:
    response = client.get("/audit/", {"unit": tree.elsewhere.code})
    assert "unit" in response.context["filter_form"].errors
    assert not response.context["rows"]


def test_days_are_whole_days_of_the_place(client: Client, tree: SimpleNamespace) -> None:
    """00:00 to 24:00 in Shanghai, whatever UTC says."""
    zone = timezone.get_default_timezone()
    first = note(tree.own, at=dt.datetime(2026, 5, 1, 0, 0, tzinfo=zone))
    last = note(tree.own, at=dt.datetime(2026, 5, 1, 23, 59, 59, tzinfo=zone))
    note(tree.own, at=dt.datetime(2026, 4, 30, 23, 59, 59, tzinfo=zone))
    note(tree.own, at=dt.datetime(2026, 5, 2, 0, 0, tzinfo=zone))
    assert shown(client, since="2026-05-01", until="2026-05-01") == [last.pk, first.pk]


def test_without_a_date_the_usual_days_are_searched(client: Client, tree: SimpleNamespace) -> None:
    old = note(tree.own, at=timezone.now() - dt.timedelta(days=100))
    recent = note(tree.own, at=timezone.now() - dt.timedelta(days=80))
    assert recent.pk in shown(client)
    assert old.pk not in shown(client)
    assert old.pk in shown(client, since="2008-01-01")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("person", "\x00"), ("person", "长" * 51), ("action", "no.such"), ("object", "\x00"), ("unit", "\x00"),
        ("outcome", "maybe"), ("since", "yesterday"), ("since", "0001-01-01"), ("since", "9999-12-31"),
        ("until", "0001-01-01"), ("until", "9999-12-31"), ("request_id", "x" * 37), ("by", "-1"), ("by", "9" * 30),
        ("by", "x"), ("of", "'; --"), ("of", "x" * 300),
    ],
)  # fmt: skip
def test_an_odd_question_gets_a_message_and_no_events(
    client: Client, tree: SimpleNamespace, name: str, value: str
) -> None:
    note(tree.own)
    response = client.get("/audit/", {name: value})
    assert response.status_code == 200
    assert name in response.context["filter_form"].errors
    assert not response.context["rows"]
    export = client.get("/audit/export/", {name: value})
    assert export["Content-Type"].startswith("text/html")


def test_the_dates_of_a_question_have_an_order(client: Client) -> None:
    response = client.get("/audit/", {"since": "2026-05-02", "until": "2026-05-01"})
    assert "until" in response.context["filter_form"].errors


@pytest.mark.parametrize("cursor", ["rubbish", "\x00", "x" * 5000])
def test_an_odd_cursor_gets_the_first_page(client: Client, tree: SimpleNamespace, cursor: str) -> None:
    event = note(tree.own)
    assert event.pk in shown(client, cursor=cursor)


def test_pages_hold_every_event_once_also_while_others_come(client: Client, tree: SimpleNamespace) -> None:
    same = timezone.now() - dt.timedelta(days=1)
    events = [note(tree.own, request_id="many", at=same) for _number in range(130)]
    found: list[int] = []
    address = "/audit/?request_id=many"
    while address:
        context = client.get(address).context
        found += [row["event"].pk for row in context["rows"]]
        note(tree.own, request_id="many")
        address = f"/audit/{context['next_url']}" if context["next_url"] else ""
    assert found == [event.pk for event in reversed(events)]


def test_no_page_of_the_log_counts_it_or_asks_more_with_more_events(
    client: Client, tree: SimpleNamespace, people: SimpleNamespace
) -> None:
    def questions() -> list[str]:
        with CaptureQueriesContext(connection) as asked:
            client.get("/audit/")
        return [query["sql"] for query in asked.captured_queries]

    questions()
    note(tree.own)
    few = questions()
    for number in range(60):
        note(tree.own, "activities.change", object_type="programs.educationactivity", object_pk=str(number))
    many = questions()
    assert len(many) == len(few)
    assert not [sql for sql in many if "COUNT(" in sql.upper()]


# --- what of an event is shown --------------------------------------------------------------------


def test_changes_are_shown_in_the_words_of_the_forms(
    client: Client, people: SimpleNamespace, tree: SimpleNamespace, make_record: Callable[..., Any]
) -> None:
    record = make_record("activities", tree.own, by=people.community_officer, participants=30)
    save_record(
        by=Actor.of(people.community_officer),
        kind=registry.kind("activities"),
        record=record,
        values={"participants": 31},
    )
    event = AuditEvent.objects.get(action="activities.change")
    changes = client.get(f"/audit/{event.pk}/").context["changes"]
    field = registry.kind("activities").field("participants")
    assert [(c.label, c.before, c.after) for c in changes] == [(str(field.verbose_name), "30", "31")]


def test_a_grant_is_shown_with_its_role_in_words(
    client: Client, people: SimpleNamespace, tree: SimpleNamespace
) -> None:
    grant_role(by=Actor.of(people.administrator), user=people.counsellor, role="counsellor", unit=tree.police)
    event = AuditEvent.objects.get(action="person.grant")
    page = client.get(f"/audit/{event.pk}/")
    after = {change.label: change.after for change in page.context["changes"]}
    assert after["role"] == "Counsellor"
    assert after["unit"] == tree.police.code
    assert "Granted a role" in page.content.decode()


def test_what_the_auditor_reads_masked_stays_masked_in_the_log(
    client: Client, people: SimpleNamespace, tree: SimpleNamespace, make_record: Callable[..., Any]
) -> None:
    secrets = {"client": "张三丰", "phone": "13812345678", "id_number": "33100219900101123X"}
    make_record("cases", tree.own, by=people.community_officer, **secrets)
    change_user(by=Actor.of(people.administrator), user=people.leader, name="王五", phone="13987654321")
    created = AuditEvent.objects.get(action="cases.create")
    changed = AuditEvent.objects.get(action="person.change")
    pages = [client.get(f"/audit/{event.pk}/") for event in (created, changed)]
    text = "".join(page.content.decode() for page in pages) + client.get("/audit/export/").content.decode()
    for secret in (*secrets.values(), "13987654321"):
        assert secret not in text
    after = {change.label: change.after for change in pages[0].context["changes"]}
    assert after["client"] == "张**"
    assert after["telephone"] == "138****5678"
    assert [c.label for c in pages[0].context["changes"] if not c.logged] == ["ID number", "illness", "notes"]


@pytest.mark.parametrize(
    ("field_class", "mask", "read"),
    [(C2, Mask.NAME, "张**"), (C2, Mask.HIDDEN, "***"), (C3, Mask.HIDDEN, "—"), (C4, Mask.HIDDEN, "—")],
)
def test_a_value_of_each_class_as_the_auditor_reads_it(
    people: SimpleNamespace, field_class: Any, mask: Any, read: str
) -> None:
    """Even if a value of C3 had got into the log, the page would not show it."""
    field = classed(field_class, SimpleNamespace(), mask=mask)
    assert audit_words.as_disclosed("张三丰", field, Actor.of(people.auditor)) == read


def test_a_records_title_of_a_masked_class_is_masked_and_not_searched(
    client: Client, tree: SimpleNamespace, people: SimpleNamespace, monkeypatch: Any
) -> None:
    kind = registry.kind("cases")
    monkeypatch.setattr(type(kind), "title", "client")
    event = note(tree.own, "cases.create", object_type="casework.case", object_pk="1", object_label="张三丰")
    assert "张三丰" not in client.get("/audit/").content.decode()
    assert "张三丰" not in client.get(f"/audit/{event.pk}/").content.decode()
    assert event.pk not in shown(client, object="张三丰")


def test_everything_typed_is_text_in_the_page(client: Client, tree: SimpleNamespace) -> None:
    evil = "<script>alert(1)</script>"
    event = note(
        tree.own, object_label=evil, actor_name=evil, reason=evil, changes={evil: [evil, evil]}, action=evil
    )
    for path in ("/audit/", f"/audit/{event.pk}/"):
        assert evil not in client.get(path).content.decode()


def test_the_way_on_from_an_event_leads_to_it_again(
    client: Client, people: SimpleNamespace, tree: SimpleNamespace
) -> None:
    event = note(
        tree.own,
        actor_id=people.office.pk,
        object_type="programs.unit",
        object_pk="7",
        request_id="request-0002",
        at=timezone.now() - dt.timedelta(days=400),
    )
    related = client.get(f"/audit/{event.pk}/").context["related"]
    assert len(related) == 3
    for _words, address in related:
        assert event.pk in [row["event"].pk for row in client.get(address).context["rows"]]


# --- the file -------------------------------------------------------------------------------------


def lines(response: Any) -> list[list[str]]:
    return list(csv.reader(io.StringIO(response.content.decode("utf-8-sig"))))


def test_the_file_holds_what_the_list_shows_and_is_audited(
    client: Client, log: dict[str, AuditEvent], people: SimpleNamespace
) -> None:
    table = lines(client.get("/audit/export/", {"outcome": "denied"}))
    assert [row[3] for row in table[1:]] == ["sign_in.failed", "GET /people/"]
    event = AuditEvent.objects.get(action="audit.export")
    assert (event.actor_id, event.row_count) == (people.auditor.pk, 2)


@pytest.mark.parametrize("evil", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "＝1+1", " =1"])
def test_no_cell_of_the_file_begins_a_formula(client: Client, tree: SimpleNamespace, evil: str) -> None:
    note(tree.own, object_label=evil, actor_name=evil, reason=evil, changes={evil: None}, action=evil)
    for row in lines(client.get("/audit/export/")):
        assert not [cell for cell in row if cell.strip().startswith(tuple("=+-@＝＋－＠"))]


# --- words ----------------------------------------------------------------------------------------


def written_actions() -> Iterator[tuple[str, str]]:
    """Every action that the code gives to the log as a plain text: (file, action)."""
    for folder in ("programs", "reporting"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if not isinstance(node, ast.Call):
                    continue
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                given = [k.value for k in node.keywords if k.arg == "action" and name == "audit"]
                if name in ("note_denial", "note_failure") and len(node.args) > 1:
                    given.append(node.args[1])
                for value in given:
                    if isinstance(value, ast.Constant):
                        yield f"{path.relative_to(ROOT)}:{node.lineno}", value.value


def test_every_action_of_the_code_has_words() -> None:
    found = list(written_actions())
    assert len(found) > 15
    assert [place for place, action in found if audit_words.action_label(action) == action] == []


def test_every_kind_has_words_for_what_is_done_to_its_records() -> None:
    for kind in registry.kinds():
        for verb in ("create", "change", "remove", "restore", "reveal", "export"):
            label = audit_words.action_label(f"{kind.code}.{verb}")
            assert str(kind.label) in label
            assert label != f"{kind.code}.{verb}"


def test_an_action_that_nobody_described_shows_its_code() -> None:
    assert audit_words.action_label("some.thing") == "some.thing"


def test_every_role_of_an_event_is_named() -> None:
    assert audit_words.role_label("leader,office") == "District leader and Leading-group office"
    assert audit_words.role_label("") == ""
    assert audit_words.role_label("abolished") == "abolished"


def test_an_event_keeps_who_acted_as_what_at_that_time(
    people: SimpleNamespace, tree: SimpleNamespace
) -> None:
    actor = Actor.of(people.office, ip="10.0.0.1", request_id="request-0003")
    event = audit(by=actor, action="unit.rename", obj=tree.own, unit=tree.own)
    assert event.actor_name == "office姓名 (office)"
    assert (event.role, event.grant_id) == ("office", people.office.grants.get().pk)
    assert (event.acting_unit_id, event.unit_name) == (tree.district.pk, "城隍浦社区")
    assert (event.ip, event.request_id) == ("10.0.0.1", "request-0003")
