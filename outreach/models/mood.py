"""Public mood (社会心态舆情监测): what units observe, of groups and never of a person. S35."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from programs.field_classes import C1, classed
from programs.models.record import Record
from programs.models.unit import Unit


class MoodObservation(Record):
    """What a unit observed of one topic at one time. Higher levels are more worrying."""

    class Topic(models.TextChoices):
        LIVELIHOOD = "livelihood", _("Work and livelihood")
        PRICES = "prices", _("Prices and housing")
        HEALTH = "health", _("Health and medical care")
        EDUCATION = "education", _("Schools and education")
        ENVIRONMENT = "environment", _("Environment")
        LAND = "land", _("Land and demolition")
        LABOUR = "labour", _("Wages and labour disputes")
        ORDER = "order", _("Public order")
        CADRES = "cadres", _("Conduct of officials")
        OTHER = "other", _("Other topic")

    class Level(models.IntegerChoices):
        CALM = 1, _("Calm")
        TALKED_ABOUT = 2, _("Talked about")
        UNEASY = 3, _("Uneasy")
        TENSE = 4, _("Tense")
        URGENT = 5, _("Urgent")

    class Trend(models.TextChoices):
        FALLING = "falling", _("Easing")
        STEADY = "steady", _("Steady")
        RISING = "rising", _("Rising")

    class Source(models.TextChoices):
        VISITS = "visits", _("Visits")
        CITIZENS = "citizens", _("What citizens raised")
        ONLINE = "online", _("Online and media")
        SCHOOLS = "schools", _("Schools")
        ENTERPRISES = "enterprises", _("Enterprises")
        OTHER = "other", _("Other source")

    topic = classed(C1, models.CharField(_("topic"), max_length=20, choices=Topic.choices))
    level = classed(C1, models.PositiveSmallIntegerField(_("level"), choices=Level.choices))
    trend = classed(C1, models.CharField(_("trend"), max_length=10, choices=Trend.choices))
    source = classed(C1, models.CharField(_("source"), max_length=20, choices=Source.choices))
    groups = classed(C1, models.CharField(_("groups concerned"), max_length=200, blank=True))
    gist = classed(C1, models.CharField(_("in one sentence"), max_length=200))
    details = classed(C1, models.TextField(_("details"), max_length=5000, blank=True))

    class Meta(Record.Meta):
        verbose_name = _("observation of public mood")
        verbose_name_plural = _("observations of public mood")
        constraints = [
            *Record.Meta.constraints,
            models.CheckConstraint(name="mood_level_in_range", condition=Q(level__gte=1, level__lte=5)),
        ]

    def __str__(self) -> str:
        return self.gist


class MoodAlert(models.Model):
    """An early warning: an observation, the rule that it met, and a unit that is told.

    Each is raised once, however often and by however many it is looked for; the unit says once that it was seen.
    """

    class Rule(models.TextChoices):
        LEVEL = "level", _("Tense or urgent")
        RISE = "rise", _("Rose by two levels within 30 days")

    observation = models.ForeignKey(
        MoodObservation, models.CASCADE, related_name="alerts", verbose_name=_("observation of public mood")
    )
    rule = models.CharField(_("rule"), max_length=10, choices=Rule.choices)
    told = models.ForeignKey(Unit, models.PROTECT, related_name="+", verbose_name=_("unit that is told"))
    raised_at = models.DateTimeField(_("raised at"), default=timezone.now)
    seen_at = models.DateTimeField(_("seen at"), null=True)
    seen_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", verbose_name=_("seen by")
    )

    class Meta:
        ordering = ["-raised_at", "-pk"]
        verbose_name = _("early warning")
        verbose_name_plural = _("early warnings")
        indexes = [
            models.Index(fields=["told", "-raised_at"], name="mood_alert_unseen", condition=Q(seen_at=None))
        ]
        constraints = [
            models.UniqueConstraint(fields=["observation", "rule", "told"], name="mood_alert_raised_once"),
            models.CheckConstraint(
                name="mood_alert_seen_by_somebody",
                condition=Q(seen_at=None, seen_by=None) | Q(seen_at__isnull=False, seen_by__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.observation_id} {self.rule}"
