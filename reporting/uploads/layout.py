"""Where in a sheet the header is, and which column holds which field.

Ledgers have title rows above the header, blank rows, headers of two lines with merged cells, and columns in any order
under any name. Names are compared by what they say (`words.plain`); the words come from the form, the model, the
sheet that the kind declares, and from a mapping that the unit chose.
"""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from programs.access import Actor
from programs.facts import label_of
from programs.registry import RecordKind
from programs.sheets import UNIT, columns_for, header_of
from reporting.uploads.csv_text import is_garbled
from reporting.uploads.gate import Refused
from reporting.uploads.sheet import Cell, Sheet, address, column_name
from reporting.uploads.values import in_every_language, is_blank
from reporting.uploads.words import listed, plain

# A header stands near the top; further down are rows.
ROWS_SEARCHED = 30
FEWEST_HEADERS = 2
MOST_NAMED = 20
LONGEST_SAMPLE = 2000
# Of the one sheet of a file that has no names for sheets.
NAMELESS = "CSV"
# The column that `marked` adds, and the sheet of notes that `blank` adds: our own, whatever the language.
PLEASE_MEND = gettext_lazy("Please mend")
NOTES = gettext_lazy("How to fill in this sheet")

IN_BRACKETS = re.compile(r"[(\[【〔〈<][^()\[\]【】〔〕〈〉<>]*[)\]】〕〉>]")
MARKS = re.compile(r"[*:#]+")


@dataclass(frozen=True)
class Layout:
    """What a sheet of the kind was found to hold.

    `header_row` is the last line of the header as the user sees it, 0 where none was found. `missing` are the labels
    of the columns that a row cannot do without; `doubled` says of which fields two columns tell.
    """

    kind: RecordKind
    sheet: str
    header_row: int = 0
    columns: dict[str, int] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    all_headers: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    # The column of a workbook that came back from us, which is none of the user's.
    mark: int | None = None

    @property
    def is_usable(self) -> bool:
        return not self.missing and not self.doubled

    def refusal(self) -> Refused:
        """Why a sheet that is not usable is not."""
        if not self.header_row:
            sentence = _("No header was found in the sheet “%(sheet)s”. It needs the columns %(missing)s.")
        elif self.doubled:
            sentence = " ".join(self.doubled)
            return Refused("doubled_headers", sentence, sheet=self.sheet)
        else:
            sentence = _(
                "The sheet “%(sheet)s” lacks the columns %(missing)s. Row %(row)d was read as its header: %(headers)s."
            )
        named = [header for header in self.all_headers if header][:MOST_NAMED]
        return Refused(
            "missing_headers",
            sentence
            % {
                "sheet": self.sheet or NAMELESS,
                "missing": listed(self.missing),
                "row": self.header_row,
                "headers": listed(named),
            },
            sheet=self.sheet,
        )


@dataclass(frozen=True)
class Arranged:
    """The sheets of a workbook that hold records, each with its layout, and those that do not, with the reason."""

    found: list[tuple[Sheet, Layout]]
    left_out: list[tuple[str, str]]


def find(sheet: Sheet, kind: RecordKind, *, by: Actor, mapping: Mapping[str, str] | None = None) -> Layout:
    """The layout of the sheet as one of this kind. `mapping` is {field: header} as chosen before; it goes before all
    other words, and a field with an empty header has no column."""
    words = Words(kind, by, mapping or {})
    found = [_matched(sheet, words, lines) for lines in _candidates(sheet)]
    best = max(found, key=lambda layout: len(layout.columns), default=None)
    if best is None or len(best.columns) < min(FEWEST_HEADERS, len(words.names)):
        return Layout(kind, sheet.name, missing=words.required)
    return best


def arrange(
    sheets: Sequence[Sheet],
    kinds: Sequence[RecordKind],
    *,
    by: Actor,
    mappings: Mapping[str, Mapping[str, str]] | None = None,
) -> Arranged:
    """Give each sheet its kind: the one it is named after, else the one whose headers it has. `mappings` by kind.

    Raises Refused if no sheet can be used, or one could be of two kinds.
    """
    found: list[tuple[Sheet, Layout]] = []
    left_out: list[tuple[str, str]] = []
    refusals: list[tuple[int, Refused]] = []
    for sheet in sheets:
        if sheet.is_hidden:
            left_out.append((sheet.name, _("This sheet is hidden.")))
        elif _is_ours(sheet):
            left_out.append((sheet.name, _("These are the notes of our blank sheet.")))
        elif not any(not is_blank(cell) for row in sheet.rows for cell in row):
            left_out.append((sheet.name, _("This sheet is empty.")))
        else:
            layout = _of_kind(sheet, kinds, by, mappings or {})
            if layout.is_usable:
                found.append((sheet, layout))
            else:
                refusal = _garbled(sheet) or layout.refusal()
                refusals.append((len(layout.columns), refusal))
                left_out.append((sheet.name, str(refusal)))
    if not found:
        raise (
            max(refusals, key=lambda known: known[0])[1]
            if refusals
            else Refused("nothing", _("There is no row in this file."))
        )
    return Arranged(found, left_out)


def remembered(layout: Layout) -> dict[str, str]:
    """What to keep for the next file of the unit: {field: header}."""
    return dict(layout.headers)


def year_above(sheet: Sheet, layout: Layout) -> int | None:
    """The year that the rows above the header or the sheet's name tell of, where they tell of one only."""
    above = [cell for row in sheet.rows[: max(0, layout.header_row - sheet.first_row)] for cell in row]
    years = {cell.year for cell in above if isinstance(cell, dt.date)}
    for text in [sheet.name, *(cell for cell in above if isinstance(cell, str))]:
        years |= {int(year) for year in YEAR.findall(unicodedata.normalize("NFKC", text))}
    return years.pop() if len(years) == 1 else None


YEAR = re.compile(r"(?<!\d)(20\d\d)(?!\d)")


# --- one sheet ---------------------------------------------------------------------------------------------------


class Words:
    """What the columns of a kind may be called: {plain words: (rank, field)}; the lower the rank, the surer."""

    def __init__(self, kind: RecordKind, by: Actor, mapping: Mapping[str, str]) -> None:
        self.kind = kind
        self.names = columns_for(kind, by)
        self.known: dict[str, tuple[float, str]] = {}
        lists = {name: self._of(name, mapping.get(name)) for name in self.names if mapping.get(name) != ""}
        for rank in range(max(map(len, lists.values()), default=0)):
            for name, words in lists.items():
                if rank < len(words) and words[rank]:
                    self.known.setdefault(words[rank], (rank, name))
        self.required = [str(header_of(kind, name)) for name in self.names if is_needed(kind, name)]

    def _of(self, name: str, chosen: str | None) -> list[str]:
        kind = self.kind
        said = [
            *in_every_language(header_of(kind, name)),
            *in_every_language(label_of(kind, name)),
            *in_every_language(kind.field(name).verbose_name),
            name,
            *kind.sheet.headers(name),
        ]
        return [header_words(chosen) if chosen else "", *dict.fromkeys(map(header_words, said))]

    def field_of(self, header: str) -> tuple[float, str] | None:
        """The field of a header, and how sure that is. What is in brackets, as in 参加人数（人次）, may be left out."""
        words = header_words(header)
        if words in self.known:
            return self.known[words]
        rank, name = self.known.get(IN_BRACKETS.sub("", words), (0, ""))
        return (rank + 0.5, name) if name else None


def header_words(header: str) -> str:
    return MARKS.sub("", plain(header))


def is_needed(kind: RecordKind, name: str) -> bool:
    """Whether a row cannot do without a column for the field."""
    form_field = kind.form.base_fields[name]
    return name != UNIT and form_field.required and not kind.field(name).has_default()


def _candidates(sheet: Sheet) -> list[tuple[int, ...]]:
    """The rows of the sheet that may be its header, by their index: single ones, and two that follow one another."""
    filled = [
        index
        for index, row in enumerate(sheet.rows[: ROWS_SEARCHED * 4])
        if sum(isinstance(cell, str) and not is_blank(cell) for cell in row) >= FEWEST_HEADERS
    ][:ROWS_SEARCHED]
    several = [(index, index + 1) for index in filled if index + 1 < len(sheet.rows)]
    # The first of equals is taken: a header of one line before one of two.
    return [*((index,) for index in filled), *several]


def _matched(sheet: Sheet, words: Words, lines: tuple[int, ...]) -> Layout:
    """The layout if these rows are the header."""
    row = sheet.first_row + lines[-1]
    headers = _headers(sheet, words, lines)
    of_ours = _own_words(PLEASE_MEND)
    claims: dict[str, list[tuple[float, int]]] = {}
    mark = None
    for column, header in enumerate(headers):
        if plain(header) in of_ours:
            mark = column
        elif header and (known := words.field_of(header)):
            claims.setdefault(known[1], []).append((known[0], column))
    columns, doubled = {}, []
    for name in words.names:
        claimed = sorted(claims.get(name, ()))
        if claimed:
            columns[name] = claimed[0][1]
            if last := _spread_to(sheet, row, claimed[0][1]):
                doubled.append(
                    _(
                        "The header “%(header)s” stands over the columns %(first)s to %(last)s, and both hold "
                        "something; give each a header of its own."
                    )
                    % {
                        "header": headers[claimed[0][1]],
                        "first": column_name(claimed[0][1]),
                        "last": column_name(last),
                    }
                )
        twins = [column for rank, column in claimed if rank == claimed[0][0]]
        if len(twins) > 1:
            cells = [address(row, column) for column in twins]
            doubled.append(
                _("The header “%(header)s” stands in two columns: %(first)s and %(second)s.")
                % {"header": headers[twins[0]], "first": cells[0], "second": cells[1]}
            )
    taken = {*columns.values(), mark}
    return Layout(
        words.kind,
        sheet.name,
        row,
        columns,
        {name: headers[column] for name, column in columns.items()},
        [header for column, header in enumerate(headers) if column != mark],
        [header for column, header in enumerate(headers) if header and column not in taken],
        [
            str(header_of(words.kind, name))
            for name in words.names
            if name not in columns and is_needed(words.kind, name)
        ],
        doubled,
        mark,
    )


def _spread_to(sheet: Sheet, row: int, column: int) -> int | None:
    """The last column of a header cell merged over several, if more than the first of them is filled in below."""
    for first_row, first, last_row, last in sheet.merged:
        if first_row <= row <= last_row and first == column < last:
            below = sheet.rows[row + 1 - sheet.first_row :]
            others = (cell for cells in below for cell in cells[first + 1 : last + 1])
            return last if any(not is_blank(cell) for cell in others) else None
    return None


def _headers(sheet: Sheet, words: Words, lines: tuple[int, ...]) -> list[str]:
    """The header of each column. Of two lines both together (联合 over 单位) if that is known, else the lower one;
    where nothing stands below, the upper one."""
    rows = [[_header_text(cell) for cell in sheet.rows[index]] for index in lines]
    if len(rows) == 1:
        return rows[0]
    spread = _spread(sheet, lines[0], rows[0])
    width = max(len(spread), len(rows[1]))
    upper, above, lower = (row + [""] * (width - len(row)) for row in (rows[0], spread, rows[1]))
    found = []
    for alone, over, below in zip(upper, above, lower, strict=True):
        together = f"{over}{below}"
        if not below:
            found.append(alone)
        else:
            found.append(together if words.field_of(together) else below)
    return found


def _spread(sheet: Sheet, index: int, texts: list[str]) -> list[str]:
    """The texts of a row where a cell merged over several columns stands over each of them."""
    texts, number = list(texts), sheet.first_row + index
    for first_row, first, last_row, last in sheet.merged:
        if first_row == number == last_row and first < len(texts) and last > first:
            texts += [""] * (last + 1 - len(texts))
            texts[first : last + 1] = [texts[first]] * (last + 1 - first)
    return texts


def _header_text(cell: Cell) -> str:
    return " ".join(str(cell).split()) if cell is not None and not isinstance(cell, bool) else ""


# --- several sheets ----------------------------------------------------------------------------------------------


def _of_kind(
    sheet: Sheet, kinds: Sequence[RecordKind], by: Actor, mappings: Mapping[str, Mapping[str, str]]
) -> Layout:
    named = [kind for kind in kinds if plain(sheet.name) in _names(kind)]
    layouts = [find(sheet, kind, by=by, mapping=mappings.get(kind.code)) for kind in named or kinds]
    usable = [layout for layout in layouts if layout.is_usable] or layouts
    most = max(len(layout.columns) for layout in usable)
    best = [layout for layout in usable if len(layout.columns) == most]
    if len(best) > 1 and best[0].is_usable:
        raise Refused(
            "two_kinds",
            _(
                "The sheet “%(sheet)s” may hold %(kinds)s; give it one of these names, or choose what it holds."
            )
            % {
                "sheet": sheet.name or NAMELESS,
                "kinds": _(" or ").join(str(layout.kind.label_plural) for layout in best),
            },
            sheet=sheet.name,
        )
    return best[0]


def _names(kind: RecordKind) -> set[str]:
    labels = [*in_every_language(kind.label), *in_every_language(kind.label_plural), kind.code]
    return {plain(label) for label in labels}


def _garbled(sheet: Sheet) -> Refused | None:
    """Whether the texts at the top are characters read under a wrong encoding, once upon a time."""
    texts = [cell for row in sheet.rows[:ROWS_SEARCHED] for cell in row if isinstance(cell, str)]
    if not is_garbled(" ".join(texts)[:LONGEST_SAMPLE]):
        return None
    return Refused(
        "garbled",
        _(
            "The text of the sheet “%(sheet)s” is garbled; save the file once more, as .xlsx, where it reads well."
        )
        % {"sheet": sheet.name or NAMELESS},
        sheet=sheet.name,
    )


def _own_words(text: object) -> set[str]:
    return {plain(words) for words in in_every_language(text)}


def _is_ours(sheet: Sheet) -> bool:
    first = next((cell for row in sheet.rows for cell in row if not is_blank(cell)), None)
    return isinstance(first, str) and plain(first) in _own_words(NOTES)
