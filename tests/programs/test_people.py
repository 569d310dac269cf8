"""Accounts and grants that an administrator keeps."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from programs import lockout, second_factor
from programs.access import Actor, people_for
from programs.actions import people as actions
from programs.models import AuditEvent, Grant, Unit, User
from programs.roles import ROLES

OPENED = dt.date(2008, 1, 1)
OPEN = "/account/"
PASSWORD = "a-long-password-1"
DAY = dt.timedelta(days=1)


@pytest.fixture(autouse=True)
def _in_english(settings: Any) -> None:
    settings.LANGUAGE_CODE = "en"


@pytest.fixture
def admin(people: SimpleNamespace) -> Actor:
    return Actor.of(people.administrator)


@pytest.fixture
def client(people: SimpleNamespace, sign_in: Callable[[User], Client]) -> Client:
    """The administrator of the first district."""
    return sign_in(people.administrator)


def today() -> dt.date:
    return timezone.localdate()


def refused(error: pytest.ExceptionInfo[ValidationError]) -> dict[str, list[str]]:
    return error.value.message_dict


def listed(client: Client, **asked: Any) -> set[str]:
    return {person.username for person in client.get("/people/", asked).context["people"]}


def is_in(client: Client) -> bool:
    return client.get(OPEN).status_code == 200


def a_role(unit: Unit, role: str = "community_officer") -> dict[str, str]:
    return {"role": role, "unit": unit.code, "valid_from": str(today()), "valid_to": ""}


def an_account(unit: Unit) -> dict[str, str]:
    account = {"username": "newcomer", "name": "新来的", "phone": "0576-8888 1234", "email": "a@example.org"}
    return {**account, **a_role(unit)}


# --- whose accounts -------------------------------------------------------------------------------


def test_the_list_holds_the_people_of_the_units_in_scope(client: Client, people: SimpleNamespace) -> None:
    assert listed(client) == {person.username for person in vars(people).values()} - {"outsider"}


def test_a_street_officer_in_two_districts_is_kept_by_neither(
    client: Client,
    people: SimpleNamespace,
    tree: SimpleNamespace,
    make_user: Callable[..., User],
    admin: Actor,
) -> None:
    make_user("outsider", "unit_officer", tree.police)
    other_admin = make_user("other_admin", "administrator", tree.elsewhere)
    assert "outsider" not in listed(client)
    assert client.get(f"/people/{people.outsider.pk}/").status_code == 404
    assert not people_for(Actor.of(other_admin)).filter(username="outsider").exists()


@pytest.mark.parametrize(
    ("elsewhere", "kept"),
    [
        ({"valid_to": -1}, True),
        ({"valid_to": 0}, False),
        ({"valid_from": 1}, False),
        ({"revoked": True}, True),
    ],
)
def test_only_grants_elsewhere_that_stand_take_a_person_away(
    admin: Actor, people: SimpleNamespace, tree: SimpleNamespace, elsewhere: dict[str, Any], kept: bool
) -> None:
    """Over since yesterday or revoked does not count; the last day, and one that is still to come, do."""
    Grant.objects.create(
        user=people.unit_officer,
        role="unit_officer",
        unit=tree.elsewhere,
        valid_from=today() + DAY * elsewhere["valid_from"] if "valid_from" in elsewhere else OPENED,
        valid_to=today() + DAY * elsewhere["valid_to"] if "valid_to" in elsewhere else None,
        revoked_at=timezone.now() if "revoked" in elsewhere else None,
    )
    assert people_for(admin).filter(pk=people.unit_officer.pk).exists() is kept


def test_who_lost_the_last_role_stays_with_the_administrator(
    client: Client, people: SimpleNamespace, admin: Actor
) -> None:
    actions.revoke_grant(by=admin, grant=people.leader.grants.get())
    assert "leader" in listed(client, state="idle")
    assert client.get(f"/people/{people.leader.pk}/").status_code == 200


def test_who_lost_the_last_role_elsewhere_stays_there(
    admin: Actor, people: SimpleNamespace, tree: SimpleNamespace, make_user: Callable[..., User]
) -> None:
    people.outsider.grants.update(revoked_at=timezone.now())
    assert not people_for(admin).filter(pk=people.outsider.pk).exists()
    other_admin = Actor.of(make_user("other_admin", "administrator", tree.elsewhere))
    assert people_for(other_admin).filter(pk=people.outsider.pk).exists()


def test_who_never_had_a_role_is_in_nobodys_list(client: Client, make_user: Callable[..., User]) -> None:
    nobody = make_user("nobody")
    assert "nobody" not in listed(client)
    assert client.get(f"/people/{nobody.pk}/").status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "", "edit/", "roles/new/", "unlock/", "reset-password/", "reset-second-factor/", "end-sessions/",
        "deactivate/", "reactivate/",
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["get", "post"])
def test_an_account_of_another_district_is_not_there(
    client: Client, people: SimpleNamespace, tree: SimpleNamespace, path: str, method: str
) -> None:
    before = User.objects.values().get(pk=people.outsider.pk)
    response = getattr(client, method)(f"/people/{people.outsider.pk}/{path}", a_role(tree.own))
    assert response.status_code == 404
    assert User.objects.values().get(pk=people.outsider.pk) == before
    [event] = AuditEvent.objects.filter(outcome="denied")
    assert (event.actor_id, event.object_pk) == (people.administrator.pk, str(people.outsider.pk))


@pytest.mark.parametrize("pk", [0, 999_999, 2**63, 10**30])
def test_an_account_that_does_not_exist_is_not_there(client: Client, pk: int) -> None:
    assert client.get(f"/people/{pk}/").status_code == 404
    assert client.post(f"/people/{pk}/roles/{pk}/revoke/").status_code == 404


@pytest.mark.parametrize("role", [role for role in ROLES if role != "administrator"])
def test_nobody_else_keeps_accounts(
    people: SimpleNamespace, sign_in: Callable[[User], Client], role: str
) -> None:
    client = sign_in(getattr(people, role))
    for path in ("/people/", "/people/new/", f"/people/{people.counsellor.pk}/"):
        assert client.get(path).status_code == 403, path
    assert client.post(f"/people/{people.counsellor.pk}/reset-password/").status_code == 403
    assert AuditEvent.objects.filter(outcome="denied", role=role).count() == 4


# --- finding people -------------------------------------------------------------------------------


def test_people_are_found(client: Client, people: SimpleNamespace, tree: SimpleNamespace) -> None:
    User.objects.filter(username="leader").update(name="王𠮷", phone="0576-1")
    assert listed(client, q="王𠮷") == {"leader"}
    assert listed(client, q="0576-1") == {"leader"}
    assert listed(client, q="street_off") == {"street_officer"}
    assert listed(client, role="auditor") == {"auditor"}
    assert listed(client, unit=tree.street.code) == {"street_officer", "community_officer", "counsellor"}
    assert listed(client, unit=tree.elsewhere.code) == set()
    assert listed(client, q="%") == set()
    User.objects.filter(username="leader").update(is_active=False)
    assert listed(client, state="closed") == {"leader"}
    assert "leader" not in listed(client, state="active")


@pytest.mark.parametrize(
    "asked",
    [
        {"q": "\x00"},
        {"q": "长" * 51},
        {"unit": "no-such-unit"},
        {"unit": "\x00"},
        {"role": "emperor"},
        {"state": "x" * 3000},
        {"cursor": "rubbish"},
        {"cursor": "\x00"},
    ],
)
def test_an_odd_question_gets_a_message(client: Client, asked: dict[str, str]) -> None:
    response = client.get("/people/", asked)
    assert response.status_code == 200
    if "cursor" not in asked:
        assert response.context["filter_form"].errors
        assert not response.context["people"]


def test_pages_of_the_list_hold_everybody_once(
    client: Client, tree: SimpleNamespace, make_user: Callable[..., User]
) -> None:
    for number in range(120):
        make_user(f"many-{number:03}", "community_officer", tree.own)
    found: list[str] = []
    address = "/people/?q=many-"
    while address:
        context = client.get(address).context
        found += [person.username for person in context["people"]]
        address = f"/people/{context['next_url']}" if context["next_url"] else ""
    assert found == [f"many-{number:03}" for number in range(120)]


def test_the_list_asks_as_many_questions_with_more_people(
    client: Client, tree: SimpleNamespace, make_user: Callable[..., User]
) -> None:
    def questions() -> int:
        with CaptureQueriesContext(connection) as asked:
            client.get("/people/")
        return len(asked)

    questions()
    before = questions()
    for number in range(20):
        make_user(f"many-{number}", "community_officer", tree.own)
        make_user(f"many-{number}", "counsellor", tree.sibling)
    assert questions() == before


# --- a new account --------------------------------------------------------------------------------


def test_a_new_account_begins_with_a_role_and_a_password_shown_once(
    client: Client, tree: SimpleNamespace, people: SimpleNamespace
) -> None:
    response = client.post("/people/new/", an_account(tree.own))
    password = response.context["password"]
    assert password in response.content.decode()
    assert "no-store" in response["Cache-Control"]
    user = User.objects.get(username="newcomer")
    assert user.check_password(password)
    assert user.must_change_password
    assert [(g.role, g.unit, g.granted_by) for g in user.grants.all()] == [
        ("community_officer", tree.own, people.administrator)
    ]
    assert password not in client.get(f"/people/{user.pk}/").content.decode()
    created = AuditEvent.objects.get(action="person.create")
    assert created.changes["username"] == [None, "newcomer"]
    assert password not in str(list(AuditEvent.objects.values()))
    newcomer = Client()
    newcomer.post("/sign-in/", {"username": "newcomer", "password": password})
    assert newcomer.get("/records/activities/").url == "/account/password/"


def test_first_passwords_are_long_and_differ(tree: SimpleNamespace, admin: Actor) -> None:
    made = [
        actions.create_user(by=admin, username=f"n{n}", name="新", role="community_officer", unit=tree.own)[1]
        for n in range(5)
    ]
    assert len(set(made)) == 5
    assert min(len(password) for password in made) >= 14


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"username": "insider name"}, "username"),
        ({"username": ""}, "username"),
        ({"username": "a" * 51}, "username"),
        ({"username": "nul\x00"}, "username"),
        ({"username": "\ufdfa" * 20}, "username"),
        ({"username": "LEADER"}, "username"),
        ({"username": "ｌeader"}, "username"),
        ({"name": "\x00"}, "name"),
        ({"name": "长" * 51}, "name"),
        ({"name": "  "}, "name"),
        ({"phone": "call me"}, "phone"),
        ({"phone": "1" * 21}, "phone"),
        ({"email": "not-an-address"}, "email"),
        ({"email": "a@b.cn\x00"}, "email"),
        ({"email": "a" * 300 + "@example.org"}, "email"),
        ({"role": "emperor"}, "role"),
        ({"unit": "no-such-unit"}, "unit"),
        ({"unit": "331003"}, "unit"),
        ({"unit": "\x00"}, "unit"),
        ({"valid_from": "yesterday"}, "valid_from"),
        ({"valid_from": "2020-01-01"}, "valid_from"),
        ({"valid_from": "9999-12-31"}, "valid_from"),
        ({"valid_to": "2020-01-01"}, "valid_to"),
        ({"valid_to": "9999-12-31"}, "valid_to"),
        ({"valid_to": "0001-01-01"}, "valid_to"),
    ],
)
def test_a_bad_account_gets_a_message_and_nothing_is_written(
    client: Client, tree: SimpleNamespace, values: dict[str, str], field: str
) -> None:
    before = (User.objects.count(), Grant.objects.count(), AuditEvent.objects.count())
    response = client.post("/people/new/", {**an_account(tree.own), **values})
    assert response.status_code == 200
    assert field in response.context["form"].errors
    assert (User.objects.count(), Grant.objects.count(), AuditEvent.objects.count()) == before


def test_lone_surrogates_in_a_form_do_no_harm(client: Client, tree: SimpleNamespace) -> None:
    body = b"username=x&name=%ED%A0%80&role=community_officer&unit=" + tree.own.code.encode()
    response = client.post("/people/new/", body, content_type="application/x-www-form-urlencoded")
    assert response.status_code == 200


def test_surrogates_that_reach_an_action_are_refused(tree: SimpleNamespace, admin: Actor) -> None:
    with pytest.raises(ValidationError) as error:
        actions.create_user(by=admin, username="x", name="\ud800", role="community_officer", unit=tree.own)
    assert "name" in refused(error)


@pytest.mark.django_db(transaction=True)
def test_of_many_who_take_one_name_one_gets_it(tree: SimpleNamespace, people: SimpleNamespace) -> None:
    outcomes = at_once(
        5,
        lambda _n: actions.create_user(
            by=Actor.of(people.administrator), username="same", name="同", role="leader", unit=tree.district
        ),
    )
    assert sorted(outcomes) == ["ValidationError"] * 4 + ["done"]
    assert User.objects.filter(username="same").count() == 1
    assert AuditEvent.objects.filter(action="person.create").count() == 1


def at_once(number: int, run: Callable[[int], Any]) -> list[str]:
    """The outcome of each of several runs that start at the same moment: "done", or the name of the error."""
    gate = threading.Barrier(number)
    outcomes: list[str] = []

    def one(index: int) -> None:
        gate.wait()
        try:
            run(index)
            outcomes.append("done")
        except Exception as error:  # noqa: BLE001  (whatever it is, it is the outcome)
            outcomes.append(type(error).__name__)
        finally:
            connection.close()

    threads = [threading.Thread(target=one, args=(index,)) for index in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def test_the_slower_twin_of_a_name_gets_a_message(
    client: Client, tree: SimpleNamespace, monkeypatch: Any
) -> None:
    """The database refuses it after every check has passed."""
    client.post("/people/new/", an_account(tree.own))
    monkeypatch.setattr(actions, "_check", lambda *args: None)
    monkeypatch.setattr("django.db.models.query.QuerySet.exists", lambda self: False)
    response = client.post("/people/new/", an_account(tree.own))
    monkeypatch.undo()
    assert response.context["form"].errors["username"] == ["This user name is taken."]
    assert User.objects.filter(username="newcomer").count() == 1


# --- changing an account --------------------------------------------------------------------------


def test_name_and_contact_are_changed_and_audited(client: Client, people: SimpleNamespace) -> None:
    path = f"/people/{people.leader.pk}/edit/"
    assert client.get(path).context["form"].initial["name"] == people.leader.name
    response = client.post(path, {"name": "王𠮷", "phone": "13800001234", "email": "w@example.org"})
    assert response.status_code == 302
    people.leader.refresh_from_db()
    assert (people.leader.name, people.leader.phone) == ("王𠮷", "13800001234")
    [event] = AuditEvent.objects.filter(action="person.change")
    assert event.changes["phone"] == ["", "13800001234"]
    client.post(path, {"name": "王𠮷", "phone": "13800001234", "email": "w@example.org"})
    assert AuditEvent.objects.filter(action="person.change").count() == 1, "nothing changed, nothing logged"


@pytest.mark.parametrize("odd", ["\x00", "长" * 5000, "", "=cmd()\x00"])
@pytest.mark.parametrize("field", ["name", "phone", "email"])
def test_odd_input_in_an_account_does_no_harm(
    client: Client, people: SimpleNamespace, field: str, odd: str
) -> None:
    values = {"name": "王", "phone": "", "email": "", field: odd}
    response = client.post(f"/people/{people.leader.pk}/edit/", values)
    assert response.status_code == (302 if odd == "" and field != "name" else 200)


def test_an_account_with_an_old_odd_user_name_can_still_be_changed(
    client: Client, people: SimpleNamespace
) -> None:
    User.objects.filter(pk=people.leader.pk).update(username="old name!")
    response = client.post(f"/people/{people.leader.pk}/edit/", {"name": "王"})
    assert response.status_code == 302


def test_a_closed_account_is_out_at_once_and_for_good(
    client: Client, people: SimpleNamespace, sign_in: Callable[[User], Client]
) -> None:
    leader = sign_in(people.leader)
    assert is_in(leader)
    client.post(f"/people/{people.leader.pk}/deactivate/")
    assert not is_in(leader)
    refused = Client().post("/sign-in/", {"username": "leader", "password": PASSWORD})
    assert refused.status_code == 200
    client.post(f"/people/{people.leader.pk}/reactivate/")
    assert not is_in(leader), "the session of before stays ended"
    entered = Client().post("/sign-in/", {"username": "leader", "password": PASSWORD})
    assert entered.status_code == 302
    actions_done = AuditEvent.objects.filter(action__startswith="person.").values_list("action", flat=True)
    assert sorted(actions_done) == ["person.deactivate", "person.reactivate"]


def test_closing_twice_is_closing_once(admin: Actor, people: SimpleNamespace) -> None:
    for _time in range(2):
        actions.set_active(by=admin, user=people.leader, active=False)
    assert AuditEvent.objects.filter(action="person.deactivate").count() == 1


def test_a_new_password_ends_sessions_and_must_be_changed(
    client: Client, people: SimpleNamespace, sign_in: Callable[[User], Client]
) -> None:
    leader = sign_in(people.leader)
    for _count in range(5):
        Client().post("/sign-in/", {"username": "leader", "password": "wrong"})
    assert lockout.locked_until("leader")
    asked = client.get(f"/people/{people.leader.pk}/reset-password/")
    assert asked.status_code == 200
    assert is_in(leader), "asking does nothing"
    password = client.post(f"/people/{people.leader.pk}/reset-password/").context["password"]
    assert not is_in(leader)
    assert Client().post("/sign-in/", {"username": "leader", "password": PASSWORD}).status_code == 200
    fresh = Client()
    assert fresh.post("/sign-in/", {"username": "leader", "password": password}).status_code == 302
    assert fresh.get(OPEN).url == "/account/password/"
    assert password not in str(list(AuditEvent.objects.values()))


def test_a_new_password_leaves_the_second_factor(client: Client, people: SimpleNamespace) -> None:
    """Whoever hands the password out does not get in with it."""
    second_factor.set_up(people.leader, second_factor.random_key(), 0)
    password = client.post(f"/people/{people.leader.pk}/reset-password/").context["password"]
    fresh = Client()
    fresh.post("/sign-in/", {"username": "leader", "password": password})
    assert not is_in(fresh)
    assert second_factor.is_on(people.leader)


def test_taking_the_second_factor_away_ends_sessions(
    client: Client, people: SimpleNamespace, sign_in: Callable[[User], Client]
) -> None:
    second_factor.set_up(people.leader, second_factor.random_key(), 0)
    leader = sign_in(people.leader)
    client.post(f"/people/{people.leader.pk}/reset-second-factor/")
    assert not second_factor.is_on(people.leader)
    assert second_factor.recovery_codes_left(people.leader) == 0
    assert not is_in(leader)
    assert AuditEvent.objects.filter(action="person.reset_second_factor").count() == 1


def test_a_lock_can_be_opened(client: Client, people: SimpleNamespace) -> None:
    path = f"/people/{people.leader.pk}/"
    assert client.get(path).context["locked_until"] is None
    for _count in range(5):
        Client().post("/sign-in/", {"username": "leader", "password": "wrong"})
    page = client.get(path)
    assert page.context["locked_until"]
    assert f"{path}unlock/" in page.content.decode()
    client.post(f"{path}unlock/")
    assert Client().post("/sign-in/", {"username": "leader", "password": PASSWORD}).status_code == 302
    assert AuditEvent.objects.filter(action="person.unlock").count() == 1


def test_an_administrator_signs_a_person_out_everywhere(
    client: Client, people: SimpleNamespace, sign_in: Callable[[User], Client]
) -> None:
    sessions = [sign_in(people.leader), sign_in(people.leader)]
    client.post(f"/people/{people.leader.pk}/end-sessions/")
    assert [is_in(session) for session in sessions] == [False, False]


# --- granting -------------------------------------------------------------------------------------


def test_a_role_is_granted_and_bites_on_the_next_request(
    client: Client, people: SimpleNamespace, tree: SimpleNamespace, sign_in: Callable[[User], Client]
) -> None:
    officer = sign_in(people.unit_officer)
    assert listed_units(officer) == {"公安分局"}
    client.post(f"/people/{people.unit_officer.pk}/roles/new/", a_role(tree.school, "unit_officer"))
    assert listed_units(officer) == {"公安分局", "海门小学"}
    [event] = AuditEvent.objects.filter(action="person.grant")
    assert event.changes["role"] == [None, "unit_officer"]
    assert event.changes["unit"] == [None, tree.school.code]
    assert event.unit_name == "海门小学"


def listed_units(client: Client) -> set[str]:
    """The units for which the person of an open session may act."""
    return {choice["unit"] for choice in client.get(OPEN).context["frame"]["choices"]}


def test_a_role_takes_its_usual_reach(admin: Actor, tree: SimpleNamespace, make_user: Any) -> None:
    for role, unit, below in (
        ("street_officer", tree.other_street, True),
        ("community_officer", tree.sibling, False),
    ):
        user, _password = actions.create_user(by=admin, username=role + "2", name="新", role=role, unit=unit)
        assert user.grants.get().include_descendants is below
    narrowed = actions.grant_role(
        by=admin, user=user, role="street_officer", unit=tree.street, include_descendants=False
    )
    assert narrowed.include_descendants is False


FITS = {
    "leader": {"district"},
    "office": {"district"},
    "auditor": {"district"},
    "administrator": {"district"},
    "street_officer": {"street", "other_street"},
    "community_officer": {"own", "sibling", "cousin"},
    "unit_officer": {"police", "school"},
    "counsellor": {"district", "street", "other_street", "own", "sibling", "cousin", "police", "school"},
    "counselling_supervisor": {
        "district", "street", "other_street", "own", "sibling", "cousin", "police", "school",
    },
}  # fmt: skip


@pytest.mark.parametrize("role", list(ROLES))
def test_a_role_fits_the_tier_of_its_unit(
    admin: Actor, tree: SimpleNamespace, make_user: Callable[..., User], role: str
) -> None:
    """Every role at every unit of the district."""
    person = make_user("mover", "counsellor", tree.own, valid_to=today() - DAY)
    for name, unit in vars(tree).items():
        if name in FITS[role]:
            grant = actions.grant_role(by=admin, user=person, role=role, unit=unit)
            actions.revoke_grant(by=admin, grant=grant)
        elif unit.root_id == tree.district.pk:
            with pytest.raises(ValidationError) as error:
                actions.grant_role(by=admin, user=person, role=role, unit=unit)
            assert list(refused(error)) == ["unit"]
            assert refused(error)["unit"][0].endswith(".")


@pytest.mark.parametrize("held", ["leader", "auditor", "administrator"])
@pytest.mark.parametrize("wanted", list(ROLES))
def test_duties_exclude_one_another(
    admin: Actor, tree: SimpleNamespace, make_user: Callable[..., User], held: str, wanted: str
) -> None:
    """Work, audit and administration are three persons, at any one time."""
    person = make_user("mover", held, tree.district)
    unit = next(unit for name, unit in vars(tree).items() if name in FITS[wanted])
    if ROLES[held].duty is ROLES[wanted].duty:
        if held != wanted:
            actions.grant_role(by=admin, user=person, role=wanted, unit=unit)
        return
    with pytest.raises(ValidationError) as error:
        actions.grant_role(by=admin, user=person, role=wanted, unit=unit)
    assert "does only that" in refused(error)["role"][0]
    assert person.grants.count() == 1


def test_duties_may_follow_one_another(
    admin: Actor, tree: SimpleNamespace, make_user: Callable[..., User]
) -> None:
    person = make_user("mover", "leader", tree.district, valid_to=today() + DAY * 10)
    last_day, day_after = today() + DAY * 10, today() + DAY * 11
    with pytest.raises(ValidationError):
        actions.grant_role(by=admin, user=person, role="auditor", unit=tree.district, valid_from=last_day)
    actions.grant_role(by=admin, user=person, role="auditor", unit=tree.district, valid_from=day_after)
    with pytest.raises(ValidationError):
        actions.grant_role(by=admin, user=person, role="office", unit=tree.district, valid_to=day_after)
    actions.grant_role(by=admin, user=person, role="office", unit=tree.district, valid_to=last_day)


def test_a_revoked_duty_excludes_nothing(
    admin: Actor, tree: SimpleNamespace, people: SimpleNamespace
) -> None:
    actions.revoke_grant(by=admin, grant=people.leader.grants.get())
    assert actions.grant_role(by=admin, user=people.leader, role="auditor", unit=tree.district)


def test_a_role_is_held_once_at_a_time(
    client: Client, people: SimpleNamespace, tree: SimpleNamespace
) -> None:
    path = f"/people/{people.community_officer.pk}/roles/new/"
    response = client.post(path, a_role(tree.own))
    assert response.context["form"].errors["role"] == ["This person already holds this role at this unit."]
    assert people.community_officer.grants.count() == 1


@pytest.mark.parametrize(("begin", "end", "free"), [(0, 5, False), (10, 20, False), (11, 20, True)])
def test_a_role_for_a_time_is_held_once_at_a_time_too(
    admin: Actor, tree: SimpleNamespace, make_user: Callable[..., User], begin: int, end: int, free: bool
) -> None:
    """The database knows only of grants without an end."""
    person = make_user("mover", "community_officer", tree.own, valid_to=today() + DAY * 10)
    dates = {"valid_from": today() + DAY * begin, "valid_to": today() + DAY * end}
    if free:
        assert actions.grant_role(by=admin, user=person, role="community_officer", unit=tree.own, **dates)
        return
    with pytest.raises(ValidationError) as error:
        actions.grant_role(by=admin, user=person, role="community_officer", unit=tree.own, **dates)
    assert "role" in refused(error)


@pytest.mark.django_db(transaction=True)
def test_of_many_equal_grants_at_once_one_is_given(tree: SimpleNamespace, people: SimpleNamespace) -> None:
    outcomes = at_once(
        5,
        lambda _n: actions.grant_role(
            by=Actor.of(people.administrator),
            user=people.community_officer,
            role="community_officer",
            unit=tree.sibling,
        ),
    )
    assert sorted(outcomes) == ["ValidationError"] * 4 + ["done"]
    assert people.community_officer.grants.filter(unit=tree.sibling).count() == 1


@pytest.mark.django_db(transaction=True)
def test_contradicting_duties_at_once_are_not_both_given(
    tree: SimpleNamespace, people: SimpleNamespace
) -> None:
    admin = Actor.of(people.administrator)
    actions.revoke_grant(by=admin, grant=people.leader.grants.get())
    roles = ["auditor", "leader", "administrator", "office"]
    outcomes = at_once(
        4, lambda n: actions.grant_role(by=admin, user=people.leader, role=roles[n], unit=tree.district)
    )
    assert set(outcomes) == {"done", "ValidationError"}
    held = {ROLES[grant.role].duty for grant in people.leader.grants.filter(revoked_at=None)}
    assert len(held) == 1


def test_the_slower_twin_of_a_grant_gets_a_message(
    client: Client, people: SimpleNamespace, tree: SimpleNamespace, monkeypatch: Any
) -> None:
    monkeypatch.setattr(actions, "_check_other_grants", lambda grant: None)
    response = client.post(f"/people/{people.community_officer.pk}/roles/new/", a_role(tree.own))
    assert response.status_code == 200
    assert response.context["form"].errors["role"] == ["This person already holds this role at this unit."]


def test_a_unit_out_of_scope_cannot_be_granted(
    client: Client, admin: Actor, people: SimpleNamespace, tree: SimpleNamespace
) -> None:
    path = f"/people/{people.community_officer.pk}/roles/new/"
    response = client.post(path, a_role(tree.elsewhere_community))
    assert response.context["form"].errors["unit"] == ["No such unit can be chosen here."]
    with pytest.raises(PermissionDenied):
        actions.grant_role(
            by=admin, user=people.leader, role="community_officer", unit=tree.elsewhere_community
        )
    assert not Grant.objects.filter(unit=tree.elsewhere_community, user=people.leader).exists()


def test_a_narrow_administrator_grants_nothing_wider(
    people: SimpleNamespace, tree: SimpleNamespace, make_user: Callable[..., User]
) -> None:
    narrow = Actor.of(make_user("narrow", "administrator", tree.district, include_descendants=False))
    with pytest.raises(PermissionDenied):
        actions.grant_role(by=narrow, user=people.leader, role="office", unit=tree.district)
    actions.grant_role(
        by=narrow, user=people.leader, role="office", unit=tree.district, include_descendants=False
    )
    with pytest.raises(PermissionDenied):
        actions.create_user(by=narrow, username="x", name="x", role="community_officer", unit=tree.own)


def test_a_closed_unit_cannot_be_granted(
    admin: Actor, people: SimpleNamespace, tree: SimpleNamespace
) -> None:
    Unit.objects.filter(pk=tree.sibling.pk).update(closed_on=today())
    tree.sibling.refresh_from_db()
    with pytest.raises(ValidationError) as error:
        actions.grant_role(
            by=admin, user=people.community_officer, role="community_officer", unit=tree.sibling
        )
    assert refused(error) == {"unit": ["This unit is closed."]}


@pytest.mark.parametrize("values", [{"role": "\x00"}, {"unit": "\x00"}, {"valid_from": "\x00"}])
def test_odd_input_in_a_grant_gets_a_message(
    client: Client, people: SimpleNamespace, tree: SimpleNamespace, values: dict[str, str]
) -> None:
    response = client.post(f"/people/{people.leader.pk}/roles/new/", {**a_role(tree.own), **values})
    assert response.status_code == 200
    assert next(iter(values)) in response.context["form"].errors


# --- grants bite, with a session that is already open ---------------------------------------------


@pytest.mark.parametrize("end", ["revoked", "expired", "not yet", "moved", "other role"])
def test_a_changed_grant_bites_on_the_next_request(
    people: SimpleNamespace, tree: SimpleNamespace, sign_in: Callable[[User], Client], end: str
) -> None:
    officer = sign_in(people.community_officer)
    new = f"/records/activities/new/?unit={tree.own.code}"
    assert officer.get(new).status_code == 200
    grants = Grant.objects.filter(user=people.community_officer)
    change: dict[str, Any] = {
        "revoked": {"revoked_at": timezone.now()},
        "expired": {"valid_to": today() - DAY},
        "not yet": {"valid_from": today() + DAY},
        "moved": {"unit": tree.sibling},
        "other role": {"role": "counsellor"},
    }[end]
    grants.update(**change)
    if end == "moved":
        assert listed_units(officer) == {"衙门巷社区"}
    else:
        assert officer.get(new).status_code == 403
        assert officer.post(new, {}).status_code == 403


def test_a_revoked_role_is_gone_with_the_next_click(
    client: Client, people: SimpleNamespace, sign_in: Callable[[User], Client]
) -> None:
    officer = sign_in(people.community_officer)
    assert officer.get("/records/activities/").status_code == 200
    grant = people.community_officer.grants.get()
    path = f"/people/{people.community_officer.pk}/roles/{grant.pk}/revoke/"
    assert client.get(path).status_code == 200
    assert officer.get("/records/activities/").status_code == 200, "asking does nothing"
    client.post(path, {"reason": "调离岗位"})
    assert officer.get("/records/activities/").status_code == 403
    [event] = AuditEvent.objects.filter(action="person.revoke")
    assert (event.reason, event.changes["role"]) == ("调离岗位", ["community_officer", None])
    assert client.post(path).status_code == 404, "what is revoked is not revoked again"


@pytest.mark.parametrize("reason", ["\x00", "长" * 201])
def test_an_odd_reason_gets_a_message(client: Client, people: SimpleNamespace, reason: str) -> None:
    grant = people.leader.grants.get()
    response = client.post(f"/people/{people.leader.pk}/roles/{grant.pk}/revoke/", {"reason": reason})
    assert response.status_code == 200
    assert "reason" in response.context["form"].errors
    grant.refresh_from_db()
    assert grant.revoked_at is None


def test_a_grant_of_somebody_else_is_not_revoked_through_a_colleague(
    client: Client, people: SimpleNamespace
) -> None:
    theirs = people.outsider.grants.get()
    assert client.post(f"/people/{people.leader.pk}/roles/{theirs.pk}/revoke/").status_code == 404
    theirs.refresh_from_db()
    assert theirs.revoked_at is None


def test_revoking_twice_is_revoking_once(admin: Actor, people: SimpleNamespace) -> None:
    grant = people.leader.grants.get()
    actions.revoke_grant(by=admin, grant=grant)
    first = grant.revoked_at
    actions.revoke_grant(by=admin, grant=grant)
    assert grant.revoked_at == first
    assert AuditEvent.objects.filter(action="person.revoke").count() == 1


# --- nobody for themselves, and nothing to read ---------------------------------------------------


SELF = ["unlock", "reset-password", "reset-second-factor", "end-sessions", "deactivate", "reactivate"]


def test_nobody_changes_their_own_grants(
    client: Client, admin: Actor, people: SimpleNamespace, tree: SimpleNamespace
) -> None:
    own = people.administrator
    path = f"/people/{own.pk}/"
    page = client.get(path).content.decode()
    assert "roles/new/" not in page
    assert "revoke/" not in page
    assert client.post(f"{path}roles/new/", a_role(tree.own, "counsellor")).status_code == 403
    grant = own.grants.get()
    assert client.post(f"{path}roles/{grant.pk}/revoke/").status_code == 403
    with pytest.raises(PermissionDenied):
        actions.grant_role(by=admin, user=own, role="administrator", unit=tree.district)
    with pytest.raises(PermissionDenied):
        actions.revoke_grant(by=admin, grant=grant)
    assert [g.revoked_at for g in own.grants.all()] == [None]
    assert AuditEvent.objects.filter(outcome="denied", actor_id=own.pk).count() == 2


@pytest.mark.parametrize("verb", SELF)
def test_nobody_does_to_themselves_what_an_administrator_does(
    client: Client, people: SimpleNamespace, verb: str
) -> None:
    own = people.administrator
    before = User.objects.values().get(pk=own.pk)
    assert client.get(f"/people/{own.pk}/{verb}/").status_code == 403
    assert client.post(f"/people/{own.pk}/{verb}/").status_code == 403
    assert User.objects.values().get(pk=own.pk) == before


def test_actions_hold_the_rules_without_a_page(
    people: SimpleNamespace, tree: SimpleNamespace, admin: Actor
) -> None:
    """Whatever calls them: the scope, oneself, and who holds no permission."""
    leader, outsider = Actor.of(people.leader), people.outsider
    for by, user in ((admin, outsider), (leader, people.office), (admin, people.administrator)):
        for attempt in (
            lambda by=by, user=user: actions.reset_password(by=by, user=user),
            lambda by=by, user=user: actions.reset_second_factor(by=by, user=user),
            lambda by=by, user=user: actions.set_active(by=by, user=user, active=False),
            lambda by=by, user=user: actions.unlock(by=by, user=user),
            lambda by=by, user=user: actions.grant_role(by=by, user=user, role="counsellor", unit=tree.own),
            lambda by=by, user=user: actions.revoke_grant(by=by, grant=user.grants.get()),
        ):
            with pytest.raises(PermissionDenied):
                attempt()
    for by in (admin, leader):
        with pytest.raises(PermissionDenied):
            actions.change_user(by=by, user=outsider, name="x")
        with pytest.raises(PermissionDenied):
            actions.end_sessions(by=by, user=outsider)
    assert not AuditEvent.objects.filter(action__startswith="person.").exists()


def test_keeping_accounts_opens_no_content(
    client: Client, people: SimpleNamespace, tree: SimpleNamespace, make_record: Callable[..., Any]
) -> None:
    record = make_record("cases", tree.own, by=people.community_officer)
    for path in (
        "/records/cases/",
        f"/records/cases/{record.pk}/",
        "/records/cases/export.csv",
        "/records/activities/",
        "/audit/",
        "/api/v1/records/cases/",
    ):
        assert client.get(path).status_code == 403, path


def test_a_failed_action_leaves_no_audit_row(admin: Actor, people: SimpleNamespace, monkeypatch: Any) -> None:
    """The row and what it records commit together."""

    def fail(user: User) -> None:
        raise RuntimeError

    monkeypatch.setattr(actions, "raise_epoch", fail)
    hash_before = people.leader.password
    with pytest.raises(RuntimeError):
        actions.reset_password(by=admin, user=people.leader)
    people.leader.refresh_from_db()
    assert people.leader.password == hash_before
    assert not AuditEvent.objects.filter(action="person.reset_password").exists()
