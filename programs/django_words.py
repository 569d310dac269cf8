"""Sentences of Django's own checks that we word anew: translations of ours come before those of Django.

Nothing imports this; it stands here so that the messages are found by `make messages`.
"""

from __future__ import annotations

from django.utils.translation import gettext_noop, ngettext

gettext_noop("This field is required.")
gettext_noop("Enter a whole number.")
gettext_noop("Enter a number.")
gettext_noop("Enter a valid date.")
gettext_noop("Null characters are not allowed.")
gettext_noop("Select a valid choice. %(value)s is not one of the available choices.")
gettext_noop("Ensure this value is less than or equal to %(limit_value)s.")
gettext_noop("Ensure this value is greater than or equal to %(limit_value)s.")


def at_most(limit: int) -> str:
    return ngettext(
        "Ensure this value has at most %(limit_value)d character (it has %(show_value)d).",
        "Ensure this value has at most %(limit_value)d characters (it has %(show_value)d).",
        limit,
    )
