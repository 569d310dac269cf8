"""Processes that write records, refresh and rebuild at once, for tests of what happens when they meet or are killed.

    python -m tests.reporting.load writers 4 12      four of them for twelve seconds
    python -m tests.reporting.load refreshers 2 12   killed with SIGKILL at random moments and begun again
    python -m tests.reporting.load rebuilders 1 12

Each prints what it did: transactions of a writer, kills of a refresher.
"""

from __future__ import annotations

import datetime as dt
import os
import random
import signal
import sys
import time
import uuid
from collections.abc import Callable
from typing import Any

import django

FIRST = dt.date(2025, 1, 1)


def write(seed: int, until: float) -> int:
    """Create, change, remove, restore and delete records by every way there is; the number of transactions."""
    from django.core.exceptions import ValidationError
    from django.db import connection, transaction

    from programs import registry
    from programs.actions import EditConflict, remove_record, save_record
    from programs.models import Unit, User
    from tests.factories import sample_values
    from tests.reporting.conftest import officer_of

    dice = random.Random(seed)
    user = User.objects.get(username="officer")
    units = list(
        Unit.objects.filter(path__startswith=f"/{Unit.objects.get(code='331002').pk}/").order_by("pk")
    )
    by = officer_of(user, *units[:4])
    done = 0

    def values(kind: Any) -> dict[str, Any]:
        day = FIRST + dt.timedelta(days=dice.randrange(119))
        return {**sample_values(kind), "occurred_on": day, "unit": dice.choice(units[:4])}

    while time.monotonic() < until:
        kind = registry.kind(dice.choice(["activities", "gratitude", "cases"]))
        model = kind.model
        some = list(
            model.objects.filter(removed_at=None, pk__gte=dice.randrange(1, 10 + done)).order_by("pk")[:1]
        )
        roll = dice.random()
        try:
            if roll < 0.4 or not some:
                save_record(
                    by=by,
                    kind=kind,
                    values=values(kind),
                    joint_units=dice.sample(units[4:], dice.randrange(3)),
                )
            elif roll < 0.6:
                save_record(
                    by=by,
                    kind=kind,
                    record=some[0],
                    values=values(kind),
                    joint_units=dice.sample(units[4:], 1),
                )
            elif roll < 0.7:
                remove_record(by=by, kind=kind, record=some[0])
            elif roll < 0.8:
                with transaction.atomic():
                    rows = [
                        model(**values(kind), created_by=user, updated_by=user, submission_key=uuid.uuid4())
                        for _ in range(dice.randrange(1, 40))
                    ]
                    model.objects.bulk_create(rows)
                    time.sleep(dice.random() / 20)  # a transaction that takes its time
            elif roll < 0.9:
                model.objects.filter(pk=some[0].pk).update(occurred_on=values(kind)["occurred_on"])
            else:
                joint = model.joint_model()
                with connection.cursor() as cursor:
                    cursor.execute(
                        f"DELETE FROM {joint._meta.db_table} WHERE {model._meta.model_name}_id = %s",
                        [some[0].pk],
                    )
        except (EditConflict, ValidationError):
            pass  # another writer changed the very record meanwhile; anything else is a finding
        done += 1
    return done


def refresh(seed: int, until: float) -> int:
    from reporting import statistics

    done = 0
    while time.monotonic() < until:
        done += statistics.refresh()
        time.sleep(0.005)
    return done


def rebuild(seed: int, until: float) -> int:
    from reporting import statistics

    done = 0
    while time.monotonic() < until:
        statistics.rebuild()
        done += 1
    return done


def forked(work: Callable[[int, float], int], seed: int, until: float, quiet: bool = False) -> int:
    """Run `work` in a process of its own; the process id."""
    pid = os.fork()
    if pid:
        return pid
    try:
        done = work(seed, until)
        if not quiet:
            print(done, flush=True)
        os._exit(0)
    except BaseException:  # noqa: BLE001  (a child process must not go on as its parent)
        import traceback

        traceback.print_exc()
        os._exit(1)


def keep_killing(work: Callable[[int, float], int], seed: int, until: float) -> int:
    """Begin `work`, kill it at a random moment, begin it again; the number of kills."""
    dice = random.Random(seed)
    kills = 0
    while time.monotonic() < until:
        pid = forked(work, seed + kills, until, quiet=True)
        time.sleep(dice.random() ** 2 * 1.5)
        if time.monotonic() < until:
            os.kill(pid, signal.SIGKILL)
            kills += 1
        _pid, status = os.waitpid(pid, 0)
        if os.WIFEXITED(status) and os.WEXITSTATUS(status):
            raise SystemExit("a process failed; its traceback stands above")
    return kills


def main(what: str, number: int, seconds: float, seed: int) -> None:
    django.setup()
    until = time.monotonic() + seconds
    works: dict[str, Callable[[int, float], int]] = {
        "writers": write,
        "refreshers": lambda seed, until: keep_killing(refresh, seed, until),
        "rebuilders": lambda seed, until: keep_killing(rebuild, seed, until),
    }
    pids = [forked(works[what], seed + 1000 * n, until) for n in range(number)]
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    sys.exit(max(map(abs, codes)))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]) if len(sys.argv) > 4 else 1)
