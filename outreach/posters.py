"""Posters with a QR code, for a unit or one of its places."""

from __future__ import annotations

import base64

import qrcode
import qrcode.image.svg
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from outreach.models.place import Place
from programs import registry
from programs.access import Actor, get_record_or_404, get_unit_or_404, requires
from programs.models.unit import Unit
from programs.roles import Permission


@requires(Permission.RECORD_WRITE)
def poster_own(request: HttpRequest) -> HttpResponse:
    """The poster of the unit one works for."""
    actor: Actor = request.actor  # type: ignore[attr-defined]
    if actor.unit is None:  # the permission comes from a grant at a unit
        raise PermissionDenied
    return redirect("poster_unit", actor.unit.code)


@requires(Permission.UNIT_VIEW)
def poster_unit(request: HttpRequest, code: str) -> HttpResponse:
    actor: Actor = request.actor  # type: ignore[attr-defined]
    unit = get_unit_or_404(actor, Permission.UNIT_VIEW, code=code)
    return _poster(request, unit, None, reverse("citizen_say", args=[unit.code]))


@requires(Permission.RECORD_VIEW)
def poster_place(request: HttpRequest, pk: int) -> HttpResponse:
    actor: Actor = request.actor  # type: ignore[attr-defined]
    place: Place = get_record_or_404(registry.kind("places"), actor, pk, removed=None)
    return _poster(request, place.unit, place, reverse("citizen_say_place", args=[place.unit.code, place.pk]))


def _poster(request: HttpRequest, unit: Unit, place: Place | None, path: str) -> HttpResponse:
    address = public_address(request, path)
    context = {
        "unit": unit,
        "place": place,
        "address": address,
        "picture": qr_picture(address),
        "is_hidden": place is not None and (place.is_removed or not place.is_public),
        "back": reverse("record_detail", args=["places", place.pk])
        if place
        else reverse("unit_detail", args=[unit.code]),
    }
    return render(request, "outreach/poster.html", context)


def public_address(request: HttpRequest, path: str) -> str:
    """The address that citizens use: PUBLIC_URL of the settings, or the host that is asked right now."""
    base: str = settings.PUBLIC_URL.rstrip("/")
    return f"{base}{path}" if base else request.build_absolute_uri(path)


def qr_picture(text: str) -> str:
    """A data: address of an SVG. Quartile correction: it is read from a creased or dirty sheet as well."""
    code = qrcode.QRCode(error_correction=qrcode.constants.ERROR_CORRECT_Q, box_size=12, border=4)
    code.add_data(text)
    picture = code.make_image(image_factory=qrcode.image.svg.SvgPathImage)
    return f"data:image/svg+xml;base64,{base64.b64encode(picture.to_string()).decode()}"
