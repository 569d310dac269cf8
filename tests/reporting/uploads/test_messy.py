"""The messy files of the corpus, from the gate to the check: right rows, or a clear refusal with cell and reason."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from types import SimpleNamespace

import pytest

from programs import registry
from programs.access import Actor
from reporting.uploads import gate, reading
from reporting.uploads.checking import Checked, check
from reporting.uploads.gate import Refused
from reporting.uploads.layout import arrange
from reporting.uploads.sheet import address
from tests.reporting.uploads.corpus import CASES, DAY, Case, write

MESSY = [case for case in CASES.values() if case.later is not None and case.name != "mojibake"]
ACTIVITIES = registry.kind("activities")


@pytest.fixture
def by(people: SimpleNamespace) -> Actor:
    return Actor.of(people.community_officer)


def checked(case: Case, folder: Path, by: Actor, tree: SimpleNamespace) -> list[Checked]:
    path = write(folder, [case.name])[case.name]
    sheets = reading.read(path, gate.examine(path, case.file))
    return [
        check(by=by, unit=tree.own, kind=ACTIVITIES, sheet=sheet, layout=layout, period=DAY)
        for sheet, layout in arrange(sheets, [ACTIVITIES], by=by).found
    ]


@pytest.mark.parametrize("case", MESSY, ids=lambda case: case.name)
def test_rows_are_right_or_refused_with_the_cell(
    case: Case, tmp_path: Path, by: Actor, tree: SimpleNamespace
) -> None:
    assert case.later is not None
    found = checked(case, tmp_path, by, tree)
    refused = [problem for part in found for problem in part.refused]
    cells = {address(problem.row, problem.column) for problem in refused if problem.column is not None}
    assert set(case.later.refused) == cells, refused
    assert sum(len(part.new) for part in found) == case.later.accepted
    assert sum(len(part.left_out) for part in found) == case.later.left_out
    assert all(part.adds_up for part in found)
    assert all(problem.message for problem in refused)


def test_the_days_of_the_corpus_are_none_of_the_future() -> None:
    assert dt.date.today() > DAY


def test_mojibake_is_called_so(tmp_path: Path, by: Actor, tree: SimpleNamespace) -> None:
    with pytest.raises(Refused) as caught:
        checked(CASES["mojibake"], tmp_path, by, tree)
    assert caught.value.code == "garbled"
