"""What is sent to each route so that, where it is allowed, something really happens."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

from django.core.files.uploadedfile import SimpleUploadedFile
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart
from django.utils import timezone

from programs.field_classes import C2, class_of
from programs.models import Unit
from programs.registry import RecordKind
from tests.access_table import OWN, Rule
from tests.factories import sample_values
from tests.walker import DAY, PASSWORD, UPLOADED, Route, record_of

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
Maker = Callable[[Route, SimpleNamespace, str, str], dict[str, Any]]


def payload(route: Route, rule: Rule, world: SimpleNamespace, method: str, scope: str) -> dict[str, Any]:
    """Arguments for Client.generic: body and content type. Nothing for methods without a body."""
    if method not in {"POST", "PUT", "PATCH", "DELETE"}:
        return {}
    make = MAKERS.get(route.name.replace(f"_{route.kind}_", "_*_") if route.kind else route.name)
    values = make(route, world, method, scope) if make and method in rule.methods else {}
    if "file" in values:
        return {"data": encode_multipart(BOUNDARY, values), "content_type": MULTIPART_CONTENT}
    if route.is_api:
        return {"data": json.dumps(values), "content_type": JSON}
    return {"data": urlencode(values, doseq=True), "content_type": FORM}


def record_values(kind: RecordKind, unit: Unit, title: str = "新标题") -> dict[str, Any]:
    """The fields that everybody who writes reads in the clear, as JSON holds them."""
    names = [
        field.name
        for field in kind.model._meta.concrete_fields
        if field.editable
        and field.name in kind.form.base_fields
        and class_of(field) <= C2
        and not field.blank
    ]
    values = {**sample_values(kind), "occurred_on": DAY, kind.title: title, "unit": unit.code}
    return {name: as_json(values[name]) for name in names}


def as_json(value: Any) -> Any:
    return str(value) if isinstance(value, dt.date | Decimal) else value


def unit_at(world: SimpleNamespace, scope: str) -> Unit:
    return world.units[scope if scope in world.units else OWN]


def new_record(route: Route, world: SimpleNamespace, method: str, scope: str) -> dict[str, Any]:
    assert route.kind
    return record_values(route.kind, unit_at(world, scope))


def changed_record(route: Route, world: SimpleNamespace, method: str, scope: str) -> dict[str, Any]:
    assert route.kind
    record = record_of(route, world, scope)
    if method == "DELETE":
        return {"reason": "录入重复"}
    if method == "PATCH":
        return {route.kind.title: "新标题", "version": record.version}
    return {**record_values(route.kind, record.unit), "version": record.version}


def fixed(**values: Any) -> Maker:
    return lambda route, world, method, scope: values


def new_person(route: Route, world: SimpleNamespace, method: str, scope: str) -> dict[str, Any]:
    unit = unit_at(world, scope)
    return {
        "username": "newcomer",
        "name": "新人",
        "role": "counsellor",
        "unit": unit.code,
        "valid_from": today(),
    }


def new_grant(route: Route, world: SimpleNamespace, method: str, scope: str) -> dict[str, Any]:
    return {"role": "counsellor", "unit": world.units[OWN].code, "valid_from": today()}


def own_unit(route: Route, world: SimpleNamespace, method: str, scope: str) -> dict[str, Any]:
    return {"grant": world.units[OWN].pk}


def new_unit(route: Route, world: SimpleNamespace, method: str, scope: str) -> dict[str, Any]:
    parent = unit_at(world, scope).code
    return {
        "parent": parent, "kind": "department", "name": "新单位", "code": "X1", "opened_on": today(), "confirm": "1"
    }  # fmt: skip


def new_upload(route: Route, world: SimpleNamespace, method: str, scope: str) -> dict[str, Any]:
    file = SimpleUploadedFile("三月台账.csv", f"日期,主题\n{scope},{route}\n".encode())
    return {"file": file, "kind": UPLOADED, "unit": unit_at(world, scope).code}


def assigned_columns(route: Route, world: SimpleNamespace, method: str, scope: str) -> dict[str, Any]:
    fields = ("theme", "series", "setting", "occurred_on", "participants")
    return {f"column-{at}": name for at, name in enumerate(fields)}


def today() -> str:
    return timezone.localdate().isoformat()


REASON = "群众来电核实情况，需查看原始信息"

MAKERS: dict[str, Maker] = {
    "set_language": fixed(language="en"),
    "switch_unit": own_unit,
    "password_change": fixed(
        password=PASSWORD, new_password1="另一个很长的口令-2026", new_password2="另一个很长的口令-2026"
    ),
    "record_new": new_record,
    "record_edit": changed_record,
    "record_remove": fixed(reason=REASON),
    "opinion_step": lambda route, world, method, scope: {"version": record_of(route, world, scope).version},
    "record_reveal": fixed(reason=REASON),
    "unit_create": new_unit,
    "unit_rename": lambda route, world, method, scope: {"name": "新名", "effective_on": today()},
    "unit_close": lambda route, world, method, scope: {"effective_on": today()},
    "person_new": new_person,
    "person_edit": fixed(name="改名", phone="0576-88880000"),
    "grant_new": new_grant,
    "upload_list": new_upload,
    "upload_read_as": fixed(kind=UPLOADED),
    "upload_columns": assigned_columns,
    "api_uploads_list": new_upload,
    "pivot_save": fixed(name="月报", query="rows=months"),
    "grant_revoke": fixed(reason=REASON),
    "api_*_list": new_record,
    "api_*_detail": changed_record,
}
