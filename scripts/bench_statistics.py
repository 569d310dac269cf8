#!/usr/bin/env python3
"""What kept cells are worth, and what keeping them costs: `make bench-statistics`.

Databases with the same 3,000 units and ever more records (`--records`) answer the same questions in turn, so that
whatever else the machine does disturbs all of them alike: reading a district's year from the cells and by GROUP BY over
the records; the way of a saved record, and of 50,000 at once, through the queue and a worker into the figures; a full
rebuild and a recount beside one plain GROUP BY; a dashboard beside a page that renders only the frame.

Prints every ratio beside its target and writes them to var/bench-statistics.json. Nothing fails for being slow.

Needs PostgreSQL and a superuser, since triggers are off while the data load (`BENCH_DATABASE_URL`, default
postgres:///caring_bench_statistics; its databases carry this name and the number of records, and are dropped
afterwards), and an empty Redis database (`BENCH_REDIS_URL`, default redis://127.0.0.1:6379/15).
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import io
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import psycopg2
from bench_data import LAST, SAMPLES, UNITS, execute, load_records, made
from bench_tools import (
    ROOT,
    Finding,
    administer,
    empty_queue,
    fill_with_units,
    name_of,
    seconds,
    start_django,
    tell,
)

POSTGRES = os.environ.get("BENCH_DATABASE_URL", "postgres:///caring_bench_statistics")
REDIS = os.environ.get("BENCH_REDIS_URL", "redis://127.0.0.1:6379/15")
JANUARY, DECEMBER = LAST.replace(month=1, day=1), LAST.replace(day=1)
INDICATORS = 12
SAVES, UPLOAD = 50, 50_000
ROUNDS = 25
# Seconds after which figures are no longer waited for.
LONGEST = 600
# Seconds after which a measurement that takes long is not repeated once more.
ENOUGH = 60
FRAME = "/bench-frame/"


def main() -> int:
    options = _options()
    with (
        tempfile.TemporaryDirectory() as folder,
        empty_queue(REDIS),
        _databases(options.records, folder) as found,
    ):
        for database in found:
            database.fill()
        largest = found[-1]
        findings = [*_reading(found), *_refreshing(largest, folder), *_recounting(largest), *_pages(largest)]
        report = {
            "units": UNITS,
            "indicators": [indicator.code for indicator in _indicators()],
            "databases": [asdict(database.filled) for database in found],
            "findings": [finding.as_dict() for finding in findings],
        }
    _tell(report, findings)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(report, indent=2, ensure_ascii=False), encoding="utf-8")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--records",
        type=lambda text: sorted(int(number) for number in text.split(",")),
        default=[100_000, 1_000_000, 10_000_000],
        help="numbers of records, a database each: 10000,100000",
    )
    parser.add_argument("--json", type=Path, default=ROOT / "var" / "bench-statistics.json")
    return parser.parse_args()


def _tell(report: dict[str, Any], findings: list[Finding]) -> None:
    print(f"\n{report['units']:,} units; read: {', '.join(report['indicators'])}\n")
    tell(findings)


def _medians(works: dict[str, Callable[[], Any]], rounds: int = ROUNDS) -> dict[str, float]:
    """The median seconds of each, done in turn `rounds` times, or as often as there is time for."""
    times: dict[str, list[float]] = {name: [] for name in works}
    begun = time.perf_counter()
    for done in range(rounds):
        if done and time.perf_counter() - begun > ENOUGH:
            break
        for name, work in works.items():
            times[name].append(seconds(work))
    return {name: statistics.median(taken) for name, taken in times.items()}


# --- databases ------------------------------------------------------------------------------------


@dataclass
class Filled:
    records: int
    cells: int = 0
    load_seconds: float = 0
    first_rebuild_seconds: float = 0


class Database:
    """The portal's database with a number of records. The portal's code works on whichever was used last."""

    def __init__(self, records: int) -> None:
        from django.db import connection

        self.url = f"{POSTGRES}_{records}"
        self.filled = Filled(records)
        self.connection = connection.copy()
        self.connection.settings_dict["NAME"] = name_of(self.url)

    def use(self) -> None:
        from django.db import connections

        connections["default"] = self.connection

    def fill(self) -> None:
        from reporting.models import UnitMonth
        from reporting.statistics import rebuild

        self.use()
        print(f"{self.filled.records:,} records: loading …", end=" ", flush=True)
        self.filled.load_seconds = seconds(lambda: load_records(self.filled.records))
        print(f"{self.filled.load_seconds:.0f} s, counting …", end=" ", flush=True)
        self.filled.first_rebuild_seconds = seconds(rebuild)
        self.filled.cells = UnitMonth.objects.count()
        execute("VACUUM ANALYZE")
        print(f"{self.filled.first_rebuild_seconds:.0f} s, {self.filled.cells:,} rows of cells", flush=True)


@contextlib.contextmanager
def _databases(sizes: list[int], folder: str) -> Iterator[list[Database]]:
    """Copies of one database that holds the units and the people, smallest first; dropped at the end."""
    pattern = f"{POSTGRES}_units"
    urls = [pattern, *(f"{POSTGRES}_{size}" for size in sizes)]
    try:
        for url in urls:
            administer("DROP DATABASE IF EXISTS {name} WITH (FORCE)", url)
        administer("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'", pattern)
    except psycopg2.OperationalError as error:
        raise SystemExit(f"This benchmark needs PostgreSQL (BENCH_DATABASE_URL): {error}") from error
    try:
        start_django(DATABASE_URL=pattern, BROKER_URL=REDIS, VAR_DIR=folder)
        fill_with_units("leader")
        for url in urls[1:]:
            administer(f'CREATE DATABASE {{name}} TEMPLATE "{name_of(pattern)}"', url)
        databases = [Database(size) for size in sizes]
        yield databases
        for database in databases:
            database.connection.close()
    finally:
        for url in urls:
            administer("DROP DATABASE IF EXISTS {name} WITH (FORCE)", url)


def aggregates(indicators: list[Any]) -> dict[str, Any]:
    """Each indicator's aggregate with its filter, under the names i0, i1, …"""
    from reporting.recount import aggregate_of

    return {f"i{number}": aggregate_of(indicator) for number, indicator in enumerate(indicators)}


# --- 1. reading a district's year ---------------------------------------------------------------------


@cache
def _indicators() -> list[Any]:
    """Those that kinds declare, and as many parts of them as make twelve."""
    from programs import registry

    every = [indicator for kind in registry.kinds() for indicator in kind.counted]
    parts = [indicator for indicator in every if indicator not in registry.indicators()]
    codes = {found.code for found in [*registry.indicators(), *parts][:INDICATORS]}
    return [indicator for indicator in every if indicator.code in codes]


@cache
def _district() -> tuple[Any, list[Any], dict[int, int]]:
    """The district, its streets, and the street of every unit below one: the same in every database."""
    from programs.models import Unit

    district = Unit.objects.get(parent=None)
    streets = list(Unit.objects.filter(parent=district, kind="street"))
    paths = Unit.objects.exclude(parent=None).values_list("pk", "path")
    return district, streets, {unit: int(path.split("/")[2]) for unit, path in paths}


def _from_cells() -> dict[int, list[Any]]:
    """Street by indicator."""
    from reporting.figures import figures

    district, streets, _street_of = _district()
    codes = [indicator.code for indicator in _indicators()]
    found = figures(district, JANUARY, DECEMBER, codes, below=streets)
    return {row.unit.pk: [row.values[code] for code in codes] for row in found.rows if not row.is_own}


def _from_records() -> dict[int, list[Any]]:
    """The same by one GROUP BY a kind: by unit, which is quicker than by street, and has but 3,000 rows to add up."""
    from programs import registry

    _unit, streets, street_of = _district()
    found: dict[int, list[Any]] = {street.pk: [] for street in streets}
    for kind in registry.kinds():
        read = [indicator for indicator in _indicators() if indicator in kind.counted]
        sums = {street: [0] * len(read) for street in found}
        records = kind.model.objects.present().filter(occurred_on__range=(JANUARY, LAST)).order_by()
        for unit, *values in records.values_list("unit").annotate(**aggregates(read)):
            if of_street := sums.get(street_of.get(unit, 0)):
                for number, value in enumerate(values):
                    of_street[number] += value or 0
        for street, of_street in sums.items():
            found[street] += of_street
    return found


def _reading(databases: list[Database]) -> Iterator[Finding]:
    print("Reading a district's year …", flush=True)
    name = "district year, every street × every indicator, from the cells: "
    few, many = databases[0], databases[-1]

    def on(database: Database, read: Callable[[], Any]) -> Callable[[], Any]:
        def work() -> Any:
            database.use()
            return read()

        return work

    works = {f"{database.filled.records:,}": on(database, _from_cells) for database in databases}
    for database in databases:
        database.use()
        if _from_cells() != _from_records():
            raise SystemExit("The cells differ from the records.")
    times = {records: 1000 * taken for records, taken in _medians(works).items()}
    most = f"{many.filled.records:,}"
    yield Finding(
        f"{name}{most} records to {few.filled.records:,}",
        times[most] / times[f"{few.filled.records:,}"],
        1.3,
        details={f"{records} ms": taken for records, taken in times.items()},
    )
    many.use()
    for how, indexes in (
        ("the portal's indexes", contextlib.nullcontext()),
        ("an index for this question alone", _covering_indexes()),
    ):
        with indexes:
            execute("VACUUM ANALYZE")
            both = _medians({"cells ms": _from_cells, "GROUP BY ms": _from_records})
        yield Finding(
            f"the same by GROUP BY over {most} records with {how}, to the cells",
            both["GROUP BY ms"] / both["cells ms"],
            200,
            at_least=True,
            details={each: 1000 * taken for each, taken in both.items()},
        )


@contextlib.contextmanager
def _covering_indexes() -> Iterator[None]:
    """Of each kind: all that its indicators read, by date."""
    from programs import registry

    tables = {registry.kind(code).model._meta.db_table: sample for code, sample in SAMPLES.items()}
    for table, sample in tables.items():
        columns = ", ".join(["unit_id", "id", *sample.counted])
        execute(
            f"CREATE INDEX bench_{table} ON {table} (occurred_on) INCLUDE ({columns}) WHERE removed_at IS NULL"
        )
    yield
    for table in tables:
        execute(f"DROP INDEX bench_{table}")


# --- 2. from a saved record to the figure -------------------------------------------------------------


@contextlib.contextmanager
def _worker(database: Database, folder: str) -> Iterator[None]:
    command = [sys.executable, "-m", "celery", "-A", "caring_portal", "worker", "-c", "1"]
    with (Path(folder) / "worker.log").open("ab") as log:
        process = subprocess.Popen(
            [*command, "--without-gossip", "--without-mingle", "--without-heartbeat"],
            cwd=ROOT,
            env={**os.environ, "DATABASE_URL": database.url},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def _refreshing(database: Database, folder: str) -> Iterator[Finding]:
    print("Saving, and waiting for the figures …", flush=True)
    database.use()
    with _worker(database, folder):
        _until_shown(1, _save)  # the worker is up
        times = sorted(_until_shown(1, _save) for _ in range(SAVES))
        yield Finding(
            f"from a save to the district's figure, 95th percentile of {SAVES}",
            statistics.quantiles(times, n=20)[-1],
            2,
            "s",
            details={"median s": statistics.median(times), "slowest s": times[-1]},
        )
        yield Finding(
            f"from the commit of {UPLOAD:,} rows, of one month and all units, to the district's figure",
            _until_shown(UPLOAD, _upload),
            5,
            "s",
        )


def _until_shown(more: int, write: Callable[[], None]) -> float:
    """The seconds from the end of writing so many activities of the last month until the district shows them."""
    expected = _shown() + more
    write()
    return seconds(lambda: _wait_for(expected))


def _shown() -> Decimal:
    from programs.registry import plain
    from reporting.figures import figures

    district, _streets, _street_of = _district()
    found = figures(district, DECEMBER, DECEMBER, ["activities.count"])
    return plain(found["activities.count"].value) or Decimal(0)


def _wait_for(expected: Decimal) -> None:
    begun = time.monotonic()
    while _shown() != expected:
        if time.monotonic() - begun > LONGEST:
            raise SystemExit(f"The figures do not show what was written after {LONGEST} seconds.")
        time.sleep(0.005)


def _save() -> None:
    """One record by an officer of some unit, as from a form."""
    from programs import registry
    from programs.access import Actor
    from programs.actions import save_record
    from programs.models import Grant, Unit, User

    unit = Unit.objects.order_by("code")[random.randrange(UNITS)]
    user = User.objects.get()
    officer = Actor(user, (Grant(user=user, role="unit_officer", unit=unit, include_descendants=False),))
    day = DECEMBER + dt.timedelta(days=random.randrange(31))
    values = {"theme": "主题教育", "series": "six_ones", "setting": "community", "participants": 30}
    save_record(
        by=officer, kind=registry.kind("activities"), values={"unit": unit, "occurred_on": day, **values}
    )


def _upload() -> None:
    """Many rows by COPY, and a ring."""
    from django.db import connection

    from programs import bell

    table, columns, select = made("activities", UPLOAD, DECEMBER, LAST)
    rows = io.StringIO()
    with connection.cursor() as cursor:
        cursor.copy_expert(f"COPY ({select}) TO STDOUT", rows)
        rows.seek(0)
        cursor.copy_expert(f"COPY {table} ({columns}) FROM STDIN", rows)
    bell.ring()


# --- 3. counting everything ---------------------------------------------------------------------------


def _recounting(database: Database) -> Iterator[Finding]:
    from reporting.models import Reconciliation
    from reporting.reconciliation import reconcile
    from reporting.statistics import rebuild

    print("Counting everything …", flush=True)
    database.use()
    execute("VACUUM ANALYZE")
    grouped = _grouped()
    # GROUP BY stands twice, so that each of the others has one right before it.
    taken = _medians(
        {"GROUP BY": grouped, "rebuild": rebuild, "GROUP BY again": grouped, "reconcile": reconcile}, rounds=3
    )
    if Reconciliation.objects.exclude(differences=0, busy_months=0).exists():
        raise SystemExit("The cells differ from the records.")
    once = (taken["GROUP BY"] + taken["GROUP BY again"]) / 2
    for name in ("rebuild", "reconcile"):
        yield Finding(
            f"{name} of everything, to one GROUP BY unit and month of the same aggregates",
            taken[name] / once,
            1.5,
            details={
                f"{name} s": taken[name],
                "GROUP BY s": once,
                "from no cells at all s": database.filled.first_rebuild_seconds,
                "rows of cells a record": database.filled.cells / database.filled.records,
            },
        )


def _grouped() -> Callable[[], None]:
    """Every figure of every unit and month that leads a record, counted within the database and thrown away there."""
    from django.db import connection
    from django.db.models.functions import TruncMonth

    from programs import registry

    statements = []
    for kind in registry.kinds():
        records = kind.model.objects.present().order_by().values_list("unit", TruncMonth("occurred_on"))
        counted = aggregates(kind.counted)
        sql, parameters = records.annotate(**counted).query.sql_with_params()
        # The largest of each: without a use for them the aggregates would be left out.
        largest = ", ".join(f"max({name})" for name in counted)
        statements.append((f"SELECT {largest} FROM ({sql}) grouped", parameters))  # noqa: S608 (the ORM's own)

    def work() -> None:
        with connection.cursor() as cursor:
            for statement, parameters in statements:
                cursor.execute(statement, parameters)

    return work


# --- 4. pages ---------------------------------------------------------------------------------------


def _pages(database: Database) -> Iterator[Finding]:
    from django.db import connection
    from django.test import Client, override_settings
    from django.test.utils import CaptureQueriesContext

    from programs.models import User

    print("Dashboards …", flush=True)
    database.use()
    execute("VACUUM ANALYZE")
    client = Client()
    client.force_login(User.objects.get(), backend="programs.backends.PortalBackend")

    def get(path: str) -> None:
        response = client.get(path)
        if response.status_code != 200:
            raise SystemExit(f"{path} answered {response.status_code}")

    def page(code: str) -> Callable[[], None]:
        return lambda: get(f"/statistics/units/{code}/?from={JANUARY:%Y-%m}&to={DECEMBER:%Y-%m}")

    with override_settings(ROOT_URLCONF="scripts.bench_urls", ALLOWED_HOSTS=["testserver"]):
        works = {
            "frame": lambda: get(FRAME),
            "district": page("D"),
            "1 child": page("S00"),
            "500 children": page("S01"),
        }
        queries = {}
        for name, work in works.items():
            work()
            with CaptureQueriesContext(connection) as captured:
                work()
            queries[name] = len(captured)
        taken = _medians(works)
    for name in ("district", "1 child", "500 children"):
        yield Finding(
            f"dashboard ({name}) to the frame",
            taken[name] / taken["frame"],
            4,
            details={"page ms": 1000 * taken[name], "frame ms": 1000 * taken["frame"]},
        )
    yield Finding(
        "queries of the dashboard of 500 children beyond those of 1 child",
        queries["500 children"] - queries["1 child"],
        0,
        "queries",
        details={f"{name}, queries": number for name, number in queries.items()},
    )


if __name__ == "__main__":
    sys.exit(main())
