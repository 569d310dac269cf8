#!/usr/bin/env python3
"""The sides that `make bench-uploads` compares, each in a process of its own, so that its memory can be told.

    bench_upload_sides.py SIDE FILE

prints a line of JSON: seconds by name, MiB, rows. What a side wrote is gone again when it ends. The environment names
the database and everything else.
"""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench_data import execute
from bench_tools import fill_with_units, seconds, start_django

KIND = "activities"
SIDES: dict[str, Callable[[Path], dict[str, float]]] = {}
Side = Callable[[Path], dict[str, float]]


def main() -> int:
    side, file = SIDES[sys.argv[1]], Path(sys.argv[2])
    start_django()
    # A worker has been at work for a while: whatever is imported late has been imported.
    for each in (file.with_name("warm.xlsx"), file):
        found = side(each)
    print(json.dumps(found))
    return 0


def side(run: Side) -> Side:
    SIDES[run.__name__] = run
    return run


def peak() -> float:
    """The most memory of this process so far, in MiB."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


# --- ours -----------------------------------------------------------------------------------------------


@side
def ours(file: Path) -> dict[str, float]:
    """From the drop to the figures and back; leaves what COPY needs to write the very same rows."""

    def keep(upload: Any) -> None:
        from django.db import connection

        table, columns = _table()
        rows = f"SELECT {columns} FROM {table} WHERE upload_id = {upload.pk} ORDER BY id"  # noqa: S608
        with connection.cursor() as cursor, _ready(file).open("wb") as target:
            cursor.copy_expert(f"COPY ({rows}) TO STDOUT", target)

    return _there_and_back(file, keep)


def _there_and_back(file: Path, keep: Callable[[Any], None]) -> dict[str, float]:
    """`keep` is given the upload when it has been entered."""
    from django.core.files import File

    from programs import registry
    from programs.access import Actor
    from programs.models import Unit, User
    from reporting.models.upload import State
    from reporting.uploads import jobs, reading

    by, unit = Actor.of(User.objects.get()), Unit.objects.get(parent=None)

    def preview() -> Any:
        with file.open("rb") as opened:
            upload, is_new = jobs.receive(
                by=by, unit=unit, kind=registry.kind(KIND), file=File(opened), name=file.name
            )
        assert is_new
        return jobs.finish(upload)

    def apply() -> None:
        jobs.finish(jobs.confirm(by=by, upload=upload))

    def undo() -> None:
        jobs.finish(jobs.undo(by=by, upload=upload))

    times: dict[str, float] = {"before": peak()}

    def timed(name: str, work: Callable[[], Any], state: State) -> Any:
        found: list[Any] = []
        times[name] = seconds(lambda: found.append(work()))
        _expect(found[0] or upload, state)
        return found[0]

    heard, reader = _Heard(), logging.getLogger(reading.__name__)
    reader.setLevel(logging.DEBUG)
    reader.addHandler(heard)
    upload = timed("preview", preview, State.PREVIEWED)
    timed("apply", apply, State.APPLIED)
    times["peak"] = peak()
    keep(upload)
    timed("undo", undo, State.UNDONE)
    assert upload.read == upload.written_new == upload.deleted
    times |= {"peak_with_undo": peak(), "child": heard.said}
    return {**times, "whole": times["preview"] + times["apply"], "rows": upload.read}


class _Heard(logging.Handler):
    """What the process that parses says of its memory, at its end, in MiB."""

    said = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        if isinstance(record.args, tuple) and record.msg.endswith("KiB."):
            self.said = max(self.said, float(str(record.args[0])) / 1024)


def _expect(upload: Any, state: str) -> None:
    """That it is there, with every row and, once entered, with the figures."""
    from programs.models import Mark

    if upload.state != state or upload.refused or Mark.objects.exists():
        remarks = [str(remark.message) for sheet in upload.sheets.all() for remark in sheet.remarks.all()]
        raise SystemExit(f"The upload is {upload.state}: {upload.message} {remarks[:5]}")


def _ready(file: Path) -> Path:
    return file.with_suffix(".ready")


def _table() -> tuple[str, str]:
    """The kind's table, and its columns without the primary key."""
    meta = _model()._meta
    return meta.db_table, ", ".join(field.column for field in meta.concrete_fields if not field.primary_key)


def _model() -> Any:
    from programs import registry

    return registry.kind(KIND).model


# --- the limit ------------------------------------------------------------------------------------------


@side
def limit(file: Path) -> dict[str, float]:
    """Nothing but reading, and COPY of ready rows into the table with its indexes and triggers."""
    from django.db import connection, transaction

    table, columns = _table()
    ready, last = _ready(file).read_bytes(), _last()

    def copy() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.copy_expert(f"COPY {table} ({columns}) FROM STDIN", io.BytesIO(ready))

    times = {"read": seconds(lambda: read(file)), "copy": seconds(copy)}
    _forget_after(last)
    return {**times, "whole": times["read"] + times["copy"]}


def read(file: Path) -> list[list[Any]]:
    """All rows, as calamine reads them."""
    import python_calamine

    book = python_calamine.CalamineWorkbook.from_path(str(file))
    return book.get_sheet_by_index(0).to_python()


def _last() -> int:
    newest = _model()._base_manager.order_by("-pk").values_list("pk", flat=True).first()
    return newest or 0


def _forget_after(last: int) -> None:
    """Delete the records that were written since, and have the figures as they were."""
    from reporting.statistics import refresh

    joint, record = _model().joint_model()._meta.db_table, f"{_model()._meta.model_name}_id"
    execute(f"DELETE FROM {joint} WHERE {record} > {last}")  # noqa: S608
    execute(f"DELETE FROM {_table()[0]} WHERE id > {last}")  # noqa: S608
    refresh()


# --- django-import-export ---------------------------------------------------------------------------------


@side
def stock(file: Path) -> dict[str, float]:
    """A resource with everything by default, as the library's own pages use it: read, try, read again, enter."""
    from import_export.formats.base_formats import XLSX

    resource, last = _resource(), _last()

    def run(dry_run: bool) -> Any:
        return resource.import_data(XLSX().create_dataset(file.read_bytes()), dry_run=dry_run)

    results: list[Any] = []
    times = {
        "trial": seconds(lambda: results.append(run(True))),
        "real": seconds(lambda: results.append(run(False))),
    }
    for result in results:
        if result.has_errors() or result.has_validation_errors():
            raise SystemExit(
                f"django-import-export refuses: {result.row_errors()[:1]} {result.invalid_rows[:1]}"
            )
    assert results[1].totals["new"] == results[1].total_rows
    _forget_after(last)
    return {**times, "whole": times["trial"] + times["real"], "rows": results[1].total_rows, "peak": peak()}


def _resource() -> Any:
    """What has to be said so that the rows can be stored at all: headers, labels of choices, who enters them."""
    from django.utils import translation
    from import_export.fields import Field
    from import_export.resources import ModelResource
    from import_export.widgets import CharWidget, ForeignKeyWidget, ManyToManyWidget

    from programs import registry
    from programs.facts import label_of
    from programs.models import Unit, User

    kind, user = registry.kind(KIND), User.objects.get()

    class ChoiceWidget(CharWidget):
        def __init__(self, codes: dict[str, str]) -> None:
            super().__init__()
            self.codes = codes

        def clean(self, value: Any, row: Any = None, **kwargs: Any) -> Any:
            return self.codes.get(value or "", value or "")

    def declared(name: str) -> Any:
        options: dict[str, Any] = {"attribute": name, "column_name": str(label_of(kind, name))}
        if name == "unit":
            options["widget"] = ForeignKeyWidget(Unit, "code")
        elif name == "joint_units":
            options["widget"] = ManyToManyWidget(Unit, separator="、", field="code")
        elif codes := {str(label): code for code, label in getattr(kind.field(name), "flatchoices", [])}:
            options["widget"] = ChoiceWidget(codes)
        else:
            options["widget"] = ModelResource.widget_from_django_field(kind.field(name))()
        return Field(**options)

    class ActivityResource(ModelResource):
        class Meta:
            model = kind.model
            fields = ["id", *kind.sheet.names()]

        def init_instance(self, row: Any = None) -> Any:
            return kind.model(created_by=user, updated_by=user)

    with translation.override("zh-hans"):
        resource = ActivityResource()
        for name in kind.sheet.names():
            resource.fields[name] = declared(name)
    return resource


# --- SQLite -------------------------------------------------------------------------------------------------


@side
def sqlite(file: Path) -> dict[str, float]:
    """Ours, and reading with `bulk_create` of the same rows when they are ready."""
    from django.db import connection, transaction

    if not connection.introspection.table_names():
        fill_with_units("office")
    ready: list[Any] = []
    times = _there_and_back(file, lambda upload: ready.extend(_model().objects.filter(upload_id=upload.pk)))
    for record in ready:
        record.pk, record._state.adding = None, True
    last = _last()

    def create() -> None:
        with transaction.atomic():
            _model()._base_manager.bulk_create(ready)

    bulk = {"read": seconds(lambda: read(file)), "bulk_create": seconds(create)}
    _forget_after(last)
    return {**times, **bulk, "least": sum(bulk.values())}


if __name__ == "__main__":
    sys.exit(main())
