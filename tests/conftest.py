"""A small tree of units and people with every role; the fixtures that nearly every test uses."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client

from programs import registry
from programs.access import Actor
from programs.actions.units import create_unit
from programs.models import Grant, Unit, User
from programs.models.record import Record
from programs.roles import ROLES

OPENED = dt.date(2008, 1, 1)


@pytest.fixture
def tree(db: None) -> SimpleNamespace:
    """Two districts. `own` is the community that tests act for; the others are named by where they stand to it."""

    def unit(code: str, name: str, tier: str, kind: str, parent: Unit | None = None) -> Unit:
        return create_unit(
            by=None, code=code, name=name, tier=tier, kind=kind, parent=parent, opened_on=OPENED
        )

    district = unit("331002", "椒江区", "district", "district")
    street = unit("331002001", "海门街道", "street", "street", district)
    other_street = unit("331002002", "白云街道", "street", "street", district)
    own = unit("331002001003", "城隍浦社区", "community", "community", street)
    sibling = unit("331002001004", "衙门巷社区", "community", "community", street)
    cousin = unit("331002002001", "云西社区", "community", "community", other_street)
    police = unit("331002D01", "公安分局", "district", "department", district)
    school = unit("331002001S1", "海门小学", "street", "school", street)
    elsewhere = unit("331003", "黄岩区", "district", "district")
    elsewhere_street = unit("331003001", "东城街道", "street", "street", elsewhere)
    elsewhere_community = unit("331003001001", "东浦社区", "community", "community", elsewhere_street)
    return SimpleNamespace(
        district=district,
        street=street,
        other_street=other_street,
        own=own,
        sibling=sibling,
        cousin=cousin,
        police=police,
        school=school,
        elsewhere=elsewhere,
        elsewhere_street=elsewhere_street,
        elsewhere_community=elsewhere_community,
    )


@pytest.fixture
def make_user(db: None) -> Callable[..., User]:
    """make_user("insider", "community_officer", unit): a person with one grant of the role's usual reach."""

    def make(username: str, role: str | None = None, unit: Unit | None = None, **grant: Any) -> User:
        user = User.objects.filter(username=username).first()
        if user is None:
            user = User.objects.create_user(username, "a-long-password-1", name=f"{username}姓名")
        if role and unit:
            grant.setdefault("include_descendants", ROLES[role].with_descendants)
            grant.setdefault("valid_from", OPENED)
            Grant.objects.create(user=user, role=role, unit=unit, **grant)
        return user

    return make


@pytest.fixture
def people(tree: SimpleNamespace, make_user: Callable[..., User]) -> SimpleNamespace:
    """One person of every role, named by the role's code, and `outsider`: an officer of another district."""
    homes = {
        "leader": tree.district,
        "office": tree.district,
        "street_officer": tree.street,
        "community_officer": tree.own,
        "unit_officer": tree.police,
        "counsellor": tree.own,
        "counselling_supervisor": tree.district,
        "auditor": tree.district,
        "administrator": tree.district,
    }
    found = {role: make_user(role, role, home) for role, home in homes.items()}
    found["outsider"] = make_user("outsider", "community_officer", tree.elsewhere_community)
    return SimpleNamespace(**found)


@pytest.fixture
def actor() -> Callable[[User], Actor]:
    return Actor.of


@pytest.fixture
def sign_in() -> Callable[[User], Client]:
    """A client signed in as the person."""

    def make(user: User) -> Client:
        client = Client()
        client.force_login(user, backend="programs.backends.PortalBackend")
        return client

    return make


@pytest.fixture
def make_record() -> Callable[..., Record]:
    """make_record("activities", unit, by=user, participants=30): a record through the one way in."""
    from programs.actions import save_record
    from tests.factories import sample_values

    def make(code: str, unit: Unit, by: User, joint_units: list[Unit] | None = None, **values: Any) -> Any:
        kind = registry.kind(code)
        values = {**sample_values(kind), "unit": unit, **values}
        return save_record(by=Actor.of(by), kind=kind, values=values, joint_units=joint_units or [])

    return make


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The size of the access matrix, summed up over the processes of a run (tests/test_every_url.py), and what the
    hostile and messy spreadsheets took (tests/reporting/uploads)."""
    properties = [
        dict(report.user_properties)
        for reports in (terminalreporter.getreports("passed"), terminalreporter.getreports("failed"))
        for report in reports
    ]
    parts = [found["access_matrix"] for found in properties if "access_matrix" in found]
    if parts:
        cells, leaks, wrong = (sum(part[name] for part in parts) for name in ("cells", "leaks", "wrong"))
        axes = "{routes} routes × {methods} methods × {people} people × {scopes} scopes".format(
            **parts[0]["axes"]
        )
        terminalreporter.write_line(
            f"access matrix: {axes}: {cells} cells, {leaks} leaks, {wrong} differences from the table"
        )
    readings = [found["reading"] for found in properties if "reading" in found]
    if readings:
        from tests.reporting.uploads.corpus import report

        for line in report(readings, in_full=terminalreporter.config.option.verbose > 0):
            terminalreporter.write_line(line)


def read_to_the_end(response: Any) -> bytes:
    """The body of an answer that may be streamed. At its end the test client closes it, and only it keeps the
    connection of the test open meanwhile."""
    return b"".join(response.streaming_content) if response.streaming else response.content
