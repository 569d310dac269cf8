"""Demo records of listening visits: visits, opinions in every state, places, public mood. Never part of production."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

from django.utils import timezone

from outreach.actions.opinions import take_step
from outreach.forms.visits import next_number
from outreach.models import MoodObservation, Opinion, Place, Visit
from programs.access import Actor
from programs.models.people import Grant
from programs.models.unit import Unit

MONTHS = 14
UNITS, VISITS, OBSERVATIONS, LETTERS = 26, 150, 70, 60
# The way of an opinion as far as it has come; most are done, the youngest have just begun.
WAY = ("accept", "assign", "start", "answer", "revisit", "close")
# Days between the steps.
PACE = (0, 3)


def load(writer: Any) -> None:
    """Log with the writer of `programs.demo`: its chance, its officers and its way in."""
    _Listening(writer).run()


def moment_on(day: dt.date, hour: int) -> dt.datetime:
    """The steps of the demo are taken on the days on which they would have been."""
    return timezone.make_aware(dt.datetime.combine(day, dt.time(hour, 15)))


class _Listening:
    def __init__(self, writer: Any) -> None:
        from programs.demo import SAMPLE

        self.writer, self.rng = writer, writer.rng
        self.words: dict[str, Any] = json.loads((SAMPLE / "listening.json").read_text(encoding="utf-8"))
        self.today = timezone.localdate()
        self.first = (self.today.replace(day=1) - dt.timedelta(days=30 * MONTHS)).replace(day=1)
        communities = list(dict.fromkeys(writer.of_setting["community"]))
        busy = [unit for unit in communities if unit.pk in writer.officers]
        self.units = [*busy, *self.rng.sample(communities, UNITS)]
        self.departments: list[Unit] = writer.of_setting["organ"]

    def run(self) -> None:
        for unit in dict.fromkeys(self.units):
            self.places(unit)
        days = sorted(self.day() for _number in range(VISITS))
        for day in days:
            self.visit(day)
        for _number in range(LETTERS):
            channel = self.rng.choice(["telephone", "reception", "letter", "web"])
            self.opinion(self.unit(), self.day(), channel=channel)
        self.mood()

    def unit(self) -> Unit:
        busy = self.units[: len(self.units) - UNITS]
        return self.rng.choice(busy if busy and self.rng.random() < 0.45 else self.units)

    def day(self) -> dt.date:
        """Evenly over the months, on working days of the week."""
        day = self.first + dt.timedelta(days=self.rng.randint(0, (self.today - self.first).days))
        return day if day.weekday() < 5 else day - dt.timedelta(days=2)

    def places(self, unit: Unit) -> None:
        for sort in self.rng.sample(list(self.words["places"]), self.rng.choice([1, 2])):
            name = self.rng.choice(self.writer.words["surnames"]) + self.rng.choice(
                self.writer.words["given_names"]
            )
            self.writer.log(
                Place,
                unit,
                occurred_on=self.day(),
                name=self.words["places"][sort],
                type=sort,
                address=f"{unit.name}党群服务中心{self.rng.choice('一二三')}楼",
                opening_times="周一至周五 9:00–17:00",
                responsible=name,
                phone=f"120{self.rng.randint(0, 99_999_999):08}",
                is_public=self.rng.random() < 0.7,
            )

    def visit(self, day: dt.date) -> None:
        unit = self.unit()
        form = self.rng.choices(list(self.words["themes"]), weights=[2, 6, 2, 2, 1, 3])[0]
        number = next_number(unit, day)
        purposes = Visit.Purpose.values
        places = Place.objects.filter(unit=unit).values_list("name", flat=True)
        self.writer.log(
            Visit,
            unit,
            occurred_on=day,
            theme=self.rng.choice(self.words["themes"][form]),
            form=form,
            purpose=self.rng.choices(purposes, weights=[6, 2, 3, 2, 3, 1])[0],
            person_times=self.rng.randint(3, 60),
            visitors=self.rng.choice(self.words["visitors"]),
            place=self.rng.choice(list(places) or [""]),
            number=number,
        )
        for _number in range(self.rng.choice([0, 1, 1, 2, 2, 3])):
            self.opinion(unit, day, channel="visit", visit_number=number)

    def opinion(self, unit: Unit, day: dt.date, **values: Any) -> None:
        category = self.rng.choice(list(self.words["opinions"]))
        title, where = self.rng.choice(self.words["opinions"][category])
        if Opinion.objects.filter(unit=unit, occurred_on=day, title=title).exists():
            return
        kind = "dispute" if category == "family" else self.rng.choice(["opinion", "problem", "problem"])
        self.writer.log(
            Opinion,
            unit,
            occurred_on=day,
            title=title,
            type=kind,
            category=category,
            content=f"{where}，{title}，希望尽快办理。",
            location=where,
            voices=self.rng.choice([1, 1, 1, 2, 5]),
            created_at=min(moment_on(day, 9), timezone.now()),
            **values,
        )
        self.live(Opinion.objects.order_by("-pk")[0], day)

    def live(self, opinion: Opinion, day: dt.date) -> None:
        """As far as it has come by today; now and then something is left lying."""
        department = self.rng.choice(self.departments) if self.rng.random() < 0.4 else None
        age = (self.today - day).days
        ends = age > 45 or (age > 30 and self.rng.random() < 0.8)
        end = len(WAY) if ends else self.rng.randint(0, len(WAY))
        for step in WAY[:end]:
            if step == "assign" and department is None:
                continue
            day += dt.timedelta(days=self.rng.randint(*PACE) + (4 if step == "answer" else 0))
            if day > self.today:
                return
            opinion = self.step(opinion, step, day, department)

    def step(self, opinion: Opinion, step: str, day: dt.date, department: Unit | None) -> Opinion:
        given: dict[str, Any] = {}
        if step == "assign":
            given = {"unit": department, "reason": self.rng.choice(self.words["reasons"])}
        elif step == "answer":
            outcome = self.rng.choices(list(self.words["answers"]), weights=[6, 3, 1])[0]
            given = {
                "outcome": outcome,
                "answer": self.rng.choice(self.words["answers"][outcome]),
                "day": day,
            }
        elif step == "revisit":
            choices = ["satisfied", "partly", "dissatisfied", "unreached"]
            given = {"satisfaction": self.rng.choices(choices, weights=[12, 4, 1, 1])[0]}
        at = opinion.unit if step in ("revisit", "close") else opinion.responsible
        return take_step(
            by=self.actor(at),
            opinion=opinion,
            transition=step,
            version=opinion.version,
            at=moment_on(day, 15),
            **given,
        )

    def actor(self, unit: Unit) -> Actor:
        user = self.writer.officers.get(unit.pk, self.writer.clerk)
        return Actor(user, (Grant(user=user, role="unit_officer", unit=unit),))

    def mood(self) -> None:
        for _number in range(OBSERVATIONS):
            topic = self.rng.choice(list(self.words["mood"]))
            self.writer.log(
                MoodObservation,
                self.unit(),
                occurred_on=self.day(),
                topic=topic,
                level=self.rng.choices(MoodObservation.Level.values, weights=[5, 6, 4, 1.2, 0.3])[0],
                trend=self.rng.choice(MoodObservation.Trend.values),
                source=self.rng.choice(MoodObservation.Source.values),
                groups=self.rng.choice(self.words["groups"]),
                gist=self.rng.choice(self.words["mood"][topic]),
            )
        # Something of these days, so that the home pages of those who are told show a warning.
        for unit in self.units[:2]:
            self.writer.log(
                MoodObservation,
                unit,
                occurred_on=self.today - dt.timedelta(days=2),
                topic="labour",
                level=4,
                trend="rising",
                source="visits",
                groups="外来务工人员",
                gist="外来务工人员担心年底结薪",
            )
