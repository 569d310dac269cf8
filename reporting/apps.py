from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ReportingConfig(AppConfig):
    name = "reporting"
    verbose_name = _("Statistics")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from programs import bell
        from programs.menu import Page, add_page
        from programs.roles import Permission
        from reporting.tasks import ring

        bell.listen(ring)
        add_page(Page("statistics", _("Statistics"), "dashboard", "chart-bar", Permission.STATISTICS_VIEW))
        add_page(Page("statistics", _("Custom tables"), "pivot", "table", Permission.STATISTICS_VIEW))
        add_page(
            Page("statistics", _("Definitions"), "indicators", "list-details", Permission.STATISTICS_VIEW)
        )
