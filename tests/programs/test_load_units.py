"""`manage.py load_units`: any order of rows, all or nothing, every bad row named by its line."""

from __future__ import annotations

import datetime as dt
import json
import random
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings as portal
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from programs.actions.units import close_unit, move_unit, rename_unit
from programs.models import AuditEvent, Mark, Placement, Unit
from programs.unit_files import BadFile, Loaded, load

SAMPLE = Path(portal.BASE_DIR) / "sample"
HEADER = "code,name,tier,kind,parent_code"
GOOD = """1,东区,district,district,
101,东街,street,street,1
101001,东一社区,community,community,101
101S,东小学,street,school,101
"""
OPENED, MAY = dt.date(2008, 1, 1), dt.date(2026, 5, 12)


@pytest.fixture(autouse=True)
def _in_english(settings: Any) -> None:
    settings.LANGUAGE_CODE = "en"


def loaded(text: str | bytes, **options: Any) -> Loaded:
    content = text if isinstance(text, bytes) else f"{HEADER}\n{text}".encode()
    return load(content, **{"opened_on": OPENED, "effective_on": MAY, **options})


def problems(text: str | bytes, **options: Any) -> list[tuple[int, str]]:
    before = Unit.objects.count()
    with pytest.raises(BadFile) as bad:
        loaded(text, **options)
    assert Unit.objects.count() == before, "nothing is loaded"
    return bad.value.problems


def state() -> list[Any]:
    return [list(model.objects.order_by("pk").values()) for model in (Unit, Placement)]


def tree() -> dict[str, tuple[str, str]]:
    """Code: name and the codes from the root down, read from the stored paths."""
    codes = {unit.pk: unit.code for unit in Unit.objects.all()}
    return {
        unit.code: (unit.name, "/".join(codes[pk] for pk in [*unit.ancestor_ids, unit.pk]))
        for unit in Unit.objects.all()
    }


def test_the_real_district_loads_in_any_order(db: None) -> None:
    lines = (SAMPLE / "units.csv").read_text(encoding="utf-8").splitlines()
    header, rows = lines[0], lines[1:]
    random.Random(7).shuffle(rows)
    result = loaded("\n".join([header, *rows]).encode())
    assert result == Loaded(created=280)
    assert Unit.objects.filter(parent=None).get().name == "椒江区"
    assert tree()["331002001003"] == ("城隍浦社区", "331002/331002001/331002001003")
    assert Unit.objects.matching("hmjd").get().name == "海门街道"
    for unit in Unit.objects.select_related("parent"):
        placement = unit.placements.get()
        assert (placement.name, placement.path, placement.parent) == (unit.name, unit.path, unit.parent)
        assert (placement.valid_from, placement.valid_to) == (unit.opened_on, None) == (OPENED, None)
    event = AuditEvent.objects.get()
    assert (event.action, event.row_count) == ("unit.load", 280)
    assert not Mark.objects.exists(), "new units have no figures yet"


def test_the_same_file_twice_changes_nothing(db: None) -> None:
    assert loaded(GOOD) == Loaded(created=4)
    before = state()
    assert loaded(GOOD) == Loaded(unchanged=4)
    assert state() == before
    assert AuditEvent.objects.count() == 1


def test_a_second_file_adds_below_the_first(db: None) -> None:
    loaded(GOOD)
    assert loaded("101002,东二社区,community,community,101\n2,西区,district,district,\n") == Loaded(created=2)
    assert tree()["101002"] == ("东二社区", "1/101/101002")


def test_a_new_name_in_the_file_renames_from_the_day_on(db: None) -> None:
    loaded(GOOD)
    result = loaded(GOOD.replace("东一社区", "新一社区"))
    assert result == Loaded(renamed=1, unchanged=3)
    names = [(p.name, p.valid_from) for p in Unit.objects.get(code="101001").placements.all()]
    assert names == [("东一社区", OPENED), ("新一社区", MAY)]
    assert Unit.objects.get(code="101001").initials == "xysq"
    assert AuditEvent.objects.filter(action="unit.rename").count() == 1


def test_known_units_can_be_left_as_they_are(db: None) -> None:
    loaded(GOOD)
    unit = Unit.objects.get(code="101001")
    rename_unit(by=None, unit=unit, name="改名社区", effective_on=MAY)
    assert loaded(GOOD + "102,西街,street,street,1\n", new_only=True) == Loaded(created=1, unchanged=4)
    assert Unit.objects.get(code="101001").name == "改名社区"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_files_of_both_encodings(db: None, encoding: str) -> None:
    text = f"{HEADER}\r\n{GOOD}101002,𠮷祥社区,community,community,101\r\n"
    assert loaded(text.encode(encoding)).created == 5
    assert Unit.objects.get(code="101002").name == "𠮷祥社区"


def test_columns_in_any_order_and_more_of_them(db: None) -> None:
    text = (
        "备注,parent_code,kind,tier,name,code\n,,district,district,东区,1\n\n ,1 ,street, street,东街 ,101\n"
    )
    assert loaded(text.encode()).created == 2


BAD_ROWS = {
    "102,西街,street,street,9": "parent 9 is neither in the file nor in the portal",
    "102,西街,street,street,": "needs a parent",
    "2,西区,district,district,1": "no parent",
    "102,西街,street,town,102": "stands under a district",
    "102,西街,hamlet,street,1": "Unknown tier: hamlet",
    "102,西街,street,kingdom,1": "Unknown kind: kingdom",
    "102,西街,community,street,1": "does not belong to this tier",
    "102,西村,community,village,1": "under a street, town or zone",
    "102,西校,community,school,101": "of the tier that it serves",
    "101,东街,street,street,1": "stands in line 3 already",
    f"102,{'长' * 101},street,street,1": "longer than 100 characters",
    "102,,street,street,1": "one line of text",
    "102,西\x00街,street,street,1": "cannot be stored",
    "10\x002,西街,street,street,1": "capital letters",
    "102,西街,street,street,1\x00": "neither in the file nor in the portal",
    '102,"西\n街",street,street,1': "one line of text",
    f"{'9' * 21},西街,street,street,1": "up to 20",
    "10a,西街,street,street,1": "capital letters",
    "102,西街,street,street": "4 cells where the header has 5",
    "102,西街,street,street,1,": "6 cells where the header has 5",
    '102,"西街,street,street,1': "not CSV",
}


@pytest.mark.parametrize("row", BAD_ROWS, ids=BAD_ROWS.values())
def test_a_bad_row_is_named_by_its_line_and_stops_everything(db: None, row: str) -> None:
    found = problems(GOOD + row + "\n")
    assert len(found) == 1
    line, sentence = found[0]
    assert BAD_ROWS[row] in sentence
    assert line in (6, 7)  # a name over two lines ends on the second
    assert (line == 7) == ("\n" in row)


def test_every_bad_row_is_named(db: None) -> None:
    found = problems(
        "1,东区,district,district,\n2,西街,street,street,9\n3,北街,nowhere,street,1\n4,南街,street,street,8\n"
    )
    assert [line for line, _sentence in found] == [3, 4, 5]


def test_units_in_a_circle_are_named(db: None) -> None:
    circle = "D1,甲,district,department,D2\nD2,乙,district,department,D1\nD3,丙,district,department,D3\n"
    found = problems(GOOD + circle)
    assert [line for line, _sentence in found] == [6, 7, 8]
    assert {sentence for _line, sentence in found} == {"The unit stands below itself."}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "lacks these columns: code, name, tier, kind, parent_code"),
        (b"code,name,tier\n1,x,district\n", "lacks these columns: kind, parent_code"),
        (f"{HEADER}\n{GOOD}".encode("utf-16"), "not GB18030 text"),
        (bytes(range(128, 256)), "not GB18030 text"),
    ],
)
def test_files_that_are_no_such_table(db: None, content: bytes, words: str) -> None:
    assert words in problems(content)[0][1]


def test_a_line_in_another_encoding_is_named(db: None) -> None:
    lines = f"{HEADER}\n{GOOD}".splitlines()
    content = b"\n".join(
        line.encode("gb18030" if number == 4 else "utf-8") for number, line in enumerate(lines, 1)
    )
    assert problems(content) == [(4, "The line is not UTF-8 text like the others.")]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("101001,东一社区,community,village,101", "another tier, kind or parent"),
        ("101001,东一社区,community,community,102", "another tier, kind or parent"),
        ("101S,新小学,street,school,101", "closed and keeps its name"),
        ("103S,新小学,community,school,102001", "The parent 102001 is closed"),
    ],
)
def test_what_a_file_does_not_change(db: None, row: str, words: str) -> None:
    loaded(f"{GOOD}102,西街,street,street,1\n102001,西一社区,community,community,102\n")
    for code in ("101S", "102001"):
        close_unit(by=None, unit=Unit.objects.get(code=code), effective_on=MAY)
    before = state()
    found = problems(row + "\n")
    assert (found[0][0], len(found)) == (2, 1)
    assert words in found[0][1]
    assert state() == before


def test_a_new_unit_is_no_older_than_its_parents_place(db: None) -> None:
    loaded(f"{GOOD}102,西街,street,street,1\n")
    unit, street = Unit.objects.get(code="101001"), Unit.objects.get(code="102")
    move_unit(by=None, unit=unit, parent=street, effective_on=MAY)
    row = "103S,小学,community,school,101001\n"
    assert "stands where it stands since 2026-05-12" in problems(row)[0][1]
    assert loaded(row, opened_on=MAY).created == 1
    assert "in the future" in problems(row, opened_on=timezone.localdate() + dt.timedelta(days=1))[0][1]


def test_a_rename_before_the_last_change_is_a_bad_row(db: None) -> None:
    loaded(GOOD)
    rename_unit(by=None, unit=Unit.objects.get(code="101001"), name="改名", effective_on=dt.date(2026, 6, 1))
    found = problems("102,西街,street,street,1\n101001,再改,community,community,101\n")
    assert found[0][0] == 3
    assert "took effect on 2026-06-01" in found[0][1]


def test_new_units_can_be_changed_like_others(db: None) -> None:
    """The next id is free, and the placements fit."""
    loaded(f"{GOOD}102,西街,street,street,1\n")
    units = {unit.code: unit for unit in Unit.objects.all()}
    move_unit(by=None, unit=units["101001"], parent=units["102"], effective_on=MAY)
    loaded("102001,西一社区,community,community,102\n")
    assert Unit.objects.count() == 6
    assert tree()["101001"] == ("东一社区", "1/102/101001")


def test_the_number_of_queries_grows_with_batches_only(db: None) -> None:
    from django.test.utils import CaptureQueriesContext

    streets = "".join(f"1{n:03},街{n},street,street,1\n" for n in range(300))
    with CaptureQueriesContext(connection) as queries:
        loaded(f"1,东区,district,district,\n{streets}")
    assert len(queries) < 25


# --- the command ----------------------------------------------------------------------------------


def run(*arguments: str) -> SimpleNamespace:
    out, err = StringIO(), StringIO()
    code = 0
    try:
        call_command("load_units", *arguments, stdout=out, stderr=err)
    except CommandError as error:
        err.write(str(error))
        code = error.returncode
    return SimpleNamespace(out=out.getvalue(), err=err.getvalue(), code=code)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "units.csv"
    path.write_text(f"{HEADER}\n{GOOD}", encoding="utf-8")
    return path


def test_the_command_tells_what_it_did(db: None, file: Path) -> None:
    done = run(str(file))
    assert (done.code, done.out) == (0, "Units created: 4, renamed: 0, unchanged: 0\n")
    assert json.loads(run(str(file), "--json").out) == {"created": 0, "renamed": 0, "unchanged": 4}


def test_the_command_lists_problems_and_fails(db: None, file: Path) -> None:
    file.write_text(f"{HEADER}\n{GOOD}102,西街,street,street,9\n", encoding="utf-8")
    done = run(str(file))
    assert done.code == 1
    assert "Line 6: The parent 9" in done.err
    assert "nothing was loaded" in done.err
    done = run(str(file), "--json")
    assert done.code == 1
    assert [line for line, _sentence in json.loads(done.out)["problems"]] == [6]
    assert not Unit.objects.exists()


def test_the_command_takes_days(db: None, file: Path) -> None:
    run(str(file), "--opened-on", "2020-02-02")
    assert Unit.objects.get(code="1").opened_on == dt.date(2020, 2, 2)
    file.write_text(f"{HEADER}\n{GOOD.replace('东街', '新街')}", encoding="utf-8")
    assert run(str(file), "--new-only").out.startswith("Units created: 0, renamed: 0")
    run(str(file), "--effective-on", "2021-03-03")
    assert Unit.objects.get(code="101").placements.last().valid_from == dt.date(2021, 3, 3)


def test_the_command_without_a_file(db: None, tmp_path: Path) -> None:
    done = run(str(tmp_path / "none.csv"))
    assert done.code == 1
    assert "No such file" in done.err
