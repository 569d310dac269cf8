"""The reminder of a day (每日提醒): what waits for a person, as numbers."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class Digest(models.Model):
    """At most one a person a day. It holds numbers only: no citizen, and no opinion, can be told from it."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", verbose_name=_("person")
    )
    day = models.DateField(_("day"))
    # How many wait, by the code of the inbox's tab; tabs in which nothing waits are left out.
    counts = models.JSONField(_("numbers"), default=dict)
    created_at = models.DateTimeField(_("created at"), default=timezone.now)
    # Set before the message is sent: a crash costs one message rather than repeating it.
    mailed_at = models.DateTimeField(_("mailed at"), null=True)
    read_at = models.DateTimeField(_("read at"), null=True)

    class Meta:
        ordering = ["-day", "pk"]
        verbose_name = _("daily reminder")
        verbose_name_plural = _("daily reminders")
        constraints = [models.UniqueConstraint(fields=["user", "day"], name="digest_once_a_day")]
        indexes = [models.Index(fields=["day"], name="digest_to_mail", condition=Q(mailed_at=None))]

    def __str__(self) -> str:
        return f"{self.user_id} {self.day}"
