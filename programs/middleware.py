"""What happens to every request: an id, a language, an actor, the declared permission, the idle limit."""

from __future__ import annotations

import ipaddress
import logging
import re
import time
import uuid
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect, render
from django.utils import translation
from django.utils.cache import patch_cache_control
from django.utils.translation import gettext as _
from django_otp import DEVICE_ID_SESSION_KEY

from programs.access import Actor, requirement_of, role_rank
from programs.actions.audit import note_denial

logger = logging.getLogger(__name__)
GetResponse = Callable[[HttpRequest], HttpResponse]
ACTING_UNIT_KEY = "acting_unit"
LAST_SEEN_KEY = "last_seen"
# What a browser sends. Other methods would be taken for a GET by a function that asks for POST only.
PAGE_METHODS = ("GET", "HEAD", "POST")
REQUEST_ID = re.compile(r"[0-9A-Za-z-]{8,36}")


class RequestIdMiddleware:
    """One id for a request in logs, audit rows and the answer's X-Request-ID."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        sent = request.headers.get("X-Request-ID", "")
        request.request_id = sent if REQUEST_ID.fullmatch(sent) else str(uuid.uuid4())  # type: ignore[attr-defined]
        response = self.get_response(request)
        response["X-Request-ID"] = request.request_id  # type: ignore[attr-defined]
        return response


class LanguageMiddleware:
    """Simplified Chinese unless the person chose otherwise; the browser's own wish is not asked."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        chosen = request.COOKIES.get(settings.LANGUAGE_COOKIE_NAME)
        language = chosen if chosen in dict(settings.LANGUAGES) else settings.LANGUAGE_CODE
        with translation.override(language):
            request.LANGUAGE_CODE = language
            response = self.get_response(request)
        response.setdefault("Content-Language", language)
        return response


class IdleSessionMiddleware:
    """Ends a session after inactivity. The time is noted once a minute, not at every request."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.user.is_authenticated:
            now = int(time.time())
            seen = request.session.get(LAST_SEEN_KEY, now)
            if now - seen > settings.SESSION_COOKIE_AGE:
                logout(request)
                if is_api(request):
                    request.actor = None  # type: ignore[attr-defined]
                    return self.get_response(request)  # which asks to sign in
                messages.info(request, _("You were signed out after a time without activity."))
                return redirect("sign_in")
            if now - seen > 60 or LAST_SEEN_KEY not in request.session:
                request.session[LAST_SEEN_KEY] = now
        return self.get_response(request)


class AccessMiddleware:
    """Gives the request its actor and holds each view to what it declared. A view that declares nothing is denied."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.actor = actor_of(request) if request.user.is_authenticated else None  # type: ignore[attr-defined]
        response = self.get_response(request)
        if response.status_code == HTTPStatus.METHOD_NOT_ALLOWED and not is_api(request):
            allowed = response["Allow"]
            response = render(request, "405.html", status=HTTPStatus.METHOD_NOT_ALLOWED)
            response["Allow"] = allowed
        if request.actor is not None:  # type: ignore[attr-defined]
            # Desks are shared: nothing of a signed-in page stays in the browser's or a proxy's store.
            patch_cache_control(response, private=True, no_store=True)
        return response

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], args: Any, kwargs: Any
    ) -> HttpResponse | None:
        requirement = requirement_of(view, request.method or "")
        if requirement is None:
            logger.error("The view %s declares no permission and is denied.", view)
            raise PermissionDenied
        if is_page(view) and request.method not in PAGE_METHODS:
            return HttpResponseNotAllowed(PAGE_METHODS)
        actor: Actor | None = request.actor  # type: ignore[attr-defined]
        if requirement.public or actor is None:
            return None  # LoginRequiredMiddleware and DRF have turned strangers away from what is not public
        if not requirement.unfinished and (unfinished := unfinished_business(request, actor)):
            if is_api(request):
                raise PermissionDenied(_("Finish signing in on the website first."))
            return redirect(unfinished)
        if requirement.permission and not actor.may(requirement.permission):
            note_denial(actor, f"{request.method} {request.path}")
            raise PermissionDenied
        return None

    def process_exception(self, request: HttpRequest, exception: Exception) -> None:
        actor: Actor | None = getattr(request, "actor", None)
        if isinstance(exception, PermissionDenied) and actor is not None:
            note_denial(actor, f"{request.method} {request.path}")


def actor_of(request: HttpRequest) -> Actor:
    """The signed-in person, acting for the unit picked in this session if a grant for it still stands."""
    user: Any = request.user
    user = getattr(user, "_wrapped", user)  # the person, not the lazy wrapper
    choices = getattr(user, "active_grants", None)
    if choices is None:  # signed in during this very request
        choices = tuple(user.grants.active().select_related("unit"))
    choices = tuple(sorted(choices, key=lambda g: (role_rank(g.role), g.unit.code)))
    picked = request.session.get(ACTING_UNIT_KEY)
    if picked not in {grant.unit_id for grant in choices}:
        picked = choices[0].unit_id if choices else None
    return Actor(
        user,
        tuple(grant for grant in choices if grant.unit_id == picked),
        choices,
        ip=client_ip(request),
        request_id=getattr(request, "request_id", ""),
    )


def is_page(view: Callable[..., Any]) -> bool:
    """Whether the view is a function; classes know their methods themselves."""
    return not (hasattr(view, "cls") or hasattr(view, "view_class"))


def is_api(request: HttpRequest) -> bool:
    """Whether a program is asking, which is answered in JSON and never sent to a page."""
    return request.path.startswith("/api/")


def client_ip(request: HttpRequest) -> str | None:
    """The address of the connection; behind a proxy, the one that the nearest trusted proxy named."""
    if settings.PROXY_COUNT:
        hops = [hop.strip() for hop in request.headers.get("X-Forwarded-For", "").split(",") if hop.strip()]
        if len(hops) >= settings.PROXY_COUNT and is_valid_ip(hops[-settings.PROXY_COUNT]):
            return hops[-settings.PROXY_COUNT]
    address = request.META.get("REMOTE_ADDR", "")
    return address if is_valid_ip(address) else None


def is_valid_ip(text: str) -> bool:
    """A socket's peer has no address, and a careless proxy may pass on anything."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def unfinished_business(request: HttpRequest, actor: Actor) -> str | None:
    """The page a person must pass before any other: a new password, or the second factor."""
    if actor.user.must_change_password:
        return "password_change"
    needs_second_factor = any(grant.role in settings.TWO_FACTOR_REQUIRED_ROLES for grant in actor.choices)
    if needs_second_factor and DEVICE_ID_SESSION_KEY not in request.session:
        return "two_factor"
    return None
