"""What the page of a record says of the spreadsheet it came from."""

from __future__ import annotations

from django.db.models import Max, Min
from django.urls import reverse

from programs.access import Actor
from programs.origins import Origin
from programs.roles import Permission
from reporting.models import Upload


def origin_of_upload(upload_id: int, actor: Actor) -> Origin | None:
    """Its name and page, for those who may enter records for its unit."""
    upload = Upload.objects.select_related("unit").filter(pk=upload_id).first()
    if upload is None or not actor.covers(Permission.RECORD_BRING, upload.unit):
        return None
    return Origin(upload.name, reverse("upload_detail", args=[upload.public_id]), _spans(upload))


def _spans(upload: Upload) -> dict[str, tuple[int, int]]:
    """By kind, the first and the last id of what its sheets made."""
    made = upload.sheets.filter(first_pk__isnull=False, last_pk__isnull=False).order_by()
    spans = made.values_list("kind").annotate(Min("first_pk"), Max("last_pk"))
    return {kind: (first, last) for kind, first, last in spans}
