"""The pages of the kernel; each area keeps its own list."""

from django.urls import include, path

urlpatterns = [
    path("", include("programs.urls.account")),
    path("", include("programs.urls.home")),
    path("records/", include("programs.urls.records")),
    path("units/", include("programs.urls.units")),
    path("people/", include("programs.urls.people")),
    path("audit/", include("programs.urls.audit")),
]
