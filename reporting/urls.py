from __future__ import annotations

import datetime as dt

from django.urls import include, path, re_path, register_converter

from reporting import pivot_views, upload_views, views
from reporting.api import FiguresView, IndicatorsView
from reporting.upload_api import BlankView, MarkedView, OriginalView, UploadViewSet


class MonthConverter:
    """2026-03 in an address: the first day of the month."""

    regex = "[12][0-9]{3}-(?:0[1-9]|1[0-2])"

    def to_python(self, value: str) -> dt.date:
        return dt.date.fromisoformat(f"{value}-01")

    def to_url(self, month: dt.date) -> str:
        return f"{month:%Y-%m}"


register_converter(MonthConverter, "month")

uploads = [
    path("", upload_views.upload_list, name="upload_list"),
    path("blank/", upload_views.upload_blank, name="upload_blank"),
    path("<uuid:public_id>/", upload_views.upload_detail, name="upload_detail"),
    path("<uuid:public_id>/remarks/", upload_views.upload_remarks, name="upload_remarks"),
    path("<uuid:public_id>/confirm/", upload_views.upload_confirm, name="upload_confirm"),
    path("<uuid:public_id>/cancel/", upload_views.upload_cancel, name="upload_cancel"),
    path("<uuid:public_id>/undo/", upload_views.upload_undo, name="upload_undo"),
    path("<uuid:public_id>/original/", upload_views.upload_original, name="upload_original"),
    path("<uuid:public_id>/marked/", upload_views.upload_marked, name="upload_marked"),
    path("<uuid:public_id>/read-as/", upload_views.upload_read_as, name="upload_read_as"),
    path(
        "<uuid:public_id>/sheets/<int:position>/columns/", upload_views.upload_columns, name="upload_columns"
    ),
]
api_uploads = [
    path("", UploadViewSet.as_view({"get": "list", "post": "create"}), name="api_uploads_list"),
    path("blank/", BlankView.as_view(), name="api_uploads_blank"),
    path("<uuid:id>/", UploadViewSet.as_view({"get": "retrieve"}), name="api_uploads_detail"),
    path("<uuid:id>/remarks/", UploadViewSet.as_view({"get": "remarks"}), name="api_uploads_remarks"),
    path("<uuid:id>/confirm/", UploadViewSet.as_view({"post": "confirm"}), name="api_uploads_confirm"),
    path("<uuid:id>/cancel/", UploadViewSet.as_view({"post": "cancel"}), name="api_uploads_cancel"),
    path("<uuid:id>/undo/", UploadViewSet.as_view({"post": "undo"}), name="api_uploads_undo"),
    path("<uuid:id>/original/", OriginalView.as_view(), name="api_uploads_original"),
    path("<uuid:id>/marked/", MarkedView.as_view(), name="api_uploads_marked"),
]

urlpatterns = [
    path("api/v1/uploads/", include(api_uploads)),
    path("uploads/", include(uploads)),
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
