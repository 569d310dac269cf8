"""The API against its own description: what Schemathesis makes of it, right and wrong, is answered as described.

Every phase runs (examples, coverage, fuzzing, stateful) for people of four roles, in this process, with a fixed seed.
`API_SCHEMA_EXAMPLES=200` looks much longer, at every kind for everybody; the default is meant for every run.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, connection
from django.test import Client
from schemathesis.engine import events, from_schema

from programs import registry

THOROUGH = "API_SCHEMA_EXAMPLES" in os.environ
EXAMPLES = int(os.environ.get("API_SCHEMA_EXAMPLES", "8"))
TOKEN = "c" * 32  # of CSRF: the cookie and the header say the same
# The phases of one run each take a while: writers share the kinds, readers look at the one with fields of every class.
WRITERS, READERS = ["community_officer", "office"], ["leader", "auditor"]
EVERY_CLASS = "cases"

portal = cache(get_wsgi_application)


@pytest.fixture
def application() -> Iterator[Callable[..., Any]]:
    """The portal as a browser asks it. Connections last for a phase, not for a request: most time went there."""
    opened: dict[int, Any] = {}

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        environ["HTTP_COOKIE"] = f"csrftoken={TOKEN}; {environ.get('HTTP_COOKIE', '')}"
        environ["HTTP_X_CSRFTOKEN"] = TOKEN
        mine = connection._connections[connection._alias]
        if opened.setdefault(id(mine), mine) is mine and not mine.allow_thread_sharing:
            mine.inc_thread_sharing()  # so that it can be closed below, by another thread
        return portal()(environ, start_response)

    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield answer
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)
    for one in opened.values():
        one.close()
        one.dec_thread_sharing()


def config(role: str, session: str, home: str, units: list[str]) -> schemathesis.Config:
    """Right and wrong data, and often enough units, days and versions that exist: others hide all behind one error."""
    return schemathesis.Config.from_dict(
        {
            "seed": 20260305,
            "cache": {"enabled": False},
            "auth": {"openapi": {"session": {"api_key": session}}},
            "continue-on-failure": True,
            "dictionaries": {
                "home": {"values": [home]},
                "units": {"values": units},
                "days": {"values": ["2026-03-05", "2026-03-06"]},
                "versions": {"values": [1, 2, 3]},
            },
            "parameters": {
                "body.unit": {"dictionary": "home", "probability": 0.9},
                "body.occurred_on": {"dictionary": "days", "probability": 0.9},
                "body.version": {"dictionary": "versions", "probability": 0.9},
                "body.joint_units[*]": {"dictionary": "units", "probability": 0.9},
                "query.unit": {"dictionary": "units", "probability": 0.7},
                "query.parent": {"dictionary": "units", "probability": 0.7},
                "path.code": {"dictionary": "units", "probability": 0.7},
            },
            "generation": {
                "mode": "all",
                "max-examples": EXAMPLES,
                "deterministic": True,
                "no-shrink": True,
                "with-security-parameters": False,
            },
            "checks": {
                # A description cannot say that a unit must exist or be one's own, or that a festival has a name.
                "positive_data_acceptance": {"enabled": False},
                # Who may restore a removed record still sees it.
                "use_after_free": {"enabled": False},
                # Schemathesis cannot ask a WSGI application for this; tests/programs/test_api.py does.
                "ignored_auth": {"enabled": False},
            },
            "operations": operations_for(role),
        }
    )


def operations_for(role: str) -> list[dict[str, Any]]:
    """What the run leaves out: kinds that another writer has, and the many right and wrong bodies of the coverage phase
    where they tell little, in PUT (PATCH has the same fields) and for readers (who are refused whatever they send)."""
    if THOROUGH:
        return []
    every = [kind.code for kind in registry.kinds()]
    # One kind of each app: the others go the same way.
    apart = list({kind.app_label: kind.code for kind in registry.kinds()}.values())
    kinds = apart[WRITERS.index(role) :: len(WRITERS)] if role in WRITERS else [EVERY_CLASS]
    uncovered = ["PUT"] if role in WRITERS else ["POST", "PUT", "PATCH", "DELETE"]
    others = [
        {"include-path-regex": f"/records/{code}/", "enabled": False} for code in every if code not in kinds
    ]
    return [*others, {"include-method": uncovered, "phases": {"coverage": {"enabled": False}}}]


@pytest.mark.once  # the schema and the views are the same, whichever database is below
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("role", [*WRITERS, *(READERS if THOROUGH else READERS[:1])])
def test_every_answer_is_as_described(
    role: str,
    application: Any,
    people: SimpleNamespace,
    tree: SimpleNamespace,
    sign_in: Callable[..., Client],
    make_record: Callable[..., Any],
) -> None:
    for kind in registry.kinds():
        make_record(kind.code, tree.own, people.community_officer, [tree.school])
        make_record(kind.code, tree.district, people.office)
    client = sign_in(getattr(people, role))
    session = client.cookies["sessionid"].value
    home = tree.own if role == "community_officer" else tree.district
    schema = schemathesis.openapi.from_dict(
        client.get("/api/schema/").json(),
        config=config(role, session, home.code, [tree.own.code, tree.street.code, tree.school.code]),
    )
    schema.app = application

    failures, answers = run(schema)
    assert not failures, "\n\n".join(failures)
    assert {phase for phase, status in answers} == {
        "coverage",
        "fuzzing",
        "stateful",
    }  # there are no examples
    # It reached what lies behind the checks, and saw right and wrong.
    statuses = sum((Counter({status: number}) for (phase, status), number in answers.items()), Counter())
    assert statuses[200] > 50
    assert statuses[400] > 5 * EXAMPLES
    if role in WRITERS:
        assert statuses[201] >= EXAMPLES // 2
    else:
        assert statuses[201] == statuses[204] == 0
        assert statuses[403] > 50


def run(schema: Any) -> tuple[list[str], Counter[tuple[str, int]]]:
    """The failures in words; how often each phase got each status."""
    failures: list[str] = []
    answers: Counter[tuple[str, int]] = Counter()
    for event in from_schema(schema).execute():
        match event:
            case events.ScenarioFinished(phase=phase, recorder=recorder):
                for interaction in recorder.interactions.values():
                    if interaction.response is not None:
                        answers[phase.value, interaction.response.status_code] += 1
                failures += [
                    told(check, recorder.interactions[case_id].request)
                    for case_id, checks in recorder.checks.items()
                    for check in checks
                    if check.failure_info is not None
                ]
            case events.NonFatalError() | events.FatalError():
                failures.append(repr(event))
    return failures, answers


def told(check: Any, sent: Any) -> str:
    return f"{check.name}: {sent.method} {sent.uri}\n{sent.body!r}\n{check.failure_info.failure}"
