"""Zip files as spreadsheet programs write them: read strictly, unpacked in pieces, never beyond what they declare.

Python's zipfile and the reader's own zip library differ on files that are no proper zip (a lying size, two names for
one entry, something before or after it). Here such a file is refused, so that what was looked at is what will be read.
"""

from __future__ import annotations

import struct
import zlib

from reporting.uploads.limits import MAX_ENTRIES, MAX_UNPACKED, Unfit

TYPE_CHECKING = False  # as typing has it, without importing typing
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

PIECE = 1 << 16
END = struct.Struct("<4s4H2LH")
CENTRAL = struct.Struct("<4s4B4HL2L5H2L")
LOCAL = struct.Struct("<4s5H3L2H")
STORED, DEFLATED = 0, 8
# Encrypted, a patch of another file, strongly encrypted, masked.
LOCKED, PATCH, UTF8 = 0x2041, 0x0020, 0x0800
# A second name for the entry, which some programs prefer to the first.
OTHER_NAME = 0x7075


class Entry:
    """One file inside. `begins` is where its local header stands, later where its bytes do."""

    __slots__ = ("begins", "crc", "method", "name", "packed", "size")

    def __init__(self, name: str, method: int, crc: int, packed: int, size: int, begins: int) -> None:
        self.name, self.method, self.crc = name, method, crc
        self.packed, self.size, self.begins = packed, size, begins


class Archive:
    """The entries of a zip file. Raises Unfit: damaged, path, entries, unpacked, encrypted."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.entries = self._listed()
        if sum(entry.size for entry in self.entries) > MAX_UNPACKED:
            raise Unfit("unpacked")
        self._by_name = {entry.name.casefold(): entry for entry in self.entries}
        if len(self._by_name) != len(self.entries):
            raise Unfit("path")

    def named(self, name: str) -> Entry | None:
        return self._by_name.get(name.casefold())

    def pieces(self, entry: Entry) -> Iterator[bytes]:
        """The unpacked bytes, at most 64 KiB at a time. Raises Unfit when they are not what the entry declares."""
        size = crc = 0
        for piece in self._unpacked(entry):
            size += len(piece)
            if size > entry.size:
                raise Unfit("unpacked")
            crc = zlib.crc32(piece, crc)
            yield piece
        if size != entry.size or crc != entry.crc:
            raise Unfit("damaged")

    def read(self, entry: Entry, at_most: int) -> bytes:
        """A small entry as a whole."""
        if entry.size > at_most:
            raise Unfit("damaged")
        return b"".join(self.pieces(entry))

    # --- the directory --------------------------------------------------------------------------------------------

    def _listed(self) -> list[Entry]:
        end_at = self._file.seek(0, 2) - END.size
        if end_at < 0:
            raise Unfit("damaged")
        self._file.seek(end_at)
        mark, disk, first_disk, here, number, size, begins, comment = END.unpack(self._file.read(END.size))
        if mark != b"PK\5\6" or comment or disk or first_disk or here != number:
            raise Unfit("damaged")
        if number > MAX_ENTRIES:
            raise Unfit("entries")
        if begins + size != end_at:
            raise Unfit("damaged")
        self._file.seek(begins)
        entries = list(self._entries(self._file.read(size), number))
        self._find_bytes(entries, begins)
        return entries

    def _entries(self, directory: bytes, number: int) -> Iterator[Entry]:
        at = 0
        for _number in range(number):
            if at + CENTRAL.size > len(directory):
                raise Unfit("damaged")
            (mark, _by, _os, _needs, _, flags, method, _time, _date, crc, packed, size, *lengths) = (
                CENTRAL.unpack_from(directory, at)
            )
            in_name, in_extra, in_comment, disk, _attributes, _more, begins = lengths
            at += CENTRAL.size
            name, extra = directory[at : at + in_name], directory[at + in_name : at + in_name + in_extra]
            at += in_name + in_extra + in_comment
            if mark != b"PK\1\2" or at > len(directory) or disk or flags & PATCH:
                raise Unfit("damaged")
            if flags & LOCKED:
                raise Unfit("encrypted")
            if method not in (STORED, DEFLATED) or (method == STORED and packed != size):
                raise Unfit("damaged")
            yield Entry(_name(name, extra, flags), method, crc, packed, size, begins)
        if at != len(directory):
            raise Unfit("damaged")

    def _find_bytes(self, entries: list[Entry], directory_at: int) -> None:
        """Where the bytes of each entry begin; none may share a byte with another."""
        behind = 0
        for entry in sorted(entries, key=lambda entry: entry.begins):
            if entry.begins < behind or entry.begins + LOCAL.size > directory_at:
                raise Unfit("damaged")
            self._file.seek(entry.begins)
            mark, _needs, flags, method, *_rest, in_name, in_extra = LOCAL.unpack(self._file.read(LOCAL.size))
            name = _decoded(self._file.read(in_name), flags)
            if mark != b"PK\3\4" or method != entry.method or name != entry.name:
                raise Unfit("damaged")
            entry.begins += LOCAL.size + in_name + in_extra
            behind = entry.begins + entry.packed
            if behind > directory_at:
                raise Unfit("damaged")

    # --- the bytes ------------------------------------------------------------------------------------------------

    def _unpacked(self, entry: Entry) -> Iterator[bytes]:
        at, left = entry.begins, entry.packed
        unpack = zlib.decompressobj(-zlib.MAX_WBITS) if entry.method == DEFLATED else None
        while left:
            self._file.seek(at)
            packed = self._file.read(min(left, PIECE))
            if not packed:
                raise Unfit("damaged")
            at, left = at + len(packed), left - len(packed)
            if unpack is None:
                yield packed
                continue
            try:
                while packed and not unpack.eof:
                    if piece := unpack.decompress(packed, PIECE):
                        yield piece
                    packed = unpack.unconsumed_tail
            except zlib.error as error:
                raise Unfit("damaged") from error
            if unpack.eof and (left or unpack.unused_data):
                raise Unfit("damaged")
        if unpack is not None:
            while not unpack.eof:
                piece = unpack.decompress(b"", PIECE)
                if not piece:
                    raise Unfit("damaged")
                yield piece


def _decoded(name: bytes, flags: int) -> str:
    try:
        return name.decode("utf-8" if flags & UTF8 else "cp437")
    except UnicodeDecodeError as error:
        raise Unfit("path") from error


def _name(raw: bytes, extra: bytes, flags: int) -> str:
    """The name, if it can mean one place only: inside the archive."""
    name = _decoded(raw, flags)
    parts = name.split("/")
    if "\\" in name or ":" in name or not name.isprintable() or ".." in parts or "." in parts or not parts[0]:
        raise Unfit("path")
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<2H", extra)
        if kind == OTHER_NAME:
            raise Unfit("path")
        extra = extra[4 + length :]
    return name
