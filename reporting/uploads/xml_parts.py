"""XML as spreadsheet programs write it: UTF-8, without a DTD."""

from __future__ import annotations

import re
from xml.parsers import expat

from reporting.uploads.limits import Unfit

TYPE_CHECKING = False  # as typing has it, without importing typing
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

BOM = b"\xef\xbb\xbf"
ENCODING = re.compile(rb"""encoding\s*=\s*["']([^"']*)["']""")
PLAIN = {b"utf-8", b"utf8", b"us-ascii", b"ascii"}
# UTF-16 and UTF-32 with or without a mark, EBCDIC.
OTHER_ENCODINGS = (b"\xff\xfe", b"\xfe\xff", b"<\0", b"\0<", b"\0\0", b"\x4c\x6f\xa7\x94")


def check_prolog(head: bytes) -> None:
    """Look at the first 64 KiB of an XML part up to its root element: a DTD can stand nowhere else."""
    if head.startswith(OTHER_ENCODINGS):
        raise Unfit("xml_encoding")
    at = len(BOM) if head.startswith(BOM) else 0
    while True:
        while head[at : at + 1].isspace():
            at += 1
        if head.startswith(b"<?", at):
            ends = head.find(b"?>", at) + 2
            named = ENCODING.search(head, at, max(ends, at))
            if named and named[1].lower() not in PLAIN:
                raise Unfit("xml_encoding")
        elif head.startswith(b"<!--", at):
            ends = head.find(b"-->", at + 4) + 3
        elif head.startswith(b"<!", at):
            raise Unfit("dtd")
        elif head.startswith(b"<", at):
            return
        else:
            raise Unfit("damaged")
        if ends <= at:
            raise Unfit("damaged")
        at = ends


def looks_like_xml(name: str, head: bytes) -> bool:
    return name.casefold().endswith((".xml", ".rels", ".vml")) or head.lstrip(BOM + b" \t\r\n").startswith(
        (b"<", *OTHER_ENCODINGS)
    )


def new_parser(namespaces: bool = False) -> Any:
    """An expat parser that takes no DTD."""
    parser = expat.ParserCreate("utf-8", " " if namespaces else None)
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse_dtd
    return parser


def parse(parser: Any, pieces: Iterable[bytes]) -> None:
    """Run the parser over the pieces; Unfit("damaged") if they are no XML."""
    try:
        for piece in pieces:
            parser.Parse(piece, False)
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise Unfit("damaged") from error


def local(name: str) -> str:
    """Without its prefix, or its namespace."""
    return name.rpartition(":")[2]


def _refuse_dtd(*_declared: Any) -> None:
    raise Unfit("dtd")
