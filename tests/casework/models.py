"""A kind in an app of its own with a field of every class: what contract tests walk besides the real kinds."""

from django.db import models

from programs.field_classes import C0, C1, C2, C3, C4, Mask, classed
from programs.models.record import Record


class Case(Record):
    title = classed(C1, models.CharField("title", max_length=50))
    hours = classed(C0, models.DecimalField("hours", max_digits=6, decimal_places=2, default=0))
    client = classed(C2, models.CharField("client", max_length=50), mask=Mask.NAME)
    phone = classed(C2, models.CharField("telephone", max_length=20, blank=True), mask=Mask.PHONE)
    id_number = classed(C3, models.CharField("ID number", max_length=18, blank=True), mask=Mask.ID_NUMBER)
    illness = classed(C3, models.CharField("illness", max_length=100, blank=True))
    notes = classed(C4, models.TextField("notes", blank=True))

    class Meta(Record.Meta):
        verbose_name = "case"
        verbose_name_plural = "cases"

    def __str__(self) -> str:
        return self.title
