"""Kinds of records: one declaration from which pages, API, spreadsheets and statistics follow.

    @register
    class VisitKind(RecordKind):
        code = "visits"
        model, form = Visit, VisitForm
        action = Action.LISTENING
        columns = ["occurred_on", "unit", "theme", "person_times"]
        indicators = [Indicator("visits.trips", _("Visits"), Count("pk"), measure=Measure.TIMES)]

Every app declares its kinds in `kinds.py`, found by autodiscovery.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from django.core.exceptions import ImproperlyConfigured
from django.db.models import Aggregate, Count, Q, Sum
from django.utils.functional import Promise as LazyText
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from programs.field_classes import C1, C3

if TYPE_CHECKING:
    from programs.access import Actor
    from programs.forms import RecordForm
    from programs.models.record import Record
    from programs.sheets import RecordSheet

Text = str | LazyText


class Action(enum.Enum):
    """The four actions of the programme (四心行动), each with its hue."""

    EDUCATION = ("education", _("Love education"), "rose")
    LISTENING = ("listening", _("Listening visits"), "blue")
    ASSISTANCE = ("assistance", _("Warm assistance"), "amber")
    WELLBEING = ("wellbeing", _("Wellbeing"), "green")

    def __init__(self, code: str, label: Text, hue: str) -> None:
        self.code = code
        self.label = label
        self.hue = hue


class Promise(enum.Enum):
    """The four promises (四有) that the actions serve."""

    CHANNEL = _("A channel to be heard")  # 反映有渠道
    LISTENING = _("Someone listens")  # 倾诉有人听
    HELP = _("Help in hardship")  # 困难有人帮
    RESOLUTION = _("Disputes get resolved")  # 矛盾有人解

    @property
    def label(self) -> Text:
        return self.value


class Measure(enum.Enum):
    """What a figure counts. Figures of different measures are never added up."""

    TIMES = ("times", pgettext_lazy("measure", "times"))  # 次
    PERSON_TIMES = ("person_times", pgettext_lazy("measure", "person-times"))  # 人次
    PEOPLE = ("people", pgettext_lazy("measure", "people"))  # 人
    HOUSEHOLD_TIMES = ("household_times", pgettext_lazy("measure", "household-times"))  # 户次
    HOUSEHOLDS = ("households", pgettext_lazy("measure", "households"))  # 户
    YUAN = ("yuan", pgettext_lazy("measure", "yuan"))  # 元
    ITEMS = ("items", pgettext_lazy("measure", "items"))  # 条
    CASES = ("cases", pgettext_lazy("measure", "cases"))  # 件
    PAIRS = ("pairs", pgettext_lazy("measure", "pairs"))  # 对
    COPIES = ("copies", pgettext_lazy("measure", "copies"))  # 份
    ISSUES = ("issues", pgettext_lazy("measure", "issues"))  # 期
    SESSIONS = ("sessions", pgettext_lazy("measure", "sessions"))  # 场
    DAYS = ("days", pgettext_lazy("measure", "days"))  # 天
    HOURS = ("hours", pgettext_lazy("measure", "hours"))  # 小时
    PIECES = ("pieces", pgettext_lazy("measure", "pieces"))  # 个
    PERCENT = ("percent", "%")  # of derived figures only

    def __init__(self, code: str, label: Text) -> None:
        self.code = code
        self.label = label


class Suppressed(enum.Enum):
    """What stands in place of a figure of few people, so that nobody is recognised."""

    SMALL = "<5"
    WITH_IT = "*"  # it would let a small one be worked out

    def __str__(self) -> str:
        return self.value


FEW = 5
# A figure as it is shown; None: there is no such figure.
Value = Decimal | Suppressed | None


def is_small(value: Value) -> bool:
    return isinstance(value, Decimal) and 0 < value < FEW


def plain(value: Value) -> Decimal | None:
    """For pictures and comparisons: a figure that is not shown is none."""
    return value if isinstance(value, Decimal) else None


@dataclass(frozen=True)
class Indicator:
    """A figure made from the records of one kind: `aggregate` over those that pass `filter`.

    `additive` says whether figures of units and months may be added up; a count of distinct people may not. `splits`
    names fields with choices: the figure is kept for each of their values too (see `Part`). `owner` is the body that
    answers for the definition; the leading-group office where none is named.
    """

    code: str
    label: Text
    aggregate: Aggregate
    measure: Measure
    filter: Q | None = None
    additive: bool = True
    description: Text = ""
    splits: tuple[str, ...] = ()
    owner: Text = ""


@dataclass(frozen=True)
class Part(Indicator):
    """One value of a split: an indicator like any other, with a narrower filter. The parts of a split add up to the
    whole, because a field with choices holds exactly one of them (or nothing, where it may be blank)."""

    whole: str = ""
    field: str = ""
    value: str = ""


def _parts(model: type[Record], indicator: Indicator, name: str) -> list[Part]:
    field: Any = model._meta.get_field(name)
    choices = [*field.flatchoices, *([("", _("Not stated"))] if field.blank else [])]
    narrower = indicator.filter if indicator.filter is not None else Q()
    return [
        Part(
            f"{indicator.code}@{name}={value}",
            label,
            indicator.aggregate,
            indicator.measure,
            narrower & Q(**{name: value}),
            indicator.additive,
            owner=indicator.owner,
            whole=indicator.code,
            field=name,
            value=value,
        )
        for value, label in choices
    ]


@dataclass(frozen=True)
class Derived:
    """A figure made of other figures at reading, stored nowhere. `of` names the indicators it is made of."""

    code: str
    label: Text
    of: tuple[str, ...]
    description: Text = ""
    owner: Text = ""

    # How its formula is written: `sign` between the figures of `of`, `end` after the last.
    sign: ClassVar[str]
    end: ClassVar[str] = ""
    # A rate has no meaning added up over units or months; it is made anew of the added-up figures.
    additive: ClassVar[bool] = False

    def measure_of(self, measures: Sequence[Measure]) -> Measure:
        """Its own measure, from those of `of`; ValueError if these do not go together."""
        raise NotImplementedError

    def value_of(self, values: Sequence[Decimal]) -> Decimal | None:
        """From the values of `of`, in their order; None where there is no such figure (nothing to divide by)."""
        raise NotImplementedError


@dataclass(frozen=True)
class Rate(Derived):
    """The first indicator in percent of the second. The first is the second with a narrower filter, which the registry
    checks: no rate can exceed 100 %."""

    sign, end = "÷", "× 100%"

    def measure_of(self, measures: Sequence[Measure]) -> Measure:
        return Measure.PERCENT

    def value_of(self, values: Sequence[Decimal]) -> Decimal | None:
        part, whole = values
        return _rounded(part * 100 / whole) if whole else None


@dataclass(frozen=True)
class Average(Derived):
    """The first indicator for each one of the second, in the measure of the first."""

    sign = "÷"

    def measure_of(self, measures: Sequence[Measure]) -> Measure:
        return measures[0]

    def value_of(self, values: Sequence[Decimal]) -> Decimal | None:
        amount, number = values
        return _rounded(amount / number) if number else None


@dataclass(frozen=True)
class Total(Derived):
    """Several indicators of one measure added up: 人次 never to 人, 次 never to 件, and no distinct counts."""

    additive: ClassVar[bool] = True

    sign = "+"

    def measure_of(self, measures: Sequence[Measure]) -> Measure:
        if len(set(measures)) != 1:
            raise ValueError("figures of different measures cannot be added up")
        return measures[0]

    def value_of(self, values: Sequence[Decimal]) -> Decimal | None:
        return sum(values, Decimal(0))


def _rounded(value: Decimal) -> Decimal:
    return value.quantize(Decimal("0.1"), ROUND_HALF_UP)


class RecordKind:
    """Declares one kind of record. The registry holds one instance of each subclass."""

    code: ClassVar[str]
    model: ClassVar[type[Record]]
    form: ClassVar[type[RecordForm]]
    action: ClassVar[Action]
    icon: ClassVar[str] = "file-text"
    # The field that names a record to a reader, and links to it in lists.
    title: ClassVar[str]
    columns: ClassVar[list[str]]
    filters: ClassVar[list[str]] = []
    search: ClassVar[list[str]] = []
    sorts: ClassVar[list[str]] = ["occurred_on"]
    indicators: ClassVar[list[Indicator]] = []
    derived: ClassVar[list[Derived]] = []
    # The figures, or parts of them, by which a reader sees a promise kept.
    promises: ClassVar[dict[Promise, list[str]]] = {}
    attachments: ClassVar[bool] = True
    # For kinds whose records have a life of their own. Fields that nobody types and `prepare` sets; relations whose
    # rows are written with a record and go with it (see `created`); words for the verbs of its audit events.
    prepared: ClassVar[list[str]] = []
    belongings: ClassVar[list[str]] = []
    verbs: ClassVar[dict[str, Text]] = {}
    detail_template: ClassVar[str] = "records/detail.html"
    # Who is meant where an event of a record names nobody.
    nobody: ClassVar[Text] = _("Set-up")
    # Its spreadsheet; `register` makes one from the form, and completes one that is declared.
    sheet: ClassVar[type[RecordSheet]]

    @property
    def label(self) -> Text:
        return self.model._meta.verbose_name  # type: ignore[return-value]

    @property
    def label_plural(self) -> Text:
        return self.model._meta.verbose_name_plural  # type: ignore[return-value]

    @property
    def app_label(self) -> str:
        return self.model._meta.app_label

    def __str__(self) -> str:
        return self.code

    @property
    def is_sensitive(self) -> bool:
        """Whether its records tell of illness, counselling and the like: small figures are not for everybody."""
        return any(getattr(field, "field_class", C1) >= C3 for field in self.model._meta.concrete_fields)

    def prepare(self, record: Any) -> None:
        """Set the fields `prepared` from the others: before a record is first checked and written, and again before an
        edit is. Of a row of a spreadsheet only what it names is there, and related rows by primary key."""

    def created(self, by: Actor | None, keys: Sequence[int]) -> None:
        """Write what stands beside new records, in their transaction."""

    def refusal(self, record: Any) -> Text:
        """Why nobody may edit or remove this record by hand any more; empty while they may."""
        return ""

    @property
    def may_refuse(self) -> bool:
        return type(self).refusal is not RecordKind.refusal

    def on_detail_page(self, record: Any, actor: Actor) -> dict[str, Any]:
        """What `detail_template` needs besides; `actions` in it come before those of every record."""
        return {}

    def field(self, name: str) -> Any:
        return self.model._meta.get_field(name)

    def indicator(self, code: str) -> Indicator:
        """The indicator, or part of one, of this code."""
        return next(i for i in self.counted if i.code == code)

    @cached_property
    def declared(self) -> list[Indicator | Derived]:
        """Its indicators and derived figures: what pages show."""
        return [*self.indicators, *self.derived]

    @cached_property
    def counted(self) -> list[Indicator]:
        """Everything that cells are kept of: each indicator, and after it its parts."""
        return [
            counted
            for indicator in self.indicators
            for counted in (indicator, *(p for name in indicator.splits for p in self.parts(indicator, name)))
        ]

    def name_of(self, indicator: Indicator | Derived) -> Text:
        """Its label; of a part, after that of the whole."""
        if not isinstance(indicator, Part):
            return indicator.label
        return format_lazy("{} · {}", self.indicator(indicator.whole).label, indicator.label)

    def parts(self, indicator: Indicator, name: str) -> list[Part]:
        """The parts of the indicator by the values of a field, in the order of its choices."""
        return _parts(self.model, indicator, name)


_kinds: dict[str, RecordKind] = {}


def register(cls: type[RecordKind]) -> type[RecordKind]:
    """Class decorator: validate the declaration and add the kind to the registry. Duplicate codes raise."""
    kind = cls()
    problems = list(_problems(kind)) or list(_unknown_of_promises(kind))
    if problems:
        raise ImproperlyConfigured(f"{cls.__name__}: " + "; ".join(problems))
    from programs.sheets import sheet_of

    cls.sheet = sheet_of(kind)
    _kinds[kind.code] = kind
    return cls


def _problems(kind: RecordKind) -> Iterable[str]:
    for name in ("code", "model", "form", "action", "title", "columns"):
        if not hasattr(kind, name):
            yield f"'{name}' is missing"
            return
    if kind.code in _kinds:
        yield f"the code '{kind.code}' is taken"
    if any(other.model is kind.model for other in _kinds.values()):
        yield f"{kind.model.__name__} has a kind already"
    known = {f.name for f in kind.model._meta.get_fields()}
    for name in [kind.title, *kind.columns, *kind.filters, *kind.search, *kind.sorts]:
        if name not in known:
            yield f"the model has no field '{name}'"
    taken = {figure.code for figure in declared()}
    for figure in kind.declared:
        if figure.code in taken:
            yield f"the indicator code '{figure.code}' is taken"
        taken.add(figure.code)
    for indicator in kind.indicators:
        # Derived figures make averages and rates; the largest of several is no figure that anybody adds up.
        if type(indicator.aggregate) not in (Count, Sum):
            yield f"'{indicator.code}' neither counts nor adds up"
        for name in indicator.splits:
            if name not in known or not getattr(kind.field(name), "choices", None):
                yield f"'{indicator.code}' cannot be split by '{name}', which is no field with choices"
            elif getattr(kind.field(name), "field_class", C1) > C1:
                yield f"'{indicator.code}' cannot be split by '{name}': not everybody who sees figures may read it"


def _unknown_of_promises(kind: RecordKind) -> Iterable[str]:
    known = {figure.code for figure in kind.counted}
    for codes in kind.promises.values():
        yield from (f"a promise names '{code}', which is not counted" for code in codes if code not in known)


def problems_of_derived() -> Iterable[str]:
    """What is wrong with the derived figures, once every kind is known."""
    by_code = {indicator.code: indicator for indicator in indicators()}
    for figure in derived():
        unknown = [code for code in figure.of if code not in by_code]
        if unknown:
            yield f"{figure.code}: there is no indicator {', '.join(unknown)}"
            continue
        parts = [by_code[code] for code in figure.of]
        try:
            figure.measure_of([part.measure for part in parts])
        except ValueError as error:
            yield f"{figure.code}: {error}"
        match figure:
            case Total() if not all(part.additive for part in parts):
                yield f"{figure.code}: a distinct count is never added to another"
            case Rate() if not _is_narrower(*parts):
                yield f"{figure.code}: {figure.of[0]} is no part of {figure.of[1]}"


def _is_narrower(part: Indicator, whole: Indicator) -> bool:
    """Whether every record that counts for `part` counts for `whole`, in the same way."""
    same_kind = any(part in kind.indicators and whole in kind.indicators for kind in kinds())
    same_count = part.aggregate == whole.aggregate and part.measure is whole.measure
    inside = whole.filter is None or (
        part.filter is not None
        and part.filter.connector == Q.AND
        and not part.filter.negated
        and (part.filter == whole.filter or whole.filter in part.filter.children)
    )
    return same_kind and same_count and inside


def kinds() -> list[RecordKind]:
    """Every kind, in the order of the four actions and of declaration."""
    order = list(Action)
    return sorted(_kinds.values(), key=lambda kind: order.index(kind.action))


def kind(code: str) -> RecordKind:
    """The kind of this code; KeyError if there is none."""
    return _kinds[code]


def kind_of(record: Record) -> RecordKind:
    return next(k for k in _kinds.values() if k.model is type(record))


def indicators() -> list[Indicator]:
    return [indicator for kind in kinds() for indicator in kind.indicators]


def with_parts(code: str) -> list[str]:
    """The code of an indicator and those of its parts; of a derived figure its own."""
    parts = [
        part.code
        for kind in kinds()
        for part in kind.counted
        if isinstance(part, Part) and part.whole == code
    ]
    return [code, *parts]


def derived() -> list[Derived]:
    return [figure for kind in kinds() for figure in kind.derived]


def declared() -> list[Indicator | Derived]:
    """Indicators and derived figures, kind by kind."""
    return [figure for kind in kinds() for figure in kind.declared]


def measure_of(figure: Indicator | Derived) -> Measure:
    if isinstance(figure, Indicator):
        return figure.measure
    by_code = {indicator.code: indicator.measure for indicator in indicators()}
    return figure.measure_of([by_code[code] for code in figure.of])


def promises() -> dict[Promise, list[tuple[RecordKind, Indicator]]]:
    """By promise, in their order, the figures that show it; empty when no kind serves any."""
    found = {
        promise: [(kind, kind.indicator(code)) for kind in kinds() for code in kind.promises.get(promise, ())]
        for promise in Promise
    }
    return found if any(found.values()) else {}
