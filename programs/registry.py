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
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from django.core.exceptions import ImproperlyConfigured
from django.db.models import Aggregate, Q
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

if TYPE_CHECKING:
    from programs.forms import RecordForm
    from programs.models.record import Record

Text = str | Promise


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
    HOURS = ("hours", pgettext_lazy("measure", "hours"))  # 小时
    PIECES = ("pieces", pgettext_lazy("measure", "pieces"))  # 个

    def __init__(self, code: str, label: Text) -> None:
        self.code = code
        self.label = label


@dataclass(frozen=True)
class Indicator:
    """A figure made from the records of one kind: `aggregate` over those that pass `filter`.

    `additive` says whether figures of units and months may be added up; a count of distinct people may not.
    """

    code: str
    label: Text
    aggregate: Aggregate
    measure: Measure
    filter: Q | None = None
    additive: bool = True
    description: Text = ""


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
    attachments: ClassVar[bool] = True

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

    def field(self, name: str) -> Any:
        return self.model._meta.get_field(name)

    def indicator(self, code: str) -> Indicator:
        return next(i for i in self.indicators if i.code == code)


_kinds: dict[str, RecordKind] = {}


def register(cls: type[RecordKind]) -> type[RecordKind]:
    """Class decorator: validate the declaration and add the kind to the registry. Duplicate codes raise."""
    kind = cls()
    problems = list(_problems(kind))
    if problems:
        raise ImproperlyConfigured(f"{cls.__name__}: " + "; ".join(problems))
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
    taken = {indicator.code for indicator in indicators()}
    for indicator in kind.indicators:
        if indicator.code in taken:
            yield f"the indicator code '{indicator.code}' is taken"
        taken.add(indicator.code)


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
