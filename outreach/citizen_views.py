"""The pages of people without an account: say something, follow it, read what a unit has released."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from outreach import citizens, flood, tracking
from outreach.actions.opinions import StepConflict
from outreach.forms.citizens import FindForm, RateForm, SayForm, TrackForm
from outreach.models.opinion import Opinion
from outreach.models.place import Place
from outreach.posters import public_address, qr_picture
from programs.access import public
from programs.attachments import MAX_BYTES
from programs.middleware import client_ip
from programs.models.unit import Unit

MOST_ANSWERS = 100


# --- finding a unit -------------------------------------------------------------------------------


@public
def citizen_start(request: HttpRequest) -> HttpResponse:
    """Streets to choose from, the units of a street, or what a search finds: one or two clicks to a unit."""
    form = FindForm(request.GET)
    asked = form.cleaned_data if form.is_valid() else {}
    context: dict[str, Any] = {"question": asked.get("q", "")}
    within = citizens.listening().filter(code=asked["within"]).first() if asked.get("within") else None
    if asked.get("q"):
        context["found"] = citizens.found_by(asked["q"])
    elif within is not None:
        context |= {"within": within, "below": citizens.below(within)}
    else:
        context["districts"] = citizens.starting_points()
    return render(request, "outreach/citizen_start.html", context)


def unit_or_404(code: str) -> Unit:
    """An open unit: that of the code, or the one that carries on its work. A printed code outlives a merger."""
    unit = citizens.successor_of(code)
    if unit is None:
        raise Http404
    return unit


# --- saying something -----------------------------------------------------------------------------


@public
def citizen_say(request: HttpRequest, code: str) -> HttpResponse:
    unit = unit_or_404(code)
    if unit.code != code:
        return redirect("citizen_say", unit.code)
    return _say(request, unit, None)


@public
def citizen_say_place(request: HttpRequest, code: str, place: int) -> HttpResponse:
    """As `citizen_say`, with the place filled in. One that is not shown to citizens leads to its unit."""
    unit = unit_or_404(code)
    found = citizens.public_place(unit, place) if unit.code == code else None
    if found is None:
        return redirect("citizen_say", unit.code)
    return _say(request, unit, found)


def _say(request: HttpRequest, unit: Unit, place: Place | None) -> HttpResponse:
    if request.method != "POST":
        return _form(request, unit, place, SayForm(initial={"ticket": flood.new_ticket()}, place=place))
    form = SayForm(request.POST, request.FILES, place=place)
    if not form.is_valid():
        return _form(request, unit, place, form)
    try:
        ticket = flood.read_ticket(form.cleaned_data["ticket"])
    except flood.BadTicket:
        form.add_error(None, _("The page had been open for long. Please send it once more."))
        return _form(request, unit, place, form, renew=True)
    try:
        if not citizens.sent_already(ticket) and not is_staff(request):
            proof = form.cleaned_data["proof"]
            flood.admit(ticket=ticket, proof=proof, address=client_ip(request), unit=unit)
        received = citizens.receive(
            unit=unit,
            values=form.words,
            ticket=ticket,
            files=form.cleaned_data["files"],
            request_id=getattr(request, "request_id", ""),
        )
    except flood.TooMany as busy:
        form.add_error(None, waiting_words(busy))
        return _busy(_form(request, unit, place, form), busy)
    except ValidationError as error:
        form.add_error(None, ValidationError(error.messages))
        return _form(request, unit, place, form)
    return _received(request, received)


def is_staff(request: HttpRequest) -> bool:
    return getattr(request, "actor", None) is not None


def waiting_words(busy: flood.TooMany) -> str:
    if busy.seconds < 2 * flood.MINUTE:
        text = ngettext(
            "Many messages arrive just now. Please send it again in %(count)d second; what you wrote is kept here.",
            "Many messages arrive just now. Please send it again in %(count)d seconds; what you wrote is kept here.",
            busy.seconds,
        )
        return text % {"count": busy.seconds}
    text = ngettext(
        "Many messages arrive just now. Please send it again in %(count)d minute; what you wrote is kept here.",
        "Many messages arrive just now. Please send it again in %(count)d minutes; what you wrote is kept here.",
        busy.minutes,
    )
    return text % {"count": busy.minutes}


def _busy(response: HttpResponse, busy: flood.TooMany) -> HttpResponse:
    response.status_code = HTTPStatus.TOO_MANY_REQUESTS
    response["Retry-After"] = str(busy.seconds)
    return response


def _form(
    request: HttpRequest, unit: Unit, place: Place | None, form: SayForm, *, renew: bool = False
) -> HttpResponse:
    ticket = flood.new_ticket() if renew or not form["ticket"].value() else form["ticket"].value()
    context = {
        "form": form,
        "unit": unit,
        "place": place,
        "ticket": ticket,
        "nonce": ticket.rsplit(":", 1)[0].rsplit(".", 1)[0],
        "difficulty": flood.DIFFICULTY,
        "has_places": Place.objects.present().filter(unit=unit, is_public=True).exists(),
        "megabytes": MAX_BYTES // 2**20,
    }
    return _private(render(request, "outreach/citizen_say.html", context))


def _received(request: HttpRequest, received: citizens.Received) -> HttpResponse:
    track = reverse("citizen_track")
    context = {
        "code": received.code,
        "opinion": received.opinion,
        "unit": received.opinion.unit,
        "track_address": public_address(request, track),
        # Behind the #, which browsers keep to themselves: no log ever holds a code.
        "picture": qr_picture(f"{public_address(request, track)}#{received.code}"),
    }
    return _private(render(request, "outreach/citizen_received.html", context))


def _private(response: HttpResponse) -> HttpResponse:
    """A shared computer's next user finds nothing of it."""
    response["Cache-Control"] = "private, no-store"
    return response


# --- following it ---------------------------------------------------------------------------------


@public
def citizen_track(request: HttpRequest) -> HttpResponse:
    """Asks for a code; with one, shows the state, and takes the citizen's word on the answer."""
    if request.method != "POST":
        return _track(request, TrackForm())
    form = TrackForm(request.POST)
    if not form.is_valid():
        return _track(request, form)
    who = client_ip(request) or "unknown"
    try:
        flood.check(flood.WRONG_CODES, who)
    except flood.TooMany as busy:
        form.add_error("code", waiting_for_codes(busy))
        return _busy(_track(request, form), busy)
    opinion = tracking.look_up(form.cleaned_data["code"])
    if opinion is None:
        try:
            flood.count(flood.WRONG_CODES, who)
        except flood.TooMany as busy:
            form.add_error("code", waiting_for_codes(busy))
            return _busy(_track(request, form), busy)
        form.add_error("code", _("No matter is known under this code. Please compare it with your slip."))
        return _track(request, form)
    return _shown(request, form.cleaned_data["code"], opinion)


def waiting_for_codes(busy: flood.TooMany) -> str:
    text = ngettext(
        "Too many codes were tried from here. Please try again in %(count)d minute.",
        "Too many codes were tried from here. Please try again in %(count)d minutes.",
        busy.minutes,
    )
    return text % {"count": busy.minutes}


def _track(request: HttpRequest, form: TrackForm) -> HttpResponse:
    return _private(render(request, "outreach/citizen_track.html", {"form": form}))


def _shown(request: HttpRequest, code: str, opinion: Opinion) -> HttpResponse:
    rating = RateForm(request.POST) if "verdict" in request.POST else RateForm(initial={"code": code})
    done = ""
    if rating.is_bound and rating.is_valid():
        is_satisfied = rating.cleaned_data["verdict"] == "satisfied"
        try:
            citizens.rate(opinion=opinion, is_satisfied=is_satisfied)
        except (ValidationError, StepConflict):
            done = _("The matter has moved on meanwhile; this is how it stands now.")
        else:
            done = (
                _("Thank you. Your word on the answer is noted.")
                if is_satisfied
                else _("Thank you. The unit will look at the matter again.")
            )
        opinion = tracking.look_up(code) or opinion
        rating = RateForm(initial={"code": code})
    context = {"code": code, "shown": tracking.shown(opinion), "rating": rating, "done": done}
    return _private(render(request, "outreach/citizen_state.html", context))


# --- what a unit shows in the open ----------------------------------------------------------------


@public
def citizen_answers(request: HttpRequest, code: str) -> HttpResponse:
    """Answers that the unit has released: subject, category, month, answer. No names, no words of citizens."""
    unit = unit_or_404(code)
    answers = (
        Opinion.objects.present()
        .filter(unit=unit, is_released=True, state__in=tracking.ANSWERED)
        .exclude(answer="")
        .only("title", "category", "occurred_on", "answer")
        .order_by("-occurred_on", "-pk")[:MOST_ANSWERS]
    )
    return render(request, "outreach/citizen_answers.html", {"unit": unit, "answers": answers})


@public
def citizen_places(request: HttpRequest, code: str) -> HttpResponse:
    unit = unit_or_404(code)
    context = {"unit": unit, "places": citizens.public_places(unit)}
    return render(request, "outreach/citizen_places.html", context)
