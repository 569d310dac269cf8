"""The left menu: built from the declared kinds and the pages each app adds, shown by permission."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.urls import reverse
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from programs import registry
from programs.access import Actor
from programs.registry import Action, Text
from programs.roles import Permission


@dataclass
class Entry:
    label: Text
    url: str
    icon: str
    hue: str = ""
    active: bool = False


@dataclass
class Group:
    label: Text
    entries: list[Entry] = field(default_factory=list)


@dataclass(frozen=True)
class Page:
    """A page with a place in the menu. `section` names the group; pages of other apps register themselves."""

    section: str
    label: Text
    url_name: str
    icon: str
    permission: Permission | None = None


SECTIONS: dict[str, Text] = {
    "home": "",
    **{action.code: action.label for action in Action},
    "spreadsheets": "",
    "statistics": _("Statistics"),
    "supervision": _("Supervision"),
    "administration": _("Units and people"),
}
_pages: list[Page] = []


def add_page(page: Page) -> None:
    if page not in _pages:
        _pages.append(page)


def menu_for(actor: Actor, current_path: str) -> list[Group]:
    """The groups and entries that `actor` may open, the current one marked."""
    groups = []
    for section, label in SECTIONS.items():
        entries = [*_kind_entries(section, actor), *_page_entries(section, actor)]
        if entries:
            groups.append(Group(label, entries))
    every = [entry for group in groups for entry in group.entries]
    here = [e for e in every if current_path == e.url or (e.url != "/" and current_path.startswith(e.url))]
    if here:
        max(here, key=lambda entry: len(entry.url)).active = True
    return groups


def _kind_entries(section: str, actor: Actor) -> list[Entry]:
    if not actor.may(Permission.RECORD_VIEW):
        return []
    return [
        Entry(
            capfirst(str(kind.label_plural)),
            reverse("record_list", args=[kind.code]),
            kind.icon,
            kind.action.hue,
        )
        for kind in registry.kinds()
        if kind.action.code == section
    ]


def _page_entries(section: str, actor: Actor) -> list[Entry]:
    return [
        Entry(page.label, reverse(page.url_name), page.icon)
        for page in _pages
        if page.section == section and (page.permission is None or actor.may(page.permission))
    ]
