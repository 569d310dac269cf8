"""Tables that people make: every cell is a figure, opens to its records, leaves as it is shown; kept within scope."""

from __future__ import annotations

import csv
import datetime as dt
import io
import zipfile
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import time_machine
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from programs import registry
from programs.access import Actor
from programs.actions.units import create_unit, rename_unit
from programs.boundaries import Boundaries
from programs.models import AuditEvent, Unit, User
from programs.registry import Suppressed
from reporting.actions import NameTaken, remove_pivot, save_pivot
from reporting.figures import figures
from reporting.models import SavedPivot
from reporting.parts import bare_number
from reporting.pivot import Line, Pivot, Rows, Table, splits
from reporting.statistics import refresh
from tests.conftest import read_to_the_end
from tests.reporting.test_dashboard import behind

pytestmark = pytest.mark.django_db
SignIn = Callable[[User], Client]
SPRING = {"from": "2025-01", "to": "2025-04"}
EVERY = [figure.code for figure in registry.declared()]
SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def page_of(client: Client, unit: Unit | None = None, **parameters: Any) -> tuple[Pivot, Table]:
    asked = {**SPRING, **({"unit": unit.code} if unit else {}), **parameters}
    response = client.get(reverse("pivot"), asked)
    assert response.status_code == 200
    assert not response.context["problems"]
    return response.context["pivot"], response.context["table"]


def values(line: Line) -> list[Any]:
    return [cell.value for cell in line.cells]


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the small-cell rule, which hides other cells of a table than of its rows one by one."""
    monkeypatch.setattr("reporting.figures.protect", lambda found, reader: None)


# --- every cell is a figure -----------------------------------------------------------------------

QUARTERS = [(dt.date(2024, 11, 1), dt.date(2024, 12, 1)), (dt.date(2025, 1, 1), dt.date(2025, 3, 1)),
            (dt.date(2025, 4, 1), dt.date(2025, 5, 1))]  # fmt: skip
YEARS = [(dt.date(2024, 11, 1), dt.date(2024, 12, 1)), (dt.date(2025, 1, 1), dt.date(2025, 5, 1))]
MONTHS = [dt.date(2024, 11, 1), dt.date(2024, 12, 1), *(dt.date(2025, month, 1) for month in range(1, 6))]
CUT = {"from": "2024-11", "to": "2025-05"}


@pytest.mark.parametrize("boundaries", list(Boundaries))
@pytest.mark.parametrize(
    ("rows", "spans", "names"),
    [
        ("months", [(month, month) for month in MONTHS], [f"{month:%Y-%m}" for month in MONTHS]),
        ("quarters", QUARTERS, ["2024年第4季度", "2025年第1季度", "2025年第2季度"]),
        ("years", YEARS, ["2024", "2025"]),
    ],
)
def test_rows_of_time_hold_the_figures_of_their_months(
    boundaries: Boundaries,
    rows: str,
    spans: list[tuple[dt.date, dt.date]],
    names: list[str],
    lived_in: SimpleNamespace,
    people: SimpleNamespace,
    sign_in: SignIn,
    exact: None,
) -> None:
    """Each row is what a question about its months alone is answered with, for every declared figure."""
    client = sign_in(people.leader)
    for unit in (lived_in.district, lived_in.street):
        _pivot, table = page_of(client, unit, rows=rows, indicator=EVERY, boundaries=boundaries.value, **CUT)
        if rows != "quarters":  # their names are words, in two languages
            assert [line.name for line in table.lines] == names
        assert len(table.lines) == len(names)
        for line, (first, last) in zip(table.lines, spans, strict=True):
            alone = figures(unit, first, last, EVERY, boundaries=boundaries)
            assert values(line) == [alone[code].value for code in EVERY], line.name
        whole = figures(unit, MONTHS[0], MONTHS[-1], EVERY, boundaries=boundaries)
        assert values(table.total) == [whole[code].value for code in EVERY]
        assert any(value for value in values(table.total))


@pytest.mark.parametrize("boundaries", list(Boundaries))
def test_rows_of_units_hold_what_the_api_answers(
    boundaries: Boundaries, lived_in: SimpleNamespace, people: SimpleNamespace, sign_in: SignIn
) -> None:
    client = sign_in(people.leader)
    for unit in (lived_in.district, lived_in.street, lived_in.other_street):
        asked = {"boundaries": boundaries.value}
        _pivot, table = page_of(client, unit, indicator=EVERY, **asked)
        found = client.get(reverse("api_figures", args=[unit.code]), {**SPRING, **asked}).json()
        parts = {"" if part["itself"] else part["unit"]["name"]: part["values"] for part in found["parts"]}
        assert len(table.lines) == len(parts) > 2
        shown = {"" if line.sort == "own" else line.name: line for line in table.lines}
        for name, answered in parts.items():
            assert [as_answered(value) for value in values(shown[name])] == [answered[code] for code in EVERY]
        answers = {figure["indicator"]: figure["value"] for figure in found["figures"]}
        assert [as_answered(value) for value in values(table.total)] == [answers[code] for code in EVERY]
        territorial = [line.name for line in table.blocks[0].lines]
        assert territorial == [territorial[0], *sorted(territorial[1:], key=lambda name: shown_code(name))]


def as_answered(value: Any) -> Any:
    return str(value) if isinstance(value, Suppressed) else bare_number(value)


def shown_code(name: str) -> str:
    return Unit.objects.get(name=name).code


@pytest.mark.parametrize("split", splits(), ids=lambda split: split.code)
def test_parts_are_rows_or_columns(
    split: Any, lived_in: SimpleNamespace, people: SimpleNamespace, sign_in: SignIn
) -> None:
    client = sign_in(people.leader)
    code = split.indicator.code
    of = figures(lived_in.district, dt.date(2025, 1, 1), dt.date(2025, 4, 1), registry.with_parts(code))
    expected = {part.code: of[part.code].value for part in split.parts}
    pivot, table = page_of(client, rows="parts", split=split.code, indicator=[code])
    assert (pivot.rows, [str(column.name) for column in table.columns]) == (
        Rows.PARTS,
        [str(split.indicator.label)],
    )
    named = {str(part.label): expected[part.code] for part in split.parts}
    shown = {line.name: line.cells[0].value for line in table.lines}
    assert shown == {name: value for name, value in named.items() if name in shown}
    assert sum(shown.values()) == values(table.total)[0] == of[code].value
    left = [part for part in split.parts if str(part.label) not in shown]
    assert not any(part.value or expected[part.code] for part in left)
    # As columns, beside the whole.
    _pivot, table = page_of(client, rows="years", split=split.code, indicator=[code])
    assert values(table.total) == [of[code].value, *expected.values()]
    assert values(table.lines[0]) == values(table.total)


def test_rows_of_parts_show_every_chosen_indicator_with_these_parts(
    lived_in: SimpleNamespace, people: SimpleNamespace, sign_in: SignIn
) -> None:
    asked = {"rows": "parts", "indicator": ["activities.count", "activities.participants", "carriers.count"]}
    response = sign_in(people.leader).get(reverse("pivot"), {**SPRING, **asked})
    table = response.context["table"]
    assert response.context["pivot"].split.code == "activities.count@series"  # the first one
    assert [column.measure.code for column in table.columns] == ["times", "person_times"]
    [problem] = response.context["problems"]
    assert str(registry.kind("carriers").indicators[0].label) in problem
    found = figures(lived_in.district, dt.date(2025, 1, 1), dt.date(2025, 4, 1),
                    registry.with_parts("activities.participants"))  # fmt: skip
    assert table.lines[0].cells[1].value == found["activities.participants@series=six_ones"].value > 0


def test_totals_are_never_added_up_from_what_does_not_add_up(
    lived_in: SimpleNamespace, people: SimpleNamespace, sign_in: SignIn, exact: None
) -> None:
    client = sign_in(people.leader)
    for rows in ("units", "months", "years"):
        _pivot, table = page_of(client, rows=rows, indicator=EVERY, **{"from": "2024-01", "to": "2025-04"})
        assert not table.adds_up
        differing = set()
        for place, column in enumerate(table.columns):
            added = sum(line.cells[place].value or 0 for line in table.lines)
            if column.additive:
                assert added == table.total.cells[place].value, (rows, column.name)
            elif added != table.total.cells[place].value:
                differing.add(EVERY[place])
        assert {"cases.clients", "activities.participants_each", "activities.six_ones_share"} <= differing
    # Of units, distinct people cannot be told over several months: no number is made up.
    _pivot, table = page_of(client, rows="units", indicator=["cases.clients"])
    assert {line.cells[0].value for line in table.lines} == {None}
    assert (
        table.total.cells[0].value
        == figures(lived_in.district, dt.date(2025, 1, 1), dt.date(2025, 4, 1), ["cases.clients"])[
            "cases.clients"
        ].value
    )
    assert page_of(client, indicator=["activities.count"])[1].adds_up


def test_the_total_is_compared(lived_in: SimpleNamespace, people: SimpleNamespace, sign_in: SignIn) -> None:
    client = sign_in(people.leader)
    codes = ["activities.participants", "activities.six_ones_share"]
    assert page_of(client, indicator=codes)[1].before is None
    asked = {"rows": "months", "from": "2025-03", "to": "2025-04", "indicator": codes}
    for against in ("year", "previous"):
        _pivot, table = page_of(client, against=against, **asked)
        answer = client.get(
            reverse("api_figures", args=[lived_in.district.code]),
            {"from": "2025-03", "to": "2025-04", "against": against},
        ).json()
        before = {figure["indicator"]: figure["before"] for figure in answer["figures"]}
        assert [bare_number(value) for value in values(table.before)] == [before[code] for code in codes]
        assert behind(client, Actor.of(people.leader), table.before.cells[0].url) == before[codes[0]]
        assert table.changes[0].endswith("%")
        assert not table.changes[1].endswith("%"), "a rate changes by percentage points"


# --- links, chart ---------------------------------------------------------------------------------


def cells(table: Table) -> Iterator[Any]:
    for line in (*table.lines, table.total):
        yield from line.cells


def test_every_number_opens_to_its_records(
    lived_in: SimpleNamespace, people: SimpleNamespace, sign_in: SignIn, exact: None
) -> None:
    stored, opened = [indicator.code for indicator in registry.indicators()], set[Any]()
    for user, unit, rows in [
        (people.leader, lived_in.district, "units"),
        (people.leader, lived_in.other_street, "units"),
        (people.leader, lived_in.district, "quarters"),
        (people.leader, lived_in.other_street, "months"),
        (people.leader, lived_in.district, "parts"),
        (people.community_officer, lived_in.own, "months"),
        (people.community_officer, lived_in.own, "units"),
        (people.unit_officer, lived_in.police, "parts"),
    ]:
        client = sign_in(user)
        _pivot, table = page_of(
            client, unit, rows=rows, indicator=["activities.count"] if rows == "parts" else stored
        )
        linked = [cell for cell in cells(table) if cell.url]
        for cell in linked:
            assert behind(client, Actor.of(user), cell.url, opened) == cell.value, (user, rows, cell.url)
        assert len(linked) > 2
        assert all(cell.url for cell in table.total.cells if cell.value)


def test_a_unit_leads_to_the_same_table_of_its_own(
    lived_in: SimpleNamespace, people: SimpleNamespace, sign_in: SignIn
) -> None:
    client = sign_in(people.leader)
    pivot, table = page_of(client, indicator=["gratitude.count"], against="previous")
    street = next(line for line in table.lines if line.name == lived_in.street.name)
    opened = client.get(street.url).context["pivot"]
    assert opened.unit == lived_in.street
    assert opened.parameters[1:] == pivot.parameters[1:]


def test_one_chart_shows_one_measure(
    lived_in: SimpleNamespace, people: SimpleNamespace, sign_in: SignIn
) -> None:
    codes = ["activities.count", "activities.participants", "gratitude.count"]
    _pivot, table = page_of(sign_in(people.leader), rows="months", indicator=codes)
    data = table.chart["data"]
    assert data["categories"] == ["2025-01", "2025-02", "2025-03", "2025-04"]
    times = [place for place, column in enumerate(table.columns) if column.measure.code == "times"]
    assert len(times) == 2
    drawn = [series["values"] for series in data["series"]]
    assert drawn == [[line.cells[place].value for line in table.lines] for place in times]


# --- who sees what --------------------------------------------------------------------------------


def test_the_unit_is_ones_own_until_another_in_scope_is_asked_for(
    tree: SimpleNamespace, people: SimpleNamespace, sign_in: SignIn
) -> None:
    def status(user: str, unit: str) -> int:
        return sign_in(getattr(people, user)).get(reverse("pivot"), {"unit": unit}).status_code

    client = sign_in(people.street_officer)
    assert client.get(reverse("pivot")).context["pivot"].unit == tree.street
    assert page_of(client, tree.own)[0].unit == tree.own
    assert status("street_officer", tree.other_street.code) == 403
    assert status("street_officer", tree.elsewhere_street.code) == 404
    for code in ("no-such", "\x00", "x" * 100, "331002001'"):
        assert status("leader", code) == 404
    assert status("administrator", "") == 403


def test_who_sees_one_unit_only_gets_its_own_figures(
    lived_in: SimpleNamespace, people: SimpleNamespace, sign_in: SignIn
) -> None:
    """The workshop attached to the community is not the community officer's to read."""
    _pivot, table = page_of(sign_in(people.community_officer), indicator=["activities.count"])
    assert table.lines == []
    assert values(table.total) == [4]
    assert values(page_of(sign_in(people.leader), lived_in.own, indicator=["activities.count"])[1].total) == [
        8
    ]


@time_machine.travel("2026-05-20 10:00+08:00", tick=False)
@pytest.mark.parametrize(
    ("query", "asked"),
    [
        ("rows=weeks", Rows.UNITS),
        ("rows=%00", Rows.UNITS),
        ("indicator=no.such", Rows.UNITS),
        ("indicator=%F0%A0%AE%B7%00&rows=months", Rows.MONTHS),
        ("split=activities.count@theme", Rows.UNITS),
        ("rows=parts&indicator=gratitude.media_reports", Rows.UNITS),
        ("rows=months&from=2022-01&to=2026-01", Rows.YEARS),
        ("rows=quarters&from=2010-01&to=2026-01", Rows.YEARS),
        ("from=2026-13&rows=years", Rows.YEARS),
        ("from=2026-04&to=2026-02", Rows.UNITS),
        ("from=2007-12&to=2008-02", Rows.UNITS),
        ("from=2026-06", Rows.UNITS),
        ("against=neighbours", Rows.UNITS),
        ("boundaries=tomorrow", Rows.UNITS),
        ("name=" + "x" * 61, Rows.UNITS),
        ("name=a%00b", Rows.UNITS),
        ("name=a%E2%80%AEb", Rows.UNITS),
    ],
)
def test_what_is_not_understood_gets_a_message_and_a_table(
    query: str, asked: Rows, people: SimpleNamespace, tree: SimpleNamespace, sign_in: SignIn
) -> None:
    client = sign_in(people.leader)
    response = client.get(f"{reverse('pivot')}?{query}")
    assert response.status_code == 200
    assert len(response.context["problems"]) == 1
    assert response.context["problems"][0] in response.content.decode()
    pivot = response.context["pivot"]
    assert pivot.rows is asked
    assert pivot.against is None
    assert pivot.indicators
    # A file of what was not understood is not made: the page says why.
    refused = client.get(f"{reverse('pivot_export', args=['csv'])}?{query}")
    assert refused.status_code == 302
    assert refused.url.startswith(reverse("pivot") + "?")


def test_parameters_that_nobody_knows_are_ignored(
    people: SimpleNamespace, tree: SimpleNamespace, sign_in: SignIn
) -> None:
    pivot, table = page_of(sign_in(people.leader), page="2", unknown="%")
    assert pivot.indicators == [i.code for i in registry.kinds()[0].indicators]
    assert table.as_of is None


def test_small_figures_of_a_sensitive_kind_are_hidden_and_stay_hidden_in_the_file(
    log: Any, tree: SimpleNamespace, people: SimpleNamespace, sign_in: SignIn
) -> None:
    for day in (1, 2, 3):
        log("cases", tree.own, dt.date(2025, 1, day))
    for day in range(1, 8):
        log("cases", tree.cousin, dt.date(2025, 1, day))
    refresh()
    client = sign_in(people.leader)
    _pivot, table = page_of(client, indicator=["cases.count"])
    assert Suppressed.SMALL in [line.cells[0].value for line in table.lines]
    shown = {row[0]: row[1] for row in rows_of_csv(client, indicator="cases.count")}
    assert shown[tree.street.name] == "<5"
    assert "3" not in shown.values()


# --- as a file ------------------------------------------------------------------------------------


def export(client: Client, form: str, **parameters: Any) -> bytes:
    response = client.get(reverse("pivot_export", args=[form]), {**SPRING, **parameters})
    assert response.status_code == 200
    return read_to_the_end(response)


def rows_of_csv(client: Client, **parameters: Any) -> list[list[str]]:
    text = export(client, "csv", **parameters).decode("utf-8")
    assert text.startswith("\ufeff")
    return list(csv.reader(io.StringIO(text[1:], newline="")))


def rows_of_xlsx(client: Client, **parameters: Any) -> list[list[str]]:
    """The cells of the only sheet, line by line, without the empty ones."""
    with zipfile.ZipFile(io.BytesIO(export(client, "xlsx", **parameters))) as book:
        sheet = ET.fromstring(book.read("xl/worksheets/sheet1.xml"))
    assert sheet.findall(f".//{SHEET}f") == []
    return [["".join(cell.itertext()) for cell in row] for row in sheet.iter(f"{SHEET}row")]


def shown_lines(table: Table) -> list[list[str]]:
    """What the page shows, as text: the lines with numbers, without the headings between them."""
    written = []
    for line in (*table.lines, table.total, *([table.before] if table.before else [])):
        numbers = [bare_number(cell.value) for cell in line.cells]
        written.append([line.name, *("–" if number is None else str(number) for number in numbers)])
    return written


@pytest.mark.parametrize("rows", list(Rows))
def test_the_file_is_the_table_of_the_page(
    rows: Rows, lived_in: SimpleNamespace, people: SimpleNamespace, sign_in: SignIn, exact: None
) -> None:
    client = sign_in(people.leader)
    asked = {"rows": rows.value, "against": "year", "name": "春季报表"}
    asked |= {"split": "activities.count@series"} if rows is Rows.PARTS else {"indicator": EVERY}
    _pivot, table = page_of(client, **asked)
    head, *lines = rows_of_csv(client, **asked)
    width = len(table.columns) + 1
    assert [heading.split(" (")[0] for heading in head[1:width]] == [str(c.name) for c in table.columns]
    headings = [block.heading for block in table.blocks if block.heading]
    numbered = [line[:width] for line in lines if line[0] not in headings]
    assert numbered[:-1] == shown_lines(table)
    assert numbered[-1][1:] == [change.removeprefix("+") for change in table.changes]
    assert [line[0] for line in lines if line[0] in headings] == headings
    book = rows_of_xlsx(client, **asked)
    told = dict(line for line in book[:5])
    assert list(told.values())[:3] == ["春季报表", lived_in.district.name, told_period(book)]
    assert "2025" in told_period(book)
    assert [tidy(line) for line in book[6:]] == [tidy(line) for line in lines]


def told_period(book: list[list[str]]) -> str:
    return book[2][1]


def tidy(line: list[str]) -> list[str]:
    """Numbers as numbers, however each form writes them, without empty cells."""
    return [str(float(cell)) if cell.replace(".", "", 1).isdigit() else cell for cell in line if cell]


def test_the_export_is_audited(lived_in: SimpleNamespace, people: SimpleNamespace, sign_in: SignIn) -> None:
    client = sign_in(people.leader)
    before = AuditEvent.objects.count()
    page_of(client, lived_in.street, rows="months")
    assert AuditEvent.objects.count() == before, "looking leaves no trace"
    export(client, "xlsx", unit=lived_in.street.code, rows="months", indicator="gratitude.count")
    event = AuditEvent.objects.latest("pk")
    assert (event.action, event.actor_id, event.unit_id) == (
        "statistics.export",
        people.leader.pk,
        lived_in.street.pk,
    )
    assert event.row_count == 5  # four months and their total
    assert event.changes["format"] == [None, "xlsx"]
    assert event.changes["indicator"] == [None, "gratitude.count"]
    assert client.get(reverse("pivot_export", args=["pdf"])).status_code == 404
    assert sign_in(people.administrator).get(reverse("pivot_export", args=["csv"])).status_code == 403
    elsewhere = {"unit": lived_in.elsewhere.code}
    assert client.get(reverse("pivot_export", args=["csv"]), elsewhere).status_code == 404


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "＝"])
def test_no_name_becomes_a_formula(
    start: str, log: Any, tree: SimpleNamespace, people: SimpleNamespace, sign_in: SignIn
) -> None:
    evil = f"{start}cmd|' /C calc'!A0"
    rename_unit(by=None, unit=tree.street, name=evil, effective_on=dt.date(2024, 1, 1))
    log("activities", tree.own, dt.date(2025, 1, 5))
    refresh()
    client = sign_in(people.leader)
    asked = {"name": evil, "indicator": "activities.count"}
    names = [line[0] for line in rows_of_csv(client, **asked)]
    assert f"'{evil}" in names
    book = rows_of_xlsx(client, **asked)
    texts = [cell for line in book for cell in line if "cmd" in cell]
    assert len(texts) == 2
    assert all(text.startswith("'") for text in texts)
    response = client.get(reverse("pivot_export", args=["csv"]), {**SPRING, **asked})
    read_to_the_end(response)
    assert "\n" not in response["Content-Disposition"]


# --- tables that are kept -------------------------------------------------------------------------


def save(client: Client, name: str, query: str = "rows=months", **more: str) -> Any:
    return client.post(reverse("pivot_save"), {"name": name, "query": query, **more})


def test_a_table_is_saved_opened_and_removed(
    lived_in: SimpleNamespace, people: SimpleNamespace, sign_in: SignIn
) -> None:
    client = sign_in(people.leader)
    query = (
        "from=2025-01&to=2025-04&rows=quarters&indicator=gratitude.count&unknown=1&indicator=activities.count"
    )
    assert save(client, "  季度   报表 ", query).status_code == 302
    saved = SavedPivot.objects.get()
    assert (saved.name, saved.owner, saved.unit, saved.shared) == (
        "季度 报表",
        people.leader,
        lived_in.district,
        False,
    )
    canonical = "unit=331002&from=2025-01&to=2025-04&rows=quarters&indicator=activities.count&indicator=gratitude.count"
    assert saved.query == canonical
    event = AuditEvent.objects.latest("pk")
    assert (event.action, event.object_label, event.changes["query"]) == (
        "statistics.save",
        "季度 报表",
        [None, canonical],
    )
    opened = client.get(reverse("pivot_saved", args=[saved.pk]), follow=True)
    assert opened.context["pivot"].query == canonical
    assert opened.context["pivot"].title == "季度 报表"
    asks = client.get(reverse("pivot_remove", args=[saved.pk]))
    assert asks.status_code == 200
    assert SavedPivot.objects.exists()
    assert client.post(reverse("pivot_remove", args=[saved.pk])).status_code == 302
    assert not SavedPivot.objects.exists()
    event = AuditEvent.objects.latest("pk")
    assert (event.action, event.changes["name"]) == ("statistics.remove", ["季度 报表", None])
    assert client.get(reverse("pivot_saved", args=[saved.pk])).status_code == 404


def test_a_name_taken_is_asked_about(tree: SimpleNamespace, people: SimpleNamespace, sign_in: SignIn) -> None:
    client = sign_in(people.leader)
    save(client, "月报", "rows=months")
    before = SavedPivot.objects.get()
    asks = save(client, "月报", "rows=years", shared="1")
    assert asks.status_code == 200
    assert 'name="replace" value="1"' in asks.content.decode()
    assert SavedPivot.objects.get().query == before.query
    save(client, "月报", "rows=years", shared="1", replace="1")
    saved = SavedPivot.objects.get()
    assert "rows=years" in saved.query
    assert saved.shared
    assert AuditEvent.objects.latest("pk").changes["shared"] == [False, True]
    # Others keep tables of the same name.
    save(sign_in(people.street_officer), "月报")
    assert SavedPivot.objects.count() == 2
    with pytest.raises(NameTaken):
        save_pivot(by=Actor.of(people.leader), name="月报", query="")


@pytest.mark.parametrize(
    ("name", "query"),
    [("", "rows=months"), ("   ", "rows=months"), ("x" * 61, ""), ("a\x00b", ""), ("月报", "rows=weeks")],
)
def test_what_cannot_be_saved_is_told(
    name: str, query: str, tree: SimpleNamespace, people: SimpleNamespace, sign_in: SignIn
) -> None:
    client = sign_in(people.leader)
    response = client.post(reverse("pivot_save"), {"name": name, "query": query}, follow=True)
    assert response.status_code == 200
    assert [message.level_tag for message in response.context["messages"]] == ["error"]
    assert not SavedPivot.objects.exists()


def test_nothing_is_saved_of_a_unit_out_of_scope(
    tree: SimpleNamespace, people: SimpleNamespace, sign_in: SignIn
) -> None:
    client = sign_in(people.street_officer)
    assert save(client, "x", f"unit={tree.other_street.code}").status_code == 403
    assert save(client, "x", f"unit={tree.elsewhere.code}").status_code == 404
    assert not SavedPivot.objects.exists()
    with pytest.raises(PermissionDenied):
        save_pivot(by=Actor.of(people.administrator), name="x", query="")


def test_a_shared_table_is_seen_below_and_by_those_who_see_the_figures(
    tree: SimpleNamespace, people: SimpleNamespace, make_user: Any, sign_in: SignIn
) -> None:
    colleague = make_user("colleague", "street_officer", tree.street)
    other_street = make_user("neighbour", "street_officer", tree.other_street)
    sibling = make_user("sibling", "community_officer", tree.sibling)
    owner = Actor.of(people.street_officer)
    shared = save_pivot(by=owner, name="共享表", query=f"unit={tree.street.code}&rows=months", shared=True)
    private = save_pivot(by=owner, name="本人表", query=f"unit={tree.street.code}&rows=years")
    for user, sees in [
        (people.street_officer, {shared, private}),
        (colleague, {shared}),
        (people.community_officer, {shared}),
        (sibling, {shared}),
        (people.leader, {shared}),
        (people.auditor, {shared}),
        (other_street, set()),
        (people.unit_officer, set()),
        (people.outsider, set()),
    ]:
        client = sign_in(user)
        listed = client.get(reverse("pivot_list")).content.decode()
        for saved in (shared, private):
            status = client.get(reverse("pivot_saved", args=[saved.pk])).status_code
            assert status == (302 if saved in sees else 404), (user, saved)
            assert (saved.name in listed) is (saved in sees), (user, saved)
            removal = client.post(reverse("pivot_remove", args=[saved.pk])).status_code
            if user != people.street_officer:
                assert removal == (403 if saved in sees else 404)
            else:
                assert removal == 302
                SavedPivot.objects.bulk_create([saved])
    with pytest.raises(PermissionDenied):
        remove_pivot(by=Actor.of(people.leader), saved=shared)


def test_a_table_of_the_district_shows_a_street_its_own_figures(
    lived_in: SimpleNamespace, people: SimpleNamespace, sign_in: SignIn
) -> None:
    leader = Actor.of(people.leader)
    query = "unit=331002&from=2025-01&to=2025-04&rows=units&indicator=activities.count"
    saved = save_pivot(by=leader, name="全区", query=query, shared=True)
    address = reverse("pivot_saved", args=[saved.pk])
    opened = sign_in(people.leader).get(address, follow=True).context
    assert opened["pivot"].unit == lived_in.district
    response = sign_in(people.street_officer).get(address, follow=True)
    assert response.context["pivot"].unit == lived_in.street
    assert [message.level_tag for message in response.context["messages"]] == ["info"]
    alone = figures(lived_in.street, dt.date(2025, 1, 1), dt.date(2025, 4, 1), ["activities.count"])
    assert values(response.context["table"].total) == [alone["activities.count"].value]
    assert values(opened["table"].total) > values(response.context["table"].total)


# --- cost -----------------------------------------------------------------------------------------

# Session; person with grants and units; units around; cells; the time; the units that may be left out.
QUERIES = 6


@pytest.mark.parametrize("rows", list(Rows))
def test_the_page_asks_as_many_questions_for_two_units_below_as_for_thirty(
    rows: Rows, log: Any, tree: SimpleNamespace, people: SimpleNamespace, sign_in: SignIn
) -> None:
    client = sign_in(people.leader)
    additive = [figure.code for figure in registry.declared() if not figure.code.startswith("cases.")]
    log("activities", tree.own, dt.date(2025, 1, 5))
    refresh()
    asked = {**SPRING, "rows": rows.value, "indicator": additive, "against": "year"}
    client.get(reverse("pivot"), asked)  # the session notes the time of its first request

    def questions(**more: Any) -> list[str]:
        with CaptureQueriesContext(connection) as found:
            assert client.get(reverse("pivot"), {**asked, **more}).status_code == 200
        return [query["sql"] for query in found if not query["sql"].startswith(("SAVEPOINT", "RELEASE"))]

    few = questions()
    for number in range(30):
        unit = create_unit(
            by=None,
            code=f"3310021{number:02}",
            name=f"新{number}街道",
            tier="street",
            kind="street",
            parent=tree.district,
            opened_on=dt.date(2008, 1, 1),
        )
        log("activities", unit, dt.date(2025, 2, 5))
    refresh()
    many = questions()
    expected = QUERIES if rows is Rows.UNITS else QUERIES - 1
    assert len(many) == len(few) == expected, "\n".join(many)
    # A unit other than one's own is looked up; the number of rows costs nothing more.
    assert len(questions(unit=tree.street.code)) == expected + 1
    longer = questions(**{"from": "2024-01", "to": "2025-10"})
    assert len(longer) == expected
