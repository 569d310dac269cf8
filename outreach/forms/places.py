"""The form of places."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from outreach.models.place import Place
from programs.forms import RecordForm


class PlaceForm(RecordForm):
    groups = [
        (_("The place"), ["name", "type", "address", "occurred_on"]),
        (_("Who is responsible"), ["unit", "joint_units", "responsible", "phone"]),
        (_("For citizens"), ["opening_times", "is_public"]),
        (_("More"), ["description"]),
    ]

    class Meta:
        model = Place
        labels = {"occurred_on": pgettext_lazy("place", "Opened on")}
        fields = [
            "name",
            "type",
            "address",
            "occurred_on",
            "unit",
            "joint_units",
            "responsible",
            "phone",
            "opening_times",
            "is_public",
            "description",
        ]
        help_texts = {
            "is_public": _("Name, type, address and opening times can then be read without signing in."),
            "opening_times": _("For example: Monday to Friday, 9:00 to 17:00."),
        }
