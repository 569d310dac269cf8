"""What staff do for the citizens' channel: a code for a citizen who called, releases, similar opinions."""

from __future__ import annotations

import re
from collections.abc import Callable

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _

from outreach import similar, tracking
from outreach.actions import release as releases
from outreach.models.opinion import Opinion
from outreach.posters import public_address, qr_picture
from programs import registry
from programs.access import Actor, get_record_or_404, requires
from programs.actions.records import EditConflict
from programs.roles import Permission


def _actor(request: HttpRequest) -> Actor:
    actor: Actor = request.actor  # type: ignore[attr-defined]
    return actor


def _opinion(request: HttpRequest, pk: int) -> Opinion:
    found: Opinion = get_record_or_404(
        registry.kind("opinions"), _actor(request), pk, Permission.RECORD_WRITE
    )
    return found


@requires(Permission.RECORD_WRITE)
def opinion_code(request: HttpRequest, pk: int) -> HttpResponse:
    """Issues a tracking code and shows it, once: to be read out, or printed and handed over."""
    opinion = _opinion(request, pk)
    context = {"opinion": opinion, "unit": opinion.unit, "has_code": bool(opinion.tracking_digest)}
    if request.method == "POST":
        code = tracking.issue_code(by=_actor(request), opinion=opinion)
        address = public_address(request, reverse("citizen_track"))
        context |= {"code": code, "track_address": address, "picture": qr_picture(f"{address}#{code}")}
    response = render(request, "outreach/opinion_code.html", context)
    response["Cache-Control"] = "private, no-store"
    return response


@requires(Permission.RECORD_WRITE)
def opinion_release(request: HttpRequest, pk: int) -> HttpResponse:
    return _release(request, pk, releases.release, _("Subject and answer can now be read by everybody."))


@requires(Permission.RECORD_WRITE)
def opinion_withdraw(request: HttpRequest, pk: int) -> HttpResponse:
    return _release(request, pk, releases.withdraw, _("Subject and answer are no longer shown in the open."))


def _release(request: HttpRequest, pk: int, act: Callable[..., None], done: str) -> HttpResponse:
    opinion = _opinion(request, pk)
    if request.method == "POST":
        sent = request.POST.get("version", "")
        try:
            act(by=_actor(request), opinion=opinion, version=int(sent) if sent.isdecimal() else -1)
        except ValidationError as error:
            messages.error(request, error.messages[0])
        except EditConflict:
            messages.error(request, _("The opinion was changed meanwhile; look at it once more."))
        else:
            messages.success(request, done)
        return redirect("record_detail", "opinions", opinion.pk)
    context = {"opinion": opinion, "withdraws": act is releases.withdraw}
    return render(request, "outreach/opinion_release.html", context)


@requires(Permission.RECORD_VIEW)
def opinions_similar(request: HttpRequest) -> HttpResponse:
    """The fragment below the subject while one types (see SimilarInput): open opinions in one's own scope."""
    title, location, category = (
        request.GET.get(name, "")[:100] for name in ("title", "location", "category")
    )
    # On the form of an opinion that is there already, it is not similar to itself.
    edited = re.search(r"/records/opinions/(\d{1,18})/", request.headers.get("HX-Current-URL", ""))
    found = similar.similar_opinions(
        _actor(request),
        title=title,
        location=location,
        category=category,
        leave_out=int(edited[1]) if edited else None,
    )
    return render(request, "outreach/similar.html", {"found": found})


@requires(Permission.RECORD_VIEW)
def opinions_widely(request: HttpRequest) -> HttpResponse:
    """What was raised in three or more communities within 30 days, as far as one may read. With `?panel`, how many
    such matters there are: for the home page."""
    context = {
        "raised": similar.raised_widely(_actor(request)),
        "days": similar.WIDELY_DAYS,
        "communities": similar.WIDELY_COMMUNITIES,
    }
    if "panel" in request.GET:
        data = {**context, "url": reverse("opinions_widely")}
        return render(request, "outreach/widely_panel.html", {"data": data})
    return render(request, "outreach/widely.html", context)
