"""What holds for every registered kind of record, the sample kind of tests.casework among them."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Callable
from io import BytesIO
from types import SimpleNamespace
from typing import Any
from zipfile import ZipFile

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from programs import registry
from programs.disclosure import masked
from programs.field_classes import C1, C2, C3, C4, class_of, mask_of
from programs.models import AuditEvent, Mark, Unit, User
from programs.models.record import Record
from programs.registry import RecordKind
from programs.roles import ROLES, Disclosure
from tests.factories import sample_values

KINDS = registry.kinds()
MOST_REQUIRED = 8
SECRETS = {
    "client": "欧阳明月",
    "met": "欧阳明月和邻居",
    "citizen": "欧阳明月",
    "content": "欧阳明月家的事",
    "phone": "13800135678",
    "responsible": "欧阳明月",
    "id_number": "110101199003077758",
    "illness": "抑郁症",
    "notes": "来访者谈到家庭",
}

pytestmark = pytest.mark.django_db

every_kind = pytest.mark.parametrize("kind", KINDS, ids=str)
SignIn = Callable[[User], Client]
MakeRecord = Callable[..., Any]


def form_data(kind: RecordKind, unit: Unit, **over: Any) -> dict[str, Any]:
    """What a browser sends for a new record of the kind."""
    values = {**sample_values(kind), "unit": unit.code, "submission_key": str(uuid.uuid4()), **over}
    names = set(kind.form.base_fields)
    return {name: str(value) for name, value in values.items() if name in names}


def url(name: str, kind: RecordKind, *args: Any) -> str:
    return reverse(name, args=[kind.code, *args])


def secret_values(kind: RecordKind) -> dict[str, str]:
    """Values for the kind's fields of C2 and above, none of which may turn up where it should not."""
    fields = [f for f in kind.model._meta.concrete_fields if f.editable and not f.primary_key]
    names = [field.name for field in fields if class_of(field) >= C2]
    missing = set(names) - SECRETS.keys()
    assert not missing, f"give a value to {missing} in SECRETS"
    return {name: SECRETS[name] for name in names}


# --- the form and its life ----------------------------------------------------------------------------------------


@every_kind
def test_a_tired_officer_fills_few_fields(kind: RecordKind, people: SimpleNamespace, actor: Any) -> None:
    form = kind.form(actor=actor(people.community_officer))
    required = [name for name, field in form.fields.items() if field.required]
    assert len(required) <= MOST_REQUIRED, required
    assert form["unit"].value(), "the unit is already there"
    assert form["occurred_on"].value(), "the day is already there"


@every_kind
def test_life_of_a_record(
    kind: RecordKind, people: SimpleNamespace, tree: SimpleNamespace, sign_in: SignIn
) -> None:
    client = sign_in(people.community_officer)
    assert client.get(url("record_new", kind)).status_code == 200

    response = client.post(url("record_new", kind), form_data(kind, tree.own))
    assert response.status_code == 302, response.context and response.context["form"].errors
    record = kind.model.objects.get()
    assert (record.unit, record.created_by, record.version) == (tree.own, people.community_officer, 1)
    title = str(getattr(record, kind.title))

    assert title in client.get(url("record_list", kind)).content.decode()
    assert title in client.get(url("record_detail", kind, record.pk)).content.decode()

    changed = form_data(kind, tree.own, **{kind.title: "改过的标题"}, version=1)
    response = client.post(url("record_edit", kind, record.pk), changed)
    assert response.status_code == 302, response.context and response.context["form"].errors
    record.refresh_from_db()
    assert (str(getattr(record, kind.title)), record.version) == ("改过的标题", 2)

    assert client.get(url("record_remove", kind, record.pk)).status_code == 200
    assert not kind.model.objects.get().is_removed, "asking removes nothing"
    client.post(url("record_remove", kind, record.pk), {"reason": "重复填报"})
    assert kind.model.objects.get().is_removed
    assert (
        "改过的标题"
        not in client.get(url("record_list", kind))
        .content.decode()
        .split("<main")[1]
        .split('id="records"')[-1]
    )
    assert "改过的标题" in client.get(url("record_removed", kind)).content.decode()

    client.post(url("record_restore", kind, record.pk))
    assert not kind.model.objects.get().is_removed
    actions = AuditEvent.objects.filter(object_pk=str(record.pk), object_type=kind.model._meta.label_lower)
    assert sorted(actions.values_list("action", flat=True)) == sorted(
        f"{kind.code}.{verb}" for verb in ("create", "change", "remove", "restore")
    )


@every_kind
def test_the_same_form_twice_makes_one_record(
    kind: RecordKind, people: SimpleNamespace, tree: SimpleNamespace, sign_in: SignIn
) -> None:
    client, data = sign_in(people.community_officer), form_data(kind, tree.own)
    for _time in range(2):
        assert client.post(url("record_new", kind), data).status_code == 302
    assert kind.model.objects.count() == 1


@every_kind
def test_an_edit_over_a_newer_version_shows_both(
    kind: RecordKind, people: SimpleNamespace, tree: SimpleNamespace, sign_in: SignIn, make_record: MakeRecord
) -> None:
    record = make_record(kind.code, tree.own, people.community_officer)
    client = sign_in(people.community_officer)
    for text, status in (("第一个人的", 302), ("第二个人的", 409)):
        data = form_data(kind, tree.own, **{kind.title: text}, version=1)
        response = client.post(url("record_edit", kind, record.pk), data)
        assert response.status_code == status
    page = response.content.decode()
    assert "第一个人的" in page
    assert "第二个人的" in page
    record.refresh_from_db()
    assert str(getattr(record, kind.title)) == "第一个人的"


@every_kind
def test_export_holds_what_the_list_shows(
    kind: RecordKind, people: SimpleNamespace, tree: SimpleNamespace, sign_in: SignIn, make_record: MakeRecord
) -> None:
    make_record(kind.code, tree.own, people.community_officer, **{kind.title: "=1+1 自家的"})
    outsider = people.outsider
    make_record(kind.code, tree.elsewhere_community, outsider, **{kind.title: "别家的"})
    client = sign_in(people.community_officer)
    text = b"".join(client.get(url("record_export", kind, "csv")).streaming_content).decode("utf-8-sig")
    assert "'=1+1 自家的" in text
    assert "别家的" not in text
    response = client.get(url("record_export", kind, "xlsx"))
    content = b"".join(response.streaming_content) if response.streaming else response.content
    with ZipFile(BytesIO(content)) as workbook:
        sheet = "".join(workbook.read(name).decode() for name in workbook.namelist() if name.endswith(".xml"))
    assert "=1+1 自家的" in sheet
    assert "别家的" not in sheet
    assert "<f>" not in sheet, "a text is never a formula"


# --- classes of fields --------------------------------------------------------------------------------------------


@every_kind
def test_every_field_declares_its_class_and_the_title_is_readable(kind: RecordKind) -> None:
    fields = (*kind.model._meta.concrete_fields, *kind.model._meta.many_to_many)
    assert [f.name for f in fields if not f.primary_key and not hasattr(f, "field_class")] == []
    assert class_of(kind.field(kind.title)) <= C1, "a title stands in logs, links and messages"


READERS = {
    role: ROLES[role].reads for role in ("leader", "office", "street_officer", "community_officer", "auditor")
}


@every_kind
@pytest.mark.parametrize("role", READERS)
def test_values_are_masked_as_the_role_reads_them(
    kind: RecordKind,
    role: str,
    people: SimpleNamespace,
    tree: SimpleNamespace,
    sign_in: SignIn,
    make_record: MakeRecord,
) -> None:
    secrets = secret_values(kind)
    values = {name: value for name, value in secrets.items() if class_of(kind.field(name)) <= C3}
    record = make_record(kind.code, tree.own, people.community_officer, **values)
    kind.model.objects.filter(pk=record.pk).update(**secrets)  # C4 is not this officer's to write
    client = sign_in(getattr(people, role))
    pages = {
        "list": client.get(url("record_list", kind)).content.decode(),
        "detail": client.get(url("record_detail", kind, record.pk)).content.decode(),
        "export": b"".join(client.get(url("record_export", kind, "csv")).streaming_content).decode(),
        "api": client.get(f"/api/v1/records/{kind.code}/{record.pk}/").content.decode(),
    }
    for name, secret in secrets.items():
        field = kind.field(name)
        disclosure = READERS[role].get(class_of(field), Disclosure.WITHHELD)
        if disclosure is Disclosure.CLEAR:
            assert secret in pages["detail"]
            assert secret in pages["api"]
            continue
        for page, content in pages.items():
            assert secret not in content, f"{role} reads {name} on the {page}"
        if disclosure is Disclosure.MASKED:
            assert masked(secret, mask_of(field)) in pages["detail"]


@every_kind
def test_the_log_keeps_no_value_of_c3_and_c4(
    kind: RecordKind, people: SimpleNamespace, tree: SimpleNamespace, make_record: MakeRecord
) -> None:
    secrets = secret_values(kind)
    make_record(kind.code, tree.own, people.community_officer, **secrets)
    log = json.dumps(list(AuditEvent.objects.values()), default=str, ensure_ascii=False)
    for name, secret in secrets.items():
        kept = class_of(kind.field(name)) <= C2
        assert (secret in log) is kept, name
        assert f'"{name}"' in log, "the name of what changed is kept"


def test_the_sample_kind_has_a_field_of_every_class() -> None:
    classes = {class_of(field) for field in registry.kind("cases").model._meta.concrete_fields}
    assert {C1, C2, C3, C4} <= classes


# --- marks: every way of writing ----------------------------------------------------------------------------------

MARCH, MAY = dt.date(2026, 3, 1), dt.date(2026, 5, 1)


def marks() -> set[tuple[int, dt.date]]:
    found = set(Mark.objects.values_list("unit_id", "month"))
    Mark.objects.all().delete()
    return found


@every_kind
def test_every_way_of_writing_leaves_its_marks(
    kind: RecordKind, people: SimpleNamespace, tree: SimpleNamespace, make_record: MakeRecord
) -> None:
    own, sibling, street = tree.own.pk, tree.sibling.pk, tree.street.pk
    record = make_record(kind.code, tree.own, people.community_officer, occurred_on=dt.date(2026, 3, 31))
    assert (own, MARCH) in marks()

    record.joint_units.add(tree.sibling)
    assert marks() == {(sibling, MARCH)}

    rows = kind.model._base_manager.filter(pk=record.pk)
    rows.update(occurred_on=dt.date(2026, 5, 1))
    assert marks() == {(unit, month) for unit in (own, sibling) for month in (MARCH, MAY)}

    rows.update(unit=tree.street)
    assert marks() == {(own, MAY), (street, MAY), (sibling, MAY)}

    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {kind.model._meta.db_table} SET version = version + 1")
    assert marks() == {(street, MAY), (sibling, MAY)}

    record.joint_units.clear()
    assert marks() == {(sibling, MAY)}

    twin = kind.model._base_manager.get(pk=record.pk)
    twin.pk, twin.submission_key = None, uuid.uuid4()
    kind.model._base_manager.bulk_create([twin])
    assert marks() == {(street, MAY)}

    for relation in kind.model._meta.related_objects:
        if relation.get_accessor_name() in kind.belongings:
            relation.related_model._base_manager.all().delete()
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {kind.model._meta.db_table}")
    assert marks() == {(street, MAY)}


def test_no_kind_leaves_out_the_base() -> None:
    assert all(issubclass(kind.model, Record) for kind in KINDS)
