"""Forms of signing in, of one's own account, and of the accounts that an administrator keeps."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.urls import reverse_lazy
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from programs.access import Actor, units_for
from programs.forms import UnitCodeField
from programs.models.people import User
from programs.roles import ROLES, Permission
from programs.second_factor import LONGEST_CODE
from programs.text import check_text
from programs.widgets import DateInput, UnitPicker

# Hashing a text of megabytes would keep a server busy.
LONGEST_PASSWORD = 128
LONGEST_NAME = 50
SEARCH_LENGTH = 50


class PlainForm(forms.Form):
    """A form whose texts the databases can hold."""

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        for name, value in list(cleaned.items()):
            if isinstance(value, str):
                try:
                    check_text(value)
                except ValidationError as error:
                    self.add_error(name, error)
        return cleaned


def password_field(label: Any, autocomplete: str, **kwargs: Any) -> forms.CharField:
    widget = forms.PasswordInput(attrs={"autocomplete": autocomplete})
    return forms.CharField(label=label, max_length=LONGEST_PASSWORD, strip=False, widget=widget, **kwargs)


class SignInForm(PlainForm):
    username = forms.CharField(
        label=_("User name"),
        max_length=LONGEST_NAME,
        widget=forms.TextInput(
            attrs={
                "autocomplete": "username",
                "autocapitalize": "none",
                "spellcheck": "false",
                "autofocus": True,
            }
        ),
    )
    password = password_field(_("Password"), "current-password")

    def clean_username(self) -> str:
        """The name as accounts keep it: full-width letters of an input method are the same name, and the same lock."""
        username = User.normalize_username(self.cleaned_data["username"])
        if len(username) > LONGEST_NAME:
            raise ValidationError(_("This is no user name."))
        return username


class CodeForm(PlainForm):
    code = forms.CharField(
        label=_("Sign-in code"),
        max_length=LONGEST_CODE,
        help_text=_("Six digits from the authenticator app, or one of your recovery codes."),
        widget=forms.TextInput(
            attrs={"autocomplete": "one-time-code", "spellcheck": "false", "autofocus": True}
        ),
    )


class AppCodeForm(PlainForm):
    """The first code of an authenticator app."""

    code = forms.CharField(
        label=_("Code shown by the app"),
        max_length=LONGEST_CODE,
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code", "inputmode": "numeric"}),
    )


class PasswordForm(PlainForm):
    """One's password once more, before something that matters."""

    password = password_field(_("Your password"), "current-password")


class NewPasswordForm(PlainForm):
    password = password_field(_("Present password"), "current-password")
    new_password1 = password_field(_("New password"), "new-password")
    new_password2 = password_field(_("New password once more"), "new-password")

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        self.user = user
        super().__init__(*args, **kwargs)
        self.fields["new_password1"].help_text = _(
            "At least ten characters, not digits alone, no common password, and nothing like your name or user name."
        )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        new = cleaned.get("new_password1")
        if not new:
            return cleaned
        if new == cleaned.get("password"):
            self.add_error("new_password1", _("Choose a password that differs from the present one."))
        elif "new_password2" in cleaned and new != cleaned["new_password2"]:
            self.add_error("new_password2", _("The two new passwords differ."))
        else:
            try:
                validate_password(new, self.user)
            except ValidationError as error:
                self.add_error("new_password1", error)
        return cleaned


# Accounts that an administrator keeps


class PersonForm(PlainForm):
    name = forms.CharField(label=_("Full name"), max_length=50)
    phone = forms.CharField(
        label=_("Telephone"),
        max_length=20,
        required=False,
        validators=[
            RegexValidator(r"^[0-9+() -]{5,}$", _("Write digits, spaces, “-”, “+” and brackets only."))
        ],
        widget=forms.TextInput(attrs={"type": "tel"}),
    )
    email = forms.EmailField(label=_("E-mail"), max_length=254, required=False)


class GrantForm(PlainForm):
    """A role, where and how long."""

    role = forms.ChoiceField(label=_("Role"), choices=[(role.code, role.label) for role in ROLES.values()])
    unit = UnitCodeField(label=_("Unit"), widget=UnitPicker(reverse_lazy("unit_search")))
    own_unit_only = forms.BooleanField(
        label=_("For this unit only, not for the units below it"), required=False
    )
    valid_from = forms.DateField(label=_("Valid from"), widget=DateInput, initial=timezone.localdate)
    valid_to = forms.DateField(
        label=_("Valid through"),
        required=False,
        widget=DateInput,
        help_text=_("Leave empty for a role without an end."),
    )

    def __init__(self, *args: Any, actor: Actor, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        unit: Any = self.fields["unit"]
        unit.queryset = units_for(actor, Permission.PEOPLE_MANAGE).open()

    def grant(self) -> dict[str, Any]:
        """What `grant_role` takes."""
        values = {name: self.cleaned_data[name] for name in ("role", "unit", "valid_from", "valid_to")}
        return {**values, "include_descendants": False if self.cleaned_data["own_unit_only"] else None}


class NewPersonForm(GrantForm, PersonForm):
    """An account begins with its first role."""

    username = forms.CharField(
        label=_("User name"),
        max_length=LONGEST_NAME,
        help_text=_("For signing in. Letters, digits and @ . + - _ only; it is not changed later."),
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}
        ),
    )

    field_order = ["username", "name", "phone", "email"]

    def fieldsets(self) -> list[tuple[Any, list[forms.BoundField]]]:
        account = ["username", "name", "phone", "email"]
        return [
            (_("The account"), [self[name] for name in account]),
            (_("The first role"), [self[name] for name in self.fields if name not in account]),
        ]


class RevokeForm(PlainForm):
    reason = forms.CharField(
        label=_("Reason"), max_length=200, required=False, help_text=_("It is kept in the audit log.")
    )


class PeopleFilter(PlainForm):
    """What the list of people can be asked."""

    STATES = [
        ("", _("All")),
        ("active", _("In use")),
        ("closed", _("Closed")),
        ("idle", _("Without a role today")),
    ]

    q = forms.CharField(label=_("Search"), max_length=SEARCH_LENGTH, required=False)
    unit = UnitCodeField(label=_("Unit"), required=False, widget=UnitPicker(reverse_lazy("unit_search")))
    role = forms.ChoiceField(
        label=_("Role"),
        required=False,
        choices=[("", _("All")), *((role.code, role.label) for role in ROLES.values())],
    )
    state = forms.ChoiceField(label=_("State"), required=False, choices=STATES)

    def __init__(self, *args: Any, actor: Actor, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        unit: Any = self.fields["unit"]
        unit.queryset = units_for(actor, Permission.PEOPLE_MANAGE)
