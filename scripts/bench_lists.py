#!/usr/bin/env python3
"""How fast lists are on a million records: `make bench-lists`.

Needs PostgreSQL: `BENCH_DATABASE_URL` (default postgres:///caring_bench_lists, made if missing and kept for the next
run; `--rebuild` fills it anew). Prints, for readers of different scope, the time of each page as a multiple of the
time of a page that renders only the frame, and writes the figures to var/bench-lists.json. With `--check` a page
slower than `--limit` times fails.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg2

ROOT = Path(__file__).resolve().parent.parent
URL = os.environ.get("BENCH_DATABASE_URL", "postgres:///caring_bench_lists")
STREETS, COMMUNITIES = 12, 267
ROUNDS = 25
FRAME = "/bench-frame/"

RECORDS = """
INSERT INTO programs_educationactivity
  (unit_id, occurred_on, created_by_id, created_at, updated_by_id, updated_at, version, submission_key,
   theme, series, festival, setting, participants, place, summary)
SELECT units.id, DATE '2012-01-01' + (random() * 5100)::int, %(user)s, now() - random() * interval '3000 days',
  %(user)s, now(), 1, gen_random_uuid(),
  (ARRAY['感恩', '邻里', '孝亲', '诚信', '敬老', '助学'])[1 + g %% 6]
    || (ARRAY['主题', '教育', '座谈', '故事', '宣讲'])[1 + g %% 5]
    || '第' || g || '场' || CASE WHEN g %% 20000 = 7 THEN '罕见词' ELSE '' END,
  CASE WHEN g %% 7 = 0 THEN 'festival' ELSE 'six_ones' END, CASE WHEN g %% 7 = 0 THEN 'neighbours' ELSE '' END,
  (ARRAY['school', 'enterprise', 'organ', 'community'])[1 + g %% 4], (random() ^ 3 * 3000)::int,
  '文化礼堂', repeat('内容', 60)
FROM generate_series(1, %(count)s) g
JOIN (SELECT id, row_number() OVER (ORDER BY code) - 1 AS n, count(*) OVER () AS many FROM programs_unit) units
  ON units.n = (g * 7919::bigint) %% units.many
"""
# Every fourth record has a joint unit, of the same street as often as not.
JOINT = """
INSERT INTO programs_educationactivity_joint_units (educationactivity_id, unit_id)
SELECT r.id, other.id FROM programs_educationactivity r
JOIN (SELECT id, row_number() OVER (ORDER BY code) - 1 AS n, count(*) OVER () AS many FROM programs_unit) other
  ON other.n = (r.id * 104729) %% other.many
WHERE r.id %% 4 = 0 AND other.id <> r.unit_id
"""


def main() -> int:
    options = _options()
    _make_database()
    os.environ |= {"CARING_MODE": "embedded", "DATABASE_URL": URL, "LOG_LEVEL": "ERROR", "DEBUG": "0"}
    os.environ["DJANGO_SETTINGS_MODULE"] = "caring_portal.settings"
    sys.path.insert(0, str(ROOT))
    import django

    django.setup()
    _fill(options.records, options.rebuild)
    figures = _measure()
    (ROOT / "var").mkdir(exist_ok=True)
    (ROOT / "var" / "bench-lists.json").write_text(
        json.dumps(figures, indent=2, ensure_ascii=False), encoding="utf-8"
    )
    slow = [name for name, figure in figures["pages"].items() if figure["ratio"] > options.limit]
    if slow and options.check:
        print(f"Slower than {options.limit} times the frame: {', '.join(slow)}")
        return 1
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--rebuild", action="store_true", help="fill the database anew")
    parser.add_argument("--limit", type=float, default=6.0, help="largest multiple of the frame's time")
    parser.add_argument("--check", action="store_true", help="fail when a page is slower than the limit")
    return parser.parse_args()


def _make_database() -> None:
    name = urlsplit(URL).path.lstrip("/")
    try:
        connection = psycopg2.connect(URL.removesuffix(name) + "postgres")
    except psycopg2.OperationalError as error:
        raise SystemExit(f"This benchmark needs PostgreSQL (BENCH_DATABASE_URL): {error}") from error
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
        if cursor.fetchone() is None:
            cursor.execute(
                f"CREATE DATABASE \"{name}\" TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8'"
            )
    connection.close()


def _fill(count: int, rebuild: bool) -> None:
    from django.core.management import call_command
    from django.db import connection

    call_command("migrate", verbosity=0)
    from programs.models import EducationActivity, User

    if not rebuild and EducationActivity.objects.count() == count:
        return
    print(f"Filling the database with {count:,} records …", flush=True)
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE programs_unit, programs_user, programs_mark, django_session CASCADE")
    _make_units_and_people()
    with connection.cursor() as cursor:
        cursor.execute(RECORDS, {"count": count, "user": User.objects.first().pk})  # type: ignore[union-attr]
        cursor.execute(JOINT.replace("%%", "%"))
        cursor.execute("TRUNCATE programs_mark")
        cursor.execute("VACUUM ANALYZE")


def _make_units_and_people() -> None:
    import datetime as dt

    from programs.actions.units import create_unit
    from programs.models import Grant, Unit, User

    opened = dt.date(2008, 1, 1)

    def unit(code: str, name: str, tier: str, kind: str, parent: Unit | None = None) -> Unit:
        return create_unit(
            by=None, code=code, name=name, tier=tier, kind=kind, parent=parent, opened_on=opened
        )

    district = unit("331002", "区", "district", "district")
    streets = [unit(f"331002{n:03}", f"街道{n}", "street", "street", district) for n in range(1, STREETS + 1)]
    communities = [
        unit(f"{streets[n % STREETS].code}{n:03}", f"社区{n}", "community", "community", streets[n % STREETS])
        for n in range(1, COMMUNITIES + 1)
    ]
    for name, role, home in [
        ("leader", "leader", district),
        ("street_officer", "street_officer", streets[0]),
        ("community_officer", "community_officer", communities[0]),
    ]:
        user = User.objects.create_user(name, "a-long-password-1", name=name)
        Grant.objects.create(
            user=user,
            role=role,
            unit=home,
            valid_from=opened,
            include_descendants=role != "community_officer",
        )


PAGES = {
    "list": "",
    "one street": "?unit=331002001",
    "a year of one series": "?occurred_on_from=2024-01-01&occurred_on_to=2024-12-31&series=festival",
    "search, a frequent word": "?q=感恩",
    "search, a rare word": "?q=罕见词",
    "search, no such word": "?q=不存在的词",
    "search, two words": "?q=感恩+故事",
    "by participants": "?sort=-participants",
    "by entry": "?sort=-created_at",
    "deep, by date": "DEEP occurred_on",
    "deep, by participants": "DEEP participants",
}


def _measure() -> dict[str, Any]:
    from django.conf import settings
    from django.test import Client, override_settings

    from programs.models import User

    figures: dict[str, Any] = {"records": 0, "pages": {}}
    with override_settings(
        ROOT_URLCONF="scripts.bench_urls", ALLOWED_HOSTS=["testserver"], MIDDLEWARE=settings.MIDDLEWARE
    ):
        for role in ("leader", "street_officer", "community_officer"):
            client = Client()
            client.force_login(User.objects.get(username=role), backend="programs.backends.PortalBackend")
            print(f"\n{role}")
            for name, query in PAGES.items():
                page, base = _times(client, _path(client, query))
                figures["pages"][f"{role}: {name}"] = {
                    "ms": round(page, 2),
                    "frame_ms": round(base, 2),
                    "ratio": round(page / base, 2),
                }
                print(
                    f"  {name:26} {page:8.1f} ms  {page / base:5.1f} × the frame ({base:.1f} ms)", flush=True
                )
    return figures


def _path(client: Any, query: str) -> str:
    """The address; a deep one stands 1,000 rows before the end of its order, where an offset would be largest."""
    path = "/records/activities/"
    if not query.startswith("DEEP "):
        return path + query
    from programs.access import Actor, visible
    from programs.models import EducationActivity, User
    from programs.paging import cursor_at, page_of

    actor = Actor.of(User.objects.get(pk=client.session["_auth_user_id"]))
    name = query.removeprefix("DEEP ")
    records = visible(EducationActivity.objects.present(), actor, listing=True)
    far = page_of(records, f"-{name}", size=1000)
    return f"{path}?sort={name}&cursor={cursor_at(far.rows[-1], name)}"


def _times(client: Any, path: str) -> tuple[float, float]:
    """Milliseconds of the page and of the frame, measured in turn; the quicker quarter, which other work on the machine
    disturbs least."""
    times: dict[str, list[float]] = {path: [], FRAME: []}
    began = time.perf_counter()
    while len(times[FRAME]) < ROUNDS and (len(times[FRAME]) < 6 or time.perf_counter() - began < 10):
        for address, taken in times.items():
            start = time.perf_counter()
            response = client.get(address)
            taken.append((time.perf_counter() - start) * 1000)
            if response.status_code != 200:
                raise SystemExit(f"{address} answered {response.status_code}")
    page, frame = (statistics.quantiles(taken, n=4)[0] for taken in times.values())
    return page, frame


if __name__ == "__main__":
    sys.exit(main())
