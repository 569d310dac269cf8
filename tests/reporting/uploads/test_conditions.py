"""Constraints judged in Python are judged as by the database."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from django.db import models
from django.db.models import CheckConstraint, F, Q, Value
from django.db.models.functions import Length
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from programs import registry
from programs.models import GratitudeEvent, Unit
from reporting.uploads import conditions

pytestmark = pytest.mark.django_db

DAYS = [None, dt.date(2008, 1, 1), dt.date(2026, 3, 5)]
TEXTS = ["", "wall", "墙"]
NUMBERS = [None, -1, 0, 12, 200_001]


def constraint(condition: Q) -> CheckConstraint:
    return CheckConstraint(name="x", condition=condition)


LOOKUPS = ["", "__lt", "__lte", "__gt", "__gte"]
leaves = st.one_of(
    st.builds(
        lambda lookup, value: Q(**{f"participants{lookup}": value}),
        st.sampled_from(LOOKUPS),
        st.sampled_from([0, 12, 200_000]),
    ),
    st.builds(lambda value: Q(participants=value), st.sampled_from([None, 0, 12])),
    st.builds(lambda value: Q(media_reports__lte=value), st.just(F("participants"))),
    st.builds(lambda value: Q(participants__isnull=value), st.booleans()),
    st.builds(lambda value: Q(form=value), st.sampled_from(TEXTS)),
    st.builds(lambda values: Q(form__in=values), st.lists(st.sampled_from(TEXTS), min_size=1, max_size=2)),
    st.builds(lambda value: Q(occurred_on__gte=value), st.sampled_from(DAYS[1:])),
    st.builds(lambda value: Q(occurred_on__range=(value, dt.date(2026, 3, 5))), st.sampled_from(DAYS[1:])),
)
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(lambda a, b: a & b, inner, inner),
        st.builds(lambda a, b: a | b, inner, inner),
        st.builds(lambda a: ~a, inner),
    ),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(  # not (not unknown) is unknown
    tree=~(~Q(participants__gt=0) & Q(form="wall")), day=None, form="wall", first=None, second=None
)
@given(
    tree=trees,
    day=st.sampled_from(DAYS),
    form=st.sampled_from(TEXTS),
    first=st.sampled_from(NUMBERS),
    second=st.sampled_from(NUMBERS),
)
def test_conditions_are_judged_as_by_the_database(
    tree: Q, day: Any, form: str, first: Any, second: Any
) -> None:
    values = {"occurred_on": day, "form": form, "participants": first, "media_reports": second}
    fields = {name: Value(value, GratitudeEvent._meta.get_field(name)) for name, value in values.items()}
    judged = conditions.compiled(constraint(tree), GratitudeEvent)(values)
    assert (judged is not False) is tree.check(fields)


@pytest.mark.parametrize(
    "condition",
    [
        Q(title__startswith="a"),
        Q(title__lt="b"),
        Q(unit__tier="street"),
        Q(nothing=1),
        Q(participants__gt=Length("title")),
        Q(participants__in=[]),
        Q(participants__in=Unit.objects.all()),
        Q(participants=1) ^ Q(participants=2),
        Q(participants="many"),
        Q(title__range=("a", "b")),
        Q(participants__gt=F("title")),
        Q(Q()),
        Q(models.Exists(Unit.objects.all())),
    ],
)
def test_what_is_not_understood_is_left_to_the_database(condition: Q) -> None:
    assert not conditions.is_supported(constraint(condition), GratitudeEvent)


def test_names_in_a_condition() -> None:
    condition = (Q(a__gte=1) | ~Q(b=F("c"))) & Q(d__in=[1])
    assert conditions.names_in(condition) == {"a", "b", "c", "d"}


def test_a_foreign_key_is_compared_by_its_id() -> None:
    unit = Unit(pk=7)
    judge = conditions.compiled(constraint(Q(unit=unit)), GratitudeEvent)
    assert judge({"unit": 7}) is True
    assert judge({"unit": 8}) is False


def test_decimals() -> None:
    model = registry.kind("cases").model
    judge = conditions.compiled(constraint(Q(hours__lte=Decimal("1.50"))), model)
    assert judge({"hours": Decimal("1.5")}) is True
    assert judge({"hours": Decimal("1.51")}) is False
