"""A district of 3,000 units and any number of records, for the benchmarks."""

from __future__ import annotations

import csv
import datetime as dt
import io
from dataclasses import dataclass

OPENED = dt.date(2008, 1, 1)
FIRST, LAST = dt.date(2021, 1, 1), dt.date(2025, 12, 31)
UNITS, STREETS, DEPARTMENTS = 3_000, 10, 30


def units_file() -> bytes:
    """A district and its departments; streets of 1 and 500 communities, others of some 200 with enterprises in them."""
    rows = [("D", "", "district")]
    rows += [(f"DD{n:02}", "D", "department") for n in range(DEPARTMENTS)]
    streets = [f"S{n:02}" for n in range(STREETS)]
    rows += [(street, "D", "street") for street in streets]
    rows += [("S00C0000", "S00", "community"), *((f"S01C{n:04}", "S01", "community") for n in range(500))]
    for number in range(UNITS - len(rows)):
        street, place = streets[2 + number % (STREETS - 2)], number // (STREETS - 2)
        community = f"{street}C{place - place % 3:04}"
        rows.append(
            (f"{street}C{place:04}", street, "community")
            if place % 3 < 2
            else (f"{community}E", community, "enterprise")
        )
    tiers = {"department": "district", "enterprise": "community"}
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["code", "name", "tier", "kind", "parent_code"])
    writer.writerows(
        (code, f"单位{code}", tiers.get(kind, kind), kind, parent) for code, parent, kind in rows
    )
    return text.getvalue().encode()


def _pick(*values: str) -> str:
    return f"(ARRAY[{', '.join(repr(value) for value in values)}])[(1 + g * 31 % {len(values)})::int]"


@dataclass(frozen=True)
class Sample:
    """How the records of a kind are made up: its share of them all, and its own columns from the number g."""

    share: float
    columns: dict[str, str]
    # What its indicators read, for an index that serves a GROUP BY alone.
    counted: tuple[str, ...] = ()


SAMPLES = {
    "activities": Sample(
        0.8,
        {
            "theme": "'主题教育第' || g || '场'",
            "series": "CASE WHEN g % 7 = 0 THEN 'festival' WHEN g % 3 = 0 THEN 'other' ELSE 'six_ones' END",
            "festival": f"CASE WHEN g % 7 = 0 THEN {_pick('neighbours', 'organ_sports', 'other')} ELSE '' END",
            "setting": _pick("school", "enterprise", "organ", "community"),
            "participants": "(g * 7919 % 300)",
            "place": "'文化礼堂'",
            "summary": "repeat('活动内容', 10)",
        },
        ("series", "festival", "setting", "participants"),
    ),
    "gratitude": Sample(
        0.15,
        {
            "title": "'感恩活动第' || g || '场'",
            "form": _pick("wall", "talk", "award", "garden"),
            "enterprise": "'第' || g % 500 || '鞋厂'",
            "participants": "(g * 7919 % 300)",
            "media_reports": "g % 4",
            "media": "''",
            "summary": "repeat('活动内容', 10)",
        },
        ("form", "media_reports"),
    ),
    "carriers": Sample(
        0.05,
        {
            "name": "'第' || g || '号载体'",
            "type": _pick("spokesperson", "gratitude", "office_day", "other"),
            "responsible": "'张三'",
            "phone": "''",
            "rhythm": _pick("weekly", "monthly"),
            "description": "''",
        },
        ("type",),
    ),
}


# The newest opinions, which are at work; those before them are closed.
OPEN_OPINIONS = 300
# Records with the rare word, and of one busy community, among however many: a page of them is full on either side.
RARE = 50
BUSY, BUSY_UNIT = 600, "S01C0001"
THEMES = (
    _pick("邻里", "孝亲", "诚信", "敬老", "助学", "物业", "出行")
    + "||"
    + _pick("走访", "座谈", "调解", "慰问", "宣讲")
)
LISTENING = {
    "visits": Sample(
        1,
        {
            "theme": f"{THEMES} || '第' || g || '次' || CASE WHEN {{rare}} THEN '罕见词' ELSE '' END",
            "form": _pick("leader", "unit", "office_day", "mediation_day", "open_talk", "reception"),
            "purpose": _pick(
                "opinion_poll", "petition_screening", "civil_mediation", "legal_advice", "greeting"
            ),
            "person_times": "(g * 7919 % 300)",
            "visitors": "'张三、李四'",
            "met": "''",
            "place": "'文化礼堂'",
            "number": "'第' || g || '号'",
            "summary": "repeat('走访内容', 10)",
        },
    ),
    "opinions": Sample(
        1,
        {
            "title": f"{THEMES} || '问题' || g || CASE WHEN {{rare}} THEN '罕见词' ELSE '' END",
            "type": _pick("opinion", "problem", "dispute"),
            "category": _pick("housing", "environment", "traffic", "education", "health", "labour", "family"),
            "channel": _pick("visit", "web", "telephone", "letter"),
            "content": "repeat('反映内容', 10)",
            "location": _pick("文化礼堂", "老街", "实验小学", "菜市场"),
            "citizen": "''",
            "phone": "''",
            "voices": "1 + g % 9",
            "visit_number": "''",
            "state": "CASE WHEN {open} THEN 'handling' ELSE 'closed' END",
            "responsible_id": "units.id",
            "outcome": "CASE WHEN {open} THEN '' ELSE 'solved' END",
            "satisfaction": "CASE WHEN {open} THEN '' ELSE 'satisfied' END",
            "answer": "''",
            "due_on": "CASE WHEN {open} THEN CURRENT_DATE + (g % 20)::int - 5 END",
            "answered_on": "CASE WHEN NOT {open} THEN {day} + 5 END",
            "on_time": "CASE WHEN NOT {open} THEN g % 5 > 0 END",
            "days_to_answer": "CASE WHEN NOT {open} THEN 5 END",
            "is_supervised": "false",
            "is_released": "false",
        },
    ),
}


def made(
    code: str, count: int, first: dt.date, last: dt.date, samples: dict[str, Sample] = SAMPLES
) -> tuple[str, str, str]:
    """Table, columns and a SELECT of made-up records of `samples`, one day after the other: of every unit alike, and
    `BUSY` more of one community."""
    from programs import registry
    from programs.models import User

    user = User.objects.values_list("pk", flat=True).get()
    day = f"(DATE '{first}' + (g * {(last - first).days + 1} / ({count} + 1))::int)"
    rare = f"(g % {max(1, count // RARE)} = 7)"
    words = {"open": f"(g > {count - OPEN_OPINIONS})", "day": day, "rare": rare}
    columns = {
        "unit_id": "units.id",
        "occurred_on": day,
        "created_by_id": f"{user}",
        "created_at": "now()",
        "updated_by_id": f"{user}",
        "updated_at": "now()",
        "version": "1",
        "submission_key": "gen_random_uuid()",
        **{name: value.format(**words) for name, value in samples[code].columns.items()},
    }
    select = (
        f"SELECT {', '.join(columns.values())} FROM generate_series(1::bigint, {count}) g"  # noqa: S608 (of names above)
        " JOIN (SELECT id, row_number() OVER (ORDER BY code) - 1 AS n FROM programs_unit) units"
        f" ON units.n = CASE WHEN g % {max(1, count // BUSY)} = 3 THEN"
        f" (SELECT count(*) FROM programs_unit WHERE code < '{BUSY_UNIT}')"
        f" ELSE abs(hashint8(g)::bigint) % {UNITS} END ORDER BY g"
    )
    return registry.kind(code).model._meta.db_table, ", ".join(columns), select


def load_records(
    count: int, samples: dict[str, Sample] = SAMPLES, first: dt.date = FIRST, last: dt.date = LAST
) -> None:
    """Records of five years, every tenth with a joint unit; no marks, since everything is counted afterwards."""
    from programs import indexes, registry

    execute("SET session_replication_role = replica; SET synchronous_commit = off")
    for code, sample in samples.items():
        table, columns, select = made(code, round(count * sample.share), first, last, samples)
        for index in indexes.declared("postgresql"):
            if index.table == table:
                execute(f'DROP INDEX "{index.name}"')
        execute(f"INSERT INTO {table} ({columns}) {select}")
        joint = registry.kind(code).model.joint_model()._meta.db_table
        record = f"{registry.kind(code).model._meta.model_name}_id"
        execute(
            f"INSERT INTO {joint} ({record}, unit_id) SELECT r.id, other.id FROM {table} r"  # noqa: S608
            " JOIN (SELECT id, row_number() OVER (ORDER BY code) - 1 AS n FROM programs_unit) other"
            f" ON other.n = abs(hashint8(r.id + 1)::bigint) % {UNITS} WHERE r.id % 10 = 0 AND other.id <> r.unit_id"
        )
    indexes.install()
    execute("RESET session_replication_role; RESET synchronous_commit")
    execute("VACUUM ANALYZE")


def execute(statement: str) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(statement)
