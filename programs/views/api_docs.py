"""The API's description, as a file and as a page to read and try it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import get_language
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer2
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from programs import registry
from programs.access import signed_in
from programs.api.access import DeclaredPermission


class SchemaView(APIView):
    permission_classes = [DeclaredPermission]
    renderer_classes = [OpenApiJsonRenderer2]
    http_method_names = ["get", "head"]

    @extend_schema(exclude=True)
    @signed_in
    def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        kinds = tuple(kind.code for kind in registry.kinds())
        return HttpResponse(
            _described(get_language() or "", kinds),
            content_type=OpenApiJsonRenderer2.media_type,
            headers={"Content-Disposition": 'inline; filename="caring-portal.json"'},
        )


@lru_cache(maxsize=8)
def _described(language: str, kinds: tuple[str, ...]) -> bytes:
    """The description in the language that is active. It is the same for every reader and takes a second to write."""
    schema = SchemaGenerator().get_schema(request=None, public=True)
    return bytes(OpenApiJsonRenderer2().render(schema))


@signed_in
def api_docs(request: HttpRequest) -> HttpResponse:
    return render(request, "programs/api_docs.html")
