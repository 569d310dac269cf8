"""The pages of listening visits that the generic ones cannot serve; each area keeps its own list."""

from django.urls import include, path

urlpatterns = [
    path("", include("outreach.urls.citizens")),
    path("", include("outreach.urls.opinions")),
    path("", include("outreach.urls.mood")),
    path("", include("outreach.urls.digests")),
]
