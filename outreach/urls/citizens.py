"""The citizens' channel: public pages under /say/, and what staff do for it."""

from __future__ import annotations

from django.urls import path

from outreach import citizen_staff, citizen_views, posters
from programs.urls import units  # noqa: F401  (brings the converter unit_code)

urlpatterns = [
    path("say/", citizen_views.citizen_start, name="citizen_start"),
    path("say/track/", citizen_views.citizen_track, name="citizen_track"),
    path("say/<unit_code:code>/", citizen_views.citizen_say, name="citizen_say"),
    path("say/<unit_code:code>/answers/", citizen_views.citizen_answers, name="citizen_answers"),
    path("say/<unit_code:code>/places/", citizen_views.citizen_places, name="citizen_places"),
    path("say/<unit_code:code>/<int:place>/", citizen_views.citizen_say_place, name="citizen_say_place"),
    path("opinions/poster/", posters.poster_own, name="poster_own"),
    path("units/<unit_code:code>/poster/", posters.poster_unit, name="poster_unit"),
    path("records/places/<int:pk>/poster/", posters.poster_place, name="poster_place"),
    path("records/opinions/<int:pk>/code/", citizen_staff.opinion_code, name="opinion_code"),
    path("records/opinions/<int:pk>/release/", citizen_staff.opinion_release, name="opinion_release"),
    path("records/opinions/<int:pk>/withdraw/", citizen_staff.opinion_withdraw, name="opinion_withdraw"),
    path("records/opinions/similar/", citizen_staff.opinions_similar, name="opinions_similar"),
    path("opinions/widely/", citizen_staff.opinions_widely, name="opinions_widely"),
]
