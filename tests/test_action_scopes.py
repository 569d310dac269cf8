"""Actions and middleware check for themselves, whatever the page in front of them did; objects go with their owners."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone

from programs import registry
from programs.access import Actor
from programs.actions import people as accounts
from programs.actions import records, units, zero
from programs.disclosure import disclose, reveal
from programs.middleware import AccessMiddleware
from programs.models import Grant, User
from tests.access_table import CHILD, ELSEWHERE, JOINT, OWN, PARENT, RECORD_SCOPES, REMOVED, SIBLING, Person
from tests.factories import sample_values
from tests.walker import DAY, OPENED, build_world, content_of, marks_in

REASON = "群众来电核实情况，需查看原始信息"
KIND = registry.kind("activities")
OUT_OF_REACH = [CHILD, SIBLING, PARENT, ELSEWHERE]


@pytest.fixture
def world(db: None) -> SimpleNamespace:
    people = [Person(role, role, below=True) for role in ("office", "street_officer", "administrator")]
    return build_world((*people, Person("community_officer", "community_officer"), Person("nobody")))


@pytest.fixture
def officer(world: SimpleNamespace) -> Actor:
    return Actor.of(world.people["community_officer"])


def values(world: SimpleNamespace, position: str) -> dict[str, Any]:
    return {**sample_values(KIND), "occurred_on": DAY, "unit": world.units[position]}


# --- records --------------------------------------------------------------------------------------


@pytest.mark.parametrize("position", OUT_OF_REACH)
def test_actions_save_no_record_out_of_reach(position: str, world: SimpleNamespace, officer: Actor) -> None:
    with pytest.raises(PermissionDenied):
        records.save_record(by=officer, kind=KIND, values=values(world, position))
    assert records.save_record(by=officer, kind=KIND, values=values(world, OWN)).pk


@pytest.mark.parametrize("position", OUT_OF_REACH)
def test_actions_declare_no_zero_out_of_reach(position: str, world: SimpleNamespace, officer: Actor) -> None:
    month = dt.date(2012, 3, 1)
    with pytest.raises(PermissionDenied):
        zero.declare_zero(by=officer, unit=world.units[position], kind=KIND, month=month)
    declared = zero.declare_zero(by=officer, unit=world.units[OWN], kind=KIND, month=month)
    declared.unit = world.units[position]
    with pytest.raises(PermissionDenied):
        zero.withdraw_zero(by=officer, zero=declared)


@pytest.mark.parametrize("scope", [*OUT_OF_REACH, JOINT])
def test_actions_change_no_record_out_of_reach(scope: str, world: SimpleNamespace, officer: Actor) -> None:
    """Not even to take it over."""
    record = world.records[KIND.code][scope]
    for change in ({"theme": "改"}, {"theme": "改", "unit": world.units[OWN]}):
        with pytest.raises(PermissionDenied):
            records.save_record(by=officer, kind=KIND, record=record, values=change)
    record.refresh_from_db()
    assert (record.theme, record.version) == (f"RZ7-activities-{scope}", 1)


@pytest.mark.parametrize("position", OUT_OF_REACH)
def test_actions_give_no_record_away(position: str, world: SimpleNamespace, officer: Actor) -> None:
    record = world.records[KIND.code][OWN]
    with pytest.raises(PermissionDenied):
        records.save_record(by=officer, kind=KIND, record=record, values={"unit": world.units[position]})


@pytest.mark.parametrize("scope", [*OUT_OF_REACH, JOINT])
def test_actions_remove_no_record_out_of_reach(scope: str, world: SimpleNamespace, officer: Actor) -> None:
    record = world.records[KIND.code][scope]
    with pytest.raises(PermissionDenied):
        records.remove_record(by=officer, kind=KIND, record=record, reason=REASON)
    record.refresh_from_db()
    assert not record.is_removed


@pytest.mark.parametrize("position", OUT_OF_REACH)
def test_actions_restore_no_record_out_of_reach(
    position: str, world: SimpleNamespace, officer: Actor
) -> None:
    record = world.removed[KIND.code][position]
    with pytest.raises(PermissionDenied):
        records.restore_record(by=officer, kind=KIND, record=record)
    record.refresh_from_db()
    assert record.is_removed


# --- revealing ------------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", [SIBLING, PARENT, ELSEWHERE, JOINT])
def test_actions_reveal_no_record_out_of_reach(scope: str, world: SimpleNamespace) -> None:
    by = Actor.of(world.people["street_officer"])
    with pytest.raises(PermissionDenied):
        reveal(by=by, record=world.records["cases"][scope], reason=REASON)


def test_a_reveal_opens_one_record_to_one_person(world: SimpleNamespace) -> None:
    one, other = Actor.of(world.people["street_officer"]), Actor.of(world.people["office"])
    opened, shut = world.records["cases"][CHILD], world.records["cases"][OWN]
    reveal(by=one, record=opened, reason=REASON)
    assert disclose(opened, "illness", one) == opened.illness
    assert disclose(shut, "illness", one) != shut.illness
    assert disclose(opened, "illness", other) != opened.illness


# --- people ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("position", [SIBLING, PARENT, ELSEWHERE])
def test_actions_grant_no_role_out_of_reach(position: str, world: SimpleNamespace) -> None:
    by = Actor.of(world.people["administrator"])
    grant = {"role": "counsellor", "unit": world.units[position]}
    with pytest.raises(PermissionDenied):
        accounts.grant_role(by=by, user=world.colleagues[OWN], **grant)
    with pytest.raises(PermissionDenied):
        accounts.create_user(by=by, username="newcomer", name="新人", **grant)


ON_AN_ACCOUNT: dict[str, Callable[[Actor, User], Any]] = {
    "change_user": lambda by, user: accounts.change_user(by=by, user=user, name="改"),
    "set_active": lambda by, user: accounts.set_active(by=by, user=user, active=False),
    "reset_password": lambda by, user: accounts.reset_password(by=by, user=user),
    "reset_second_factor": lambda by, user: accounts.reset_second_factor(by=by, user=user),
    "unlock": lambda by, user: accounts.unlock(by=by, user=user),
    "end_sessions": lambda by, user: accounts.end_sessions(by=by, user=user),
    "revoke_grant": lambda by, user: accounts.revoke_grant(by=by, grant=user.grants.first()),
    "grant_role": lambda by, user: accounts.grant_role(by=by, user=user, role="counsellor", unit=by.unit),
}


@pytest.mark.parametrize("action", ON_AN_ACCOUNT)
@pytest.mark.parametrize("scope", [SIBLING, PARENT, ELSEWHERE, "both"])
def test_actions_touch_no_account_out_of_reach(action: str, scope: str, world: SimpleNamespace) -> None:
    by, user = Actor.of(world.people["administrator"]), world.colleagues[scope]
    before = User.objects.filter(pk=user.pk).values().get(), user.grants.filter(revoked_at=None).count()
    with pytest.raises(PermissionDenied):
        ON_AN_ACCOUNT[action](by, user)
    assert before == (
        User.objects.filter(pk=user.pk).values().get(),
        user.grants.filter(revoked_at=None).count(),
    )


@pytest.mark.parametrize("action", sorted(ON_AN_ACCOUNT.keys() - {"change_user", "end_sessions"}))
def test_actions_let_nobody_change_their_own_rights(action: str, world: SimpleNamespace) -> None:
    by = Actor.of(world.people["administrator"])
    with pytest.raises(PermissionDenied):
        ON_AN_ACCOUNT[action](by, by.user)


# --- units ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("position", [SIBLING, PARENT, ELSEWHERE])
def test_actions_units_out_of_reach_stay(position: str, world: SimpleNamespace) -> None:
    by, unit, day = Actor.of(world.people["office"]), world.units[position], timezone.localdate()
    for change in (
        lambda: units.rename_unit(by=by, unit=unit, name="新名", effective_on=day),
        lambda: units.close_unit(by=by, unit=unit, effective_on=day),
        lambda: units.merge_units(by=by, unit=unit, into=world.units[OWN], effective_on=day),
        lambda: units.merge_units(by=by, unit=world.units[OWN], into=unit, effective_on=day),
        lambda: units.move_unit(by=by, unit=world.units[CHILD], parent=unit, effective_on=day),
        lambda: units.create_unit(
            by=by, code="X1", name="新", tier=unit.tier, kind="department", parent=unit, opened_on=OPENED
        ),
    ):
        with pytest.raises((PermissionDenied, units.ValidationError)):
            change()
    unit.refresh_from_db()
    assert unit.is_open
    assert "新名" not in unit.name
    assert units.rename_unit(by=by, unit=world.units[CHILD], name="新名社区", effective_on=day)


# --- a whole district -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["activities", "cases"])
def test_a_leader_of_the_district_lists_the_district(kind: str, world: SimpleNamespace) -> None:
    """All of it and nothing else: lists ask in a simpler way for who reaches everything below a root."""
    leader = User.objects.create_user("leader", name="领导")
    Grant.objects.create(
        user=leader, role="leader", unit=world.units[PARENT], include_descendants=True, valid_from=OPENED
    )
    html = content_of(signed_in(leader).get(reverse("record_list", args=[kind]))).decode()
    listed = {scope for code, scope in marks_in(html) if code == kind}
    assert listed == set(RECORD_SCOPES) - {ELSEWHERE, REMOVED}


# --- what lies between ----------------------------------------------------------------------------


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user, backend="programs.backends.PortalBackend")
    return client


def test_a_view_that_declares_nothing_is_denied(world: SimpleNamespace) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    request: Any = RequestFactory().get("/")
    request.user = AnonymousUser()
    request.actor = Actor.of(world.people["office"])
    with pytest.raises(PermissionDenied):
        AccessMiddleware(view).process_view(request, view, (), {})


def test_a_file_goes_with_its_record(world: SimpleNamespace) -> None:
    """The file of a record out of sight is not to be had by the address of another record."""
    client, record = signed_in(world.people["community_officer"]), world.records[KIND.code][OWN]
    own, other = world.files[KIND.code][OWN], world.files[KIND.code][SIBLING]
    other_kind = world.files["cases"][OWN]
    for file, status in ((own, 200), (other, 404), (other_kind, 404)):
        response = client.get(reverse("attachment", args=[KIND.code, record.pk, file.pk]))
        content_of(response)
        assert response.status_code == status
    for file in (other, other_kind):
        address = reverse("attachment_remove", args=[KIND.code, record.pk, file.pk])
        assert client.post(address).status_code == 404
        file.refresh_from_db()
        assert file.removed_at is None


def test_a_grant_goes_with_its_person(world: SimpleNamespace) -> None:
    client = signed_in(world.people["administrator"])
    grant = world.colleagues[ELSEWHERE].grants.get()
    address = reverse("grant_revoke", args=[world.colleagues[OWN].pk, grant.pk])
    assert client.post(address, {"reason": REASON}).status_code == 404
    assert Grant.objects.get(pk=grant.pk).revoked_at is None


def test_grants_bite_on_the_next_request(world: SimpleNamespace) -> None:
    """Without signing in again: a revoked, ended or not yet begun grant opens nothing."""
    user = world.people["community_officer"]
    client, address = (
        signed_in(user),
        reverse("record_detail", args=[KIND.code, world.records[KIND.code][OWN].pk]),
    )
    assert client.get(address).status_code == 200
    yesterday = timezone.localdate() - timezone.timedelta(days=1)
    tomorrow = timezone.localdate() + timezone.timedelta(days=1)
    for change in ({"revoked_at": timezone.now()}, {"valid_to": yesterday}, {"valid_from": tomorrow}):
        before = Grant.objects.filter(user=user).values(*change).get()
        Grant.objects.filter(user=user).update(**change)
        assert client.get(address).status_code == 403, change
        Grant.objects.filter(user=user).update(**before)
        assert client.get(address).status_code == 200
