"""What the tests of uploads share."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Callable, Iterable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import xlsxwriter
from django.core.files.base import ContentFile
from django.db import connection

from programs import registry
from programs.access import Actor
from programs.facts import label_of
from programs.models import Mark, Unit, User
from programs.models.record import Record
from programs.registry import RecordKind
from programs.sheets import DATE, JOINT_UNITS, UNIT
from reporting.models import Upload
from tests.factories import sample_values
from tests.reporting.cells import cells as every_cell

ACTIVITIES = registry.kind("activities")


def row_values(kind: RecordKind, number: int, **more: Any) -> dict[str, Any]:
    """Values of a record of the kind that differ from row to row, `unit` apart."""
    values = {**sample_values(kind), DATE: dt.date(2025, 1 + number % 4, 1 + number % 28)}
    values[kind.title] = f"第{number}条"
    return {**values, **more}


# --- spreadsheets ---------------------------------------------------------------------------------


def workbook(*sheets: tuple[str, RecordKind, Sequence[dict[str, Any]]], salt: str = "") -> bytes:
    """An xlsx file: (name, kind, rows by field name). `salt` makes another file of the same rows."""
    target = io.BytesIO()
    book = xlsxwriter.Workbook(target, {"in_memory": True, "default_date_format": "yyyy-mm-dd"})
    for name, kind, rows in sheets:
        sheet = book.add_worksheet(name)
        names = list(dict.fromkeys(name for row in rows for name in row))
        sheet.write_row(0, 0, [str(label_of(kind, name)) for name in names])
        for number, row in enumerate(rows, 1):
            for at, name in enumerate(names):
                sheet.write(number, at, cell_of(kind, name, row.get(name)))
    book.set_properties({"comments": salt, "created": dt.datetime(2026, 1, 1)})
    book.close()
    return target.getvalue()


def cell_of(kind: RecordKind, name: str, value: Any) -> Any:
    if isinstance(value, Unit):
        return value.code
    if name == JOINT_UNITS:
        return "、".join(unit.code for unit in value or [])
    choices = dict(getattr(kind.field(name), "flatchoices", None) or [])
    return str(choices[value]) if value in choices else value


def sheet_rows(
    kind: RecordKind, numbers: Iterable[int], unit: Unit | None = None, **more: Any
) -> list[dict[str, Any]]:
    names = [name for name in kind.sheet.names() if name not in (UNIT, JOINT_UNITS)]
    rows = []
    for number in numbers:
        values = row_values(kind, number, **more)
        rows.append(({UNIT: unit} if unit else {}) | {name: values[name] for name in names if name in values})
    return rows


class Office:
    """A unit's desk: `bring` drops a file, `entered` brings it all the way."""

    def __init__(self, user: User, unit: Unit) -> None:
        self.by = Actor.of(user)
        self.unit = unit

    def bring(self, content: bytes, kind: RecordKind | None = ACTIVITIES, **more: Any) -> Upload:
        from reporting.uploads import jobs

        name = more.pop("name", "三月台账.xlsx")
        upload, _is_new = jobs.receive(
            by=self.by, unit=self.unit, kind=kind, file=ContentFile(content), name=name, **more
        )
        return upload

    def previewed(self, content: bytes, kind: RecordKind | None = ACTIVITIES, **more: Any) -> Upload:
        from reporting.uploads import jobs

        return jobs.finish(self.bring(content, kind, **more), seconds=5)

    def entered(self, content: bytes, kind: RecordKind | None = ACTIVITIES, **choices: Any) -> Upload:
        from reporting.uploads import jobs

        upload = self.previewed(content, kind)
        return jobs.finish(jobs.confirm(by=self.by, upload=upload, **choices), seconds=5)

    def taken_back(self, upload: Upload) -> Upload:
        from reporting.uploads import jobs

        return jobs.finish(jobs.undo(by=self.by, upload=upload), seconds=5)


@pytest.fixture
def office(tree: SimpleNamespace, people: SimpleNamespace) -> Office:
    """The community's own."""
    return Office(people.community_officer, tree.own)


@pytest.fixture
def street_office(tree: SimpleNamespace, people: SimpleNamespace) -> Office:
    return Office(people.street_officer, tree.street)


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The rings for a worker."""
    from reporting import tasks

    found: list[str] = []
    monkeypatch.setattr(tasks, "_silent_until", 0.0)
    monkeypatch.setattr(tasks.work_on_uploads, "apply_async", lambda **options: found.append("work"))
    return found


Make = Callable[..., Any]

# --- what stands in the tables --------------------------------------------------------------------


def rows_of(model: type[Record], *without: str) -> list[dict[str, Any]]:
    """Every row of the table with its joint units, in the order of entry."""
    joint, name = model.joint_model(), model._meta.model_name
    units: dict[int, list[int]] = {}
    for pk, unit in joint.objects.order_by("unit_id").values_list(f"{name}_id", "unit_id"):
        units.setdefault(pk, []).append(unit)
    return [
        {key: value for key, value in row.items() if key not in without} | {"joint": units.get(row["id"], [])}
        for row in model.objects.order_by("pk").values()
    ]


def marks() -> set[tuple[int, dt.date]]:
    return set(Mark.objects.values_list("unit_id", "month"))


def cells() -> list[tuple[Any, ...]]:
    """Every figure that is kept, zeros apart."""
    return sorted((cell.unit_id, cell.month, cell.indicator, *cell.columns) for cell in every_cell())


# Tables that only grow, or hold what is going on.
APART = {
    "programs.auditevent",
    "programs.mark",
    "reporting.upload",
    "reporting.uploadsheet",
    "reporting.uploadremark",
    "reporting.uploadchange",
    "reporting.unitmonth",
    "reporting.freshness",
    "reporting.reconciliation",
}
BOOKKEEPING = {"version"}


def everything() -> dict[str, list[Any]]:
    """All rows of all tables of ours, history and bookkeeping apart, and the cells of statistics."""
    from django.apps import apps

    assert connection.vendor
    found: dict[str, list[Any]] = {"cells": cells()}
    for model in apps.get_models(include_auto_created=True):
        if (
            model._meta.app_label in {"programs", "reporting", "casework"}
            and model._meta.label_lower not in APART
        ):
            rows = model._base_manager.order_by("pk").values()
            apart = BOOKKEEPING if issubclass(model, Record) else set()
            if model._meta.auto_created:
                apart = {"id"}  # joint units that were taken off and put on again
            found[model._meta.label_lower] = sorted(
                (sorted((key, value) for key, value in row.items() if key not in apart) for row in rows),
                key=repr,
            )
    return found
