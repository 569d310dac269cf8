"""Units as sheets name them: by code or name, alone or after the units above it."""

from __future__ import annotations

import datetime as dt
import re

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from programs.access import Actor, units_for
from programs.models.unit import Unit
from programs.roles import Permission
from reporting.uploads.words import listed, plain

SEPARATORS = re.compile(r"[、,，;；\n\r/|]+")


class UnitNames:
    """The units that `by` may name: records are brought for some of them, joint may be any open one of the district.

    Two queries, however many rows.
    """

    def __init__(self, by: Actor) -> None:
        seen = units_for(by, Permission.UNIT_VIEW) | units_for(by, Permission.RECORD_BRING)
        self.by_id = {unit.pk: unit for unit in seen.defer("pinyin", "initials")}
        self.brought = set(units_for(by, Permission.RECORD_BRING).values_list("pk", flat=True))
        self._by_name: dict[str, list[Unit]] = {}
        for unit in self.by_id.values():
            for word in {plain(unit.code), plain(unit.name)}:
                self._by_name.setdefault(word, []).append(unit)
        self._leads: dict[str, list[Unit]] = {}
        self._joint: dict[str, tuple[Unit, ...]] = {}

    def leads(self, text: str) -> list[Unit]:
        """The units that records may be brought for and that the text may mean; several where they share a name."""
        if text not in self._leads:
            self._leads[text] = self._named(text, for_records=True)
        return self._leads[text]

    def joint(self, text: str) -> tuple[Unit, ...]:
        """The units named in the text, each once, in the order of their ids."""
        if text not in self._joint:
            pieces = [piece.strip() for piece in SEPARATORS.split(text) if piece.strip()]
            found = {unit.pk: unit for piece in pieces for unit in self._joint_units(piece)}
            self._joint[text] = tuple(found[pk] for pk in sorted(found))
        return self._joint[text]

    def _joint_units(self, piece: str) -> list[Unit]:
        if not self._candidates(piece) and len(parts := piece.split()) > 1:
            return [unit for part in parts for unit in self._joint_units(part)]
        found = self._named(piece, for_records=False)
        standing = [unit for unit in found if unit.is_open]
        if not standing:
            raise self._gone(found[0])
        return [one_of(standing, None)]

    def _named(self, text: str, *, for_records: bool) -> list[Unit]:
        found = self._candidates(text)
        if not found:
            raise ValidationError(
                _("There is no unit “%(value)s” here; write its full name or its code."),
                code="no_unit",
                params={"value": text[:40]},
            )
        reached = [unit for unit in found if unit.pk in self.brought] if for_records else found
        if not reached:
            raise ValidationError(
                _("You cannot enter records for %(unit)s."),
                code="out_of_reach",
                params={"unit": found[0].name},
            )
        return reached

    def _candidates(self, text: str) -> list[Unit]:
        word = plain(text)
        return self._by_name.get(word) or [unit for unit in self.by_id.values() if self._is_full(word, unit)]

    def _is_full(self, word: str, unit: Unit) -> bool:
        """Whether the word is the unit's name after those of units above it: 海门街道城隍浦社区."""
        name = plain(unit.name)
        if not word.endswith(name):
            return False
        rest = word.removesuffix(name)
        for pk in unit.ancestor_ids:
            if pk in self.by_id:
                rest = rest.removeprefix(plain(self.by_id[pk].name))
        return not rest

    def _gone(self, unit: Unit) -> ValidationError:
        into = self.by_id.get(unit.merged_into_id) if unit.merged_into_id else None
        if into is not None:
            return ValidationError(
                _("%(unit)s was merged into %(other)s on %(date)s; name that unit."),
                code="merged",
                params={"unit": unit.name, "other": into.name, "date": unit.closed_on},
            )
        return ValidationError(
            _("%(unit)s was closed on %(date)s."),
            code="closed",
            params={"unit": unit.name, "date": unit.closed_on},
        )


def one_of(units: list[Unit], day: dt.date | None) -> Unit:
    """The unit that is meant: of several with one name the one that existed on the day."""
    if len(units) == 1:
        return units[0]
    standing = [unit for unit in units if _existed(unit, day)]
    if len(standing) == 1:
        return standing[0]
    raise ValidationError(
        _("Several units are called %(unit)s; write the code: %(codes)s."),
        code="several",
        params={"unit": units[0].name, "codes": listed(unit.code for unit in units[:5])},
    )


def _existed(unit: Unit, day: dt.date | None) -> bool:
    if day is None:
        return unit.is_open
    return unit.opened_on <= day and (unit.closed_on is None or day <= unit.closed_on)
