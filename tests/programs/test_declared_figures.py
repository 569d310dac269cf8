"""What the registry refuses of indicators and derived figures: what would lead to a figure that says nothing."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db.models import Count, Max, Q, Sum

from programs import registry
from programs.checks import check_derived_figures
from programs.kinds import EducationActivityKind
from programs.registry import Average, Derived, Indicator, Measure, Promise, Rate, Total

COUNT, SIX_ONES = ("activities.count", "activities.six_ones")


def problems(monkeypatch: pytest.MonkeyPatch, *declared: Derived) -> list[str]:
    monkeypatch.setattr(EducationActivityKind, "derived", list(declared))
    return [str(error.msg) for error in check_derived_figures()]


def test_what_is_declared_is_sound() -> None:
    assert check_derived_figures() == []


@pytest.mark.parametrize(
    ("figure", "said"),
    [
        (Total("x", "X", of=(COUNT, "activities.participants")), "different measures"),  # 次 and 人次
        (Total("x", "X", of=("cases.clients", "cases.clients")), "a distinct count is never added"),
        (Rate("x", "X", of=(COUNT, SIX_ONES)), "is no part of"),  # above 100 %
        (Rate("x", "X", of=("gratitude.count", COUNT)), "is no part of"),  # of another kind
        (Rate("x", "X", of=("activities.participants", COUNT)), "is no part of"),  # of another count
        (Average("x", "X", of=("activities.nothing", COUNT)), "there is no indicator activities.nothing"),
    ],
)
def test_derived_figures_that_say_nothing_are_refused(
    figure: Derived, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    [problem] = problems(monkeypatch, figure)
    assert said in problem


def test_a_rate_never_exceeds_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    share = Rate("x", "X", of=(SIX_ONES, COUNT))
    assert problems(monkeypatch, share) == []
    assert share.value_of([Decimal(2), Decimal(3)]) == Decimal("66.7")
    assert share.value_of([Decimal(3), Decimal(3)]) == 100
    assert share.value_of([Decimal(0), Decimal(0)]) is None


def declare(monkeypatch: pytest.MonkeyPatch, **attributes: Any) -> None:
    """Registers a kind like that of activities, in a registry without the latter."""
    without = {code: kind for code, kind in registry._kinds.items() if code != "activities"}
    monkeypatch.setattr(registry, "_kinds", without)
    registry.register(type("Another", (EducationActivityKind,), attributes))


def test_a_kind_like_a_good_one_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    declare(monkeypatch)
    assert registry.kind("activities").counted


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        (
            {"indicators": [Indicator("a", "A", Count("pk"), Measure.TIMES, splits=("theme",))]},
            "no field with choices",
        ),
        (
            {"indicators": [Indicator("a", "A", Count("pk"), Measure.TIMES, splits=("colour",))]},
            "no field with choices",
        ),
        (
            {"indicators": [Indicator("a", "A", Max("participants"), Measure.PEOPLE)]},
            "neither counts nor adds up",
        ),
        ({"indicators": [Indicator("carriers.count", "A", Count("pk"), Measure.TIMES)]}, "is taken"),
        ({"derived": [Total("carriers.count", "A", of=(COUNT,))]}, "is taken"),
        ({"promises": {Promise.HELP: ["activities.count@setting=moon"]}}, "which is not counted"),
    ],
)
def test_what_a_kind_may_not_declare(
    attributes: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ImproperlyConfigured, match=said):
        declare(monkeypatch, **attributes)


def test_nothing_is_split_by_what_not_everybody_may_read(monkeypatch: pytest.MonkeyPatch) -> None:
    from programs.field_classes import C2

    field = EducationActivityKind.model._meta.get_field("setting")
    monkeypatch.setattr(field, "field_class", C2)
    with pytest.raises(ImproperlyConfigured, match="not everybody who sees figures"):
        declare(monkeypatch)


def test_a_part_is_the_whole_with_a_narrower_filter() -> None:
    kind = registry.kind("activities")
    whole = kind.indicator(SIX_ONES)
    summed = Indicator(
        "a", "A", Sum("participants"), Measure.PERSON_TIMES, filter=whole.filter, splits=("setting",)
    )
    parts = kind.parts(summed, "setting")
    assert [part.value for part in parts] == ["school", "enterprise", "organ", "community"]
    assert {part.measure for part in parts} == {Measure.PERSON_TIMES}
    assert parts[0].filter == Q(series="six_ones") & Q(setting="school")
    # A field that may be blank has a part for what was left blank, so that parts add up.
    assert [part.value for part in kind.parts(summed, "festival")][-1] == ""
