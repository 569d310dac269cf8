"""Words as people write them: what looks different and means the same."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from django.utils.translation import pgettext

QUOTES_AND_SPACES = re.compile("[\\s\u200b\u200c\u200d\ufeff\"'“”‘’「」『』《》]+")


def plain(text: str) -> str:
    """Without width, case, spaces and quotation marks: “六个一” 系列 and ”六个一“系列 are the same."""
    return QUOTES_AND_SPACES.sub("", unicodedata.normalize("NFKC", text)).casefold()


def listed(names: Iterable[str]) -> str:
    """Several names in a sentence."""
    return pgettext("list", ", ").join(names)
