"""A filtered list as a file: CSV, streamed, or an Excel workbook, written with constant memory.

Values pass through `programs.disclosure` as on the list. No text begins a formula, whichever program opens the file.
"""

from __future__ import annotations

import csv
import datetime as dt
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any

import xlsxwriter
from django.db import transaction
from django.db.models import QuerySet
from django.http import FileResponse, HttpResponseBase, StreamingHttpResponse
from django.utils import timezone, translation
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _

from programs.access import Actor
from programs.actions.audit import audit
from programs.facts import Column, columns_of, form_fields
from programs.paging import capped_count
from programs.registry import RecordKind

MOST_ROWS = 100_000
CHUNK = 2000
CSV, XLSX = FORMATS = ("csv", "xlsx")
XLSX_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
# What begins a formula in some spreadsheet program; the full-width forms are taken for the plain ones by some of them.
FORMULA_STARTS = tuple("=+-@\t\r\n＝＋－＠")
BOM = "\ufeff"


def export_response(
    *, by: Actor, kind: RecordKind, queryset: QuerySet[Any], sort: str, form: str, filters: dict[str, str]
) -> HttpResponseBase:
    """The file with the rows of `queryset`, at most MOST_ROWS of them, and the audit row that tells of it.

    `filters` is what the list was asked for: the log keeps it, but for the words that were searched.
    """
    columns = columns_of(kind, [*form_fields(kind), "created_at"], by)
    count = capped_count(queryset, MOST_ROWS)
    with transaction.atomic():
        audit(
            by=by,
            action=f"{kind.code}.export",
            row_count=count.number,
            changes={
                "format": [None, form],
                **{name: _logged(name, value) for name, value in filters.items()},
            },
        )
    # The labels are made here: the streaming happens after the request's language is gone.
    rows = _rows(_ordered(queryset, columns, sort)[: count.number], columns)
    head = [str(column.label) for column in columns]
    note = _("Only the first %(number)d records are in this file; narrow the filters for the others.")
    tail = [note % {"number": MOST_ROWS}] if count.capped else []
    return file_response(form, str(kind.label_plural), head, rows, tail=tail)


def file_response(
    form: str,
    name: str,
    head: list[str],
    rows: Iterable[list[Any]],
    *,
    tail: Sequence[str] = (),
    above: Sequence[tuple[str, str]] = (),
) -> HttpResponseBase:
    """A table as a file of today's date. Texts in `rows` have passed `safe_text`; "" is an empty cell.

    `above` tells in a workbook what the table is about: (label, words). In a CSV file it would be in the way.
    """
    response = _csv(head, rows, tail) if form == CSV else _xlsx(head, rows, tail, above)
    name = f"{name} {timezone.localdate():%Y-%m-%d}.{form}"
    response["Content-Disposition"] = content_disposition_header(True, name) or ""
    response["Cache-Control"] = "private, no-store"
    return response


def _logged(name: str, value: str) -> list[str | None] | None:
    """Searched words may hold a name or a number that the log must not repeat."""
    return None if name == "q" else [None, value[:100]]


def _ordered(queryset: QuerySet[Any], columns: list[Column], sort: str) -> QuerySet[Any]:
    prefetched = [column.name for column in columns if column.field.many_to_many]
    sign = "-" if sort.startswith("-") else ""
    return queryset.prefetch_related(*prefetched).order_by(sort, f"{sign}pk")


def _rows(queryset: QuerySet[Any], columns: list[Column]) -> Iterator[list[Any]]:
    readers = [_reader(column) for column in columns]
    for record in queryset.iterator(chunk_size=CHUNK):
        yield [read(record) for read in readers]


def _reader(column: Column) -> Any:
    """Numbers and days as themselves, everything else as harmless text; labels looked up once."""
    labels = {value: str(label) for value, label in getattr(column.field, "flatchoices", ())}
    read = column.read

    def cell(record: Any) -> Any:
        value = read(record)
        if value is None or value == "":
            return ""
        if isinstance(value, dt.datetime):
            return timezone.localtime(value).replace(tzinfo=None, microsecond=0)
        if isinstance(value, bool) or not isinstance(value, int | Decimal | dt.date):
            return safe_text(_words(value, labels))
        return value

    return cell


def _words(value: Any, labels: dict[Any, str]) -> str:
    if isinstance(value, list):
        return "\n".join(str(item) for item in value)
    return labels.get(value) or str(value)


def safe_text(text: str) -> str:
    """The text, with an apostrophe before what a spreadsheet program might calculate."""
    return f"'{text}" if text.lstrip(" \u3000").startswith(FORMULA_STARTS) else text


class _Echo:
    """A file that hands each line on instead of keeping it."""

    def write(self, line: str) -> str:
        return line


def _csv(head: list[str], rows: Iterable[list[Any]], tail: Sequence[str]) -> HttpResponseBase:
    # Quoted throughout: where ";" separates, an unquoted one within a text would begin a cell.
    writer = csv.writer(_Echo(), quoting=csv.QUOTE_NONNUMERIC)
    # The lines leave after the request is over, when its language is gone.
    language = translation.get_language()

    def lines() -> Iterator[str]:
        yield BOM + writer.writerow([safe_text(label) for label in head])
        rest = iter(rows)
        while True:
            with translation.override(language):
                row = next(rest, None)
                line = "" if row is None else writer.writerow([_plain(value) for value in row])
            if row is None:
                break
            yield line
        if tail:
            yield writer.writerow(tail)

    return StreamingHttpResponse(_blocks(lines()), content_type="text/csv; charset=utf-8")


def _plain(value: Any) -> Any:
    """Decimals unquoted like all numbers; times to the minute."""
    if isinstance(value, Decimal):
        return _Number(value)
    if isinstance(value, dt.datetime):
        return value.strftime("%Y-%m-%d %H:%M")
    return value


class _Number(float):
    """A decimal that the csv module takes for a number and writes with all its digits."""

    def __new__(cls, value: Decimal) -> _Number:
        number = super().__new__(cls, value)
        number.text = format(value, "f")
        return number

    text: str

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__


def _blocks(lines: Iterator[str], size: int = 64 * 1024) -> Iterator[bytes]:
    """Lines gathered: one write to the network for every line would cost more than making it."""
    block: list[str] = []
    length = 0
    for line in lines:
        block.append(line)
        length += len(line)
        if length >= size:
            yield "".join(block).encode()
            block, length = [], 0
    yield "".join(block).encode()


def _xlsx(
    head: list[str], rows: Iterable[list[Any]], tail: Sequence[str], above: Sequence[tuple[str, str]]
) -> HttpResponseBase:
    file = tempfile.NamedTemporaryFile(suffix=".xlsx")  # noqa: SIM115  (the response closes it)
    options = {
        "constant_memory": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "in_memory": False,
    }
    with xlsxwriter.Workbook(file.name, options) as workbook:
        sheet = workbook.add_worksheet()
        bold = workbook.add_format({"bold": True})
        day = workbook.add_format({"num_format": "yyyy-mm-dd"})
        minute = workbook.add_format({"num_format": "yyyy-mm-dd hh:mm"})
        for line, (label, words) in enumerate(above):
            sheet.write_string(line, 0, safe_text(label), bold)
            sheet.write_string(line, 1, safe_text(words))
        top = len(above) + 1 if above else 0
        sheet.freeze_panes(top + 1, 0)
        sheet.set_column(0, len(head) - 1, 16)
        for at, label in enumerate(head):
            sheet.write_string(top, at, safe_text(label), bold)
        line = top
        for line, row in enumerate(rows, start=top + 1):
            for at, value in enumerate(row):
                if value == "":
                    continue
                if isinstance(value, str):
                    sheet.write_string(line, at, value)
                elif isinstance(value, dt.datetime):
                    sheet.write_datetime(line, at, value, minute)
                elif isinstance(value, dt.date):
                    sheet.write_datetime(line, at, value, day)
                else:
                    sheet.write_number(line, at, value)
        for text in tail:
            sheet.write_string(line + 1, 0, text)
    file.seek(0)
    return FileResponse(file, content_type=XLSX_TYPE)
