"""What every kind of record has in common."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any, TypeVar

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from programs.field_classes import C0, C1, classed
from programs.models.unit import Unit

# The programme began in 2008; nothing it counts is older.
PROGRAMME_BEGAN = dt.date(2008, 1, 1)
RESTORE_DAYS = 30

RecordT = TypeVar("RecordT", bound="Record")


def not_before_the_programme(day: dt.date) -> None:
    if day < PROGRAMME_BEGAN:
        raise ValidationError(
            _("The programme began in %(year)s; give a later date."),
            code="too_early",
            params={"year": PROGRAMME_BEGAN.year},
        )


def not_in_the_future(day: dt.date) -> None:
    if day > timezone.localdate():
        raise ValidationError(_("This date is in the future; log what has taken place."), code="future")


class RecordQuerySet(models.QuerySet[RecordT]):
    def present(self) -> RecordQuerySet[RecordT]:
        return self.filter(removed_at=None)

    def removed(self) -> RecordQuerySet[RecordT]:
        return self.filter(removed_at__isnull=False)

    def for_list(self) -> RecordQuerySet[RecordT]:
        return self.select_related("unit")

    def for_detail(self) -> RecordQuerySet[RecordT]:
        return self.select_related("unit", "created_by", "updated_by", "removed_by").prefetch_related(
            "joint_units"
        )


class Record(models.Model):
    """One thing a unit did. It belongs to `unit`; joint units see it and count it apart.

    `occurred_on` is the day of the activity, `created_at` the moment of entry: work logged in the evening or at the
    weekend keeps its own day. Records are written through `programs.actions.records` only.
    """

    unit = classed(C1, models.ForeignKey(Unit, models.PROTECT, related_name="+", verbose_name=_("unit")))
    joint_units = classed(
        C1, models.ManyToManyField(Unit, related_name="+", blank=True, verbose_name=_("joint units"))
    )
    occurred_on = classed(
        C1, models.DateField(_("date"), validators=[not_before_the_programme, not_in_the_future])
    )
    created_by = classed(
        C1,
        models.ForeignKey(
            settings.AUTH_USER_MODEL,
            models.PROTECT,
            related_name="+",
            editable=False,
            verbose_name=_("entered by"),
        ),
    )
    created_at = classed(C1, models.DateTimeField(_("entered at"), default=timezone.now, editable=False))
    updated_by = classed(
        C1,
        models.ForeignKey(
            settings.AUTH_USER_MODEL,
            models.PROTECT,
            related_name="+",
            editable=False,
            verbose_name=_("changed by"),
        ),
    )
    updated_at = classed(C1, models.DateTimeField(_("changed at"), default=timezone.now, editable=False))
    # Counts the writes of this record; an edit names the version it saw.
    version = classed(C0, models.PositiveIntegerField(default=1, editable=False))
    # One per opened form: sending the same form twice makes one record.
    submission_key = classed(C0, models.UUIDField(unique=True, default=uuid.uuid4, editable=False))
    # The upload and the row it came from; uploads live in an app that this one does not know.
    upload_id = classed(C1, models.BigIntegerField(null=True, editable=False))
    upload_row = classed(C1, models.PositiveIntegerField(null=True, editable=False))
    removed_at = classed(C1, models.DateTimeField(_("removed at"), null=True, editable=False))
    removed_by = classed(
        C1,
        models.ForeignKey(
            settings.AUTH_USER_MODEL,
            models.PROTECT,
            null=True,
            related_name="+",
            editable=False,
            verbose_name=_("removed by"),
        ),
    )

    objects = RecordQuerySet.as_manager()

    class Meta:
        abstract = True
        ordering = ["-occurred_on", "-pk"]
        indexes = [
            models.Index(F("unit"), F("occurred_on").desc(), F("id").desc(), name="%(class)s_unit_date"),
            models.Index(F("occurred_on").desc(), F("id").desc(), name="%(class)s_date"),
        ]
        constraints = [
            models.CheckConstraint(
                name="%(app_label)s_%(class)s_not_before_programme",
                condition=Q(occurred_on__gte=PROGRAMME_BEGAN),
            ),
            models.CheckConstraint(
                name="%(app_label)s_%(class)s_removed_by_somebody",
                condition=Q(removed_at=None, removed_by=None)
                | Q(removed_at__isnull=False, removed_by__isnull=False),
            ),
        ]

    @property
    def is_removed(self) -> bool:
        return self.removed_at is not None

    @property
    def restorable_until(self) -> dt.datetime | None:
        return self.removed_at + dt.timedelta(days=RESTORE_DAYS) if self.removed_at else None

    @property
    def is_restorable(self) -> bool:
        until = self.restorable_until
        return until is not None and timezone.now() < until

    @classmethod
    def joint_model(cls) -> Any:
        """The table between records and joint units."""
        return cls._meta.get_field("joint_units").remote_field.through  # type: ignore[union-attr]
