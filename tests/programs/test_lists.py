"""Lists of records: filters, search, order, pages, and what they cost."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.db import connection
from django.db.models import QuerySet
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from programs import access, indexes, paging, registry
from programs.access import Actor, visible
from programs.actions.units import merge_units
from programs.filters import filter_set
from programs.models import EducationActivity, Unit, User
from programs.models.record import Record
from programs.paging import cursor_at, page_of

SignIn = Callable[[User], Client]
MakeRecord = Callable[..., Any]

LIST = "/records/activities/"
CASES = "/records/cases/"


@pytest.fixture
def officer(people: SimpleNamespace, sign_in: SignIn) -> Client:
    return sign_in(people.community_officer)


@pytest.fixture
def leader(people: SimpleNamespace, sign_in: SignIn) -> Client:
    return sign_in(people.leader)


@pytest.fixture
def make(make_record: MakeRecord, make_user: Callable[..., User]) -> MakeRecord:
    """make(unit, theme, …): an activity logged by an officer of the unit."""

    officers: dict[str, User] = {}

    def one(unit: Unit, theme: str, **values: Any) -> Any:
        if unit.code not in officers:
            officers[unit.code] = make_user(f"officer{unit.code}", "unit_officer", unit)
        return make_record("activities", unit, officers[unit.code], theme=theme, **values)

    return one


def themes(response: Any) -> list[str]:
    assert response.status_code == 200
    at = next(i for i, column in enumerate(response.context["columns"]) if column["name"] == "theme")
    return [row["cells"][at]["value"] for row in response.context["rows"]]


# --- filters ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", {"邻居节", "感恩课", "升国旗"}),
        ("series=festival", {"邻居节"}),
        ("series=festival&setting=school", set()),
        ("festival=neighbours", {"邻居节"}),
        ("setting=school", {"感恩课", "升国旗"}),
        ("occurred_on_from=2026-03-02", {"感恩课", "升国旗"}),
        ("occurred_on_to=2026-03-02", {"邻居节", "感恩课"}),
        ("occurred_on_from=2026-03-02&occurred_on_to=2026-03-02", {"感恩课"}),
        ("indicator=activities.six_ones", {"感恩课"}),
        ("indicator=activities.count", {"邻居节", "感恩课", "升国旗"}),
        ("q=感恩", {"感恩课"}),
        ("q=恩课", {"感恩课"}),
        ("q=旗", {"升国旗"}),
        ("q=礼堂", {"邻居节", "感恩课"}),
        ("q=感恩 礼堂", {"感恩课"}),
        ("q=礼堂　感恩", {"感恩课"}),
        ("q=hall", {"升国旗"}),
        ("q=100%", {"升国旗"}),
        ("q=%", {"升国旗"}),
        ("q=_", set()),
        ("q=没有的词", set()),
        ("q=感恩&setting=community", set()),
        ("wholly=unknown&x[]=1", {"邻居节", "感恩课", "升国旗"}),
    ],
)
def test_filters(
    tree: SimpleNamespace, officer: Client, make: MakeRecord, query: str, found: set[str]
) -> None:
    festival = {"series": "festival", "festival": "neighbours", "setting": "community"}
    make(tree.own, "邻居节", occurred_on=dt.date(2026, 3, 1), place="大礼堂", **festival)
    make(tree.own, "感恩课", occurred_on=dt.date(2026, 3, 2), place="礼堂")
    make(tree.own, "升国旗", occurred_on=dt.date(2026, 3, 3), place="Town HALL 100%", series="other")
    response = officer.get(f"{LIST}?{query}")
    assert set(themes(response)) == found
    assert response.context["count"] == len(found)


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("series=nothing", "series"),
        ("occurred_on_from=2026-02-30", "occurred_on_from"),
        ("occurred_on_from=0000-00-00", "occurred_on_from"),
        ("occurred_on_to=yesterday", "occurred_on_to"),
        ("occurred_on_from=2026-03-02&occurred_on_to=2026-03-01", "occurred_on_to"),
        ("unit=000", "unit"),
        ("unit=331003001001", "unit"),  # of another district
        ("unit=%00", "unit"),
        ("part=joint", "part"),
        ("part=nonsense", "part"),
        ("indicator=carriers.count", "indicator"),
        ("sort=id", "sort"),
        ("sort=unit__code", "sort"),
        ("q=%00", "q"),
        (f"q={'长' * 51}", "q"),
    ],
)
def test_what_is_not_understood_is_said_and_shows_nothing(
    tree: SimpleNamespace, officer: Client, make: MakeRecord, query: str, name: str
) -> None:
    make(tree.own, "感恩课")
    response = officer.get(f"{LIST}?{query}")
    assert themes(response) == []
    errors = response.context["filter_form"].errors
    assert list(errors) == [name]
    page = response.content.decode()
    assert str(errors[name][0]) in page
    label = response.context["filter_form"].fields[name].label
    assert label in [problem["label"] for problem in response.context["problems"]]
    # It can be taken away again.
    assert [
        tag
        for tag in response.context["active_filters"]
        if name not in parse_qs(urlsplit(tag["remove_url"]).query)
    ]


def test_full_width_digits_are_digits(tree: SimpleNamespace, officer: Client, make: MakeRecord) -> None:
    make(tree.own, "感恩课", occurred_on=dt.date(2026, 3, 2))
    assert themes(officer.get(f"{LIST}?occurred_on_from=２０２６-０３-０２")) == ["感恩课"]
    assert themes(officer.get(f"{LIST}?occurred_on_from=２０２６-０３-０３")) == []


def test_unit_and_its_part(tree: SimpleNamespace, leader: Client, make: MakeRecord) -> None:
    make(tree.street, "街道")
    make(tree.own, "社区")
    make(tree.own, "社区协街道", joint_units=[tree.street])
    make(tree.cousin, "外街道协社区", joint_units=[tree.own, tree.sibling])
    make(tree.cousin, "外街道")

    def found(query: str) -> set[str]:
        return set(themes(leader.get(f"{LIST}?{query}")))

    street, own = tree.street.code, tree.own.code
    assert found(f"unit={street}") == {"街道", "社区", "社区协街道"}
    assert found(f"unit={street}&part=lead") == {"街道", "社区", "社区协街道"}
    assert found(f"unit={street}&part=own") == {"街道"}
    assert found(f"unit={street}&part=joint") == {"外街道协社区"}
    assert found(f"unit={own}") == {"社区", "社区协街道"}
    assert found(f"unit={own}&part=joint") == {"外街道协社区"}
    assert found(f"unit={tree.district.code}&part=joint") == set()
    assert len(found(f"unit={tree.district.code}")) == 5


def test_a_filter_by_unit_opens_no_scope(tree: SimpleNamespace, officer: Client, make: MakeRecord) -> None:
    make(tree.cousin, "外街道协社区", joint_units=[tree.own])
    make(tree.cousin, "外街道")
    assert themes(officer.get(f"{LIST}?unit={tree.cousin.code}")) == ["外街道协社区"]


def test_removed_records_are_in_no_list(
    tree: SimpleNamespace, people: SimpleNamespace, officer: Client, make_record: MakeRecord
) -> None:
    record = make_record("activities", tree.own, people.community_officer)
    EducationActivity.objects.filter(pk=record.pk).update(
        removed_at=dt.datetime(2026, 3, 5, tzinfo=dt.UTC), removed_by=people.community_officer
    )
    assert themes(officer.get(LIST)) == []


def test_filters_are_tags_that_can_be_taken_away(
    tree: SimpleNamespace, leader: Client, make: MakeRecord
) -> None:
    make(tree.own, "感恩课")
    query = f"unit={tree.own.code}&part=joint&series=six_ones&q=感恩&occurred_on_from=2026-01-01&sort=participants"
    tags = {str(tag["label"]): tag for tag in leader.get(f"{LIST}?{query}").context["active_filters"]}
    assert [str(tag["value"]) for tag in tags.values()][0:1] == ["感恩"]
    values = {str(tag["value"]) for tag in tags.values()}
    assert tree.own.name in values
    assert "2026-01-01" in values
    unit_tag = next(tag for tag in tags.values() if tag["value"] == tree.own.name)
    left = parse_qs(urlsplit(unit_tag["remove_url"]).query)
    assert left == {
        "series": ["six_ones"],
        "q": ["感恩"],
        "occurred_on_from": ["2026-01-01"],
        "sort": ["participants"],
    }, "a part without its unit would mean nothing; the order stays"


def test_export_links_carry_what_the_list_was_asked_for(tree: SimpleNamespace, leader: Client) -> None:
    response = leader.get(f"{LIST}?series=other&sort=participants&cursor=x&count=1")
    assert (
        response.context["export_csv_url"] == "/records/activities/export.csv?series=other&sort=participants"
    )


# --- fields one does not read -----------------------------------------------------------------------------------


@pytest.fixture
def case(tree: SimpleNamespace, people: SimpleNamespace, make_record: MakeRecord) -> Record:
    return make_record("cases", tree.own, people.community_officer, title="走访", client="欧阳明月")


def test_masked_fields_are_no_oracle(case: Record, leader: Client, officer: Client) -> None:
    """The leader sees 欧***: neither words nor order may tell the rest."""
    assert "欧***" in leader.get(CASES).content.decode()
    assert leader.get(f"{CASES}?q=欧阳明月").context["rows"] == []
    assert leader.get(f"{CASES}?q=走访").context["rows"] != []
    answer = leader.get(f"{CASES}?sort=client")
    assert (answer.context["rows"], list(answer.context["filter_form"].errors)) == ([], ["sort"])
    heads = {head["name"]: head["sort_url"] for head in leader.get(CASES).context["columns"]}
    assert not heads["client"]
    assert heads["occurred_on"]

    assert officer.get(f"{CASES}?q=欧阳明月").context["rows"] != []
    assert officer.get(f"{CASES}?sort=client").context["rows"] != []


def test_a_kind_offers_to_the_api_what_everybody_may_ask(db: None) -> None:
    everybody = filter_set(registry.kind("cases"), None)
    assert everybody.searched == ["title"]


# --- order and pages ----------------------------------------------------------------------------------------------


@pytest.fixture
def many(tree: SimpleNamespace, people: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """23 activities in pages of 5: several to a day, few numbers of participants."""
    monkeypatch.setattr(paging, "PAGE_SIZE", 5)
    monkeypatch.setattr(paging.page_of, "__defaults__", ("", 5))
    user = people.community_officer
    rows = [
        EducationActivity(
            unit=tree.own,
            theme=f"活动{number}",
            occurred_on=dt.date(2026, 3, 1 + number // 4),
            participants=number % 3,
            series="six_ones",
            setting="school",
            created_by=user,
            updated_by=user,
        )
        for number in range(23)
    ]
    EducationActivity.objects.bulk_create(rows)
    return list(EducationActivity.objects.order_by("pk").values_list("pk", flat=True))


def row_ids(response: Any) -> list[int]:
    assert response.status_code == 200
    return [int(row["url"].rstrip("/").rsplit("/", 1)[1]) for row in response.context["rows"]]


def walk(client: Client, address: str, way: str = "next_url") -> list[list[int]]:
    pages = []
    while address:
        response = client.get(address)
        pages.append(row_ids(response))
        address = response.context[way]
    return pages


@pytest.mark.parametrize(
    "sort", ["", "-occurred_on", "occurred_on", "participants", "-participants", "created_at"]
)
def test_every_row_once_forward_and_back(officer: Client, many: list[int], sort: str) -> None:
    name = (sort or "-occurred_on").lstrip("-")
    falling = not sort or sort.startswith("-")
    wanted = [pk for _key, pk in sorted(EducationActivity.objects.values_list(name, "pk"), reverse=falling)]
    pages = walk(officer, f"{LIST}?sort={sort}" if sort else LIST)
    assert [pk for page in pages for pk in page] == wanted
    assert [len(page) for page in pages] == [5, 5, 5, 5, 3]
    last = EducationActivity.objects.get(pk=wanted[19])
    back = walk(
        officer,
        f"{LIST}?sort={sort or '-occurred_on'}&cursor={cursor_at(last, sort or '-occurred_on')}",
        "prev_url",
    )
    assert back == list(reversed(pages))


def test_pages_stand_still_while_rows_come_and_go(
    tree: SimpleNamespace, people: SimpleNamespace, officer: Client, many: list[int], make_record: MakeRecord
) -> None:
    first = officer.get(LIST)
    seen = row_ids(first)
    make_record("activities", tree.own, people.community_officer, occurred_on=dt.date(2026, 3, 20))
    EducationActivity.objects.filter(pk=seen[4]).delete()
    rest = [pk for page in walk(officer, first.context["next_url"]) for pk in page]
    assert sorted(seen + rest) == sorted(many), "nothing twice, nothing left out"


def test_the_way_back_ends_with_a_full_first_page(officer: Client, many: list[int]) -> None:
    newest = EducationActivity.objects.order_by("-occurred_on", "-pk")[2]
    response = officer.get(f"{LIST}?cursor={cursor_at(newest, '-occurred_on', backward=True)}")
    assert len(row_ids(response)) == 5
    assert not response.context["prev_url"]
    assert not response.context["page_lost"]


def test_a_page_beyond_the_last_is_the_first_with_a_word_about_it(officer: Client, many: list[int]) -> None:
    last = EducationActivity.objects.order_by("occurred_on", "pk").first()
    assert last is not None
    response = officer.get(f"{LIST}?cursor={cursor_at(last, '-occurred_on')}")
    assert row_ids(response) == row_ids(officer.get(LIST))
    assert response.context["page_lost"]


def foreign_cursors() -> dict[str, Callable[[Record], str]]:
    def flipped(row: Record) -> str:
        cursor = cursor_at(row, "-occurred_on")
        return cursor[:30] + ("A" if cursor[30] != "A" else "B") + cursor[31:]

    return {
        "nonsense": lambda row: "nonsense",
        "not of ASCII": lambda row: "第二页",
        "a NUL": lambda row: "%00",
        "padding": lambda row: "====",
        "very long": lambda row: "A" * 5000,
        "of another order": lambda row: cursor_at(row, "participants"),
        "of the other direction": lambda row: cursor_at(row, "occurred_on"),
        "tampered with": flipped,
        "cut off": lambda row: cursor_at(row, "-occurred_on")[:-8],
        "a number": lambda row: "2",
    }


@pytest.mark.parametrize("what", foreign_cursors())
def test_a_cursor_that_is_none_shows_the_first_page(officer: Client, many: list[int], what: str) -> None:
    cursor = foreign_cursors()[what](EducationActivity.objects.all()[12])
    response = officer.get(f"{LIST}?cursor={cursor}")
    assert row_ids(response) == row_ids(officer.get(LIST))
    assert response.context["page_lost"]


def test_a_cursor_of_another_kind_is_none(officer: Client, many: list[int], case: Record) -> None:
    assert officer.get(f"{LIST}?cursor={cursor_at(case, '-occurred_on')}").context["page_lost"]


def test_a_cursor_tells_no_value(case: Record) -> None:
    assert "欧阳" not in cursor_at(case, "client")
    assert cursor_at(case, "client") != cursor_at(case, "client"), "not even that two are the same"


def test_a_field_that_may_be_empty_orders_no_list(db: None) -> None:
    with pytest.raises(ValueError, match="always have a value"):
        page_of(EducationActivity.objects.all(), "removed_at")


# --- the count ----------------------------------------------------------------------------------------------------


def test_a_list_of_one_page_is_counted_a_longer_one_asks_by_itself(officer: Client, many: list[int]) -> None:
    response = officer.get(f"{LIST}?q=活动1")
    assert (response.context["count"], response.context["count_capped"]) == (5, True)
    counted = officer.get(response.context["count_url"])
    assert (counted.context["count"], counted.context["count_capped"]) == (11, False)
    assert row_ids(counted) == row_ids(response)
    assert "count" not in (counted.context["next_url"] + counted.context["export_csv_url"])

    part = officer.get(response.context["count_url"], headers={"HX-Request": "true"})
    assert part.content.decode().strip().startswith('<p id="list-count"')
    assert "<html" not in part.content.decode()
    assert "count=1" not in part.content.decode()

    single = officer.get(f"{LIST}?q=活动22")
    assert (single.context["count"], single.context["count_capped"]) == (1, False)


def test_nothing_is_counted_without_end(officer: Client, many: list[int]) -> None:
    assert paging.capped_count(EducationActivity.objects.all(), 23) == paging.Count(23, False)
    assert paging.capped_count(EducationActivity.objects.all(), 22) == paging.Count(22, True)
    assert paging.COUNTED == 10_000


# --- what it costs ------------------------------------------------------------------------------------------------


def queries(client: Client, address: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        assert client.get(address).status_code == 200
    return len(captured)


@pytest.mark.parametrize("role", ["leader", "street_officer", "community_officer", "office"])
@pytest.mark.parametrize("code", [kind.code for kind in registry.kinds()])
def test_at_most_four_queries_for_any_number_of_rows(
    tree: SimpleNamespace,
    people: SimpleNamespace,
    sign_in: SignIn,
    make_record: MakeRecord,
    role: str,
    code: str,
) -> None:
    client, address = sign_in(getattr(people, role)), reverse("record_list", args=[code])
    counts = []
    for number in (3, 57):
        for _ in range(number):
            make_record(code, tree.own, people.community_officer, joint_units=[tree.sibling])
        client.get(address)  # the first visit of a session notes when it was
        counts.append(queries(client, address))
    assert counts[0] == counts[1] <= 4


def test_filters_cost_a_fixed_number_too(tree: SimpleNamespace, leader: Client, make: MakeRecord) -> None:
    address = f"{LIST}?unit={tree.street.code}&q=感恩&series=six_ones&occurred_on_from=2026-01-01"
    leader.get(address)
    before = queries(leader, address)
    for number in range(12):
        make(tree.own, f"感恩{number}")
    assert queries(leader, address) == before <= 7


def test_every_order_and_search_has_its_index(db: None) -> None:
    assert indexes.missing() == []
    declared = {(index.table, index.purpose) for index in indexes.declared("postgresql")}
    for kind in registry.kinds():
        for sort in kind.sorts:
            assert not kind.field(sort.lstrip("-")).null
            if sort != "occurred_on":
                assert (kind.model._meta.db_table, f"by_{sort}") in declared


def test_installing_indexes_twice_changes_nothing(db: None) -> None:
    assert indexes.install() == []


@pytest.mark.parametrize(
    "role", ["leader", "street_officer", "community_officer", "unit_officer", "outsider"]
)
@pytest.mark.parametrize("named", [0, 2000])
def test_the_form_for_lists_holds_the_same_records(
    tree: SimpleNamespace,
    people: SimpleNamespace,
    make: MakeRecord,
    monkeypatch: pytest.MonkeyPatch,
    role: str,
    named: int,
) -> None:
    """On PostgreSQL scopes are told by ids where they are few, and asked row by row where they are many."""
    make(tree.own, "社区")
    make(tree.sibling, "邻社区", joint_units=[tree.own])
    make(tree.cousin, "外街道", joint_units=[tree.sibling, tree.police])
    make(tree.cousin, "外街道自办")
    make(tree.police, "公安", joint_units=[tree.street])
    make(tree.elsewhere_community, "外区")
    merge_units(by=None, unit=tree.sibling, into=tree.own, effective_on=dt.date(2026, 7, 1))
    monkeypatch.setattr(access, "MOST_RECORDS_NAMED", named)
    monkeypatch.setattr(access, "MOST_UNITS_NAMED", named)
    actor = Actor.of(User.objects.get(username=role))
    records: QuerySet[EducationActivity] = EducationActivity.objects.all()

    def titles(found: QuerySet[EducationActivity]) -> list[str]:
        return sorted(found.values_list("theme", flat=True))

    assert titles(visible(records, actor, listing=True)) == titles(visible(records, actor))
    assert titles(visible(records, actor)), "each of them sees something"


@pytest.mark.postgres
def test_a_word_is_looked_up_in_the_index(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        plan = EducationActivity.objects.filter(theme__holds="感恩").order_by().explain()
    assert "_search_" in plan


# --- kinds --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address", ["/records/nothing/", "/records/nothing/new/", "/records/nothing/export.csv"]
)
def test_an_unknown_kind_is_not_found(officer: Client, address: str) -> None:
    assert officer.get(address).status_code == 404


def test_the_list_of_a_figure_says_what_its_records_come_to(officer: Client, many: list[int]) -> None:
    found = EducationActivity.objects.filter(theme__contains="活动22").get()
    one = officer.get(f"{LIST}?q=活动22&indicator=activities.participants")
    assert one.context["summed"]["value"] == found.participants > 0
    assert f"{found.participants:,}" in one.content.decode()

    whole = sum(EducationActivity.objects.filter(pk__in=many).values_list("participants", flat=True))
    first = officer.get(f"{LIST}?indicator=activities.participants")
    assert first.context.get("summed") is None  # the page asks for it together with the count
    assert officer.get(first.context["count_url"]).context["summed"]["value"] == whole


@pytest.mark.parametrize("asked", ["", "indicator=activities.count", "indicator=nothing"])
def test_a_list_whose_records_are_the_figure_says_their_number_alone(
    asked: str, officer: Client, many: list[int]
) -> None:
    assert officer.get(f"{LIST}?q=活动22&{asked}").context.get("summed") is None
