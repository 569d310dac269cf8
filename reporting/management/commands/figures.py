"""manage.py figures --unit CODE --from YYYY-MM --to YYYY-MM: what pages and API show, read in the same way."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from rest_framework.utils.encoders import JSONEncoder

from programs import registry
from programs.boundaries import Boundaries
from programs.models.unit import Unit
from programs.templatetags.portal import count, signed
from programs.text import columns, padded
from reporting.api import as_json
from reporting.dashboards import BOUNDARIES_NAMES, Question, leave_out, question
from reporting.figures import Against, Figure, Figures, Row, figures
from reporting.left_out import scoped
from reporting.parts import around, label_of


class Command(BaseCommand):
    help = "Show the figures of a unit and everything below it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--unit", required=True, metavar="CODE")
        parser.add_argument("--from", required=True, dest="first", metavar="YYYY-MM", help="first month")
        parser.add_argument("--to", required=True, dest="last", metavar="YYYY-MM", help="last month")
        parser.add_argument(
            "--indicator",
            nargs="+",
            default=[],
            metavar="CODE",
            help="these only, with their parts; else every indicator and derived figure",
        )
        parser.add_argument(
            "--against",
            choices=list(Against),
            default=Against.YEAR,
            help="compare with the same months a year before, or with those right before",
        )
        parser.add_argument(
            "--boundaries",
            choices=list(Boundaries),
            default=Boundaries.OF_THE_TIME,
            help="count every month where units stood then, or where they stand today",
        )
        parser.add_argument(
            "--without",
            action="append",
            default=[],
            metavar="CODE",
            help="leave out what this unit below, and those below it, led; may be given more than once",
        )
        parser.add_argument("--below", action="store_true", help="also by the units right below")
        parser.add_argument("--json", action="store_true", help="the answer of the API")
        parser.add_argument(
            "--language", choices=[code for code, _name in settings.LANGUAGES], default=settings.LANGUAGE_CODE
        )

    def handle(self, *args: Any, language: str, **options: Any) -> None:
        with translation.override(language):
            found = self.read(**options)
            if options["json"]:
                self.stdout.write(json.dumps(as_json(found), cls=JSONEncoder, ensure_ascii=False, indent=2))
            else:
                self.stdout.write("\n".join(as_text(found)))

    def read(self, *, unit: str, indicator: list[str], below: bool, **options: Any) -> Figures:
        home = Unit.objects.filter(code=unit).first()
        if home is None:
            raise CommandError(_("There is no unit with the code %(code)s.") % {"code": unit})
        asked = self.asked(home, **options)
        return figures(
            home,
            asked.period.first,
            asked.period.last,
            self.codes(indicator),
            below=around(home)[1] if below else (),
            against=asked.against,
            boundaries=asked.boundaries,
            without=asked.without,
            exact=True,
        )

    def asked(
        self,
        home: Unit,
        *,
        first: str,
        last: str,
        against: str,
        boundaries: str,
        without: list[str],
        **options: Any,
    ) -> Question:
        """Understood as the parameters of a page; what a page would only remark upon is an error here."""
        asked = question({"from": first, "to": last, "against": against, "boundaries": boundaries})
        leave_out(asked, home, without, Unit.objects.all())
        if asked.problems:
            raise CommandError("; ".join(f"--{name}: {message}" for name, message in asked.problems.items()))
        return asked

    def codes(self, named: list[str]) -> list[str] | None:
        """The indicators named, each with its parts as over the API; None for all."""
        known = {indicator.code for kind in registry.kinds() for indicator in kind.counted}
        known |= {figure.code for figure in registry.derived()}
        unknown = [code for code in named if code not in known]
        if unknown:
            raise CommandError(_("There is no such indicator: %(codes)s.") % {"codes": ", ".join(unknown)})
        return [code for name in named for code in registry.with_parts(name)] or None


# --- as text --------------------------------------------------------------------------------------


def as_text(found: Figures) -> Iterator[str]:
    """A table of the figures and, if there are rows, one of the units."""
    yield scoped(f"{found.unit.name} {found.unit.code}", found.without)
    yield str(BOUNDARIES_NAMES[found.boundaries])
    if found.as_of:
        yield _("As of %(time)s") % {"time": f"{timezone.localtime(found.as_of):%Y-%m-%d %H:%M:%S}"}
    periods = [label_of(found.period), label_of(found.before)]
    heading = [_("Code"), _("Indicator"), _("Measure"), *periods, _("Change (%)"), _("Joined, led by others")]
    yield ""
    yield from aligned([heading, *(_of_figure(figure) for figure in found.figures)], named=3)
    if found.rows:
        heading = [_("Code"), _("Unit"), *(_name(figure) for figure in found.figures)]
        yield ""
        yield from aligned([heading, *(_of_unit(row, found) for row in found.rows)], named=2)


def _of_figure(figure: Figure) -> list[str]:
    values = [count(figure.value), count(figure.before), signed(figure.change), count(figure.joint)]
    return [figure.code, _name(figure), str(figure.measure.label), *values]


def _of_unit(row: Row, found: Figures) -> list[str]:
    name = _("%(unit)s itself") % {"unit": row.unit.name} if row.is_own else row.unit.name
    return [row.unit.code, name, *(count(row.values[figure.code]) for figure in found.figures)]


def _name(figure: Figure) -> str:
    return str(figure.kind.name_of(figure.indicator))


def aligned(rows: list[list[str]], *, named: int) -> Iterator[str]:
    """Rows of equal length as columns: the first ones, `named`, hold words, the others numbers."""
    widths = [max(map(columns, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            padded(cell, width + 2) if place < named else " " * (width - columns(cell)) + cell + "  "
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "".join(cells).rstrip()
