"""What every figure means: the page of definitions and the API tell all that is declared, in the same words."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.db.models import Avg, Count, F, Q, Sum
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone, translation

from programs import registry
from programs.access import Actor
from programs.models import User
from programs.registry import Indicator, Measure
from programs.roles import Permission
from reporting.definitions import anchor_of, chapters, definition, definitions
from reporting.statistics import refresh

pytestmark = pytest.mark.django_db


def page_of(client: Client) -> str:
    response = client.get(reverse("indicators"))
    assert response.status_code == 200
    return response.content.decode()


def section_of(html: str, code: str) -> str:
    """The text of one definition."""
    [found] = re.findall(rf'(?s)<article[^>]* id="{anchor_of(code)}".*?</article>', html)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", found)).split())


@pytest.fixture
def leader(people: SimpleNamespace, sign_in: Callable[[User], Client]) -> Client:
    """The district's leader, reading English."""
    client = sign_in(people.leader)
    client.cookies[settings.LANGUAGE_COOKIE_NAME] = "en"
    return client


# --- all that is declared -------------------------------------------------------------------------


def test_every_declared_figure_is_explained_on_the_page(leader: Client) -> None:
    html = page_of(leader)
    for kind in registry.kinds():
        for figure in kind.declared:
            text = section_of(html, figure.code)
            told = [figure.code, figure.label, registry.measure_of(figure).label, figure.description]
            told += [kind.field(name).verbose_name for name in getattr(figure, "splits", ())]
            told += [part.label for part in kind.counted if getattr(part, "whole", "") == figure.code]
            told += ["May be added up" if figure.additive else "Not added up", "Leading-group office"]
            with translation.override("en"):
                assert [str(words) for words in told if str(words) not in text] == [], figure.code
    assert html.count("<article") == len(registry.declared())


def test_the_api_tells_the_same(leader: Client) -> None:
    found = leader.get(reverse("api_indicators")).json()["results"]
    assert [each["code"] for each in found] == [figure.code for figure in registry.declared()]
    counted = [code for each in found if not each["derived"] for code in (each["code"], *parts_of(each))]
    assert counted == [indicator.code for kind in registry.kinds() for indicator in kind.counted]
    assert any(map(parts_of, found))
    html = page_of(leader)
    for each in found:
        text = section_of(html, each["code"])
        told = [each["label"], each["description"], each["measure"]["label"], each["owner"], each["counted"]]
        assert [part for part in told if part not in text] == [], each["code"]
        assert each["condition"].lower() in text.lower()
        assert each["derived"] is bool(each["made_of"])


def parts_of(each: dict[str, Any]) -> list[str]:
    return [part["code"] for split in each["splits"] for part in split["parts"]]


def test_formulas_lead_to_the_figures_that_they_are_made_of(leader: Client) -> None:
    html = page_of(leader)
    ids = re.findall(r'\sid="([^"]*)"', html)
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"[A-Za-z][\w-]*", anchor_of(figure.code)) for figure in registry.declared())
    targets = set(re.findall(r'href="#([^"]+)"', html))
    assert targets <= set(ids)
    assert targets >= {anchor_of(code) for figure in registry.derived() for code in figure.of}
    assert "Participants ÷ Love-education activities" in section_of(html, "activities.participants_each")
    assert "“Six ones” activities ÷ Love-education activities × 100%" in section_of(
        html, "activities.six_ones_share"
    )
    assert "Love-education activities + Gratitude-culture events" in section_of(html, "education.count")


def test_figures_lead_to_their_definition(leader: Client, tree: SimpleNamespace, log: Any) -> None:
    log("gratitude", tree.own, timezone.localdate())
    refresh()
    address = reverse("dashboard_unit", args=[tree.district.code])
    html = leader.get(address, {"indicator": "gratitude.count"}).content.decode()
    assert f'href="{reverse("indicators")}#gratitude-count"' in html
    assert html.count(f'href="{reverse("indicators")}"') == 2, "in the menu, and beside the heading"


# --- in words -------------------------------------------------------------------------------------

# Of what is declared today: what is counted, and which records.
IN_WORDS = {
    "activities.count": ("Number of records", ""),
    "activities.six_ones": ("Number of records", "series is “Six ones” series"),
    "activities.festivals": ("Number of records", "series is Festival"),
    "activities.participants": ("Sum of “participants”", ""),
    "gratitude.count": ("Number of records", ""),
    "gratitude.media_reports": ("Sum of “media reports”", ""),
    "carriers.count": ("Number of records", ""),
    "cases.count": ("Number of records", ""),
    "cases.hours": ("Sum of “hours”", ""),
    "cases.clients": ("Number of different values of “client”", ""),
}


def test_declarations_in_words() -> None:
    with translation.override("en"):
        found = {each.figure.code: each for each in definitions() if not each.is_derived}
        told = {code: (found[code].counted, found[code].condition) for code in IN_WORDS}
        # A new declaration needs no line here as long as there are words for it.
        wordless = [each for each in found.values() if "definition says" in each.counted + each.condition]
    assert told == IN_WORDS
    assert [each.figure.code for each in wordless if not each.figure.description] == []


SERIES, SETTING = Q(series="festival"), Q(setting__in=["school", "organ"])


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        (SETTING, "setting is one of School, Government organ"),
        (Q(setting__in=["school"]), "setting is School"),
        (Q(festival=""), "festival is Not stated"),
        (Q(participants__exact=30), "participants is 30"),
        (~SERIES, "not (series is Festival)"),
        (SERIES & Q(setting="school"), "series is Festival and setting is School"),
        (SERIES | Q(setting="school"), "series is Festival or setting is School"),
        (
            (SERIES | Q(series="other")) & Q(setting="school"),
            "(series is Festival or series is Other activity) and setting is School",
        ),
        (Q(setting="school") & ~SERIES, "setting is School and not (series is Festival)"),
        (Q(participants__gte=30), "as the definition says"),
        (SERIES & Q(unit__tier="street"), "series is Festival and as the definition says"),
        (Q(no_such_field=1), "as the definition says"),
        (SERIES ^ Q(setting="school"), "as the definition says"),
    ],
)
def test_filters_in_words(condition: Q, words: str) -> None:
    kind = registry.kind("activities")
    declared = Indicator("x.y", "X", Count("pk"), Measure.TIMES, filter=condition)
    with translation.override("en"):
        assert definition(kind, declared).condition == words


@pytest.mark.parametrize(
    ("aggregate", "words", "condition"),
    [
        (Count("id"), "Number of records", ""),
        (Count("place", distinct=True), "Number of different values of “place”", ""),
        (Count("pk", filter=SERIES), "Number of records", "series is Festival"),
        (Sum(F("participants") * 2), "As the definition says", ""),
        (Sum("unit__pk"), "As the definition says", ""),
        (Count("*"), "As the definition says", ""),
        (Avg("participants"), "As the definition says", ""),
    ],
)
def test_aggregates_in_words(aggregate: Any, words: str, condition: str) -> None:
    with translation.override("en"):
        found = definition(registry.kind("activities"), Indicator("x.y", "X", aggregate, Measure.TIMES))
    assert (found.counted, found.condition) == (words, condition)


def test_a_declared_owner_answers_for_the_definition() -> None:
    kind = registry.kind("activities")
    declared = Indicator("x.y", "X", Count("pk"), Measure.TIMES, owner="区教育局", splits=("setting",))
    found = definition(kind, declared)
    assert found.owner == "区教育局"
    assert {part.owner for split in found.splits for part in split.parts} == {"区教育局"}


# --- for whom -------------------------------------------------------------------------------------


def test_only_readers_of_figures_read_definitions(
    people: SimpleNamespace, sign_in: Callable[[User], Client]
) -> None:
    for route in ("indicators", "api_indicators"):
        found = {
            role: sign_in(getattr(people, role)).get(reverse(route)).status_code
            for role in ("leader", "community_officer", "auditor", "administrator", "counsellor")
        }
        assert found == {
            "leader": 200,
            "community_officer": 200,
            "auditor": 200,
            "administrator": 403,
            "counsellor": 403,
        }


def test_lists_of_records_are_for_those_who_may_open_them(
    people: SimpleNamespace, leader: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    html = page_of(leader)
    for chapter in chapters(Actor.of(people.leader)):
        assert chapter.url == reverse("record_list", args=[chapter.kind.code])
        assert f'href="{chapter.url}"' in html
    monkeypatch.setattr(Actor, "may", lambda actor, permission: permission is not Permission.RECORD_VIEW)
    assert {chapter.url for chapter in chapters(Actor.of(people.leader))} == {""}


def test_definitions_ask_the_database_nothing(leader: Client) -> None:
    page_of(leader)
    with CaptureQueriesContext(connection) as asked:
        page_of(leader)
    assert len(asked) == 2, "the session; the person with the grants"
