"""Cells of statistics, and what the nightly recount found."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from programs.models.unit import PathField, Unit


class Statistic(models.Model):
    """The figures of one unit, month and indicator, recomputed from the records and never incremented.

    `own`: records led by the unit itself. `total`: records led by the unit or a unit below it, in the boundaries of
    the month. `own_joint` and `total_joint`: records led from outside (of the unit, of its subtree) in which it, or a
    unit below it, was a joint unit; each record once. A part of an indicator
    (`programs.registry.Part`) has cells of its own. A cell of nothing but zeros does not exist.
    """

    # Found by the unique constraint; an index of its own would only cost every write.
    unit = models.ForeignKey(Unit, models.CASCADE, related_name="+", db_constraint=False, db_index=False)
    path = PathField(max_length=200)  # where the unit stood in that month
    month = models.DateField()
    indicator = models.CharField(max_length=100)
    own = models.DecimalField(max_digits=18, decimal_places=2, default=0)
    total = models.DecimalField(max_digits=18, decimal_places=2, default=0)
    own_joint = models.DecimalField(max_digits=18, decimal_places=2, default=0)
    total_joint = models.DecimalField(max_digits=18, decimal_places=2, default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["unit", "month", "indicator"], name="statistic_once"),
            models.CheckConstraint(
                name="statistic_not_negative",
                condition=Q(own__gte=0, own_joint__gte=0, total__gte=0, total_joint__gte=0),
            ),
            models.CheckConstraint(
                name="statistic_not_all_zero",
                condition=~Q(own=0, own_joint=0, total=0, total_joint=0),
            ),
        ]
        indexes = [models.Index(fields=["month", "path"], name="statistic_month_path")]

    def __str__(self) -> str:
        return f"{self.path} {self.month:%Y-%m} {self.indicator}: {self.total}"


class Freshness(models.Model):
    """One row: every record committed before this moment is in the cells ("as of"), counted as `declared` says."""

    refreshed_at = models.DateTimeField(null=True)
    # Of the indicators that the cells were counted by: see reporting.statistics.fingerprint.
    declared = models.CharField(max_length=64, default="", blank=True)

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
