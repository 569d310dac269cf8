"""What waits: counts and lists say the same, one click acts, and nobody sees what is not theirs."""

from __future__ import annotations

import datetime as dt
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from outreach import inbox
from outreach.actions.opinions import take_step
from outreach.actions.release import release, withdraw
from outreach.models.opinion import Opinion
from tests.outreach.test_life import received, step, world

__all__ = ["world"]  # a fixture


def some_of_everything(world: SimpleNamespace) -> None:
    today = timezone.localdate()
    received(world)
    received(world, occurred_on=today - dt.timedelta(days=30))
    handling = step(world, received(world), "accept")
    step(world, handling, "start")
    there = step(world, received(world), "accept")
    step(world, there, "assign", unit=world.tree.police)
    back = step(world, received(world), "accept")
    step(world, back, "assign", unit=world.tree.police)
    step(world, back, "return", "unit_officer")
    answered = step(world, received(world), "accept")
    for name in ("start", "answer"):
        step(world, answered, name)
    pressed = received(world, "sibling_officer")
    step(world, pressed, "supervise", "office")


def test_counts_are_those_of_the_lists(world: SimpleNamespace) -> None:
    some_of_everything(world)
    for name in ("community_officer", "unit_officer", "office", "sibling_officer", "street_officer"):
        actor = world.who(name)
        for code, number in inbox.counts(actor).items():
            assert len(inbox.rows_of(actor, code)[0]) == number, (name, code)
    numbers = inbox.counts(world.who("community_officer"))
    assert numbers == {
        "overdue": 1,
        "soon": 2,
        "new": 2,
        "returned": 1,
        "handling": 1,
        "revisit": 1,
        "close": 0,
    }
    assert inbox.counts(world.who("unit_officer"))["new"] == 1
    office = inbox.counts(world.who("office"))
    assert (office["supervised"], office["district_overdue"]) == (1, 1)


def test_the_office_presses_on_from_its_list_once(world: SimpleNamespace) -> None:
    overdue = received(world, occurred_on=timezone.localdate() - dt.timedelta(days=30))
    office = world.who("office")
    (row,) = inbox.rows_of(office, "district_overdue")[0]
    assert row["step"].code == "supervise"
    assert not row["at_once"]  # it asks for a reason
    step(world, overdue, "supervise", "office")
    (row,) = inbox.rows_of(office, "district_overdue")[0]
    assert row["step"] is None
    own = inbox.rows_of(world.who("community_officer"), "overdue")[0]
    assert [one["step"].code for one in own] == ["accept"]


def test_one_click_acts_and_a_second_one_is_harmless(world: SimpleNamespace, sign_in: Any) -> None:
    opinion = received(world)
    client = sign_in(world.people.community_officer)
    page = client.get("/opinions/inbox/?tab=new").content.decode()
    url = f"/records/opinions/{opinion.pk}/steps/accept/"
    assert url in page
    answer = client.post(url, {"version": opinion.version, "back": "inbox"})
    assert answer.status_code == 302 and answer["Location"].endswith("/opinions/inbox/")
    again = client.post(url, {"version": opinion.version, "back": "inbox"}, follow=True)
    assert world.people.community_officer.name in again.content.decode()
    opinion.refresh_from_db()
    assert (opinion.state, opinion.version, opinion.steps.count()) == ("accepted", 2, 2)


def test_a_step_is_refused_to_others(world: SimpleNamespace, sign_in: Any) -> None:
    opinion = received(world)
    url = f"/records/opinions/{opinion.pk}/steps/accept/"
    for name, status in {
        "street_officer": 403,
        "office": 403,
        "leader": 403,
        "auditor": 403,
        "unit_officer": 404,
        "sibling_officer": 404,
        "outsider": 404,
    }.items():
        answer = sign_in(getattr(world.people, name)).post(url, {"version": 1})
        assert answer.status_code == status, name
    opinion.refresh_from_db()
    assert opinion.version == 1


def test_what_is_wrong_stands_at_its_field(world: SimpleNamespace, sign_in: Any) -> None:
    opinion = step(world, received(world), "accept")
    client = sign_in(world.people.community_officer)
    url = f"/records/opinions/{opinion.pk}/steps/transfer/"
    assert client.get(url).status_code == 200
    sent = {"version": opinion.version, "unit": world.tree.own.code, "reason": "不归我们管"}
    assert "该民情已在此单位。" in client.post(url, sent).content.decode()
    assert client.post(url, {**sent, "unit": world.tree.police.code}).status_code == 302
    opinion.refresh_from_db()
    assert opinion.responsible == world.tree.police
    page = client.get(f"/records/opinions/{opinion.pk}/").content.decode()
    assert "不归我们管" in page and "公安分局" in page


def test_every_step_has_a_form(world: SimpleNamespace, sign_in: Any) -> None:
    from outreach import life

    opinion = step(world, received(world), "accept")
    client = sign_in(world.people.community_officer)
    for name, transition in life.TRANSITIONS.items():
        if life.is_possible(opinion, transition) and life.Party.RESPONSIBLE in transition.parties:
            assert client.get(f"/records/opinions/{opinion.pk}/steps/{name}/").status_code == 200
    assert client.get(f"/records/opinions/{opinion.pk}/steps/nonsense/").status_code == 404


def test_the_split_form_makes_pieces(world: SimpleNamespace, sign_in: Any) -> None:
    opinion = step(world, received(world), "accept")
    sent = {"version": opinion.version, "reason": "两件事", "title_1": "路灯", "category_1": "traffic"}
    url = f"/records/opinions/{opinion.pk}/steps/split/"
    client = sign_in(world.people.community_officer)
    assert client.post(url, sent).status_code == 200
    answer = client.post(url, {**sent, "title_2": "垃圾", "category_2": "environment"})
    assert answer.status_code == 302
    assert [p.title for p in opinion.pieces.order_by("pk")] == ["路灯", "垃圾"]


def test_the_number_of_queries_does_not_grow(world: SimpleNamespace, sign_in: Any) -> None:
    client = sign_in(world.people.community_officer)
    opinion = received(world)
    pages = ("/opinions/inbox/?tab=new", "/", "/records/opinions/", f"/records/opinions/{opinion.pk}/")

    def queries() -> list[int]:
        found = []
        for page in pages:
            client.get(page)
            with CaptureQueriesContext(
                connection,
            ) as counted:
                assert client.get(page).status_code == 200
            found.append(len(counted))
        return found

    received(world)
    few = queries()
    for _turn in range(8):
        received(world)
    assert Opinion.objects.count() == 10
    assert all(after <= before for after, before in zip(queries(), few, strict=True))


def test_an_office_supervises_its_own_district_alone(world: SimpleNamespace, make_user: Any) -> None:
    world.people.elsewhere_office = make_user("elsewhere_office", "office", world.tree.elsewhere)
    some_of_everything(world)
    numbers = inbox.counts(world.who("elsewhere_office"))
    assert set(numbers.values()) == {0}
    opinion = received(world)
    with pytest.raises(PermissionDenied):
        step(world, opinion, "supervise", "elsewhere_office")
    assert step(world, opinion, "supervise", "office").is_supervised


def test_who_had_a_part_in_it_only_before_takes_no_step(world: SimpleNamespace) -> None:
    """What the person looked at is what decides the step, what stands now is what decides who may."""
    opinion = step(world, received(world), "accept")
    opinion = step(world, opinion, "assign", unit=world.tree.police)
    opinion = step(world, opinion, "return", "unit_officer")
    stale = Opinion.objects.select_related("unit", "responsible").get(pk=opinion.pk)
    stale.responsible = world.tree.police
    with pytest.raises(PermissionDenied):
        take_step(by=world.who("unit_officer"), opinion=stale, transition="start", version=opinion.version)


@pytest.mark.parametrize("name", ["sibling_officer", "unit_officer", "street_officer", "office", "outsider"])
def test_answers_are_released_and_withdrawn_by_who_received_alone(world: SimpleNamespace, name: str) -> None:
    opinion = step(world, received(world), "accept")
    for code in ("start", "answer"):
        opinion = step(world, opinion, code)
    for act in (release, withdraw):
        with pytest.raises(PermissionDenied):
            act(by=world.who(name), opinion=opinion, version=opinion.version)
    release(by=world.who("community_officer"), opinion=opinion, version=opinion.version)
    assert opinion.is_released
