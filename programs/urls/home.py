from __future__ import annotations

from django.urls import path

from programs.views import home

urlpatterns = [
    path("", home.home, name="home"),
    path("search/", home.search, name="search"),
]
