"""The pages of an opinion's life."""

from __future__ import annotations

from django.urls import path

from outreach import opinion_overview
from outreach import opinion_views as views

urlpatterns = [
    path("opinions/overview/", opinion_overview.opinion_overview, name="opinion_overview"),
    path("opinions/inbox/", views.opinion_inbox, name="opinion_inbox"),
    path("records/opinions/<int:pk>/steps/<slug:step>/", views.opinion_step, name="opinion_step"),
]
