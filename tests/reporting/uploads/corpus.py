"""Hostile and messy spreadsheets, each with what must become of it.

    python -m tests.reporting.uploads.corpus FOLDER       writes them all, and a list of what is expected

`CASES` are the files by name. `expect` is "refused" (then `code` and `cell` say how, `at_gate` whether no parser saw
it) or "rows" (then `seen`, if given, is asked whether the sheets are right). `later` is what checking makes of the rows
as activities of the community's own, on a day in 2026: rows that are good, cells refused, rows left out.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.reporting.uploads import hostile_files, messy_files
from tests.reporting.uploads.cases import CASES, DAY, Case, Later

__all__ = ["CASES", "DAY", "Case", "Later", "hostile_files", "messy_files", "report", "write"]


def write(folder: Path, names: Iterable[str] | None = None) -> dict[str, Path]:
    """Write the files, each into a folder of its own, as several may have one name."""
    found = {}
    for name in names or CASES:
        place = folder / name
        place.mkdir(parents=True, exist_ok=True)
        found[name] = place / CASES[name].file
        CASES[name].make(found[name])
    return found


def report(readings: Sequence[dict[str, Any]], *, in_full: bool) -> Iterator[str]:
    """What the files took: {"name", "place": "gate" or "child", "seconds", "megabytes": peak, None if it was ended}."""

    def line(found: dict[str, Any]) -> str:
        memory = "ended by its limits" if found["megabytes"] is None else f"{found['megabytes']} MB"
        return f"  {found['name']}: {found['place']}, {found['seconds']:.2f} s, {memory}"

    ended = [found["name"] for found in readings if found["megabytes"] is None]
    known = [found for found in readings if found["megabytes"] is not None]
    yield f"spreadsheets of the corpus: {len(readings)} read or refused, {len(ended)} ended by the child's limits"
    if in_full:
        yield from map(line, readings)
        return
    yield "  longest: " + line(max(readings, key=lambda found: found["seconds"])).strip()
    if known:
        yield "  largest: " + line(max(known, key=lambda found: found["megabytes"])).strip()


if __name__ == "__main__":
    target = Path(sys.argv[1])
    write(target)
    listed = [
        {"name": case.name, "file": case.file, "expect": case.expect, "code": case.code, "cell": case.cell}
        for case in CASES.values()
    ]
    (target / "expected.json").write_text(json.dumps(listed, ensure_ascii=False, indent=1))
    print(f"{len(listed)} files in {target}")
