"""Which characters combine with those before them, and how many combining marks may follow each other.

Go breaks rows of more than thirty marks by a U+034F when it normalizes text (Unicode's stream-safe format). Facts:
golang.org/x/text, unicode/norm (`streamSafe` in normalize.go, and the counts of marks in maketables.go).
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import cache
from itertools import chain, takewhile
from typing import Final

__all__ = ["MAX_MARKS", "compositions", "joins_backward", "leading_marks", "stream_safe", "trailing_marks"]

MAX_MARKS: Final = 30
"""Combining marks in a row that Unicode's stream-safe format allows."""
_JOINER: Final = "\N{COMBINING GRAPHEME JOINER}"
# A character stands for three marks at most. Latin letters, ideographs and syllables of Hangul combine with nothing.
_MAYBE_MANY: Final = re.compile(f"[^\0-\u02ff\u3400-\u9fff\uac00-\ud7a3]{{{MAX_MARKS // 3}}}")
_FOLLOWING_JAMO: Final = frozenset(map(chr, chain(range(0x1161, 0x1176), range(0x11A8, 0x11C3))))


def stream_safe(text: str) -> str:
    """The text with a U+034F before each mark that is one too many in a row."""
    if not _MAYBE_MANY.search(text):
        return text
    safe: list[str] = []
    count = 0
    for each in text:
        if leading := leading_marks(each):
            count += leading
            if count > MAX_MARKS:
                safe.append(_JOINER)
                count = leading
        else:
            count = trailing_marks(each)
        safe.append(each)
    return "".join(safe)


def joins_backward(character: str) -> bool:
    """Whether NFC can join the character to the one before: a combining mark, or the second part of a composition."""
    if character in compositions()[1] or character in _FOLLOWING_JAMO:
        return True
    return bool(unicodedata.combining(unicodedata.normalize("NFD", character)[0]))


# golang.org/x/text has one table for all forms: marks in a compatibility form count as well.
@cache
def leading_marks(character: str) -> int:
    """Marks at the beginning of the character's parts: none where a new letter begins."""
    return _count(unicodedata.normalize("NFKD", character))


@cache
def trailing_marks(character: str) -> int:
    """Marks at the end of the character's parts, second parts of compositions among them."""
    return _count(reversed(unicodedata.normalize("NFKD", character)))


def _count(parts: Iterable[str]) -> int:
    return sum(1 for _ in takewhile(joins_backward, parts))


@cache
def compositions() -> tuple[frozenset[str], frozenset[str]]:
    """First and second parts of what NFC composes, Hangul left out."""
    firsts, seconds = set(), set()
    for composed in map(chr, chain(range(0xC0, 0x3100), range(0x11000, 0x12000))):
        parts = unicodedata.decomposition(composed).split()
        if len(parts) == 2 and "<" not in parts[0] and unicodedata.is_normalized("NFC", composed):
            firsts.add(chr(int(parts[0], 16)))
            seconds.add(chr(int(parts[1], 16)))
    return frozenset(firsts), frozenset(seconds)
