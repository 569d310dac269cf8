"""Public mood: who is warned of what, once; the overview and what its fields open."""

from __future__ import annotations

import datetime as dt
import re
from html import unescape
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from outreach import mood
from outreach.models import MoodAlert, MoodObservation
from programs import registry
from programs.access import Actor
from programs.actions.bulk import NewRow, save_records
from programs.field_classes import C1, class_of
from programs.models import AuditEvent
from tests.factories import sample_values

pytestmark = pytest.mark.django_db
OVERVIEW, SEEN = "/mood/overview/", "/mood/seen/"


@pytest.fixture
def today() -> dt.date:
    return timezone.localdate()


@pytest.fixture
def observe(tree: SimpleNamespace, people: SimpleNamespace, make_record: Any, today: dt.date) -> Any:
    def make(level: int, days_ago: int = 0, unit: Any = None, **more: Any) -> MoodObservation:
        day = today - dt.timedelta(days=days_ago)
        by = people.community_officer if unit is None else people.outsider
        return make_record("mood", unit or tree.own, by, level=level, occurred_on=day, **more)

    return make


def told() -> set[tuple[int, str, int]]:
    return set(MoodAlert.objects.values_list("observation_id", "rule", "told_id"))


def test_no_field_tells_of_a_person() -> None:
    fields = [field for field in MoodObservation._meta.concrete_fields if not field.primary_key]
    assert [field.name for field in fields if class_of(field) > C1] == []
    assert registry.kind("mood").attachments is False


@pytest.mark.parametrize("level", [1, 2, 3, 4, 5])
def test_from_tense_on_the_street_and_the_office_are_told(
    level: int, observe: Any, tree: SimpleNamespace
) -> None:
    one = observe(level)
    expected = {(one.pk, "level", tree.street.pk), (one.pk, "level", tree.district.pk)}
    assert told() == (expected if level >= 4 else set())


@pytest.mark.parametrize(
    ("before", "days", "level", "more", "warned"),
    [
        (1, 30, 3, {}, True),
        (1, 31, 3, {}, False),
        (2, 5, 3, {}, False),
        (1, 0, 3, {}, True),
        (1, 5, 3, {"topic": "land"}, False),
    ],
)
def test_a_rise_within_thirty_days_of_one_unit_and_topic(
    before: int,
    days: int,
    level: int,
    more: dict[str, Any],
    warned: bool,
    observe: Any,
    tree: SimpleNamespace,
) -> None:
    observe(before, days)
    one = observe(level, **more)
    expected = {(one.pk, "rise", tree.street.pk), (one.pk, "rise", tree.district.pk)}
    assert told() == (expected if warned else set())


def test_a_lower_level_of_another_unit_is_no_rise(
    observe: Any, tree: SimpleNamespace, people: SimpleNamespace, make_record: Any, today: dt.date
) -> None:
    observe(1, unit=tree.elsewhere_community)
    observe(3)
    assert told() == set()


def test_nobody_is_warned_of_what_is_long_past(observe: Any) -> None:
    observe(5, days_ago=31)
    assert told() == set()


def test_a_spreadsheet_warns_as_a_form_does(
    tree: SimpleNamespace, people: SimpleNamespace, today: dt.date
) -> None:
    kind = registry.kind("mood")
    rows = [
        NewRow(row, {**sample_values(kind), "unit": tree.own, "occurred_on": today, "level": row})
        for row in (2, 4, 5)
    ]
    save_records(by=Actor.of(people.community_officer), kind=kind, new=rows, upload_id=1)
    assert MoodAlert.objects.filter(rule="level").count() == 4


def test_the_sweeper_finds_an_edit_and_says_nothing_twice(observe: Any) -> None:
    one = observe(2)
    MoodObservation.objects.filter(pk=one.pk).update(level=4)
    assert mood.raise_alerts() == 2
    assert mood.raise_alerts() == 0
    assert MoodAlert.objects.count() == 2


def test_seen_with_one_click_by_whoever_is_told(
    observe: Any, people: SimpleNamespace, sign_in: Any, tree: SimpleNamespace
) -> None:
    one = observe(4, gist="渔民关注补贴")
    street, community = sign_in(people.street_officer), sign_in(people.community_officer)
    alert = MoodAlert.objects.get(told=tree.street)
    assert "渔民关注补贴" in street.get("/").content.decode()
    assert SEEN not in community.get("/").content.decode()
    assert community.post(SEEN, {"alert": alert.pk}).status_code == 404
    assert sign_in(people.outsider).post(SEEN, {"alert": alert.pk}).status_code == 404
    assert street.post(SEEN, {"alert": "x" * 30}).status_code == 404
    for _time in range(2):
        assert street.post(SEEN, {"alert": alert.pk}).status_code == 302
    alert.refresh_from_db()
    assert (alert.seen_by, alert.seen_at is not None) == (people.street_officer, True)
    assert AuditEvent.objects.filter(action="mood.seen", object_pk=str(one.pk)).count() == 1
    assert SEEN not in street.get("/").content.decode()
    assert SEEN in sign_in(people.office).get("/").content.decode(), "the office has not seen it yet"


def test_the_action_itself_asks_who_puts_a_warning_away(
    observe: Any, people: SimpleNamespace, tree: SimpleNamespace
) -> None:
    observe(4)
    alert = MoodAlert.objects.get(told=tree.street)
    for name in ("community_officer", "office", "outsider"):
        with pytest.raises(PermissionDenied):
            mood.mark_seen(by=Actor.of(getattr(people, name)), alert=alert)
    alert.refresh_from_db()
    assert alert.seen_at is None


def test_a_removed_observation_warns_nobody(observe: Any, people: SimpleNamespace, sign_in: Any) -> None:
    one = observe(5)
    client = sign_in(people.community_officer)
    client.post(reverse("record_remove", args=["mood", one.pk]), {"reason": "录入错误"})
    assert SEEN not in sign_in(people.street_officer).get("/").content.decode()


def test_every_field_of_the_overview_opens_exactly_its_records(
    observe: Any, people: SimpleNamespace, sign_in: Any, tree: SimpleNamespace
) -> None:
    for level, days, topic in ((2, 0, "land"), (4, 0, "land"), (1, 40, "land"), (3, 70, "labour")):
        observe(level, days, topic=topic)
    observe(5, unit=tree.elsewhere_community, gist="别区的")
    for user in (people.office, people.street_officer, people.community_officer):
        client = sign_in(user)
        response = client.get(OVERVIEW)
        page = response.context["page"]
        assert page.count == 4
        cells = [cell for row in page.topics for cell in row.cells if cell]
        for part in (*cells, *page.places):
            listed = client.get(part.url)
            assert len(listed.context["rows"]) == part.count, part.url
        assert sum(cell.count for cell in cells) == sum(place.count for place in page.places) == 4
        links = re.findall(r'href="(/records/mood/\?[^"]+)"', response.content.decode())
        assert {unescape(link) for link in links} >= {cell.url for cell in cells}


def test_the_overview_asks_as_many_queries_however_much_there_is(
    observe: Any, people: SimpleNamespace, sign_in: Any
) -> None:
    client = sign_in(people.street_officer)
    observe(2)
    client.get(OVERVIEW)
    counts = []
    for number in range(2):
        for topic in ("land", "labour", "order")[: number * 3]:
            observe(3, 20 * number, topic=topic)
        with CaptureQueriesContext(connection) as asked:
            client.get(OVERVIEW)
        counts.append(len(asked))
    assert counts[0] == counts[1]
