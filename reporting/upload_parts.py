"""What the pages of spreadsheets show: typed view-models made from what the worker left in the tables.

Texts of rows were written in the language of whoever brought the file; everything else is in the reader's.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from django.db.models import Count, QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext, pgettext_lazy

from programs import registry
from programs.access import Actor, visible
from programs.disclosure import HIDDEN, disclosure_of
from programs.facts import label_of, shown, title_of
from programs.registry import RecordKind, Text
from programs.roles import Disclosure, Permission
from programs.templatetags.portal import count as grouped
from reporting.models import Upload, UploadRemark, UploadSheet
from reporting.models.upload import WAITING, State
from reporting.uploads import downloads, jobs
from reporting.uploads.files import KEEP_DAYS
from reporting.uploads.sheet import address

Sort = UploadRemark.Sort
# So many remarks of a sort stand on the page of an upload; the others have a page of their own.
FEW_REMARKS = 20
# Seconds after which the page looks again, while the work is young and later.
SOON, LATER = 1, 2
YOUNG = dt.timedelta(seconds=60)
# A worker takes what waits at once; after so long it is told that it still waits.
PATIENCE = dt.timedelta(seconds=10)
# The home page tells of what was refused lately.
LATELY = dt.timedelta(days=7)
MOST_AT_HOME = 5


@dataclass(frozen=True)
class Look:
    """A state in words, and how it looks."""

    label: Text
    icon: str
    tone: str = "secondary"


LOOKS: dict[str, Look] = {
    State.RECEIVED: Look(pgettext_lazy("spreadsheet", "Waiting"), "clock"),
    State.READING: Look(pgettext_lazy("spreadsheet", "Being checked"), "refresh"),
    State.PREVIEWED: Look(pgettext_lazy("spreadsheet", "To be confirmed"), "clipboard-check", "primary"),
    State.APPLYING: Look(pgettext_lazy("spreadsheet", "Being entered"), "refresh"),
    State.APPLIED: Look(pgettext_lazy("spreadsheet", "Entered"), "circle-check", "success"),
    State.UNDOING: Look(pgettext_lazy("spreadsheet", "Being taken back"), "refresh"),
    State.UNDONE: Look(pgettext_lazy("spreadsheet", "Taken back"), "arrow-back-up"),
    State.REFUSED: Look(pgettext_lazy("spreadsheet", "Refused"), "ban", "danger"),
    State.FAILED: Look(pgettext_lazy("spreadsheet", "Failed"), "alert-triangle", "danger"),
    State.CANCELLED: Look(pgettext_lazy("spreadsheet", "Cancelled"), "x"),
    State.EXPIRED: Look(pgettext_lazy("spreadsheet", "Expired"), "clock"),
}
# Looked at, and there is nothing in it that could be entered.
NOTHING_NEW = Look(pgettext_lazy("spreadsheet", "Nothing new"), "circle-check")
TO_MEND = Look(pgettext_lazy("spreadsheet", "To be mended"), "alert-triangle", "danger")
HEADINGS: dict[str, Text] = {
    Sort.REFUSED: gettext_lazy("Refused rows"),
    Sort.SAME: gettext_lazy("Rows known already"),
    Sort.LEFT_OUT: gettext_lazy("Rows left out"),
    Sort.NOTICE: gettext_lazy("Please note"),
    Sort.KEPT: gettext_lazy("Records not taken back"),
}


def look_of(upload: Upload) -> Look:
    """Nobody is asked to confirm what holds no row to enter."""
    if upload.state == State.PREVIEWED and not upload.would_write:
        return TO_MEND if upload.refused else NOTHING_NEW
    return LOOKS[upload.state]


def kind_or_none(code: str) -> RecordKind | None:
    """A kind that may be gone since the upload."""
    return next((kind for kind in registry.kinds() if kind.code == code), None)


# --- the list -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """An upload in a list."""

    upload: Upload

    @property
    def url(self) -> str:
        return reverse("upload_detail", args=[self.upload.public_id])

    @property
    def look(self) -> Look:
        return look_of(self.upload)

    @property
    def kind(self) -> str:
        found = kind_or_none(self.upload.kind)
        return capfirst(str(found.label_plural)) if found else ""

    @property
    def told(self) -> str:
        """The numbers that matter in its state, in words."""
        upload = self.upload
        match upload.state:
            case State.PREVIEWED:
                parts = [rows(upload.would_write, "to_enter"), rows(upload.refused, "refused")]
            case State.APPLIED | State.UNDOING:
                entered = upload.written_new + upload.written_changed
                parts = [rows(entered, "entered"), rows(upload.refused, "refused")]
            case State.UNDONE:
                parts = [rows(upload.deleted + upload.restored, "taken_back"), rows(upload.kept, "kept")]
            case State.READING | State.APPLYING if upload.total:
                numbers = {"done": grouped(upload.done), "total": grouped(upload.total)}
                return _("%(done)s of %(total)s rows") % numbers
            case _:
                return ""
        return _("; ").join([part for part in parts if part]) or _("no rows")


def rows(number: int, what: str) -> str:
    """12 rows refused; nothing of none."""
    if not number:
        return ""
    match what:
        case "to_enter":
            words = ngettext("%(count)s row to enter", "%(count)s rows to enter", number)
        case "entered":
            words = ngettext("%(count)s row entered", "%(count)s rows entered", number)
        case "refused":
            words = ngettext("%(count)s row refused", "%(count)s rows refused", number)
        case "taken_back":
            words = ngettext("%(count)s record taken back", "%(count)s records taken back", number)
        case _:
            words = ngettext("%(count)s record kept", "%(count)s records kept", number)
    return words % {"count": grouped(number)}


def uploads_at_home(actor: Actor) -> dict[str, Any] | None:
    """For the home page: what this unit has to confirm or to mend; None if nothing waits."""
    if actor.unit is None or not actor.may(Permission.RECORD_BRING):
        return None
    mine = jobs.uploads_for(actor).filter(asked_for=actor.unit).select_related("created_by")
    waiting = mine.filter(state=State.PREVIEWED)
    refused = mine.filter(
        state__in=(State.REFUSED, State.FAILED), ended_at__gt=timezone.now() - LATELY, file__gt=""
    )
    found = (waiting | refused).order_by("-pk")[:MOST_AT_HOME]
    rows = [Row(upload) for upload in found]
    return {"rows": rows} if rows else None


# --- one upload -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Number:
    """One of the counts that add up to the rows read."""

    label: Text
    number: int
    tone: str = ""


@dataclass(frozen=True)
class Remark:
    """What is said of a row, and where it is."""

    remark: UploadRemark
    kind: RecordKind | None

    @property
    def place(self) -> str:
        row, column = self.remark.row, self.remark.column
        if not row:
            return ""
        return address(row, column) if column is not None else _("row %(row)d") % {"row": row}

    @property
    def record_url(self) -> str:
        if self.kind is None or self.remark.record is None:
            return ""
        return reverse("record_detail", args=[self.kind.code, self.remark.record])


@dataclass(frozen=True)
class Remarks:
    """The remarks of one sort, the first few of them."""

    sort: str
    number: int
    rows: list[Remark]
    url: str

    @property
    def heading(self) -> Text:
        return HEADINGS[self.sort]

    @property
    def has_more(self) -> bool:
        return self.number > len(self.rows)


@dataclass(frozen=True)
class Changed:
    """A row that changes a record: (label, before, after) of what differs."""

    row: int
    title: str
    url: str
    changes: list[tuple[str, str, str]]


@dataclass
class Part:
    """A sheet that is used, with what was found in it."""

    sheet: UploadSheet
    kind: RecordKind
    actor: Actor
    # {field: label} of the columns that the sample has something to show in.
    heads: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        used = {
            name for row in self.sheet.sample.get("new", ()) for name, text in row["values"].items() if text
        }
        self.heads = {name: self._label(name) for name in self.kind.sheet.names() if name in used}

    @property
    def name(self) -> str:
        return name_of(self.sheet)

    def _label(self, name: str) -> str:
        return capfirst(str(label_of(self.kind, name)))

    def _text(self, name: str, text: str) -> str:
        """As this reader may see it: the sample was made for whoever brought the file."""
        clear = disclosure_of(self.kind.field(name), self.actor) is Disclosure.CLEAR
        return text if clear or not text else HIDDEN

    @property
    def sample(self) -> list[tuple[int, list[tuple[str, str]]]]:
        """[(row, [(label, text)])]"""
        return [
            (
                row["row"],
                [
                    (label, self._text(name, row["values"].get(name, "")))
                    for name, label in self.heads.items()
                ],
            )
            for row in self.sheet.sample.get("new", ())
        ]

    @cached_property
    def _titles(self) -> dict[int, str]:
        """What the records are called that change, as far as this reader may see them."""
        numbers = [row["record"] for row in self.sheet.sample.get("changed", ())]
        records = visible(self.kind.model.objects.for_detail(), self.actor).filter(pk__in=numbers)
        return {record.pk: title_of(record, self.actor) for record in records} if numbers else {}

    @property
    def changes(self) -> list[Changed]:
        return [
            Changed(
                row["row"],
                self._titles.get(row["record"]) or _("No. %(number)d") % {"number": row["record"]},
                reverse("record_detail", args=[self.kind.code, row["record"]]),
                [
                    (self._label(name), self._text(name, before), self._text(name, after))
                    for name in self.kind.sheet.names()
                    if name in row["values"]
                    for before, after in [row["values"][name]]
                ],
            )
            for row in self.sheet.sample.get("changed", ())
        ]

    @property
    def recognised(self) -> list[tuple[str, str]]:
        """[(header, label)] in the order of the sheet."""
        pairs = [(header, self._label(name)) for name, header in self.sheet.columns.items()]
        places = {header: at for at, header in reversed(list(enumerate(self.sheet.headers)))}
        return sorted(pairs, key=lambda pair: places.get(pair[0], 0))

    @property
    def ignored(self) -> list[str]:
        known = set(self.sheet.columns.values())
        return [header for header in self.sheet.headers if header and header not in known]

    @property
    def columns_url(self) -> str:
        return reverse("upload_columns", args=[self.sheet.upload.public_id, self.sheet.position])


def name_of(sheet: UploadSheet) -> str:
    """A text file is one sheet without a name."""
    return sheet.name or sheet.upload.name


@dataclass(frozen=True)
class LeftOutSheet:
    sheet: UploadSheet

    @property
    def name(self) -> str:
        return name_of(self.sheet)

    @property
    def columns_url(self) -> str:
        return reverse("upload_columns", args=[self.sheet.upload.public_id, self.sheet.position])


@dataclass
class Life:
    """The one page of an upload, in whatever state it is."""

    upload: Upload
    actor: Actor
    now: dt.datetime = field(default_factory=timezone.now)

    @property
    def look(self) -> Look:
        return look_of(self.upload)

    @property
    def url(self) -> str:
        return reverse("upload_detail", args=[self.upload.public_id])

    @cached_property
    def kind(self) -> RecordKind | None:
        return kind_or_none(self.upload.kind)

    # --- while it is being worked on ---

    @property
    def is_waiting(self) -> bool:
        return not self.upload.is_settled

    @property
    def poll(self) -> int:
        """Seconds until the page looks again; 0 once nothing happens any more by itself."""
        if not self.is_waiting:
            return 0
        return SOON if self.now - self.upload.asked_at < YOUNG else LATER

    @property
    def seen(self) -> str:
        """What the page tells now: as long as that is so, it need not be exchanged as a whole."""
        return f"{self.upload.state}.{self.upload.step}"

    @property
    def doing(self) -> Text:
        upload = self.upload
        if upload.is_running and upload.step:
            return Upload.Step(upload.step).label
        if not upload.is_running and self.now - upload.asked_at > PATIENCE:
            return _("Waiting for its turn; it begins by itself.")
        return self.look.label

    @property
    def share(self) -> int | None:
        """Per cent of the step; None while nobody knows."""
        upload = self.upload
        if not upload.is_running or not upload.total:
            return None
        return min(100, 100 * upload.done // upload.total)

    @property
    def seconds(self) -> int:
        return max(0, int((self.now - self.upload.asked_at).total_seconds()))

    @property
    def clock(self) -> str:
        """2:05"""
        return f"{self.seconds // 60}:{self.seconds % 60:02d}"

    # --- what was found ---

    @cached_property
    def _sheets(self) -> list[UploadSheet]:
        found = list(self.upload.sheets.all())
        for sheet in found:
            sheet.upload = self.upload
        return found

    @cached_property
    def parts(self) -> list[Part]:
        known = [(sheet, kind_or_none(sheet.kind)) for sheet in self._sheets]
        return [Part(sheet, kind, self.actor) for sheet, kind in known if kind is not None]

    @property
    def unused(self) -> list[LeftOutSheet]:
        return [LeftOutSheet(sheet) for sheet in self._sheets if not sheet.kind]

    @property
    def numbers(self) -> list[Number]:
        """They add up to the rows read."""
        upload = self.upload
        return [
            Number(pgettext("rows", "New"), upload.new),
            Number(pgettext("rows", "Changed"), upload.changed),
            Number(pgettext("rows", "Known already"), upload.same),
            Number(pgettext("rows", "Refused"), upload.refused, "danger" if upload.refused else ""),
            Number(pgettext("rows", "Left out"), upload.left_out),
        ]

    @cached_property
    def remarks(self) -> list[Remarks]:
        """By sort, those with something in them, in the order of the sorts."""
        every = UploadRemark.objects.filter(sheet__upload=self.upload)
        numbers = dict(every.order_by().values_list("sort").annotate(Count("pk")))
        return [self._of_sort(every, sort, numbers[sort]) for sort in Sort.values if sort in numbers]

    def _of_sort(self, every: QuerySet[UploadRemark], sort: str, number: int) -> Remarks:
        few = every.filter(sort=sort).select_related("sheet").order_by("pk")[:FEW_REMARKS]
        address = f"{reverse('upload_remarks', args=[self.upload.public_id])}?{urlencode({'sort': sort})}"
        return Remarks(sort, number, remarks_of(few), address)

    @property
    def problems(self) -> Remarks | None:
        return next((found for found in self.remarks if found.sort == Sort.REFUSED), None)

    @property
    def others(self) -> list[Remarks]:
        return [found for found in self.remarks if found.sort not in (Sort.REFUSED, Sort.KEPT)]

    @property
    def kept(self) -> Remarks | None:
        return next((found for found in self.remarks if found.sort == Sort.KEPT), None)

    @property
    def has_several_sheets(self) -> bool:
        return len(self.parts) > 1

    # --- what can be done ---

    @property
    def can_be_read_again(self) -> bool:
        """Whether somebody may say what its columns mean."""
        return self.upload.state in (State.PREVIEWED, State.REFUSED) and bool(self.upload.file)

    @property
    def to_assign(self) -> Part | LeftOutSheet | None:
        """The sheet of a refused file whose columns somebody may assign: what fits a kind, else the first one."""
        can = self.upload.state == State.REFUSED and self.can_be_read_again and self.may_open_files
        sheets: list[Part | LeftOutSheet] = [*self.parts, *self.unused]
        return sheets[0] if can and sheets else None

    @property
    def records(self) -> list[tuple[RecordKind, int, str]]:
        """Where the records stand that it made: (kind, how many, address)."""
        if self.upload.state not in (State.APPLIED, State.UNDOING):
            return []
        made: dict[str, int] = {}
        for part in self.parts:
            made[part.kind.code] = made.get(part.kind.code, 0) + part.sheet.new
        return [
            (registry.kind(code), number, f"{reverse('record_list', args=[code])}?upload={self.upload.pk}")
            for code, number in made.items()
            if number
        ]

    @cached_property
    def may_open_files(self) -> bool:
        return downloads.may_open(self.actor, self.upload)

    @property
    def keep_until(self) -> dt.datetime:
        return self.upload.created_at + dt.timedelta(days=KEEP_DAYS)

    @property
    def is_being_marked(self) -> bool:
        """Whether the marked workbook is on its way: it is made once the preview stands."""
        upload = self.upload
        return bool(
            upload.refused
            and not upload.marked
            and upload.file
            and upload.previewed_at
            and self.now - upload.previewed_at < jobs.MARKED_AFTER
        )

    @property
    def facts(self) -> list[tuple[Text, Any, bool]]:
        """For components/facts.html."""
        upload = self.upload
        found = [
            (_("File"), upload.name),
            (
                _("What it holds"),
                capfirst(str(self.kind.label_plural)) if self.kind else _("Told by the headers"),
            ),
            (_("Unit"), upload.unit.name),
            (_("Month"), f"{upload.period:%Y-%m}" if upload.period else None),
            (pgettext("moment", "Brought"), self._who_when(upload.created_by, upload.created_at)),
            (pgettext("moment", "Confirmed"), self._who_when(upload.confirmed_by, upload.confirmed_at)),
            (pgettext("moment", "Entered"), self._who_when(None, upload.applied_at)),
            (pgettext("moment", "Taken back"), self._who_when(upload.undone_by, upload.undone_at)),
        ]
        return [(label, value, False) for label, value in found if value]

    def _who_when(self, person: Any, moment: dt.datetime | None) -> str:
        return "\n".join(str(part) for part in (shown(None, moment), person) if part) if moment else ""


def remarks_of(remarks: Iterable[UploadRemark]) -> list[Remark]:
    return [Remark(remark, kind_or_none(remark.sheet.kind)) for remark in remarks]


def is_any_waiting(uploads: Iterable[Upload]) -> bool:
    return any(upload.state in WAITING for upload in uploads)
