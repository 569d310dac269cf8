"""Does the access matrix bite? A few mutations of tests/mutate_scopes.py in every run, all of them with --soak."""

from __future__ import annotations

import pytest

from tests import mutate_scopes
from tests.mutate_scopes import MUTATIONS, ROOT, Mutation, run

pytestmark = pytest.mark.once

A_FEW = [
    mutation
    for mutation in MUTATIONS
    if mutation.what
    in {
        "a record is fetched without its scope",
        "revoked grants go on",
        "a record is saved for a unit out of reach",
    }
]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.what)
def test_the_mutation_still_fits_the_source(mutation: Mutation) -> None:
    text = (ROOT / mutation.path).read_text(encoding="utf-8")
    assert text.count(mutation.old) == 1, f"{mutation.path} has changed: mend tests/mutate_scopes.py"


def test_broken_scopes_are_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(A_FEW) == 3
    survivors = run(A_FEW, processes=1)
    assert survivors == 0, capsys.readouterr().out


def test_a_harmless_change_survives(capsys: pytest.CaptureFixture[str]) -> None:
    """What changes nothing is not reported as found: red means that a check noticed."""
    harmless = Mutation(
        "nothing",
        mutate_scopes.ACCESS,
        '"""Who may do what, where:',
        '"""Who may do what and where:',
        "by_hand",
    )
    assert run([harmless], processes=1) == 1
    assert "SURVIVED" in capsys.readouterr().out


@pytest.mark.soak
def test_every_broken_scope_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    survivors = run(MUTATIONS)
    assert survivors == 0, capsys.readouterr().out
