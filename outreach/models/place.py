"""Places where people meet and are heard (阵地). S13."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from programs.field_classes import C0, C1, C2, Mask, classed
from programs.models.record import Record


class Place(Record):
    """A room or corner of a unit; `occurred_on` is the day it was opened.

    Visits name the place they were held at by its name (`Visit.place`), as ledgers do.
    """

    class Type(models.TextChoices):
        SUNSHINE_ROOM = "sunshine_room", _("Sunshine activity room")
        TALKING_ROOM = "talking_room", _("Talking room")
        BOOK_CORNER = "book_corner", _("Book corner")
        RECEPTION = "reception", _("Reception room")
        OTHER = "other", _("Other place")

    name = classed(C1, models.CharField(_("name"), max_length=100))
    type = classed(C1, models.CharField(_("type"), max_length=20, choices=Type.choices))
    address = classed(C1, models.CharField(_("address"), max_length=200))
    opening_times = classed(C1, models.CharField(_("opening times"), max_length=200, blank=True))
    responsible = classed(C2, models.CharField(_("responsible person"), max_length=50), mask=Mask.NAME)
    phone = classed(C2, models.CharField(_("telephone"), max_length=20, blank=True), mask=Mask.PHONE)
    # What citizens may see of it without an account: name, type, address and opening times.
    is_public = classed(C0, models.BooleanField(_("shown to citizens"), default=False))
    description = classed(C1, models.TextField(_("description"), max_length=5000, blank=True))

    class Meta(Record.Meta):
        verbose_name = pgettext_lazy("where people are heard", "place")
        verbose_name_plural = pgettext_lazy("where people are heard", "places")

    def __str__(self) -> str:
        return self.name
