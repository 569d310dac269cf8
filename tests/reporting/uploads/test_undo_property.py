"""Upload and undo leave everything as it was, but for what somebody touched in between, which stays and is listed."""

from __future__ import annotations

import datetime as dt
import itertools
import os
from collections import Counter
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.db import connection, transaction
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from programs import registry
from programs.access import Actor
from programs.actions import remove_record, restore_record, save_record
from programs.facts import label_of
from programs.models import Attachment, Unit, User
from programs.sheets import JOINT_UNITS
from reporting.models import Upload, UploadRemark
from reporting.models.upload import State
from reporting.reconciliation import reconcile
from reporting.statistics import refresh
from reporting.uploads import jobs, pipeline
from reporting.uploads.sheet import Sheet
from tests.factories import sample_values
from tests.reporting.conftest import officer_of
from tests.reporting.naive import assert_exact
from tests.reporting.uploads.conftest import BOOKKEEPING, cell_of, everything, rows_of

KINDS = ["activities", "gratitude", "carriers"]
DAYS = [dt.date(2025, 1, 5), dt.date(2025, 1, 31), dt.date(2025, 3, 8)]
TITLES = ["邻里节", "感恩讲堂", "读书会", "义诊"]
PLACES = {"activities": "place", "gratitude": "media", "carriers": "phone"}
picks = st.integers(0, 10**6)
kinds = st.sampled_from(KINDS)
# A row: (title, day, unit, what stands in another field, joint units)
rows = st.tuples(
    st.integers(0, 3),
    st.integers(0, 2),
    st.integers(0, 3),
    st.integers(0, 2),
    st.lists(st.integers(0, 5), max_size=2),
)
steps: Counter[str] = Counter()
Key = tuple[str, int]


@dataclass
class Entered:
    """An upload that was entered, and what has become of its records since."""

    upload: Upload
    created: set[Key]
    before: dict[Key, dict[str, Any]]
    # Of the records that it changed, who had changed them last: see Desk.last.
    last: dict[Key, int]


class Desk(RuleBasedStateMachine):
    """The office of a district brings sheets and takes them back while its officers work on the same records."""

    person: User
    office: User
    sheets: dict[str, list[Sheet]]

    def __init__(self) -> None:
        super().__init__()
        # What one run does is taken back at its end, as pytest-django does for a test.
        self.undo_all = transaction.atomic()
        self.undo_all._from_testcase = True  # type: ignore[attr-defined]
        self.undo_all.__enter__()
        self.by = Actor.of(self.office)
        self.units = list(Unit.objects.filter(code__startswith="331002").order_by("pk"))
        self.entered: list[Entered] = []
        # What touched a record last: a step of its own for every edit and upload.
        self.last: dict[Key, int] = {}
        self.names = (f"{number}.xlsx" for number in itertools.count())
        refresh()
        self.first = everything()
        self.worked = False

    def teardown(self) -> None:
        try:
            while self.entered:  # the last one first
                self.take_back(len(self.entered) - 1)
            if not self.worked:  # nothing but uploads, and all of them taken back
                assert everything() == self.first
                steps["runs of uploads alone"] += 1
            assert reconcile() == []
        finally:
            transaction.set_rollback(True)
            self.undo_all.__exit__(None, None, None)

    # --- what stands ---

    def records(self) -> dict[Key, dict[str, Any]]:
        return {
            (kind.code, row["id"]): row
            for kind in registry.kinds()
            for row in rows_of(kind.model, *BOOKKEEPING)
        }

    def touch(self, step: int, *keys: Key) -> None:
        self.last |= dict.fromkeys(keys, step)

    def values(
        self, code: str, row: tuple[int, int, int, int, list[int]]
    ) -> tuple[dict[str, Any], list[Unit]]:
        title, day, unit, place, joint = row
        kind = registry.kind(code)
        lead = self.units[unit]
        values = {
            **sample_values(kind),
            kind.title: TITLES[title],
            "occurred_on": DAYS[day],
            "unit": lead,
            PLACES[code]: f"{place}" * 3,
        }
        others = {self.units[number] for number in joint if self.units[number] != lead}
        return values, sorted(others, key=lambda other: other.pk)

    # --- people at work ---

    @rule(code=kinds, row=rows)
    def create(self, code: str, row: Any) -> None:
        values, joint = self.values(code, row)
        by = officer_of(self.person, values["unit"])
        save_record(by=by, kind=registry.kind(code), values=values, joint_units=joint)
        self.worked = True
        steps["create"] += 1

    @rule(pick=picks, what=st.sampled_from(["change", "change", "remove", "restore", "attach"]))
    def work_on(self, pick: int, what: str) -> None:
        stand = sorted(self.records())
        if not stand:
            return
        code, pk = stand[pick % len(stand)]
        kind = registry.kind(code)
        record = kind.model.objects.get(pk=pk)
        by = officer_of(self.person, record.unit)
        if record.is_removed is not (what == "restore"):
            return
        match what:
            case "change":
                values = {PLACES[code]: f"改{pick % 3}", "occurred_on": DAYS[pick % 3]}
                save_record(by=by, kind=kind, record=record, values=values, joint_units=[])
            case "remove":
                remove_record(by=by, kind=kind, record=record)
            case "restore":
                restore_record(by=by, kind=kind, record=record)
            case "attach":
                save_record(
                    by=by,
                    kind=kind,
                    record=record,
                    values={},
                    files=[ContentFile(b"%PDF-1.4", name="a.pdf")],  # type: ignore[list-item]
                )
        self.touch(-pick - 1, (code, pk))
        self.worked = True
        steps[what] += 1

    # --- spreadsheets ---

    @rule(parts=st.lists(st.tuples(kinds, st.lists(rows, min_size=1, max_size=6)), min_size=1, max_size=2))
    def bring(self, parts: list[tuple[str, list[Any]]]) -> None:
        name = next(self.names)
        self.sheets[name] = [self.sheet(f"表{n}", code, said) for n, (code, said) in enumerate(parts)]
        kind = registry.kind(parts[0][0]) if len(parts) == 1 else None
        upload, _is_new = jobs.receive(
            by=self.by, unit=self.by.unit, kind=kind, file=ContentFile(name.encode()), name=name
        )
        refresh()
        before = self.records()
        others = everything()
        upload = jobs.finish(upload, seconds=0)
        assert upload.state == State.PREVIEWED, upload.message
        assert everything() == others, "a preview changes nothing"
        steps["refused rows"] += upload.refused
        steps["same rows"] += upload.same
        if not upload.would_write:
            jobs.cancel(by=self.by, upload=upload)
            return
        upload = jobs.finish(jobs.confirm(by=self.by, upload=upload), seconds=0)
        assert upload.state == State.APPLIED, upload.message
        after = self.records()
        created = after.keys() - before.keys()
        changed = {key for key in before if before[key] != after[key]}
        assert (len(created), len(changed)) == (upload.written_new, upload.written_changed)
        last = {key: self.last.get(key, 0) for key in changed}
        self.entered.append(Entered(upload, created, {key: before[key] for key in changed}, last))
        self.touch(upload.pk, *created, *changed)
        steps["uploads"] += 1
        steps["new rows"] += len(created)
        steps["changed rows"] += len(changed)
        assert_exact()

    def sheet(self, name: str, code: str, said: list[Any]) -> Sheet:
        kind = registry.kind(code)
        names = [*kind.sheet.names()]
        cells: list[list[Any]] = [[str(label_of(kind, column)) for column in names]]
        for row in said:
            values, joint = self.values(code, row)
            values[JOINT_UNITS] = joint
            cells.append([cell_of(kind, column, values.get(column)) for column in names])
        return Sheet(name, cells)

    @rule(pick=picks)
    def take_back(self, pick: int) -> None:
        if not self.entered:
            return
        entered = self.entered.pop(pick % len(self.entered))
        now = self.records()
        others = {name: said for name, said in everything().items() if not is_of_records(name)}
        written = entered.created | entered.before.keys()
        touched = {
            key
            for key in written
            if self.last[key] != entered.upload.pk
            or key not in now
            or (key in entered.created and Attachment.objects.filter(kind=key[0], record_id=key[1]).exists())
        }
        # A row that stays is no identity: a later upload had changed it, or somebody.
        self.worked = self.worked or bool(touched)
        expected = {key: row for key, row in now.items() if key not in entered.created - touched}
        expected |= {key: entered.before[key] for key in entered.before.keys() - touched}

        upload = jobs.finish(jobs.undo(by=self.by, upload=entered.upload), seconds=0)

        assert upload.state == State.UNDONE, upload.message
        assert self.records() == expected
        after = everything()
        assert {name: said for name, said in after.items() if not is_of_records(name)} == {
            **others,
            "cells": after["cells"],
        }
        left = UploadRemark.objects.filter(sheet__upload=upload, sort="kept")
        assert {(remark.sheet.kind, remark.record) for remark in left} == touched & (
            now.keys() | entered.before.keys()
        )
        assert upload.kept == left.count()
        assert upload.deleted == len(entered.created - touched)
        assert upload.restored == len(entered.before.keys() - touched)
        self.last |= {key: step for key, step in entered.last.items() if key not in touched}
        assert no_orphans()
        assert_exact()
        steps["undone"] += 1
        steps["rows left"] += len(touched)
        steps["rows taken back"] += len(written - touched)


def is_of_records(name: str) -> bool:
    tables = {kind.model._meta.label_lower for kind in registry.kinds()}
    tables |= {kind.model.joint_model()._meta.label_lower for kind in registry.kinds()}
    return name in tables


def no_orphans() -> bool:
    for kind in registry.kinds():
        stand = kind.model.objects.values("pk")
        joint, name = kind.model.joint_model(), kind.model._meta.model_name
        assert not joint.objects.exclude(**{f"{name}__in": stand}).exists()
        assert not Attachment.objects.filter(kind=kind.code).exclude(record_id__in=stand).exists()
    return True


def test_upload_and_undo_leave_everything_as_it_was(
    tree: SimpleNamespace,
    make_user: Any,
    people: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Desk.person, Desk.office, Desk.sheets = make_user("officer"), people.office, {}
    for unit in Unit.objects.all():  # given in a run they would be something that changed
        officer_of(Desk.person, unit)
    # Reading a file has tests of its own.
    monkeypatch.setattr(pipeline, "read_sheets", lambda upload, pulse: Desk.sheets[upload.name])
    soak = request.config.getoption("--soak", default=False)
    run_state_machine_as_test(
        Desk,
        settings=settings(
            max_examples=int(os.environ.get("PROPERTY_EXAMPLES", 200 if soak else 8)),
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[p for p in Phase if p.name != "shrink"],
        ),
    )
    assert steps["undone"]
    with capsys.disabled():
        print(f"\n[upload and undo, {connection.vendor}] {dict(steps)}")
