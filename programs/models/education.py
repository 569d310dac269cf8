"""Love education (爱心教育): activities, gratitude culture, and the carriers of the work. S5–S8."""

from __future__ import annotations

from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from programs.field_classes import C0, C1, C2, Mask, classed
from programs.models.record import Record

# No event of a district gathers more; a larger number is a slip of the finger.
MOST_PARTICIPANTS = 200_000


class Setting(models.TextChoices):
    SCHOOL = "school", _("School")
    ENTERPRISE = "enterprise", _("Enterprise")
    ORGAN = "organ", _("Government organ")
    COMMUNITY = "community", _("Community")


class EducationActivity(Record):
    """One activity of love education: of the "six ones" series, a festival, or another."""

    class Series(models.TextChoices):
        SIX_ONES = "six_ones", _("“Six ones” series")
        FESTIVAL = "festival", _("Festival")
        OTHER = "other", _("Other activity")

    class Festival(models.TextChoices):
        ENTERPRISE_CULTURE = "enterprise_culture", _("Enterprise culture festival")
        NEIGHBOURS = "neighbours", _("Neighbours' festival")
        ORGAN_SPORTS = "organ_sports", _("Government sports meeting")
        YOUTH_SCIENCE = "youth_science", _("Youth science and culture festival")
        OTHER = "other", _("Other festival")

    theme = classed(C1, models.CharField(_("theme"), max_length=100))
    series = classed(C1, models.CharField(_("series"), max_length=10, choices=Series.choices))
    festival = classed(
        C1, models.CharField(_("festival"), max_length=20, choices=Festival.choices, blank=True)
    )
    setting = classed(C1, models.CharField(_("setting"), max_length=10, choices=Setting.choices))
    participants = classed(
        C0, models.PositiveIntegerField(_("participants"), validators=[MaxValueValidator(MOST_PARTICIPANTS)])
    )
    place = classed(C1, models.CharField(_("place"), max_length=100, blank=True))
    summary = classed(C1, models.TextField(_("summary"), max_length=5000, blank=True))

    class Meta(Record.Meta):
        verbose_name = _("love-education activity")
        verbose_name_plural = _("love-education activities")
        constraints = [
            *Record.Meta.constraints,
            models.CheckConstraint(
                name="activity_festival_names_one",
                condition=(Q(series="festival") & ~Q(festival="")) | (~Q(series="festival") & Q(festival="")),
                violation_error_message=_("Name the festival for a festival, and for nothing else."),
            ),
            models.CheckConstraint(
                name="activity_participants_in_range", condition=Q(participants__lte=MOST_PARTICIPANTS)
            ),
        ]

    def __str__(self) -> str:
        return self.theme


class GratitudeEvent(Record):
    """Gratitude culture (感恩文化) in an enterprise: a wall, talk, award or garden, and the media that covered it."""

    class Form(models.TextChoices):
        WALL = "wall", _("Gratitude wall")
        TALK = "talk", _("Gratitude talk")
        AWARD = "award", _("Gratitude award")
        GARDEN = "garden", _("Gratitude garden")

    title = classed(C1, models.CharField(_("title"), max_length=100))
    form = classed(C1, models.CharField(_("form"), max_length=10, choices=Form.choices))
    enterprise = classed(C1, models.CharField(_("enterprise"), max_length=100))
    participants = classed(
        C0, models.PositiveIntegerField(_("participants"), validators=[MaxValueValidator(MOST_PARTICIPANTS)])
    )
    media_reports = classed(
        C0,
        models.PositiveSmallIntegerField(_("media reports"), default=0, validators=[MaxValueValidator(1000)]),
    )
    media = classed(C1, models.CharField(_("media that reported"), max_length=200, blank=True))
    summary = classed(C1, models.TextField(_("summary"), max_length=5000, blank=True))

    class Meta(Record.Meta):
        verbose_name = _("gratitude-culture event")
        verbose_name_plural = _("gratitude-culture events")
        constraints = [
            *Record.Meta.constraints,
            models.CheckConstraint(
                name="gratitude_numbers_in_range",
                condition=Q(participants__lte=MOST_PARTICIPANTS, media_reports__lte=1000),
            ),
        ]

    def __str__(self) -> str:
        return self.title


class Carrier(Record):
    """A named vehicle of the work (工作载体): what, which unit, who is responsible, since when, how active.

    `occurred_on` is the day it was set up.
    """

    class Type(models.TextChoices):
        SPOKESPERSON = "spokesperson", _("Citizen spokesperson")
        GRATITUDE = "gratitude", _("Gratitude culture")
        WORKSHOP_ADVISER = "workshop_adviser", _("Workshop adviser")
        OFFICE_DAY = "office_day", _("Fixed office day")
        MEDIATION_DAY = "mediation_day", _("Mediation day")
        OTHER = "other", _("Other carrier")

    class Rhythm(models.TextChoices):
        WEEKLY = "weekly", _("Weekly")
        MONTHLY = "monthly", _("Monthly")
        QUARTERLY = "quarterly", _("Quarterly")
        OCCASIONAL = "occasional", _("As needed")
        DORMANT = "dormant", _("Dormant")

    name = classed(C1, models.CharField(_("name"), max_length=100))
    type = classed(C1, models.CharField(_("type"), max_length=20, choices=Type.choices))
    responsible = classed(C2, models.CharField(_("responsible person"), max_length=50), mask=Mask.NAME)
    phone = classed(C2, models.CharField(_("telephone"), max_length=20, blank=True), mask=Mask.PHONE)
    rhythm = classed(C1, models.CharField(_("how active"), max_length=12, choices=Rhythm.choices))
    description = classed(C1, models.TextField(_("description"), max_length=5000, blank=True))

    class Meta(Record.Meta):
        verbose_name = _("carrier of the work")
        verbose_name_plural = _("carriers of the work")

    def __str__(self) -> str:
        return self.name
