"""What the portal tells those who watch over it."""

from __future__ import annotations

import datetime as dt
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone

from programs.models import Mark
from reporting.models import Freshness
from reporting.reconciliation import reconcile
from reporting.statistics import refresh

pytestmark = pytest.mark.django_db


def test_all_is_well(client: Client, django_assert_max_num_queries: Any) -> None:
    refresh()
    reconcile()
    with django_assert_max_num_queries(3):
        response = client.get("/health/")
    assert response.status_code == 200
    assert response["Cache-Control"].startswith("max-age=0")
    state = response.json()
    assert state.pop("reconciled_at")
    assert state == {"database": "ok", "statistics": "ok", "seconds_behind": 0, "reconciliation": "ok"}


def test_a_worker_that_is_away_shows_but_keeps_the_portal_up(client: Client, tree: SimpleNamespace) -> None:
    refresh()
    Freshness.objects.update(refreshed_at=timezone.now() - dt.timedelta(minutes=10))
    assert client.get("/health/").json()["statistics"] == "ok"  # nothing waits
    Mark.objects.create(unit_id=tree.own.pk, month=dt.date(2025, 1, 1))
    response = client.get("/health/")
    assert response.status_code == 200
    assert response.json()["statistics"] == "behind"
    assert 600 <= response.json()["seconds_behind"] < 660


def test_marks_and_no_refresh_ever(client: Client, tree: SimpleNamespace) -> None:
    Mark.objects.create(unit_id=tree.own.pk, month=dt.date(2025, 1, 1))
    assert client.get("/health/").json()["statistics"] == "behind"
    assert client.get("/health/").json()["reconciliation"] == "none"


def test_without_the_database_nothing_goes(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise OperationalError("could not connect to server at 10.0.0.7 as portal")

    monkeypatch.setattr(connection, "ensure_connection", fail)
    response = client.get("/health/")
    assert response.status_code == 503
    assert response.json() == {"database": "unavailable"}
