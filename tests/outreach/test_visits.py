"""Visits: the opinions heard there in the same page, numbers, places."""

from __future__ import annotations

import datetime as dt
from types import SimpleNamespace
from typing import Any

import pytest
from django.urls import reverse

from outreach.forms.visits import next_number
from outreach.models import Opinion, OpinionStep, Visit
from programs import registry
from programs.models import AuditEvent, Unit
from tests.test_every_kind import form_data

pytestmark = pytest.mark.django_db
VISITS, PLACES = registry.kind("visits"), registry.kind("places")
NEW = reverse("record_new", args=["visits"])
DAY = dt.date(2026, 3, 11)


def heard(*rows: dict[str, Any]) -> dict[str, Any]:
    """What a browser sends of the rows of opinions."""
    usual = {"title": "路灯不亮", "type": "problem", "category": "housing", "voices": "1"}
    sent = {"opinions-TOTAL_FORMS": str(len(rows)), "opinions-INITIAL_FORMS": "0"}
    for at, row in enumerate(rows):
        sent |= {f"opinions-{at}-{name}": value for name, value in {**usual, **row}.items()}
    return sent


def visit_data(unit: Unit, *rows: dict[str, Any], **over: Any) -> dict[str, Any]:
    return {**form_data(VISITS, unit, occurred_on=DAY, **over), **heard(*rows)}


@pytest.fixture
def client(people: SimpleNamespace, sign_in: Any) -> Any:
    return sign_in(people.community_officer)


def test_one_submit_writes_the_visit_and_its_opinions(client: Any, tree: SimpleNamespace) -> None:
    data = visit_data(tree.own, {}, {"title": "孩子放学无人接", "category": "education", "citizen": "王芳"})
    assert client.post(NEW, data).status_code == 302
    visit = Visit.objects.get()
    assert visit.number == "2026-0311-01", "it was given a number"
    opinions = list(Opinion.objects.order_by("pk"))
    assert [opinion.title for opinion in opinions] == ["路灯不亮", "孩子放学无人接"]
    for opinion in opinions:
        assert (opinion.unit, opinion.responsible, opinion.occurred_on) == (tree.own, tree.own, DAY)
        assert (opinion.channel, opinion.visit_number) == ("visit", visit.number)
        assert OpinionStep.objects.filter(opinion=opinion).count() == 1, "its life has begun as any other's"
    assert AuditEvent.objects.filter(action="opinions.create").count() == 2
    page = client.get(reverse("record_detail", args=["visits", visit.pk])).content.decode()
    assert 'data-count="2"' in page
    assert all(reverse("record_detail", args=["opinions", opinion.pk]) in page for opinion in opinions)


def test_a_double_click_makes_one(client: Any, tree: SimpleNamespace) -> None:
    data = visit_data(tree.own, {}, {"title": "另一件"})
    for _time in range(2):
        assert client.post(NEW, data).status_code == 302
    assert (Visit.objects.count(), Opinion.objects.count()) == (1, 2)


def test_an_error_in_one_row_shows_there_and_nothing_is_written(client: Any, tree: SimpleNamespace) -> None:
    response = client.post(NEW, visit_data(tree.own, {}, {"title": "另一件", "category": ""}))
    assert response.status_code == 200
    assert not Visit.objects.exists()
    assert not Opinion.objects.exists()
    rows = response.context["form"].further_forms()
    assert [list(row.errors) for row in rows] == [[], ["category"]]
    page = response.content.decode()
    assert "#id_opinions-1-category" in page, "the summary at the top leads to it"
    assert "路灯不亮" in page, "nothing typed is lost"


def test_what_the_action_refuses_undoes_the_visit_as_well(
    client: Any, tree: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.core.exceptions import ValidationError

    from outreach.forms import visits

    saved = visits.save_record

    def refusing(**kwargs: Any) -> Any:
        if kwargs["values"]["title"] == "不行":
            raise ValidationError({"title": "说不清楚"})
        return saved(**kwargs)

    monkeypatch.setattr(visits, "save_record", refusing)
    response = client.post(NEW, visit_data(tree.own, {}, {"title": "不行"}))
    assert response.status_code == 200
    assert "说不清楚" in response.content.decode()
    assert not Visit.objects.exists()
    assert not Opinion.objects.exists()
    assert not AuditEvent.objects.filter(action__in=["visits.create", "opinions.create"]).exists()


def test_one_more_row_without_javascript(client: Any, tree: SimpleNamespace) -> None:
    data = visit_data(tree.own, {"title": "", "category": ""}, theme="", add_opinion="1")
    response = client.post(NEW, {**data, "add_opinion": "1", "visitors": "李主任"})
    assert response.status_code == 200
    page = response.content.decode()
    assert 'name="opinions-1-title"' in page
    assert "李主任" in page
    assert "data-error-summary" not in page, "nobody has asked for a verdict yet"
    assert not Visit.objects.exists()


def test_rows_left_empty_are_none_and_a_visit_needs_none(client: Any, tree: SimpleNamespace) -> None:
    blank = {"title": "", "category": "", "type": "opinion"}
    assert client.post(NEW, visit_data(tree.own, blank)).status_code == 302
    assert client.post(NEW, form_data(VISITS, tree.own)).status_code == 302
    assert (Visit.objects.count(), Opinion.objects.count()) == (2, 0)


def test_more_rows_than_there_may_be_are_refused(client: Any, tree: SimpleNamespace) -> None:
    response = client.post(NEW, visit_data(tree.own, *({"title": f"第{n}件"} for n in range(31))))
    assert response.status_code == 200
    assert not Visit.objects.exists()


def test_a_number_stands_once_in_a_unit(
    client: Any, tree: SimpleNamespace, people: SimpleNamespace, make_record: Any
) -> None:
    make_record("visits", tree.own, people.community_officer, number="7")
    response = client.post(NEW, visit_data(tree.own, number="7"))
    assert response.status_code == 200
    assert "number" in response.context["form"].errors
    assert Visit.objects.count() == 1
    removed = Visit.objects.get()
    client.post(reverse("record_remove", args=["visits", removed.pk]), {"reason": "重复填报"})
    assert client.post(NEW, visit_data(tree.own, number="7")).status_code == 302
    client.post(reverse("record_restore", args=["visits", removed.pk]))
    removed.refresh_from_db()
    assert removed.is_removed, "it cannot come back beside the one that has its number now"


def test_numbers_count_on_and_never_come_again(
    tree: SimpleNamespace, people: SimpleNamespace, make_record: Any
) -> None:
    for number in ("2026-0311-01", "2026-0311-03"):
        make_record("visits", tree.own, people.community_officer, number=number)
    assert next_number(tree.own, DAY) == "2026-0311-02"
    assert next_number(tree.sibling, DAY) == "2026-0311-01"


def test_opinions_of_other_units_with_the_same_number_are_not_shown(
    client: Any, tree: SimpleNamespace, people: SimpleNamespace, make_record: Any, sign_in: Any
) -> None:
    visit = make_record("visits", tree.own, people.community_officer, number="7")
    make_record("opinions", tree.own, people.community_officer, title="自家的", visit_number="7")
    make_record("opinions", tree.elsewhere_community, people.outsider, title="别家的", visit_number="7")
    page = client.get(reverse("record_detail", args=["visits", visit.pk])).content.decode()
    assert "自家的" in page
    assert "别家的" not in page


def test_a_place_lists_the_visits_held_there(
    client: Any, tree: SimpleNamespace, people: SimpleNamespace, make_record: Any
) -> None:
    place = make_record("places", tree.own, people.community_officer, name="阳光活动室")
    for at in range(3):
        make_record("visits", tree.own, people.community_officer, place="阳光活动室", theme=f"第{at}次")
    make_record("visits", tree.own, people.community_officer, place="别处", theme="不在这里")
    page = client.get(reverse("record_detail", args=["places", place.pk])).content.decode()
    assert 'data-count="3"' in page
    assert "不在这里" not in page
    assert '<option value="阳光活动室">' in client.get(NEW).content.decode(), "it is suggested"


def test_the_form_of_a_visit_asks_the_same_number_of_queries_however_many_places(
    client: Any,
    tree: SimpleNamespace,
    people: SimpleNamespace,
    make_record: Any,
) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    client.get(NEW)
    counts = []
    for names in (["甲"], ["乙", "丙", "丁"]):
        for name in names:
            make_record("places", tree.own, people.community_officer, name=name)
        with CaptureQueriesContext(connection) as asked:
            client.get(NEW)
        counts.append(len(asked))
    assert counts[0] == counts[1]


def test_an_opinion_leads_to_the_visit_it_was_heard_on(
    client: Any, tree: SimpleNamespace, people: SimpleNamespace, make_record: Any, make_user: Any
) -> None:
    visit = make_record("visits", tree.own, people.community_officer, number="7", theme="夜访老旧小区")
    sibling = make_user("s1", "community_officer", tree.sibling)
    make_record("visits", tree.sibling, sibling, number="8", theme="别家的走访")
    of_it, of_another, of_none = (
        make_record("opinions", tree.own, people.community_officer, visit_number=number)
        for number in ("7", "8", "")
    )
    link = reverse("record_detail", args=["visits", visit.pk])
    for opinion, leads in ((of_it, True), (of_another, False), (of_none, False)):
        page = client.get(reverse("record_detail", args=["opinions", opinion.pk])).content.decode()
        assert (link in page) is leads
        assert "别家的走访" not in page


def test_who_was_handed_an_opinion_is_not_told_of_the_visit(
    tree: SimpleNamespace, people: SimpleNamespace, make_record: Any, sign_in: Any
) -> None:
    make_record("visits", tree.own, people.community_officer, number="7", theme="夜访老旧小区")
    opinion = make_record("opinions", tree.own, people.community_officer, visit_number="7")
    opinion.joint_units.add(tree.police)
    response = sign_in(people.unit_officer).get(reverse("record_detail", args=["opinions", opinion.pk]))
    assert response.status_code == 200
    assert "夜访老旧小区" not in response.content.decode()


def test_a_place_leads_to_its_poster(
    client: Any, tree: SimpleNamespace, people: SimpleNamespace, make_record: Any
) -> None:
    place = make_record("places", tree.own, people.community_officer, name="阳光活动室")
    page = client.get(reverse("record_detail", args=["places", place.pk])).content.decode()
    assert reverse("poster_place", args=[place.pk]) in page
    client.post(reverse("record_remove", args=["places", place.pk]), {"reason": "重复填报"})
    page = client.get(reverse("record_detail", args=["places", place.pk])).content.decode()
    assert reverse("poster_place", args=[place.pk]) not in page


def test_the_page_of_a_unit_leads_to_its_poster_for_who_answers_there(
    tree: SimpleNamespace, people: SimpleNamespace, sign_in: Any
) -> None:
    poster = reverse("poster_unit", args=[tree.own.code])
    for name, offered in (
        ("community_officer", True),
        ("office", True),
        ("leader", False),
        ("unit_officer", False),
    ):
        page = (
            sign_in(getattr(people, name)).get(reverse("unit_detail", args=[tree.own.code])).content.decode()
        )
        assert (poster in page) is offered, name
    Unit.objects.filter(pk=tree.own.pk).update(closed_on=DAY)
    page = sign_in(people.office).get(reverse("unit_detail", args=[tree.own.code])).content.decode()
    assert poster not in page


# --- the list of opinions -------------------------------------------------------------------------


def test_opinions_are_found_by_who_has_to_act(
    client: Any, tree: SimpleNamespace, people: SimpleNamespace, make_record: Any, make_user: Any
) -> None:
    make_record("opinions", tree.own, people.community_officer, title="自己办的")
    handed = make_record("opinions", tree.own, people.community_officer, title="交办出去的")
    Opinion.objects.filter(pk=handed.pk).update(responsible=tree.police)
    make_record(
        "opinions", tree.sibling, make_user("s1", "community_officer", tree.sibling), title="别家的事"
    )
    address = reverse("record_list", args=["opinions"])
    page = client.get(address, {"responsible": tree.police.code}).content.decode()
    assert ("交办出去的" in page, "自己办的" in page) == (True, False)
    page = client.get(address, {"responsible": tree.sibling.code}).content.decode()
    assert "别家的事" not in page, "the filter narrows what one may see and never widens it"


def test_a_responsible_unit_out_of_sight_cannot_be_asked_for(
    client: Any, tree: SimpleNamespace, people: SimpleNamespace, make_record: Any
) -> None:
    handed = make_record("opinions", tree.own, people.community_officer, title="交到外区的")
    Opinion.objects.filter(pk=handed.pk).update(responsible=tree.elsewhere_community)
    address = reverse("record_list", args=["opinions"])
    response = client.get(address, {"responsible": tree.elsewhere_community.code})
    page = response.content.decode()
    assert response.context["filter_form"].errors["responsible"]
    assert "交到外区的" not in page
    assert tree.elsewhere_community.name not in page


def test_who_joined_a_visit_or_a_place_sees_no_more_than_that(
    tree: SimpleNamespace, people: SimpleNamespace, make_record: Any, sign_in: Any
) -> None:
    by = people.community_officer
    place = make_record("places", tree.own, by, name="阳光活动室", joint_units=[tree.police])
    visit = make_record("visits", tree.own, by, number="7", place="阳光活动室", joint_units=[tree.police])
    make_record("visits", tree.own, by, number="8", place="阳光活动室", theme="没有参加的走访")
    make_record("opinions", tree.own, by, title="没有交办的诉求", visit_number="7")
    client = sign_in(people.unit_officer)
    page = client.get(reverse("record_detail", args=["visits", visit.pk])).content.decode()
    assert ('data-count="0"' in page, "没有交办的诉求" in page) == (True, False)
    page = client.get(reverse("record_detail", args=["places", place.pk])).content.decode()
    assert ('data-count="1"' in page, "没有参加的走访" in page) == (True, False)
