"""The routes of the API. Those of other apps (statistics) stand in their own lists, included beside this one."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path, re_path

from programs.api.reading import KindsView, MeView, UnitViewSet
from programs.api.records import routes
from programs.views.api_docs import SchemaView, api_docs

version_1: list[URLPattern] = [
    *routes(),
    path("units/", UnitViewSet.as_view({"get": "list"}), name="api_units_list"),
    re_path(
        r"^units/(?P<code>[0-9A-Z-]{1,20})/$",
        UnitViewSet.as_view({"get": "retrieve"}),
        name="api_units_detail",
    ),
    path("kinds/", KindsView.as_view(), name="api_kinds"),
    path("me/", MeView.as_view(), name="api_me"),
]

urlpatterns: list[URLPattern | URLResolver] = [
    path("v1/", include(version_1)),
    path("schema/", SchemaView.as_view(), name="api_schema"),
    path("docs/", api_docs, name="api_docs"),
]
