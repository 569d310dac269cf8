#!/usr/bin/env python3
"""What a spreadsheet of 50,000 rows costs: `make bench-uploads`.

A district's month of love-education activities, of all its units, comes as an xlsx file of 12 columns into a database
that holds a million records (`--records`). In turn, so that whatever else the machine does disturbs all alike, and each
in a process of its own: our way from the drop to the figures, and back; reading alone and COPY of ready rows;
django-import-export with its defaults; and ours beside `bulk_create` on SQLite.

Prints every ratio beside its target and writes them to var/bench-uploads.json. Nothing fails for being slow.

Needs PostgreSQL and a superuser, since triggers are off while the data load (`BENCH_DATABASE_URL`, default
postgres:///caring_bench_uploads; the database is dropped afterwards), and an empty Redis database (`BENCH_REDIS_URL`,
default redis://127.0.0.1:6379/15).
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import xlsxwriter
from bench_data import LAST, UNITS, execute, load_records
from bench_tools import (
    ROOT,
    Finding,
    administer,
    empty_queue,
    fill_with_units,
    seconds,
    start_django,
    tell,
)
from bench_upload_sides import KIND

POSTGRES = os.environ.get("BENCH_DATABASE_URL", "postgres:///caring_bench_uploads")
REDIS = os.environ.get("BENCH_REDIS_URL", "redis://127.0.0.1:6379/15")
ROUNDS = 3
# Rows with which django-import-export is measured, and half as many to show that its time grows with them.
STOCK_ROWS = 2_000
WARM_ROWS = 20
Times = dict[str, float]


def main() -> int:
    options = _options()
    with tempfile.TemporaryDirectory() as name, empty_queue(REDIS), _database():
        folder = Path(name)
        _fill(folder, options.records)
        file = folder / "ledger.xlsx"
        columns = _write(file, options.rows)
        _write(folder / "warm.xlsx", WARM_ROWS)
        size = file.stat().st_size / 2**20
        print(f"A file of {options.rows:,} rows × {columns} columns: {size:.1f} MiB", flush=True)
        findings = [*_on_postgresql(file, options), *_on_sqlite(folder, file, options)]
    report = {
        "units": UNITS,
        "records": options.records,
        "rows": options.rows,
        "columns": columns,
        "file_mib": size,
        "findings": [finding.as_dict() for finding in findings],
    }
    print(f"\n{UNITS:,} units, {options.records:,} records, {options.rows:,} rows × {columns} columns\n")
    tell(findings)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(report, indent=2, ensure_ascii=False), encoding="utf-8")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=50_000, help="rows of the file; fewer for a quick look")
    parser.add_argument("--records", type=int, default=1_000_000, help="records that are there already")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="times that the sides take turns")
    parser.add_argument(
        "--stock-rows",
        type=int,
        default=STOCK_ROWS,
        help=f"rows that django-import-export is given; its time for the others is calculated ({STOCK_ROWS})",
    )
    parser.add_argument("--json", type=Path, default=ROOT / "var" / "bench-uploads.json")
    return parser.parse_args()


# --- the database ---------------------------------------------------------------------------------------


@contextlib.contextmanager
def _database() -> Iterator[None]:
    try:
        administer("DROP DATABASE IF EXISTS {name} WITH (FORCE)", POSTGRES)
        administer("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'", POSTGRES)
    except psycopg2.OperationalError as error:
        raise SystemExit(f"This benchmark needs PostgreSQL (BENCH_DATABASE_URL): {error}") from error
    try:
        yield
    finally:
        administer("DROP DATABASE IF EXISTS {name} WITH (FORCE)", POSTGRES)


def _fill(folder: Path, records: int) -> None:
    start_django(DATABASE_URL=POSTGRES, BROKER_URL=REDIS, VAR_DIR=str(folder))
    from reporting.statistics import rebuild

    fill_with_units("office")
    print(f"{records:,} records: loading …", end=" ", flush=True)
    taken = seconds(lambda: load_records(records))
    print(f"{taken:.0f} s, counting …", end=" ", flush=True)
    print(f"{seconds(rebuild):.0f} s", flush=True)
    execute("VACUUM ANALYZE")


# --- the file -------------------------------------------------------------------------------------------

# Before and after the columns of the kind itself, as ledgers have them.
BEFORE, AFTER = ["序号"], ["填报人"]
THEMES = (
    "感恩教育",
    "志愿服务",
    "邻里互助",
    "家风家训",
    "敬老爱老",
    "关爱青少年",
    "心理健康讲座",
    "红色故事宣讲",
)
PLACES = ("文化礼堂", "党群服务中心", "社区活动室", "实验小学操场", "老年活动中心", "企业培训室")
SENTENCES = (
    "组织辖区居民开展主题宣讲，现场发放宣传资料。",
    "志愿者走访慰问困难家庭，了解实际需求并登记造册。",
    "邀请心理咨询师授课，与会人员就情绪管理、亲子沟通等问题进行了交流。",
    "活动得到群众一致好评，进一步增强了社区凝聚力。",
    "师生共同诵读家书，讲述身边的感人故事。",
    "现场设置咨询台，解答群众关心的热点问题。",
)
SURNAMES, GIVEN = "王李张刘陈杨黄赵吴周徐孙", ("芳", "伟", "秀英", "敏", "建国", "丽华", "强", "晓燕")


def _write(file: Path, number: int) -> int:
    """A workbook of so many rows, the first of those of any longer one; the number of its columns."""
    from django.utils import translation

    from programs import registry
    from programs.facts import label_of
    from programs.models import Unit

    kind = registry.kind(KIND)
    names = kind.sheet.names()
    units = list(Unit.objects.order_by("code").values_list("code", flat=True))
    book = xlsxwriter.Workbook(file, {"default_date_format": "yyyy-mm-dd"})
    sheet = book.add_worksheet("十二月台账")
    with translation.override("zh-hans"):
        labels = {name: _labels(kind.field(name)) for name in names}
        headers = [*BEFORE, *(str(label_of(kind, name)) for name in names), *AFTER]
        sheet.write_row(0, 0, headers)
        for row, values in enumerate(_rows(number, units), 1):
            cells = [labels[name].get(values[name], values[name]) for name in names]
            sheet.write_row(row, 0, [row, *cells, values["by"]])
    book.close()
    return len(headers)


def _labels(field: Any) -> dict[Any, str]:
    return {code: str(label) for code, label in getattr(field, "flatchoices", None) or ()}


def _rows(number: int, units: list[str]) -> Iterator[dict[str, Any]]:
    """Every unit has as many; no two rows are the same activity; every twentieth was joint."""
    made = random.Random(4)
    for row in range(number):
        series = made.choice(("six_ones", "six_ones", "festival", "other"))
        partner = units[made.randrange(len(units))]
        unit = units[row % len(units)]
        yield {
            "unit": unit,
            "occurred_on": LAST - dt.timedelta(days=made.randrange(31)),
            "theme": f"“{made.choice(THEMES)}”主题活动第{row + 1}场",
            "series": series,
            "festival": made.choice(("neighbours", "organ_sports", "other")) if series == "festival" else "",
            "setting": made.choice(("school", "enterprise", "organ", "community")),
            "participants": made.randrange(10, 400),
            "place": f"{made.choice(PLACES)}{made.randrange(1, 90)}室",
            "summary": "".join(made.sample(SENTENCES, 3)) + f"参与{row % 97}户。",
            "joint_units": partner if row % 20 == 0 and partner != unit else "",
            "by": made.choice(SURNAMES) + made.choice(GIVEN),
        }


# --- the sides in turn ------------------------------------------------------------------------------------


def _run(side: str, file: Path, **variables: str) -> Times:
    command = [sys.executable, str(ROOT / "scripts" / "bench_upload_sides.py"), side, str(file)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **variables}
    )
    if done.returncode:
        raise SystemExit(f"{side}: {done.stderr[-3000:]}")
    times: Times = json.loads(done.stdout.splitlines()[-1])
    print(f"  {side}: " + ", ".join(f"{name} {value:,.4g}" for name, value in times.items()), flush=True)
    return times


def _middle(rounds: list[Times]) -> Times:
    """Of each figure the median."""
    return {name: statistics.median(times[name] for times in rounds) for name in rounds[0]}


def _ratio(ours: list[Times], name: str, others: list[Times], other: str) -> float:
    """The median of what each round says: its sides ran one after the other, disturbed alike."""
    pairs = zip(ours, others, strict=True)
    return statistics.median(mine[name] / theirs[other] for mine, theirs in pairs)


def _on_postgresql(file: Path, options: argparse.Namespace) -> Iterator[Finding]:
    few, some = file.with_name("few.xlsx"), file.with_name("some.xlsx")
    stock_rows = min(options.stock_rows, options.rows)
    _write(few, stock_rows // 2)
    _write(some, stock_rows)

    print("On PostgreSQL …", flush=True)
    ours: list[Times] = []
    limit: list[Times] = []
    half: list[Times] = []
    stock: list[Times] = []
    for _round in range(options.rounds):
        for side, of_side, of in (
            ("ours", ours, file),
            ("limit", limit, file),
            ("stock", half, few),
            ("stock", stock, some),
        ):
            execute("VACUUM ANALYZE")
            of_side.append(_run(side, of))
    for times in (*half, *stock):
        times["row"] = times["whole"] / times["rows"]
    us, least, a_half, them = (_middle(times) for times in (ours, limit, half, stock))
    yield Finding(
        f"django-import-export ({them['rows']:,.0f} rows, calculated for more) to ours, from the drop to the figures",
        us["rows"] / _ratio(ours, "whole", stock, "row"),
        40,
        at_least=True,
        details={
            "ours s": us["whole"],
            "preview s": us["preview"],
            "apply s": us["apply"],
            "django-import-export s": us["rows"] * them["row"],
            f"ms a row of {a_half['rows']:,.0f}": 1000 * a_half["row"],
            f"ms a row of {them['rows']:,.0f}": 1000 * them["row"],
        },
    )
    yield Finding(
        "ours to the limit: reading alone, and COPY of ready rows",
        _ratio(ours, "whole", limit, "whole"),
        2.5,
        details={"ours s": us["whole"], "reading s": least["read"], "COPY s": least["copy"]},
    )
    yield Finding(
        "preview beyond 1.5 × reading alone",
        statistics.median(
            mine["preview"] - 1.5 * alone["read"] for mine, alone in zip(ours, limit, strict=True)
        ),
        2,
        "s",
        details={"preview s": us["preview"], "reading s": least["read"]},
    )
    yield Finding(
        "most memory of the worker",
        us["peak"],
        300,
        "MiB",
        details={
            "with undo MiB": us["peak_with_undo"],
            "the reading child MiB": us["child"],
            "before MiB": us["before"],
        },
    )
    yield Finding(
        "undo to apply",
        _ratio(ours, "undo", ours, "apply"),
        1,
        details={"undo s": us["undo"], "apply s": us["apply"]},
    )


def _on_sqlite(folder: Path, file: Path, options: argparse.Namespace) -> Iterator[Finding]:
    """A database of its own with the same units and no records."""
    print("On SQLite …", flush=True)
    (folder / "sqlite").mkdir()
    elsewhere = {
        "VAR_DIR": str(folder / "sqlite"),
        "DATABASE_URL": f"sqlite:///{folder / 'sqlite' / 'db.sqlite3'}",
    }
    rounds = [_run("sqlite", file, **elsewhere) for _round in range(options.rounds)]
    us = _middle(rounds)
    yield Finding(
        "on SQLite, ours to reading and bulk_create of ready rows",
        _ratio(rounds, "whole", rounds, "least"),
        2,
        details={
            f"{name} s": us[name] for name in ("whole", "preview", "apply", "undo", "read", "bulk_create")
        },
    )


if __name__ == "__main__":
    sys.exit(main())
