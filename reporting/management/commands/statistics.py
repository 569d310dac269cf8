"""manage.py statistics refresh|rebuild|reconcile"""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from programs.models import Unit
from reporting import reconciliation, statistics
from reporting.reconciliation import Difference


class Command(BaseCommand):
    help = "Keep the figures true to the records."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "verb",
            choices=["refresh", "rebuild", "reconcile"],
            help="refresh: count what changed; rebuild: count everything anew, while work goes on;"
            " reconcile: recount everything, list every difference and fail if there is one",
        )

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        getattr(self, verb)()

    def refresh(self) -> None:
        self.stdout.write(f"{statistics.refresh()} months of units counted anew.")

    def rebuild(self) -> None:
        cells = statistics.rebuild(self.progress)
        self.stdout.write(f"{cells} cells counted anew.")

    def reconcile(self) -> None:
        differences = reconciliation.reconcile(self.progress)
        if not differences:
            self.stdout.write("Every cell is what the records say.")
            return
        units = Unit.objects.in_bulk({d.unit_id for d in differences})
        for difference in differences:
            self.stdout.write(self.line(difference, units.get(difference.unit_id)))
        raise CommandError(f"{len(differences)} differences; `manage.py statistics rebuild` corrects them.")

    def line(self, found: Difference, unit: Unit | None) -> str:
        name = unit.code if unit else f"#{found.unit_id}"
        where = f"{name} {found.month:%Y-%m} {found.indicator} {found.column}"
        return f"{where}: cell {found.cell or '-'}, records {found.recount or '-'}"

    def progress(self, done: int, months: int) -> None:
        if self.stderr.isatty():
            self.stderr.write(f"\r{done}/{months}", ending="\n" if done == months else "")
