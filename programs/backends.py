"""Signing in, and loading the person of a session together with their grants."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import BaseBackend
from django.http import HttpRequest

from programs.models.people import Grant, User


class PortalBackend(BaseBackend):
    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kw: Any
    ) -> User | None:
        if username is None or password is None:
            return None
        user = User.objects.filter(username=User.normalize_username(username)).first()
        if user is None:
            # The same work for an unknown name, so that the time of the answer does not tell names.
            User().set_password(password)
            return None
        return user if user.check_password(password) and user.is_active else None

    def get_user(self, user_id: int) -> User | None:
        """The person, with the grants active today in `user.active_grants`: one query for both."""
        grants = list(Grant.objects.active().filter(user_id=user_id).select_related("user", "unit"))
        user = grants[0].user if grants else User.objects.filter(pk=user_id).first()
        if user is None or not user.is_active:
            return None
        user.active_grants = tuple(grants)  # type: ignore[attr-defined]
        return user
