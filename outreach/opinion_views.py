"""The pages of an opinion's life: its steps on the detail page, and one small form for each step."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from outreach import deadlines, life
from outreach.actions.opinions import StepConflict, take_step, why_not
from outreach.forms.opinions import StepForm
from outreach.inbox import TABS, counts, rows_of
from outreach.models.opinion import Opinion
from outreach.visit_parts import shown_visit
from programs import registry
from programs.access import Actor, get_record_or_404, requires, visible
from programs.facts import shown, title_of
from programs.roles import Permission

CODE = "opinions"


def _actor(request: HttpRequest) -> Actor:
    return request.actor  # type: ignore[attr-defined]


def life_of(opinion: Opinion, actor: Actor) -> dict[str, Any]:
    """What the detail page shows of the life: where it stands, its steps, and what this person may do."""
    steps = list(opinion.steps.select_related("by", "from_unit", "to_unit", "other").order_by("-number"))
    offered = [] if opinion.is_removed else life.offered(opinion, life.parties(actor, opinion))
    likely = {"resume"} if opinion.paused_on is not None else {life.LIKELY.get(opinion.state, "")}
    return {
        "steps": [_told(step, actor) for step in steps],
        "likely": [_offer(opinion, step) for step in offered if step.code in likely],
        "others": [_offer(opinion, step) for step in offered if step.code not in likely],
        "now": _now(opinion),
        "heard_on": shown_visit(opinion, actor),
        "pieces": _related(opinion.pieces.all(), actor),
        "merged": _related(opinion.merged.all(), actor),
        "goes_on": _related(Opinion.objects.filter(pk=opinion.merged_into_id or 0), actor),
        "parent": _related(Opinion.objects.filter(pk=opinion.split_from_id or 0), actor),
    }


def _now(opinion: Opinion) -> dict[str, Any]:
    overdue = deadlines.is_overdue(opinion)
    uncertain = opinion.answer_due_on is not None and not deadlines.is_certain(opinion.answer_due_on)
    return {
        "state": opinion.get_state_display(),
        "responsible": opinion.responsible,
        "deadline": deadlines.in_words(opinion),
        "due_on": opinion.due_on,
        "answer_due_on": opinion.answer_due_on if opinion.state in life.OPEN else None,
        "is_overdue": overdue,
        "uncertain_after": deadlines.LAST_YEAR if uncertain and opinion.state in life.OPEN else None,
        "outcome": opinion.get_outcome_display() if opinion.outcome else "",
        "satisfaction": opinion.get_satisfaction_display() if opinion.satisfaction else "",
        "answer": opinion.answer,
        "answered_on": opinion.answered_on,
        "on_time": opinion.on_time,
        "is_supervised": opinion.is_supervised and opinion.state not in life.ENDED,
    }


def _told(step: Any, actor: Actor) -> dict[str, Any]:
    return {
        "what": life.DONE_WORDS.get(step.transition, step.transition),
        "who": str(step.by.name) if step.by else _("Citizen"),
        "at": step.at,
        "from_unit": step.from_unit if step.from_unit_id != step.to_unit_id else None,
        "to_unit": step.to_unit,
        "moved": step.from_unit_id != step.to_unit_id,
        "state": step.get_to_state_display(),
        "reason": step.reason,
        "outcome": step.get_outcome_display() if step.outcome else "",
        "satisfaction": step.get_satisfaction_display() if step.satisfaction else "",
        "answer": step.answer,
        "days": step.days,
        "due_on": step.due_on,
    }


def _offer(opinion: Opinion, step: life.Transition) -> dict[str, Any]:
    return {
        "code": step.code,
        "label": step.label,
        "icon": step.icon,
        "url": reverse("opinion_step", args=[opinion.pk, step.code]),
        "at_once": step.code in life.AT_ONCE,
    }


def _related(opinions: Any, actor: Actor) -> list[dict[str, Any]]:
    """Other items of its life that this person may see."""
    return [
        {
            "url": reverse("record_detail", args=[CODE, other.pk]),
            "title": title_of(other, actor),
            "number": other.pk,
        }
        for other in visible(opinions, actor).order_by("pk")
    ]


@requires(Permission.RECORD_WRITE)
def opinion_step(request: HttpRequest, pk: int, step: str) -> HttpResponse:
    """Ask for what the step needs, and take it. Who may take it stands in `outreach.life`."""
    actor = _actor(request)
    opinion = get_record_or_404(registry.kind(CODE), actor, pk)
    transition = life.TRANSITIONS.get(step)
    if transition is None:
        raise Http404
    if not life.parties(actor, opinion) & transition.parties:
        raise PermissionDenied
    if request.method != "POST":
        if not life.is_possible(opinion, transition):
            messages.info(request, why_not(opinion))
            return redirect("record_detail", CODE, pk)
        return _step_page(request, opinion, StepForm(step=transition, opinion=opinion, actor=actor))
    form = StepForm(request.POST, step=transition, opinion=opinion, actor=actor)
    if not form.is_valid():
        return _step_page(request, opinion, form, status=200)
    try:
        take_step(
            by=actor,
            opinion=opinion,
            transition=step,
            version=form.cleaned_data["version"],
            **form.given(),
        )
    except StepConflict as conflict:
        messages.warning(request, str(conflict))
        return redirect("record_detail", CODE, pk)
    except ValidationError as error:
        form.add_refusal(error)
        return _step_page(request, opinion, form)
    messages.success(request, _("Done: %(step)s") % {"step": transition.done})
    return redirect(
        "opinion_inbox" if request.POST.get("back") == "inbox" else reverse("record_detail", args=[CODE, pk])
    )


def _step_page(request: HttpRequest, opinion: Opinion, form: StepForm, status: int = 200) -> HttpResponse:
    context = {
        "kind": registry.kind(CODE),
        "opinion": opinion,
        "title": title_of(opinion, _actor(request)),
        "step": form.step,
        "form": form,
        "now": _now(opinion),
        "cancel_url": reverse("record_detail", args=[CODE, opinion.pk]),
    }
    return render(request, "outreach/opinion_step.html", context, status=status)


@requires(Permission.RECORD_WRITE)
def opinion_inbox(request: HttpRequest) -> HttpResponse:
    """What waits for the units this person writes for, by why it waits."""
    actor = _actor(request)
    tabs = [tab for tab in TABS if tab.permission is None or actor.may(tab.permission)]
    numbers = counts(actor)
    chosen = next((tab for tab in tabs if tab.code == request.GET.get("tab")), None)
    # Without a choice, the first in which anything waits.
    tab = chosen or next((tab for tab in tabs if numbers[tab.code]), tabs[0])
    rows, more = rows_of(actor, tab.code, start=_start(request))
    context = {
        "tabs": [
            {
                "label": t.label,
                "number": numbers[t.code],
                "url": f"?tab={t.code}",
                "active": t is tab,
                "code": t.code,
            }
            for t in tabs
        ],
        "tab": tab,
        "rows": rows,
        "next_url": f"?tab={tab.code}&start={more}" if more else "",
        "today": shown(None, timezone.localdate()),
    }
    return render(request, "outreach/opinion_inbox.html", context)


def _start(request: HttpRequest) -> int:
    text = request.GET.get("start", "")
    return min(int(text), 100_000) if text.isdecimal() and len(text) < 7 else 0
