"""The tables that people make and keep."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from programs.field_classes import C1, classed
from programs.models.unit import Unit

NAME_LENGTH = 60


class SavedPivot(models.Model):
    """A table that somebody made: the question alone, so that whoever opens it reads with their own scope.

    `unit` is the one in whose name it was saved; shared, it is seen there, below, and by those who see its figures.
    """

    name = classed(C1, models.CharField(_("name"), max_length=NAME_LENGTH))
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("owner")
    )
    unit = models.ForeignKey(Unit, models.PROTECT, related_name="+", verbose_name=_("unit"))
    # Canonical parameters of its page: see reporting.pivot.Pivot.
    query = classed(C1, models.TextField(_("question")))
    shared = classed(C1, models.BooleanField(_("shared"), default=False))
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    class Meta:
        verbose_name = _("custom table")
        verbose_name_plural = _("custom tables")
        ordering = ["name", "pk"]
        constraints = [models.UniqueConstraint(fields=["owner", "name"], name="saved_pivot_named_once")]

    def __str__(self) -> str:
        return self.name
