from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ReportingConfig(AppConfig):
    name = "reporting"
    verbose_name = _("Statistics")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from programs import bell, origins
        from programs.menu import Page, add_page
        from programs.panels import Panel, add_panel
        from programs.roles import Permission
        from reporting.tasks import ring
        from reporting.upload_parts import uploads_at_home
        from reporting.uploads.origin import origin_of_upload

        bell.listen(ring)
        origins.add_teller(origin_of_upload)
        add_page(
            Page(
                "spreadsheets",
                _("Import spreadsheets"),
                "upload_list",
                "table-import",
                Permission.RECORD_BRING,
            )
        )
        add_panel(Panel(20, "uploads/panel.html", uploads_at_home))
        add_page(Page("statistics", _("Statistics"), "dashboard", "chart-bar", Permission.STATISTICS_VIEW))
        add_page(Page("statistics", _("Custom tables"), "pivot", "table", Permission.STATISTICS_VIEW))
        add_page(
            Page("statistics", _("Definitions"), "indicators", "list-details", Permission.STATISTICS_VIEW)
        )
