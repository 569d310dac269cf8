"""The forms of people without an account, and the staff's field that looks for similar opinions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from outreach.models.opinion import Opinion
from outreach.models.place import Place
from outreach.tracking import LONGEST_TYPED
from programs.attachments import MAX_BYTES, check_files
from programs.form_fields import named_kinds
from programs.text import check_text
from programs.widgets import FilesInput

if TYPE_CHECKING:
    from django.forms.boundfield import BoundField

MOST_FILES = 3
PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".pdf")
WORDS = 5000


class PicturesField(forms.FileField):
    """A few pictures or a PDF; each is what its first bytes say."""

    def __init__(self, **kwargs: Any) -> None:
        widget = FilesInput(max_bytes=MAX_BYTES, max_files=MOST_FILES, accept=",".join(PICTURES))
        super().__init__(widget=widget, **kwargs)

    def clean(self, data: Any, initial: Any = None) -> list[UploadedFile]:
        files = [file for file in data or [] if file]
        if len(files) > MOST_FILES:
            raise ValidationError(_("Choose at most %(most)d files."), params={"most": MOST_FILES})
        if any(not (file.name or "").lower().endswith(PICTURES) for file in files):
            raise ValidationError(
                _("Only pictures and PDF files are taken here: %(kinds)s."),
                params={"kinds": " ".join(named_kinds(",".join(PICTURES)))},
            )
        check_files(files)
        return files


class SayForm(forms.Form):
    """What a citizen wants to say. Nothing but the subject and the words is asked for."""

    type = forms.ChoiceField(
        label=_("What is it?"), choices=Opinion.Kind.choices, initial=Opinion.Kind.PROBLEM
    )
    category = forms.ChoiceField(label=_("What is it about?"))
    content = forms.CharField(
        label=_("What would you like to say?"), max_length=WORDS, widget=forms.Textarea(attrs={"rows": 6})
    )
    location = forms.CharField(
        label=_("Where is it?"),
        max_length=80,
        required=False,
        help_text=_("A road, a house number, a name of the place. No names of people, please."),
    )
    files = PicturesField(label=_("Pictures"), required=False)  # type: ignore[assignment]
    citizen = forms.CharField(
        label=_("Your name"),
        max_length=50,
        required=False,
        help_text=_(
            "Leave name and telephone empty to stay unnamed; you follow the matter with the code alone."
        ),
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )
    phone = forms.CharField(
        label=_("Your telephone"),
        max_length=20,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "tel", "inputmode": "tel"}),
    )
    ticket = forms.CharField(max_length=200, widget=forms.HiddenInput, required=False)
    proof = forms.CharField(max_length=12, widget=forms.HiddenInput, required=False)
    # Drawn out of sight by the template: a person leaves it empty, a program that fills in everything does not.
    website = forms.CharField(max_length=200, required=False)

    def __init__(self, *args: Any, place: Place | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        category: Any = self.fields["category"]
        category.choices = [("", _("Please choose")), *Opinion.Category.choices]
        if place is not None:
            self.fields["location"].initial = place.name[:80]

    def fieldsets(self) -> list[tuple[Any, list[BoundField]]]:
        return [
            ("", [self[name] for name in ("type", "category", "content", "location", "files")]),
            (_("How to reach you (as you wish)"), [self["citizen"], self["phone"]]),
        ]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        for name, value in list(cleaned.items()):
            if isinstance(value, str):
                try:
                    check_text(value)
                except ValidationError as error:
                    self.add_error(name, error)
        if cleaned.get("website"):
            self.add_error(None, _("One field has to stay empty. Please open the page anew and try again."))
        return cleaned

    @property
    def words(self) -> dict[str, Any]:
        """What of it becomes the opinion."""
        names = ("type", "category", "content", "location", "citizen", "phone")
        return {name: self.cleaned_data[name] for name in names}


class TrackForm(forms.Form):
    code = forms.CharField(
        label=_("Tracking code"),
        max_length=LONGEST_TYPED,
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "autocapitalize": "characters", "spellcheck": "false"}
        ),
    )


class RateForm(forms.Form):
    """A citizen's word on the answer."""

    code = forms.CharField(max_length=LONGEST_TYPED, widget=forms.HiddenInput)
    verdict = forms.ChoiceField(
        label=_("Are you satisfied with the answer?"),
        choices=[
            ("satisfied", _("Satisfied")),
            ("dissatisfied", _("Not satisfied, please look at it again")),
        ],
    )


class FindForm(forms.Form):
    """The search for a unit, and the unit whose neighbours are shown."""

    q = forms.CharField(max_length=40, required=False)
    within = forms.CharField(max_length=20, required=False)


class SimilarInput(forms.TextInput):
    """The subject of an opinion on the staff's form: while one types, similar open opinions show below it."""

    template_name = "outreach/similar_input.html"

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        context["similar_url"] = reverse("opinions_similar")
        return context
