"""A real worker on a real queue: figures arrive within seconds, neither a killed worker nor a lost queue loses any."""

from __future__ import annotations

import datetime as dt
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

from programs.models import Mark, Unit
from reporting import tasks
from reporting.models import UnitMonth
from reporting.reconciliation import reconcile
from tests.reporting.cells import cells
from tests.reporting.naive import assert_exact
from tests.reporting.processes import environment_here

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.postgres, pytest.mark.redis, pytest.mark.django_db(transaction=True)]


class Worker:
    """`celery worker` with one process, begun and killed at will."""

    def __init__(self, output: Path) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.output = output

    def start(self) -> None:
        command = [sys.executable, "-m", "celery", "-A", "caring_portal", "worker", "-c", "1"]
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [*command, "--without-gossip", "--without-mingle", "--without-heartbeat"],
                cwd=ROOT,
                env={**os.environ, **environment_here()},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill(self) -> None:
        """As the kernel does when memory runs out: the worker and its children, without a word."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], int]]:
    """Call it to lose everything that waits in the queue; the number of keys that are gone."""
    import redis

    monkeypatch.setattr(tasks, "_silent_until", 0.0)
    server = redis.Redis.from_url(settings.TEST_REDIS_URL)
    prefix = settings.CELERY_BROKER_TRANSPORT_OPTIONS["global_keyprefix"]

    def flush() -> int:
        keys = list(server.scan_iter(f"{prefix}*"))
        return int(server.delete(*keys)) if keys else 0

    flush()
    yield flush
    flush()
    server.close()


@pytest.fixture
def worker(queue: Any, tmp_path: Path) -> Iterator[Worker]:
    made = Worker(tmp_path / "worker.log")
    yield made
    made.kill()
    print(made.output.read_text(encoding="utf-8"))  # pytest shows it when the test has failed
    wait_for(no_other_session)


def wait_for(condition: Callable[[], Any], seconds: float = 60) -> float:
    begun = time.monotonic()
    while not condition():
        if time.monotonic() - begun > seconds:
            pytest.fail(f"waited in vain for {condition}")
        time.sleep(0.01)
    return time.monotonic() - begun


def count_of(unit: Unit) -> Decimal:
    of_unit = cells(UnitMonth.objects.filter(unit=unit, kind="activities"))
    return sum((cell.total for cell in of_unit if cell.indicator == "activities.count"), Decimal(0))


def sessions(condition: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            f" AND pid <> pg_backend_pid() AND {condition}"
        )
        return int(cursor.fetchone()[0])


def no_other_session() -> bool:
    return sessions("TRUE") == 0


def test_a_record_is_in_the_figures_within_seconds(
    log: Any, tree: SimpleNamespace, worker: Worker, capsys: pytest.CaptureFixture[str]
) -> None:
    worker.start()
    log("activities", tree.own, dt.date(2025, 1, 1))
    wait_for(lambda: count_of(tree.district) == 1)  # the worker is up
    times = []
    for number in range(2, 32):
        log("activities", tree.own, dt.date(2025, 1, number % 28 + 1))
        times.append(wait_for(lambda expected=number: count_of(tree.district) == expected))
    times.sort()
    with capsys.disabled():
        print(
            f"\n[from commit to the district's figure, 30 records] median {times[15] * 1000:.0f} ms, "
            f"95th percentile {times[28] * 1000:.0f} ms"
        )
    assert times[28] < 10
    assert_exact()


def test_a_worker_killed_in_the_middle_loses_nothing(log: Any, tree: SimpleNamespace, worker: Worker) -> None:
    worker.start()
    log("activities", tree.own, dt.date(2025, 1, 1))
    wait_for(lambda: count_of(tree.district) == 1)
    # Somebody else holds the cells: the worker has taken the marks and waits.
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("BEGIN; LOCK TABLE reporting_unitmonth IN ACCESS EXCLUSIVE MODE")
            log("activities", tree.own, dt.date(2025, 1, 2))
            wait_for(lambda: sessions("wait_event_type = 'Lock'"))
            worker.kill()
            cursor.execute("ROLLBACK")
    finally:
        other.close()
    wait_for(no_other_session)
    assert Mark.objects.exists(), "the marks came back with the transaction"
    assert count_of(tree.district) == 1
    worker.start()
    tasks.sweep.delay()  # as the beat does each minute
    wait_for(lambda: count_of(tree.district) == 2)
    assert_exact()


def test_a_lost_queue_loses_nothing(
    log: Any, tree: SimpleNamespace, worker: Worker, queue: Callable[[], int]
) -> None:
    for day in (1, 2, 3):
        log("activities", tree.own, dt.date(2025, 1, day))
    assert queue() > 0
    worker.start()
    tasks.sweep.delay()
    wait_for(lambda: count_of(tree.district) == 3)
    assert_exact()


def test_kills_at_random_moments_and_a_queue_lost_between_them_lose_nothing(
    log: Any,
    tree: SimpleNamespace,
    worker: Worker,
    queue: Callable[[], int],
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
) -> None:
    seed = int(os.environ.get("LOAD_SEED", time.time_ns() % 10**6))
    dice = random.Random(seed)
    kills = 20 if request.config.getoption("--soak", default=False) else 3
    saved = 0
    for number in range(kills):
        worker.start()
        until = time.monotonic() + 2 + 2 * dice.random()
        while time.monotonic() < until:
            unit = dice.choice([tree.own, tree.sibling, tree.street, tree.police])
            joint = dice.sample([tree.cousin, tree.other_street], dice.randrange(3))
            log("activities", unit, dt.date(2025, dice.randrange(1, 5), 5), *joint)
            saved += 1
        worker.kill()
        if number % 2:
            queue()
    worker.start()
    tasks.sweep.delay()
    wait_for(lambda: not Mark.objects.exists(), 120)
    wait_for(lambda: count_of(tree.district) == saved)
    cells = assert_exact()
    worker.kill()
    wait_for(no_other_session)
    assert reconcile() == []
    with capsys.disabled():
        print(f"\n[{kills} kills of the worker, seed {seed}] {saved} records, {cells} cells, 0 wrong")
