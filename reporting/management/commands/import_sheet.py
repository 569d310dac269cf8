"""manage.py import_sheet KIND FILE --unit CODE --by USER [--apply]"""

from __future__ import annotations

import datetime as dt
import json
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files import File
from django.core.management.base import BaseCommand, CommandError
from django.core.serializers.json import DjangoJSONEncoder
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from programs import registry
from programs.access import Actor
from programs.models import Unit, User
from programs.registry import RecordKind
from programs.roles import Permission
from reporting.models import Upload, UploadRemark
from reporting.models.upload import State
from reporting.uploads import jobs
from reporting.uploads.gate import Refused
from reporting.uploads.report import report_of
from reporting.uploads.sheet import address
from reporting.uploads.states import WrongState

# Exit codes, besides 0 (everything as it should be) and 2 (arguments that argparse refuses).
FAILED, ROWS_REFUSED, CHANGED_MEANWHILE = 1, 3, 4
ANY_KIND = "any"


class Command(BaseCommand):
    help = (
        "Read and check a spreadsheet as the upload page does, and with --apply enter its rows. Exit codes: 0 all rows "
        "are good, 1 nothing was read or done, 3 rows were refused (with --apply the good ones were entered), "
        "4 the records changed meanwhile and nothing was entered."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "kind", metavar="KIND", help=f"code of a kind of record; '{ANY_KIND}': the sheets tell"
        )
        parser.add_argument("file", metavar="FILE", type=Path, help="xlsx, xls, ods or csv")
        parser.add_argument(
            "--unit", required=True, metavar="CODE", help="whose rows they are if a row does not tell"
        )
        parser.add_argument(
            "--by", required=True, metavar="USER", help="user name of the person who enters them"
        )
        parser.add_argument(
            "--apply", action="store_true", help="enter the rows; else only show what would happen"
        )
        parser.add_argument("--all-or-none", action="store_true", help="enter nothing if a row is refused")
        parser.add_argument("--without-changes", action="store_true", help="enter new rows only")
        parser.add_argument("--period", type=month, metavar="YYYY-MM", help="year of dates like 3月5日")
        parser.add_argument("--json", action="store_true", help="the answer of the API")
        parser.add_argument(
            "--language", choices=[code for code, _name in settings.LANGUAGES], default=settings.LANGUAGE_CODE
        )

    def handle(self, *args: Any, language: str, **options: Any) -> None:
        with translation.override(language):
            upload = self.bring(language=language, **options)
            if options["json"]:
                text = json.dumps(report_of(upload), cls=DjangoJSONEncoder, ensure_ascii=False, indent=2)
                self.stdout.write(text)
            else:
                self.stdout.write("\n".join(as_text(upload)))
            self.end(upload, asked_to_apply=options["apply"])

    def bring(
        self,
        *,
        kind: str,
        file: Path,
        unit: str,
        by: str,
        period: dt.date | None,
        language: str,
        apply: bool,
        all_or_none: bool,
        without_changes: bool,
        **options: Any,
    ) -> Upload:
        found_kind, home = kind_named(kind), unit_named(unit)
        actor = actor_named(by, home)
        try:
            with file.open("rb") as opened:
                upload, _is_new = jobs.receive(
                    by=actor,
                    unit=home,
                    kind=found_kind,
                    file=File(opened),
                    name=file.name,
                    period=period,
                    language=language,
                )
        except OSError as error:
            raise CommandError(
                _("%(file)s cannot be opened: %(reason)s") % {"file": file, "reason": error.strerror}
            ) from None
        except Refused as refusal:
            raise CommandError(str(refusal)) from None
        upload = self.wait_for(upload)
        if apply and upload.state == State.PREVIEWED:
            try:
                jobs.confirm(
                    by=actor, upload=upload, with_changes=not without_changes, all_or_none=all_or_none
                )
            except WrongState as refusal:
                raise CommandError(
                    str(refusal), returncode=ROWS_REFUSED if upload.refused else FAILED
                ) from None
            upload = self.wait_for(upload)
        return upload

    def wait_for(self, upload: Upload) -> Upload:
        try:
            return jobs.finish(upload)
        except TimeoutError:
            raise CommandError(
                _("Other spreadsheets of this unit are still being worked on; try again later.")
            ) from None

    def end(self, upload: Upload, *, asked_to_apply: bool) -> None:
        """Raise what becomes the exit code."""
        if upload.state in {State.REFUSED, State.FAILED, State.CANCELLED, State.EXPIRED}:
            raise CommandError(upload.message or upload.get_state_display(), returncode=FAILED)
        if asked_to_apply and upload.state == State.PREVIEWED:
            raise CommandError(upload.message, returncode=CHANGED_MEANWHILE)
        if upload.refused:
            sentence = ngettext("%(count)d row was refused.", "%(count)d rows were refused.", upload.refused)
            raise CommandError(sentence % {"count": upload.refused}, returncode=ROWS_REFUSED)


def month(text: str) -> dt.date:
    return dt.datetime.strptime(text, "%Y-%m").date()  # noqa: DTZ007  (a month has no time zone)


def kind_named(code: str) -> RecordKind | None:
    if code == ANY_KIND:
        return None
    try:
        return registry.kind(code)
    except KeyError:
        codes = ", ".join(kind.code for kind in registry.kinds())
        raise CommandError(
            _("There is no kind of record “%(code)s”; there are: %(codes)s.") % {"code": code, "codes": codes}
        ) from None


def unit_named(code: str) -> Unit:
    unit = Unit.objects.filter(code=code).first()
    if unit is None:
        raise CommandError(_("There is no unit with the code %(code)s.") % {"code": code})
    return unit


def actor_named(username: str, unit: Unit) -> Actor:
    """The person, acting for a unit from which they may enter records for `unit`."""
    user = User.objects.filter(username=username).first()
    if user is None:
        raise CommandError(_("There is no person with the user name “%(name)s”.") % {"name": username})
    homes = dict.fromkeys(grant.unit for grant in Actor.of(user).choices)
    actors = [Actor.of(user, home) for home in homes] if user.is_active else []
    for actor in actors:
        if actor.covers(Permission.RECORD_BRING, unit):
            return actor
    raise CommandError(
        _("%(person)s may not enter records for %(unit)s.") % {"person": user.name, "unit": unit.name}
    )


# --- as text --------------------------------------------------------------------------------------


def as_text(upload: Upload) -> Iterator[str]:
    """The state, the counts, and what was refused or left out, row by row."""
    yield f"{upload.name}: {upload.get_state_display()}"
    if upload.message:
        yield upload.message
    yield _(
        "%(read)d rows read: %(new)d new, %(changed)d changed, %(same)d known already, %(refused)d refused, "
        "%(left_out)d left out"
    ) % {
        "read": upload.read,
        "new": upload.new,
        "changed": upload.changed,
        "same": upload.same,
        "refused": upload.refused,
        "left_out": upload.left_out,
    }
    for sheet in upload.sheets.prefetch_related("remarks"):
        if sheet.reason:
            yield f"{sheet.name}: {sheet.reason}"
        for remark in sheet.remarks.all():
            if remark.sort != UploadRemark.Sort.SAME:
                yield f"{sheet.name} {place_of(remark)}: {remark.message}"


def place_of(remark: UploadRemark) -> str:
    if remark.row and remark.column is not None:
        return address(remark.row, remark.column)
    return _("row %(row)d") % {"row": remark.row} if remark.row else ""
