"""Load the real units of the district with demo people and records."""

from __future__ import annotations

import os
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils.translation import gettext as _


class Command(BaseCommand):
    help = "Load units, departments, demo people and demo records; what is there already stays."

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.PRODUCTION:
            raise CommandError(_("Demo people have a known password; they are not for production."))
        from programs import demo

        with transaction.atomic():
            for file in ("units.csv", "departments.csv"):
                call_command("load_units", str(demo.SAMPLE / file), new_only=True, verbosity=0)
            people = demo.load_people(os.environ.get("DEMO_PASSWORD") or "caring-demo-2026")
            records = demo.load_records()
        if options["verbosity"]:
            told = _("Demo people created: %(people)d, records logged: %(records)d")
            self.stdout.write(told % {"people": people, "records": records})
