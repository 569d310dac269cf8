from django.urls import path

from outreach import digest_views

urlpatterns = [
    path("reminders/read/", digest_views.digest_read, name="digest_read"),
]
