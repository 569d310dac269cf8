from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class OutreachConfig(AppConfig):
    name = "outreach"
    verbose_name = _("Listening visits")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from outreach import digest_tasks, mood_tasks  # noqa: F401  (makes their tasks known)
        from outreach.digests import digest_at_home
        from outreach.inbox import at_home
        from outreach.mood import alerts_at_home
        from outreach.similar import widely_at_home
        from programs import demo_more
        from programs.menu import Page, add_page
        from programs.panels import Panel, add_panel
        from programs.roles import Permission

        add_page(
            Page("listening", _("Opinions to handle"), "opinion_inbox", "inbox", Permission.RECORD_WRITE)
        )
        add_page(
            Page(
                "listening",
                _("Raised in several communities"),
                "opinions_widely",
                "speakerphone",
                Permission.OPINION_SUPERVISE,
            )
        )
        add_page(
            Page(
                "listening",
                _("Overview of opinions"),
                "opinion_overview",
                "chart-bar",
                Permission.STATISTICS_VIEW,
            )
        )
        add_page(Page("listening", _("Poster with QR code"), "poster_own", "qrcode", Permission.RECORD_WRITE))
        add_panel(Panel(8, "outreach/digest_panel.html", digest_at_home))
        add_panel(Panel(10, "outreach/opinion_panel.html", at_home))
        add_page(
            Page("listening", _("Public mood"), "mood_overview", "report-analytics", Permission.RECORD_VIEW)
        )
        add_panel(Panel(11, "outreach/widely_panel.html", widely_at_home))
        add_panel(Panel(12, "outreach/mood_panel.html", alerts_at_home))
        demo_more.add_loader(load_demo)


def load_demo(writer: Any) -> None:
    """Its own module is read only where a demo is loaded."""
    from outreach import demo

    demo.load(writer)
