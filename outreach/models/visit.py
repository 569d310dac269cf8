"""Visits to the grass roots (走访). S9, S13."""

from __future__ import annotations

from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from programs.field_classes import C0, C1, C2, classed
from programs.models.record import Record

MOST_PERSON_TIMES = 100_000


class Visit(Record):
    """One visit, office day, mediation day, open talk or reception: logged once, it serves every count."""

    class Form(models.TextChoices):
        LEADER = "leader", _("Visit by leaders")
        UNIT = "unit", _("Visit by a unit")
        OFFICE_DAY = "office_day", _("Fixed office day")
        MEDIATION_DAY = "mediation_day", _("Mediation day")
        OPEN_TALK = "open_talk", _("Open talk meeting")
        RECEPTION = "reception", _("Reception")

    class Purpose(models.TextChoices):
        OPINION_POLL = "opinion_poll", _("Opinion poll")
        PETITION_SCREENING = "petition_screening", _("Petition screening")
        CIVIL_MEDIATION = "civil_mediation", _("Civil mediation")
        LEGAL_ADVICE = "legal_advice", _("Legal advice")
        GREETING = "greeting", _("Greeting and care")
        OTHER = "other", _("Other purpose")

    theme = classed(C1, models.CharField(_("theme"), max_length=100))
    form = classed(C1, models.CharField(_("form of visit"), max_length=20, choices=Form.choices))
    purpose = classed(C1, models.CharField(_("purpose"), max_length=20, choices=Purpose.choices))
    person_times = classed(
        C0, models.PositiveIntegerField(_("people met"), validators=[MaxValueValidator(MOST_PERSON_TIMES)])
    )
    visitors = classed(C1, models.CharField(_("who went"), max_length=200, blank=True))
    met = classed(C2, models.CharField(_("whom they met"), max_length=500, blank=True))
    place = classed(C1, models.CharField(_("place"), max_length=100, blank=True))
    # The unit's own number of the visit. Opinions heard there name it, in forms and in ledgers alike.
    number = classed(C1, models.CharField(_("visit number"), max_length=40, blank=True))
    summary = classed(C1, models.TextField(_("summary"), max_length=5000, blank=True))

    class Meta(Record.Meta):
        verbose_name = _("visit")
        verbose_name_plural = _("visits")
        constraints = [
            *Record.Meta.constraints,
            models.CheckConstraint(
                name="visit_person_times_in_range", condition=Q(person_times__lte=MOST_PERSON_TIMES)
            ),
            models.UniqueConstraint(
                name="visit_number_names_one",
                fields=["unit", "number"],
                condition=Q(removed_at=None) & ~Q(number=""),
                violation_error_message=_("This unit has another visit of this number."),
            ),
        ]

    def __str__(self) -> str:
        return self.theme
