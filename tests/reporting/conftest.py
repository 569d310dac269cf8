"""What the tests of statistics share."""

from __future__ import annotations

import datetime as dt
import itertools
import uuid
from collections.abc import Callable
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from programs import registry
from programs.access import Actor
from programs.actions import remove_record, save_record
from programs.actions.units import create_unit, move_unit
from programs.models import Grant, Unit, User
from reporting.statistics import refresh
from tests.factories import ENDED, sample_values


def officer_of(user: User, *units: Unit) -> Actor:
    """The person as an officer of each of these units at once."""
    grants = []
    for unit in dict.fromkeys(units):
        held = {"user": user, "role": "unit_officer", "unit": unit}
        # A merger may have brought a grant here already.
        standing = Grant.objects.filter(**held, valid_to=None, revoked_at=None).first()
        grants.append(
            standing
            or Grant.objects.create(**held, valid_from=dt.date(2008, 1, 1), include_descendants=False)
        )
    return Actor(user, tuple(grants))


@pytest.fixture
def log(db: None, make_user: Callable[..., User]) -> Callable[..., Any]:
    """log("activities", unit, dt.date(2025, 3, 5), participants=30): a record by an officer of that very unit."""
    officer = make_user("officer")

    def make(code: str, unit: Unit, day: dt.date, *joint: Unit, **values: Any) -> Any:
        kind = registry.kind(code)
        by = officer_of(officer, unit)
        values = {**sample_values(kind), "unit": unit, "occurred_on": day, **values}
        return save_record(by=by, kind=kind, values=values, joint_units=list(joint))

    return make


@pytest.fixture
def lived_in(
    tree: SimpleNamespace, make_user: Callable[..., User], log: Callable[..., Any]
) -> SimpleNamespace:
    """Four months of records at every tier. The community `own` moves to the other street in March, a body attached to
    it with it; `rover` leaves for March only."""
    tree.workshop = create_unit(
        by=None,
        code="331002001003E1",
        name="城隍浦鞋厂",
        tier="community",
        kind="enterprise",
        parent=tree.own,
        opened_on=dt.date(2008, 1, 1),
    )
    tree.rover = create_unit(
        by=None,
        code="331002001005",
        name="育才社区",
        tier="community",
        kind="community",
        parent=tree.street,
        opened_on=dt.date(2008, 1, 1),
    )
    units = [tree.district, tree.street, tree.other_street, tree.own, tree.sibling, tree.cousin, tree.police]
    units += [tree.school, tree.workshop, tree.rover, tree.elsewhere_community]
    counted_apart = ("activities", "gratitude", "carriers", "cases")
    many: dict[str, list[Any]] = {kind.code: [] for kind in registry.kinds()}

    def add(code: str, unit: Unit, day: dt.date, **values: Any) -> None:
        kind, officer = registry.kind(code), make_user("officer")
        who = {"created_by": officer, "updated_by": officer, "submission_key": uuid.uuid4()}
        made = kind.model(**{**sample_values(kind), "unit": unit, "occurred_on": day, **who, **values})
        kind.prepare(made)
        many[code].append(made)

    for year, month in itertools.product((2024, 2025), (1, 2, 3, 4)):
        for number, unit in enumerate(units):
            day = dt.date(year, month, 3 + number)
            series = ["six_ones", "other"][(number + month) % 2]
            add("activities", unit, day, participants=number + 10 * month, series=series)
            add("cases", unit, day, client="甲乙丙"[(number * month) % 3], hours=Decimal(number) / 2)
            if (number + month + year) % 3 == 0:
                add("gratitude", unit, day, media_reports=number)
            if (number + month) % 4 == 0:
                add("carriers", unit, day)
    for unit, kind in itertools.product(units, registry.kinds()):
        if kind.code not in counted_apart:  # one of each other kind
            add(kind.code, unit, dt.date(2025, 2, 15), **ENDED.get(kind.code, {}))
    for code, records in many.items():
        registry.kind(code).model.objects.bulk_create(records)
    for month in (1, 2, 3, 4):
        log("activities", tree.police, dt.date(2025, month, 20), tree.own, tree.cousin, participants=100)
        log("cases", tree.cousin, dt.date(2025, month, 21), tree.own, tree.street, client="丁")
        log("cases", tree.workshop, dt.date(2025, month, 22), tree.own, client="戊")
    gone = log("activities", tree.own, dt.date(2025, 2, 9), participants=5000)
    remove_record(
        by=officer_of(make_user("officer"), tree.own), kind=registry.kind("activities"), record=gone
    )
    refresh()
    move_unit(by=None, unit=tree.rover, parent=tree.other_street, effective_on=dt.date(2025, 3, 1))
    tree.rover.refresh_from_db()
    move_unit(by=None, unit=tree.rover, parent=tree.street, effective_on=dt.date(2025, 4, 1))
    move_unit(by=None, unit=tree.own, parent=tree.other_street, effective_on=dt.date(2025, 3, 18))
    for unit in vars(tree).values():
        unit.refresh_from_db()
    refresh()
    return tree
