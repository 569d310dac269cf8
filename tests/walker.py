"""Walks the URLconf and fills its routes with real objects, for the tests of access, words and looks."""

from __future__ import annotations

import datetime as dt
import io
import re
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from django.core.files.base import ContentFile
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from programs import registry
from programs.actions.units import create_unit, merge_units
from programs.field_classes import C3, class_of
from programs.middleware import LAST_SEEN_KEY
from programs.models import Attachment, AuditEvent, Grant, Unit, User, ZeroReport
from programs.models.record import Record
from programs.registry import RecordKind
from reporting.models import SavedPivot, Upload
from tests.access_table import (
    BOTH,
    CHILD,
    ELSEWHERE,
    JOINED_BY,
    JOINT,
    LED_BY,
    MERGED,
    OWN,
    PARENT,
    PEOPLE,
    POSITIONS,
    RECORD_SCOPES,
    REMOVED,
    SIBLING,
    Open,
    Outcome,
    Person,
    Rule,
    Standing,
    Subject,
    expected,
    opens_files,
    rule_for,
)
from tests.factories import sample_values

OPENED = dt.date(2008, 1, 1)
DAY = dt.date(2026, 3, 5)
NO_ZERO = dt.date(2026, 4, 1)  # a month without records, of which nobody has declared so
PASSWORD = "a-long-password-1"
# What the spreadsheets of the world hold, under headers that the portal does not know.
UPLOADED = "activities"
# What its spreadsheet holds: the headers, a row, and the remark on another.
HEADERS = ["做了什么", "哪个系列", "在哪类地方", "哪一天", "多少人"]
CELLS = [*"一二三四五六", "必填"]
# Everything of the world is named by sort and scope, and no text of the portal looks like it.
MARK = re.compile(r"RZ7-([a-z_]+)-([a-z_]+)")
# (?P<code>[0-9A-Z-]{1,20}) of a regular expression: a parameter like the others.
REGULAR = re.compile(r"\(\?P<(\w+)>[^()]*\)")
PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")


class CannotFillError(Exception):
    """A route with a parameter that nobody has taught the walker."""


# --- routes ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Route:
    """One route; those of a kind's pages stand once for each kind."""

    name: str
    path: str
    callback: Any
    kind: RecordKind | None = None

    def __str__(self) -> str:
        return f"{self.name or self.path}[{self.kind}]" if self.kind else self.name or self.path

    @property
    def parameters(self) -> list[str]:
        return PARAMETER.findall(self.path)

    @property
    def is_api(self) -> bool:
        return self.path.startswith("/api/")


def routes() -> list[Route]:
    """Every route of the portal, in the order of the URLconf."""
    return list(_walk(get_resolver().url_patterns, "/", ""))


def _walk(patterns: list[Any], prefix: str, namespace: str) -> Iterator[Route]:
    for pattern in patterns:
        path = prefix + REGULAR.sub(r"<\1>", str(pattern.pattern)).lstrip("^").rstrip("$")
        if isinstance(pattern, URLResolver):
            inner = f"{namespace}{pattern.namespace}:" if pattern.namespace else namespace
            yield from _walk(pattern.url_patterns, path, inner)
        elif isinstance(pattern, URLPattern):
            name = f"{namespace}{pattern.name or ''}"
            for kind in _kinds_of(path):
                yield Route(name, path, pattern.callback, kind)


def _kinds_of(path: str) -> list[RecordKind | None]:
    if "kind" in PARAMETER.findall(path):
        return list(registry.kinds())
    # The API has routes of its own for each kind.
    return [next((kind for kind in registry.kinds() if f"/records/{kind.code}/" in path), None)]


# --- the world ------------------------------------------------------------------------------------


def build_world(people: tuple[Person, ...] = ()) -> SimpleNamespace:
    """The tree of tests/access_table.py; a record of every kind, a person, an audit event at every position."""
    units = _units()
    keeper = User.objects.create_user("keeper", PASSWORD, name="经办人")
    world = SimpleNamespace(units=units, keeper=keeper, records={}, removed={}, files={}, removed_files={})
    for kind in registry.kinds():
        world.records[kind.code] = {scope: _record(world, kind, scope) for scope in RECORD_SCOPES}
        world.removed[kind.code] = {position: _removed(world, kind, position) for position in POSITIONS}
        for unit in units.values():
            _zero(world, kind, unit)
        joined = _removed(world, kind, SIBLING, JOINT)
        joined.joint_units.add(units[OWN])
        found = world.records[kind.code].items()
        world.files[kind.code] = {scope: _attachment(kind, record, keeper) for scope, record in found}
        world.removed_files[kind.code] = {
            scope: _attachment(kind, record, keeper, removed_at=timezone.now()) for scope, record in found
        }
    merge_units(by=None, unit=units[MERGED], into=units[OWN], effective_on=dt.date(2026, 6, 1))
    for unit in units.values():
        unit.refresh_from_db()
    world.colleagues = {position: _colleague(position, [units[position]]) for position in POSITIONS}
    world.colleagues[BOTH] = _colleague(BOTH, [units[OWN], units[ELSEWHERE]])
    world.events = {position: _event(units[position], position) for position in POSITIONS}
    world.saved = {
        position: SavedPivot.objects.create(
            name=f"RZ7-saved-{position}", owner=keeper, unit=units[position], query="rows=months", shared=True
        )
        for position in POSITIONS
    }
    world.uploads = {
        state: {position: _upload(units[position], position, keeper, state) for position in POSITIONS}
        for state in (Upload.State.PREVIEWED, Upload.State.APPLIED)
    }
    world.people = {person.name: _person(person, units) for person in people}
    return world


def _units() -> dict[str, Unit]:
    def unit(code: str, name: str, tier: str, kind: str, parent: Unit | None = None) -> Unit:
        return create_unit(
            by=None, code=code, name=name, tier=tier, kind=kind, parent=parent, opened_on=OPENED
        )

    district = unit("331002", "椒江区RZ7-units-parent", "district", "district")
    own = unit("331002001", "海门街道RZ7-units-own", "street", "street", district)
    abroad = unit("331003", "黄岩区RZ7-units-elsewhere", "district", "district")
    return {
        OWN: own,
        CHILD: unit("331002001003", "城隍浦社区RZ7-units-child", "community", "community", own),
        SIBLING: unit("331002002", "白云街道RZ7-units-sibling", "street", "street", district),
        PARENT: district,
        ELSEWHERE: unit("331003001", "东城街道RZ7-units-elsewhere", "street", "street", abroad),
        MERGED: unit("331002009", "栅浦街道RZ7-units-merged", "street", "street", district),
    }


def name_of(kind: RecordKind, scope: str) -> str:
    return f"RZ7-{kind.code}-{scope}"


def _record(world: SimpleNamespace, kind: RecordKind, scope: str) -> Record:
    """By a direct write: the world does not go through what is under test."""
    gone = {"removed_at": timezone.now(), "removed_by": world.keeper} if scope == REMOVED else {}
    record = _write(world, kind, world.units[LED_BY[scope]], name_of(kind, scope), **gone)
    if scope in JOINED_BY:
        record.joint_units.add(world.units[JOINED_BY[scope]])
    return record


def _removed(world: SimpleNamespace, kind: RecordKind, position: str, scope: str = "") -> Record:
    gone = {"removed_at": timezone.now(), "removed_by": world.keeper}
    return _write(world, kind, world.units[position], name_of(kind, f"gone_{scope or position}"), **gone)


def _write(world: SimpleNamespace, kind: RecordKind, unit: Unit, name: str, **more: Any) -> Record:
    values = {**sample_values(kind), "occurred_on": DAY, kind.title: name}
    record = kind.model(**values, unit=unit, created_by=world.keeper, updated_by=world.keeper, **more)
    kind.prepare(record)
    record.save(force_insert=True)
    return record


def _zero(world: SimpleNamespace, kind: RecordKind, unit: Unit) -> ZeroReport:
    month = DAY.replace(day=1)
    return ZeroReport.objects.create(unit=unit, kind=kind.code, month=month, declared_by=world.keeper)


def _attachment(kind: RecordKind, record: Record, keeper: User, **more: Any) -> Attachment:
    content = b"\x89PNG\r\n\x1a\n"
    attachment = Attachment(
        kind=kind.code,
        record_id=record.pk,
        name=f"{getattr(record, kind.title)}.png",
        content_type="image/png",
        size=len(content),
        created_by=keeper,
        **more,
    )
    attachment.file.save("x.png", ContentFile(content), save=False)
    attachment.save()
    return attachment


def _colleague(scope: str, homes: list[Unit]) -> User:
    user = User.objects.create_user(f"colleague-{scope}", PASSWORD, name=f"RZ7-people-{scope}")
    for home in homes:
        Grant.objects.create(user=user, role="unit_officer", unit=home, valid_from=OPENED)
    return user


def _upload(unit: Unit, scope: str, keeper: User, state: str) -> Upload:
    """A spreadsheet of one sheet with a row to enter and one that was refused."""
    now = timezone.now()
    moments = {"previewed_at": now, "confirmed_at": now, "confirmed_by": keeper, "applied_at": now}
    upload = Upload(
        unit=unit, name=f"RZ7-uploads-{scope}.csv", sha256=f"{state}{scope}", size=9, state=state, kind=UPLOADED,
        created_by=keeper, asked_by=keeper, asked_for=unit, read=2, new=1, refused=1, plan="p",
        **(moments if state == Upload.State.APPLIED else {"previewed_at": now}),
    )  # fmt: skip
    content = f"{','.join(HEADERS)},RZ7-uploads-{scope}\n{','.join(CELLS[:6])}\n"
    upload.file.save("x.csv", ContentFile(content.encode()), save=False)
    upload.marked.save("x.xlsx", ContentFile(content.encode()), save=False)
    upload.save(force_insert=True)
    sheet = upload.sheets.create(
        position=0, name="", kind=UPLOADED, header_row=1, columns={"theme": HEADERS[0]}, headers=HEADERS,
        read=2, new=1, refused=1, sample={"new": [{"row": 2, "values": {"theme": "一"}}], "changed": []},
    )  # fmt: skip
    sheet.remarks.create(sort="refused", row=3, column=0, field="theme", header=HEADERS[0], message="必填")
    return upload


def _event(unit: Unit, scope: str) -> AuditEvent:
    return AuditEvent.objects.create(
        action="activities.change",
        actor_name=f"RZ7-events-{scope}",
        object_type="programs.educationactivity",
        object_pk="0",  # of no record: a record's own page tells what was done to it
        object_label=f"RZ7-events-{scope}",
        unit_id=unit.pk,
        unit_path=unit.path,
        unit_name=unit.name,
    )


def _person(person: Person, units: dict[str, Unit]) -> User | None:
    if person.standing is Standing.STRANGER:
        return None
    user = User.objects.create_user(f"person-{person.name}", PASSWORD, name=f"人员{person.name}")
    today, day = timezone.localdate(), dt.timedelta(days=1)
    state: dict[Standing, dict[str, Any]] = {
        Standing.EXPIRED: {"valid_to": today - day},
        Standing.REVOKED: {"revoked_at": timezone.now()},
        Standing.FUTURE: {"valid_from": today + 2 * day},  # the run may pass midnight
    }
    if person.role:
        grant = {"valid_from": OPENED, **state.get(person.standing, {})}
        Grant.objects.create(
            user=user, role=person.role, unit=units[OWN], include_descendants=person.below, **grant
        )
    if person.rests:
        Grant.objects.create(
            user=user, role=person.rests, unit=units[ELSEWHERE], include_descendants=True, valid_from=OPENED
        )
    return user


@contextmanager
def passing_world(people: tuple[Person, ...]) -> Iterator[SimpleNamespace]:
    """A world in a transaction that is taken back at the end, with `world.sign_in(person)`."""
    with transaction.atomic():
        world = build_world(people)
        world.sign_in = lambda person: sign_in(world.people[person.name])
        yield world
        transaction.set_rollback(True)


def sign_in(user: User | None) -> Client:
    client = Client(raise_request_exception=False)
    if user is not None:
        client.force_login(user, backend="programs.backends.PortalBackend")
        session = client.session
        session[LAST_SEEN_KEY] = int(time.time())  # noted once, and not by every request
        session.save()
    return client


# --- filling routes -------------------------------------------------------------------------------


def fill(route: Route, world: SimpleNamespace, scope: str) -> str:
    """The address of the route for the object in this scope."""
    values = {name: _value(route, name, world, scope) for name in route.parameters}
    address = PARAMETER.sub(lambda match: str(values[match[1]]), route.path)
    if set(address) & set("<>()[]^$\\"):
        raise CannotFillError(f"{route}: {route.path}")
    return address


def _value(route: Route, name: str, world: SimpleNamespace, scope: str) -> Any:
    area = route.path.strip("/").removeprefix("api/v1/").split("/")[0]
    position = scope if scope in world.units else OWN
    match area, name:
        case "records", "kind":
            return route.kind
        case "records", "pk" | "id":
            return record_of(route, world, scope).pk
        case "records", "file":
            assert route.kind
            files = world.removed_files if route.name == "attachment_restore" else world.files
            return files[route.kind.code][scope or OWN].pk
        case "records", "step":
            return "accept"
        case "records", "form":
            return "csv"
        case "say" | "units" | "statistics" | "figures", "code":
            return world.units[position].code
        case "say", "place":
            return world.records["places"][position].pk
        case "units" | "statistics", "pk" | "unit_id" | "id":
            return world.units[position].pk
        case "uploads", "public_id" | "id":
            return upload_at(route, world, position).public_id
        case "uploads", "position":
            return 0
        case "statistics", "form":
            return "csv"
        case "statistics", "saved":
            return world.saved[position].pk
        case "statistics", "kind":
            return route.kind
        case "statistics", "month":
            return f"{NO_ZERO if route.name == 'zero_declare' else DAY:%Y-%m}"
        case "statistics", "indicator":
            return registry.indicators()[0].code
        case "statistics", "year":
            return DAY.year
        case "people", "pk" | "id" | "user_id":
            return world.colleagues[scope if scope in world.colleagues else OWN].pk
        case "people", "grant" | "grant_id" | "grant_pk":
            return world.colleagues[scope if scope in world.colleagues else OWN].grants.first().pk
        case "audit", "pk" | "id" | "event_id":
            return world.events[position].pk
    raise CannotFillError(f"{route}: nobody has taught the walker what <{name}> of {route.path} is")


def upload_at(route: Route, world: SimpleNamespace, position: str) -> Upload:
    """In the state from which the route leads on."""
    state = Upload.State.APPLIED if route.name.endswith("_undo") else Upload.State.PREVIEWED
    return world.uploads[state][position]


def record_of(route: Route, world: SimpleNamespace, scope: str) -> Record:
    assert route.kind
    if route.name.endswith("restore") and route.name != "attachment_restore":
        return world.removed[route.kind.code][scope if scope in world.units else OWN]
    return world.records[route.kind.code][scope or OWN]


def sensitive(route: Route) -> bool:
    return route.kind is not None and any(
        class_of(field) >= C3 for field in route.kind.model._meta.concrete_fields if not field.primary_key
    )


def wanted_of(route: Route, rule: Rule, method: str, person: Person, scope: str) -> set[Outcome]:
    """What the table expects of this very route: files go with the class of the kind's fields."""
    wanted = expected(rule, method, person, scope)
    if rule.subject is Subject.FILE and not opens_files(person, sensitive(route)):
        wanted = {Outcome.FORBIDDEN if outcome is Outcome.OK else outcome for outcome in wanted}
    return wanted


def pages() -> list[tuple[Route, Person]]:
    """Every page with people of different roles who may read it: all of them where the role makes the page."""
    found = []
    for route in routes():
        rule = rule_for(route.name)
        if route.is_api and route.name != "api_docs":
            continue
        if rule is None or "GET" not in rule.methods:
            continue
        first = rule.subject.scopes[0]
        readers = [p for p in BY_ROLE if wanted_of(route, rule, "GET", p, first) == {Outcome.OK}]
        if Open.PUBLIC in rule.methods.values():
            readers = [person for person in PEOPLE if person.standing is Standing.STRANGER]
        found += [(route, person) for person in (readers if not route.parameters else readers[:1])]
    return found


BY_ROLE = [person for person in PEOPLE if person.role == person.name]


# --- reading answers ------------------------------------------------------------------------------


def content_of(response: Any) -> bytes:
    """All of the answer. Reading a stream to its end closes it; closing it by hand would close the database too."""
    return b"".join(response.streaming_content) if response.streaming else response.content


def text_of(content: bytes) -> str:
    """What a reader finds in an answer; a spreadsheet is opened."""
    if content[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(io.BytesIO(content)) as book:
            content = b"\n".join(book.read(name) for name in book.namelist())
    return content.decode("utf-8", errors="replace")


def marks_in(text: str) -> set[tuple[str, str]]:
    """(kind code, "units", "people" or "events"; scope) of everything that the text names."""
    return {(match[1], match[2]) for match in MARK.finditer(text)}
