"""Opinions and problems of citizens (民情), and every step of their way. S10–S12."""

from __future__ import annotations

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from programs.field_classes import C0, C1, C2, Mask, classed
from programs.models.record import Record, RecordQuerySet
from programs.models.unit import Unit

MOST_VOICES = 100_000


class State(models.TextChoices):
    """Where an opinion stands. What leads from one to another: `outreach.life`."""

    RECEIVED = "received", _("Received")  # 待受理
    ACCEPTED = "accepted", _("Accepted")  # 已受理
    ASSIGNED = "assigned", _("Assigned")  # 已交办
    HANDLING = "handling", _("Being handled")  # 办理中
    RETURNED = "returned", _("Returned")  # 已退回
    ANSWERED = "answered", _("Answered")  # 已答复
    REVISITED = "revisited", _("Revisited")  # 已回访
    CLOSED = "closed", pgettext_lazy("opinion", "Closed")  # 已办结
    DECLINED = "declined", _("Declined")  # 不予受理
    MERGED = "merged", pgettext_lazy("opinion", "Merged")  # 已并案
    SPLIT = "split", _("Split")  # 已拆分


UNENDED = Q(
    state__in=[
        State.ACCEPTED,
        State.ANSWERED,
        State.ASSIGNED,
        State.HANDLING,
        State.RECEIVED,
        State.RETURNED,
        State.REVISITED,
    ]
)


class OpinionQuerySet(RecordQuerySet["Opinion"]):
    def for_list(self) -> OpinionQuerySet:
        return super().for_list().select_related("responsible")  # type: ignore[return-value]

    def for_detail(self) -> OpinionQuerySet:
        return super().for_detail().select_related("responsible")  # type: ignore[return-value]


class Opinion(Record):
    """Something that a citizen raised: a work item from its receipt to its close.

    `unit` received it, and counts it; `responsible` is the one unit that has to act now. A unit that it was handed
    to becomes a joint unit: it sees the opinion from then on, and counts it apart. `occurred_on` is the day of receipt.
    What a person enters is editable; the life of the item is written by `outreach.actions` only.
    """

    class Kind(models.TextChoices):
        OPINION = "opinion", _("Opinion or suggestion")
        PROBLEM = "problem", _("Problem or hardship")
        DISPUTE = "dispute", _("Dispute")

    class Category(models.TextChoices):
        HOUSING = "housing", _("Housing and property management")
        ENVIRONMENT = "environment", _("Environment and sanitation")
        TRAFFIC = "traffic", _("Roads and traffic")
        EDUCATION = "education", _("Education")
        HEALTH = "health", _("Health and medical care")
        LABOUR = "labour", _("Work and wages")
        WELFARE = "welfare", _("Social security and assistance")
        LAND = "land", _("Land and demolition")
        FAMILY = "family", _("Family and neighbours")
        ORDER = "order", _("Public order and safety")
        SERVICE = "service", _("Conduct of officials and services")
        OTHER = "other", _("Other matters")

    class Channel(models.TextChoices):
        VISIT = "visit", _("On a visit")
        WEB = "web", _("Web form or QR code")
        TELEPHONE = "telephone", pgettext_lazy("channel", "Telephone")
        LETTER = "letter", _("Letter")
        RECEPTION = "reception", _("Reception")
        OTHER = "other", _("Other channel")

    class Outcome(models.TextChoices):
        SOLVED = "solved", _("Solved")  # 已解决
        EXPLAINED = "explained", _("Answered and explained")  # 已答复
        HANDED_OVER = "handed_over", _("Handed over outside the portal")  # 转办

    class Satisfaction(models.TextChoices):
        SATISFIED = "satisfied", _("Satisfied")
        PARTLY = "partly", _("Partly satisfied")
        DISSATISFIED = "dissatisfied", _("Not satisfied")
        UNREACHED = "unreached", _("Could not be reached")

    # What a person enters.
    title = classed(C1, models.CharField(_("subject"), max_length=100))
    type = classed(C1, models.CharField(_("type"), max_length=10, choices=Kind.choices))
    category = classed(C1, models.CharField(_("category"), max_length=20, choices=Category.choices))
    channel = classed(C1, models.CharField(_("channel"), max_length=20, choices=Channel.choices))
    # A citizen's own words may name anybody.
    content = classed(C2, models.TextField(_("what was said"), max_length=5000, blank=True))
    location = classed(C1, models.CharField(_("where it is about"), max_length=100, blank=True))
    citizen = classed(C2, models.CharField(_("citizen"), max_length=50, blank=True), mask=Mask.NAME)
    phone = classed(C2, models.CharField(_("telephone"), max_length=20, blank=True), mask=Mask.PHONE)
    voices = classed(
        C0,
        models.PositiveIntegerField(
            _("voices"), default=1, validators=[MinValueValidator(1), MaxValueValidator(MOST_VOICES)]
        ),
    )
    # The number of the visit of the same unit on which it was heard (`Visit.number`).
    visit_number = classed(C1, models.CharField(_("visit number"), max_length=40, blank=True))

    # Its life.
    state = classed(
        C1,
        models.CharField(
            _("state"), max_length=10, choices=State.choices, default=State.RECEIVED, editable=False
        ),
    )
    responsible = classed(
        C1,
        models.ForeignKey(
            Unit, models.PROTECT, related_name="+", editable=False, verbose_name=_("responsible unit")
        ),
    )
    outcome = classed(
        C1,
        models.CharField(
            pgettext_lazy("opinion", "outcome"),
            max_length=12,
            choices=Outcome.choices,
            blank=True,
            editable=False,
        ),
    )
    satisfaction = classed(
        C1,
        models.CharField(
            _("satisfaction"), max_length=12, choices=Satisfaction.choices, blank=True, editable=False
        ),
    )
    # The answer as the citizen reads it: no names in it.
    answer = classed(C1, models.TextField(_("answer"), max_length=5000, blank=True, editable=False))
    # Dates of the last working day on which the present step, and the answer, are in time.
    due_on = classed(C1, models.DateField(_("due on"), null=True, editable=False))
    answer_due_on = classed(C1, models.DateField(_("answer due on"), null=True, editable=False))
    answered_on = classed(C1, models.DateField(_("answered on"), null=True, editable=False))
    on_time = classed(C0, models.BooleanField(_("answered on time"), null=True, editable=False))
    # Calendar days from receipt to answer; null while there is none.
    days_to_answer = classed(C0, models.PositiveIntegerField(_("days to answer"), null=True, editable=False))
    closed_at = classed(C1, models.DateTimeField(_("closed at"), null=True, editable=False))
    paused_on = classed(C1, models.DateField(_("paused on"), null=True, editable=False))
    is_supervised = classed(C1, models.BooleanField(_("supervised"), default=False, editable=False))
    merged_into = classed(
        C1,
        models.ForeignKey(
            "self",
            models.PROTECT,
            null=True,
            related_name="merged",
            editable=False,
            verbose_name=pgettext_lazy("opinion", "merged into"),
        ),
    )
    split_from = classed(
        C1,
        models.ForeignKey(
            "self",
            models.PROTECT,
            null=True,
            related_name="pieces",
            editable=False,
            verbose_name=_("split from"),
        ),
    )
    # Digest of the citizen's tracking code; the code itself is kept nowhere.
    tracking_digest = classed(
        C0,
        models.CharField(max_length=64, null=True, unique=True, editable=False),
    )
    # Whether the unit has released subject and answer to be read in the open.
    is_released = classed(C1, models.BooleanField(_("released to the public"), default=False, editable=False))

    objects = OpinionQuerySet.as_manager()  # type: ignore[misc]

    class Meta(Record.Meta):
        verbose_name = _("opinion")
        verbose_name_plural = _("opinions")
        indexes = [
            *Record.Meta.indexes,
            models.Index(fields=["responsible", "state", "due_on"], name="opinion_inbox"),
            # Few are not ended at any time: what waits at the unit that received it, and in the district.
            models.Index(fields=["unit", "state"], name="opinion_received", condition=UNENDED),
            models.Index(fields=["due_on"], name="opinion_due", condition=UNENDED),
            models.Index(
                fields=["unit", "visit_number"], name="opinion_visit", condition=~Q(visit_number="")
            ),
        ]
        constraints = [
            *Record.Meta.constraints,
            models.CheckConstraint(
                name="opinion_voices_in_range", condition=Q(voices__gte=1, voices__lte=MOST_VOICES)
            ),
            models.CheckConstraint(
                name="opinion_merged_names_another",
                condition=(Q(state="merged", merged_into__isnull=False) & ~Q(merged_into=models.F("id")))
                | (~Q(state="merged") & Q(merged_into=None)),
            ),
            models.CheckConstraint(
                name="opinion_answer_has_outcome_and_day",
                condition=Q(answered_on=None, outcome="", days_to_answer=None, on_time=None)
                | (
                    Q(answered_on__isnull=False, days_to_answer__isnull=False, on_time__isnull=False)
                    & ~Q(outcome="")
                ),
            ),
        ]

    def __str__(self) -> str:
        return self.title


class OpinionStep(models.Model):
    """One step of an opinion's way. Steps are only ever added; together they are its unbroken history.

    `number` counts the steps of an opinion from 1; the state and the unit that a step leaves are those the step before
    it led to. `by` is empty for a citizen, and for what the portal does by itself.
    """

    opinion = models.ForeignKey(Opinion, models.PROTECT, related_name="steps", verbose_name=_("opinion"))
    number = models.PositiveIntegerField(_("number"))
    transition = models.CharField(_("step"), max_length=20)
    from_state = models.CharField(max_length=10, choices=State.choices, blank=True)
    to_state = models.CharField(max_length=10, choices=State.choices)
    from_unit = models.ForeignKey(Unit, models.PROTECT, null=True, related_name="+")
    to_unit = models.ForeignKey(Unit, models.PROTECT, related_name="+")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    at = models.DateTimeField(default=timezone.now)
    # The day that deadlines count from: of an answer given earlier than it was entered, the day it was given.
    day = models.DateField()
    reason = models.CharField(_("reason"), max_length=1000, blank=True)
    # What the step said, kept when a later one takes it back.
    outcome = models.CharField(max_length=12, choices=Opinion.Outcome.choices, blank=True)
    satisfaction = models.CharField(max_length=12, choices=Opinion.Satisfaction.choices, blank=True)
    answer = models.TextField(max_length=5000, blank=True)
    # Working days by which the deadline was extended.
    days = models.PositiveSmallIntegerField(null=True)
    # The other item of a merge or a split.
    other = models.ForeignKey(Opinion, models.PROTECT, null=True, related_name="+")
    due_on = models.DateField(null=True)
    answer_due_on = models.DateField(null=True)

    class Meta:
        ordering = ["opinion", "number"]
        verbose_name = _("step of an opinion")
        verbose_name_plural = _("steps of opinions")
        constraints = [
            models.UniqueConstraint(fields=["opinion", "number"], name="opinion_step_in_its_place"),
        ]

    def __str__(self) -> str:
        return f"{self.opinion_id}/{self.number} {self.transition}"
