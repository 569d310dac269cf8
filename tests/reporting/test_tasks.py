"""The doorbell and what it wakes: a bell that nobody hears loses nothing, a queue that is down fails no save."""

from __future__ import annotations

import datetime as dt
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone
from kombu.exceptions import OperationalError

from caring_portal import celery_app
from programs.models import Mark
from programs.models.education import EducationActivity
from reporting import tasks
from reporting.models import Freshness, Reconciliation
from reporting.statistics import LATE_SECONDS, refresh
from tests.reporting.naive import assert_exact

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """The log of the portal, which tests keep quiet otherwise."""
    for name in ("programs", "reporting"):
        caplog.set_level("WARNING", logger=name)
    return caplog


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the bell published."""
    published: list[dict[str, Any]] = []
    monkeypatch.setattr(tasks, "_silent_until", 0.0)
    monkeypatch.setattr(tasks.refresh, "apply_async", lambda **options: published.append(options))
    return published


@pytest.mark.django_db
def test_a_transaction_rings_once(
    log: Any, tree: SimpleNamespace, rung: list[Any], django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        for day in range(1, 6):
            log("activities", tree.own, dt.date(2025, 1, day))
        assert rung == []  # not before the commit
    assert len(rung) == 1
    assert rung[0]["retry"] is False


@pytest.mark.django_db
def test_a_broken_queue_fails_no_save_and_is_left_alone_for_a_while(
    log: Any,
    tree: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: Any,
    warnings: pytest.LogCaptureFixture,
) -> None:
    tried = []

    def fail(**options: Any) -> None:
        tried.append(options)
        raise OperationalError("Connection refused")

    monkeypatch.setattr(tasks, "_silent_until", 0.0)
    monkeypatch.setattr(tasks.refresh, "apply_async", fail)
    for day in (1, 2, 3):
        with django_capture_on_commit_callbacks(execute=True):
            log("activities", tree.own, dt.date(2025, 1, day))
    assert EducationActivity.objects.count() == 3
    assert len(tried) == 1
    assert [record.levelname for record in warnings.records] == ["WARNING"]
    tasks.sweep()
    assert_exact()


@pytest.mark.parametrize("broken", ["refused", "hung"])
def test_a_real_queue_that_is_down_costs_a_moment(broken: str) -> None:
    """Through Celery and its Redis client, in a process of its own: nobody listens, or nobody answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if broken == "hung":
            server.listen(10)
        code = (
            "import django; django.setup()\n"
            "import time; from reporting import tasks; from programs import bell\n"
            "begun = time.monotonic(); bell.ring(); bell.ring(); print(time.monotonic() - begun)"
        )
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "TEST_REDIS_URL": "",
            "BROKER_URL": f"redis://127.0.0.1:{server.getsockname()[1]}/0",
        }
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 6


@pytest.mark.django_db
def test_the_sweep_finds_what_no_ring_announced(
    log: Any, tree: SimpleNamespace, warnings: pytest.LogCaptureFixture
) -> None:
    log("activities", tree.own, dt.date(2025, 1, 5))
    refresh()
    log("activities", tree.own, dt.date(2025, 1, 6))
    tasks.sweep()
    assert not Mark.objects.exists()
    assert_exact()
    assert not warnings.records


@pytest.mark.django_db
def test_the_sweep_notices_that_the_worker_was_away(
    log: Any, tree: SimpleNamespace, warnings: pytest.LogCaptureFixture
) -> None:
    refresh()
    Freshness.objects.update(refreshed_at=timezone.now() - dt.timedelta(seconds=LATE_SECONDS + 60))
    log("activities", tree.own, dt.date(2025, 1, 6))
    tasks.sweep()
    assert [record.levelname for record in warnings.records] == ["WARNING"]
    assert "waiting" in warnings.text
    tasks.sweep()
    assert len(warnings.records) == 1


@pytest.mark.django_db
def test_tasks_are_safe_to_repeat(log: Any, tree: SimpleNamespace) -> None:
    log("activities", tree.own, dt.date(2025, 1, 5))
    for _ in range(2):
        for task in (tasks.refresh, tasks.sweep, tasks.reconcile):
            task.apply().get()
            assert_exact()
    assert list(Reconciliation.objects.values_list("differences", flat=True)) == [0, 0]


def test_what_the_beat_rings_exists_and_takes_no_argument() -> None:
    celery_app.loader.import_default_modules()
    for entry in settings.CELERY_BEAT_SCHEDULE.values():
        assert entry["task"] in celery_app.tasks
        assert not entry.get("args")
    # A queue that hands a long task out again would have two of it at once.
    assert celery_app.tasks["reporting.reconcile"].acks_late is False
