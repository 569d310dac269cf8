"""Every route × method × person × scope, against the table of tests/access_table.py.

Each cell is a real request in a transaction that is taken back. It checks the outcome, that nothing was written where
nothing may be, and that no answer, not even an error page, names a record out of the person's sight.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.cookies import SimpleCookie
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection, transaction
from django.urls import reverse

from programs import registry
from programs.access import requirement_of
from programs.models import AuditEvent
from programs.roles import ROLES, Permission
from tests import access_table as table
from tests import payloads
from tests.access_table import ELSEWHERE, OWN, Open, Outcome, Person, Rule, Subject
from tests.walker import (
    Route,
    content_of,
    fill,
    marks_in,
    passing_world,
    routes,
    sensitive,
    text_of,
    wanted_of,
)

ROUTES = routes()
AXES = {
    "routes": len(ROUTES),
    "methods": len(table.METHODS),
    "people": len(table.PEOPLE),
    "scopes": len({scope for subject in Subject for scope in subject.scopes if scope}),
}
SAFE = {"GET", "HEAD", "OPTIONS"}
WRITTEN = re.compile(r'(?is)^\s*(?:INSERT\s+(?:OR \w+ )?INTO|UPDATE|DELETE\s+FROM)\s+"?(\w+)')
# A refused request may leave a session and a trace of the denial, a reading one a trace of what was read.
TRACES = {"django_session", "programs_auditevent"}


# --- the world, made once for the module ----------------------------------------------------------


@pytest.fixture(scope="module")
def world(django_db_setup: None, django_db_blocker: Any) -> Iterator[SimpleNamespace]:
    """In a transaction that is taken back at the end; cells are savepoints in it."""
    with django_db_blocker.unblock(), passing_world(table.PEOPLE) as made:
        made.clients = {}
        for person in table.PEOPLE:
            client = made.sign_in(person)
            made.clients[person.name] = (client, client.cookies)
        closed = made.people["deactivated"]
        type(closed).objects.filter(pk=closed.pk).update(is_active=False)
        yield made


# --- one cell -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    outcome: Outcome | str
    text: str
    written: frozenset[str]
    done: int  # audit events of things done


def ask(world: SimpleNamespace, route: Route, rule: Rule, method: str, person: Person, scope: str) -> Answer:
    client, cookies = world.clients[person.name]
    client.cookies = SimpleCookie({name: morsel.value for name, morsel in cookies.items()})
    address = fill(route, world, scope)
    if rule.query:
        address += f"?{rule.query}"
    sent = payloads.payload(route, rule, world, method, scope)
    cache.clear()
    with transaction.atomic():
        last = AuditEvent.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
        with writes() as written:
            response = client.generic(method, address, **sent)
            text = text_of(content_of(response))
        done = AuditEvent.objects.filter(pk__gt=last, outcome=AuditEvent.Outcome.DONE).count()
        transaction.set_rollback(True)
    return Answer(outcome_of(route, response), text, frozenset(written), done)


@contextmanager
def writes() -> Iterator[set[str]]:
    """The tables written to meanwhile."""
    tables: set[str] = set()

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if found := WRITTEN.match(sql):
            tables.add(found[1])
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        yield tables


def outcome_of(route: Route, response: Any) -> Outcome | str:
    match response.status_code:
        case 401:
            return Outcome.SIGN_IN if route.is_api else "401 from a page"
        case 403:
            return Outcome.FORBIDDEN
        case 404:
            return Outcome.NOT_FOUND
        case 405:
            return Outcome.NO_METHOD
        case 302 if response["Location"].startswith(f"{reverse('sign_in')}?next="):
            return Outcome.SIGN_IN
        case status if status < 400:
            return Outcome.OK
        case 400 | 409 | 413 | 422 | 429:
            return Outcome.REFUSED
        case status:
            exception = getattr(response, "exc_info", None)
            return f"{status} ({exception[1]!r})" if exception else str(status)


# --- the checks of a cell -------------------------------------------------------------------------


def faults(
    route: Route, rule: Rule, method: str, person: Person, scope: str, answer: Answer
) -> Iterator[str]:
    wanted = wanted_of(route, rule, method, person, scope)
    changed = answer.written - TRACES
    allowed = Outcome.OK in wanted and Outcome.REFUSED not in wanted
    if Outcome.REFUSED in wanted:
        # A form answers a refusal with itself (200) or as an error: what counts is that nothing was done.
        wanted = {Outcome.REFUSED, Outcome.OK, Outcome.FORBIDDEN, Outcome.NOT_FOUND}
    elif allowed and method in rule.methods and method not in SAFE | rule.writes:
        # Nothing sensible was sent: to be told so is as good as done.
        wanted = {Outcome.OK, Outcome.REFUSED}
    if answer.outcome not in wanted:
        names = "/".join(sorted(getattr(outcome, "value", outcome) for outcome in wanted))
        yield f"{getattr(answer.outcome, 'value', answer.outcome)} instead of {names}"
    if changed and not (allowed and method in rule.methods and method not in SAFE):
        yield f"wrote to {sorted(changed)}"
    if answer.done and not allowed:
        yield "left an audit event of something done"
    if allowed and method in rule.writes and not changed:
        yield "was allowed and wrote nothing"


def leaks(rule: Rule, method: str, person: Person, answer: Answer) -> Iterator[str]:
    """Records that the answer names and the person may not see; for lists, those it should name and does not."""
    named = marks_in(answer.text)
    for code, scope in sorted(named):
        if code not in rule.open_names and not may_know(person, code, scope):
            yield f"names {code}-{scope}"


def may_know(person: Person, code: str, scope: str) -> bool:
    if code == "events":
        return table.sees_event(person, scope)
    if code == "people":
        return table.sees_person(person, scope)
    if code == "saved":
        return table.sees_shared(person, scope)
    if code == "uploads":
        return table.sees_upload(person, scope)
    if code == "units":
        # A person knows where they hold, held or will hold a role themselves.
        own = {OWN} if person.role else set()
        return table.sees_unit(person, scope) or scope in own | ({ELSEWHERE} if person.rests else set())
    if scope == "gone_joint":
        return False  # led by another street, and not theirs to bring back
    if scope.startswith("gone_"):
        return table.sees_removed(person, scope.removeprefix("gone_"))
    return table.sees_record(person, scope)


def wrong_list(route: Route, rule: Rule, person: Person, answer: Answer) -> Iterator[str]:
    if not rule.lists or answer.outcome is not Outcome.OK:
        return
    codes = [{"open units": "units"}.get(rule.lists, rule.lists)]
    if "records" in rule.lists:
        codes = [route.kind.code] if route.kind else []
    elif person.rests:
        return  # the frame of the page names the other unit, too
    wanted = table.listed(rule, person)
    for listed in codes:
        named = {scope for code, scope in marks_in(answer.text) if code == listed}
        if named != wanted:
            yield f"lists {sorted(named)} of {listed} instead of {sorted(wanted)}"


# --- the tests ------------------------------------------------------------------------------------


def test_every_route_has_a_rule() -> None:
    """A new page must be entered in the table before it can pass."""
    assert sorted({route.name or route.path for route in ROUTES if table.rule_for(route.name) is None}) == []


def test_every_rule_has_a_route() -> None:
    names = {route.name for route in ROUTES}
    unused = [pattern for pattern in table.RULES if not any(table.matches(pattern, name) for name in names)]
    assert unused == []


@pytest.mark.parametrize("route", ROUTES, ids=str)
def test_the_route_declares_what_the_table_says(route: Route) -> None:
    rule = table.rule_for(route.name)
    assert rule is not None
    for method, need in rule.methods.items():
        declared = requirement_of(route.callback, method)
        assert declared is not None, f"{method} {route} declares nothing"
        if declared.public:
            assert need is Open.PUBLIC, method
        else:
            # A view that only looks whether a role is held, and of what kind, declares a signed-in person.
            assert (declared.permission or Open.SIGNED_IN) == (
                Open.SIGNED_IN if need is Open.ROLE else need
            ), method


def is_repetition(route: Route) -> bool:
    """A kind like another one, or what SQLite has answered everybody: asked by the roles, and each for a third of the
    scopes, another third of the next kind. The first kind, and those with fields of class C3, are asked in full."""
    is_like_another = (
        route.kind is not None and route.kind is not registry.kinds()[0] and not sensitive(route)
    )
    return is_like_another or connection.vendor == "postgresql"


def third_of(route: Route) -> int | None:
    if not is_repetition(route):
        return None
    return (registry.kinds().index(route.kind) if route.kind else 0) % 3


@pytest.mark.django_db
@pytest.mark.parametrize("route", ROUTES, ids=str)
def test_access(
    route: Route, world: SimpleNamespace, record_property: Any, request: pytest.FixtureRequest
) -> None:
    rule = table.rule_for(route.name)
    assert rule is not None
    wrong: list[str] = []
    leaked: list[str] = []
    count = 0
    for method, person, scope in table.cells(rule, roles_only=is_repetition(route), third=third_of(route)):
        answer = ask(world, route, rule, method, person, scope)
        cell = f"{method} {route} by {person.name}" + (f" on {scope}" if scope else "")
        wrong += [f"{cell}: {fault}" for fault in faults(route, rule, method, person, scope, answer)]
        leaked += [f"{cell}: {leak}" for leak in leaks(rule, method, person, answer)]
        if method == "GET":
            leaked += [f"{cell}: {fault}" for fault in wrong_list(route, rule, person, answer)]
        count += 1
        if request.config.getoption("maxfail") == 1 and (wrong or leaked):
            break  # -x: one fault is enough (tests/mutate_scopes.py)
    record_property(
        "access_matrix", {"axes": AXES, "cells": count, "leaks": len(leaked), "wrong": len(wrong)}
    )
    assert not leaked, f"{len(leaked)} leaks:\n" + "\n".join(leaked[:20])
    assert not wrong, f"{len(wrong)} cells differ from the table:\n" + "\n".join(wrong[:20])


# --- the table itself -----------------------------------------------------------------------------


def test_the_table_knows_every_role_and_permission() -> None:
    assert {person.role for person in table.PEOPLE} >= set(ROLES)
    outcomes = Counter(
        outcome
        for route in ROUTES
        if (rule := table.rule_for(route.name))
        for method, person, scope in table.cells(rule)
        for outcome in table.expected(rule, method, person, scope)
    )
    # Every way to answer is expected somewhere: a table that allows everything would show here.
    assert set(outcomes) == set(Outcome)


@pytest.mark.parametrize(
    ("name", "scope", "outcome"),
    [
        ("community_officer", "own", Outcome.OK),
        ("community_officer", "merged", Outcome.OK),
        ("community_officer", "child", Outcome.NOT_FOUND),
        ("community_officer", "joint", Outcome.FORBIDDEN),
        ("street_officer", "child", Outcome.FORBIDDEN),
        ("street_officer", "joint_below", Outcome.FORBIDDEN),
        ("office_alone", "child", Outcome.NOT_FOUND),
        ("office", "parent", Outcome.NOT_FOUND),
        ("leader", "own", Outcome.FORBIDDEN),
        ("auditor", "elsewhere", Outcome.FORBIDDEN),
        ("expired", "own", Outcome.FORBIDDEN),
        ("stranger", "own", Outcome.SIGN_IN),
    ],
)
def test_the_table_by_hand(name: str, scope: str, outcome: Outcome) -> None:
    """Some cells for changing a record, worked out on paper."""
    person = next(person for person in table.PEOPLE if person.name == name)
    rule = Rule({"POST": Permission.RECORD_WRITE}, Subject.RECORD)
    assert table.expected(rule, "POST", person, scope) == {outcome}
