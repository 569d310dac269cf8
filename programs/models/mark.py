"""Marks: "the figures of this unit and month are to be recomputed"."""

from __future__ import annotations

from django.db import models


class Mark(models.Model):
    """Append-only, no unique key: triggers on the tables of records write it (see `programs.triggers`).

    It stands in the kernel because the migrations of every app with records name it; `reporting` consumes it.
    Designs with a unique mark lost marks or deadlocked under concurrent writers; duplicates are cheap.
    """

    unit_id = models.BigIntegerField()
    month = models.DateField()

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.unit_id} {self.month:%Y-%m}"
