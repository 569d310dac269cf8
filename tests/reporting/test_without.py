"""Figures without a unit: what it led, and what units below it led, is left out, by the boundaries asked for."""

from __future__ import annotations

import datetime as dt
import io
import itertools
import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.http import QueryDict
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from programs import registry
from programs.access import Actor, visible
from programs.boundaries import Boundaries
from programs.filters import filter_set
from programs.models import Unit, User
from programs.registry import Suppressed
from reporting.figures import Figures, Period, figures
from reporting.models import SavedPivot
from reporting.parts import bare_number
from reporting.statistics import refresh
from tests.conftest import read_to_the_end
from tests.reporting.naive import place_of, placements_by_unit
from tests.reporting.test_figures import EVERYTHING, assert_is_what_records_say, below

pytestmark = pytest.mark.django_db
SPRING = {"from": "2025-01", "to": "2025-04"}
JANUARY, FEBRUARY, MARCH, APRIL = (dt.date(2025, month, 1) for month in (1, 2, 3, 4))


def of(unit: Unit, *without: Unit, last: dt.date = APRIL, **more: Any) -> Figures:
    more = {"indicators": EVERYTHING, "below": below(unit), "exact": True, **more}
    return figures(unit, JANUARY, last, without=without, **more)


def asked_of(world: SimpleNamespace) -> list[tuple[Unit, list[Unit]]]:
    """Units with what is left out of them: attached bodies, whole streets, units that moved, one below another."""
    w = world
    return [
        (w.district, [w.police]),
        (w.district, [w.street]),
        (w.district, [w.other_street, w.own]),  # `own` stood under the first street until February
        (w.district, [w.police, w.school, w.workshop]),
        (w.street, [w.own]),
        (w.street, [w.rover, w.own]),
        (w.other_street, [w.workshop]),
        (w.other_street, [w.own, w.workshop]),
        (w.own, [w.workshop]),
    ]


def placed(boundaries: Boundaries) -> Callable[[Any], list[int]]:
    """Of a record the ids of the units that its leading unit stood or stands in."""
    placements = placements_by_unit()
    today = {unit.pk: [*unit.ancestor_ids, unit.pk] for unit in Unit.objects.all()}
    if boundaries is Boundaries.TODAY:
        return lambda record: today[record.unit_id]
    return lambda record: place_of(record.unit_id, record.occurred_on.replace(day=1), placements)


@pytest.mark.parametrize("boundaries", list(Boundaries))
def test_a_figure_without_a_unit_is_what_the_other_records_say(
    lived_in: SimpleNamespace, boundaries: Boundaries
) -> None:
    place = placed(boundaries)
    changed = 0
    for unit, without in asked_of(lived_in):
        apart = {other.pk for other in without}

        def counts(record: Any, unit: Unit = unit, apart: set[int] = apart) -> bool:
            return unit.pk in place(record) and apart.isdisjoint(place(record))

        for last in (APRIL, JANUARY):
            found = of(unit, *without, last=last, boundaries=boundaries)
            assert_is_what_records_say(found, counts)
            assert_agrees_with_itself(found, without)
            whole = of(unit, last=last, boundaries=boundaries)
            changed += sum(
                one.value != other.value for one, other in zip(found.figures, whole.figures, strict=True)
            )
    assert changed > 100


def test_months_spans_comparison_and_rows_are_figures_of_their_own(lived_in: SimpleNamespace) -> None:
    spans = [Period(JANUARY, FEBRUARY), Period(MARCH, APRIL)]
    for boundaries, (unit, without) in itertools.product(Boundaries, asked_of(lived_in)):

        def told(first: dt.date, last: dt.date, of: Unit = unit) -> dict[str, Any]:
            apart = [other for other in without if not other.contains(of)]  # noqa: B023
            found = figures(of, first, last, EVERYTHING, without=apart, boundaries=boundaries, exact=True)  # noqa: B023
            return {figure.code: figure.value for figure in found.figures}

        found = of(unit, *without, boundaries=boundaries, spans=spans)
        january, first_half = told(JANUARY, JANUARY), told(JANUARY, FEBRUARY)
        year_before = told(dt.date(2024, 1, 1), dt.date(2024, 4, 1))
        for figure in found.figures:
            assert figure.by_month[0] == january[figure.code], (unit, figure.code)
            assert figure.by_span[0] == first_half[figure.code], (unit, figure.code)
            assert figure.before == year_before[figure.code], (unit, figure.code)
        for row in found.rows[1:]:
            if row.stay is None and not row.is_split:
                alone = told(JANUARY, APRIL, row.unit)
                for figure in found.figures:
                    if figure.indicator.additive:
                        assert row.values[figure.code] == alone[figure.code], (row.unit, figure.code)


def assert_agrees_with_itself(found: Figures, without: Sequence[Unit]) -> None:
    """Months and rows add up to the figure; nothing is told of what was left out or joined."""
    assert not {row.unit for row in found.rows} & set(without)
    for figure in found.figures:
        assert figure.joint is None
        if figure.indicator.additive:
            assert sum(figure.by_month) == figure.value
            assert sum(figure.by_month_before) == figure.before
            if found.rows:
                assert sum(row.values[figure.code] for row in found.rows) == figure.value


# --- one answer everywhere ------------------------------------------------------------------------


def behind(client: Client, user: User, url: str) -> Decimal:
    """The indicator over the records of the list that a link opens."""
    parts = urlsplit(url)
    asked = QueryDict(parts.query)
    kind = registry.kind(parts.path.split("/")[2])
    request = RequestFactory().get(url)
    request.actor = Actor.of(user)  # type: ignore[attr-defined]
    present = visible(kind.model.objects.present(), Actor.of(user))
    listed = filter_set(kind, Actor.of(user))(asked, queryset=present, request=request)
    assert listed.is_valid(), (url, listed.errors)
    return Decimal(listed.qs.aggregate(value=kind.indicator(asked["indicator"]).aggregate)["value"] or 0)


def as_json(value: Any) -> Any:
    return str(value) if isinstance(value, Suppressed) else bare_number(value)


def test_page_table_api_command_and_lists_say_the_same(
    lived_in: SimpleNamespace, people: SimpleNamespace, sign_in: Callable[[User], Client]
) -> None:
    client, opened = sign_in(people.leader), 0
    for unit, without, boundaries in [
        (lived_in.district, [lived_in.police], "time"),
        (lived_in.district, [lived_in.other_street, lived_in.own], "time"),
        (lived_in.other_street, [lived_in.own], "time"),
        (lived_in.district, [lived_in.other_street, lived_in.police], "today"),
    ]:
        codes = [other.code for other in without]
        asked = {**SPRING, "without": codes, "boundaries": boundaries}
        answer = client.get(reverse("api_figures", args=[unit.code]), asked).json()
        assert [other["code"] for other in answer["without"]] == codes
        told = {figure["indicator"]: figure["value"] for figure in answer["figures"]}
        assert {figure["joint"] for figure in answer["figures"]} == {None}
        page = client.get(reverse("dashboard_unit", args=[unit.code]), asked).context["page"]
        assert {column.code: as_json(column.value) for column in page.columns}.items() <= told.items()
        table = client.get(reverse("pivot"), {**asked, "unit": unit.code, "indicator": list(told)})
        values = [as_json(cell.value) for cell in table.context["table"].total.cells]
        assert values == list(told.values())
        out = io.StringIO()
        named = [part for code in codes for part in ("--without", code)]
        call_command(
            "figures", "--unit", unit.code, "--from", "2025-01", "--to", "2025-04", "--boundaries",
            boundaries, "--json", *named, stdout=out,
        )  # fmt: skip
        exact = {figure["indicator"]: figure["value"] for figure in json.loads(out.getvalue())["figures"]}
        assert {code for code, value in told.items() if value != exact[code]} <= {
            code for code, value in told.items() if value in ("<5", "*") or code.startswith("cases")
        }
        tiles = [tile for group in page.groups for tile in group.tiles]
        cells = [cell for block in page.parts for line in block.lines for cell in line.cells]
        for one in (*tiles, *cells) if len(without) > 1 else tiles:
            if one.url:
                assert behind(client, people.leader, one.url) == one.value, one.url
                opened += 1
    assert opened > 100


def test_pages_say_what_is_left_out_and_keep_it(
    lived_in: SimpleNamespace, people: SimpleNamespace, sign_in: Callable[[User], Client]
) -> None:
    client, police = sign_in(people.leader), lived_in.police
    address = reverse("dashboard_unit", args=[lived_in.district.code])
    usual = client.get(address, SPRING).context["page"]
    assert (usual.scope, usual.left_out) == ("", [])
    # Departments stand before the streets.
    offered = [choice.unit for choice in usual.may_be_left_out]
    assert offered == [police, lived_in.street, lived_in.other_street]
    response = client.get(address, {**SPRING, "without": police.code})
    page, text = response.context["page"], response.content.decode()
    assert police.name in page.scope
    assert police.name in page.headline
    assert f'<input type="hidden" name="without" value="{police.code}">' in text
    assert [choice.unit for choice in page.may_be_left_out] == offered[1:]
    assert "without" not in page.left_out[0].query
    for preset in page.presets:
        assert f"without={police.code}" in preset["query"]
    lines = {line.name: line for block in page.parts for line in block.lines}
    assert police.name not in lines
    # Nothing of the police lies in a street: its page is asked for as it is.
    assert "without" not in lines[lived_in.street.name].url
    # An export says it, and a table that is kept.
    asked = {**SPRING, "unit": lived_in.district.code, "without": police.code}
    pivot = client.get(reverse("pivot"), asked).context
    assert police.name in pivot["pivot"].headline
    assert f"without={police.code}" in pivot["pivot"].query
    exported = read_to_the_end(client.get(pivot["exports"]["csv"])).decode()
    assert police.name in exported
    client.post(reverse("pivot_save"), {"query": pivot["pivot"].query, "name": "不含公安"})
    saved = SavedPivot.objects.get()
    kept = client.get(reverse("pivot_saved", args=[saved.pk]), follow=True).context["table"]
    assert [cell.value for cell in kept.total.cells] == [cell.value for cell in pivot["table"].total.cells]


def test_a_list_names_each_unit_left_out_and_is_exported_alike(
    lived_in: SimpleNamespace, people: SimpleNamespace, sign_in: Callable[[User], Client]
) -> None:
    client = sign_in(people.leader)
    asked = {"unit": lived_in.district.code, "without": [lived_in.police.code, lived_in.street.code]}
    context = client.get(reverse("record_list", args=["activities"]), asked).context
    chips = {str(chip["value"]): chip["remove_url"] for chip in context["active_filters"]}
    assert f"without={lived_in.street.code}" in chips[lived_in.police.name]
    assert lived_in.police.code not in chips[lived_in.police.name]
    rows = read_to_the_end(client.get(context["export_csv_url"])).decode().strip().splitlines()
    assert len(rows) == context["count"] + 1
    api = client.get("/api/v1/records/activities/", {**asked, "page_size": 200}).json()
    assert len(api["results"]) == context["count"] > 0
    for refused in ({"without": lived_in.police.code}, {**asked, "part": "joint"}, {**asked, "without": "X"}):
        context = client.get(reverse("record_list", args=["activities"]), refused).context
        assert len(context["problems"]) == 1
        assert context["count"] == 0


def test_whatever_is_left_out_the_cells_are_asked_once(lived_in: SimpleNamespace) -> None:
    additive = [code for code in EVERYTHING if not code.startswith("cases.clients")]
    numbers = set()
    for without in (
        [lived_in.police],
        [lived_in.police, lived_in.other_street, lived_in.own, lived_in.school],
    ):
        children = below(lived_in.district)
        with CaptureQueriesContext(connection) as asked:
            figures(lived_in.district, JANUARY, APRIL, additive, below=children, without=without, exact=True)
        numbers.add(len(asked))
    assert numbers == {2}  # how fresh the cells are, and the cells


# --- what is refused ------------------------------------------------------------------------------


def test_only_a_unit_below_that_one_may_see_is_left_out(
    tree: SimpleNamespace, people: SimpleNamespace, sign_in: Callable[[User], Client]
) -> None:
    refresh()
    leader, officer = sign_in(people.leader), sign_in(people.community_officer)

    def refused(client: Client, unit: Unit, *codes: str) -> str:
        answer = client.get(reverse("api_figures", args=[unit.code]), {"without": codes})
        assert answer.status_code == 400, codes
        [message] = answer.json()["errors"]["without"]
        page = client.get(reverse("dashboard_unit", args=[unit.code]), {"without": codes})
        assert page.context["page"].left_out == []
        return message

    for code in (
        tree.street.code,
        tree.district.code,
        tree.cousin.code,
    ):  # itself, above, elsewhere in the district
        assert tree.street.name in refused(leader, tree.street, code)
    unknown = refused(leader, tree.district, "NONE")
    hidden = refused(leader, tree.district, tree.elsewhere_street.code)
    assert hidden == unknown.replace("NONE", tree.elsewhere_street.code)
    assert refused(officer, tree.own, tree.sibling.code) == unknown.replace("NONE", tree.sibling.code)
    refused(leader, tree.district, *(f"331002{number:03}" for number in range(11)))
    page = leader.get(reverse("dashboard_unit", args=[tree.district.code]), {"without": "\x00"})
    assert page.context["problems"]
    with pytest.raises(CommandError):
        call_command(
            "figures", "--unit", tree.street.code, "--from", "2025-01", "--to", "2025-02",
            "--without", tree.district.code,
        )  # fmt: skip
    for whole in (True, False):
        with pytest.raises(ValueError, match=tree.street.name):
            figures(tree.street, JANUARY, APRIL, without=[tree.district], whole=whole)


# --- small cells ----------------------------------------------------------------------------------


@pytest.fixture
def counselled(log: Any, tree: SimpleNamespace) -> SimpleNamespace:
    """Cases of January: 3 in the own community, 6 in its sibling, 8 in the school, 7 in the cousin."""
    for unit, number in ((tree.own, 3), (tree.sibling, 6), (tree.school, 8), (tree.cousin, 7)):
        for one in range(number):
            log("cases", unit, dt.date(2025, 1, 5), client=f"{unit.code}-{one}", hours=10)
    refresh()
    return tree


def cases_of(unit: Unit, *without: Unit, reader: Unit, **more: Any) -> Any:
    last = more.pop("last", APRIL)
    return figures(unit, JANUARY, last, ["cases.count"], without=without, reader=reader, **more)


def test_a_hidden_figure_is_not_told_by_leaving_it_out(counselled: SimpleNamespace) -> None:
    w = counselled
    street = cases_of(w.street, reader=w.district, below=below(w.street))
    shown = {row.unit: row.values["cases.count"] for row in street.rows if not row.is_own}
    assert shown == {w.own: Suppressed.SMALL, w.sibling: Suppressed.WITH_IT, w.school: 8}
    assert street["cases.count"].value == 17
    for last, more in itertools.product((APRIL, JANUARY), ({}, {"below": below(w.street)})):
        for without in ([w.own], [w.sibling], [w.school, w.own], [w.own, w.sibling]):
            found = cases_of(w.street, *without, reader=w.district, last=last, **more)["cases.count"]
            assert isinstance(found.value, Suppressed), (without, more)
            assert isinstance(found.by_month[0], Suppressed)
        # What is known of both is told, and nothing more follows from it.
        found = cases_of(w.street, w.school, reader=w.district, last=last, **more)["cases.count"]
        assert (found.value, found.by_month[0]) == (9, 9)
    # The same from above: the row of the street holds what is hidden.
    district = cases_of(w.district, w.sibling, reader=w.district, below=below(w.district))
    rows = {row.unit: row.values["cases.count"] for row in district.rows if not row.is_own}
    assert isinstance(district["cases.count"].value, Suppressed)
    assert isinstance(rows[w.street], Suppressed)
    # Whoever may hold the database anyway is told.
    assert cases_of(w.street, w.own, reader=w.district, exact=True)["cases.count"].value == 14


def test_with_and_without_never_tell_a_small_figure(lived_in: SimpleNamespace) -> None:
    """Every cell that is shown with and without a unit differs by what is shown of the unit."""
    codes = [code for code in EVERYTHING if code.startswith("cases.")]
    compared = 0
    for (unit, without), last in itertools.product(asked_of(lived_in), (APRIL, JANUARY)):
        asked = {"indicators": codes, "reader": lived_in.district, "exact": False, "last": last}
        asked["spans"] = [Period(JANUARY, JANUARY)]
        whole, left = of(unit, **asked), of(unit, *without, **asked)
        for one, other in zip(whole.figures, left.figures, strict=True):
            pairs = [(one.value, other.value), (one.before, other.before)]
            pairs += zip(one.by_month, other.by_month, strict=True)
            pairs += zip(one.by_month_before, other.by_month_before, strict=True)
            pairs += zip(one.by_span, other.by_span, strict=True)
            for with_it, without_it in pairs:
                if isinstance(with_it, Suppressed):
                    assert not isinstance(without_it, Decimal), (unit, one.code)
                elif isinstance(with_it, Decimal) and isinstance(without_it, Decimal):
                    assert not 0 < with_it - without_it < 5, (unit, without, one.code)
                    compared += 1
    assert compared > 10
