"""Writers, refreshers and a rebuild at once, killed at random moments: no cell is ever wrong afterwards.

This is the judge of the design in `reporting/statistics.py`. On PostgreSQL only: SQLite has one writer.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from programs.models import Mark, User
from reporting.reconciliation import reconcile
from reporting.statistics import LOCK, refresh
from tests.reporting.conftest import officer_of
from tests.reporting.naive import assert_adds_up, assert_exact
from tests.reporting.processes import environment_here

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]


def start(what: str, number: int, seconds: float, seed: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.reporting.load", what, str(number), str(seconds), str(seed)],
        cwd=ROOT,
        env={**os.environ, **environment_here()},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def settle() -> None:
    """Refresh until no mark is left; the connection of a killed process may hold the lock for a moment."""
    for _ in range(300):
        refresh()
        if not Mark.objects.exists():
            return
        time.sleep(0.1)
    pytest.fail("the lock was not let go")


def test_no_cell_is_wrong_after_writers_refreshers_rebuilds_and_kills(
    tree: Any,
    make_user: Callable[..., User],
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
) -> None:
    officer_of(make_user("officer"), *[tree.district, tree.street, tree.other_street, tree.own])
    seconds = 120.0 if request.config.getoption("--soak", default=False) else 12.0
    seed = int(os.environ.get("LOAD_SEED", time.time_ns() % 10**6))
    crowd = {
        "writers": start("writers", 4, seconds, seed),
        "refreshers": start("refreshers", 2, seconds, seed),
        "rebuilders": start("rebuilders", 1, seconds, seed),
    }
    said = {}
    for what, process in crowd.items():
        out, errors = process.communicate(timeout=seconds + 120)
        assert process.returncode == 0, f"{what}, seed {seed}:\n{errors[-3000:]}"
        said[what] = [int(line) for line in out.split()]
    settle()
    cells = assert_exact()
    assert_adds_up()
    assert reconcile() == []
    with capsys.disabled():
        print(
            f"\n[statistics under load, seed {seed}] {sum(said['writers'])} writes, "
            f"{sum(said['refreshers'])} refreshers and {sum(said['rebuilders'])} rebuilds killed; "
            f"{cells} cells, 0 wrong"
        )


def test_whoever_finds_the_lock_taken_leaves(tree: Any) -> None:
    Mark.objects.create(unit_id=tree.own.pk, month="2025-01-01")
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        assert refresh() == 0
        assert Mark.objects.count() == 1
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [LOCK])
    finally:
        other.close()
    assert refresh() == 1
