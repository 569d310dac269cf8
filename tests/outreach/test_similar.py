"""Similar opinions, on both databases, and matters raised in several communities."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from outreach import similar
from outreach.models import Opinion
from outreach.similar import bigrams, dice, raised_widely, similar_opinions
from programs.access import Actor
from programs.models import Unit

pytestmark = pytest.mark.django_db
TODAY = timezone.localdate()


@pytest.fixture
def raise_it(people: SimpleNamespace) -> Callable[..., Opinion]:
    def make(unit: Unit, title: str, location: str = "", days: int = 1, **values: Any) -> Opinion:
        keeper = people.community_officer
        defaults = {
            "unit": unit, "responsible": unit, "title": title, "location": location, "type": "problem",
            "category": "environment", "channel": "telephone", "content": "原话金丝雀",
            "occurred_on": TODAY - dt.timedelta(days=days), "created_by": keeper, "updated_by": keeper,
        }  # fmt: skip
        return Opinion.objects.create(**{**defaults, **values})

    return make


def found(actor: Actor, title: str, **more: Any) -> list[str]:
    return [one.opinion.title for one in similar_opinions(actor, title=title, **more)]


def test_the_most_similar_comes_first_and_the_rest_stays_away(
    tree: SimpleNamespace, people: SimpleNamespace, raise_it: Any
) -> None:
    for title in ("解放路垃圾清运不及时", "解放路垃圾无人清运", "中山小学门口乱停车", "路灯不亮"):
        raise_it(tree.own, title)
    raise_it(tree.own, "解放路垃圾清运不及时（已办结）", state="closed")
    raise_it(tree.own, "解放路垃圾清运不及时（去年）", days=200)
    actor = Actor.of(people.community_officer)
    assert found(actor, "解放路垃圾清运不及时") == ["解放路垃圾清运不及时", "解放路垃圾无人清运"]
    assert found(actor, "路") == []
    assert found(actor, "") == []
    assert found(actor, "完全无关的事情") == []


def test_the_same_place_counts(tree: SimpleNamespace, people: SimpleNamespace, raise_it: Any) -> None:
    raise_it(tree.own, "井盖松动", "解放路12号")
    actor = Actor.of(people.community_officer)
    assert found(actor, "井盖坏了", location="解放路12号") == ["井盖松动"]


def test_nobody_sees_what_another_unit_received(
    tree: SimpleNamespace, people: SimpleNamespace, raise_it: Any, sign_in: Callable[..., Client]
) -> None:
    for unit in (tree.own, tree.sibling, tree.cousin, tree.elsewhere_community):
        raise_it(unit, f"垃圾清运{unit.name}")
    expected = {
        "community_officer": {"城隍浦社区"},
        "street_officer": {"城隍浦社区", "衙门巷社区"},
        "office": {"城隍浦社区", "衙门巷社区", "云西社区"},
        "unit_officer": set(),
        "outsider": {"东浦社区"},
    }
    for role, units in expected.items():
        person = getattr(people, role)
        titles = found(Actor.of(person), "垃圾清运")
        assert {title.removeprefix("垃圾清运") for title in titles} == units
        page = sign_in(person).get("/records/opinions/similar/", {"title": "垃圾清运"}).content.decode()
        assert {
            name for name in ("城隍浦社区", "衙门巷社区", "云西社区", "东浦社区") if name in page
        } == units
        assert "原话金丝雀" not in page


def test_an_opinion_is_not_similar_to_itself(
    tree: SimpleNamespace, people: SimpleNamespace, raise_it: Any, sign_in: Callable[..., Client]
) -> None:
    one = raise_it(tree.own, "垃圾清运不及时")
    officer, address = sign_in(people.community_officer), "/records/opinions/similar/"
    asked = {"title": "垃圾清运不及时"}
    assert one.title in officer.get(address, asked).content.decode()
    edited = f"https://portal.example/records/opinions/{one.pk}/edit/"
    assert one.title not in officer.get(address, asked, HTTP_HX_CURRENT_URL=edited).content.decode()


def test_a_search_asks_the_database_a_fixed_number_of_times(
    tree: SimpleNamespace, people: SimpleNamespace, raise_it: Any, django_assert_max_num_queries: Any
) -> None:
    actor = Actor.of(people.community_officer)
    similar.knows_trigrams()
    for number in range(12):
        raise_it(tree.own, f"垃圾清运不及时{number}")
    with django_assert_max_num_queries(2):
        for one in similar_opinions(actor, title="垃圾清运不及时"):
            assert one.opinion.unit.name == "城隍浦社区"


def test_both_ways_find_the_same_in_the_same_order(
    tree: SimpleNamespace, people: SimpleNamespace, raise_it: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for title in ("解放路垃圾清运不及时", "解放路垃圾无人清运", "垃圾清运", "中山路积水", "路灯不亮", "积水"):
        raise_it(tree.own, title)
    actor = Actor.of(people.community_officer)
    asked = ["垃圾清运", "解放路垃圾", "中山路积水严重", "路灯"]
    usual = [found(actor, title) for title in asked]
    monkeypatch.setattr(similar, "knows_trigrams", lambda: False)
    assert [found(actor, title) for title in asked] == usual


@pytest.mark.postgres
def test_postgresql_finds_chinese_by_trigrams(tree: SimpleNamespace) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'pg_trgm'")
        if cursor.fetchone() is None:
            pytest.skip("this PostgreSQL comes without pg_trgm")
        cursor.execute("SELECT datctype FROM pg_database WHERE datname = current_database()")
        if cursor.fetchone()[0] in {"C", "POSIX"}:
            pytest.skip("the database is in C, which takes no Chinese sign for a letter")
    assert similar.knows_trigrams()


@given(st.text(max_size=30), st.text(max_size=30))
def test_likeness_is_symmetric_and_bounded(one: str, other: str) -> None:
    first, second = bigrams(one), bigrams(other)
    assert dice(first, second) == dice(second, first)
    assert 0 <= dice(first, second) <= 1
    assert dice(first, first) == (1 if first else 0)


# --- raised in several communities ----------------------------------------------------------------


def communities(actor: Actor) -> list[list[str]]:
    return [[unit.name for unit in matter.communities] for matter in raised_widely(actor, TODAY).matters]


def test_three_communities_within_thirty_days(
    tree: SimpleNamespace, people: SimpleNamespace, raise_it: Any, sign_in: Callable[..., Client]
) -> None:
    third = tree.cousin
    raise_it(tree.own, "解放路垃圾清运不及时", "解放路")
    raise_it(tree.sibling, "青年路垃圾清运不及时", "青年路")
    raise_it(third, "垃圾清运不及时", days=31)
    raise_it(tree.street, "垃圾清运不及时")
    office = Actor.of(people.office)
    assert communities(office) == []
    raise_it(third, "垃圾清运很不及时", days=29)
    raise_it(third, "垃圾清运不及时", category="health")
    assert communities(office) == [["城隍浦社区", "衙门巷社区", "云西社区"]]
    assert communities(Actor.of(people.street_officer)) == []
    page = sign_in(people.office).get("/opinions/widely/").content.decode()
    assert "垃圾清运" in page
    assert "原话金丝雀" not in page


def test_other_districts_do_not_count(tree: SimpleNamespace, people: SimpleNamespace, raise_it: Any) -> None:
    for unit in (tree.own, tree.sibling, tree.elsewhere_community):
        raise_it(unit, "垃圾清运不及时")
    assert communities(Actor.of(people.office)) == []


def test_the_home_page_of_the_office_tells_of_them(
    tree: SimpleNamespace, people: SimpleNamespace, raise_it: Any, sign_in: Callable[..., Client]
) -> None:
    office, panel = sign_in(people.office), "/opinions/widely/?panel"
    home = office.get("/").content.decode()
    assert f'hx-get="{panel}"' in home  # asked once the page stands; the link is there without a script too
    assert 'href="/opinions/widely/">' in home.split("widely-title", 2)[-1]
    assert office.get(panel).content.decode().strip() == ""
    for unit in (tree.own, tree.sibling, tree.cousin):
        raise_it(unit, "垃圾清运不及时")
    shown = office.get(panel).content.decode()
    assert "有1件事项" in shown
    assert "hx-get" not in shown
    assert "原话金丝雀" not in shown
    assert "widely-title" not in sign_in(people.community_officer).get("/").content.decode()


def test_it_says_so_when_not_all_were_compared(
    tree: SimpleNamespace,
    people: SimpleNamespace,
    raise_it: Any,
    sign_in: Callable[..., Client],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for days, unit in enumerate((tree.own, tree.sibling, tree.cousin, tree.own), start=1):
        raise_it(unit, "垃圾清运不及时", days=days)
    told = "只比对了最近的"
    office = sign_in(people.office)
    monkeypatch.setattr(similar, "MOST_COMPARED", 4)
    assert told not in office.get("/opinions/widely/").content.decode()
    monkeypatch.setattr(similar, "MOST_COMPARED", 3)
    assert told in office.get("/opinions/widely/").content.decode()
    assert raised_widely(Actor.of(people.office)).compared == 3


def test_the_panel_costs_the_home_page_nothing(
    tree: SimpleNamespace, people: SimpleNamespace, raise_it: Any, django_assert_num_queries: Any
) -> None:
    for unit in (tree.own, tree.sibling, tree.cousin):
        raise_it(unit, "垃圾清运不及时", "某路")
    for name in ("office", "street_officer", "community_officer", "leader"):
        actor = Actor.of(getattr(people, name))
        with django_assert_num_queries(0):
            shown = similar.widely_at_home(actor)
        assert (shown is not None) is (name == "office")
