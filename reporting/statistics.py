"""Keeping the cells of statistics true to the records: refresh after every change, rebuild on demand.

Triggers append a mark for every unit and month that a change touches, in the transaction of the change. A refresh takes
marks and counts their cells anew in one transaction: after a crash the marks are back. Only the holder of one
lock writes cells; whoever finds it taken leaves, because the holder looks for marks once more after letting go.
Other designs (unique marks, no lock) lost marks or deadlocked under load; `tests/reporting/test_concurrency.py` is the
judge of any change here.
"""

from __future__ import annotations

import datetime as dt
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from hashlib import sha256

from django.db import connection, transaction
from django.db.models import Max, Min
from django.db.models.functions import TruncMonth
from django.utils import timezone

from programs import registry
from programs.models import Mark, Unit
from programs.models.unit import month_bounds, month_of
from reporting.models import Freshness, UnitMonth
from reporting.recount import recount

# Seconds that a record may wait to be counted before somebody should look.
LATE_SECONDS = 120
# The key of the lock among those of this database.
LOCK = 4_200_801
# Months whose marks are taken at once: one transaction each time, and on SQLite writers wait for it.
MONTHS = 12
# Rows of where each unit stood in each month that are kept at hand while months are counted.
MOST_PLACES = 200_000
# What the cells look like; another text has everything counted anew.
LAYOUT = "a row for a unit, month and kind"
# Under writers that never rest a task would run into its time limit; the next ring goes on.
MOST_SECONDS = 240


def refresh() -> int:
    """Count the marked cells anew until no mark remains, or leave if somebody else is at it.

    Returns how many months of units were counted. Not to be called inside a transaction: it sees what is committed.
    """
    done, until = 0, time.monotonic() + MOST_SECONDS
    while time.monotonic() < until:
        with transaction.atomic(durable=True):
            if not _try_lock():
                return done
            now = timezone.now()
            _mark_everything_if_declared_anew()
            marked = _take_marks()
            if marked:
                recount(list(marked), _places(), marked)
            took_all = len(marked) < MONTHS
            if took_all:
                _note_time(now)
        done += sum(map(len, marked.values()))
        # Whoever came while the lock was held has left: look for their marks, now that it is free.
        if took_all and not Mark.objects.exists():
            return done
    return done


def rebuild(progress: Callable[[int, int], None] | None = None) -> int:
    """Count every cell of every month anew, some months a transaction; returns the number of rows of cells.

    Work goes on meanwhile, and so do refreshes between the transactions.
    """
    # Notes how figures are declared, if that has changed.
    refresh()
    rows, months, done = 0, all_months(), 0
    for some in in_spans(months):
        with transaction.atomic(durable=True):
            take_lock()
            rows += recount(some, _places())
        refresh()
        done += len(some)
        if progress:
            progress(done, len(months))
    return rows


def in_spans(months: list[dt.date]) -> Iterator[list[dt.date]]:
    """The months that are counted in one transaction: some years of a district, a month of a country.

    On SQLite everybody who writes waits for the end of it.
    """
    units = max(1, Unit.objects.count())
    most = max(1, MOST_PLACES // units) if connection.vendor == "postgresql" else 1
    for start in range(0, len(months), most):
        yield months[start : start + most]


def all_months() -> list[dt.date]:
    """Every month from the first with a record or a cell to the last."""
    ends = [UnitMonth.objects.aggregate(first=Min("month"), last=Max("month"))]
    for kind in registry.kinds():
        ends.append(kind.model.objects.aggregate(first=Min("occurred_on"), last=Max("occurred_on")))
    found = [month_of(day) for end in ends for day in end.values() if day is not None]
    return months_between(min(found), max(found)) if found else []


def months_between(first: dt.date, last: dt.date) -> list[dt.date]:
    months = []
    while first <= last:
        months.append(first)
        first = month_bounds(first)[1]
    return months


def _take_marks() -> dict[dt.date, set[int]]:
    """Delete the marks of some months, those waiting longest, and return the units of each month.

    All marks of a month at once, so that an upload of many rows has every unit counted once. If the transaction
    fails they are back.
    """
    table = connection.ops.quote_name(Mark._meta.db_table)
    some = f"SELECT month FROM {table} GROUP BY month ORDER BY MIN(id) LIMIT %s"  # noqa: S608
    marked: defaultdict[dt.date, set[int]] = defaultdict(set)
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {table} WHERE month IN ({some}) RETURNING month, unit_id", [MONTHS])  # noqa: S608
        for month, unit in cursor.fetchall():
            # SQLite keeps a date as text.
            day = month if isinstance(month, dt.date) else dt.date.fromisoformat(month)
            marked[month_of(day)].add(unit)
    return marked


def fingerprint() -> str:
    """Of all that decides what is counted: it changes when an indicator is added, dropped or defined otherwise."""
    counted = (
        repr((kind.code, figure.code, figure.aggregate, figure.filter, figure.additive))
        for kind in registry.kinds()
        for figure in kind.counted
    )
    return sha256("\n".join([LAYOUT, *sorted(counted)]).encode()).hexdigest()


def _mark_everything_if_declared_anew() -> None:
    """After an update of the portal: every month with records or cells is counted again, by whoever noticed."""
    now = fingerprint()
    if Freshness.objects.filter(pk=1, declared=now).exists():
        return
    found = set(UnitMonth.objects.values_list("unit", "month").distinct())
    for kind in registry.kinds():
        found |= set(kind.model.objects.order_by().values_list("unit", TruncMonth("occurred_on")).distinct())
    Mark.objects.bulk_create(
        (Mark(unit_id=unit, month=month) for unit, month in sorted(found)), batch_size=5000
    )
    values = {"declared": now, "places": _extended(_places())}
    Freshness.objects.update_or_create(pk=1, defaults=values)


def _places() -> dict[str, list[str]]:
    """Which indicator each number of a kind's cells belongs to."""
    fresh = Freshness.objects.filter(pk=1).first()
    return fresh.places if fresh else {}


def _extended(places: dict[str, list[str]]) -> dict[str, list[str]]:
    """With places for what is new, after those that are taken: older cells still mean what they meant."""
    found = {code: list(codes) for code, codes in places.items()}
    for kind in registry.kinds():
        taken = found.setdefault(kind.code, [])
        taken += [figure.code for figure in kind.counted if figure.code not in taken]
    return found


def _note_time(now: dt.datetime) -> None:
    """Every record committed before `now` is in the cells, once this transaction is committed too."""
    Freshness.objects.filter(pk=1).update(refreshed_at=now)


def take_lock() -> None:
    """Wait for the lock; it is held until the transaction ends. On SQLite the transaction itself is the lock."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])


def _try_lock() -> bool:
    if connection.vendor != "postgresql":
        return True
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK])
        return bool(cursor.fetchone()[0])


def seconds_behind() -> int:
    """For how long at most the oldest mark has been waiting: since the last time that none was left. 0: none waits."""
    if not Mark.objects.exists():
        return 0
    fresh = Freshness.objects.first()
    if fresh is None or fresh.refreshed_at is None:
        return LATE_SECONDS + 1
    return int((timezone.now() - fresh.refreshed_at).total_seconds())
