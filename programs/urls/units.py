from __future__ import annotations

from django.urls import path, register_converter
from django.urls.converters import StringConverter

from programs.views import units


class UnitCode(StringConverter):
    regex = "[0-9A-Za-z-]{1,20}"


register_converter(UnitCode, "unit_code")

urlpatterns = [
    path("", units.unit_list, name="unit_list"),
    path("search/", units.unit_search, name="unit_search"),
    path("new/", units.unit_create, name="unit_create"),
    path("<unit_code:code>/", units.unit_detail, name="unit_detail"),
    *(
        path(f"<unit_code:code>/{verb.code}/", units.unit_change, {"verb": verb.code}, name=verb.url_name)
        for verb in units.VERBS.values()
    ),
]
