"""Text that the databases can hold (everything but NUL and lone surrogates; 𠮷 and emoji are kept as they are), and how
much room it takes on a terminal."""

from __future__ import annotations

import re
import unicodedata

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def check_text(text: str) -> None:
    """ValidationError if the text holds characters that cannot be stored."""
    if UNSTORABLE.search(text):
        raise ValidationError(_("The text contains characters that cannot be stored."), code="unstorable")


def columns(text: str) -> int:
    """Of a terminal: a Chinese character takes two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def padded(text: str, width: int) -> str:
    """Filled up with spaces, one at least."""
    return text + " " * max(1, width - columns(text))
