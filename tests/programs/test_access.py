"""The kernel of access: who an actor is, where a permission reaches, what is seen of a record."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import IntegrityError, connection, transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from programs import registry
from programs.access import (
    Actor,
    Requirement,
    get_record_or_404,
    get_unit_or_404,
    public,
    requirement_of,
    requires,
    signed_in,
    signing_in,
    units_for,
    visible,
)
from programs.disclosure import can_reveal, disclose, disclosure_of, masked, may_use_in_query, reveal
from programs.field_classes import C0, C1, C2, C3, C4, Mask
from programs.middleware import AccessMiddleware
from programs.models import AuditEvent, EducationActivity, Grant, Reveal, Unit, User
from programs.roles import ROLES, Disclosure, Duty, Permission

DAY = dt.timedelta(days=1)
VIEW, WRITE, EXPORT = Permission.RECORD_VIEW, Permission.RECORD_WRITE, Permission.RECORD_EXPORT
BRING = Permission.RECORD_BRING


@pytest.fixture(autouse=True)
def _in_english(settings: Any) -> None:
    settings.LANGUAGE_CODE = "en"


def today() -> dt.date:
    return timezone.localdate()


def names(tree: SimpleNamespace, units: Any) -> set[str]:
    """The fixture's names of these units."""
    ids = {unit.pk for unit in units}
    return {name for name, unit in vars(tree).items() if unit.pk in ids}


DISTRICT = {"district", "street", "other_street", "own", "sibling", "cousin", "police", "school"}
STREET = {"street", "own", "sibling", "school"}


# --- the actor ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("grant", "counts"),
    [
        ({}, True),
        ({"valid_to": 0}, True),
        ({"valid_to": -1}, False),
        ({"valid_from": 0}, True),
        ({"valid_from": 1}, False),
        ({"revoked": True}, False),
    ],
)
def test_a_grant_counts_from_its_first_through_its_last_day(
    tree: SimpleNamespace, make_user: Callable[..., User], grant: dict[str, Any], counts: bool
) -> None:
    values: dict[str, Any] = {name: today() + DAY * days for name, days in grant.items() if name != "revoked"}
    if "revoked" in grant:
        values["revoked_at"] = timezone.now()
    actor = Actor.of(make_user("insider", "community_officer", tree.own, **values))
    assert actor.may(VIEW) is counts
    assert bool(units_for(actor, VIEW)) is counts


def test_the_day_begins_in_the_portals_time_zone(tree: SimpleNamespace, make_user: Any) -> None:
    """17:00 in London is tomorrow in China."""
    user = make_user("insider", "community_officer", tree.own, valid_from=dt.date(2026, 5, 2))
    with time_machine.travel(dt.datetime(2026, 5, 1, 15, 59, tzinfo=dt.UTC), tick=False):
        assert not Actor.of(user).may(VIEW)
    with time_machine.travel(dt.datetime(2026, 5, 1, 16, 0, tzinfo=dt.UTC), tick=False):
        assert Actor.of(user).may(VIEW)


def test_only_the_grants_of_the_acting_unit_count(
    tree: SimpleNamespace, make_user: Callable[..., User]
) -> None:
    user = make_user("insider", "office", tree.district)
    make_user("insider", "community_officer", tree.own)
    first = Actor.of(user)
    assert (first.unit, first.may(Permission.UNIT_MANAGE)) == (tree.district, True)
    assert {grant.unit_id for grant in first.choices} == {tree.district.pk, tree.own.pk}
    picked = Actor.of(user, unit=tree.own)
    assert (picked.unit, picked.may(Permission.UNIT_MANAGE)) == (tree.own, False)
    assert names(tree, units_for(picked, VIEW)) == {"own"}


def test_an_actor_without_grants_may_nothing(make_user: Callable[..., User]) -> None:
    actor = Actor.of(make_user("nobody"))
    assert actor.unit is None
    assert not [permission for permission in Permission if actor.may(permission)]
    assert not [permission for permission in Permission if units_for(actor, permission).exists()]
    assert not visible(EducationActivity.objects.all(), actor).exists()


def test_roles_at_one_unit_add_up(tree: SimpleNamespace, make_user: Callable[..., User]) -> None:
    user = make_user("insider", "community_officer", tree.own)
    make_user("insider", "counsellor", tree.own)
    actor = Actor.of(user)
    assert actor.may(WRITE)
    assert actor.disclosure(C4) is Disclosure.CLEAR


# --- reach ----------------------------------------------------------------------------------------

REACHES = {
    "leader": {VIEW: DISTRICT, WRITE: set(), EXPORT: DISTRICT},
    "office": {
        VIEW: DISTRICT,
        WRITE: {"district"},
        BRING: DISTRICT,
        EXPORT: DISTRICT,
        Permission.UNIT_MANAGE: DISTRICT,
        Permission.OPINION_SUPERVISE: DISTRICT,
    },
    "street_officer": {
        VIEW: STREET,
        WRITE: {"street"},
        BRING: STREET,
        EXPORT: STREET,
        Permission.UNIT_MANAGE: set(),
    },
    "community_officer": {VIEW: {"own"}, WRITE: {"own"}, BRING: {"own"}, EXPORT: {"own"}},
    "unit_officer": {VIEW: {"police"}, WRITE: {"police"}, BRING: {"police"}, EXPORT: {"police"}},
    "counsellor": {VIEW: set(), WRITE: set(), EXPORT: set()},
    "counselling_supervisor": {VIEW: set(), WRITE: set(), EXPORT: set()},
    "auditor": {VIEW: DISTRICT, WRITE: set(), EXPORT: DISTRICT, Permission.AUDIT_VIEW: DISTRICT},
    "administrator": {VIEW: set(), WRITE: set(), EXPORT: set(), Permission.PEOPLE_MANAGE: DISTRICT},
}


@pytest.mark.parametrize("role", list(ROLES))
def test_how_far_each_role_reaches(tree: SimpleNamespace, people: SimpleNamespace, role: str) -> None:
    actor = Actor.of(getattr(people, role))
    for permission in Permission:
        usual = DISTRICT if permission is Permission.UNIT_VIEW else set()
        if permission is Permission.STATISTICS_VIEW:
            usual = REACHES[role][VIEW]
        if permission is Permission.RECORD_REVEAL and role in ("office", "street_officer"):
            usual = REACHES[role][VIEW]
        expected = REACHES[role].get(permission, usual)
        assert names(tree, units_for(actor, permission)) == expected, permission
        covered = {name for name, unit in vars(tree).items() if actor.covers(permission, unit)}
        assert covered == expected, "covers and units_for tell the same"


def test_a_grant_without_the_units_below_reaches_its_own(
    tree: SimpleNamespace, make_user: Callable[..., User]
) -> None:
    actor = Actor.of(make_user("narrow", "leader", tree.district, include_descendants=False))
    assert names(tree, units_for(actor, VIEW)) == {"district"}


def test_a_merged_unit_is_reached_by_the_one_that_goes_on(
    tree: SimpleNamespace, people: SimpleNamespace
) -> None:
    Unit.objects.filter(pk=tree.sibling.pk).update(closed_on=today(), merged_into=tree.own)
    tree.sibling.refresh_from_db()
    actor = Actor.of(people.community_officer)
    assert names(tree, units_for(actor, VIEW)) == {"own", "sibling"}
    assert actor.covers(VIEW, tree.sibling)


def test_a_subtree_is_one_range_of_paths(tree: SimpleNamespace, people: SimpleNamespace) -> None:
    """/1/ does not reach /10/."""
    Unit.objects.filter(pk=tree.elsewhere.pk).update(path=f"/{tree.district.pk}0/")
    assert "elsewhere" not in names(tree, units_for(Actor.of(people.leader), VIEW))


def test_a_unit_of_another_district_is_not_there_and_one_of_the_own_is_forbidden(
    tree: SimpleNamespace, people: SimpleNamespace
) -> None:
    officer, office = Actor.of(people.community_officer), Actor.of(people.office)
    assert get_unit_or_404(office, Permission.UNIT_MANAGE, code=tree.own.code) == tree.own
    assert get_unit_or_404(officer, Permission.UNIT_VIEW, code=tree.police.code) == tree.police
    with pytest.raises(PermissionDenied):
        get_unit_or_404(officer, Permission.UNIT_MANAGE, code=tree.own.code)
    for actor in (officer, office):
        with pytest.raises(Http404):
            get_unit_or_404(actor, Permission.UNIT_VIEW, code=tree.elsewhere.code)


# --- records --------------------------------------------------------------------------------------


@pytest.fixture
def records(
    tree: SimpleNamespace, people: SimpleNamespace, make_record: Callable[..., Any]
) -> dict[str, EducationActivity]:
    """One led by each unit, and "joint": led by the cousin together with the own unit."""
    made = {
        "own": make_record("activities", tree.own, by=people.community_officer),
        "street": make_record("activities", tree.street, by=people.street_officer),
        "police": make_record("activities", tree.police, by=people.unit_officer),
        "elsewhere": make_record("activities", tree.elsewhere_community, by=people.outsider),
        "joint": make_record("activities", tree.own, by=people.community_officer),
    }
    EducationActivity.objects.filter(pk=made["joint"].pk).update(unit=tree.cousin)
    made["joint"].joint_units.set([tree.own])
    return made


def seen(records: dict[str, EducationActivity], actor: Actor, permission: Permission = VIEW) -> set[str]:
    found = set(visible(EducationActivity.objects.all(), actor, permission).values_list("pk", flat=True))
    return {name for name, record in records.items() if record.pk in found}


def test_who_sees_which_records(records: dict[str, EducationActivity], people: SimpleNamespace) -> None:
    expected = {
        "leader": {"own", "street", "police", "joint"},
        "office": {"own", "street", "police", "joint"},
        "auditor": {"own", "street", "police", "joint"},
        "street_officer": {"own", "street", "joint"},
        "community_officer": {"own", "joint"},
        "unit_officer": {"police"},
        "outsider": {"elsewhere"},
        "counsellor": set(),
        "counselling_supervisor": set(),
        "administrator": set(),
    }
    assert {name: seen(records, Actor.of(person)) for name, person in vars(people).items()} == expected


def test_a_joint_unit_reads_and_does_not_write(
    records: dict[str, EducationActivity], people: SimpleNamespace
) -> None:
    officer = Actor.of(people.community_officer)
    assert "joint" in seen(records, officer)
    assert seen(records, officer, WRITE) == {"own"}
    kind = registry.kind("activities")
    assert get_record_or_404(kind, officer, records["joint"].pk) == records["joint"]
    with pytest.raises(PermissionDenied):
        get_record_or_404(kind, officer, records["joint"].pk, WRITE)


def test_a_record_joint_with_several_units_of_the_scope_is_seen_once(
    records: dict[str, EducationActivity], tree: SimpleNamespace, people: SimpleNamespace
) -> None:
    records["joint"].joint_units.set([tree.own, tree.sibling, tree.street, tree.police])
    leader = Actor.of(people.leader)
    found = [record.pk for record in visible(EducationActivity.objects.all(), leader)]
    assert len(found) == len(set(found)) == 4


def test_out_of_scope_is_not_there_and_leaves_a_trace(
    records: dict[str, EducationActivity], people: SimpleNamespace, tree: SimpleNamespace
) -> None:
    kind, officer = registry.kind("activities"), Actor.of(people.community_officer)
    for permission in (VIEW, WRITE):
        with pytest.raises(Http404):
            get_record_or_404(kind, officer, records["police"].pk, permission)
    events = AuditEvent.objects.filter(outcome="denied")
    assert {(event.actor_id, event.object_pk, event.unit_id) for event in events} == {
        (people.community_officer.pk, str(records["police"].pk), tree.police.pk)
    }
    with pytest.raises(Http404):
        get_record_or_404(kind, officer, 999_999)
    assert AuditEvent.objects.filter(outcome="denied").count() == 2, "what is not there was not refused"


def test_in_scope_but_not_allowed_is_forbidden(
    records: dict[str, EducationActivity], people: SimpleNamespace
) -> None:
    kind = registry.kind("activities")
    for person in (people.leader, people.auditor, people.street_officer):
        with pytest.raises(PermissionDenied):
            get_record_or_404(kind, Actor.of(person), records["own"].pk, WRITE)


def test_a_removed_record_shows_to_who_writes_or_audits_it(
    records: dict[str, EducationActivity], people: SimpleNamespace
) -> None:
    pk = records["own"].pk
    EducationActivity.objects.filter(pk=pk).update(
        removed_at=timezone.now(), removed_by=people.community_officer
    )
    kind = registry.kind("activities")
    for person in (people.community_officer, people.auditor):
        assert get_record_or_404(kind, Actor.of(person), pk, removed=None).pk == pk
        with pytest.raises(Http404):
            get_record_or_404(kind, Actor.of(person), pk)
    for person in (people.leader, people.office, people.street_officer):
        with pytest.raises(Http404):
            get_record_or_404(kind, Actor.of(person), pk, removed=None)


# --- views ----------------------------------------------------------------------------------------


def view(request: HttpRequest) -> HttpResponse:
    return HttpResponse("content")


def asked(view: Any, actor: Actor | None, path: str = "/x/", **session: Any) -> Any:
    """What AccessMiddleware says of this view before it runs."""
    request = RequestFactory().get(path)
    request.session = session
    request.user = actor.user if actor else AnonymousUser()
    request.actor = actor
    return AccessMiddleware(lambda _request: HttpResponse()).process_view(request, view, (), {})


def test_a_view_that_declares_nothing_is_denied_to_everybody(people: SimpleNamespace) -> None:
    assert requirement_of(view) is None
    for person in vars(people).values():
        with pytest.raises(PermissionDenied):
            asked(view, Actor.of(person))
    with pytest.raises(PermissionDenied):
        asked(view, None)


def test_a_view_declares_what_it_asks_for(people: SimpleNamespace) -> None:
    def fresh(declare: Any) -> Any:
        return declare(lambda request: HttpResponse())

    assert requirement_of(fresh(requires(VIEW))) == Requirement(VIEW)
    assert requirement_of(fresh(public)) == Requirement(public=True)
    assert requirement_of(fresh(signed_in)) == Requirement()
    assert requirement_of(fresh(signing_in)) == Requirement(unfinished=True)
    nobody, leader = Actor.of(people.administrator), Actor.of(people.leader)
    assert asked(fresh(requires(VIEW)), leader) is None
    with pytest.raises(PermissionDenied):
        asked(fresh(requires(VIEW)), nobody)
    assert asked(fresh(signed_in), nobody) is None


def test_who_has_not_finished_signing_in_gets_no_view_but_those(
    people: SimpleNamespace, settings: Any
) -> None:
    settings.TWO_FACTOR_REQUIRED_ROLES = ["office"]
    office = Actor.of(people.office)
    needed = requires(VIEW)(lambda request: HttpResponse())
    assert asked(needed, office).url == "/account/two-factor/"
    assert asked(signing_in(lambda request: HttpResponse()), office) is None
    assert asked(needed, office, otp_device_id="otp_totp.totpdevice/1") is None
    with pytest.raises(PermissionDenied):
        asked(needed, office, "/api/v1/me/")
    people.office.must_change_password = True
    assert asked(needed, office, otp_device_id="x").url == "/account/password/"


def test_a_resting_grant_requires_the_second_factor_too(
    tree: SimpleNamespace, make_user: Callable[..., User], settings: Any
) -> None:
    """It can be picked at any moment."""
    settings.TWO_FACTOR_REQUIRED_ROLES = ["counsellor"]
    user = make_user("insider", "community_officer", tree.own)
    make_user("insider", "counsellor", tree.police)
    actor = Actor.of(user, unit=tree.own)
    assert asked(requires(VIEW)(lambda request: HttpResponse()), actor).url == "/account/two-factor/"


def test_strangers_are_sent_to_sign_in(db: None) -> None:
    for path in ("/", "/account/", "/people/", "/audit/", "/records/activities/", "/no/such/page/"):
        response = Client().get(path)
        expected = 404 if path.startswith("/no/") else 302
        assert response.status_code == expected
        if expected == 302:
            assert response.url == f"/sign-in/?next={path}"
    assert not AuditEvent.objects.exists()


def test_a_denial_is_one_row_with_address_and_request(
    people: SimpleNamespace, sign_in: Callable[[User], Client]
) -> None:
    client = sign_in(people.leader)
    response = client.get("/people/", REMOTE_ADDR="10.1.1.1")
    assert response.status_code == 403
    [event] = AuditEvent.objects.filter(outcome="denied")
    assert (event.action, event.ip, event.role) == ("GET /people/", "10.1.1.1", "leader")
    assert event.request_id == response["X-Request-ID"]


def test_an_idle_session_ends(
    people: SimpleNamespace, sign_in: Callable[[User], Client], settings: Any
) -> None:
    with time_machine.travel(dt.datetime(2026, 5, 12, 4, 0, tzinfo=dt.UTC), tick=False) as clock:
        client = sign_in(people.leader)
        for _step in range(4):
            assert client.get("/account/").status_code == 200
            clock.shift(settings.SESSION_COOKIE_AGE - 60)
        assert client.get("/account/").status_code == 200, "whoever works is not signed out"
        clock.shift(settings.SESSION_COOKIE_AGE + 1)
        assert client.get("/account/").status_code == 302
        assert client.get("/account/").status_code == 302


def test_a_request_costs_one_question_for_person_and_grants(
    people: SimpleNamespace, tree: SimpleNamespace, sign_in: Callable[[User], Client], make_user: Any
) -> None:
    client = sign_in(people.leader)
    client.get("/acting-unit/")
    for unit in (tree.own, tree.sibling, tree.cousin):
        make_user("leader", "counsellor", unit)
    with CaptureQueriesContext(connection) as asked_for:
        client.get("/acting-unit/")  # 405: nothing but the frame of a request
    about_people = [q["sql"] for q in asked_for.captured_queries if "programs_grant" in q["sql"]]
    assert len(about_people) == 1


# --- what of a field is read ----------------------------------------------------------------------

# access.md, "who sees and does what", C2, C3 and C4 in turn.
CLEAR, MASKED, WITHHELD = Disclosure.CLEAR, Disclosure.MASKED, Disclosure.WITHHELD
READS = {
    "leader": (MASKED, WITHHELD, WITHHELD),
    "office": (CLEAR, MASKED, WITHHELD),
    "street_officer": (CLEAR, MASKED, WITHHELD),
    "community_officer": (CLEAR, CLEAR, WITHHELD),
    "unit_officer": (CLEAR, WITHHELD, WITHHELD),
    "counsellor": (CLEAR, CLEAR, CLEAR),
    "counselling_supervisor": (CLEAR, CLEAR, CLEAR),
    "auditor": (MASKED, MASKED, WITHHELD),
    "administrator": (WITHHELD, WITHHELD, WITHHELD),
}


@pytest.mark.parametrize("role", list(ROLES))
def test_what_each_role_reads_of_each_class(people: SimpleNamespace, role: str) -> None:
    actor = Actor.of(getattr(people, role))
    assert tuple(actor.disclosure(field_class) for field_class in (C2, C3, C4)) == READS[role]
    assert actor.disclosure(C0) is actor.disclosure(C1) is CLEAR


@pytest.mark.parametrize(
    ("mask", "text", "read"),
    [
        (Mask.NAME, "张三丰", "张**"),
        (Mask.NAME, "张", "张*"),
        (Mask.NAME, "𠮷野家", "𠮷**"),
        (Mask.PHONE, "13812345678", "138****5678"),
        (Mask.PHONE, "88881234", "****"),
        (Mask.ID_NUMBER, "33100219900101123X", "331***********123X"),
        (Mask.ID_NUMBER, "12345", "***"),
        (Mask.HIDDEN, "anything", "***"),
    ],
)
def test_masks(mask: Mask, text: str, read: str) -> None:
    assert masked(text, mask) == read


@pytest.fixture
def case(tree: SimpleNamespace, people: SimpleNamespace, make_record: Callable[..., Any]) -> Any:
    return make_record(
        "cases",
        tree.own,
        by=people.community_officer,
        client="张三丰",
        phone="13812345678",
        id_number="33100219900101123X",
        illness="高血压",
        notes="谈话记录",
    )


def reads(case: Any, person: User) -> tuple[Any, ...]:
    actor = Actor.of(person)
    return tuple(disclose(case, name, actor) for name in ("client", "phone", "id_number", "illness", "notes"))


def test_a_record_is_told_to_each_role_as_far_as_it_reads(case: Any, people: SimpleNamespace) -> None:
    hidden = "—"
    assert reads(case, people.leader) == ("张**", "138****5678", hidden, hidden, hidden)
    assert reads(case, people.office) == ("张三丰", "13812345678", "331***********123X", "***", hidden)
    assert reads(case, people.community_officer) == (
        "张三丰",
        "13812345678",
        "33100219900101123X",
        "高血压",
        hidden,
    )
    assert reads(case, people.unit_officer) == ("张三丰", "13812345678", hidden, hidden, hidden)
    assert reads(case, people.auditor) == ("张**", "138****5678", "331***********123X", "***", hidden)
    assert reads(case, people.administrator) == (hidden,) * 5


def test_what_is_not_read_in_the_clear_cannot_be_asked_for(case: Any, people: SimpleNamespace) -> None:
    field = case._meta.get_field("client")
    assert may_use_in_query(field, Actor.of(people.office))
    assert not may_use_in_query(field, Actor.of(people.leader))
    assert not may_use_in_query(case._meta.get_field("id_number"), Actor.of(people.office))


def test_a_reveal_opens_one_record_for_thirty_minutes(
    case: Any, people: SimpleNamespace, tree: SimpleNamespace, make_record: Callable[..., Any]
) -> None:
    other = make_record("cases", tree.own, by=people.community_officer, id_number="33100219900101123X")
    with time_machine.travel(dt.datetime(2026, 5, 12, 4, 0, tzinfo=dt.UTC), tick=False) as clock:
        office = Actor.of(people.office)
        assert can_reveal(case, office)
        reveal(by=office, record=case, reason="核对救助对象的身份证号")
        assert reads(case, people.office)[2:] == ("33100219900101123X", "高血压", "—")
        assert reads(other, people.office)[2] == "331***********123X"
        assert reads(case, people.street_officer)[2] == "331***********123X", "for who asked alone"
        assert not can_reveal(case, office)
        [event] = AuditEvent.objects.filter(action="cases.reveal")
        assert (event.actor_id, event.object_pk, event.reason) == (
            people.office.pk,
            str(case.pk),
            "核对救助对象的身份证号",
        )
        clock.shift(30 * 60 + 1)
        assert reads(case, people.office)[2] == "331***********123X"


@pytest.mark.parametrize("reason", ["", "太短了", "         九个字符不够九个", "nul\x00 in a long reason"])
def test_a_reveal_needs_a_reason(case: Any, people: SimpleNamespace, reason: str) -> None:
    with pytest.raises(ValidationError):
        reveal(by=Actor.of(people.office), record=case, reason=reason)
    assert not Reveal.objects.exists()
    assert not AuditEvent.objects.filter(action="cases.reveal").exists()


@pytest.mark.parametrize("role", ["leader", "auditor", "administrator", "unit_officer", "community_officer"])
def test_who_may_not_reveal(case: Any, people: SimpleNamespace, role: str) -> None:
    actor = Actor.of(getattr(people, role))
    assert not can_reveal(case, actor)
    with pytest.raises(PermissionDenied):
        reveal(by=actor, record=case, reason="a reason of good length")


def test_a_reveal_out_of_scope_is_refused(
    people: SimpleNamespace, tree: SimpleNamespace, make_record: Callable[..., Any]
) -> None:
    away = make_record("cases", tree.elsewhere_community, by=people.outsider)
    with pytest.raises(PermissionDenied):
        reveal(by=Actor.of(people.office), record=away, reason="a reason of good length")


def test_a_reveal_and_its_audit_row_stand_or_fall_together(
    case: Any, people: SimpleNamespace, monkeypatch: Any
) -> None:
    def fail(**kwargs: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr(sys.modules["programs.actions.audit"], "audit", fail)
    with pytest.raises(RuntimeError), transaction.atomic():
        reveal(by=Actor.of(people.office), record=case, reason="a reason of good length")
    assert not Reveal.objects.exists()


def test_a_field_without_a_class_reads_as_the_strictest(people: SimpleNamespace) -> None:
    undeclared = SimpleNamespace()
    assert disclosure_of(undeclared, Actor.of(people.office)) is WITHHELD


# --- separation -----------------------------------------------------------------------------------


def test_three_duties_share_no_permission_to_act() -> None:
    """What an administrator or an auditor may do, beyond looking, nobody who works may do, and the other way round."""
    acts = {
        duty: {
            permission
            for role in ROLES.values()
            if role.duty is duty
            for permission in role.permissions
            if permission
            in (WRITE, BRING, Permission.UNIT_MANAGE, Permission.PEOPLE_MANAGE, Permission.AUDIT_VIEW)
        }
        for duty in Duty
    }
    assert acts == {
        Duty.WORK: {WRITE, BRING, Permission.UNIT_MANAGE},
        Duty.AUDIT: {Permission.AUDIT_VIEW},
        Duty.CONFIGURATION: {Permission.PEOPLE_MANAGE},
    }


def test_a_grant_ends_after_it_begins_in_the_database_too(
    tree: SimpleNamespace, people: SimpleNamespace
) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Grant.objects.create(
            user=people.leader, role="office", unit=tree.district, valid_from=today(), valid_to=today() - DAY
        )
    with pytest.raises(IntegrityError), transaction.atomic():
        Grant.objects.create(user=people.leader, role="leader", unit=tree.district)
    with pytest.raises(IntegrityError), transaction.atomic():
        Grant.objects.create(user=people.leader, role="emperor", unit=tree.district)
