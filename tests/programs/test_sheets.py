"""What the sheet of a kind is, declared or not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from import_export.fields import Field
from import_export.widgets import CharWidget

from programs import registry
from programs.access import Actor
from programs.registry import RecordKind
from programs.sheets import DATE, UNIT, RecordSheet, columns_for, header_of, sheet_of
from tests.casework.kinds import CaseKind

KINDS = registry.kinds()
every_kind = pytest.mark.parametrize("kind", KINDS, ids=str)


@every_kind
def test_every_kind_has_a_sheet_with_the_fields_of_its_form_in_their_order(kind: RecordKind) -> None:
    names = kind.sheet.names()
    assert [name for name in kind.form.base_fields if name in names] == names
    assert {UNIT, DATE, kind.title} <= set(names)
    assert kind.sheet.key[0] == UNIT
    assert set(kind.sheet.key) <= set(names)


def test_a_kind_that_declares_nothing_is_known_again_by_unit_day_and_title() -> None:
    assert registry.kind("cases").sheet.key == (UNIT, DATE, "title")
    assert "sheet" not in vars(CaseKind) or vars(CaseKind)["sheet"].synonyms == {}


def declared(**attributes: Any) -> RecordKind:
    """The kind of tests.casework with a sheet of its own."""
    kind = type("Declared", (CaseKind,), {"sheet": type("Declared", (RecordSheet,), attributes)})()
    type(kind).sheet = sheet_of(kind)
    return kind


def test_what_is_declared_goes_before_what_follows_from_the_form() -> None:
    widget = CharWidget()
    kind = declared(
        key=("client",),
        synonyms={"client": ["求助人"]},
        hours=Field("hours", "服务时长", widget=widget),
        Meta=type("Meta", (), {"fields": ["title", "client", "hours", DATE, UNIT]}),
    )
    assert kind.sheet.names() == ["title", "client", "hours", DATE, UNIT]
    assert kind.sheet.key == (UNIT, "client")
    assert kind.sheet.headers("client") == ["求助人"]
    assert kind.sheet.widget_of("hours") is not None
    assert kind.sheet.widget_of("client") is None
    assert header_of(kind, "hours") == "服务时长"
    assert header_of(kind, "client") == "client"


@pytest.mark.parametrize("attribute", ["key", "synonyms", "samples"])
def test_a_sheet_that_names_no_field_of_the_form_is_refused(attribute: str) -> None:
    value: Any = ("nothing",) if attribute == "key" else {"nothing": []}
    with pytest.raises(ImproperlyConfigured, match="nothing"):
        declared(**{attribute: value})


def test_joint_units_cannot_be_in_a_key() -> None:
    with pytest.raises(ImproperlyConfigured, match="joint_units"):
        declared(key=("joint_units", "title"))


def test_fields_that_a_role_never_reads_are_not_in_its_sheet(people: SimpleNamespace) -> None:
    kind = registry.kind("cases")
    of_officer = columns_for(kind, Actor.of(people.community_officer))
    assert "id_number" in of_officer
    assert "notes" not in of_officer  # class C4 is for counsellors
    assert "illness" not in columns_for(kind, Actor.of(people.unit_officer))
