from __future__ import annotations

from django.urls import include, path

urlpatterns = [
    path("api/", include("programs.api_urls")),
    path("", include("outreach.urls")),
    path("", include("reporting.urls")),
    path("", include("programs.urls")),
]

# The API is answered in JSON, everything else with a page.
handler400 = "programs.api.errors.bad_request"
handler403 = "programs.api.errors.permission_denied"
handler404 = "programs.api.errors.page_not_found"
handler500 = "programs.api.errors.server_error"
