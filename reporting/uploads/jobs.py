"""Spreadsheets from the drop to the records and back: what pages, API and command ask for, and what workers do.

Whoever asks moves the upload (`states`) and rings; a worker claims it (`claims`), reads and checks it (`pipeline`,
`preview`), enters it or takes it back (`writing`). A ring that nobody hears loses nothing: the sweeper rings again.
"""

from __future__ import annotations

import datetime as dt
import logging
import time
import uuid
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import PermissionDenied
from django.core.files import File
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.http import Http404
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from programs.access import Actor, units_for
from programs.actions.audit import audit, note_denial
from programs.models.unit import Unit
from programs.registry import RecordKind
from programs.roles import Permission
from reporting import statistics
from reporting.models import SheetMapping, Upload, UploadSheet
from reporting.models.upload import OPEN, WAITING, State
from reporting.uploads import claims, files, preview, writing
from reporting.uploads.claims import Pulse
from reporting.uploads.garbage import seldom_collected
from reporting.uploads.gate import Refused
from reporting.uploads.states import Move, Superseded, WrongState, move

logger = logging.getLogger(__name__)

# A task begins no further upload after so many seconds.
WORK_SECONDS = 60
# A preview that nobody confirms is given up after so many days: the records go on.
EXPIRE_DAYS = 14
# So many spreadsheets of a unit wait at most.
MOST_WAITING = 20
# By then the marked workbook stands beside the preview, or nobody is making it any more.
MARKED_AFTER = dt.timedelta(minutes=10)
# So many workers are rung for by one sweep.
MOST_RINGS = 8


# --- who may see which ------------------------------------------------------------------------------


def uploads_for(by: Actor) -> QuerySet[Upload]:
    """The uploads of the units that `by` may enter records for."""
    return Upload.objects.filter(unit__in=units_for(by, Permission.RECORD_BRING)).select_related("unit")


def get_upload_or_404(by: Actor, public_id: uuid.UUID) -> Upload:
    people = ("created_by", "asked_by", "asked_for", "confirmed_by", "undone_by")
    upload = uploads_for(by).select_related(*people).filter(public_id=public_id).first()
    if upload is None:
        hidden = Upload.objects.select_related("unit").filter(public_id=public_id).first()
        if hidden is not None:
            note_denial(by, Permission.RECORD_BRING, hidden, unit=hidden.unit)
        raise Http404
    return upload


def mappings_for(by: Actor, kind: RecordKind | None = None) -> QuerySet[SheetMapping]:
    """The named layouts that `by` can choose, of one kind or of all: those of the unit they act for and of the units
    above it."""
    above = [by.unit.pk, *by.unit.ancestor_ids] if by.unit else []
    named = SheetMapping.objects.filter(unit__in=above).exclude(name="").select_related("unit")
    return named if kind is None else named.filter(kind=kind.code)


def _check_may(by: Actor, unit: Unit) -> None:
    if by.unit is None or not by.covers(Permission.RECORD_BRING, unit):
        raise PermissionDenied


# --- what people ask for ----------------------------------------------------------------------------


def receive(
    *,
    by: Actor,
    unit: Unit,
    kind: RecordKind | None,
    file: File[Any],
    name: str,
    period: dt.date | None = None,
    mapping: SheetMapping | None = None,
    language: str = "",
) -> tuple[Upload, bool]:
    """Take in a file for `unit`, with rows of `kind` (None: its sheets tell). The upload, and whether it is a new one:
    the same file again is the upload that it is already, unless that came to nothing or had rows refused.

    Raises PermissionDenied; Refused for what needs no parser to be refused.
    """
    _check_may(by, unit)
    sha256, size = files.fingerprint(file, name)
    code = kind.code if kind else ""
    if standing := _same_file(unit, code, sha256):
        return standing, False
    _check_room(by)
    upload = Upload(
        unit=unit,
        kind=code,
        period=period,
        mapping=mapping,
        name=files.name_of(name),
        sha256=sha256,
        size=size,
        language=language or by.user.language,
        created_by=by.user,
        **_asked(by),
    )
    upload.file.save(name, file, save=False)
    try:
        with transaction.atomic():
            upload.save(force_insert=True)
            _note(by, upload, "receive")
            _ring()
    except BaseException as error:
        upload.file.delete(save=False)
        if isinstance(error, IntegrityError) and (standing := _same_file(unit, code, sha256)):
            return standing, False  # its twin was faster
        raise
    return upload, True


def _same_file(unit: Unit, code: str, sha256: str) -> Upload | None:
    holds = Q(state__in=OPEN) | Q(state__in=(State.APPLIED, State.UNDOING), refused=0)
    return Upload.objects.filter(holds, unit=unit, kind=code, sha256=sha256).first()


def _check_room(by: Actor) -> None:
    waiting = Upload.objects.filter(asked_for=by.unit, state__in=WAITING).count()
    if waiting >= MOST_WAITING:
        sentence = ngettext(
            "%(count)d spreadsheet of your unit is still waiting; bring more when it is through.",
            "%(count)d spreadsheets of your unit are still waiting; bring more when they are through.",
            waiting,
        )
        raise Refused("too_many", sentence % {"count": waiting})


def confirm(
    *, by: Actor, upload: Upload, with_changes: bool = True, all_or_none: bool = False, plan: str = ""
) -> Upload:
    """Have the good rows entered; `with_changes`: also those that change records; `all_or_none`: only if no row was
    refused; `plan`: only if the preview is still the one that was looked at. Confirming twice is confirming once.
    Raises WrongState, PermissionDenied."""
    _check_may(by, upload.unit)
    upload.refresh_from_db()
    if upload.state == State.PREVIEWED:
        if plan and plan != upload.plan:
            raise WrongState(upload, _("The preview has changed since you looked at it; please look again."))
        if all_or_none and upload.refused:
            raise WrongState(
                upload,
                ngettext(
                    "%(count)d row was refused, so nothing is entered; mend it or enter the good rows only.",
                    "%(count)d rows were refused, so nothing is entered; mend them or enter the good rows only.",
                    upload.refused,
                )
                % {"count": upload.refused},
            )
        if not upload.new and not (with_changes and upload.changed):
            raise WrongState(upload, _("There is nothing to enter."))
    values = {"with_changes": with_changes, "all_or_none": all_or_none, "message": ""}
    who = {"confirmed_by": by.user, "confirmed_at": timezone.now()}
    try:
        return _ask(by, upload, Move.CONFIRM, "confirm", **values, **who)
    except WrongState:
        if upload.state in {State.APPLYING, State.APPLIED} and upload.confirmed_by_id == by.user.pk:
            return upload  # a second click
        raise


def cancel(*, by: Actor, upload: Upload) -> Upload:
    """Give an upload up that has not been confirmed. Raises WrongState, PermissionDenied."""
    _check_may(by, upload.unit)
    try:
        with transaction.atomic():
            move(upload, Move.CANCEL)
            _note(by, upload, "cancel")
            transaction.on_commit(lambda: files.drop_kept(upload))
    except WrongState:
        if upload.state != State.CANCELLED:
            raise
    return upload


def undo(*, by: Actor, upload: Upload) -> Upload:
    """Have everything that the upload entered taken back, within 30 days. Asking twice is asking once. Raises
    WrongState, PermissionDenied."""
    _check_may(by, upload.unit)
    upload.refresh_from_db()
    if upload.state == State.APPLIED and not upload.may_be_undone:
        raise WrongState(upload, _("The 30 days for taking this spreadsheet back are over."))
    try:
        return _ask(by, upload, Move.UNDO, "undo", message="")
    except WrongState:
        if upload.state == State.UNDOING:
            return upload
        raise


def map_columns(
    *,
    by: Actor,
    upload: Upload,
    sheet: UploadSheet,
    columns: Mapping[str, str],
    name: str = "",
    kind: RecordKind | None = None,
) -> Upload:
    """Say which header means which field, {field: header}; remember it for the unit, with a name as a layout to choose
    again, and read the file again. `kind`: what the sheet holds, if it was taken for something else or for nothing.
    Raises WrongState, PermissionDenied."""
    _check_may(by, upload.unit)
    code = kind.code if kind else sheet.kind
    with transaction.atomic():
        for unit, called in [(upload.unit, ""), *([(by.unit, name.strip())] if name.strip() else [])]:
            SheetMapping.objects.update_or_create(
                unit=unit,
                kind=code,
                name=called,
                defaults={
                    "columns": dict(columns),
                    "updated_by": by.user,
                    "updated_at": timezone.now(),
                },
            )
        # Of a file that could not be used at all this sheet is what matters.
        return _read_again(by, upload, code if upload.state == State.REFUSED else upload.kind)


def read_as(*, by: Actor, upload: Upload, kind: RecordKind) -> Upload:
    """Say what a refused file holds, and have it read again. Raises WrongState, PermissionDenied."""
    _check_may(by, upload.unit)
    with transaction.atomic():
        return _read_again(by, upload, kind.code)


def _read_again(by: Actor, upload: Upload, code: str) -> Upload:
    if not upload.file:
        raise WrongState(upload, _("The file is no longer kept; bring it again."))
    try:
        return _ask(by, upload, Move.READ_AGAIN, "map", kind=code, message="", mapping=None, ended_at=None)
    except IntegrityError as error:
        raise WrongState(upload, _("This very file has been brought again since; see there.")) from error


def _ask(by: Actor, upload: Upload, how: Move, action: str, **values: Any) -> Upload:
    with transaction.atomic():
        move(upload, how, asked_at=timezone.now(), **_asked(by), **values)
        _note(by, upload, action)
        _ring()
    return upload


def _asked(by: Actor) -> dict[str, Any]:
    return {"asked_by": by.user, "asked_for": by.unit, "ip": by.ip, "request_id": by.request_id}


def _note(by: Actor, upload: Upload, action: str) -> None:
    audit(by=by, action=f"upload.{action}", obj=upload, unit=upload.unit, upload_id=upload.pk)


def _ring() -> None:
    from reporting.tasks import ring_for_uploads

    transaction.on_commit(ring_for_uploads)


# --- what workers do --------------------------------------------------------------------------------


def work(*, seconds: float = WORK_SECONDS) -> int:
    """Do what waits, upload by upload, and ring for the rest; the number of uploads. Safe to run many times at once."""
    done, until = 0, time.monotonic() + seconds
    while upload := claims.claim():
        went_on = process(upload)
        done += 1
        if not went_on or time.monotonic() > until:
            _ring()
            break
    return done


def finish(upload: Upload, *, seconds: float = 600) -> Upload:
    """Do what this one upload waits for in this very process, or wait while another one does. TimeoutError."""
    until = time.monotonic() + seconds
    while not upload.is_settled:
        if mine := claims.claim(only=upload):
            process(mine)
        elif time.monotonic() > until:
            raise TimeoutError
        else:
            time.sleep(0.1)
        upload.refresh_from_db()
    return upload


def process(upload: Upload) -> bool:
    """Bring a claimed upload to where it rests next. What goes wrong unforeseen (False) leaves the lease to run out:
    whoever comes after that tries again, a few times."""
    with translation.override(upload.language):
        try:
            if upload.attempts > claims.MOST_ATTEMPTS:
                _give_up(upload, Move.FAIL, _("The work on this spreadsheet broke off several times."))
            else:
                with seldom_collected(), Pulse(upload) as pulse:
                    _do(upload, pulse)
        except Superseded:
            logger.info("Upload %s: somebody else goes on, or it was cancelled.", upload.pk)
        except (Refused, PermissionDenied) as refusal:
            _refuse(upload, str(refusal))
        except Exception:
            logger.exception("Upload %s: the work broke off.", upload.pk)
            return False
    return True


def _do(upload: Upload, pulse: Pulse) -> None:
    match upload.state:
        case State.READING:
            preview.prepare(upload, pulse)
        case State.APPLYING:
            writing.apply(upload, pulse)
            if upload.state == State.APPLIED:
                files.drop_kept(upload)
            statistics.refresh()
        case State.UNDOING:
            writing.take_back(upload, pulse)
            statistics.refresh()


def _refuse(upload: Upload, sentence: str) -> None:
    try:
        _give_up(upload, Move.REFUSE, sentence)
    except Superseded:
        logger.info("Upload %s: somebody else goes on, or it was cancelled.", upload.pk)


def _give_up(upload: Upload, how: Move, sentence: str) -> None:
    move(
        upload,
        Move.GIVE_UP_UNDO if upload.state == State.UNDOING else how,
        fence=upload.fence,
        message=sentence,
    )


# --- what time does ---------------------------------------------------------------------------------


def sweep() -> int:
    """Ring for whatever waits or was left by a worker that died, and give up what nobody confirmed; the rings."""
    _expire()
    _mark_what_was_left()
    from reporting.tasks import ring_for_uploads

    rings = min(claims.units_waiting(), MOST_RINGS)
    for _ring_number in range(rings):
        ring_for_uploads()
    return rings


def _expire() -> None:
    old = Upload.objects.filter(
        state=State.PREVIEWED, previewed_at__lt=timezone.now() - dt.timedelta(days=EXPIRE_DAYS)
    )
    for upload in old[:1000]:
        try:
            move(upload, Move.EXPIRE)
        except WrongState:
            continue  # confirmed at this very moment
        files.drop_kept(upload)


def _mark_what_was_left() -> None:
    """One upload whose worker died between the preview and the marked workbook."""
    now = timezone.now()
    left = Upload.objects.filter(
        state__in=(State.PREVIEWED, State.APPLIED),
        refused__gt=0,
        marked="",
        previewed_at__range=(now - dt.timedelta(days=1), now - MARKED_AFTER),
    ).exclude(file="")
    if upload := left.select_related("unit", "asked_by", "asked_for").first():
        with translation.override(upload.language):
            preview.mark_anew(upload)
