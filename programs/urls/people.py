from __future__ import annotations

from django.urls import path

from programs.views import people

urlpatterns = [
    path("", people.people_list, name="people_list"),
    path("new/", people.person_new, name="person_new"),
    path("<int:pk>/", people.person_detail, name="person_detail"),
    path("<int:pk>/edit/", people.person_edit, name="person_edit"),
    path("<int:pk>/roles/new/", people.grant_new, name="grant_new"),
    path("<int:pk>/roles/<int:grant_pk>/revoke/", people.grant_revoke, name="grant_revoke"),
    *(
        path(
            f"<int:pk>/{verb.code.replace('_', '-')}/",
            people.person_verb,
            {"verb": verb.code},
            name=verb.url_name,
        )
        for verb in people.VERBS.values()
    ),
]
