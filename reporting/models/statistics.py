"""Cells of statistics, and what the nightly recount found."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from programs.models.unit import PathField, Unit
from reporting.numbers import NoneNegative, NumbersField

COLUMNS = ("own", "total", "own_joint", "total_joint")


class UnitMonth(models.Model):
    """The cells of one unit, month and kind of record, recomputed from the records and never incremented.

    `own`: records led by the unit itself. `total`: records led by the unit or a unit below it, in the boundaries of
    the month. `own_joint` and `total_joint`: records led from outside (of the unit, of its subtree) in which it, or a
    unit below it, was a joint unit; each record once. Each holds a number for every indicator of the kind, and every
    part of one (`programs.registry.Part`), at the places that `Freshness.places` tells.

    One row for all of them: a row for each made three rows of every record, which took thirty times as long to count
    as the records themselves.
    """

    # Found by the unique constraint; an index of its own would only cost every write.
    unit = models.ForeignKey(Unit, models.CASCADE, related_name="+", db_constraint=False, db_index=False)
    path = PathField(max_length=200)  # where the unit stood in that month
    parent_id = models.BigIntegerField(null=True)  # the last but one of the path
    month = models.DateField()
    kind = models.CharField(max_length=50)
    own = NumbersField(null=True)
    total = NumbersField(null=True)
    own_joint = NumbersField(null=True)
    total_joint = NumbersField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["unit", "month", "kind"], name="unit_month_once"),
            *(
                models.CheckConstraint(
                    name=f"unit_month_{name}_not_negative", condition=NoneNegative(F(name))
                )
                for name in COLUMNS
            ),
            models.CheckConstraint(
                name="unit_month_not_all_zero",
                condition=~Q(own=None, own_joint=None, total=None, total_joint=None),
            ),
        ]
        # The units right below one, to be added up.
        indexes = [models.Index(fields=["parent_id", "month"], name="unit_month_below")]

    def __str__(self) -> str:
        return f"{self.path} {self.month:%Y-%m} {self.kind}: {self.total}"


class Freshness(models.Model):
    """One row: every record committed before this moment is in the cells ("as of"), counted as `declared` says."""

    refreshed_at = models.DateTimeField(null=True)
    # Of the indicators that the cells were counted by: see reporting.statistics.fingerprint.
    declared = models.CharField(max_length=64, default="", blank=True)
    # {kind: [code of the indicator whose number stands first, second, …]}. A place is never given to another indicator,
    # so that cells counted before an update of the portal still mean what they meant.
    places = models.JSONField(default=dict)

    def __str__(self) -> str:
        return f"{self.refreshed_at}"


class Reconciliation(models.Model):
    """One recount of everything against the cells; a difference is an alarm."""

    at = models.DateTimeField(_("time"), default=timezone.now)
    cells = models.PositiveIntegerField(_("cells compared"))
    differences = models.PositiveIntegerField(_("differences"))
    # Months whose records never rested long enough to be compared.
    busy_months = models.PositiveSmallIntegerField(_("months not compared"), default=0)
    # At most 100: [unit id, month, indicator, column, cell, recount]
    examples = models.JSONField(default=list)

    class Meta:
        ordering = ["-at"]

    def __str__(self) -> str:
        return f"{self.at}: {self.differences}"
