"""A sheet takes exactly the rows that form and `save_record` take, and says the same about the others."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import models, transaction
from django.utils import timezone
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from programs import registry
from programs.access import Actor
from programs.actions import save_record, save_records
from programs.actions.units import merge_units
from programs.forms import RecordForm
from programs.models import Unit
from programs.registry import RecordKind
from programs.sheets import DATE, JOINT_UNITS, UNIT, columns_for, header_of
from reporting.uploads import checking, rules
from reporting.uploads.checking import Checked, check
from reporting.uploads.layout import find
from reporting.uploads.rows import Row
from reporting.uploads.sheet import Sheet
from tests.factories import GIVEN, sample_values

KINDS = registry.kinds()
every_kind = pytest.mark.parametrize("kind", KINDS, ids=str)
# Without shrinking: each example asks the database, and the rows are short as they are.
quick = settings(
    max_examples=24,
    deadline=None,
    phases=(Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
pytestmark = pytest.mark.django_db

MERGED_ON = dt.date(2025, 6, 30)
UNITS = [
    "城隍浦社区",
    "331002001003",
    "衙门巷社区",
    "海门街道",
    "云西社区",
    "东浦社区",
    "公安分局",
    "火星",
    None,
    "",
    "无",
]
ODD_TEXTS = [
    "",
    None,
    " ",
    "-",
    "a\x00b",
    "\ud800",
    "长" * 51,
    "长" * 101,
    "x" * 5001,
    "=1+1",
    12.0,
    1e17,
    dt.date(2026, 3, 5),
]
SINCE, TODAY = dt.date(2007, 12, 30), timezone.localdate()


def dates() -> st.SearchStrategy[Any]:
    days = st.dates(SINCE, TODAY + dt.timedelta(days=2))
    return st.one_of(
        days,
        days.map(lambda day: f"{day.year}年{day.month}月{day.day}日"),
        st.sampled_from([None, "待定", MERGED_ON, TODAY]),
    )


def numbers() -> st.SearchStrategy[Any]:
    edges = [
        0,
        -1,
        1000,
        1001,
        200_000,
        200_001,
        2**31,
        10**20,
        None,
        "",
        "1.2万",
        "许多",
        3.5,
        "0.125",
        9999.99,
        10_000,
    ]
    return st.one_of(
        st.integers(-5, 250_000), st.sampled_from(edges), st.decimals(-1, 10**5, places=3).map(float)
    )


def choices(field: Any) -> st.SearchStrategy[Any]:
    known = [word for code, label in field.flatchoices for word in (code, str(label))]
    return st.sampled_from([*known, *known, None, "", "没有这一项"])


def texts(field: Any) -> st.SearchStrategy[Any]:
    most = field.max_length or 100
    edges = ["字" * most, "字" * (most + 1), " 主题 ", "第一行\n第二行"]
    return st.one_of(st.text(max_size=12), st.sampled_from([*edges, *ODD_TEXTS]))


def cells(kind: RecordKind, name: str) -> st.SearchStrategy[Any]:
    """What may stand in a cell of the field: mostly good."""
    field = kind.field(name)
    if name == UNIT:
        return st.sampled_from([*UNITS, *UNITS[:3]])
    if name == JOINT_UNITS:
        named = st.lists(st.sampled_from([unit for unit in UNITS if unit]), max_size=2).map("、".join)
        return st.one_of(st.none(), st.sampled_from(["公安分局", "云西社区、公安分局"]), named)
    if field.choices:
        return choices(field)
    if isinstance(field, models.DateField):
        return dates()
    if isinstance(field, models.IntegerField | models.DecimalField):
        return numbers()
    return texts(field)


GOOD = {DATE: dt.date(2025, 3, 5), UNIT: "城隍浦社区", JOINT_UNITS: None}


def good_cell(kind: RecordKind, name: str) -> Any:
    value = GOOD[name] if name in GOOD else sample_values(kind)[name]
    return float(value) if isinstance(value, Decimal) else value


def rows_of(kind: RecordKind, names: list[str]) -> st.SearchStrategy[list[Any]]:
    """Rows with few odd cells: of rows with many the chance that one is good is nil."""
    odd = st.lists(st.sampled_from(names), max_size=3)
    return st.builds(
        lambda odd, drawn: [
            drawn[at] if name in odd else good_cell(kind, name) for at, name in enumerate(names)
        ],
        odd,
        st.tuples(*(cells(kind, name) for name in names)),
    )


@pytest.fixture
def by(people: SimpleNamespace, tree: SimpleNamespace) -> Actor:
    """An officer of a community into which another was merged."""
    merge_units(by=None, unit=tree.sibling, into=tree.own, effective_on=MERGED_ON)
    return Actor.of(people.community_officer)


def sheet_of(kind: RecordKind, names: list[str], *rows: list[Any]) -> Sheet:
    return Sheet("台账", [[str(header_of(kind, name)) for name in names], *rows])


def checked(by: Actor, kind: RecordKind, sheet: Sheet) -> tuple[Checked, list[Row]]:
    """The check, and the rows as they were read."""
    layout = find(sheet, kind, by=by)
    unit = Unit.objects.get(code="331002001003")
    read = checking._Checker(by, unit, kind, sheet, layout, None, checking.Seen()).rows
    return check(by=by, unit=unit, kind=kind, sheet=sheet, layout=layout), list(read)


def said_by_check(found: Checked) -> dict[str, list[str]]:
    said: dict[str, list[str]] = {}
    for problem in found.refused:
        said.setdefault(problem.field, []).append(problem.message)
    return {field: sorted(messages) for field, messages in said.items()}


def sent(values: dict[str, Any]) -> dict[str, Any]:
    """The values as a browser sends them."""
    data = {}
    for name, value in values.items():
        if name == JOINT_UNITS:
            data[name] = [unit.code for unit in value]
        elif isinstance(value, Unit):
            data[name] = value.code
        else:
            data[name] = "" if value is None else str(value)
    return data


def said_by_form(error: ValidationError | RecordForm) -> dict[str, list[str]]:
    found = error.errors.as_data() if isinstance(error, RecordForm) else error.error_dict
    return {
        "" if field == NON_FIELD_ERRORS else field: sorted(message for e in errors for message in e.messages)
        for field, errors in found.items()
    }


class _Undo(Exception):
    pass


def saved_by_form(
    by: Actor, kind: RecordKind, values: dict[str, Any]
) -> tuple[dict[str, Any] | None, dict[str, list[str]]]:
    """What pages and API do with these values: the record's columns, or what they say; nothing stays."""
    form = kind.form(sent(values), actor=by)
    if not form.is_valid():
        return None, said_by_form(form)
    return saved(by, kind, form.values(), list(form.cleaned_data.get(JOINT_UNITS) or ()))


def saved(
    by: Actor, kind: RecordKind, values: dict[str, Any], joint: list[Unit] | None, record: Any = None
) -> tuple[dict[str, Any] | None, dict[str, list[str]]]:
    row: dict[str, Any] = {}
    try:
        with transaction.atomic():
            record = save_record(by=by, kind=kind, values=values, joint_units=joint, record=record)
            row = kind.model.objects.values().get(pk=record.pk)
            row[JOINT_UNITS] = sorted(record.joint_units.values_list("pk", flat=True))
            raise _Undo
    except _Undo:
        return row, {}
    except ValidationError as error:
        return None, said_by_form(error)


@pytest.mark.parametrize("most_asked", [500, 0])
@every_kind
@quick
@given(data=st.data())
def test_a_sheet_takes_what_the_form_takes(
    kind: RecordKind, most_asked: int, by: Actor, monkeypatch: pytest.MonkeyPatch, data: st.DataObject
) -> None:
    """With the words asked for in full, and with those made of the parts."""
    monkeypatch.setattr(rules, "MOST_ASKED", most_asked)
    names = columns_for(kind, by)
    cells_ = data.draw(rows_of(kind, names))
    found, read = checked(by, kind, sheet_of(kind, names, cells_))
    if not read:
        assert not found.new
        return
    [row] = read
    if row.errors:
        assert found.refused_rows == 1
        assert row.errors.keys() <= said_by_check(found).keys()
        return
    columns, said = saved_by_form(by, kind, row.values)
    values = {name: value for name, value in row.values.items() if name != JOINT_UNITS}
    directly, _said = saved(by, kind, values, list(row.values[JOINT_UNITS]))
    assert (len(found.new) == 1) is (columns is not None), (said, found.refused)
    if columns is None:
        # The length of a long text is asked by forms only.
        long = (
            {field for field in said if isinstance(kind.field(field), models.TextField)}
            if "" not in said
            else ()
        )
        assert directly is None or said.keys() == long
        told = said_by_check(found)
        more = told.keys() - said.keys()
        assert {field: told[field] for field in told if field not in more} == said
        # Of what save_record would say only after the form is mended, a sheet says at once when the unit did not live.
        assert more <= {DATE}
        return
    assert directly is not None
    [new] = found.new
    written = {kind.field(name).attname: getattr(value, "pk", value) for name, value in new.values.items()}
    # The form gives what it knows where it was left open; a ledger is taken as it is.
    given = {name for name in GIVEN.get(kind.code, ()) if not written[name] and columns[name]}
    assert {**written, **dict.fromkeys(given)} == {
        name: None if name in given else columns[name] for name in written
    }
    assert list(new.joint) == columns[JOINT_UNITS]


@every_kind
@settings(quick, max_examples=12)
@given(data=st.data())
def test_every_row_is_accounted_for_and_known_again(kind: RecordKind, by: Actor, data: st.DataObject) -> None:
    names = columns_for(kind, by)
    total, blank = ["合计", *[None] * (len(names) - 1)], [None] * len(names)
    one = st.one_of(rows_of(kind, names), st.sampled_from([total, blank, []]))
    rows = data.draw(st.lists(one, min_size=1, max_size=5).map(lambda rows: [*rows, *rows[:2]]))
    sheet = sheet_of(kind, names, *rows)
    with transaction.atomic():
        found, _read = checked(by, kind, sheet)
        assert found.adds_up
        numbers = [
            item.row for items in (found.new, found.changed, found.same, found.left_out) for item in items
        ]
        numbers += sorted({problem.row for problem in found.refused})
        empty = {
            at
            for at, row in enumerate(rows, 2)
            if all(
                cell is None or not str(cell).strip()
                for cell, name in zip(row, names, strict=False)
                if name != UNIT
            )
        }
        assert len(set(numbers)) == len(numbers)
        assert set(range(2, len(rows) + 2)) - empty <= set(numbers)

        save_records(by=by, kind=kind, new=found.new, changed=found.changed, upload_id=1)
        again, _read = checked(by, kind, sheet)
        assert (again.new, again.changed) == ([], [])
        assert len(again.same) == len(found.new) + len(found.same)
        assert again.refused_rows == found.refused_rows
        transaction.set_rollback(True)


@every_kind
@settings(quick, max_examples=12)
@given(data=st.data())
def test_a_change_is_taken_as_the_form_takes_it(kind: RecordKind, by: Actor, data: st.DataObject) -> None:
    names = columns_for(kind, by)
    good = [good_cell(kind, name) for name in names]
    row = data.draw(rows_of(kind, names))
    cells_ = [good[at] if name in kind.sheet.key else row[at] for at, name in enumerate(names)]
    with transaction.atomic():
        first, _read = checked(by, kind, sheet_of(kind, names, good))
        save_records(by=by, kind=kind, new=first.new, upload_id=1)
        record = kind.model.objects.for_detail().get()
        found, [read] = checked(by, kind, sheet_of(kind, names, cells_))
        assert not found.new
        if not read.errors:
            _compare_change(by, kind, record, read, found)
        transaction.set_rollback(True)


def _compare_change(by: Actor, kind: RecordKind, record: Any, read: Row, found: Checked) -> None:
    # An empty cell where there must be a value leaves what stands.
    kept = {
        name
        for name in read.values
        if name not in (UNIT, JOINT_UNITS) and kind.field(name).has_default() and not kind.field(name).blank
        if read.values[name] == kind.field(name).get_default()
    }
    values = {**read.values, **{name: getattr(record, name) for name in kept}}
    form = kind.form({**sent(values), "version": "1"}, instance=record, actor=by)
    is_valid = form.is_valid()
    columns: dict[str, Any] | None = None
    if is_valid:
        columns, _said = saved(
            by, kind, form.values(), list(form.cleaned_data[JOINT_UNITS]), record=kind.model.objects.get()
        )
    assert (found.refused_rows == 0) is (columns is not None), (form.errors, found.refused)
    if columns is None:
        return
    if found.same:
        before = kind.model.objects.values().get()
        apart = {"version", "updated_at", "updated_by_id", JOINT_UNITS, *kept}
        assert {name: value for name, value in columns.items() if name not in apart} == {
            name: value for name, value in before.items() if name not in apart
        }
        return
    [changed] = found.changed
    assert (changed.pk, changed.version) == (record.pk, 1)
    joint = None if changed.joint is None else list(Unit.objects.filter(pk__in=changed.joint))
    written, _said = saved(by, kind, changed.values, joint, record=kind.model.objects.get())
    assert written is not None
    apart = {"version", "updated_at", *kept}
    assert {k: v for k, v in written.items() if k not in apart} == {
        k: v for k, v in columns.items() if k not in apart
    }
