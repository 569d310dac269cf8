from __future__ import annotations

import datetime as dt

from django.urls import path, re_path, register_converter

from reporting import pivot_views, views
from reporting.api import FiguresView, IndicatorsView


class MonthConverter:
    """2026-03 in an address: the first day of the month."""

    regex = "[12][0-9]{3}-(?:0[1-9]|1[0-2])"

    def to_python(self, value: str) -> dt.date:
        return dt.date.fromisoformat(f"{value}-01")

    def to_url(self, month: dt.date) -> str:
        return f"{month:%Y-%m}"


register_converter(MonthConverter, "month")

urlpatterns = [
    re_path(r"^api/v1/figures/(?P<code>[0-9A-Z-]{1,20})/$", FiguresView.as_view(), name="api_figures"),
    path("api/v1/indicators/", IndicatorsView.as_view(), name="api_indicators"),
    path("health/", views.health, name="health"),
    path("statistics/", views.dashboard, name="dashboard"),
    path("statistics/indicators/", views.indicators, name="indicators"),
    path("statistics/units/<str:code>/", views.dashboard_unit, name="dashboard_unit"),
    path("statistics/pivot/", pivot_views.pivot, name="pivot"),
    path("statistics/pivot/export/<str:form>/", pivot_views.pivot_export, name="pivot_export"),
    path("statistics/pivot/save/", pivot_views.pivot_save, name="pivot_save"),
    path("statistics/pivot/saved/", pivot_views.pivot_list, name="pivot_list"),
    path("statistics/pivot/saved/<int:saved>/", pivot_views.pivot_saved, name="pivot_saved"),
    path("statistics/pivot/saved/<int:saved>/remove/", pivot_views.pivot_remove, name="pivot_remove"),
    path("statistics/units/<str:code>/months/", views.heat_map, name="heat_map"),
    path(
        "statistics/units/<str:code>/months/<slug:kind>/<month:month>/zero/",
        views.zero_declare,
        name="zero_declare",
    ),
    path(
        "statistics/units/<str:code>/months/<slug:kind>/<month:month>/zero/withdraw/",
        views.zero_withdraw,
        name="zero_withdraw",
    ),
]
