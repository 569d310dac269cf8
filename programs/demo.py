"""Demo people and records for the real units of Jiaojiang district, from `sample/`.

Never part of a production installation.

The “six ones” activities of the present year add up to what the district's address says of them.
"""

from __future__ import annotations

import csv
import datetime as dt
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils import timezone

from programs import demo_more, registry
from programs.access import Actor
from programs.actions import save_record
from programs.models.education import Carrier, EducationActivity, GratitudeEvent
from programs.models.people import Grant, User
from programs.models.unit import Unit
from programs.roles import ROLES

SAMPLE = Path(settings.BASE_DIR) / "sample"
DISTRICT = "331002"
# "76 activities, 78,000+ participants"
SIX_ONES, SIX_ONES_PARTICIPANTS = 76, 78_426
LARGE_CROWD = 1_200


def people() -> list[dict[str, str]]:
    """Rows of username, name, role, unit_code; a person with two posts has two."""
    with (SAMPLE / "people.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _unit_names() -> dict[str, str]:
    names: dict[str, str] = {}
    for source in ("units.csv", "departments.csv"):
        with (SAMPLE / source).open(encoding="utf-8", newline="") as file:
            names |= {row["code"]: row["name"] for row in csv.DictReader(file)}
    return names


def _sign_ins() -> list[tuple[str, Any, str]]:
    units = _unit_names()
    return [(row["username"], ROLES[row["role"]].label, units[row["unit_code"]]) for row in people()]


# What `make run` prints: (user name, role, unit).
SIGN_INS = _sign_ins()


def load_people(password: str) -> int:
    """Make the demo people and their grants; returns how many accounts are new."""
    created = 0
    for row in people():
        user = User.objects.filter(username=row["username"]).first()
        if user is None:
            user = User.objects.create_user(row["username"], password, name=row["name"])
            created += 1
        unit = Unit.objects.get(code=row["unit_code"])
        if not Grant.objects.filter(user=user, role=row["role"], unit=unit).exists():
            Grant.objects.create(
                user=user,
                role=row["role"],
                unit=unit,
                include_descendants=ROLES[row["role"]].with_descendants,
                valid_from=dt.date(2025, 1, 1),
            )
    return created


def load_records() -> int:
    """Log a year and a half of love education through the one way in; returns the number of records.

    Does nothing if there are records already.
    """
    if any(kind.model.objects.exists() for kind in registry.kinds()):
        return 0
    today = timezone.localdate()
    writer = _Writer(random.Random(DISTRICT))  # noqa: S311  (the same data every time, nothing secret)
    for year in (today.year - 1, today.year):
        last = min(dt.date(year, 12, 31), today)
        writer.activities(dt.date(year, 1, 1), last, final=year == today.year)
        writer.gratitude(dt.date(year, 1, 1), last)
    writer.carriers(today)
    for load in demo_more.loaders():
        load(writer)
    return writer.written


class _Writer:
    """Chooses units, days and words, and logs."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.words: dict[str, Any] = json.loads((SAMPLE / "records.json").read_text(encoding="utf-8"))
        units = list(Unit.objects.filter(path__startswith=Unit.objects.get(code=DISTRICT).path).open())
        self.of_setting = {
            "school": [u for u in units if u.kind == "school"],
            "enterprise": [u for u in units if u.kind == "enterprise"],
            "organ": [u for u in units if u.kind in {"department", "association"}],
            "community": [u for u in units if u.kind in {"community", "village", "street"}],
        }
        self.officers = {grant.unit_id: grant.user for grant in Grant.objects.select_related("user")}
        # Where a demo person works there is something to see.
        busy = [unit for unit in self.of_setting["community"] if unit.pk in self.officers]
        self.of_setting["community"] += busy * 50
        self.clerk = User.objects.get(username="office")
        self.written = 0

    def activities(self, first: dt.date, last: dt.date, *, final: bool) -> None:
        """A year of activities. The year before was a little smaller."""
        number = SIX_ONES if final else SIX_ONES - 9
        participants = SIX_ONES_PARTICIPANTS if final else SIX_ONES_PARTICIPANTS - 6_180
        for crowd in self.shares(participants, number):
            # Schools and departments gather the large crowds.
            weights = [4, 2, 2, 6] if crowd < LARGE_CROWD else [5, 1, 4, 0]
            setting = self.rng.choices(list(self.of_setting), weights=weights)[0]
            theme = self.rng.choice(self.words["six_ones"][setting])
            self.activity(self.day(first, last), setting, theme, crowd, series="six_ones")
        for _number in range(44):
            festival = self.rng.choice(list(self.words["festivals"]))
            declared = self.words["festivals"][festival]
            self.activity(
                self.day(first, last),
                declared["setting"],
                self.rng.choice(declared["themes"]),
                self.rng.randint(60, 900),
                series="festival",
                festival=festival,
            )
        for _number in range(60):
            setting = self.rng.choices(list(self.of_setting), weights=[2, 1, 1, 6])[0]
            theme, day = self.seasonal(self.words["others"][setting], first, last)
            self.activity(day, setting, theme, self.rng.randint(15, 160), series="other")

    def activity(self, day: dt.date, setting: str, theme: str, participants: int, **values: Any) -> None:
        unit = self.rng.choice(self.of_setting[setting])
        self.log(
            EducationActivity,
            unit,
            joint=self.joint(unit),
            occurred_on=day,
            theme=theme,
            setting=setting,
            participants=participants,
            place=self.rng.choice(self.words["places"][setting]),
            summary=self.rng.choice(self.words["summaries"][setting]),
            **values,
        )

    def gratitude(self, first: dt.date, last: dt.date) -> None:
        for _number in range(20):
            unit = self.rng.choice(self.of_setting["enterprise"])
            form = self.rng.choice(list(self.words["gratitude"]))
            reports = self.rng.choice([0, 0, 1, 1, 2, 3])
            self.log(
                GratitudeEvent,
                unit,
                occurred_on=self.day(first, last),
                title=self.rng.choice(self.words["gratitude"][form]),
                form=form,
                enterprise=unit.name,
                participants=self.rng.randint(20, 260),
                media_reports=reports,
                media=self.rng.choice(self.words["media"]) if reports else "",
            )

    def carriers(self, today: dt.date) -> None:
        communities = self.rng.sample(list(dict.fromkeys(self.of_setting["community"])), 22)
        for unit in [*communities, *self.of_setting["enterprise"]]:
            sort = "workshop_adviser" if unit.kind == "enterprise" else self.rng.choice(self.carrier_types())
            self.log(
                Carrier,
                unit,
                occurred_on=self.day(dt.date(today.year - 1, 1, 1), today),
                name=f"{unit.name}{self.words['carriers'][sort]}",
                type=sort,
                responsible=self.rng.choice(self.words["surnames"])
                + self.rng.choice(self.words["given_names"]),
                phone=f"120{self.rng.randint(0, 99_999_999):08}",  # nobody's: no such numbers are given out
                rhythm=self.rng.choice(["weekly", "monthly", "monthly", "quarterly", "occasional"]),
            )

    def carrier_types(self) -> list[str]:
        return [sort for sort in self.words["carriers"] if sort != "workshop_adviser"]

    def shares(self, total: int, number: int) -> Iterator[int]:
        """`total` cut into `number` unequal parts."""
        weights = [self.rng.uniform(0.2, 3) for _ in range(number)]
        left = total
        for index, weight in enumerate(weights):
            share = left if index == number - 1 else int(total * weight / sum(weights))
            left -= share
            yield share

    def seasonal(self, choices: list[Any], first: dt.date, last: dt.date) -> tuple[str, dt.date]:
        """A theme and a day for it; ["theme", [6, 7]] belongs to these months."""
        while True:
            choice, day = self.rng.choice(choices), self.day(first, last)
            if isinstance(choice, str):
                return choice, day
            if day.month in choice[1]:
                return choice[0], day

    def day(self, first: dt.date, last: dt.date) -> dt.date:
        return first + dt.timedelta(days=self.rng.randint(0, (last - first).days))

    def joint(self, unit: Unit) -> list[Unit]:
        """Now and then a department lends a hand."""
        others = [other for other in self.of_setting["organ"] if other.pk != unit.pk]
        return self.rng.sample(others, self.rng.choice([0, 0, 0, 1, 2]))

    def log(self, model: Any, unit: Unit, joint: list[Unit] | None = None, **values: Any) -> None:
        kind = next(kind for kind in registry.kinds() if kind.model is model)
        user = self.officers.get(unit.pk, self.clerk)
        # Only in memory: nobody is given a role by this.
        post = Grant(user=user, role="unit_officer", unit=unit)
        save_record(
            by=Actor(user, (post,)), kind=kind, values={"unit": unit, **values}, joint_units=joint or []
        )
        self.written += 1
