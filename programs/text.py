"""Text that the databases can hold: everything but NUL and lone surrogates. 𠮷 and emoji are kept as they are."""

from __future__ import annotations

import re

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def check_text(text: str) -> None:
    """ValidationError if the text holds characters that cannot be stored."""
    if UNSTORABLE.search(text):
        raise ValidationError(_("The text contains characters that cannot be stored."), code="unstorable")
