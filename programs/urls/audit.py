from __future__ import annotations

from django.urls import path

from programs.views import audit

urlpatterns = [
    path("", audit.audit_list, name="audit_list"),
    path("export/", audit.audit_export, name="audit_export"),
    path("<int:pk>/", audit.audit_detail, name="audit_detail"),
]
