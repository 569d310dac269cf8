"""The commands by hand: figures as the API answers them, and a recount that finds exactly what is wrong."""

from __future__ import annotations

import datetime as dt
import io
import json
import random
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.core.management.base import connections
from django.test import Client
from django.urls import reverse

from programs import registry
from programs.models import Unit, User
from programs.registry import Suppressed
from programs.templatetags.portal import count
from programs.text import columns
from reporting.management.commands.statistics import Command as StatisticsCommand
from reporting.models import Reconciliation, UnitMonth
from reporting.models.statistics import COLUMNS
from reporting.reconciliation import reconcile
from reporting.statistics import all_months
from tests.reporting.cells import Cell, cells, put, wipe
from tests.reporting.naive import assert_exact

pytestmark = pytest.mark.django_db
SPRING = ("--from", "2025-01", "--to", "2025-04")


def told(*arguments: str) -> str:
    out = io.StringIO()
    call_command("figures", *arguments, stdout=out)
    return out.getvalue()


# --- figures --------------------------------------------------------------------------------------


def test_the_command_answers_as_the_api(
    lived_in: SimpleNamespace, people: SimpleNamespace, sign_in: Callable[[User], Client]
) -> None:
    assert_as_the_api(sign_in(people.leader), lived_in)


def assert_as_the_api(client: Client, units: SimpleNamespace) -> None:
    def compare(unit: Unit, *options: str, **parameters: str) -> Any:
        found = json.loads(told("--unit", unit.code, *SPRING, "--json", "--below", *options))
        parameters = {"from": "2025-01", "to": "2025-04", **parameters}
        answer = client.get(reverse("api_figures", args=[unit.code]), parameters).json()
        assert hidden_alike(found, answer) == answer
        hiding = {figure["indicator"] for figure in answer["figures"] if hides(figure)}
        hiding |= {code for part in answer["parts"] for code, value in part["values"].items() if hides(value)}
        assert {code for code in hiding if not registry.kind(code.split(".")[0]).is_sensitive} == set()
        return found

    for unit in (units.district, units.street, units.other_street, units.own):
        found = compare(unit)
        assert [figure["indicator"] for figure in found["figures"]] == [f.code for f in registry.declared()]
        options = ["--against", "previous", "--boundaries", "today"]
        compare(unit, *options, against="previous", boundaries="today")
    for figure in registry.declared():
        compare(units.district, "--indicator", figure.code, indicator=figure.code)


def hides(answer: Any) -> bool:
    """Whether small figures are left out of it, as the API does and the console does not."""
    values = answer.values() if isinstance(answer, dict) else answer if isinstance(answer, list) else ()
    return answer in map(str, Suppressed) or any(map(hides, values))


def hidden_alike(found: Any, answer: Any) -> Any:
    """What was found, without what the answer hides of it."""
    if answer in map(str, Suppressed):
        return answer
    if isinstance(found, dict):
        return {name: hidden_alike(value, answer.get(name)) for name, value in found.items()}
    if isinstance(found, list):
        return [hidden_alike(value, other) for value, other in zip(found, answer, strict=True)]
    return found


def test_parts_and_several_indicators_may_be_named(lived_in: SimpleNamespace) -> None:
    codes = ["activities.count@series=six_ones", "education.count", "cases.clients"]
    found = json.loads(told("--unit", lived_in.street.code, *SPRING, "--json", "--indicator", *codes))
    assert {figure["indicator"] for figure in found["figures"]} == set(codes)
    assert found["parts"] == []


def test_figures_as_text(lived_in: SimpleNamespace) -> None:
    text = told("--unit", lived_in.district.code, *SPRING, "--below")
    found = json.loads(told("--unit", lived_in.district.code, *SPRING, "--below", "--json"))
    lines = text.splitlines()
    assert lines[0] == "椒江区 331002"
    for figure in found["figures"]:
        [line] = [line for line in lines if line.startswith(figure["indicator"] + " ")]
        assert str(figure["label"]) in line
        _code, _label, measure, value, before, _change, joint = re.split(r"\s{2,}", line)
        assert measure == figure["measure"]["label"]
        assert [value, before, joint] == [count(figure[name]) for name in ("value", "before", "joint")]
    for part in found["parts"]:
        [line] = [line for line in lines if line.startswith(f"{part['unit']['code']} ")]
        assert part["unit"]["name"] in line
        values = [part["values"][figure["indicator"]] for figure in found["figures"]]
        assert re.split(r"\s{2,}", line)[2:] == [count(value) for value in values]
    # Columns stand below one another on a terminal, where a Chinese character takes two.
    tables = [table.splitlines() for table in text.split("\n\n")[1:]]
    assert [len({columns(line) for line in table}) for table in tables] == [1, 1]
    assert lived_in.rover.name not in told("--unit", lived_in.district.code, *SPRING)


def test_the_language_of_the_text(lived_in: SimpleNamespace) -> None:
    asked = ["--unit", lived_in.street.code, *SPRING, "--indicator", "activities.count"]
    assert "Love-education activities" in told(*asked, "--language", "en")
    assert "爱心教育活动" in told(*asked)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--unit", "no", *SPRING], "There is no unit with the code no."),
        (["--unit", "331002", "--from", "2025-13", "--to", "2025-04"], "--from: A month is written like"),
        (["--unit", "331002", "--from", "2025-01", "--to", "April"], "--to: A month is written like"),
        (["--unit", "331002", "--from", "2025-04", "--to", "2025-01"], "--to: The last month lies before"),
        (["--unit", "331002", "--from", "1999-01", "--to", "2025-01"], "--from: The programme began in 2008"),
        (["--unit", "331002", "--from", "2999-01", "--to", "2999-02"], "--from: This period has not begun"),
        (
            ["--unit", "331002", *SPRING, "--indicator", "activities.count", "x.y", "z"],
            "There is no such indicator: x.y, z.",
        ),
        (["--unit", "331002", *SPRING, "--against", "last"], "invalid choice: 'last'"),
        (["--unit", "331002", *SPRING, "--boundaries", "tomorrow"], "invalid choice: 'tomorrow'"),
        (["--unit", "331002", *SPRING, "--language", "fr"], "invalid choice: 'fr'"),
        (["--unit", "331002"], "the following arguments are required: --from, --to"),
    ],
)
def test_what_is_not_understood_is_an_error(
    tree: SimpleNamespace, arguments: list[str], message: str
) -> None:
    language = [] if "--language" in arguments else ["--language", "en"]
    with pytest.raises(CommandError, match=re.escape(message)):
        told(*language, *arguments)


# --- statistics reconcile -------------------------------------------------------------------------

MANY = 1000
LINE = re.compile(r"(\S+) (\d{4}-\d{2}) (\S+) (own|total|own_joint|total_joint|path): cell \S+, records \S+")


def test_exactly_the_corrupted_cells_are_listed(
    lived_in: SimpleNamespace,
    people: SimpleNamespace,
    sign_in: Callable[[User], Client],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    # A command run as a program closes its connections, and with them the transaction of the test.
    monkeypatch.setattr(connections, "close_all", lambda: None)
    assert reconcile() == []
    wrong = corrupt(random.Random(20250401))
    assert len(wrong) >= MANY  # a thousand, and those of rows in a wrong place
    assert len({code.split(".")[0] for _unit, _month, code in wrong}) == len(registry.kinds())

    out = io.StringIO()
    command = StatisticsCommand(stdout=out, stderr=io.StringIO())
    with pytest.raises(SystemExit) as ended:
        command.run_from_argv(["manage.py", "statistics", "reconcile"])
    assert ended.value.code == 1
    lines = [LINE.fullmatch(line) for line in out.getvalue().splitlines()]
    assert None not in lines
    assert {(line[1], line[2], line[3]) for line in lines if line} == wrong
    last = Reconciliation.objects.first()
    assert last is not None
    assert last.differences == len(lines) >= MANY
    assert [record.levelname for record in caplog.records] == ["ERROR"]

    call_command("statistics", "rebuild", stdout=io.StringIO())
    command.run_from_argv(["manage.py", "statistics", "reconcile"])  # and ends well
    assert_exact()
    assert_as_the_api(sign_in(people.leader), lived_in)


def corrupt(dice: random.Random) -> set[tuple[str, str, str]]:
    """Change a column, wipe a cell, invent a cell: a thousand in all, each named by unit, month and indicator; and
    put some rows into a wrong place, with all of their cells."""
    every = cells()
    units = Unit.objects.in_bulk()
    picked = dice.sample(every, min(MANY * 3 // 4, len(every)))
    for cell in picked:
        change = dice.choice([*COLUMNS, "wipe"])
        if change == "wipe":
            wipe(cell)
        else:
            changed = int(getattr(cell, change)) + dice.choice([1, 7])
            put(units[cell.unit_id], cell.month, cell.indicator, **{change: changed})
    invented = dice.sample(missing(every), MANY - len(picked))
    for unit, month, code in invented:
        put(unit, month, code, own=3, total=3)
    rows = set(dice.sample(sorted(UnitMonth.objects.values_list("pk", flat=True)), 5))
    for row in UnitMonth.objects.filter(pk__in=rows):
        UnitMonth.objects.filter(pk=row.pk).update(path=f"{row.path}99/")
    misplaced = cells(UnitMonth.objects.filter(pk__in=rows))
    wrong = {
        (units[cell.unit_id].code, f"{cell.month:%Y-%m}", cell.indicator) for cell in (*picked, *misplaced)
    }
    return wrong | {(unit.code, f"{month:%Y-%m}", code) for unit, month, code in invented}


def missing(every: list[Cell]) -> list[tuple[Unit, dt.date, str]]:
    """Cells that might stand and do not."""
    there = {(cell.unit_id, cell.month, cell.indicator) for cell in every}
    codes = [indicator.code for kind in registry.kinds() for indicator in kind.counted]
    months: list[dt.date] = all_months()
    return [
        (unit, month, code)
        for unit in Unit.objects.order_by("code")
        for month in months
        for code in codes
        if (unit.pk, month, code) not in there
    ]
