"""manage.py import_sheet: the same pipeline in a process of its own, and exit codes for whoever scripts it."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from programs.models import EducationActivity, Grant
from reporting.models import Upload
from reporting.models.upload import State
from tests.reporting.uploads.conftest import ACTIVITIES, Office, sheet_rows, workbook

pytestmark = pytest.mark.django_db


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    path = tmp_path / "台账.xlsx"
    path.write_bytes(workbook(("台账", ACTIVITIES, sheet_rows(ACTIVITIES, range(5)))))
    return path


@pytest.fixture
def flawed(tmp_path: Path) -> Path:
    rows = sheet_rows(ACTIVITIES, range(5))
    rows[2]["participants"] = "许多"
    path = tmp_path / "有误.xlsx"
    path.write_bytes(workbook(("台账", ACTIVITIES, rows)))
    return path


def run(*arguments: Any, **options: Any) -> tuple[int, str]:
    """The exit code and what was printed."""
    out = io.StringIO()
    options = {"unit": "331002001003", "by": "community_officer", "language": "en", **options}
    try:
        call_command("import_sheet", *map(str, arguments), stdout=out, **options)
    except CommandError as error:
        return error.returncode, out.getvalue() + str(error)
    return 0, out.getvalue()


def test_it_shows_what_would_happen_and_then_does_it(ledger: Path, office: Office, rung: list[str]) -> None:
    code, said = run("activities", ledger)
    assert (code, EducationActivity.objects.count()) == (0, 0)
    assert "5 rows read: 5 new" in said
    code, said = run("activities", ledger, apply=True)
    assert (code, EducationActivity.objects.count()) == (0, 5), said
    upload = Upload.objects.get()
    assert (upload.state, upload.created_by, upload.unit) == (State.APPLIED, office.by.user, office.unit)
    assert run("activities", ledger, apply=True)[0] == 0
    assert EducationActivity.objects.count() == 5


def test_refused_rows_are_named_and_tell_by_the_exit_code(flawed: Path, office: Office) -> None:
    code, said = run("activities", flawed)
    assert code == 3
    assert "H4:" in said or "4:" in said
    assert run("activities", flawed, apply=True, all_or_none=True)[0] == 3
    assert not EducationActivity.objects.exists()
    assert run("activities", flawed, apply=True)[0] == 3
    assert EducationActivity.objects.count() == 4


def test_as_json_it_says_everything(flawed: Path, office: Office) -> None:
    out = io.StringIO()
    with pytest.raises(CommandError):
        call_command(
            "import_sheet",
            "any",
            str(flawed),
            "--unit",
            office.unit.code,
            "--by",
            "community_officer",
            "--json",
            stdout=out,
        )
    found = json.loads(out.getvalue())
    assert found["state"] == "previewed"
    assert found["counts"] == {"read": 5, "new": 4, "changed": 0, "same": 0, "refused": 1, "left_out": 0}
    [sheet] = found["sheets"]
    assert (sheet["kind"], sheet["name"]) == ("activities", "台账")
    [remark] = [remark for remark in sheet["remarks"] if remark["sort"] == "refused"]
    assert (remark["row"], remark["field"], remark["value"]) == (4, "participants", "许多")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"unit": "999"}, "no unit with the code 999"),
        ({"by": "nobody"}, "no person with the user name"),
        ({"by": "leader"}, "may not enter records for"),
        ({"by": "outsider"}, "may not enter records for"),
        ({"unit": "331002"}, "may not enter records for"),
    ],
)
def test_what_it_does_not_know_or_may_not_is_said(
    options: dict[str, str], sentence: str, ledger: Path, office: Office
) -> None:
    code, said = run("activities", ledger, **options)
    assert (code, sentence in said) == (1, True), said
    assert not Upload.objects.exists()


def test_unknown_kinds_and_files_are_said(ledger: Path, office: Office, tmp_path: Path) -> None:
    code, said = run("no_such_kind", ledger)
    assert code == 1
    assert "activities" in said, "those that there are"
    assert run("activities", tmp_path / "nothing.xlsx")[0] == 1
    (tmp_path / "text.xlsx").write_text("no spreadsheet", encoding="utf-8")
    code, said = run("activities", tmp_path / "text.xlsx")
    assert (code, Upload.objects.get().state) == (1, State.REFUSED)
    (tmp_path / "macros.xlsm").write_bytes(ledger.read_bytes())
    assert run("activities", tmp_path / "macros.xlsm")[0] == 1


def test_it_acts_for_the_unit_from_which_the_person_may(ledger: Path, office: Office, tree: Any) -> None:
    """Somebody with roles at several units."""
    Grant.objects.create(user=office.by.user, role="unit_officer", unit=tree.police, valid_from="2008-01-01")
    assert run("activities", ledger, unit=tree.police.code, apply=True)[0] == 0
    assert {record.unit for record in EducationActivity.objects.all()} == {tree.police}
    assert Upload.objects.get().asked_for == tree.police
