"""The sentences about a row: which cell, what stands there, what is wrong; nothing of a sensitive value in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from programs.disclosure import masked
from programs.field_classes import C2, C3, FieldClass, class_of, mask_of
from programs.registry import RecordKind
from programs.sheets import header_of
from reporting.uploads.checked import Checked, Problem
from reporting.uploads.layout import Layout
from reporting.uploads.rows import Row
from reporting.uploads.sheet import Cell
from reporting.uploads.values import shown
from reporting.uploads.words import listed

# Shorter ones stand in many a sentence by chance.
SHORTEST_SECRET = 3


class Telling:
    """Writes the problems of a sheet's rows into `checked`."""

    def __init__(self, kind: RecordKind, layout: Layout, checked: Checked) -> None:
        self.kind, self.layout, self.checked = kind, layout, checked
        self._shared: dict[str, str] = {}

    def refuse(self, row: Row, errors: Mapping[str, Sequence[ValidationError]]) -> None:
        self.checked.refused_rows += 1
        last = len(row.cells)
        for name in sorted(errors, key=lambda name: self.layout.columns.get(name, last)):
            problems, at = errors[name], self.layout.columns.get(name)
            header = self.layout.headers.get(name) or (str(header_of(self.kind, name)) if name else "")
            cell = row.cells[at] if at is not None and at < len(row.cells) else None
            value = self._value(name, cell)
            for problem in problems:
                for message in self._messages(name, problem, cell):
                    self.checked.refused.append(
                        Problem(row.number, at, name, header, value, self.share(message))
                    )

    def _value(self, name: str, cell: Cell) -> str:
        if cell is None or not name or self._class(name) >= C3:
            return ""
        if self._class(name) == C2:
            return masked(shown(cell), mask_of(self.kind.field(name)))
        return self.share(shown(cell))

    def _messages(self, name: str, problem: ValidationError, cell: Cell) -> list[str]:
        """The sentences of a problem; without the value where the field is sensitive."""
        if not name or self._class(name) < C2:
            return problem.messages
        if problem.params and "value" in problem.params:
            problem = ValidationError(problem.message, problem.code, {**problem.params, "value": "…"})
        told = shown(cell)
        hidden = len(told) >= SHORTEST_SECRET and any(told in message for message in problem.messages)
        return [_("This value cannot be used here.")] if hidden else problem.messages

    def _class(self, name: str) -> FieldClass:
        """Of a field of the form that is none of the model: the strictest."""
        fields = self.kind.model._meta.get_fields()
        return class_of(next((field for field in fields if field.name == name), None))

    def share(self, text: str) -> str:
        """One copy of a text that stands with many rows."""
        return self._shared.setdefault(text, text)

    def labels(self, names: Iterable[str]) -> str:
        return listed(str(header_of(self.kind, name)) for name in names)
