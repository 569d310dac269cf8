"""Reading through the API: who gets in, what they see, and that it is what the pages show."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from rest_framework.viewsets import ViewSet

from programs import registry
from programs.access import Requirement, requirement_of, requires
from programs.actions import remove_record
from programs.api.access import DeclaredPermission
from programs.disclosure import reveal
from programs.middleware import AccessMiddleware
from programs.models import AuditEvent, Reveal, Unit
from programs.models.record import Record
from programs.roles import Permission

MakeRecord = Callable[..., Any]
SignIn = Callable[..., Client]

ACTIVITIES = "/api/v1/records/activities/"
CARRIERS = "/api/v1/records/carriers/"
CASES = "/api/v1/records/cases/"


def ids(response: Any) -> list[int]:
    return [row["id"] for row in response.json()["results"]]


# --- who gets in --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", [ACTIVITIES, f"{ACTIVITIES}1/", "/api/v1/units/", "/api/v1/me/", "/api/schema/"]
)
def test_a_stranger_is_asked_to_sign_in(client: Client, db: None, path: str) -> None:
    response = client.get(path)
    assert (response.status_code, response["WWW-Authenticate"]) == (401, "Session")
    assert response["Content-Type"] == "application/json"
    assert set(response.json()) == {"detail"}


def test_a_stranger_cannot_write_or_ask_for_methods(client: Client, db: None) -> None:
    assert client.post(ACTIVITIES, "{}", content_type="application/json").status_code == 401
    assert client.options(ACTIVITIES).status_code == 401
    assert AuditEvent.objects.count() == 0


def test_without_the_permission_is_403_and_leaves_a_trace(people: SimpleNamespace, sign_in: SignIn) -> None:
    administrator, leader = sign_in(people.administrator), sign_in(people.leader)
    for response in (
        administrator.get(ACTIVITIES),
        administrator.get("/api/v1/kinds/"),
        leader.post(ACTIVITIES, "{}", content_type="application/json"),
        leader.delete(f"{ACTIVITIES}1/"),
    ):
        assert response.status_code == 403
        assert set(response.json()) == {"detail"}
    denied = AuditEvent.objects.filter(outcome="denied")
    assert [event.action for event in denied.order_by("pk")] == [
        f"GET {ACTIVITIES}",
        "GET /api/v1/kinds/",
        f"POST {ACTIVITIES}",
        f"DELETE {ACTIVITIES}1/",
    ]


def test_out_of_scope_is_404_and_a_colleagues_visible_record_403(
    people: SimpleNamespace, tree: SimpleNamespace, sign_in: SignIn, make_record: MakeRecord
) -> None:
    record = make_record("activities", tree.own, people.community_officer)
    body, json = '{"version": 1, "theme": "新"}', "application/json"
    expected = {"outsider": 404, "unit_officer": 404, "street_officer": 403, "office": 403}
    for name, status in expected.items():
        client = sign_in(getattr(people, name))
        assert client.get(f"{ACTIVITIES}{record.pk}/").status_code == (404 if status == 404 else 200), name
        assert client.patch(f"{ACTIVITIES}{record.pk}/", body, content_type=json).status_code == status, name
        assert client.delete(f"{ACTIVITIES}{record.pk}/").status_code == status, name
        assert client.post(f"{ACTIVITIES}{record.pk}/restore/", content_type=json).status_code == status, name
    record.refresh_from_db()
    assert (record.version, record.removed_at) == (1, None)
    assert AuditEvent.objects.filter(outcome="denied", actor_id=people.outsider.pk).count() == 4
    assert AuditEvent.objects.filter(outcome="denied", actor_id=people.street_officer.pk).count() == 3


def test_an_unfinished_sign_in_is_told_so(people: SimpleNamespace, sign_in: SignIn, settings: Any) -> None:
    client = sign_in(people.community_officer)
    settings.TWO_FACTOR_REQUIRED_ROLES = ["community_officer"]
    response = client.get(ACTIVITIES)
    assert response.status_code == 403
    assert response.json()["detail"] != client.get(f"{ACTIVITIES}x/").json()["detail"]


def test_an_idle_session_ends_with_401_not_with_a_page(people: SimpleNamespace, sign_in: SignIn) -> None:
    client = sign_in(people.community_officer)
    session = client.session
    session["last_seen"] = int(time.time()) - 100_000
    session.save()
    assert client.get(ACTIVITIES).status_code == 401


def test_an_expired_grant_bites_at_once(people: SimpleNamespace, sign_in: SignIn) -> None:
    client = sign_in(people.community_officer)
    assert client.get(ACTIVITIES).status_code == 200
    people.community_officer.grants.update(valid_to=timezone.localdate() - dt.timedelta(days=1))
    assert client.get(ACTIVITIES).status_code == 403


class Undeclared(ViewSet):
    access = None

    def list(self, request: Any) -> None:
        raise AssertionError("reached")

    @requires(Permission.RECORD_WRITE)
    def create(self, request: Any) -> None:
        raise AssertionError("reached")


def test_what_declares_nothing_is_denied_by_both_guards(
    people: SimpleNamespace, actor: Callable[..., Any], rf: RequestFactory
) -> None:
    view = Undeclared.as_view({"get": "list", "post": "create"})
    assert requirement_of(view, "GET") is None
    assert requirement_of(view, "HEAD") is None
    assert requirement_of(view, "POST") == Requirement(Permission.RECORD_WRITE)
    assert requirement_of(view, "PUT") == Requirement()  # there is no such method: 405 for who is signed in
    request: Any = rf.get("/api/v1/undeclared/")
    request.user, request.actor = people.office, actor(people.office)
    request.resolver_match = SimpleNamespace(func=view)
    assert not DeclaredPermission().has_permission(request, Undeclared())
    with pytest.raises(Exception, match=r"^$"):
        AccessMiddleware(lambda request: None).process_view(request, view, (), {})  # type: ignore[arg-type,return-value]


def test_every_route_asks_of_both_guards_the_same() -> None:
    for kind in registry.kinds():
        for route, methods in {
            "list": {"GET": Permission.RECORD_VIEW, "POST": Permission.RECORD_WRITE},
            "detail": {
                "GET": Permission.RECORD_VIEW,
                "PUT": Permission.RECORD_WRITE,
                "PATCH": Permission.RECORD_WRITE,
                "DELETE": Permission.RECORD_WRITE,
            },
            "restore": {"POST": Permission.RECORD_WRITE},
        }.items():
            callback = callback_of(reverse(f"api_{kind.code}_{route}", args=[] if route == "list" else [1]))
            for method, permission in methods.items():
                assert requirement_of(callback, method) == Requirement(permission), (kind.code, route, method)


def callback_of(path: str) -> Any:
    from django.urls import resolve

    return resolve(path).func


def test_csrf_is_enforced(people: SimpleNamespace, tree: SimpleNamespace, make_record: MakeRecord) -> None:
    record = make_record("activities", tree.own, people.community_officer)
    client = Client(enforce_csrf_checks=True)
    client.force_login(people.community_officer, backend="programs.backends.PortalBackend")
    address, body = f"{ACTIVITIES}{record.pk}/", '{"version": 1, "theme": "改过"}'
    assert client.patch(address, body, content_type="application/json").status_code == 403
    client.get(reverse("api_docs"))  # a page with a token
    token = client.cookies["csrftoken"].value
    response = client.patch(address, body, content_type="application/json", headers={"X-CSRFToken": token})
    assert response.status_code == 200


def test_methods_that_are_not_there(people: SimpleNamespace, sign_in: SignIn) -> None:
    client = sign_in(people.office)
    for response in (
        client.options(ACTIVITIES),
        client.delete(ACTIVITIES),
        client.post("/api/v1/units/", "{}", content_type="application/json"),
        client.generic("TRACE", "/api/v1/me/"),
    ):
        assert response.status_code == 405
        assert set(response.json()) == {"detail"}  # and nothing of any field
    assert client.head(ACTIVITIES).status_code == 200


def test_what_lies_outside_every_view_is_json_too(people: SimpleNamespace, sign_in: SignIn) -> None:
    client = sign_in(people.office)
    for path in (
        "/api/nothing/",
        f"{ACTIVITIES}x/",
        f"{ACTIVITIES}-1/",
        "/api/v1/units/%00/",
        "/api/v1/units/x%20y/",
    ):
        response = client.get(path)
        assert (response.status_code, response["Content-Type"]) == (404, "application/json"), path
    assert client.get(ACTIVITIES, headers={"Accept": "text/html"}).status_code == 406
    assert client.get(f"{ACTIVITIES}{10**30}/").status_code == 404


def test_an_error_of_ours_is_json_without_words_of_it(
    people: SimpleNamespace, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr("programs.api.records.visible", fails)
    client = sign_in(people.office)
    client.raise_request_exception = False
    response = client.get(ACTIVITIES)
    assert response.status_code == 500
    assert set(response.json()) == {"detail"}
    assert "secret" not in response.text


# --- what they see ------------------------------------------------------------------------------------------------


@pytest.fixture
def case(people: SimpleNamespace, tree: SimpleNamespace, make_record: MakeRecord) -> Record:
    return make_record(
        "cases",
        tree.street,
        people.street_officer,
        title="低保家庭帮扶",
        client="陈小明",
        phone="13812345678",
        id_number="331002195001011234",
        illness="高血压",
        notes="不外传",
        hours="1.50",
    )


def test_values_go_out_as_the_reader_may_read_them(
    people: SimpleNamespace, case: Record, sign_in: SignIn
) -> None:
    seen = {
        name: sign_in(getattr(people, name)).get(f"{CASES}{case.pk}/").json()
        for name in ("leader", "street_officer", "auditor")
    }
    told = {
        name: [
            body[field] for field in ("title", "hours", "client", "phone", "id_number", "illness", "notes")
        ]
        for name, body in seen.items()
    }
    assert told["leader"] == ["低保家庭帮扶", "1.50", "陈**", "138****5678", "—", "—", "—"]
    assert told["street_officer"] == [
        "低保家庭帮扶",
        "1.50",
        "陈小明",
        "13812345678",
        "331***********1234",
        "***",
        "—",
    ]
    assert told["auditor"] == [
        "低保家庭帮扶",
        "1.50",
        "陈**",
        "138****5678",
        "331***********1234",
        "***",
        "—",
    ]


def test_a_reveal_opens_one_record_and_no_list(
    people: SimpleNamespace, case: Record, sign_in: SignIn, actor: Callable[..., Any]
) -> None:
    reveal(by=actor(people.street_officer), record=case, reason="核对发放名单需要查看")
    client = sign_in(people.street_officer)
    assert client.get(f"{CASES}{case.pk}/").json()["id_number"] == "331002195001011234"
    assert client.get(CASES).json()["results"][0]["id_number"] == "331***********1234"
    Reveal.objects.update(expires_at=timezone.now() - dt.timedelta(seconds=1))
    assert client.get(f"{CASES}{case.pk}/").json()["id_number"] == "331***********1234"


def test_a_field_one_cannot_read_is_no_question(
    people: SimpleNamespace, case: Record, sign_in: SignIn
) -> None:
    leader, officer = sign_in(people.leader), sign_in(people.street_officer)
    assert ids(officer.get(f"{CASES}?q=陈小明&sort=client")) == [case.pk]
    assert ids(leader.get(f"{CASES}?q=陈小明")) == []
    for name in ("client", "id_number", "made_up"):
        answers = [
            leader.get(f"{CASES}?sort={name}"),
            leader.get(f"{CASES}?sort=-{name}"),
            leader.get(f"{CASES}?{name}=陈小明"),
        ]
        assert [answer.status_code for answer in answers] == [400, 400, 400]
        errors = [answer.json()["errors"] for answer in answers]
        # The very answers that a made-up name gets.
        assert [list(error) for error in errors] == [["sort"], ["sort"], [name]]
        assert errors[2][name] == leader.get(f"{CASES}?nothing=1").json()["errors"]["nothing"]
    kinds = leader.get("/api/v1/kinds/").json()["results"]
    assert "client" not in next(kind for kind in kinds if kind["code"] == "cases")["sorts"]


def test_removed_records_show_to_who_may_restore_or_audit_them(
    people: SimpleNamespace,
    tree: SimpleNamespace,
    sign_in: SignIn,
    make_record: MakeRecord,
    actor: Callable[..., Any],
) -> None:
    record = make_record("activities", tree.own, people.community_officer)
    remove_record(by=actor(people.community_officer), kind=registry.kind("activities"), record=record)
    for name, status in {
        "community_officer": 200,
        "auditor": 200,
        "street_officer": 404,
        "leader": 404,
    }.items():
        assert sign_in(getattr(people, name)).get(f"{ACTIVITIES}{record.pk}/").status_code == status, name
    assert ids(sign_in(people.community_officer).get(ACTIVITIES)) == []


# --- lists --------------------------------------------------------------------------------------------------------


@pytest.fixture
def activities(people: SimpleNamespace, tree: SimpleNamespace, make_record: MakeRecord) -> list[Record]:
    officer, sibling_officer = people.community_officer, people.street_officer
    made = []
    for number in range(7):
        made.append(
            make_record(
                "activities",
                tree.own if number % 2 else tree.street,
                officer if number % 2 else sibling_officer,
                [tree.school] if number % 3 == 0 else [],
                theme=f"主题{number}𠮷",
                participants=10 * (number // 2),
                occurred_on=dt.date(2026, 3, 1 + number // 2),
                series="festival" if number == 4 else "six_ones",
                festival="neighbours" if number == 4 else "",
            )
        )
    return made


QUESTIONS = [
    "",
    "unit=331002001003",
    "unit=331002001",
    "unit=331002",
    "unit=331002001S1&part=joint",
    "series=festival",
    "festival=neighbours&setting=school",
    "occurred_on_from=2026-03-02&occurred_on_to=2026-03-03",
    "q=主题3",
    "q=𠮷",
    "indicator=activities.six_ones",
    "sort=participants",
    "sort=-participants",
    "sort=occurred_on",
    "unit=331002001&series=six_ones&sort=-created_at",
]


@pytest.mark.parametrize("role", ["community_officer", "street_officer", "leader"])
def test_a_list_is_the_list_of_the_page(
    people: SimpleNamespace, activities: list[Record], sign_in: SignIn, role: str
) -> None:
    client = sign_in(getattr(people, role))
    lengths = []
    for query in QUESTIONS:
        page = client.get(f"{reverse('record_list', args=['activities'])}?{query}")
        shown = [int(row["url"].rstrip("/").split("/")[-1]) for row in page.context["rows"]]
        assert ids(client.get(f"{ACTIVITIES}?{query}")) == shown, query
        lengths.append(len(shown))
    if role == "leader":
        assert lengths == [7, 3, 7, 7, 3, 1, 1, 4, 1, 7, 6, 7, 7, 7, 6]


def test_links_lead_through_all_pages_and_back(
    people: SimpleNamespace, activities: list[Record], sign_in: SignIn
) -> None:
    client = sign_in(people.leader)
    address: str | None = f"{ACTIVITIES}?page_size=3&sort=participants&q=主题"
    forward, pages, last = [], 0, None
    while address:
        last = client.get(address)
        forward += ids(last)
        pages, address = pages + 1, last.json()["next"]
    assert (pages, len(forward), len(set(forward))) == (3, 7, 7)
    assert forward == ids(client.get(f"{ACTIVITIES}?page_size=200&sort=participants"))
    assert last is not None
    back = client.get(last.json()["previous"])
    assert ids(back) == forward[3:6]
    assert ids(client.get(back.json()["previous"])) == forward[:3]
    assert ids(client.get(back.json()["next"])) == forward[6:]


MISUNDERSTOOD = {
    "page_size=0": ["page_size"],
    "page_size=201": ["page_size"],
    "page_size=1.5": ["page_size"],
    "page_size=%EF%BC%91x": ["page_size"],
    "cursor=nonsense": ["cursor"],
    "cursor=" + "x" * 2001: ["cursor"],
    "cursor=%F0%A0%AE%B7": ["cursor"],
    "unit=nowhere": ["unit"],
    "unit=%00": ["unit"],
    "unit=331003001001": ["unit"],
    "part=joint": ["part"],
    "q=%00": ["q"],
    "q=" + "x" * 51: ["q"],
    "occurred_on_from=2026-02-30": ["occurred_on_from"],
    "occurred_on_from=2026-03-02&occurred_on_to=2026-03-01": ["occurred_on_to"],
    "series=nonsense": ["series"],
    "sort=summary": ["sort"],
    "indicator=carriers.count": ["indicator"],
    "made_up=1&%ED%A0%80=2": ["made_up", "\ufffd\ufffd\ufffd"],
    "series=other&series=six_ones": ["series"],
}


def test_a_question_that_is_not_understood_is_named(people: SimpleNamespace, sign_in: SignIn) -> None:
    client = sign_in(people.office)
    for query, names in MISUNDERSTOOD.items():
        response = client.get(f"{ACTIVITIES}?{query}")
        assert response.status_code == 400, query
        assert list(response.json()["errors"]) == names, query


def test_a_list_costs_the_same_few_queries_at_any_length(
    people: SimpleNamespace, tree: SimpleNamespace, sign_in: SignIn, make_record: MakeRecord
) -> None:
    clients = [sign_in(getattr(people, role)) for role in ("community_officer", "street_officer", "auditor")]
    for client in clients:
        client.get("/api/v1/me/")  # notes the time of the session
    numbers = []
    for _round in range(2):
        for code in ("activities", "cases"):
            for _number in range(3):
                make_record(code, tree.own, people.community_officer, [tree.school, tree.police])
        numbers.append(
            [
                queries_of(client, path)
                for client in clients
                for path in (ACTIVITIES, CASES, "/api/v1/units/", "/api/v1/kinds/")
            ]
        )
    assert numbers[0] == numbers[1]
    assert max(numbers[0]) <= 5


def queries_of(client: Client, path: str) -> int:
    with CaptureQueriesContext(connection) as queries:
        assert client.get(path).status_code == 200
    return len(queries)


# --- units, kinds, oneself, the description ---------------------------------------------------------------------------


def codes(response: Any) -> list[str]:
    return [row["code"] for row in response.json()["results"]]


def test_units_are_found_within_the_district(
    people: SimpleNamespace, tree: SimpleNamespace, sign_in: SignIn
) -> None:
    client = sign_in(people.community_officer)
    assert codes(client.get("/api/v1/units/?q=hmjd")) == ["331002001"]
    assert codes(client.get("/api/v1/units/?q=海门&kind=school")) == ["331002001S1"]
    assert codes(client.get("/api/v1/units/?parent=331002001&tier=community")) == [
        "331002001003",
        "331002001004",
    ]
    assert tree.elsewhere.code not in codes(client.get("/api/v1/units/"))
    assert client.get(f"/api/v1/units/{tree.elsewhere.code}/").status_code == 404
    unit = client.get(f"/api/v1/units/{tree.own.code}/").json()
    assert unit == {
        "code": "331002001003",
        "name": "城隍浦社区",
        "tier": "community",
        "kind": "community",
        "parent": "331002001",
        "opened_on": "2008-01-01",
        "closed_on": None,
        "merged_into": None,
    }
    first = client.get("/api/v1/units/?page_size=3")
    assert (
        codes(first) + codes(client.get(first.json()["next"]))
        == sorted(Unit.objects.filter(path__startswith=tree.district.path).values_list("code", flat=True))[:6]
    )
    for query in ("tier=galaxy", "kind=x", "parent=331003", "q=%00", "made_up=1"):
        assert client.get(f"/api/v1/units/?{query}").status_code == 400, query


def test_me_names_the_acting_unit_and_what_one_may_do(
    people: SimpleNamespace, tree: SimpleNamespace, sign_in: SignIn, make_user: Callable[..., Any]
) -> None:
    make_user("community_officer", "unit_officer", tree.school)
    body = sign_in(people.community_officer).get("/api/v1/me/").json()
    assert (body["username"], body["name"]) == ("community_officer", "community_officer姓名")
    assert body["acting_unit"] == {"code": tree.own.code, "name": "城隍浦社区"}
    assert [role["code"] for role in body["roles"]] == ["community_officer"]
    assert "record.write" in body["permissions"]
    assert "audit.view" not in body["permissions"]
    assert [grant["unit"]["code"] for grant in body["grants"]] == [tree.own.code, tree.school.code]


def test_kinds_tell_fields_choices_and_what_one_may_ask(people: SimpleNamespace, sign_in: SignIn) -> None:
    kinds = sign_in(people.leader).get("/api/v1/kinds/").json()["results"]
    assert [kind["code"] for kind in kinds] == [kind.code for kind in registry.kinds()]
    activities = next(kind for kind in kinds if kind["code"] == "activities")
    series = next(field for field in activities["fields"] if field["name"] == "series")
    assert series["required"]
    assert {"value": "six_ones", "label": "“六个一”系列"} in series["choices"]
    assert "occurred_on_from" in activities["filters"]
    cases = next(kind for kind in kinds if kind["code"] == "cases")
    read = {field["name"]: (field["class"], field["disclosure"]) for field in cases["fields"]}
    assert read["client"] == ("C2", "masked")
    assert read["notes"] == ("C4", "withheld")


def test_the_page_of_the_api_asks_to_sign_in_and_runs_no_inline_script(
    people: SimpleNamespace, sign_in: SignIn, client: Client
) -> None:
    assert client.get(reverse("api_docs")).status_code == 302
    response = sign_in(people.community_officer).get(reverse("api_docs"))
    assert response.status_code == 200
    assert "unsafe" not in response["Content-Security-Policy"]
    for script in response.text.split("<script")[1:]:
        assert script.split(">", 1)[1].startswith("</script>")
    assert "cdn" not in response.text


def test_the_description_names_every_field_of_every_kind(people: SimpleNamespace, sign_in: SignIn) -> None:
    schemas = sign_in(people.leader).get("/api/schema/").json()["components"]["schemas"]
    for kind in registry.kinds():
        name = kind.model.__name__
        entered = {f.name for f in kind.model._meta.concrete_fields if f.editable and not f.primary_key}
        assert entered <= set(schemas[name]["properties"])
        assert set(schemas[f"{name}Input"]["properties"]) == {*entered, "joint_units"}
        assert "version" in schemas[f"{name}Change"]["required"]
    assert schemas["Case"]["properties"]["id_number"]["type"] == "string"


def test_the_description_is_valid_and_without_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    from django.core.management import call_command

    call_command("spectacular", "--validate", "--fail-on-warn", "--format", "openapi-json")
    assert '"openapi": "3.1.0"' in capsys.readouterr().out
