from django.urls import path

from outreach import mood_views

urlpatterns = [
    path("mood/overview/", mood_views.mood_overview, name="mood_overview"),
    path("mood/seen/", mood_views.mood_seen, name="mood_seen"),
]
