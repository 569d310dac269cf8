"""Spreadsheets that units brought: what became of each, sheet by sheet, and what it takes to take it back.

The state of the work stands here and nowhere else; queue, worker and pages come and go. States change through
`reporting.uploads.states` only.
"""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from programs.attachments import NAME_LENGTH
from programs.models.unit import Unit

# For so long an upload can be taken back.
UNDO_DAYS = 30
# What the page shows of the rows of one sort; the marked workbook names all that were refused.
MOST_REFUSED = 1000
MOST_OTHERS = 200


def original_name(instance: Any, filename: str) -> str:
    """A name that says nothing of the file and cannot be guessed; the file's own is kept in the row."""
    return f"uploads/{timezone.localdate():%Y/%m}/{uuid.uuid4().hex}"


def marked_name(instance: Any, filename: str) -> str:
    return f"uploads/{timezone.localdate():%Y/%m}/{uuid.uuid4().hex}.marked"


class State(models.TextChoices):
    RECEIVED = "received", _("Waiting to be read")
    READING = "reading", _("Being read")
    PREVIEWED = "previewed", _("To be confirmed")
    APPLYING = "applying", _("Being entered")
    APPLIED = "applied", _("Entered")
    UNDOING = "undoing", _("Being taken back")
    UNDONE = "undone", _("Taken back")
    REFUSED = "refused", _("Refused")
    FAILED = "failed", _("Failed")
    CANCELLED = "cancelled", _("Cancelled")
    EXPIRED = "expired", _("Expired")


# Somebody works on it, or waits for a worker.
WORKING = (State.READING, State.APPLYING, State.UNDOING)
WAITING = (State.RECEIVED, *WORKING)
# The same file again is this very upload. One with refused rows may come again: what was in their way may be gone,
# and the rows that were entered are known.
OPEN = (State.RECEIVED, State.READING, State.PREVIEWED, State.APPLYING)


class Step(models.TextChoices):
    NONE = "", ""
    READING = "reading", _("Reading the file")
    CHECKING = "checking", _("Checking the rows")
    WRITING = "writing", _("Entering the records")
    TAKING_BACK = "taking_back", _("Taking the records back")


class Upload(models.Model):
    """A file that `unit` brought for records of `kind` (empty: its sheets tell)."""

    State = State
    Step = Step

    public_id = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    unit = models.ForeignKey(Unit, models.PROTECT, related_name="+", verbose_name=_("unit"))
    kind = models.CharField(_("kind of record"), max_length=50, blank=True)
    # Any day of the year that dates without one ("3月5日") belong to.
    period = models.DateField(_("period"), null=True, blank=True)
    # A layout that was chosen for this file.
    mapping = models.ForeignKey("SheetMapping", models.SET_NULL, null=True, blank=True, related_name="+")
    name = models.CharField(_("file"), max_length=NAME_LENGTH)
    sha256 = models.CharField(max_length=64)
    size = models.PositiveIntegerField(_("size"))
    # Both without a file once their time is over.
    file = models.FileField(upload_to=original_name, blank=True)
    marked = models.FileField(upload_to=marked_name, blank=True)
    # In which its messages are written.
    language = models.CharField(max_length=7, default=settings.LANGUAGE_CODE)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("brought by")
    )
    created_at = models.DateTimeField(_("brought at"), default=timezone.now)

    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.RECEIVED)
    # The whole file's: why it was refused or failed, or why the preview is to be looked at again.
    message = models.TextField(blank=True)
    # Who asked for what is under way or was done last, acting for which unit: the worker acts for them, with the
    # grants they have when it does.
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    asked_at = models.DateTimeField(default=timezone.now)
    asked_for = models.ForeignKey(Unit, models.PROTECT, related_name="+")
    ip = models.GenericIPAddressField(null=True)
    request_id = models.CharField(max_length=36, blank=True)
    # The choices of the confirmation.
    with_changes = models.BooleanField(default=True)
    all_or_none = models.BooleanField(default=False)

    # The work. Each claim raises `fence`: whoever holds an older one can write nothing any more.
    fence = models.PositiveIntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    claimed_at = models.DateTimeField(null=True)
    step = models.CharField(max_length=12, choices=Step.choices, blank=True)
    done = models.PositiveIntegerField(default=0)
    total = models.PositiveIntegerField(default=0)

    # What the check found; after the apply, what it found then. They add up to `read`.
    read = models.PositiveIntegerField(_("rows read"), default=0)
    new = models.PositiveIntegerField(_("new"), default=0)
    changed = models.PositiveIntegerField(_("changed"), default=0)
    same = models.PositiveIntegerField(_("known already"), default=0)
    refused = models.PositiveIntegerField(_("refused"), default=0)
    left_out = models.PositiveIntegerField(_("left out"), default=0)
    # A digest of what a confirmation agrees to.
    plan = models.CharField(max_length=64, blank=True)
    # What was written, and what became of it when it was taken back.
    written_new = models.PositiveIntegerField(default=0)
    written_changed = models.PositiveIntegerField(default=0)
    deleted = models.PositiveIntegerField(default=0)
    restored = models.PositiveIntegerField(default=0)
    kept = models.PositiveIntegerField(default=0)

    previewed_at = models.DateTimeField(null=True)
    confirmed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", verbose_name=_("confirmed by")
    )
    confirmed_at = models.DateTimeField(null=True)
    applied_at = models.DateTimeField(_("entered at"), null=True)
    undone_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", verbose_name=_("taken back by")
    )
    undone_at = models.DateTimeField(_("taken back at"), null=True)
    # Refused, failed, cancelled, expired.
    ended_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("spreadsheet")
        verbose_name_plural = _("spreadsheets")
        ordering = ["-pk"]
        indexes = [
            models.Index(fields=["unit", "-id"], name="upload_unit"),
            # When a unit had its last turn.
            models.Index(fields=["asked_for", "-claimed_at"], name="upload_turns"),
            # The queue: few rows of many.
            models.Index(fields=["asked_at"], condition=Q(state__in=WAITING), name="upload_waiting"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["unit", "kind", "sha256"],
                condition=Q(state__in=OPEN) | Q(state__in=(State.APPLIED, State.UNDOING), refused=0),
                name="upload_file_once",
            ),
            models.UniqueConstraint(
                fields=["asked_for"], condition=Q(lease_until__isnull=False), name="upload_one_runs_per_unit"
            ),
            models.CheckConstraint(
                name="upload_lease_is_of_work", condition=Q(lease_until=None) | Q(state__in=WORKING)
            ),
            models.CheckConstraint(name="upload_state_is_known", condition=Q(state__in=State.values)),
            models.CheckConstraint(
                name="upload_rows_add_up",
                condition=Q(read=F("new") + F("changed") + F("same") + F("refused") + F("left_out")),
            ),
            models.CheckConstraint(
                name="upload_applied_at_some_time",
                condition=~Q(state__in=(State.APPLIED, State.UNDOING, State.UNDONE))
                | Q(applied_at__isnull=False),
            ),
            models.CheckConstraint(
                name="upload_confirmed_by_somebody",
                condition=Q(confirmed_at=None, confirmed_by=None)
                | Q(confirmed_at__isnull=False, confirmed_by__isnull=False),
            ),
            models.CheckConstraint(
                name="upload_undone_by_somebody",
                condition=Q(undone_at=None, undone_by=None)
                | Q(undone_at__isnull=False, undone_by__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_settled(self) -> bool:
        """Whether nothing happens until somebody asks for it."""
        return self.state not in WAITING

    @property
    def is_running(self) -> bool:
        """Whether a worker is at it, as far as anybody knows."""
        return self.lease_until is not None and self.lease_until > timezone.now()

    @property
    def undo_until(self) -> dt.datetime | None:
        return self.applied_at + dt.timedelta(days=UNDO_DAYS) if self.applied_at else None

    @property
    def may_be_undone(self) -> bool:
        until = self.undo_until
        return self.state == State.APPLIED and until is not None and timezone.now() < until

    @property
    def would_write(self) -> int:
        """Rows that a confirmation could enter."""
        return self.new + self.changed


class UploadSheet(models.Model):
    """A sheet of the file, what it was taken for and what was found in it. Without a kind: left out, for `reason`."""

    upload = models.ForeignKey(Upload, models.CASCADE, related_name="sheets")
    position = models.PositiveSmallIntegerField()
    name = models.CharField(_("sheet"), max_length=255)
    kind = models.CharField(_("kind of record"), max_length=50, blank=True)
    reason = models.TextField(blank=True)
    header_row = models.PositiveIntegerField(default=0)
    columns = models.JSONField(default=dict)  # {field: header}
    headers = models.JSONField(default=list)  # all of them, as written
    missing = models.JSONField(default=list)  # fields without which the sheet cannot be read
    read = models.PositiveIntegerField(default=0)
    new = models.PositiveIntegerField(default=0)
    changed = models.PositiveIntegerField(default=0)
    same = models.PositiveIntegerField(default=0)
    refused = models.PositiveIntegerField(default=0)
    left_out = models.PositiveIntegerField(default=0)
    # A few of the rows that would be entered, see reporting.uploads.preview.
    sample = models.JSONField(default=dict)
    # Its new records lie between these.
    first_pk = models.BigIntegerField(null=True)
    last_pk = models.BigIntegerField(null=True)

    class Meta:
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["upload", "position"], name="upload_sheet_once")]

    def __str__(self) -> str:
        return self.name


class UploadRemark(models.Model):
    """What is to be said of a row: why it was refused, left out or not taken back, what it is the same as."""

    class Sort(models.TextChoices):
        REFUSED = "refused", _("refused")
        SAME = "same", _("known already")
        LEFT_OUT = "left_out", _("left out")
        NOTICE = "notice", _("to be noticed")
        KEPT = "kept", _("not taken back")

    sheet = models.ForeignKey(UploadSheet, models.CASCADE, related_name="remarks")
    sort = models.CharField(max_length=8, choices=Sort.choices)
    row = models.PositiveIntegerField(null=True)  # as the user sees it; 0: the whole sheet
    column = models.PositiveSmallIntegerField(null=True)  # counted from 0
    field = models.CharField(max_length=50, blank=True)
    header = models.CharField(max_length=255, blank=True)
    value = models.CharField(max_length=255, blank=True)
    message = models.TextField()
    # The record that it is about, if there is one.
    record = models.BigIntegerField(null=True)

    class Meta:
        ordering = ["sheet__position", "row", "column", "pk"]

    def __str__(self) -> str:
        return f"{self.row}: {self.message}"


class UploadChange(models.Model):
    """What brings a changed record back, see `programs.actions.bulk.Change`."""

    sheet = models.ForeignKey(UploadSheet, models.CASCADE, related_name="changes")
    record = models.BigIntegerField()
    row = models.PositiveIntegerField()
    at = models.DateTimeField()
    before = models.JSONField()
    joint_before = models.JSONField(null=True)

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.sheet_id} {self.record}"


class SheetMapping(models.Model):
    """Which header of its own sheets a unit means by which field. Without a name: what it chose last, taken for
    granted the next time; with one: a layout to choose again."""

    unit = models.ForeignKey(Unit, models.PROTECT, related_name="+", verbose_name=_("unit"))
    kind = models.CharField(_("kind of record"), max_length=50)
    name = models.CharField(_("name"), max_length=60, blank=True)
    columns = models.JSONField()  # {field: header}
    updated_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = _("assignment of columns")
        verbose_name_plural = _("assignments of columns")
        ordering = ["kind", "name"]
        constraints = [models.UniqueConstraint(fields=["unit", "kind", "name"], name="sheet_mapping_once")]

    def __str__(self) -> str:
        return self.name or self.kind
