"""Beginnings of texts that cannot change by the text that follows.

A letter may still become another one with an accent, an emoji a part of a longer one. Facts: go-cty v1.20,
cty/ctystrings; golang.org/x/text, unicode/norm (LastBoundary).
"""

import unicodedata
from functools import cache
from itertools import chain
from typing import Final

from ferrule.terraform.cty.graphemes import last_cluster
from ferrule.terraform.cty.strings import normalized, utf8

__all__ = ["safe_prefix", "sendable_prefix"]

MAX_PREFIX_BYTES: Final = 256
"""Bytes of a prefix that are sent; a longer one is cut."""
MAX_MARKS: Final = 30
"""Combining marks in a row, after which a text is taken to be safe all the same (Unicode's stream-safe format)."""
# Delimiters, alone at the end: go-cty takes them to be followed by nothing that joins them.
_DELIMITERS = frozenset("-_:;/\\,.(){}[]|?!~ \t@#$%^&*+\"'")


def safe_prefix(text: str) -> str:
    """The text without what could still change at its end, for `Unknown(prefix=...)`.

    Example:
        >>> safe_prefix("https://example")
        'https://exampl'
        >>> safe_prefix("https://")
        'https://'
    """
    text = normalized(text)
    boundary = _last_boundary(text)
    if boundary not in (None, len(text)):
        return text[:boundary]
    start, end = last_cluster(text)
    return text[: end if text[start:end] in _DELIMITERS else start]


def sendable_prefix(text: str) -> str:
    """The prefix as it is sent: no longer than `MAX_PREFIX_BYTES`, else safely cut."""
    data = utf8(text)
    if len(data) <= MAX_PREFIX_BYTES:
        return text
    cut = data[: MAX_PREFIX_BYTES - 1]
    whole = cut.decode("utf-8", "ignore")
    if len(utf8(whole)) == len(cut):
        return safe_prefix(whole)
    # A character is cut in the middle, so that the text before it ends at a boundary.
    return whole[: _last_boundary(whole)]


def _last_boundary(text: str) -> int | None:
    """Where the last character begins that what follows could join; the end if none could; None if there is none."""
    if not text or _is_inert(text[-1]):
        return len(text)
    marks = 0
    for position in range(len(text) - 1, -1, -1):
        marks += _trailing_marks(text[position])
        if marks > MAX_MARKS:
            return position + 1
        if not _joins_backward(text[position]):
            return position
    return None


def _is_inert(character: str) -> bool:
    """Whether NFC never changes the character, whatever follows."""
    if _joins_backward(character) or not unicodedata.is_normalized("NFD", character):
        return False
    # golang.org/x/text has one table for all forms: marks at the end of a compatibility form count here too.
    return not _trailing_marks(character) and character not in _compositions()[0] and character not in _LEADING_JAMO


def _joins_backward(character: str) -> bool:
    """Whether NFC can join the character to the one before: a combining mark, or the second part of a composition."""
    if character in _compositions()[1] or character in _FOLLOWING_JAMO:
        return True
    return bool(unicodedata.combining(unicodedata.normalize("NFD", character)[0]))


def _trailing_marks(character: str) -> int:
    """Marks at the end of the character's parts; second parts of compositions that are no marks count as one."""
    marks = 0
    for each in reversed(unicodedata.normalize("NFKD", character)):
        if not unicodedata.combining(each):
            return marks or int(_joins_backward(each))
        marks += 1
    return marks


_LEADING_JAMO: Final = frozenset(map(chr, range(0x1100, 0x1113)))
_FOLLOWING_JAMO: Final = frozenset(map(chr, chain(range(0x1161, 0x1176), range(0x11A8, 0x11C3))))


@cache
def _compositions() -> tuple[frozenset[str], frozenset[str]]:
    """First and second parts of what NFC composes, Hangul left out."""
    firsts, seconds = set(), set()
    for composed in map(chr, chain(range(0xC0, 0x3100), range(0x11000, 0x12000))):
        parts = unicodedata.decomposition(composed).split()
        if len(parts) == 2 and "<" not in parts[0] and unicodedata.is_normalized("NFC", composed):
            firsts.add(chr(int(parts[0], 16)))
            seconds.add(chr(int(parts[1], 16)))
    return frozenset(firsts), frozenset(seconds)
