"""Declaring a zero and taking it back: who may, for which month, and what the pages in front of it say."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import time_machine
from django.conf import settings
from django.core.exceptions import PermissionDenied, ValidationError
from django.test import Client

from programs import registry
from programs.access import Actor
from programs.actions import remove_record, zero
from programs.actions.units import close_unit, create_unit
from programs.actions.zero import declare_zero, withdraw_zero
from programs.models import AuditEvent, Unit, User, ZeroReport

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("in_may")]
KIND = registry.kind("activities")
MARCH = dt.date(2026, 3, 1)


@pytest.fixture
def in_may(db: None) -> Any:
    with time_machine.travel("2026-05-20 10:00+08:00", tick=False):
        yield


@pytest.fixture
def officer(people: SimpleNamespace) -> Actor:
    return Actor.of(people.community_officer)


def done() -> list[str]:
    return list(
        AuditEvent.objects.filter(outcome="done", action__endswith="_zero")
        .order_by("pk")
        .values_list("action", flat=True)
    )


def test_a_zero_is_declared_once_and_says_who_and_when(tree: SimpleNamespace, officer: Actor) -> None:
    made = declare_zero(by=officer, unit=tree.own, kind=KIND, month=dt.date(2026, 3, 17))
    assert (made.unit, made.kind, made.month) == (tree.own, "activities", MARCH)
    assert (made.declared_by, made.withdrawn_at) == (officer.user, None)
    assert declare_zero(by=officer, unit=tree.own, kind=KIND, month=MARCH) == made
    assert ZeroReport.objects.count() == 1
    assert done() == ["activities.declare_zero"]
    event = AuditEvent.objects.get(action="activities.declare_zero")
    assert (event.unit_id, event.object_label) == (tree.own.pk, "城隍浦社区 2026-03")


def test_zeros_of_other_units_kinds_and_months_stand_apart(
    tree: SimpleNamespace, officer: Actor, people: SimpleNamespace
) -> None:
    declare_zero(by=officer, unit=tree.own, kind=KIND, month=MARCH)
    declare_zero(by=officer, unit=tree.own, kind=registry.kind("gratitude"), month=MARCH)
    declare_zero(by=officer, unit=tree.own, kind=KIND, month=dt.date(2026, 4, 1))
    declare_zero(by=Actor.of(people.street_officer), unit=tree.street, kind=KIND, month=MARCH)
    assert ZeroReport.objects.count() == 4


def test_a_withdrawn_zero_stays_in_the_table_and_may_be_declared_again(
    tree: SimpleNamespace, officer: Actor
) -> None:
    first = declare_zero(by=officer, unit=tree.own, kind=KIND, month=MARCH)
    withdraw_zero(by=officer, zero=first)
    assert (first.withdrawn_by, first.withdrawn_at is None) == (officer.user, False)
    withdrawn_at = first.withdrawn_at
    withdraw_zero(by=officer, zero=first)
    assert first.withdrawn_at == withdrawn_at
    second = declare_zero(by=officer, unit=tree.own, kind=KIND, month=MARCH)
    assert second.pk != first.pk
    assert list(ZeroReport.objects.standing()) == [second]
    assert done() == ["activities.declare_zero", "activities.withdraw_zero", "activities.declare_zero"]


@pytest.mark.parametrize(
    ("month", "code"),
    [(dt.date(2026, 6, 1), "future"), (dt.date(2007, 12, 1), "too_early")],
)
def test_a_month_outside_the_programme_is_refused(
    month: dt.date, code: str, tree: SimpleNamespace, officer: Actor
) -> None:
    with pytest.raises(ValidationError) as refusal:
        declare_zero(by=officer, unit=tree.own, kind=KIND, month=month)
    assert refusal.value.code == code
    assert not ZeroReport.objects.exists()


def test_the_present_month_and_the_first_of_the_programme_are_not_refused(
    tree: SimpleNamespace, officer: Actor
) -> None:
    for month in (dt.date(2026, 5, 1), dt.date(2008, 1, 1)):
        assert declare_zero(by=officer, unit=tree.own, kind=KIND, month=month).month == month


def test_a_unit_declares_only_for_months_in_which_it_was_open(
    tree: SimpleNamespace, make_user: Callable[..., User]
) -> None:
    unit = create_unit(
        by=None,
        code="331002001009",
        name="新社区",
        tier="community",
        kind="community",
        parent=tree.street,
        opened_on=dt.date(2026, 2, 28),
    )
    close_unit(by=None, unit=unit, effective_on=dt.date(2026, 4, 1))
    unit.refresh_from_db()
    by = Actor.of(make_user("newcomer", "community_officer", unit))
    for month, due in ((1, False), (2, True), (3, True), (4, True), (5, False)):
        day = dt.date(2026, month, 1)
        if due:
            assert declare_zero(by=by, unit=unit, kind=KIND, month=day).month == day
        else:
            with pytest.raises(ValidationError) as refusal:
                declare_zero(by=by, unit=unit, kind=KIND, month=day)
            assert refusal.value.code == "not_open"


def test_a_month_with_a_record_of_the_kind_is_no_zero(
    tree: SimpleNamespace, people: SimpleNamespace, make_record: Callable[..., Any], officer: Actor
) -> None:
    record = make_record("activities", tree.own, people.community_officer, occurred_on=dt.date(2026, 3, 31))
    with pytest.raises(ValidationError) as refusal:
        declare_zero(by=officer, unit=tree.own, kind=KIND, month=MARCH)
    assert refusal.value.code == "reported"
    # Another kind, another month, and a removed record are no hindrance; nor is a record that others led.
    assert declare_zero(by=officer, unit=tree.own, kind=registry.kind("gratitude"), month=MARCH)
    assert declare_zero(by=officer, unit=tree.own, kind=KIND, month=dt.date(2026, 4, 1))
    remove_record(by=officer, kind=KIND, record=record, reason="录入重复")
    make_record("activities", tree.police, people.unit_officer, [tree.own], occurred_on=dt.date(2026, 3, 9))
    assert declare_zero(by=officer, unit=tree.own, kind=KIND, month=MARCH)


def test_a_record_that_comes_later_leaves_the_declaration(
    tree: SimpleNamespace, people: SimpleNamespace, make_record: Callable[..., Any], officer: Actor
) -> None:
    made = declare_zero(by=officer, unit=tree.own, kind=KIND, month=MARCH)
    make_record("activities", tree.own, people.community_officer, occurred_on=dt.date(2026, 3, 31))
    assert list(ZeroReport.objects.standing()) == [made]


def test_who_is_overtaken_by_a_twin_gets_the_twin(
    tree: SimpleNamespace, officer: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two declare at the same moment: both have looked before either wrote."""
    first = declare_zero(by=officer, unit=tree.own, kind=KIND, month=MARCH)
    look, looked = zero._standing, []

    def blind_at_first(*args: Any) -> ZeroReport | None:
        looked.append(args)
        return look(*args) if len(looked) > 1 else None

    monkeypatch.setattr(zero, "_standing", blind_at_first)
    assert declare_zero(by=officer, unit=tree.own, kind=KIND, month=MARCH) == first
    assert len(looked) == 2
    assert done() == ["activities.declare_zero"]


def test_only_who_writes_for_the_unit_declares_and_withdraws(
    tree: SimpleNamespace, people: SimpleNamespace, officer: Actor
) -> None:
    made = declare_zero(by=officer, unit=tree.own, kind=KIND, month=MARCH)
    for role in ("leader", "office", "street_officer", "auditor", "administrator", "outsider"):
        by = Actor.of(getattr(people, role))
        with pytest.raises(PermissionDenied):
            declare_zero(by=by, unit=tree.own, kind=KIND, month=dt.date(2026, 2, 1))
        with pytest.raises(PermissionDenied):
            withdraw_zero(by=by, zero=made)
    assert list(ZeroReport.objects.standing()) == [made]


# --- the pages ------------------------------------------------------------------------------------


def address(route: str, unit: Unit, month: str, kind: str = "activities") -> str:
    """Spelt out, so that a month may be none."""
    ending = "withdraw/" if route == "zero_withdraw" else ""
    return f"/statistics/units/{unit.code}/months/{kind}/{month}/zero/{ending}"


@pytest.fixture
def client(people: SimpleNamespace, sign_in: Callable[[User], Client]) -> Client:
    return sign_in(people.community_officer)


def test_the_page_asks_and_then_declares(client: Client, tree: SimpleNamespace) -> None:
    page = address("zero_declare", tree.own, "2026-03") + "?indicator=activities.participants&from=2025-06"
    asked = client.get(page)
    assert asked.status_code == 200
    assert tree.own.name in asked.content.decode()
    assert not ZeroReport.objects.exists()
    answer = client.post(page, follow=True)
    assert ZeroReport.objects.standing().get().month == MARCH
    [(back, _status)] = answer.redirect_chain
    # Back to the table as it was asked.
    assert back.startswith(f"/statistics/units/{tree.own.code}/months/?from=2025-06&")
    assert "indicator=activities.participants" in back
    assert "2026-03" in str(next(iter(answer.context["messages"])))


def test_a_refusal_is_told_in_words(
    client: Client, tree: SimpleNamespace, people: SimpleNamespace, make_record: Callable[..., Any]
) -> None:
    make_record("activities", tree.own, people.community_officer, occurred_on=dt.date(2026, 3, 31))
    client.cookies[settings.LANGUAGE_COOKIE_NAME] = "en"
    for month, words in (("2026-03", "that is no zero"), ("2026-06", "not begun"), ("2007-12", "in 2008")):
        answer = client.post(address("zero_declare", tree.own, month), follow=True)
        [message] = answer.context["messages"]
        assert message.level_tag == "error"
        assert words in message.message
    assert not ZeroReport.objects.exists()


def test_the_page_asks_and_then_withdraws(client: Client, tree: SimpleNamespace, officer: Actor) -> None:
    made = declare_zero(by=officer, unit=tree.own, kind=KIND, month=MARCH)
    page = address("zero_withdraw", tree.own, "2026-03")
    asked = client.get(page)
    assert asked.status_code == 200
    assert officer.user.name in asked.content.decode()
    made.refresh_from_db()
    assert made.withdrawn_at is None
    withdrawn = client.post(page, follow=True)
    assert [message.level_tag for message in withdrawn.context["messages"]] == ["success"]
    made.refresh_from_db()
    assert made.withdrawn_by == officer.user
    # Sent twice: told so, and nothing more.
    again = client.post(page, follow=True)
    assert [message.level_tag for message in again.context["messages"]] == ["info"]
    assert done() == ["activities.declare_zero", "activities.withdraw_zero"]


@pytest.mark.parametrize("route", ["zero_declare", "zero_withdraw"])
def test_what_is_no_month_or_kind_is_not_found(route: str, client: Client, tree: SimpleNamespace) -> None:
    for month in ("2026-13", "2026-3", "0026-03", "２０２６-03", "2026-00"):
        assert client.get(address(route, tree.own, month)).status_code == 404
    assert client.get(address(route, tree.own, "2026-03", "no-such")).status_code == 404
    assert client.post(address(route, tree.sibling, "2026-03")).status_code == 403
    assert client.post(address(route, tree.elsewhere_community, "2026-03")).status_code == 404
