"""The API's description, as a file and as a page to read and try it."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from drf_spectacular.renderers import OpenApiJsonRenderer2
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from programs.access import signed_in
from programs.api.access import DeclaredPermission


class SchemaView(SpectacularAPIView):
    permission_classes = [DeclaredPermission]
    renderer_classes = [OpenApiJsonRenderer2]
    http_method_names = ["get", "head"]

    @extend_schema(exclude=True)
    @signed_in
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


@signed_in
def api_docs(request: HttpRequest) -> HttpResponse:
    return render(request, "programs/api_docs.html")
