"""Who is asking, and whether the view they ask for is open to them.

A view declares what it asks for on the method that answers (`@requires(...) def create`). `AccessMiddleware` holds
signed-in people to it for pages and API alike; the permission here asks the same question, turns strangers away,
and denies what nothing else has let through.
"""

from __future__ import annotations

from typing import Any, cast

from rest_framework import authentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from programs.access import Actor, requirement_of


class SessionAuthentication(authentication.SessionAuthentication):
    """The session of the pages, with its CSRF token. Strangers are told to sign in (401), not that they may not."""

    def authenticate_header(self, request: Request) -> str:
        return "Session"


class DeclaredPermission(BasePermission):
    """Denies a view that declares nothing, and whoever lacks what it declares."""

    def has_permission(self, request: Request, view: Any) -> bool:
        match = request.resolver_match
        requirement = requirement_of(match.func, cast(str, request.method)) if match else None
        if requirement is None:
            return False
        if requirement.public:
            return True
        actor = find_actor(request)
        if actor is None:
            return False
        return requirement.permission is None or actor.may(requirement.permission)


def find_actor(request: Any) -> Actor | None:
    """The person in front of the view; None for a stranger."""
    return getattr(request, "actor", None)


def actor_of(request: Request) -> Actor:
    """The person in front of a view that is not public."""
    actor = find_actor(request)
    if actor is None:
        raise TypeError("a public view has no actor")
    return actor
