"""Declared zeros: "this unit did nothing of this kind in this month", said by a person and never guessed."""

from __future__ import annotations

import datetime as dt

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from programs.models.unit import Unit


class ZeroQuerySet(models.QuerySet["ZeroReport"]):
    def standing(self) -> ZeroQuerySet:
        return self.filter(withdrawn_at=None)

    def of(self, unit: Unit, kind: str, month: dt.date) -> ZeroQuerySet:
        return self.filter(unit=unit, kind=kind, month=month)


class ZeroReport(models.Model):
    """A zero that `unit` declared for records of `kind` in a month. It speaks of the unit itself, not of those below.

    A record that comes later leaves it as it is: readers of figures let the value win. Written through
    `programs.actions.zero` only.
    """

    unit = models.ForeignKey(Unit, models.PROTECT, related_name="zero_reports", verbose_name=_("unit"))
    kind = models.CharField(_("kind of record"), max_length=50)
    month = models.DateField(_("month"))
    declared_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        related_name="+",
        verbose_name=_("declared by"),
    )
    declared_at = models.DateTimeField(_("declared at"), default=timezone.now)
    withdrawn_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        related_name="+",
        verbose_name=_("withdrawn by"),
    )
    withdrawn_at = models.DateTimeField(_("withdrawn at"), null=True)

    objects = ZeroQuerySet.as_manager()

    class Meta:
        verbose_name = _("declared zero")
        verbose_name_plural = _("declared zeros")
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["unit", "kind", "month"], condition=Q(withdrawn_at=None), name="zero_stands_once"
            ),
            models.CheckConstraint(name="zero_month_is_a_first_day", condition=Q(month__day=1)),
            models.CheckConstraint(
                name="zero_withdrawn_by_somebody",
                condition=Q(withdrawn_at=None, withdrawn_by=None)
                | Q(withdrawn_at__isnull=False, withdrawn_by__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.unit} {self.month:%Y-%m}"
