"""Units: the tree of three tiers, and where each unit stood at any time."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

from programs.pinyin import search_columns


class Tier(models.TextChoices):
    DISTRICT = "district", _("District")
    STREET = "street", _("Street or town")
    COMMUNITY = "community", _("Community or village")


class UnitKind(models.TextChoices):
    DISTRICT = "district", _("District")
    STREET = "street", _("Street")
    TOWN = "town", _("Town")
    ZONE = "zone", _("Zone or farm")
    COMMUNITY = "community", _("Community")
    VILLAGE = "village", _("Village")
    LEADING_OFFICE = "leading_office", _("Leading-group office")
    DEPARTMENT = "department", _("Department")
    ASSOCIATION = "association", _("Association")
    SCHOOL = "school", _("School")
    ENTERPRISE = "enterprise", _("Enterprise")
    HEALTH_CENTRE = "health_centre", _("Health centre")


STREET_KINDS = (UnitKind.STREET, UnitKind.TOWN, UnitKind.ZONE)
COMMUNITY_KINDS = (UnitKind.COMMUNITY, UnitKind.VILLAGE)
# Kinds that make up the three tiers; every other kind attaches to a unit of the tier it serves.
TERRITORIAL_KINDS = (UnitKind.DISTRICT, *STREET_KINDS, *COMMUNITY_KINDS)


class PathField(models.CharField):
    """Text compared byte by byte, so that a subtree is one index range on every database."""

    def db_parameters(self, connection: BaseDatabaseWrapper) -> Any:
        parameters = super().db_parameters(connection)
        parameters["collation"] = "C" if connection.vendor == "postgresql" else "BINARY"
        return parameters


def subtree(path: str, prefix: str = "") -> Q:
    """The condition for a path that lies at or below `path`; `prefix` reaches it over relations ("unit__")."""
    if not path.endswith("/"):
        raise ValueError(f"a stored path ends with '/': {path!r}")
    # "0" is the character after "/": the half-open range holds exactly what starts with `path`.
    return Q(**{f"{prefix}path__gte": path, f"{prefix}path__lt": f"{path[:-1]}0"})


class UnitQuerySet(models.QuerySet["Unit"]):
    def open(self) -> UnitQuerySet:
        return self.filter(closed_on=None)

    def under(self, unit: Unit) -> UnitQuerySet:
        """`unit` and everything below it, in today's boundaries."""
        return self.filter(subtree(unit.path))

    def matching(self, text: str) -> UnitQuerySet:
        """Units found by code, Chinese name, pinyin or initials ("hmjd" finds 海门街道)."""
        text = text.strip().lower()
        if not text:
            return self
        return self.filter(
            Q(code__istartswith=text)
            | Q(name__icontains=text)
            | Q(pinyin__startswith=text.replace(" ", ""))
            | Q(initials__startswith=text)
        )


class Unit(models.Model):
    """A node of the hierarchy: a district, street, community, or a body that attaches to one of them.

    `path` is "/1/4/17/": the ids from the root down to this unit, in today's boundaries. What was true in the past
    stands in `Placement`. Units are changed through `programs.actions.units` only.
    """

    code = models.CharField(_("code"), max_length=20, unique=True)
    name = models.CharField(_("name"), max_length=100)
    tier = models.CharField(_("tier"), max_length=10, choices=Tier.choices)
    kind = models.CharField(_("kind"), max_length=15, choices=UnitKind.choices)
    parent = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, related_name="children", verbose_name=_("parent unit")
    )
    path = PathField(_("path"), max_length=200, db_index=True, editable=False)
    pinyin = models.CharField(max_length=400, db_index=True, editable=False)
    initials = models.CharField(max_length=100, db_index=True, editable=False)
    opened_on = models.DateField(_("opened on"))
    closed_on = models.DateField(_("closed on"), null=True, blank=True)
    # A merged unit stays, closed, and points at the unit that carries on its work.
    merged_into = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, related_name="merged", verbose_name=_("merged into")
    )

    objects = UnitQuerySet.as_manager()

    class Meta:
        verbose_name = _("unit")
        verbose_name_plural = _("units")
        ordering = ["code"]
        constraints = [
            models.CheckConstraint(
                name="unit_tier_matches_kind",
                condition=(
                    Q(kind=UnitKind.DISTRICT, tier=Tier.DISTRICT)
                    | Q(kind__in=STREET_KINDS, tier=Tier.STREET)
                    | Q(kind__in=COMMUNITY_KINDS, tier=Tier.COMMUNITY)
                    | ~Q(kind__in=TERRITORIAL_KINDS)
                ),
                violation_error_message=_("This kind of unit does not belong to this tier."),
            ),
            models.CheckConstraint(
                name="unit_only_districts_are_roots",
                condition=Q(kind=UnitKind.DISTRICT, parent=None)
                | (~Q(kind=UnitKind.DISTRICT) & Q(parent__isnull=False)),
                violation_error_message=_("A district has no parent; every other unit has one."),
            ),
            models.CheckConstraint(
                name="unit_is_not_its_own_parent",
                condition=Q(parent=None) | ~Q(parent=F("id")),
                violation_error_message=_("A unit cannot be its own parent."),
            ),
            models.CheckConstraint(
                name="unit_closes_after_it_opens",
                condition=Q(closed_on=None) | Q(closed_on__gte=F("opened_on")),
                violation_error_message=_("A unit cannot close before it opened."),
            ),
            models.CheckConstraint(
                name="unit_merged_units_are_closed",
                condition=Q(merged_into=None) | Q(closed_on__isnull=False),
                violation_error_message=_("A merged unit is closed."),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.set_search_columns()
        super().save(*args, **kwargs)

    def set_search_columns(self) -> None:
        self.pinyin, self.initials = search_columns(self.name)

    @property
    def is_open(self) -> bool:
        return self.closed_on is None

    def was_open_in(self, month: dt.date) -> bool:
        """Whether it was open on any day of the month."""
        first, after = month_bounds(month)
        return self.opened_on < after and (self.closed_on is None or self.closed_on >= first)

    @property
    def is_territorial(self) -> bool:
        return self.kind in TERRITORIAL_KINDS

    @property
    def ancestor_ids(self) -> list[int]:
        """Ids from the root down to the parent."""
        return path_ids(self.path)[:-1]

    @property
    def root_id(self) -> int:
        return path_ids(self.path)[0]

    def contains(self, other: Unit) -> bool:
        """Whether `other` is this unit or lies below it, in today's boundaries."""
        return other.path.startswith(self.path)


def path_ids(path: str) -> list[int]:
    """[1, 4, 17] for "/1/4/17/"."""
    return [int(part) for part in path.strip("/").split("/") if part]


class PlacementQuerySet(models.QuerySet["Placement"]):
    def in_month(self, month: dt.date) -> PlacementQuerySet:
        """Placements that held at any time of the month; the last of a unit is the month's boundary."""
        first, after = month_bounds(month)
        return self.filter(Q(valid_to=None) | Q(valid_to__gt=first), valid_from__lt=after)


class Placement(models.Model):
    """Under which name and parent a unit stood from `valid_from` until before `valid_to`.

    Statistics of a month use the latest placement that overlaps it, so that reports keep the boundaries of their time.
    """

    unit = models.ForeignKey(Unit, models.CASCADE, related_name="placements")
    name = models.CharField(max_length=100)
    parent = models.ForeignKey(Unit, models.PROTECT, null=True, related_name="+")
    path = PathField(max_length=200, db_index=True)
    valid_from = models.DateField()
    valid_to = models.DateField(null=True)

    objects = PlacementQuerySet.as_manager()

    class Meta:
        ordering = ["unit_id", "valid_from"]
        constraints = [
            models.UniqueConstraint(fields=["unit", "valid_from"], name="placement_starts_once"),
            models.UniqueConstraint(
                fields=["unit"], condition=Q(valid_to=None), name="placement_one_is_current"
            ),
            models.CheckConstraint(
                name="placement_ends_after_start",
                condition=Q(valid_to=None) | Q(valid_to__gt=F("valid_from")),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.valid_from}–{self.valid_to or ''}"


def month_of(day: dt.date) -> dt.date:
    """The first day of the month of `day`: how the portal names a month."""
    return dt.date(day.year, day.month, 1)


def month_bounds(month: dt.date) -> tuple[dt.date, dt.date]:
    """The first day of the month and the first day of the next."""
    first = month_of(month)
    after = dt.date(first.year + first.month // 12, first.month % 12 + 1, 1)
    return first, after
