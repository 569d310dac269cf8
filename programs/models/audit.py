"""The audit log: append-only rows without foreign keys, so that nothing can be changed or lost under them."""

from __future__ import annotations

from typing import Any, NoReturn

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class AppendOnly(Exception):
    """Somebody tried to change what may only grow."""


class AuditQuerySet(models.QuerySet["AuditEvent"]):
    def update(self, **kwargs: Any) -> NoReturn:
        raise AppendOnly("audit events are never changed")

    def delete(self) -> NoReturn:
        raise AppendOnly("audit events are never deleted")


class AuditEvent(models.Model):
    """Who did, or was refused, what. Values of C3 and C4 fields never stand here, only the fields' names."""

    class Outcome(models.TextChoices):
        DONE = "done", _("Done")
        DENIED = "denied", _("Denied")

    at = models.DateTimeField(_("time"), default=timezone.now)
    actor_id = models.BigIntegerField(null=True)
    actor_name = models.CharField(_("person"), max_length=120, blank=True)
    role = models.CharField(_("role"), max_length=60, blank=True)
    grant_id = models.BigIntegerField(null=True)
    acting_unit_id = models.BigIntegerField(null=True)
    action = models.CharField(_("action"), max_length=50)
    object_type = models.CharField(_("object"), max_length=50, blank=True)
    object_pk = models.CharField(max_length=40, blank=True)
    object_label = models.CharField(max_length=120, blank=True)
    unit_id = models.BigIntegerField(null=True)
    unit_path = models.CharField(max_length=200, blank=True)
    unit_name = models.CharField(_("unit"), max_length=100, blank=True)
    # {field: [before, after]}; for C3 and C4 {field: null}
    changes = models.JSONField(default=dict)
    reason = models.CharField(_("reason"), max_length=500, blank=True)
    outcome = models.CharField(_("outcome"), max_length=6, choices=Outcome.choices, default=Outcome.DONE)
    ip = models.GenericIPAddressField(null=True)
    request_id = models.CharField(max_length=36, blank=True)
    upload_id = models.BigIntegerField(null=True)
    row_count = models.PositiveIntegerField(null=True)

    objects = AuditQuerySet.as_manager()

    class Meta:
        verbose_name = _("audit event")
        verbose_name_plural = _("audit events")
        ordering = ["-at", "-pk"]
        indexes = [
            models.Index(fields=["-at", "-id"], name="audit_at"),
            models.Index(fields=["object_type", "object_pk"], name="audit_object"),
            models.Index(fields=["actor_id", "-at"], name="audit_actor"),
        ]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.actor_name} {self.action} {self.object_label}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise AppendOnly("audit events are never changed")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise AppendOnly("audit events are never deleted")


class Reveal(models.Model):
    """A person's leave to read one record's masked fields for 30 minutes, given for a reason."""

    user_id = models.BigIntegerField()
    object_type = models.CharField(max_length=50)
    object_pk = models.BigIntegerField()
    reason = models.CharField(max_length=500)
    at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["user_id", "object_type", "object_pk"], name="reveal_lookup")]

    def __str__(self) -> str:
        return f"{self.user_id} {self.object_type} {self.object_pk}"
