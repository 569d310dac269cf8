"""Pinyin columns for finding and sorting Chinese names."""

from __future__ import annotations

from functools import lru_cache

from pypinyin import Style, lazy_pinyin
from pypinyin.core import Pinyin

PINYIN_LENGTH, INITIALS_LENGTH = (
    400,
    100,
)  # of the columns; a name of a hundred signs may have a longer pinyin

_words_of = Pinyin().seg


@lru_cache(maxsize=65_536)
def _syllables_of_word(word: str) -> tuple[str, ...]:
    """Names are made of few words: a country's 660,000 names are looked up four times as fast word by word."""
    return tuple(lazy_pinyin([word], style=Style.NORMAL))


@lru_cache(maxsize=4096)
def _syllables(name: str) -> tuple[str, ...]:
    return tuple(syllable for word in _words_of(name) for syllable in _syllables_of_word(word))


def pinyin_of(name: str) -> str:
    """ "haimenjiedao" for 海门街道; other characters are kept in lower case without spaces."""
    return "".join(_syllables(name)).lower().replace(" ", "")


def initials_of(name: str) -> str:
    """ "hmjd" for 海门街道."""
    return "".join(syllable[0] for syllable in _syllables(name) if syllable.strip()).lower()


def search_columns(name: str) -> tuple[str, str]:
    """Pinyin and initials as the columns hold them."""
    return pinyin_of(name)[:PINYIN_LENGTH], initials_of(name)[:INITIALS_LENGTH]
