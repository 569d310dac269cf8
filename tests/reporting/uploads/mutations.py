"""Valid spreadsheets, broken in the ways in which files are broken: by accident, or by somebody who tries."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import strategies as st

from tests.reporting.uploads import corpus

# What the mutations begin with: every type of file, and of .xlsx those with something particular in them.
BASES = [
    "epoch_of_1900",
    "epoch_of_1904",
    "merged_cells",
    "hidden_rows",
    "hidden_sheets",
    "every_sort_of_value",
    "formulas_without_value",
    "formulas_without_value_prefixed",
    "error_cells",
    "cells_that_do_not_say_where",
    "xls",
    "xls_of_every_sort",
    "ods",
    "ods_of_every_sort",
    "csv_utf8",
    "csv_gb18030_with_rare_characters",
    "csv_of_every_sort",
]
NUMBERS = [
    "0",
    "-1",
    "1",
    "2",
    "65535",
    "1048576",
    "4294967295",
    "18446744073709551616",
    "1e308",
    "NaN",
    "",
    "A",
    "00",
    "1.5",
]
WORDS = [
    "", "A0", "A1", "CV50100", "XFD1048576", "ZZZZ9", "s", "e", "str", "inlineStr", "b", "d", "1", "true", "\ud7ff",
    "字" * 300,     "&lt;", "../../x", "rId99", "/xl/workbook.xml", "#N/A", "collapse", "1048576", "16384", "PT25H",
    "2026-13-45", "float",
]  # fmt: skip

picks = st.integers(0, 10**6)


@cache
def content_of(base: str) -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / corpus.CASES[base].file
        corpus.CASES[base].make(path)
        return path.read_bytes()


def _pick(choices: Any, number: int) -> Any:
    return choices[number % len(choices)]


# --- of bytes -----------------------------------------------------------------------------------------------------


def flip(content: bytes, where: int, what: int) -> bytes:
    if not content:
        return content
    at = where % len(content)
    return content[:at] + bytes([content[at] ^ (1 << what % 8)]) + content[at + 1 :]


def put(content: bytes, where: int, what: int) -> bytes:
    at = where % (len(content) + 1)
    return (
        content[:at]
        + _pick([b"\0", b"\xff\xff\xff\xff", b"<", b">", b'"', b"PK\3\4", b"\x7f", b"\n"], what)
        + content[at:]
    )


def overwrite(content: bytes, where: int, what: int) -> bytes:
    at = where % (len(content) + 1)
    new = _pick(
        [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\1\0\0\0", b"\xfe\xff\xff\xff"], what
    )
    return content[:at] + new + content[at + 4 :]


def cut(content: bytes, where: int, what: int) -> bytes:
    at = where % (len(content) + 1)
    return content[:at] + content[at + what % 200 :]


def shorten(content: bytes, where: int, _what: int) -> bytes:
    return content[: where % (len(content) + 1)]


def double(content: bytes, where: int, what: int) -> bytes:
    at = where % (len(content) + 1)
    return content[: at + what % 500] + content[at:]


# --- of XML -------------------------------------------------------------------------------------------------------


def _replace(pattern: str, words: list[str]) -> Callable[[bytes, int, int], bytes]:
    def change(content: bytes, where: int, what: int) -> bytes:
        found = list(re.finditer(pattern.encode(), content))
        if not found:
            return content
        match = _pick(found, where)
        return content[: match.start(1)] + _pick(words, what).encode() + content[match.end(1) :]

    return change


change_number = _replace(r"([0-9]+(?:\.[0-9]+)?)", NUMBERS)
change_attribute = _replace(r'="([^"]*)"', WORDS)
change_value = _replace(r">([^<]+)<", WORDS)
change_tag = _replace(
    r"</?(?:[a-z]+:)?([A-Za-z]+)", ["c", "row", "v", "f", "is", "t", "sheetData", "worksheet", "table"]
)
remove_tag = _replace(r"(<[^>]*>)", [""])
double_tag = _replace(
    r"(<[^>]*>)", ["<row>", "<c>", "</c>", "<v>", "</row>", '<c r="B2" t="s"><v>999</v></c>', "<f>1</f>"]
)

BYTES = [flip, put, overwrite, cut, shorten, double]
XML = [change_number, change_attribute, change_value, change_tag, remove_tag, double_tag, flip, put, cut]


# --- of archives --------------------------------------------------------------------------------------------------


def _parts(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _packed(parts: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    return target.getvalue()


def drop_part(parts: dict[str, bytes], where: int, _what: int) -> None:
    parts.pop(_pick(sorted(parts), where))


def swap_parts(parts: dict[str, bytes], where: int, what: int) -> None:
    one, other = _pick(sorted(parts), where), _pick(sorted(parts), what)
    parts[one], parts[other] = parts[other], parts[one]


def rename_part(parts: dict[str, bytes], where: int, what: int) -> None:
    name = _pick(sorted(parts), where)
    parts[_pick([name.upper(), "xl/sharedStrings.xml", "xl/styles.xml", "a/b.xml", name + "x"], what)] = (
        parts.pop(name)
    )


PARTS = [drop_part, swap_parts, rename_part]


@st.composite
def mutants(draw: st.DrawFn) -> tuple[str, bytes]:
    """A file's name, and its broken content."""
    base = draw(st.sampled_from(BASES))
    content, name = content_of(base), corpus.CASES[base].file
    steps = draw(st.lists(st.tuples(st.integers(0, 9), picks, picks, picks), min_size=1, max_size=4))
    if content.startswith(b"PK") and draw(st.integers(0, 4)):
        parts = _parts(content)
        for sort, which, where, what in steps:
            if not parts:
                break
            if sort == 0:
                _pick(PARTS, which)(parts, where, what)
            else:
                # The sheets and the workbook more often than what stands around them.
                inside = [
                    name
                    for name in sorted(parts)
                    if "sheet" in name or "workbook" in name or "content" in name
                ]
                name_of_part = _pick(inside if inside and sort > 2 else sorted(parts), which)
                parts[name_of_part] = _pick(XML, what // 7)(parts[name_of_part], where, what)
        return name, _packed(parts)
    for _sort, which, where, what in steps:
        content = _pick(BYTES, which)(content, where, what)
    return name, content
