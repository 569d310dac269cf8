"""Load units from a CSV file: any order of rows, all or nothing, the same file twice changes nothing."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from django.utils.translation import gettext as _

from programs.models.record import PROGRAMME_BEGAN
from programs.unit_files import BadFile, load

MOST_SHOWN = 1_000


class Command(BaseCommand):
    help = "Load units from a CSV file with the columns code, name, tier, kind, parent_code."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument(
            "--opened-on",
            type=dt.date.fromisoformat,
            default=PROGRAMME_BEGAN,
            help="since when new units exist",
        )
        parser.add_argument(
            "--effective-on",
            type=dt.date.fromisoformat,
            default=None,
            help="since when new names hold (today)",
        )
        parser.add_argument("--new-only", action="store_true", help="leave units that exist as they are")
        parser.add_argument("--json", action="store_true", help="print the result as JSON")

    def handle(
        self,
        *args: Any,
        file: Path,
        opened_on: dt.date,
        effective_on: dt.date | None,
        new_only: bool,
        json: bool,
        **options: Any,
    ) -> None:
        try:
            content = file.read_bytes()
        except OSError as error:
            raise CommandError(f"{file}: {error.strerror}") from None
        try:
            result = load(
                content,
                opened_on=opened_on,
                effective_on=effective_on or timezone.localdate(),
                new_only=new_only,
            )
        except BadFile as bad:
            self.report(bad, as_json=json)
            words = {"file": file, "number": len(bad.problems)}
            raise CommandError(_("%(file)s: nothing was loaded, problems: %(number)d") % words) from None
        if json:
            self.stdout.write(_json(asdict(result)))
        elif options["verbosity"]:
            told = _("Units created: %(created)d, renamed: %(renamed)d, unchanged: %(unchanged)d")
            self.stdout.write(told % asdict(result))

    def report(self, bad: BadFile, *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(_json({"problems": bad.problems}))
            return
        for line, sentence in bad.problems[:MOST_SHOWN]:
            words = {"line": line, "problem": sentence}
            self.stderr.write(_("Line %(line)d: %(problem)s") % words if line else sentence)
        if len(bad.problems) > MOST_SHOWN:
            self.stderr.write(_("and %(number)d more") % {"number": len(bad.problems) - MOST_SHOWN})


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
