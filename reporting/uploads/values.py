"""From what stands in a cell to the value of a field, as leniently as it can be done without guessing.

Every converter takes a cell that is not empty and returns a Python value, or raises a ValidationError with a sentence.
Whether the value is allowed (too long, in the future, not one of the unit's) is for the form to say, not for these.
"""

from __future__ import annotations

import datetime as dt
import math
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.utils import translation
from django.utils.translation import gettext as _

from programs.exports import FORMULA_STARTS
from programs.registry import RecordKind
from programs.sheets import JOINT_UNITS, UNIT
from reporting.uploads.sheet import Cell
from reporting.uploads.units import UnitNames
from reporting.uploads.words import listed, plain

Convert = Callable[[Any], Any]

# What a form strips from the ends of a text, and the invisible characters that other programs leave there.
SPACES = "".join(chr(code) for code in range(0x3001) if chr(code).isspace())
INVISIBLE = f"{SPACES}\u200b\u200c\u200d\ufeff"
# What people write into a cell that has nothing to say. In a text these may be words.
NOTHING = frozenset({"-", "--", "—", "——", "–", "/", "\\", "无", "n/a", "na", "none", "null"})
LONGEST_SHOWN = 40
# Beyond this many digits a number in a sheet has lost the last ones.
EXACT_DIGITS = 15


def is_blank(cell: Cell) -> bool:
    return cell is None or (type(cell) is str and not cell.strip(INVISIBLE))


def is_nothing(cell: Cell) -> bool:
    """Whether a cell of days, numbers or choices says that there is nothing."""
    return type(cell) is str and plain(cell) in NOTHING


def shown(cell: Cell) -> str:
    """The cell in a sentence or a list of problems."""
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 10**EXACT_DIGITS:
        cell = int(cell)
    text = " ".join(str(cell).split())
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"


def refused(sentence: str, cell: Cell, code: str = "invalid", **params: Any) -> ValidationError:
    """`sentence` may name the %(value)s; where the field is sensitive, it is left out again."""
    return ValidationError(sentence, code=code, params={"value": shown(cell), **params})


# --- texts -------------------------------------------------------------------------------------------------------

IN_POWERS = re.compile(r"\d(\.\d+)?E\+\d+", re.IGNORECASE)
BROKEN_LINE = re.compile(r"(.?)\s*[\r\n]+\s*(.?)")


def text(cell: Cell) -> str:
    """A text; numbers as they are shown, without the ".0" that spreadsheets add."""
    if type(cell) is str:
        found = cell.strip(INVISIBLE)
        if found[:1] == "'" and found[1:].lstrip(" \u3000").startswith(FORMULA_STARTS):
            return found[1:]  # our own files write it so
        if "+" in found and IN_POWERS.fullmatch(found):
            raise _digits_lost(cell)
        return found
    if isinstance(cell, bool):
        return str(cell).upper()
    if isinstance(cell, int | float):
        return _digits(cell)
    raise refused(
        _("This cell holds a date or time, not a text: %(value)s. Write the text and format it as text."),
        cell,
    )


def line(cell: Cell) -> str:
    """A text of one line: where the cell was broken to fit its column, the parts are joined."""
    found = text(cell)
    if "\n" in found or "\r" in found:
        found = BROKEN_LINE.sub(lambda at: f"{at[1]}{_between(at[1], at[2])}{at[2]}", found)
    return found


def _between(before: str, after: str) -> str:
    wide = all(unicodedata.east_asian_width(side) in "WF" for side in (before, after) if side)
    return "" if wide else " "


def _digits(cell: int | float) -> str:
    if isinstance(cell, float) and not math.isfinite(cell):
        raise refused(_("“%(value)s” is not a number."), cell)
    if abs(cell) >= 10**EXACT_DIGITS:
        raise _digits_lost(cell)
    return str(int(cell)) if cell == int(cell) else format(cell, ".15g")


def _digits_lost(cell: Cell) -> ValidationError:
    return refused(
        _(
            "This number has more than 15 digits, and the spreadsheet has lost the last ones. Format the column as "
            "text and enter it again."
        ),
        cell,
        code="digits_lost",
    )


# --- numbers -----------------------------------------------------------------------------------------------------

SCALES = {"": 1, "万": 10**4, "亿": 10**8}
NUMBER = re.compile(
    r"[¥$]?\s*(?P<sign>[+-]?)(?P<whole>\d{1,3}(?:,\d{3})+|\d{1,3}(?: \d{3})+|\d+)(?P<part>\.\d+)?"
    r"\s*(?P<scale>[万亿]?)\s*(?:元|人次|人|名|户次|户|场次|场|次|条|件|对|份|期|个|家|小时)?"
)
LONGEST_NUMBER = 40


def number(cell: Cell) -> Decimal:
    """12, １２, 1,200, 1.2万, 3.5 亿元, 120人次."""
    if isinstance(cell, bool):
        raise refused(_("“%(value)s” is not a number."), cell)
    if isinstance(cell, int):
        return Decimal(cell)
    if isinstance(cell, float):
        if not math.isfinite(cell):
            raise refused(_("“%(value)s” is not a number."), cell)
        # As the sheet shows it: 0.1 + 0.2 is 0.3 there.
        return Decimal(format(cell, ".15g"))
    if not isinstance(cell, str):
        raise refused(_("This cell holds a date or time, not a number: %(value)s."), cell)
    written = unicodedata.normalize("NFKC", cell).replace("\u2212", "-").strip(INVISIBLE)
    found = NUMBER.fullmatch(written) if len(written) <= LONGEST_NUMBER else None
    if found is None:
        raise refused(_("“%(value)s” is not a plain number; write digits only, such as 120."), cell)
    digits = re.sub("[, ]", "", found["whole"])
    return Decimal(f"{found['sign']}{digits}{found['part'] or ''}") * SCALES[found["scale"]]


def whole(cell: Cell) -> int:
    found = number(cell)
    if found != found.to_integral_value():
        raise refused(_("“%(value)s” is not a whole number."), cell)
    return int(found)


# --- days --------------------------------------------------------------------------------------------------------

TIME_OF_DAY = re.compile(r"(?:\s*T\s*|\s+)\d{1,2}\s*[:时点]\s*(?:\d{1,2}.*)?$")
WEEKDAY = re.compile(r"\s*\(?(?:星期|礼拜|周)[一二三四五六日天]\)?")
FULL_DATE = re.compile(r"(\d{4})\s*([-/.])\s*(\d{1,2})\s*\2\s*(\d{1,2})")
FULL_DATE_IN_WORDS = re.compile(r"(\d{4})\s*年\s*(\d{1,2})\s*月\s*(\d{1,2})\s*[日号]?")
MONTH_AND_DAY = re.compile(r"(\d{1,2})\s*月\s*(\d{1,2})\s*[日号]?")
COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})")
SEVERAL = re.compile(r"\d\s*[日号]?\s*[~～—–至到、及和]\s*\d|[日号]\s*[-,]\s*\d")
EPOCH, EPOCH_1904 = dt.date(1899, 12, 30), dt.date(1904, 1, 1)
# What a bare number in a column of days may count: from 1990 on in one epoch, until 2099 in the other.
SERIALS = range(32_000, 73_051)


@dataclass
class Days:
    """Reads days. `year` is that of days written without one."""

    year: int | None = None
    epoch_1904: bool = False
    _found: dict[str, dt.date] = field(default_factory=dict)

    def __call__(self, cell: Cell) -> dt.date:
        kind = type(cell)
        if kind is dt.date:
            return cell  # type: ignore[return-value]
        if isinstance(cell, dt.datetime):
            return cell.date()
        if isinstance(cell, str):
            if cell not in self._found:
                self._found[cell] = self._written(cell)
            return self._found[cell]
        if isinstance(cell, int | float) and not isinstance(cell, bool):
            return self._counted(cell)
        raise refused(_("“%(value)s” is not a day; write it as in 2026-03-05."), cell)

    def _counted(self, cell: int | float) -> dt.date:
        number = int(cell) if math.isfinite(cell) else 0
        if number in SERIALS:
            return (EPOCH_1904 if self.epoch_1904 else EPOCH) + dt.timedelta(days=number)
        if number == cell and (found := COMPACT.fullmatch(str(number))):
            return _day(cell, *found.groups())
        raise refused(_("“%(value)s” is not a day; write it as in 2026-03-05."), cell)

    def _written(self, cell: str) -> dt.date:
        written = unicodedata.normalize("NFKC", cell).strip(INVISIBLE)
        written = WEEKDAY.sub("", TIME_OF_DAY.sub("", written)).strip()
        if found := FULL_DATE.fullmatch(written):
            return _day(cell, found[1], found[3], found[4])
        if found := FULL_DATE_IN_WORDS.fullmatch(written) or COMPACT.fullmatch(written):
            return _day(cell, *found.groups())
        if found := MONTH_AND_DAY.fullmatch(written):
            if self.year is None:
                raise refused(_("“%(value)s” names no year; write the day as in 2026-03-05."), cell)
            return _day(cell, str(self.year), *found.groups())
        if SEVERAL.search(written):
            raise refused(_("“%(value)s” names several days; write the first day only."), cell)
        raise refused(_("“%(value)s” is not a day; write it as in 2026-03-05."), cell)


def _day(cell: Cell, year: str, month: str, day: str) -> dt.date:
    try:
        return dt.date(int(year), int(month), int(day))
    except ValueError:
        raise refused(_("There is no such day as “%(value)s”."), cell) from None


# --- choices, yes and no -----------------------------------------------------------------------------------------

YES = frozenset({"是", "有", "对", "√", "✓", "✔", "☑", "y", "yes", "true", "1", "t"})
NO = frozenset({"否", "无", "没有", "不是", "×", "✗", "✘", "x", "n", "no", "false", "0", "f", *NOTHING})
MOST_CHOICES_NAMED = 12


def yes_or_no(cell: Cell) -> bool:
    if isinstance(cell, bool):
        return cell
    word = plain(text(cell))
    if word in YES or word in NO:
        return word in YES
    raise refused(_("“%(value)s” is neither yes nor no."), cell)


def in_every_language(label: Any) -> list[str]:
    """A lazily translated label in each language of the portal."""
    found = []
    for code, _name in settings.LANGUAGES:
        with translation.override(code):
            found.append(str(label))
    return found


def choice(model_field: Any, more: dict[str, list[str]]) -> Convert:
    """Reads a choice by its label in any language, its code, or one of the words that the sheet declares for it."""
    words: dict[str, Any] = {}
    for words_of in (
        lambda code, label: [str(code), *in_every_language(label)],
        lambda code, label: more.get(code, ()),
    ):
        added: dict[str, Any] = {}
        doubtful = set()
        for code, label in model_field.flatchoices:
            for word in map(plain, words_of(code, label)):
                if word and word not in words and added.setdefault(word, code) != code:
                    doubtful.add(word)
        words |= {word: code for word, code in added.items() if word not in doubtful}

    def convert(cell: Cell) -> Any:
        word = plain(text(cell))
        if word in words:
            return words[word]
        labels = [str(label) for code, label in model_field.flatchoices if code not in ("", None)]
        if len(labels) > MOST_CHOICES_NAMED:
            labels = [*labels[:MOST_CHOICES_NAMED], "…"]
        raise refused(_("“%(value)s” is none of the choices: %(choices)s."), cell, choices=listed(labels))

    return remembered(convert)


def remembered(convert: Convert) -> Convert:
    """For columns with few different cells: each is read once."""
    found: dict[Any, Any] = {}

    def convert_once(cell: Any) -> Any:
        key = (type(cell), cell)
        if key not in found:
            found[key] = convert(cell)
        return found[key]

    return convert_once


# --- the converter of a field ------------------------------------------------------------------------------------


@dataclass
class Reading:
    """What the cells of a sheet are read with."""

    units: UnitNames
    days: Days = field(default_factory=Days)


def converter(kind: RecordKind, name: str, form_field: forms.Field, reading: Reading) -> Convert:
    """How the cells of this field are read."""
    model_field = kind.field(name)
    if widget := kind.sheet.widget_of(name):
        return _by_widget(widget)
    if name == UNIT:
        return lambda cell: reading.units.leads(text(cell))
    if name == JOINT_UNITS:
        return lambda cell: reading.units.joint(text(cell))
    if model_field.choices:
        return choice(model_field, kind.sheet.choice_synonyms.get(name, {}))
    match model_field:
        case models.DateTimeField():
            return _by_form(form_field)
        case models.DateField():
            return reading.days
        case models.IntegerField():
            return whole
        case models.DecimalField():
            return number
        case models.FloatField():
            return lambda cell: float(number(cell))
        case models.BooleanField():
            return yes_or_no
        case models.TextField():
            return text
        case models.CharField():
            return line
    return _by_form(form_field)


def is_read_by_form(kind: RecordKind, name: str, form_field: forms.Field) -> bool:
    """Whether the field of the form has seen the value already when it comes out of the converter."""
    known = (
        models.DateField,
        models.IntegerField,
        models.DecimalField,
        models.FloatField,
        models.BooleanField,
        models.TextField,
        models.CharField,
    )
    field_ = kind.field(name)
    return (
        name not in (UNIT, JOINT_UNITS)
        and not kind.sheet.widget_of(name)
        and not field_.choices
        and (not isinstance(field_, known) or isinstance(field_, models.DateTimeField))
    )


def _by_widget(widget: Any) -> Convert:
    def convert(cell: Cell) -> Any:
        try:
            return widget.clean(cell)
        except ValueError as error:
            raise refused("%(problem)s", cell, problem=str(error)) from error

    return convert


def _by_form(form_field: forms.Field) -> Convert:
    """A field of a sort that this module does not know: what a browser would send is what is shown."""

    def convert(cell: Cell) -> Any:
        given = cell if isinstance(cell, dt.datetime | dt.date | dt.time | dt.timedelta) else text(cell)
        return form_field.clean(given)

    return remembered(convert)
