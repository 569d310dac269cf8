"""Photos and files that belong to a record."""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.db import models
from django.utils import timezone


def stored_name(instance: Any, filename: str) -> str:
    """A name that says nothing of the file and cannot be guessed; the original name is kept in the row."""
    return f"attachments/{timezone.localdate():%Y/%m}/{uuid.uuid4().hex}"


class Attachment(models.Model):
    """A file of the record `(kind, record_id)`. It is read through the record's own permission only."""

    kind = models.CharField(max_length=50)
    record_id = models.BigIntegerField()
    file = models.FileField(upload_to=stored_name)
    name = models.CharField(max_length=150)
    content_type = models.CharField(max_length=100)
    size = models.PositiveIntegerField()
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    removed_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["pk"]
        indexes = [models.Index(fields=["kind", "record_id"], name="attachment_record")]

    def __str__(self) -> str:
        return self.name
