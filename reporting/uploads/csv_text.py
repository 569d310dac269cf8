"""Rows of a CSV file."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator
from typing import Any

from reporting.uploads.limits import LAST_ROW, MAX_COLUMNS, Unfit

DELIMITERS = ",;\t"
# Rows by which the delimiter is told.
TRIED = 50
# Stands behind the last line: it is a row of its own unless a quotation mark is open.
SENTINEL = "\x01"
SEPARATOR_LINE = re.compile(r"sep=([,;\t])\r?\n", re.IGNORECASE)
# ="0123": how systems keep a program from taking a text for a number.
KEPT_TEXT = re.compile(r'="([^"]*)"')
CHINESE = re.compile("[\u4e00-\u9fff]")
# Characters of names that Python's table (of 2000) puts into the private area; Unicode has them since, as the
# table of 2022 says.
SINCE_2000 = str.maketrans(
    {
        "\ue816": "\U00020087",
        "\ue817": "\U00020089",
        "\ue818": "\U000200cc",
        "\ue81e": "\u9fb4",
        "\ue826": "\u9fb5",
        "\ue82b": "\u9fb6",
        "\ue82c": "\u9fb7",
        "\ue831": "\U000215d7",
        "\ue832": "\u9fb8",
        "\ue83b": "\U0002298f",
        "\ue843": "\u9fb9",
        "\ue854": "\u9fba",
        "\ue855": "\U000241fe",
        "\ue864": "\u9fbb",
        "\ue7c7": "\u1e3f",
    }
)
# Chinese in GB2312 that was taken for Latin letters: those come in pairs then.
GB2312_AS_LATIN = re.compile("(?:[\xb0-\xf7][\xa1-\xfe])+")
KNOWN_GARBLE = ("\ufffd", "锟斤拷", "烫烫烫", "屯屯屯")


def decode(content: bytes) -> str:
    """Strict UTF-8, else strict GB18030. Raises Unfit with the line that is neither, or is broken UTF-8."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise Unfit("utf16")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        broken_at = error.start
    if _is_mostly_utf8(content):
        raise Unfit("broken_text", line=content.count(b"\n", 0, broken_at) + 1)
    try:
        return content.decode("gb18030").translate(SINCE_2000)
    except UnicodeDecodeError as error:
        raise Unfit("encoding", line=content.count(b"\n", 0, error.start) + 1) from error


def is_garbled(text: str) -> bool:
    """Whether the text was once decoded wrongly: replacement signs, or what becomes Chinese when that is undone."""
    if any(garble in text for garble in KNOWN_GARBLE) or re.search("[\x80-\x9f\ue000-\uf8ff]", text):
        return True
    for wrong in ("gb18030", "cp1252", "latin-1"):
        try:
            undone = text.encode(wrong).decode("utf-8")
        except UnicodeError:
            continue
        if undone != text and CHINESE.search(undone):
            return True
    beyond_ascii = re.findall("[^\x00-\x7f]+", text)
    return bool(beyond_ascii) and all(GB2312_AS_LATIN.fullmatch(run) for run in beyond_ascii)


def rows(text: str) -> Iterator[list[str | None]]:
    """The rows; empty cells are None. Raises Unfit: quotes, long_cell, far."""
    if separator := SEPARATOR_LINE.match(text):
        text, delimiter = text[separator.end() :], separator[1]  # programs do not show that line
    else:
        delimiter = _delimiter(text)
    number, blank, last = 0, 0, ""
    records, line = _records(text, delimiter), 0
    try:
        for number, row in enumerate(records, 1):
            last, line = row[0] if len(row) == 1 else "", records.line_num
            cells = [_cell(cell) for cell in row]
            while cells and cells[-1] is None:
                cells.pop()
            if not cells:
                blank += 1
                continue
            if last == SENTINEL:
                break
            if len(cells) > MAX_COLUMNS or number > LAST_ROW:
                raise Unfit("far", at=(number, len(cells) - 1))
            yield from ([] for _row in range(blank))
            blank = 0
            yield cells
    except csv.Error as error:
        # A text that grows too long over many lines is one whose quotation mark was never closed.
        is_long = "field limit" in str(error) and records.line_num == line + 1
        raise Unfit("long_cell" if is_long else "quotes", row=number + 1) from error
    if last != SENTINEL:
        raise Unfit("quotes", row=number)


def _records(text: str, delimiter: str) -> Any:
    """The reader of the module csv: rows of cells, and `line_num`."""
    lines = io.StringIO(text + ("" if text.endswith(("\n", "\r")) else "\n") + SENTINEL, newline="")
    return csv.reader(lines, delimiter=delimiter)


def _cell(text: str) -> str | None:
    if text.startswith("=") and (kept := KEPT_TEXT.fullmatch(text)):
        text = kept[1]
    return text if text.strip() else None


def _delimiter(text: str) -> str:
    """The one that gives most rows the same number of cells, and more than one."""

    def fitness(delimiter: str) -> tuple[int, int]:
        widths: dict[int, int] = {}
        try:
            for _number, row in zip(range(TRIED), _records(text, delimiter), strict=False):
                widths[len(row)] = widths.get(len(row), 0) + 1
        except csv.Error:
            return (0, 0)
        return max(((number, width) for width, number in widths.items() if width > 1), default=(0, 0))

    return max(DELIMITERS, key=fitness)


def _is_mostly_utf8(content: bytes) -> bool:
    """Whether most lines with other than ASCII are UTF-8: then it is a broken file, not one in GB18030."""
    lines = [line for line in content.splitlines() if not line.isascii()]
    return sum(_is_utf8(line) for line in lines) * 2 > len(lines)


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
