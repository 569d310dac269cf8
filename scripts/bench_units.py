#!/usr/bin/env python3
"""A whole country's units: how fast they load, and what they do to the time of one district: `make bench-units`.

One database gets 1,000 units of a made-up country, another all of it (2,978 districts, 41,352 streets, 620,573
communities: 664,903 units). The same questions about the same district are then put to both in turn, so that what else
the machine does disturbs both alike. On SQLite in temporary files, and on PostgreSQL where it can be reached
(`BENCH_DATABASE_URL`, default postgres:///caring_bench_units; its two databases are dropped afterwards).
Fails if a question takes more than `--limit` times as long in the country. Writes var/bench-units.json.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import datetime as dt
import io
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg2

ROOT = Path(__file__).resolve().parent.parent
POSTGRES = os.environ.get("BENCH_DATABASE_URL", "postgres:///caring_bench_units")
DISTRICTS, STREETS, COMMUNITIES = 2_978, 41_352, 620_573
FEW = 1_000
ROUNDS = 200
RECORDS = 5_000
OPENED = dt.date(2008, 1, 1)
SIZES = ("few", "country")
Row = tuple[str, str, str, str, str]
Question = Callable[[], Any]


def main() -> int:
    options = _options()
    if options.serve:
        _serve(options.serve)
        return 0
    figures = {}
    for name, databases in {"sqlite": _files, "postgres": _databases}.items():
        if options.on in {"both", name}:
            with databases() as urls:
                if urls:
                    figures[name] = _measure(urls)
                    _tell(name, figures[name])
    (ROOT / "var").mkdir(exist_ok=True)
    (ROOT / "var" / "bench-units.json").write_text(json.dumps(figures, indent=2), encoding="utf-8")
    slow = [
        f"{name}: {question}"
        for name, figure in figures.items()
        for question, times in figure["questions"].items()
        if times["ratio"] > options.limit
    ]
    if slow:
        print(f"More than {options.limit} times as long in the country: {', '.join(slow)}")
    return 1 if slow else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--on", choices=["both", "sqlite", "postgres"], default="both")
    parser.add_argument("--limit", type=float, default=1.5, help="largest ratio, country to 1,000 units")
    parser.add_argument("--serve", choices=SIZES, help=argparse.SUPPRESS)
    return parser.parse_args()


# --- databases ------------------------------------------------------------------------------------


@contextlib.contextmanager
def _files() -> Iterator[dict[str, str]]:
    with tempfile.TemporaryDirectory() as folder:
        yield {size: f"sqlite:///{folder}/{size}.sqlite3" for size in SIZES}


@contextlib.contextmanager
def _databases() -> Iterator[dict[str, str]]:
    """Two databases of this run; none where PostgreSQL cannot be reached."""
    urls = {size: f"{POSTGRES}_{size}" for size in SIZES}
    try:
        for url in urls.values():
            _administer(url, "DROP DATABASE IF EXISTS {name}")
            _administer(url, "CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")
    except psycopg2.OperationalError as error:
        print(f"PostgreSQL is left out: {str(error).strip()}")
        yield {}
        return
    try:
        yield urls
    finally:
        for url in urls.values():
            _administer(url, "DROP DATABASE IF EXISTS {name}")


def _administer(url: str, statement: str) -> None:
    name = urlsplit(url).path.lstrip("/")
    connection = psycopg2.connect(url.removesuffix(name) + "postgres")
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(statement.format(name=f'"{name}"'))
    connection.close()


# --- measuring ------------------------------------------------------------------------------------


class Server:
    """A process with a database of its own: loads units, then answers every question each time it is asked."""

    def __init__(self, size: str, url: str, folder: str) -> None:
        environment = {
            **os.environ,
            "CARING_MODE": "embedded",
            "DATABASE_URL": url,
            "VAR_DIR": folder,
            "LOG_LEVEL": "ERROR",
            "DJANGO_SETTINGS_MODULE": "caring_portal.settings",
            "PYTHONPATH": str(ROOT),
        }
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--serve", size],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.loading = self.hear()

    def hear(self) -> dict[str, float]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("The measuring process has ended; see above.")
        heard: dict[str, float] = json.loads(line)
        return heard

    def ask(self) -> dict[str, float]:
        assert self.process.stdin is not None
        self.process.stdin.write("ask\n")
        self.process.stdin.flush()
        return self.hear()

    def end(self) -> None:
        self.process.communicate()


def _measure(urls: dict[str, str]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        print(f"Loading on {urls['few'].split(':', 1)[0]} …", flush=True)
        servers = {size: Server(size, url, folder) for size, url in urls.items()}
        rounds: dict[str, list[dict[str, float]]] = {size: [] for size in SIZES}
        for turn in range(ROUNDS + 10):
            for size, server in servers.items():
                times = server.ask()
                if turn >= 10:
                    rounds[size].append(times)
        for server in servers.values():
            server.end()
    medians = {
        size: {
            question: 1000 * statistics.median(r[question] for r in rounds[size])
            for question in rounds[size][0]
        }
        for size in SIZES
    }
    return {
        "units": DISTRICTS + STREETS + COMMUNITIES,
        "loading_seconds": servers["country"].loading,
        "questions": {
            question: {
                "few_ms": few,
                "country_ms": medians["country"][question],
                "ratio": medians["country"][question] / few,
            }
            for question, few in medians["few"].items()
        },
    }


def _tell(name: str, figures: dict[str, Any]) -> None:
    loading = figures["loading_seconds"]
    print(f"\n{name}: {figures['units']:,} units")
    for what, words in (("load", "loaded in"), ("again", "the same file once more, nothing to do:")):
        print(f"  {words} {loading[what]:.0f} s ({loading[what + '_cpu']:.0f} s of this process)")
    print(f"  {'one district, median of ' + str(ROUNDS):34} {'1,000 units':>12} {'country':>12} {'ratio':>7}")
    for question, times in figures["questions"].items():
        few, everything = f"{times['few_ms']:.2f} ms", f"{times['country_ms']:.2f} ms"
        print(f"  {question:34} {few:>12} {everything:>12} {times['ratio']:>7.2f}", flush=True)


def _serve(size: str) -> None:
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    rows = country()
    # From the middle, so that the district lies among others.
    middle = next(n for n, row in enumerate(rows) if row[0] == f"{100_000 + DISTRICTS // 2}")
    few = rows[middle : middle + FEW]
    loading = _load(few if size == "few" else rows)
    questions = _questions(few)
    print(json.dumps(loading), flush=True)
    for _line in sys.stdin:
        times = {}
        for name, question in questions.items():
            begun = time.perf_counter()
            question()
            times[name] = time.perf_counter() - begun
        print(json.dumps(times), flush=True)


def _load(rows: list[Row]) -> dict[str, float]:
    """The seconds that a first and a second loading take, and how many of them this process computed."""
    from programs.models import Unit
    from programs.unit_files import load

    content, seconds = as_file(rows), {}
    for name in ("load", "again"):
        begun, begun_cpu = time.perf_counter(), time.process_time()
        load(content, opened_on=OPENED, effective_on=dt.date(2026, 1, 1))
        seconds[name] = time.perf_counter() - begun
        seconds[f"{name}_cpu"] = time.process_time() - begun_cpu
    if Unit.objects.count() != len(rows):
        raise SystemExit("Units are missing.")
    return seconds


# --- the country ----------------------------------------------------------------------------------


def country() -> list[Row]:
    """The rows of a country, each district followed by its streets, each street by its communities."""
    rng = random.Random(1)
    with (ROOT / "sample" / "units.csv").open(encoding="utf-8", newline="") as file:
        names = [row["name"] for row in csv.DictReader(file) if row["tier"] == "community"]
    signs = sorted({sign for name in names for sign in name[:2]})

    def name() -> str:
        """As long as a real name, of the signs of real names, with a real ending."""
        return rng.choice(signs) + rng.choice(signs) + rng.choice(names)[2:]

    rows: list[Row] = []
    for number, (streets, communities) in enumerate(_shares()):
        district = f"{100_000 + number}"
        rows.append((district, name(), "district", "district", ""))
        for street_number in range(streets):
            street = f"{district}{street_number:03}"
            rows.append((street, name(), "street", "street", district))
            below = communities // streets + (street_number < communities % streets)
            rows += [(f"{street}{n:03}", name(), "community", "community", street) for n in range(below)]
    return rows


def _shares() -> Iterator[tuple[int, int]]:
    """Numbers of streets and communities of each district, as even as whole numbers allow."""
    for number in range(DISTRICTS):
        yield (
            (number + 1) * STREETS // DISTRICTS - number * STREETS // DISTRICTS,
            (number + 1) * COMMUNITIES // DISTRICTS - number * COMMUNITIES // DISTRICTS,
        )


def as_file(rows: list[Row]) -> bytes:
    """In no order, as files come."""
    mixed = list(rows)
    random.Random(2).shuffle(mixed)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["code", "name", "tier", "kind", "parent_code"])
    writer.writerows(mixed)
    return text.getvalue().encode()


# --- the questions ------------------------------------------------------------------------------


def _questions(few: list[Row]) -> dict[str, Question]:
    """What pages of one district ask, with the people and records that it is about."""
    from programs.access import Actor, units_for, visible
    from programs.boundaries import placed_under
    from programs.models import EducationActivity, Unit
    from programs.roles import Permission

    district = Unit.objects.get(code=few[0][0])
    street = Unit.objects.filter(parent=district).order_by("code")[3]
    leader, officer = _person("leader", district), _person("street_officer", street)
    _log(district, leader.user.pk)
    _analyse()
    activities = EducationActivity.objects.present().for_list()
    word = Unit.objects.filter(parent=street).order_by("code")[2]
    of_district: Any = units_for(Actor.of(leader.user), Permission.UNIT_VIEW)
    return {
        "scope of a district": lambda: list(
            units_for(leader, Permission.UNIT_VIEW).values_list("pk", flat=True)
        ),
        "scope of a street": lambda: list(
            units_for(officer, Permission.RECORD_VIEW).values_list("pk", flat=True)
        ),
        "records of a district": lambda: list(visible(activities, leader)[:50]),
        "records of a street": lambda: list(visible(activities, officer)[:50]),
        "records placed under a street": lambda: activities.filter(placed_under(street)).count(),
        "search by initials": lambda: list(of_district.matching(word.initials[:3])[:20]),
        "search by name": lambda: list(of_district.matching(word.name[1:3])[:20]),
        "search by code": lambda: list(of_district.matching(word.code)[:20]),
    }


def _person(role: str, unit: Any) -> Any:
    from programs.access import Actor
    from programs.models import Grant, User

    user = User.objects.filter(username=role).first() or User.objects.create_user(role, name=role)
    Grant.objects.get_or_create(
        user=user, role=role, unit=unit, defaults={"include_descendants": True, "valid_from": OPENED}
    )
    return Actor.of(user)


def _log(district: Any, user_id: int) -> None:
    from programs.models import EducationActivity, Unit

    units = list(Unit.objects.under(district).values_list("pk", flat=True))
    EducationActivity.objects.bulk_create(
        [
            EducationActivity(
                unit_id=units[n % len(units)],
                occurred_on=dt.date(2025, 1, 1) + dt.timedelta(days=n % 365),
                created_by_id=user_id,
                updated_by_id=user_id,
                theme=str(n),
                series="six_ones",
                setting="community",
                participants=n % 100,
            )
            for n in range(RECORDS)
        ],
        batch_size=1000,
    )


def _analyse() -> None:
    """What a database does by itself after a while."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")


if __name__ == "__main__":
    sys.exit(main())
