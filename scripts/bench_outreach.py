#!/usr/bin/env python3
"""Whether listening visits stay quick as they grow: `make bench-outreach`.

Two PostgreSQL databases of 3,000 units, one with 10,000 visits and 10,000 opinions, one with a million of each
(`--records`), both spread evenly over the last five years, so that every month of the large one is a hundred times as
full. As many opinions are open in both, the newest of them: what is at work depends on the officers and not on the
years. The officer's community, and a rare word, fill a page of a list on both sides. Public mood is left out.

Every page is asked for in turn on both sides, each side in a process of its own, through the portal's views. Prints the
server time on the large side as a multiple of that on the small one, each the quicker quarter of its rounds, and writes
the figures to var/bench-outreach.json. Nothing fails for being slow.

Needs PostgreSQL and a superuser, since triggers are off while the data load (`BENCH_DATABASE_URL`, default
postgres:///caring_bench_outreach; two databases of that name with _small and _large are dropped afterwards).
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import json
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

import psycopg2
from bench_data import LISTENING, OPENED, load_records
from bench_tools import ROOT, Finding, administer, fill_with_units, start_django, tell

URL = os.environ.get("BENCH_DATABASE_URL", "postgres:///caring_bench_outreach")
FEW, YEARS, ROUNDS, LIMIT = 10_000, 5, 9, 1.5
READERS = {"office": "D", "street_officer": "S01", "community_officer": "S01C0001"}
SEARCHES = {"a frequent word": "邻里", "a rare word": "罕见词", "no such word": "不存在的词"}
PAGES = {
    "home": "/",
    "inbox": "/opinions/inbox/",
    **{f"{kind}, list": f"/records/{kind}/" for kind in ("visits", "opinions")},
    "visits, one purpose": "/records/visits/?purpose=civil_mediation",
    "visits, by people met": "/records/visits/?sort=-person_times",
    "opinions, of one state": "/records/opinions/?state=handling",
    "opinions, of one category": "/records/opinions/?category=housing",
    "opinions, by voices": "/records/opinions/?sort=-voices",
    **{
        f"{kind}, search for {name}": f"/records/{kind}/?q={word}"
        for kind in ("visits", "opinions")
        for name, word in SEARCHES.items()
    },
    "an opinion": "OPINION",
    "similar ones": "/records/opinions/similar/?title=邻里噪音扰民&location=文化礼堂&category=housing",
}
# Pages over all records of a time, which are no lists: told, without a target in the requirements.
OVER_ALL = {"overview of opinions": "/opinions/overview/", "raised widely": "/opinions/widely/"}


def main() -> int:
    options = _options()
    with _side("small", FEW) as small, _side("large", options.records) as large:
        findings = [
            _compared(f"{reader}: {name}", reader, path, small, large, None if name in OVER_ALL else LIMIT)
            for reader in READERS
            for name, path in {**PAGES, **OVER_ALL}.items()
        ]
    (ROOT / "var").mkdir(exist_ok=True)
    found = {"records": options.records, "findings": [finding.as_dict() for finding in findings]}
    (ROOT / "var" / "bench-outreach.json").write_text(
        json.dumps(found, indent=2, ensure_ascii=False), encoding="utf-8"
    )
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--records", type=int, default=1_000_000, help="visits, and opinions, of the large side"
    )
    return parser.parse_args()


def _compared(
    name: str, reader: str, path: str, small: Connection, large: Connection, limit: float | None
) -> Finding:
    times: dict[str, list[float]] = {"small": [], "large": []}
    for _round in range(ROUNDS):
        for side, connection in (("small", small), ("large", large)):
            connection.send((reader, path))
            answer = connection.recv()
            if isinstance(answer, str):
                raise SystemExit(f"{name}: {answer}")
            times[side].append(answer)
    few, many = (statistics.quantiles(taken[1:], n=4)[0] for taken in times.values())
    finding = Finding(name, many / few, limit, details={"small ms": few, "large ms": many})
    tell([finding])
    return finding


# --- one side -------------------------------------------------------------------------------------


@contextlib.contextmanager
def _side(name: str, count: int) -> Iterator[Connection]:
    """A database with so many visits and opinions, and a process that answers (reader, address) with milliseconds."""
    url = f"{URL}_{name}"
    try:
        administer("DROP DATABASE IF EXISTS {name}", url)
        administer(
            "CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8'",
            url,
        )
    except psycopg2.OperationalError as error:
        raise SystemExit(f"This benchmark needs PostgreSQL (BENCH_DATABASE_URL): {error}") from error
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(there, url, count))
    process.start()
    there.close()
    try:
        print(f"{name}: {here.recv()}", flush=True)
        yield here
    finally:
        process.terminate()
        process.join()
        administer("DROP DATABASE IF EXISTS {name}", url)


def _serve(parent: Connection, url: str, count: int) -> None:
    start_django(DATABASE_URL=url)
    begun = time.perf_counter()
    _fill(count)
    parent.send(f"{count:,} visits and {count:,} opinions in {time.perf_counter() - begun:.0f} s")

    from django.conf import settings
    from django.test import Client

    from programs.models import User

    settings.ALLOWED_HOSTS = ["testserver"]
    clients = {}
    for reader in READERS:
        clients[reader] = Client()
        clients[reader].force_login(
            User.objects.get(username=reader), backend="programs.backends.PortalBackend"
        )
    while True:
        reader, path = parent.recv()
        parent.send(_asked(clients[reader], path, READERS[reader]))


def _asked(client: Any, path: str, home: str) -> float | str:
    """Milliseconds of the answer; in words what else came."""
    from outreach.models.opinion import Opinion

    if path == "OPINION":
        newest = Opinion.objects.filter(unit__code="S01C0001").order_by("-occurred_on", "-pk")[:1]
        path = f"/records/opinions/{newest.get().pk}/"
    begun = time.perf_counter()
    response = client.get(path)
    taken = (time.perf_counter() - begun) * 1000
    return taken if response.status_code == 200 else f"{path} answered {response.status_code}"


def _fill(count: int) -> None:
    from django.utils import timezone

    from programs.models import Grant, Unit, User

    fill_with_units("office")
    today = timezone.localdate()
    load_records(count, LISTENING, today - dt.timedelta(days=365 * YEARS), today)
    for role, code in READERS.items():
        if role != "office":
            Grant.objects.create(
                user=User.objects.create_user(role, name=role),
                role=role,
                unit=Unit.objects.get(code=code),
                include_descendants=role == "street_officer",
                valid_from=OPENED,
            )


if __name__ == "__main__":
    sys.exit(main())
