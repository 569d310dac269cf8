"""Putting away the reminder of the day."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST

from outreach.digests import mark_read
from programs.access import Actor, requires
from programs.roles import Permission


@requires(Permission.RECORD_WRITE)
@require_POST
def digest_read(request: HttpRequest) -> HttpResponse:
    """One's own of today only: there is nothing to name, and a second time changes nothing."""
    actor: Actor = request.actor  # type: ignore[attr-defined]
    mark_read(by=actor, day=timezone.localdate())
    return redirect("home")
