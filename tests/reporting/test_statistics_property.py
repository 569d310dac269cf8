"""Whatever is done to records and units, by whatever way: after a refresh every cell is what the records say."""

from __future__ import annotations

import datetime as dt
import os
import uuid
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from programs import registry
from programs.actions import remove_record, restore_record, save_record
from programs.actions.units import close_unit, create_unit, merge_units, move_unit
from programs.models import Mark, Unit, User
from reporting.reconciliation import reconcile
from reporting.statistics import rebuild, refresh
from tests.factories import sample_values
from tests.reporting.conftest import officer_of
from tests.reporting.naive import assert_adds_up, assert_exact

# The four months in which everything happens.
FIRST = dt.date(2025, 1, 1)
days = st.integers(0, 119).map(lambda n: FIRST + dt.timedelta(days=n))
kinds = st.sampled_from(["activities", "gratitude", "cases"])
picks = st.integers(0, 10**6)
steps: Counter[str] = Counter()


class Office(RuleBasedStateMachine):
    """One district, a second one beside it, and everything that can happen to their records."""

    person: User

    def __init__(self) -> None:
        super().__init__()
        # What one run does is taken back at its end, as pytest-django does for a test.
        self.undo = transaction.atomic()
        self.undo._from_testcase = True  # type: ignore[attr-defined]
        self.undo.__enter__()
        self.new_units = 0

    def teardown(self) -> None:
        try:
            refresh()
            assert_exact()
            assert_adds_up()
            assert reconcile() == []
            rebuild()
            assert_exact()
        finally:
            transaction.set_rollback(True)
            self.undo.__exit__(None, None, None)

    def unit(self, pick: int, **condition: Any) -> Unit | None:
        units = list(Unit.objects.filter(**condition).order_by("pk"))
        return units[pick % len(units)] if units else None

    def record(self, code: str, pick: int, **condition: Any) -> Any:
        records = list(registry.kind(code).model.objects.filter(**condition).order_by("pk"))
        return records[pick % len(records)] if records else None

    def values(self, code: str, unit: Unit, day: dt.date, number: int) -> dict[str, Any]:
        own = {
            "activities": {"series": ["six_ones", "other"][number % 2], "participants": number},
            "gratitude": {"media_reports": number % 5},
            "cases": {"hours": Decimal(number) / 4, "client": "甲乙丙丁"[number % 4]},
        }[code]
        return {**sample_values(registry.kind(code)), **own, "unit": unit, "occurred_on": day}

    def joint_units(self, unit: Unit, chosen: list[int]) -> list[Unit]:
        others = list(
            Unit.objects.filter(path__startswith=f"/{unit.root_id}/").exclude(pk=unit.pk).order_by("pk")
        )
        return [others[i] for i in sorted({pick % len(others) for pick in chosen})]

    # The way of the portal

    @rule(code=kinds, pick=picks, day=days, number=st.integers(0, 40), chosen=st.lists(picks, max_size=3))
    def create(self, code: str, pick: int, day: dt.date, number: int, chosen: list[int]) -> None:
        unit = self.unit(pick, closed_on=None)
        steps["create"] += 1
        save_record(
            by=officer_of(self.person, unit),
            kind=registry.kind(code),
            values=self.values(code, unit, max(day, unit.opened_on), number),
            joint_units=self.joint_units(unit, chosen),
        )

    @rule(
        code=kinds,
        pick=picks,
        to=picks,
        day=days,
        number=st.integers(0, 40),
        chosen=st.none() | st.lists(picks, max_size=3),
    )
    def change(
        self, code: str, pick: int, to: int, day: dt.date, number: int, chosen: list[int] | None
    ) -> None:
        """Another unit, another month, other numbers, other joint units: or some of them."""
        record = self.record(code, pick, removed_at=None)
        if record is None:
            return
        unit = self.unit(to, closed_on=None) if to % 2 else record.unit
        joint = self.joint_units(unit, chosen) if chosen is not None else None
        if joint is None and record.joint_units.exists():
            joint = [u for u in record.joint_units.all() if u.pk != unit.pk and u.root_id == unit.root_id]
        steps["change"] += 1
        try:
            save_record(
                by=officer_of(self.person, record.unit, unit),
                kind=registry.kind(code),
                record=record,
                values=self.values(code, unit, max(day, unit.opened_on), number),
                joint_units=joint,
            )
        except ValidationError:  # closed before this day
            steps["refused"] += 1

    @rule(code=kinds, pick=picks)
    def remove_or_restore(self, code: str, pick: int) -> None:
        record = self.record(code, pick)
        if record is None:
            return
        by, kind = officer_of(self.person, record.unit), registry.kind(code)
        steps["remove or restore"] += 1
        if record.is_removed:
            restore_record(by=by, kind=kind, record=record)
        else:
            remove_record(by=by, kind=kind, record=record)

    # Every other way into the tables

    @rule(code=kinds, pick=picks, day=days, numbers=st.lists(st.integers(0, 9), min_size=1, max_size=5))
    def bulk_create(self, code: str, pick: int, day: dt.date, numbers: list[int]) -> None:
        model = registry.kind(code).model
        rows = []
        for number in numbers:
            unit = self.unit(pick + number)
            own = self.values(code, unit, day + dt.timedelta(days=number), number)
            rows.append(
                model(**own, created_by=self.person, updated_by=self.person, submission_key=uuid.uuid4())
            )
        steps["bulk_create"] += 1
        rows = model.objects.bulk_create(rows)
        through = model.joint_model()
        name = model._meta.model_name
        other = self.unit(pick // 7)
        # A lead unit that is its own joint unit, or a joint unit of another district: the tables allow it.
        through.objects.bulk_create([through(**{f"{name}_id": row.pk, "unit_id": other.pk}) for row in rows])

    @rule(code=kinds, pick=picks, to=picks, day=days, what=st.sampled_from(["unit", "day", "both", "number"]))
    def update(self, code: str, pick: int, to: int, day: dt.date, what: str) -> None:
        model = registry.kind(code).model
        rows = model.objects.filter(
            pk__in=[row.pk for row in model.objects.all() if (row.pk + pick) % 3 == 0]
        )
        numbers = {"activities": "participants", "gratitude": "media_reports", "cases": "hours"}
        values: dict[str, Any] = {}
        if what in ("unit", "both"):
            values["unit"] = self.unit(to)
        if what in ("day", "both"):
            values["occurred_on"] = day
        if what == "number":
            values[numbers[code]] = to % 11
        steps["update()"] += 1
        rows.update(**values)

    @rule(code=kinds, pick=picks, to=picks, verb=st.sampled_from(["delete", "day", "joint", "unjoin"]))
    def raw_sql(self, code: str, pick: int, to: int, verb: str) -> None:
        record = self.record(code, pick)
        if record is None:
            return
        model = registry.kind(code).model
        table, joint = model._meta.db_table, model.joint_model()._meta.db_table
        column = f"{model._meta.model_name}_id"
        steps["raw SQL"] += 1
        with connection.cursor() as cursor:
            if verb == "delete":
                cursor.execute(f"DELETE FROM {joint} WHERE {column} = %s", [record.pk])
                cursor.execute(f"DELETE FROM {table} WHERE id = %s", [record.pk])
            elif verb == "day":
                day = FIRST + dt.timedelta(days=to % 119)
                cursor.execute(
                    f"UPDATE {table} SET occurred_on = %s WHERE id = %s", [day.isoformat(), record.pk]
                )
            elif verb == "joint":
                unit = self.unit(to)
                cursor.execute(
                    f"DELETE FROM {joint} WHERE {column} = %s AND unit_id = %s", [record.pk, unit.pk]
                )
                cursor.execute(
                    f"INSERT INTO {joint} ({column}, unit_id) VALUES (%s, %s)", [record.pk, unit.pk]
                )
            else:
                cursor.execute(f"DELETE FROM {joint} WHERE {column} = %s", [record.pk])

    # Units

    @rule(pick=picks)
    def new_unit(self, pick: int) -> None:
        self.new_units += 1
        parent = self.unit(pick, tier="street", closed_on=None)
        try:
            create_unit(
                by=None,
                code=f"NEW{self.new_units}",
                name=f"新社区{self.new_units}",
                tier="community" if parent.is_territorial else "street",
                kind="community" if parent.is_territorial else "school",
                parent=parent,
                opened_on=FIRST,
            )
            steps["new unit"] += 1
        except ValidationError:
            steps["refused"] += 1

    @rule(pick=picks, to=picks, day=days, verb=st.sampled_from(["move", "move", "move", "merge", "close"]))
    def change_units(self, pick: int, to: int, day: dt.date, verb: str) -> None:
        unit = self.unit(pick, closed_on=None, parent__isnull=False)
        fitting = Unit.objects.filter(closed_on=None, path__startswith=f"/{unit.root_id}/").exclude(
            pk=unit.pk
        )
        tier = "street" if verb == "move" and unit.is_territorial else unit.tier
        other = self.unit(to, pk__in=fitting.filter(tier=tier))
        if other is None:
            return
        try:
            if verb == "move":
                move_unit(by=None, unit=unit, parent=other, effective_on=day)
            elif verb == "merge":
                merge_units(by=None, unit=unit, into=other, effective_on=day)
            else:
                close_unit(by=None, unit=unit, effective_on=day)
            steps[f"{verb} a unit"] += 1
        except ValidationError:
            steps["refused"] += 1

    # Statistics

    @rule()
    def look(self) -> None:
        refresh()
        assert not Mark.objects.exists()
        steps["cells compared"] += assert_exact()
        assert_adds_up()

    @rule(pick=picks)
    def rebuild(self, pick: int) -> None:
        if pick % 5 == 3:
            rebuild()
            assert_exact()
            steps["rebuild"] += 1


def test_cells_are_what_the_records_say(
    tree: Any, make_user: Any, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    Office.person = make_user("officer")
    soak = request.config.getoption("--soak", default=False)
    run_state_machine_as_test(
        Office,
        settings=settings(
            max_examples=int(os.environ.get("PROPERTY_EXAMPLES", 300 if soak else 20)),
            stateful_step_count=50,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    with capsys.disabled():
        print(
            f"\n[statistics, {connection.vendor}] {sum(steps.values()) - steps['cells compared']} steps: {dict(steps)}"
        )
