"""From a file to rows that can be entered: gate, read, check. Preview and apply both come this way."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from django.utils.translation import gettext as _

from programs import registry
from programs.access import Actor
from programs.registry import RecordKind
from reporting.models import SheetMapping, Upload
from reporting.models.upload import Step
from reporting.uploads import checking, gate, layout, reading, together
from reporting.uploads.checking import Checked, Seen
from reporting.uploads.claims import Pulse
from reporting.uploads.gate import Refused
from reporting.uploads.layout import Layout
from reporting.uploads.sheet import Sheet


@dataclass
class Part:
    """A sheet that is used: what it was taken for, and what its rows came to."""

    sheet: Sheet
    layout: Layout
    checked: Checked

    @property
    def kind(self) -> RecordKind:
        return self.layout.kind


@dataclass
class Examined:
    """All sheets of a file, the parts that are used, and the sheets that are not: (name, why)."""

    sheets: list[Sheet]
    parts: list[Part] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        """By the names of the columns of Upload; they add up to `read`."""
        parts = [counts_of(part.checked) for part in self.parts]
        return {name: sum(part[name] for part in parts) for name in counts_of(None)}

    def by_kind(self) -> Iterator[tuple[RecordKind, list[Part]]]:
        kinds = {part.kind.code: part.kind for part in self.parts}
        for code, kind in kinds.items():
            yield kind, [part for part in self.parts if part.kind.code == code]

    def plan(self) -> str:
        """A digest of what somebody agrees to who confirms: which rows are good, which records they change and how.

        A row that turns out to be known already by the time it is entered alters nothing of that.
        """
        said = [
            [
                part.kind.code,
                part.sheet.name,
                sorted([row.row for row in part.checked.new] + [row.row for row in part.checked.same]),
                sorted((row.row, row.pk, row.version) for row in part.checked.changed),
            ]
            for part in self.parts
        ]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def counts_of(checked: Checked | None) -> dict[str, int]:
    if checked is None:
        return dict.fromkeys(("read", "new", "changed", "same", "refused", "left_out"), 0)
    return {
        "read": checked.read,
        "new": len(checked.new),
        "changed": len(checked.changed),
        "same": len(checked.same),
        "refused": checked.refused_rows,
        "left_out": len(checked.left_out),
    }


def kinds_of(upload: Upload) -> list[RecordKind]:
    """The kinds that its sheets may be of."""
    if not upload.kind:
        return registry.kinds()
    return [kind for kind in registry.kinds() if kind.code == upload.kind]


def read_sheets(upload: Upload, pulse: Pulse) -> list[Sheet]:
    """The sheets of the file as they are; Refused. Read once: who comes again finds the cells kept beside the file."""
    pulse.at(Step.READING)
    if not upload.file:
        raise Refused("gone", _("The file is no longer kept; bring it again."))
    path = Path(upload.file.path)
    sheets = reading.read_kept(path)
    if sheets is None:
        sheets = reading.read(path, gate.examine(path, upload.name), keep=True)
    pulse.progress(0)
    return sheets


def check_sheets(upload: Upload, sheets: list[Sheet], by: Actor, pulse: Pulse) -> Examined:
    """Every row of every sheet that can be used; Refused if none can."""
    arranged = layout.arrange(sheets, kinds_of(upload), by=by, mappings=mappings_of(upload))
    pulse.at(Step.CHECKING, sum(len(sheet.rows) for sheet, _layout in arranged.found))
    examined, begun = Examined(sheets, left_out=list(arranged.left_out)), 0
    seen: dict[str, Seen] = {}
    for sheet, found in arranged.found:
        checked = checking.check(
            by=by,
            unit=upload.unit,
            kind=found.kind,
            sheet=sheet,
            layout=found,
            period=upload.period,
            seen=seen.setdefault(found.kind.code, Seen()),
            progress=pulse.within(begun),
        )
        examined.parts.append(Part(sheet, found, checked))
        begun += len(sheet.rows)
        pulse.progress(begun)
    together.judge(examined.parts)
    return examined


def mappings_of(upload: Upload) -> dict[str, dict[str, str]]:
    """By kind: what the unit chose the last time, or the layout that was chosen for this very file."""
    remembered = SheetMapping.objects.filter(unit=upload.unit, name="")
    found = dict(remembered.values_list("kind", "columns"))
    if upload.mapping is not None:
        found[upload.mapping.kind] = upload.mapping.columns
    return found
