"""The directory, a unit's page, the searching field, and the pages that change the tree."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from programs.actions.units import close_unit, create_unit, merge_units, move_unit, rename_unit
from programs.models import AuditEvent, Grant, Mark, Placement, Unit, User

OPENED, MAY = dt.date(2008, 1, 1), dt.date(2026, 5, 12)


@pytest.fixture
def office(people: SimpleNamespace, sign_in: Callable[[User], Client]) -> Client:
    client = sign_in(people.office)
    client.cookies["language"] = "en"
    return client


@pytest.fixture(autouse=True)
def _language_cookie(settings: Any) -> None:
    settings.LANGUAGE_COOKIE_NAME = "language"


def page(client: Client, url_name: str, *args: Any, query: str = "", **post: Any) -> str:
    address = reverse(url_name, args=args) + query
    response = client.post(address, post) if post else client.get(address)
    assert response.status_code == 200, response
    return response.content.decode()


def found(client: Client, **question: Any) -> list[str]:
    response = client.get(reverse("unit_search"), question)
    assert response.status_code == 200
    return [result["label"] for result in response.json()["results"]]


# --- finding --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("hmjd", ["海门街道"]),
        ("HMJD", ["海门街道"]),
        ("haimenj", ["海门街道"]),
        ("hai men", ["海门街道", "海门小学"]),
        ("门街", ["海门街道"]),
        ("33100200100", ["城隍浦社区", "衙门巷社区"]),
        ("331002d", ["公安分局"]),
        (" chp ", ["城隍浦社区"]),
        ("𠮷", []),
        ("%", []),
        ("dcjd", []),
    ],
)
def test_units_are_found_by_name_pinyin_initials_and_code(
    tree: SimpleNamespace, office: Client, text: str, names: list[str]
) -> None:
    """Never one of another district (东城街道)."""
    assert found(office, q=text) == names


def test_the_searching_field_offers_twenty_and_says_that_there_are_more(
    tree: SimpleNamespace, office: Client
) -> None:
    for number in range(20):
        create_unit(
            by=None,
            code=f"331002001S{number:02d}",
            name=f"第{number}小学",
            tier="street",
            kind="school",
            parent=tree.street,
            opened_on=OPENED,
        )
    answer = office.get(reverse("unit_search"), {"q": "331002001"}).json()
    assert len(answer["results"]) == 20
    assert answer["more"] is True
    assert answer["results"][0] == {"value": "331002001", "label": "海门街道", "detail": "椒江区"}
    assert office.get(reverse("unit_search"), {"q": "hmjd"}).json()["more"] is False


def test_the_searching_field_offers_what_one_may_choose(
    tree: SimpleNamespace, people: SimpleNamespace, office: Client, sign_in: Callable[[User], Client]
) -> None:
    officer = sign_in(people.community_officer)
    merge_units(by=None, unit=tree.sibling, into=tree.own, effective_on=MAY)
    assert found(officer, scope="write") == ["城隍浦社区"]
    assert found(officer, scope="write", closed="on") == ["城隍浦社区", "衙门巷社区"]
    assert found(officer, scope="manage") == []
    assert found(officer, q="yx") == ["云西社区"], "the whole district unless asked otherwise"
    assert "衙门巷社区" not in found(office, q="331002001")
    detail = office.get(reverse("unit_search"), {"q": "ymx", "closed": "on"}).json()["results"][0]["detail"]
    assert detail == "海门街道, closed"


@pytest.mark.parametrize(
    "question", [{"q": "长" * 101}, {"q": "a\x00b"}, {"scope": "everything"}, {"q": "x", "scope": "写"}]
)
def test_the_searching_field_answers_nonsense_with_a_message(
    office: Client, question: dict[str, str]
) -> None:
    response = office.get(reverse("unit_search"), question)
    assert response.status_code == 400
    assert response.json()["errors"]


# --- the directory --------------------------------------------------------------------------------


def names_in(text: str) -> list[str]:
    return re.findall(r'href="/units/[0-9A-Z-]+/">([^<]+)</a>', text)


def test_the_directory_is_the_tree_of_the_district_in_administrative_order(
    tree: SimpleNamespace, office: Client
) -> None:
    assert names_in(page(office, "unit_list")) == [
        "椒江区",
        "海门街道",
        "城隍浦社区",
        "衙门巷社区",
        "海门小学",
        "白云街道",
        "云西社区",
        "公安分局",
    ]


def test_closed_units_show_when_asked_for(tree: SimpleNamespace, office: Client) -> None:
    close_unit(by=None, unit=tree.own, effective_on=MAY)
    merge_units(by=None, unit=tree.sibling, into=tree.cousin, effective_on=MAY)
    assert "城隍浦社区" not in page(office, "unit_list")
    shown = page(office, "unit_list", query="?closed=on")
    order = names_in(shown)
    assert order.index("衙门巷社区") == order.index("云西社区") + 1, "with the unit that carries on"
    assert shown.count("Merged</span>") == 1
    assert shown.count("Closed</span>") == 1


def test_the_directory_searches(tree: SimpleNamespace, office: Client) -> None:
    text = page(office, "unit_list", query="?q=hm")
    assert names_in(text) == ["海门街道", "海门小学"]
    assert "2 units found" in text
    assert "No unit found" in page(office, "unit_list", query="?q=nothing")


@pytest.mark.parametrize("query", ["?q=a%00b", "?q=" + "x" * 101, "?q=%ff%fe", "?closed=maybe", "?page=99"])
def test_the_directory_takes_any_question(tree: SimpleNamespace, office: Client, query: str) -> None:
    text = page(office, "unit_list", query=query)
    if "%00" in query or "xxx" in query:
        assert "not understood" in text


def test_the_number_of_queries_does_not_grow(tree: SimpleNamespace, office: Client) -> None:
    def queries(address: str) -> int:
        office.get(address)
        with CaptureQueriesContext(connection) as captured:
            office.get(address)
        return len(captured)

    pages = [reverse("unit_list"), reverse("unit_list") + "?q=3", reverse("unit_detail", args=["331002001"])]
    before = [queries(address) for address in pages]
    for number in range(10):
        create_unit(
            by=None,
            code=f"331002001{number + 900}",
            name=f"第{number}社区",
            tier="community",
            kind="community",
            parent=tree.street,
            opened_on=OPENED,
        )
    assert [queries(address) for address in pages] == before
    assert before[0] <= 4
    assert before[1] <= 4


# --- a unit ---------------------------------------------------------------------------------------


def test_a_unit_shows_its_facts_children_and_history(tree: SimpleNamespace, office: Client) -> None:
    rename_unit(by=None, unit=tree.own, name="新桥社区", effective_on=MAY)
    move_unit(by=None, unit=tree.own, parent=tree.other_street, effective_on=dt.date(2026, 6, 1))
    text = page(office, "unit_detail", tree.own.code)
    told = re.findall(r'portal-timeline-what">([^<]+)<.*?datetime="([^"]+)"', text, re.DOTALL)
    assert told == [
        ("Moved from 海门街道 to 白云街道", "2026-06-01"),
        ("Renamed from 城隍浦社区 to 新桥社区", "2026-05-12"),
        ("Opened as 城隍浦社区 under 海门街道", "2008-01-01"),
    ]
    assert "xqsq" in text
    street = page(office, "unit_detail", tree.other_street.code)
    assert re.findall(r'portal-row-link" href="[^"]+">([^<]+)<', street) == ["新桥社区", "云西社区"]


def test_what_became_of_closed_and_merged_units(tree: SimpleNamespace, office: Client) -> None:
    school = create_unit(
        by=None,
        code="S1",
        name="小学",
        tier="community",
        kind="school",
        parent=tree.sibling,
        opened_on=OPENED,
    )
    close_unit(by=None, unit=school, effective_on=MAY)
    merge_units(by=None, unit=tree.sibling, into=tree.own, effective_on=MAY)
    merge_units(by=None, unit=tree.own, into=tree.cousin, effective_on=dt.date(2026, 6, 1))
    assert "Closed on 2026-05-12" in page(office, "unit_detail", "S1")
    assert "Went along with 衙门巷社区" in page(office, "unit_detail", "S1")
    sibling = page(office, "unit_detail", tree.sibling.code)
    assert "Merged into 云西社区 on 2026-05-12" in sibling
    assert "Merged into 城隍浦社区<" in sibling
    assert "Merged into this unit" in page(office, "unit_detail", tree.cousin.code)


def test_only_who_manages_units_is_offered_changes(
    tree: SimpleNamespace, people: SimpleNamespace, office: Client, sign_in: Callable[[User], Client]
) -> None:
    address = reverse("unit_move", args=[tree.own.code])
    assert address in page(office, "unit_detail", tree.own.code)
    for role in ("leader", "street_officer", "community_officer", "auditor", "administrator", "counsellor"):
        client = sign_in(getattr(people, role))
        assert address not in page(client, "unit_detail", tree.own.code)
        assert client.get(address).status_code == 403
        assert client.get(reverse("unit_create")).status_code == 403
    assert office.get(reverse("unit_detail", args=[tree.elsewhere_street.code])).status_code == 404
    assert office.get(reverse("unit_move", args=[tree.elsewhere_street.code])).status_code == 404
    assert office.get("/units/no%00unit/").status_code == 404


# --- changing -------------------------------------------------------------------------------------


def everything() -> list[Any]:
    models = (Unit, Placement, Grant, Mark, AuditEvent)
    return [list(model._default_manager.order_by("pk").values()) for model in models]


def hidden(text: str) -> dict[str, str]:
    """What the preview's form would send."""
    fields = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', text)
    return {name: value for name, value in fields if name != "csrfmiddlewaretoken" and name != "next"}


def test_a_merge_is_shown_before_it_is_done(
    tree: SimpleNamespace, people: SimpleNamespace, office: Client, make_record: Callable[..., Any]
) -> None:
    make_record("activities", tree.street, people.street_officer)
    before = everything()
    shown = page(
        office, "unit_merge", tree.street.code, into=tree.other_street.code, effective_on="2026-05-12"
    )
    assert everything() == before, "the preview changes nothing"
    for word in ("城隍浦社区", "海门小学", "street_officer姓名", "2026-05 to", "<strong>1</strong>"):
        assert word in shown
    response = office.post(
        reverse("unit_merge", args=[tree.street.code]), {**hidden(shown), "confirm": "yes"}
    )
    assert response.url == reverse("unit_detail", args=[tree.street.code])
    street = Unit.objects.get(pk=tree.street.pk)
    assert (street.merged_into, street.closed_on) == (tree.other_street, MAY)


def test_what_is_confirmed_is_what_was_seen(tree: SimpleNamespace, office: Client) -> None:
    address = reverse("unit_merge", args=[tree.street.code])
    asked = {"into": tree.other_street.code, "effective_on": "2026-05-12"}
    seen = hidden(office.post(address, asked).content.decode())
    move_unit(by=None, unit=tree.own, parent=tree.other_street, effective_on=MAY)
    response = office.post(address, {**seen, "confirm": "yes"})
    text = response.content.decode()
    assert "Something else has changed" in text
    assert Unit.objects.get(pk=tree.street.pk).is_open
    assert office.post(address, {**hidden(text), "confirm": "yes"}).status_code == 302
    assert not Unit.objects.get(pk=tree.street.pk).is_open


def test_a_confirmation_without_a_preview_shows_one(tree: SimpleNamespace, office: Client) -> None:
    sent = {"effective_on": "2026-05-12", "confirm": "yes"}
    assert "What changes" in page(office, "unit_close", tree.own.code, **sent)
    assert Unit.objects.get(pk=tree.own.pk).is_open


def test_going_back_keeps_what_was_entered(tree: SimpleNamespace, office: Client) -> None:
    text = page(
        office,
        "unit_move",
        tree.own.code,
        parent="331002002",
        effective_on="2026-05-12",
        seen="x",
        back="yes",
    )
    assert 'value="331002002"' in text
    assert 'value="2026-05-12"' in text
    assert "What changes" not in text


@pytest.mark.parametrize(
    ("verb", "sent", "words"),
    [
        ("move", {"parent": "331003001", "effective_on": "2026-05-12"}, "No such unit can be chosen"),
        ("move", {"parent": "a\x00b", "effective_on": "2026-05-12"}, "cannot be stored"),
        ("move", {"parent": "331002", "effective_on": "2026-05-12"}, "under a street, town or zone"),
        ("move", {"parent": "331002001", "effective_on": "2026-05-12"}, "stands there already"),
        ("move", {"parent": "331002002", "effective_on": "2999-01-01"}, "in the future"),
        ("move", {"parent": "331002002", "effective_on": "the ides of March"}, "Enter a valid date"),
        ("move", {"parent": "331002002", "effective_on": "0001-01-01"}, "took effect on 2008-01-01"),
        ("move", {"x": "y"}, "This field is required"),
        ("merge", {"into": "331002001S1", "effective_on": "2026-05-12"}, "same tier"),
        ("merge", {"into": "331002001003", "effective_on": "2026-05-12"}, "No such unit can be chosen"),
        ("rename", {"name": "长" * 101, "effective_on": "2026-05-12"}, "at most 100 characters"),
        ("rename", {"name": "a\x00b", "effective_on": "2026-05-12"}, "Null characters"),
        ("rename", {"name": "城隍浦社区", "effective_on": "2026-05-12"}, "has this name already"),
        ("reopen", {"x": "y"}, "is open"),
    ],
)
def test_what_is_refused_is_said_and_nothing_is_changed(
    tree: SimpleNamespace, office: Client, verb: str, sent: dict[str, str], words: str
) -> None:
    before = everything()
    assert words in page(office, f"unit_{verb}", tree.own.code, **sent)
    assert everything() == before


@pytest.mark.parametrize(
    ("verb", "sent", "check"),
    [
        ("rename", {"name": "𠮷祥社区", "effective_on": "2026-05-12"}, {"name": "𠮷祥社区"}),
        ("move", {"parent": "331002002", "effective_on": "2026-05-12"}, {"parent__code": "331002002"}),
        (
            "merge",
            {"into": "331002001004", "effective_on": "2026-05-12"},
            {"merged_into__code": "331002001004"},
        ),
        ("close", {"effective_on": "2026-05-12"}, {"closed_on": MAY}),
    ],
)
def test_every_change_from_form_to_done(
    tree: SimpleNamespace, office: Client, verb: str, sent: dict[str, str], check: dict[str, Any]
) -> None:
    assert "Show what changes" in page(office, f"unit_{verb}", tree.own.code)
    shown = page(office, f"unit_{verb}", tree.own.code, **sent)
    address = reverse(f"unit_{verb}", args=[tree.own.code])
    response = office.post(address, {**hidden(shown), "confirm": "yes"}, follow=True)
    assert response.redirect_chain == [(reverse("unit_detail", args=[tree.own.code]), 302)]
    assert Unit.objects.filter(pk=tree.own.pk, **check).exists()
    assert AuditEvent.objects.filter(action=f"unit.{verb}", object_pk=str(tree.own.pk)).count() == 1


def test_a_closed_unit_is_reopened(tree: SimpleNamespace, office: Client) -> None:
    close_unit(by=None, unit=tree.own, effective_on=MAY)
    shown = page(office, "unit_reopen", tree.own.code, x="y")
    office.post(reverse("unit_reopen", args=[tree.own.code]), {**hidden(shown), "confirm": "yes"})
    assert Unit.objects.get(pk=tree.own.pk).is_open


def test_a_new_unit_is_shown_before_it_is_created(tree: SimpleNamespace, office: Client) -> None:
    assert "海门街道" in page(office, "unit_create", query="?parent=331002001")
    assert page(office, "unit_create", query="?parent=%00")
    sent = {
        "parent": "331002001",
        "kind": "school",
        "name": "海门中学",
        "code": "331002001x9",
        "opened_on": "2026-05-12",
    }
    before = everything()
    shown = page(office, "unit_create", **sent)
    assert everything() == before
    assert "hmzx" in shown
    response = office.post(reverse("unit_create"), {**hidden(shown), "confirm": "yes"})
    assert response.url == reverse("unit_detail", args=["331002001X9"])
    assert Unit.objects.get(code="331002001X9").tier == "street"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "district"}, "Select a valid choice"),
        ({"kind": "street"}, "stands under a district"),
        ({"parent": "331003"}, "No such unit can be chosen"),
        ({"code": "331002001003"}, "already exists"),
        ({"code": "门牌"}, "capital letters"),
        ({"name": "上\u2028下"}, "one line"),
        ({"opened_on": "2999-01-01"}, "in the future"),
    ],
)
def test_a_new_unit_that_cannot_be(
    tree: SimpleNamespace, office: Client, change: dict[str, str], words: str
) -> None:
    sent = {
        "parent": "331002001",
        "kind": "school",
        "name": "海门中学",
        "code": "X9",
        "opened_on": "2026-05-12",
    }
    assert words in page(office, "unit_create", **{**sent, **change})
    assert not Unit.objects.filter(name="海门中学").exists()
