"""What the reader does not tell of an .xlsx: content far away, hidden rows, errors, formulas without a value.

Sheets are looked at piece by piece. First come quick searches for what only such sheets contain; a sheet is parsed only
if one of them finds something, or if it is not written the way Excel and WPS write it.
"""

from __future__ import annotations

import posixpath
import re

from reporting.uploads.limits import LAST_ROW, MAX_COLUMNS, MAX_FLAWS, Unfit
from reporting.uploads.xml_parts import local, new_parser, parse

TYPE_CHECKING = False  # as typing has it, without importing typing
if TYPE_CHECKING:
    from collections.abc import Iterable

    from reporting.uploads.archive import Archive, Entry

ROOT = "_rels/.rels"
MAX_WORKBOOK = 8 << 20
TRUE = frozenset({"1", "true"})

# A cell that is not empty, beyond column CV or beyond row 50,099.
BEYOND = re.compile(
    rb' r="(?:(?:C[W-Z]|[D-Z][A-Z]|[A-Z]{3})\d+'
    rb'|[A-Z]{1,3}(?:\d{6,}|[6-9]\d{4}|5(?:0[1-9]\d\d|[1-9]\d{3})))"(?:[^>]*[^/>])?>'
)
# Only pieces with such columns or rows are searched for the above, which takes three times as long.
TWO_LETTERS = re.compile(rb'c r="[A-Z][A-Z]')
ROW = b'<row r="'
LONGEST_TAG = 256

# A formula; cells that end in one, or in an empty value; an error; a hidden row.
FORMULA = b"</f>"
WITHOUT_VALUE = (b"</f></c>", b"/></c>", b"<v></v></c>")
ERROR, HIDDEN = b' t="e', b' hidden="'
DATA = b"<sheetData"
AS_USUAL = re.compile(rb'<sheetData>\s*<row r="\d+"[^>]*>(?:<c r="[A-Z]+\d+"[^>]*>|<row r="|</row>)')

REFERENCE = re.compile(r"([A-Z]{1,3})([0-9]{1,7})")


# The kinds of flaws, as reporting.uploads.sheet.FlawKind spells them.
WITHOUT, ERRONEOUS = "formula_without_value", "error_value"


class Oddities:
    """What is odd in one sheet: hidden rows, and by (row as the user sees it, column from 0) a flaw and its text."""

    def __init__(self) -> None:
        self.hidden_rows: set[int] = set()
        self.flaws: dict[tuple[int, int], tuple[str, str]] = {}

    def note(self, row: int, column: int, flaw: str, text: str = "") -> None:
        """Raises Unfit: far, flaws."""
        if row > LAST_ROW or column >= MAX_COLUMNS:
            raise Unfit("far", at=(row, column))
        if len(self.flaws) >= MAX_FLAWS:
            raise Unfit("flaws", at=(row, column))
        self.flaws[row, column] = flaw, text

    def hide(self, row: int) -> None:
        if row <= LAST_ROW:
            self.hidden_rows.add(row)


class Parts:
    """The sheets of a workbook by name, and whether its dates count from 1904."""

    def __init__(self) -> None:
        self.sheets: dict[str, Entry] = {}
        self.epoch_1904 = False


class _Found(Exception):
    pass


def place(reference: str) -> tuple[int, int]:
    """Row and column of "C7": (7, 2). Raises Unfit."""
    match = REFERENCE.fullmatch(reference.upper().replace("$", ""))
    if match is None:
        raise Unfit("damaged")
    column = 0
    for letter in match[1]:
        column = column * 26 + ord(letter) - 64
    return int(match[2]), column - 1


# --- which part is which sheet ------------------------------------------------------------------------------------


def parts(archive: Archive) -> Parts:
    """The sheets of the workbook by their names. Raises Unfit if it names a part twice or one that is not there."""
    book = next((to for kind, to in relations(archive, ROOT).values() if kind == "officeDocument"), "")
    entry = archive.named(book or "xl/workbook.xml")
    if entry is None:
        raise Unfit("damaged")
    folder, name = posixpath.split(entry.name)
    targets = relations(archive, f"{folder}/_rels/{name}.rels")
    found = Parts()

    def start(tag: str, attributes: dict[str, str]) -> None:
        tag = local(tag)
        if tag == "workbookPr":
            found.epoch_1904 = attributes.get("date1904") in TRUE
        elif tag == "sheet" and "name" in attributes:
            number = next((value for key, value in attributes.items() if local(key) == "id"), "")
            kind, target = targets.get(number, ("", ""))
            part = archive.named(target)
            if attributes["name"] in found.sheets or (part is None and kind == "worksheet"):
                raise Unfit("damaged")
            if part is not None:
                found.sheets[attributes["name"]] = part

    parser = new_parser()
    parser.StartElementHandler = start
    parse(parser, [archive.read(entry, MAX_WORKBOOK)])
    return found


def relations(archive: Archive, name: str) -> dict[str, tuple[str, str]]:
    """{id: (kind, name of the part)}, of what is inside the file; empty if there is no such list."""
    entry = archive.named(name)
    if entry is None:
        return {}
    base = posixpath.dirname(posixpath.dirname(entry.name))
    found = {}

    def start(tag: str, attributes: dict[str, str]) -> None:
        if local(tag) == "Relationship" and attributes.get("TargetMode") != "External":
            target = posixpath.normpath(posixpath.join("/", base, attributes.get("Target", ""))).lstrip("/")
            found[attributes.get("Id", "")] = (attributes.get("Type", "").rpartition("/")[2], target)

    parser = new_parser()
    parser.StartElementHandler = start
    parse(parser, [archive.read(entry, MAX_WORKBOOK)])
    return found


def outward(pieces: Iterable[bytes]) -> str:
    """The kind of a relationship that leads out of the file ("" for none); hyperlinks may."""
    found = []

    def start(_tag: str, attributes: dict[str, str]) -> None:
        kind = attributes.get("Type", "").rpartition("/")[2]
        if attributes.get("TargetMode", "").casefold() == "external" and kind != "hyperlink":
            found.append(kind or "?")

    parser = new_parser()
    parser.StartElementHandler = start
    parse(parser, pieces)
    return found[0] if found else ""


# --- content far away ---------------------------------------------------------------------------------------------


class Far:
    """Whether a sheet may have content beyond the last row or column. Formats without content are usual there."""

    def __init__(self) -> None:
        self._seam = b""
        self.is_possible = False

    def look(self, piece: bytes) -> None:
        if self.is_possible:
            return
        wide_or_long = (
            TWO_LETTERS.search(piece) or _row_at(piece, piece.rfind(ROW)) or _row_at(piece, piece.find(ROW))
        )
        self.is_possible = bool(
            (wide_or_long and BEYOND.search(piece)) or BEYOND.search(self._seam + piece[:LONGEST_TAG])
        )
        self._seam = piece[-LONGEST_TAG:]


def _row_at(piece: bytes, at: int) -> bool:
    """Whether a row of five digits beginning with 5 or more begins there."""
    digits = piece[at + len(ROW) : at + len(ROW) + 7].partition(b'"')[0] if at >= 0 else b""
    return len(digits) > 5 or (len(digits) == 5 and digits >= b"5")


def far_cell(pieces: Iterable[bytes]) -> tuple[int, int] | None:
    """The first cell with content beyond the last row or column."""
    cell: tuple[int, int] | None = None

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal cell
        tag = local(tag)
        if tag == "c":
            cell = place(attributes["r"]) if "r" in attributes else None
            if cell and cell[0] <= LAST_ROW and cell[1] < MAX_COLUMNS:
                cell = None
        parser.CharacterDataHandler = text if cell and tag in {"v", "t", "f"} else None

    def text(data: str) -> None:
        if data.strip():
            raise _Found

    parser = new_parser()
    parser.StartElementHandler = start
    try:
        parse(parser, pieces)
    except _Found:
        return cell
    return None


# --- hidden rows, errors, formulas without a value ----------------------------------------------------------------


def is_odd(pieces: Iterable[bytes]) -> bool:
    """Whether the sheet may have any, so that it is worth parsing."""
    block, in_data, has_formula = b"", False, False
    for piece in pieces:
        block += piece
        if not in_data:
            begins = block.find(DATA)
            if begins < 0 and b":sheetData" not in block:
                block = block[-LONGEST_TAG:]
                continue
            block = block[begins:]
            if len(block) < 8 * LONGEST_TAG:
                continue
            if begins < 0 or not AS_USUAL.match(block):
                return True
            in_data = True
        if HIDDEN in block or ERROR in block:
            return True
        # Cells may share a formula that another has; the one that has it comes first.
        has_formula = has_formula or FORMULA in block
        if has_formula and any(sign in block for sign in WITHOUT_VALUE):
            return True
        block = block[-LONGEST_TAG:]
    return not in_data  # a sheet as small as that is parsed at once


def oddities(pieces: Iterable[bytes]) -> Oddities:
    """Parse the sheet for them."""
    finder = _Finder()
    parse(finder.parser, pieces)
    finder.end_cell()
    return finder.found


class _Finder:
    """Handlers of expat; they are called for every element of a sheet, so they do as little as they can."""

    def __init__(self) -> None:
        self.found = Oddities()
        self.parser = new_parser()
        self.parser.StartElementHandler = self._root
        self._row = 0
        # The last cell of the row that told its place, and how many that did not have followed it.
        self._reference: str | None = None
        self._further = 0
        self._type: str | None = None
        self._has_formula = self._has_value = False
        self._text: list[str] = []

    def _root(self, tag: str, _attributes: dict[str, str]) -> None:
        prefix = tag[: -len(local(tag))]
        self._c, self._r, self._f = prefix + "c", prefix + "row", prefix + "f"
        self._values = {prefix + "v", prefix + "is"}
        self.parser.StartElementHandler = self._start

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == self._c:
            if self._has_formula or self._type == "e":
                self.end_cell()
            if (reference := attributes.get("r")) is None:
                self._further += 1
            else:
                self._reference, self._further = reference, 0
            self._type = attributes.get("t")
        elif tag in self._values:
            if self._has_formula or self._type == "e":
                self._has_value = self._type == "str"
                self.parser.CharacterDataHandler = self._value
        elif tag == self._f:
            self._has_formula = True
        elif tag == self._r:
            self.end_cell()
            number = attributes.get("r")
            self._row = int(number) if number and number.isdecimal() else self._row + 1
            self._reference, self._further = None, 0
            if attributes.get("hidden") in TRUE:
                self.found.hide(self._row)

    def _value(self, data: str) -> None:
        self._text.append(data)

    def end_cell(self) -> None:
        """Note what was wrong with the cell that has just ended."""
        said = "".join(self._text).strip()
        if self._type == "e":
            self._note(ERRONEOUS, said[:20])
        elif self._has_formula and not said and not self._has_value:
            self._note(WITHOUT)
        self._has_formula = self._has_value = False
        self._type = None
        if self._text:
            self._text = []
        self.parser.CharacterDataHandler = None

    def _note(self, flaw: str, text: str = "") -> None:
        row, column = place(self._reference) if self._reference else (self._row, -1)
        self.found.note(row, column + self._further, flaw, text)
