"""The overview of opinions: how many stand where, what they are about, how they came, and how soon they are answered.

It counts the very rows of the list: the scope and the filters are the list's own, so that every number opens to as many
rows. Merged and split opinions are rows as well; the figures of statistics leave them out.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.core.validators import MaxValueValidator
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from outreach.models.opinion import Opinion, State
from programs import registry
from programs.access import Actor, requires, visible
from programs.filters import filter_set
from programs.roles import Permission

CODE = "opinions"
ANSWERED = "opinions.answered"
FIRST_YEAR = 2000
# The parts of the page: a field of the list's filters, its heading, and its values in their order.
PARTS: list[tuple[str, Any, Any]] = [
    ("state", _("By state"), State.choices),
    ("category", _("By category"), Opinion.Category.choices),
    ("channel", _("By channel"), Opinion.Channel.choices),
]


class PeriodForm(forms.Form):
    """A year, or a quarter or month of it; by day of receipt."""

    year = forms.IntegerField(label=_("Year"), min_value=FIRST_YEAR)
    quarter = forms.TypedChoiceField(
        label=_("Quarter"),
        required=False,
        coerce=int,
        empty_value=None,
        choices=[("", _("Any")), *((str(n), str(n)) for n in range(1, 5))],
    )
    month = forms.TypedChoiceField(
        label=_("Month"),
        required=False,
        coerce=int,
        empty_value=None,
        choices=[("", _("Any")), *((str(n), str(n)) for n in range(1, 13))],
    )

    def __init__(self, asked: Any, today: dt.date) -> None:
        """Without a year, the present one."""
        given = {name: asked.get(name, "") for name in ("quarter", "month")}
        super().__init__({**given, "year": asked.get("year") or str(today.year)})
        self.fields["year"].validators.append(MaxValueValidator(today.year))

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        quarter, month = cleaned.get("quarter"), cleaned.get("month")
        if quarter and month and (month + 2) // 3 != quarter:
            self.add_error("month", _("This month lies in another quarter."))
        return cleaned

    def days(self) -> tuple[dt.date, dt.date]:
        """The first and the last day of the period."""
        year, quarter, month = (self.cleaned_data[name] for name in ("year", "quarter", "month"))
        first = month or ((quarter - 1) * 3 + 1 if quarter else 1)
        last = month or (quarter * 3 if quarter else 12)
        after = dt.date(year + last // 12, last % 12 + 1, 1)
        return dt.date(year, first, 1), after - dt.timedelta(days=1)


@dataclass(frozen=True)
class Line:
    label: Any
    number: int
    url: str


@dataclass
class Overview:
    """`median` of the days to answer, None without an answer; `answered` is the number it is made of."""

    total: Line
    answered: Line
    median: float | None
    parts: list[tuple[str, Any, list[Line]]] = field(default_factory=list)


def overview(request: HttpRequest, first: dt.date, last: dt.date) -> Overview:
    """Counts of what was received in these days, as the person's list shows it: two queries."""
    actor: Actor = request.actor  # type: ignore[attr-defined]
    kind = registry.kind(CODE)
    asked = {"occurred_on_from": first.isoformat(), "occurred_on_to": last.isoformat()}
    listed = visible(Opinion.objects.present(), actor)
    rows = filter_set(kind, actor)(asked, queryset=listed, request=request).qs.order_by()
    names = [name for name, _heading, _choices in PARTS]
    counted = rows.values_list(*names).annotate(number=Count("pk"))
    numbers: Counter[tuple[str, str]] = Counter()
    total = 0
    for *values, number in counted:
        total += number
        for key in zip(names, values, strict=True):
            numbers[key] += number
    days = _days(rows.filter(kind.indicator(ANSWERED).filter))

    def line(label: Any, number: int, **more: str) -> Line:
        return Line(label, number, f"{reverse('record_list', args=[CODE])}?{urlencode({**asked, **more})}")

    found = Overview(
        line(_("Opinions received"), total),
        line(_("Opinions answered"), days.total(), indicator=ANSWERED),
        median_of(days),
    )
    for name, heading, choices in PARTS:
        lines = [line(label, numbers[name, value], **{name: value}) for value, label in choices]
        found.parts.append((name, heading, [one for one in lines if one.number]))
    return found


def _days(answered: QuerySet[Any]) -> Counter[int]:
    """How many took so many days: a few rows, whatever the number of opinions."""
    return Counter(dict(answered.values_list("days_to_answer").annotate(number=Count("pk"))))


def median_of(counted: Counter[int]) -> float | None:
    """The middle one; of an even number the mean of the two in the middle."""
    total = counted.total()
    if not total:
        return None
    wanted, middle, passed = {(total - 1) // 2, total // 2}, [], 0
    for days, number in sorted(counted.items()):
        middle += [days for place in wanted if passed <= place < passed + number]
        passed += number
    return sum(middle) / len(middle)


@requires(Permission.STATISTICS_VIEW)
@require_safe
def opinion_overview(request: HttpRequest) -> HttpResponse:
    """Opinions of a period in the person's scope; a period that is not understood gets its message and no numbers."""
    form = PeriodForm(request.GET, timezone.localdate())
    context: dict[str, Any] = {"form": form, "page": None}
    if form.is_valid():
        first, last = form.days()
        context |= {"page": overview(request, first, last), "first": first, "last": last}
    return render(request, "outreach/opinion_overview.html", context)
