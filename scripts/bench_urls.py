"""The portal's addresses, and a page that renders only the frame: the yardstick of `make bench-lists`."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path

from caring_portal.urls import urlpatterns as portal
from programs.access import signed_in


@signed_in
def frame(request: HttpRequest) -> HttpResponse:
    return render(request, "base.html")


urlpatterns = [*portal, path("bench-frame/", frame)]
