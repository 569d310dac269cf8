"""What the benchmarks share: measured values beside their targets, and databases that are dropped afterwards."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg2
import redis
from bench_data import LAST, OPENED, units_file

ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Finding:
    """One measured value beside its target, if it has one: a ratio, or what `unit` says."""

    name: str
    value: float
    target: float | None
    unit: str = "×"
    at_least: bool = False
    details: dict[str, float] = field(default_factory=dict)

    @property
    def is_met(self) -> bool | None:
        if self.target is None:
            return None
        return self.value >= self.target if self.at_least else self.value <= self.target

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "met": self.is_met}


def tell(findings: Iterable[Finding]) -> None:
    for finding in findings:
        sign, target = "≥" if finding.at_least else "≤", "no target"
        if finding.target is not None:
            target = f"{sign} {finding.target:g} {finding.unit}"
        verdict = {True: "met", False: "MISSED", None: "told"}[finding.is_met]
        details = ", ".join(f"{name} {value:,.4g}" for name, value in finding.details.items())
        print(f"{verdict:7} {finding.value:9.2f} {finding.unit} ({target})  {finding.name}")
        print(f"{'':24}{details}")


def seconds(work: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def administer(statement: str, url: str) -> None:
    """Run a statement about the database of `url`, its {name}, from outside of it."""
    connection = psycopg2.connect(url.removesuffix(name_of(url)) + "postgres")
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(statement.format(name=f'"{name_of(url)}"'))
    connection.close()


def name_of(url: str) -> str:
    return urlsplit(url).path.lstrip("/")


@contextlib.contextmanager
def empty_queue(url: str) -> Iterator[None]:
    """A Redis database that is emptied again."""
    server = redis.Redis.from_url(url)
    try:
        if server.dbsize():
            raise SystemExit(f"{url} holds something; name an empty database (BENCH_REDIS_URL).")
    except redis.ConnectionError as error:
        raise SystemExit(f"This benchmark needs Redis (BENCH_REDIS_URL): {error}") from error
    try:
        yield
    finally:
        server.flushdb()
        server.close()


def start_django(**variables: str) -> None:
    """The portal on one machine, with these settings."""
    os.environ |= {
        "CARING_MODE": "embedded",
        "LOG_LEVEL": "ERROR",
        "DEBUG": "0",
        "DJANGO_SETTINGS_MODULE": "caring_portal.settings",
        **variables,
    }
    sys.path.insert(0, str(ROOT))
    import django

    django.setup()


def fill_with_units(role: str) -> None:
    """Tables, the units of `bench_data`, and one person with the role in the district."""
    from django.core.management import call_command
    from django.db import connection

    from programs.models import Grant, Unit, User
    from programs.unit_files import load
    from reporting.statistics import refresh

    call_command("migrate", verbosity=0)
    load(units_file(), opened_on=OPENED, effective_on=LAST)
    person = User.objects.create_user(role, name=role)
    district = Unit.objects.get(parent=None)
    Grant.objects.create(user=person, role=role, unit=district, include_descendants=True, valid_from=OPENED)
    # Notes how figures are declared: noticed later, that would mark every month.
    refresh()
    connection.close()
