"""How a record is told to a reader: its title, its fields in words, and what happened to it.

Everything here has passed through `programs.disclosure`: templates only print it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.db.models import Field
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext

from programs import registry
from programs.access import Actor
from programs.attachments import attachment_class
from programs.disclosure import disclosure_of, disclosure_of_class, read_as
from programs.models.audit import AuditEvent
from programs.models.record import Record
from programs.models.unit import Unit
from programs.origins import Origin, origin_of
from programs.registry import RecordKind
from programs.roles import Disclosure
from programs.templatetags.portal import grouped

MOST_EVENTS = 50

Fact = tuple[Any, Any, bool]  # label, value, withheld


def title_of(record: Record, actor: Actor) -> str:
    """What the record is called, as `actor` may read it; its number if that is nothing."""
    kind = registry.kind_of(record)
    title_field = kind.field(kind.title)
    disclosure = disclosure_of(title_field, actor, record)
    title = (
        ""
        if disclosure is Disclosure.WITHHELD
        else read_as(title_field, value_of(record, title_field), disclosure)
    )
    return str(title or _("No. %(number)d") % {"number": record.pk})


def value_of(record: Record, field: Any) -> Any:
    """The field's value; for joint units their list."""
    return list(getattr(record, field.name).all()) if field.many_to_many else getattr(record, field.name)


def shown(field: Any, value: Any) -> Any:
    """A readable value in words: labels of choices, yes and no, days and times, numbers with separators."""
    if value is None or value == "":
        return ""
    if getattr(field, "choices", None):
        return str(dict(field.flatchoices).get(value, value))
    if isinstance(value, bool):
        return _("Yes") if value else _("No")
    if isinstance(value, dt.datetime):
        return timezone.localtime(value).strftime("%Y-%m-%d %H:%M")
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, int | Decimal):
        return grouped(Decimal(value))
    if isinstance(value, list):
        return "\n".join(str(item) for item in value)
    return str(value)


def label_of(kind: RecordKind, name: str) -> Any:
    """The form's own words for a field where it has any ("Set up on" for a carrier's date)."""
    labels = getattr(kind.form, "Meta", None) and getattr(kind.form.Meta, "labels", None)  # type: ignore[attr-defined]
    return (labels or {}).get(name) or kind.field(name).verbose_name


def form_fields(kind: RecordKind) -> list[str]:
    """What a person fills in, in the order of the form."""
    return [name for name in kind.form.base_fields if _is_field(kind, name) and kind.field(name).editable]


def _is_field(kind: RecordKind, name: str) -> bool:
    return any(f.name == name for f in (*kind.model._meta.concrete_fields, *kind.model._meta.many_to_many))


def facts_of(record: Record, actor: Actor) -> list[Fact]:
    """Every field of the record: [(label, value, withheld), …]."""
    kind = registry.kind_of(record)
    names = [*form_fields(kind), "created_by", "created_at"]
    return [_fact(kind, record, name, actor) for name in names]


def _fact(kind: RecordKind, record: Record, name: str, actor: Actor) -> Fact:
    column = kind.field(name)
    disclosure = disclosure_of(column, actor, record)
    return (
        label_of(kind, name),
        told(column, value_of(record, column), disclosure),
        disclosure is Disclosure.WITHHELD,
    )


def told(column: Any, value: Any, disclosure: Disclosure) -> Any:
    """`value` in words, or masked, or withheld."""
    if disclosure is Disclosure.CLEAR:
        return shown(column, value)
    return read_as(column, value, disclosure)


@dataclass(frozen=True)
class Column:
    """A column of a list or a file, with how this reader reads it: reveals open single records, not lists."""

    name: str
    label: Any
    field: Field[Any, Any]
    disclosure: Disclosure

    @property
    def is_number(self) -> bool:
        numeric = self.field.get_internal_type() in NUMERIC and not getattr(self.field, "choices", None)
        return numeric and self.disclosure is Disclosure.CLEAR

    def read(self, record: Record) -> Any:
        """The value itself, or its masked text."""
        return read_as(self.field, value_of(record, self.field), self.disclosure)

    def tell(self, record: Record) -> Any:
        return told(self.field, value_of(record, self.field), self.disclosure)


NUMERIC = {
    "BigIntegerField",
    "DecimalField",
    "FloatField",
    "IntegerField",
    "PositiveBigIntegerField",
    "PositiveIntegerField",
    "PositiveSmallIntegerField",
    "SmallIntegerField",
}


def columns_of(kind: RecordKind, names: Iterable[str], actor: Actor) -> list[Column]:
    return [
        Column(name, label_of(kind, name), kind.field(name), disclosure_of(kind.field(name), actor))
        for name in names
    ]


# --- what happened -------------------------------------------------------------------------------------------------

WORDS = {
    "create": gettext_lazy("Entered"),
    "change": gettext_lazy("Changed"),
    "remove": gettext_lazy("Removed"),
    "restore": gettext_lazy("Restored"),
    "reveal": gettext_lazy("Masked fields opened"),
    "attach": gettext_lazy("File added"),
    "detach": gettext_lazy("File removed"),
    "reattach": gettext_lazy("File restored"),
    "take_back": gettext_lazy("Brought back to what it was before the spreadsheet"),
}


@dataclass
class Event:
    at: dt.datetime
    who: str
    what: Any
    reason: str = ""
    # (field, before, after)
    changes: list[tuple[Any, Any, Any]] = field(default_factory=list)
    url: str = ""


def timeline_of(record: Record, actor: Actor) -> list[Event]:
    """What was done to the record, newest first, read as `actor` reads its fields today."""
    kind = registry.kind_of(record)
    events = list(
        AuditEvent.objects.filter(
            object_type=record._meta.label_lower, object_pk=str(record.pk), outcome=AuditEvent.Outcome.DONE
        )[:MOST_EVENTS]
    )
    units = _names_of_units(events)
    told_events = [_told_event(kind, record, event, actor, units) for event in events]
    if record.upload_id is not None and len(events) < MOST_EVENTS:
        told_events.append(_brought(record, actor))  # the log tells of all rows at once, not of this one
    return told_events


def _brought(record: Record, actor: Actor) -> Event:
    origin = origin_of(record.upload_id, actor) if record.upload_id is not None else None
    words = (
        _("Entered from a spreadsheet (row %(row)d of %(file)s)")
        if origin
        else _("Entered from a spreadsheet (row %(row)d)")
    )
    what = words % {"row": record.upload_row or 0, "file": origin.name if origin else ""}
    person = record.created_by
    return Event(
        record.created_at, f"{person.name} ({person.username})", what, url=origin.url if origin else ""
    )


def _told_event(
    kind: RecordKind, record: Record, event: AuditEvent, actor: Actor, units: dict[str, str]
) -> Event:
    verb = event.action.rpartition(".")[2]
    told_changes = []
    if verb != "create":  # a new record's fields are its facts
        told_changes = [
            _told_change(kind, record, name, change, actor, units) for name, change in event.changes.items()
        ]
    # The reason of a reveal tells of what was looked up: it stays with the log.
    reason = event.reason if verb == "remove" else ""
    what, url = kind.verbs.get(verb) or WORDS.get(verb, verb), ""
    if verb == "change" and event.upload_id is not None:
        what, url = _changed_by(origin_of(event.upload_id, actor))
    return Event(event.at, event.actor_name or str(kind.nobody), what, reason, told_changes, url)


def _changed_by(origin: Origin | None) -> tuple[str, str]:
    if origin is None:
        return _("Changed from a spreadsheet"), ""
    return _("Changed from a spreadsheet (%(file)s)") % {"file": origin.name}, origin.url


def _told_change(
    kind: RecordKind, record: Record, name: str, change: list[Any] | None, actor: Actor, units: dict[str, str]
) -> tuple[Any, Any, Any]:
    if name == "files":
        before, after = change or [None, None]
        if disclosure_of_class(attachment_class(kind), actor, record) is not Disclosure.CLEAR:
            before = after = pgettext("value", "not shown")
        return _("Photos and files"), before, after
    if not _is_field(kind, name):
        return name, "", ""
    column = kind.field(name)
    disclosure = disclosure_of(column, actor, record)
    before, after = change or [None, None]
    if change is None or disclosure is Disclosure.WITHHELD:
        unsaid = pgettext("value", "not shown")
        return label_of(kind, name), unsaid, unsaid
    if name == "joint_units":
        before, after = ([units.get(code, code) for code in codes or []] for codes in (before, after))
    return label_of(kind, name), told(column, before, disclosure), told(column, after, disclosure)


def _names_of_units(events: Iterable[AuditEvent]) -> dict[str, str]:
    """The log names joint units by code."""
    changes = [change for event in events if (change := event.changes.get("joint_units"))]
    codes = {code for change in changes for side in change for code in side or []}
    return dict(Unit.objects.filter(code__in=codes).values_list("code", "name")) if codes else {}
