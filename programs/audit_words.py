"""The audit log in words: what was done, to what, and what changed, as the reader of the log may see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Model, Q
from django.utils.text import get_text_list
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from programs import registry
from programs.access import Actor
from programs.disclosure import masked
from programs.field_classes import C2, C4, class_of, mask_of
from programs.models.audit import AuditEvent
from programs.models.people import Grant, User
from programs.models.record import Record
from programs.registry import RecordKind, Text
from programs.roles import ROLES, Disclosure

ACTIONS: dict[str, Text] = {
    "sign_in": gettext_lazy("Signed in"),
    "sign_in.failed": gettext_lazy("Sign-in refused: name or password not right"),
    "sign_in.locked": gettext_lazy("Sign-in refused: locked after wrong passwords"),
    "sign_in.code_failed": gettext_lazy("Sign-in refused: code not right"),
    "sign_out": gettext_lazy("Signed out"),
    "account.password": gettext_lazy("Changed own password"),
    "account.confirm": gettext_lazy("Own password not right"),
    "account.language": gettext_lazy("Chose a language"),
    "account.switch_unit": gettext_lazy("Went on to work for another unit"),
    "account.second_factor_on": gettext_lazy("Switched the second factor on"),
    "account.second_factor_off": gettext_lazy("Switched the second factor off"),
    "account.recovery_codes": gettext_lazy("Made new recovery codes"),
    "person.create": gettext_lazy("Created an account"),
    "person.change": gettext_lazy("Changed an account"),
    "person.deactivate": gettext_lazy("Closed an account"),
    "person.reactivate": gettext_lazy("Reopened an account"),
    "person.reset_password": gettext_lazy("Set a new password"),
    "person.reset_second_factor": gettext_lazy("Took away a second factor"),
    "person.unlock": gettext_lazy("Opened a lock"),
    "person.end_sessions": gettext_lazy("Signed out everywhere"),
    "person.grant": gettext_lazy("Granted a role"),
    "person.revoke": gettext_lazy("Revoked a role"),
    "people.manage": gettext_lazy("Asked for an account elsewhere"),
    "grant.create": gettext_lazy("Role carried over to the unit that goes on"),
    "grant.revoke": gettext_lazy("Role ended with its unit"),
    "unit.create": gettext_lazy("Created a unit"),
    "unit.load": gettext_lazy("Loaded units from a file"),
    "unit.rename": gettext_lazy("Renamed a unit"),
    "unit.move": gettext_lazy("Moved a unit"),
    "unit.merge": gettext_lazy("Merged units"),
    "unit.close": gettext_lazy("Closed a unit"),
    "unit.reopen": gettext_lazy("Reopened a unit"),
    "audit.export": gettext_lazy("Exported the audit log"),
    "statistics.export": gettext_lazy("Exported statistics"),
    "statistics.save": gettext_lazy("Saved a custom table"),
    "statistics.remove": gettext_lazy("Removed a custom table"),
    "digest.read": gettext_lazy("Put away the reminder of the day"),
    "upload.receive": gettext_lazy("Brought a spreadsheet"),
    "upload.map": gettext_lazy("Said what the columns of a spreadsheet mean"),
    "upload.confirm": gettext_lazy("Confirmed a spreadsheet"),
    "upload.cancel": gettext_lazy("Cancelled a spreadsheet"),
    "upload.undo": gettext_lazy("Had a spreadsheet taken back"),
    "upload.original": gettext_lazy("Downloaded the original of a spreadsheet"),
    "upload.marked": gettext_lazy("Downloaded a spreadsheet with its mistakes marked"),
}
# What is done to records of any kind; the kind's own name stands in the sentence.
OF_RECORDS: dict[str, Text] = {
    "create": gettext_lazy("%(kind)s: logged"),
    "bring": gettext_lazy("%(kind)s: entered from a spreadsheet"),
    "take_back": gettext_lazy("%(kind)s: spreadsheet taken back"),
    "change": gettext_lazy("%(kind)s: changed"),
    "remove": gettext_lazy("%(kind)s: removed"),
    "restore": gettext_lazy("%(kind)s: restored"),
    "reveal": gettext_lazy("%(kind)s: masked entries revealed"),
    "export": gettext_lazy("%(kind)s: exported"),
    "attach": gettext_lazy("%(kind)s: file added"),
    "detach": gettext_lazy("%(kind)s: file removed"),
    "declare_zero": gettext_lazy("%(kind)s: zero declared for a month"),
    "withdraw_zero": gettext_lazy("%(kind)s: declared zero withdrawn"),
    "record.view": gettext_lazy("%(kind)s: asked to read"),
    "record.write": gettext_lazy("%(kind)s: asked to change"),
    "record.bring": gettext_lazy("%(kind)s: asked to enter from a spreadsheet"),
    "record.export": gettext_lazy("%(kind)s: asked to export"),
    "record.reveal": gettext_lazy("%(kind)s: asked to reveal"),
}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def action_label(code: str) -> str:
    """An action in words; the bare code where nobody gave it any."""
    if code in ACTIONS:
        return str(ACTIONS[code])
    method, _space, page = code.partition(" ")
    if method in ("GET", "HEAD"):
        return _("Asked for the page %(page)s") % {"page": page}
    if method in METHODS:
        return _("Sent something to the page %(page)s") % {"page": page}
    kind, _dot, verb = code.partition(".")
    if verb in OF_RECORDS and kind in (known.code for known in registry.kinds()):
        return str(OF_RECORDS[verb]) % {"kind": registry.kind(kind).label}
    own = next((known for known in registry.kinds() if known.code == kind), None)
    if own is not None and verb in own.verbs:
        return _("%(kind)s: %(verb)s") % {"kind": own.label, "verb": own.verbs[verb]}
    return code


def areas() -> list[tuple[str, Text]]:
    """The actions in groups, for choosing: (code of the group, words)."""
    return [
        ("sign", gettext_lazy("Signing in and out")),
        ("account", gettext_lazy("Own account")),
        ("person", gettext_lazy("Accounts and roles")),
        ("unit", gettext_lazy("Units")),
        *((kind.code, kind.label_plural) for kind in registry.kinds()),
        ("upload", gettext_lazy("Spreadsheets")),
        ("statistics", gettext_lazy("Statistics")),
        ("audit", gettext_lazy("The audit log")),
        ("page", gettext_lazy("Pages that were refused")),
    ]


# How the codes of a group begin, where it is not the group's own and a dot.
BEGINNINGS = {
    "sign": ("sign_",),
    "person": ("person.", "grant.", "people."),
    "page": tuple(f"{method} " for method in METHODS),
}


def of_area(area: str) -> Q:
    condition = Q()
    for beginning in BEGINNINGS.get(area, (f"{area}.",)):
        condition |= Q(action__startswith=beginning)
    return condition


def role_label(roles: str) -> str:
    """The roles of an event ("leader,office") in words."""
    names = [str(ROLES[role].label) if role in ROLES else role for role in roles.split(",") if role]
    return get_text_list(names, _("and"))


# Objects


def type_label(object_type: str) -> str:
    model = model_of(object_type)
    return str(model._meta.verbose_name) if model else object_type


def object_label(event: AuditEvent, actor: Actor) -> str:
    """The object's name, masked where its class asks for it. Names of staff are what an audit log is about."""
    kind = kind_of_type(event.object_type)
    if kind is None or not event.object_label:
        return event.object_label
    return as_disclosed(event.object_label, kind.field(kind.title), actor)


def types_searched_by_name(actor: Actor) -> list[str]:
    """The types whose names the reader sees in the clear: searching others would tell them all the same."""
    of_kinds = [
        kind.model._meta.label_lower
        for kind in registry.kinds()
        if actor.disclosure(class_of(kind.field(kind.title))) is Disclosure.CLEAR
    ]
    return ["programs.user", "programs.unit", *of_kinds]


def kind_of_type(object_type: str) -> RecordKind | None:
    return next((kind for kind in registry.kinds() if kind.model._meta.label_lower == object_type), None)


def model_of(object_type: str) -> type[Model] | None:
    try:
        return apps.get_model(object_type)
    except (LookupError, ValueError):
        return None


# Changes

# What is logged of things that are no fields.
OTHERS: dict[str, Text] = {
    "format": gettext_lazy("Format"),
    "files": gettext_lazy("Files"),
    "q": gettext_lazy("Search"),
}


@dataclass(frozen=True)
class Change:
    label: str
    before: str = ""
    after: str = ""
    # The log holds no values of this field, only that it changed.
    logged: bool = True


def changes_of_event(event: AuditEvent, actor: Actor) -> list[Change]:
    """Field by field, in the classes that the reader may read."""
    changes = []
    for name, values in sorted(event.changes.items()):  # PostgreSQL keeps no order of its own
        field = field_of(event.object_type, name)
        label = str(getattr(field, "verbose_name", "") or OTHERS.get(name, name))
        if not isinstance(values, list) or len(values) != 2:
            changes.append(Change(label, logged=False))
        else:
            before, after = (as_disclosed(readable(value, field), field, actor) for value in values)
            changes.append(Change(label, before, after))
    return changes


def field_of(object_type: str, name: str) -> Any:
    """The model field that a change speaks of; what was granted stands with the person."""
    models = [model_of(object_type), Grant if object_type == User._meta.label_lower else None]
    for model in models:
        if model is None:
            continue
        try:
            return model._meta.get_field(name)
        except FieldDoesNotExist:
            continue
    return None


def as_disclosed(text: str, field: Any, actor: Actor) -> str:
    """The text as `actor` reads fields of this class; units and grants declare none and are no secret."""
    field_class = getattr(field, "field_class", None)
    if field_class is None:
        model = getattr(field, "model", None)
        field_class = C4 if model is not None and issubclass(model, Record) else None
    if field_class is None or not text:
        return text
    disclosure = actor.disclosure(field_class)
    if disclosure is Disclosure.CLEAR:
        return text
    if disclosure is Disclosure.MASKED and field_class <= C2:
        return masked(text, mask_of(field))
    return "—"


def readable(value: Any, field: Any) -> str:
    """A value of the log as the forms show it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return _("Yes") if value else _("No")
    if isinstance(value, list):
        return get_text_list([str(item) for item in value], _("and"))
    choices = dict(getattr(field, "flatchoices", None) or [])
    return str(choices.get(value, value))
