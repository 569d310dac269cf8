"""A real worker on a real queue, killed at any point of its work: every row once, none lost, the state always true."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.db.models import Count, IntegerField, OuterRef, Subquery
from django.db.models.functions import Coalesce

from programs.models import EducationActivity
from reporting.models import Upload
from reporting.models.upload import State
from reporting.reconciliation import reconcile
from reporting.uploads import claims, jobs
from tests.reporting.naive import assert_exact
from tests.reporting.processes import environment_here
from tests.reporting.test_worker import no_other_session, queue, wait_for  # noqa: F401
from tests.reporting.uploads.conftest import ACTIVITIES, Office, sheet_rows, workbook

ROOT = Path(__file__).resolve().parents[3]
pytestmark = [pytest.mark.postgres, pytest.mark.redis, pytest.mark.django_db(transaction=True)]

LEASE_SECONDS = 2.0
STANDS_STILL = 0.4
ROWS = 300
# Where the worker is killed, and what the upload waits for then.
PLACES = {
    "reading": "preview",
    "checking": "preview",
    "writing": "apply",
    "acknowledging": "apply",
    "taking_back": "undo",
}
ENDS = {"preview": State.PREVIEWED, "apply": State.APPLIED, "undo": State.UNDONE}


class Watched:
    """The worker that tells where it is, begun and killed at will."""

    def __init__(self, folder: Path) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.output, self.file = folder / "worker.log", folder / "places"
        self.file.touch()

    def start(self) -> None:
        if self.process is not None:
            return
        environment = {
            "WATCHED_FILE": str(self.file),
            "WATCHED_SECONDS": str(STANDS_STILL),
            "TEST_LEASE_SECONDS": str(LEASE_SECONDS),
        }
        command = [
            sys.executable,
            "-m",
            "celery",
            "-A",
            "tests.reporting.uploads.watched",
            "worker",
            "-c",
            "1",
        ]
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [*command, "--without-gossip", "--without-mingle", "--without-heartbeat"],
                cwd=ROOT,
                env={**os.environ, **environment_here(), **environment},
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

    def places(self) -> Counter[str]:
        return Counter(self.file.read_text(encoding="utf-8").split())


@pytest.fixture
def worker(queue: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:  # noqa: F811
    monkeypatch.setattr(claims, "LEASE_SECONDS", LEASE_SECONDS)
    made = Watched(tmp_path)
    yield made
    made.kill()
    print(made.output.read_text(encoding="utf-8"))  # pytest shows it when the test has failed
    wait_for(no_other_session)


def ledger(number: int) -> bytes:
    rows = sheet_rows(ACTIVITIES, range(number * ROWS, (number + 1) * ROWS))
    return workbook(("台账", ACTIVITIES, rows))


def seen(upload: Upload) -> tuple[str, int]:
    """The state and the records, in one look."""
    records = EducationActivity.objects.filter(upload_id=OuterRef("pk")).order_by().values("upload_id")
    number = Subquery(records.annotate(number=Count("pk")).values("number"), output_field=IntegerField())
    found = Upload.objects.filter(pk=upload.pk).values_list("state", Coalesce(number, 0))
    return found.get()


def assert_true(upload: Upload) -> str:
    """What is shown is what there is: the records of an upload stand there from the move to the move back."""
    state, number = seen(upload)
    assert number == (ROWS if state in {State.APPLIED, State.UNDOING} else 0), state
    return state


def settles(upload: Upload, end: str, seconds: float = 90) -> None:
    """Look all the time, and sweep as the beat does, only more often."""
    until, swept = time.monotonic() + seconds, 0.0
    while assert_true(upload) != end:
        if time.monotonic() > until:
            pytest.fail(f"{assert_true(upload)} for ever")
        if time.monotonic() - swept > 0.5:
            jobs.sweep()
            swept = time.monotonic()
        time.sleep(0.02)


def ask(office: Office, upload: Upload, what: str) -> None:
    if what == "apply":
        jobs.confirm(by=office.by, upload=upload)
    elif what == "undo":
        jobs.undo(by=office.by, upload=upload)


def test_a_worker_killed_at_any_point_loses_nothing_and_writes_nothing_twice(
    office: Office, worker: Watched, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = int(os.environ.get("LOAD_SEED", time.time_ns() % 10**6))
    dice = random.Random(seed)
    kills = 20 if request.config.getoption("--soak", default=False) else 1
    stand, found = 0, Counter[str]()
    for number, place in enumerate(kills * list(PLACES)):
        upload = office.bring(ledger(number))
        for what in ("preview", "apply", "undo"):
            if list(ENDS).index(what) > list(ENDS).index(PLACES[place]):
                break
            ask(office, upload, what)
            if what == PLACES[place]:
                before = worker.places()[place]
                worker.start()
                wait_for(lambda before=before, place=place: worker.places()[place] > before)
                time.sleep(dice.random() * STANDS_STILL * 1.5)
                worker.kill()
                found[f"{place}: then {assert_true(upload)}"] += 1
            worker.start()
            settles(upload, ENDS[what])
        stand += ROWS if seen(upload)[0] == State.APPLIED else 0
    worker.kill()
    wait_for(no_other_session)
    jobs.work()
    assert EducationActivity.objects.count() == stand
    titles = EducationActivity.objects.values_list("theme", "occurred_on")
    assert len(set(titles)) == stand, "every row once"
    from reporting.statistics import refresh

    refresh()
    cells = assert_exact()
    assert reconcile() == []
    with capsys.disabled():
        print(
            f"\n[{sum(found.values())} kills of the worker, seed {seed}] {stand} records, {cells} cells, 0 wrong"
        )
        print("\n".join(f"    {number} {what}" for what, number in sorted(found.items())))


def test_a_queue_that_is_lost_loses_no_upload(
    office: Office,
    street_office: Office,
    worker: Watched,
    queue: Callable[[], int],  # noqa: F811
) -> None:
    first = office.bring(ledger(0))
    assert queue() > 0
    worker.start()
    settles(first, State.PREVIEWED)
    # In the middle of the work, with another upload waiting.
    second = street_office.bring(ledger(1))
    jobs.confirm(by=office.by, upload=first)
    before = worker.places()["writing"]
    wait_for(lambda: worker.places()["writing"] > before)
    queue()
    settles(first, State.APPLIED)
    settles(second, State.PREVIEWED)


def test_a_worker_that_stood_still_does_not_write_when_it_wakes(office: Office, worker: Watched) -> None:
    """Stopped in the middle of its work until another worker has entered the rows: its own do not come."""
    worker.start()
    upload = office.bring(ledger(0))
    settles(upload, State.PREVIEWED)
    jobs.confirm(by=office.by, upload=upload)
    before = worker.places()
    wait_for(lambda: worker.places()["checking"] > before["checking"])
    slow, worker.process = worker.process, None
    assert slow is not None
    os.killpg(slow.pid, signal.SIGSTOP)
    try:
        worker.start()
        settles(upload, State.APPLIED)
        done = worker.places()["acknowledging"]
        os.killpg(slow.pid, signal.SIGCONT)
        wait_for(lambda: worker.places()["acknowledging"] > done)
    finally:
        os.killpg(slow.pid, signal.SIGKILL)
        slow.wait()
    assert assert_true(upload) == State.APPLIED
    assert EducationActivity.objects.count() == ROWS


def test_the_sheet_of_a_unit_goes_on_while_another_units_worker_is_dead(
    office: Office, street_office: Office, worker: Watched, tree: SimpleNamespace
) -> None:
    """The dead one's unit waits for the lease to run out; nobody else does."""
    dead = office.bring(ledger(0))
    worker.start()
    wait_for(lambda: worker.places()["reading"] > 0)
    worker.kill()
    other = street_office.bring(ledger(1))
    worker.start()
    settles(other, State.PREVIEWED)
    settles(dead, State.PREVIEWED)
