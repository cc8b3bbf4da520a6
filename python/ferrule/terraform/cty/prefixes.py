"""Beginnings of texts that cannot change by the text that follows.

A letter may still become another one with an accent, an emoji a part of a longer one. Facts: go-cty v1.20,
cty/ctystrings; golang.org/x/text, unicode/norm (LastBoundary).
"""

import unicodedata
from typing import Final

from ferrule.terraform.cty.graphemes import last_cluster
from ferrule.terraform.cty.marks import MAX_MARKS, compositions, joins_backward, leading_marks, trailing_marks
from ferrule.terraform.cty.strings import normalized, utf8

__all__ = ["safe_prefix", "sendable_prefix"]

MAX_PREFIX_BYTES: Final = 256
"""Bytes of a prefix that are sent; a longer one is cut."""
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
        marks += trailing_marks(text[position])
        if marks > MAX_MARKS:
            # No text has more marks in a row: it is safe there all the same.
            return position + 1
        if not leading_marks(text[position]):
            return position
    return None


def _is_inert(character: str) -> bool:
    """Whether NFC never changes the character, whatever follows."""
    if joins_backward(character) or not unicodedata.is_normalized("NFD", character):
        return False
    return not trailing_marks(character) and character not in compositions()[0] and character not in _LEADING_JAMO


_LEADING_JAMO: Final = frozenset(map(chr, range(0x1100, 0x1113)))
