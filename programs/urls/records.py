from __future__ import annotations

from django.urls import path

from programs import record_views as views

urlpatterns = [
    path("<slug:kind>/", views.record_list, name="record_list"),
    path("<slug:kind>/new/", views.record_new, name="record_new"),
    path("<slug:kind>/removed/", views.record_removed, name="record_removed"),
    path("<slug:kind>/export.<slug:form>", views.record_export, name="record_export"),
    path("<slug:kind>/<int:pk>/", views.record_detail, name="record_detail"),
    path("<slug:kind>/<int:pk>/edit/", views.record_edit, name="record_edit"),
    path("<slug:kind>/<int:pk>/remove/", views.record_remove, name="record_remove"),
    path("<slug:kind>/<int:pk>/restore/", views.record_restore, name="record_restore"),
    path("<slug:kind>/<int:pk>/reveal/", views.record_reveal, name="record_reveal"),
    path("<slug:kind>/<int:pk>/files/<int:file>/", views.attachment, name="attachment"),
    path("<slug:kind>/<int:pk>/files/<int:file>/remove/", views.attachment_remove, name="attachment_remove"),
    path(
        "<slug:kind>/<int:pk>/files/<int:file>/restore/", views.attachment_restore, name="attachment_restore"
    ),
]
