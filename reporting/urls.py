from __future__ import annotations

from django.urls import path, re_path

from reporting import views
from reporting.api import FiguresView

urlpatterns = [
    re_path(r"^api/v1/figures/(?P<code>[0-9A-Z-]{1,20})/$", FiguresView.as_view(), name="api_figures"),
    path("health/", views.health, name="health"),
    path("statistics/", views.dashboard, name="dashboard"),
    path("statistics/units/<str:code>/", views.dashboard_unit, name="dashboard_unit"),
]
