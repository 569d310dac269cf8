"""The demo: real units, one person for every role, and records that add up to the address of the year."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db.models import Sum
from django.utils import timezone

from outreach.models.opinion import Opinion
from programs import demo, registry
from programs.access import Actor, role_rank
from programs.actions.units import move_unit, rename_unit
from programs.boundaries import paths_in
from programs.models import AuditEvent, Carrier, EducationActivity, Grant, Placement, Unit, User
from programs.roles import ROLES


def load() -> str:
    out = StringIO()
    call_command("load_demo", stdout=out)
    return out.getvalue()


def everything() -> list[Any]:
    models: list[Any] = [Unit, Placement, User, Grant, AuditEvent, *(kind.model for kind in registry.kinds())]
    return [list(model._default_manager.order_by("pk").values()) for model in models]


def test_the_demo(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """One test for all of it: loading takes its seconds."""
    monkeypatch.setenv("DEMO_PASSWORD", "a-password-of-the-day")
    load()
    units_are_all_there()
    people_hold_every_role()
    records_add_up_to_the_address()
    records_look_like_work()
    steps_follow_each_other()

    own = Unit.objects.get(code="331002001003")
    today = timezone.localdate()
    rename_unit(by=None, unit=own, name="改名社区", effective_on=today)
    move_unit(by=None, unit=own, parent=Unit.objects.get(code="331002002"), effective_on=today)
    User.objects.filter(username="office").update(name="换名")
    before = everything()
    load()
    assert everything() == before, "what is there already stays, also what has been changed since"


def units_are_all_there() -> None:
    assert Unit.objects.exclude(code__contains="B").count() == 280
    assert Unit.objects.filter(code__contains="B").count() >= 20
    names = set(Unit.objects.values_list("name", flat=True))
    for word in (
        "领导小组办公室",
        "公安分局",
        "民政局",
        "慈善总会",
        "妇联",
        "团区委",
        "残联",
        "总工会",
        "法院",
        "教育局",
    ):
        assert any(word in name for name in names), word
    assert {"school", "enterprise", "health_centre"} <= set(Unit.objects.values_list("kind", flat=True))


def steps_follow_each_other() -> None:
    steps = [list(opinion.steps.order_by("number")) for opinion in Opinion.objects.prefetch_related("steps")]
    assert max(len(some) for some in steps) > 4
    for some in steps:
        moments = [step.at for step in some]
        assert moments == sorted(moments), some


def people_hold_every_role() -> None:
    assert {row["role"] for row in demo.people()} == set(ROLES)
    for username, _role, unit in demo.SIGN_INS:
        user = User.objects.get(username=username)
        assert user.check_password("a-password-of-the-day"), username
        actor = Actor.of(user)
        assert unit in {grant.unit.name for grant in actor.choices}
    office = Actor.of(User.objects.get(username="office"))
    assert [grant.role for grant in office.choices] == sorted(["office", "unit_officer"], key=role_rank)
    assert len({grant.unit_id for grant in office.choices}) == 2, "there is a unit to switch to"


def records_add_up_to_the_address() -> None:
    year = timezone.localdate().year
    six_ones = EducationActivity.objects.filter(series="six_ones", occurred_on__year=year)
    assert six_ones.count() == 76
    assert 78_000 <= six_ones.aggregate(n=Sum("participants"))["n"] < 79_000
    before = EducationActivity.objects.filter(series="six_ones", occurred_on__year=year - 1)
    assert 0 < before.count() < 76


def records_look_like_work() -> None:
    activities = EducationActivity.objects.select_related("unit")
    places = paths_in(timezone.localdate(), set(activities.values_list("unit", flat=True)))
    streets = {path.split("/")[2] for path in places.values() if path.count("/") > 3}
    assert len(places) > 60, "many units log"
    assert len(streets) >= 10, "in nearly every street"
    assert set(activities.values_list("setting", flat=True)) == {"school", "enterprise", "organ", "community"}
    assert activities.exclude(joint_units=None).count() > 20
    assert activities.filter(unit__code="331002001003").count() >= 3, "the officer who signs in sees work"
    carriers = Carrier.objects.values_list("unit", "name")
    assert len(carriers) == len(set(carriers)) >= 20
    assert not Carrier.objects.exclude(phone__startswith="120").exists(), "nobody's telephone"


def test_the_demo_is_not_for_production(db: None, settings: Any) -> None:
    settings.PRODUCTION = True
    with pytest.raises(CommandError, match=r"not for production|正式环境"):
        load()
    assert not User.objects.exists()
    assert not Unit.objects.exists()
