"""Where the last grapheme cluster of a text begins, by the rules that go-cty cuts prefixes by.

Facts: Unicode 15 (UAX #29) as textseg v15 has it, which go-cty v1.20 uses with Go up to 1.26. Marks and controls come
from `unicodedata`, but for those where the property differs from the category; characters of Unicode 15 that Python
3.11 does not know (it has 14) are taken for letters.
"""

import re
import unicodedata
from bisect import bisect_right
from functools import cache
from typing import Final

__all__ = ["last_cluster"]


def _ranges(text: str) -> tuple[list[int], list[int]]:
    """First and last characters of ranges, written in hexadecimal."""
    pairs = [
        (int(first, 16), int(last or first, 16)) for first, _, last in (each.partition("-") for each in text.split())
    ]
    return [first for first, _ in pairs], [last for _, last in pairs]


def _within(code: int, ranges: tuple[list[int], list[int]]) -> bool:
    firsts, lasts = ranges
    index = bisect_right(firsts, code) - 1
    return index >= 0 and code <= lasts[index]


_PICTOGRAPHIC: Final = _ranges(
    "a9 ae 203c 2049 2122 2139 2194-2199 21a9-21aa 231a-231b 2328 2388 23cf 23e9-23f3 23f8-23fa 24c2 25aa-25ab "
    "25b6 25c0 25fb-25fe 2600-2605 2607-2612 2614-2685 2690-2705 2708-2712 2714 2716 271d 2721 2728 2733-2734 "
    "2744 2747 274c 274e 2753-2755 2757 2763-2767 2795-2797 27a1 27b0 27bf 2934-2935 2b05-2b07 2b1b-2b1c 2b50 "
    "2b55 3030 303d 3297 3299 1f000-1f0ff 1f10d-1f10f 1f12f 1f16c-1f171 1f17e-1f17f 1f18e 1f191-1f19a 1f1ad-1f1e5 "
    "1f201-1f20f 1f21a 1f22f 1f232-1f23a 1f23c-1f23f 1f249-1f3fa 1f400-1f53d 1f546-1f64f 1f680-1f6ff 1f774-1f77f "
    "1f7d5-1f7ff 1f80c-1f80f 1f848-1f84f 1f85a-1f85f 1f888-1f88f 1f8ae-1f8ff 1f90c-1f93a 1f93c-1f945 1f947-1faff "
    "1fc00-1fffd"
)
_PREPENDED: Final = _ranges(
    "600-605 6dd 70f 890-891 8e2 d4e 110bd 110cd 111c2-111c3 1193f 11941 11a3a 11a84-11a89 11d46 11f02"
)
# Extend without being marks that take no space of their own.
_EXTENDING: Final = _ranges(
    "9be 9d7 b3e b57 bbe bd7 cc2 cd5-cd6 d3e d57 dcf ddf 1b35 200c 302e-302f ff9e-ff9f 1133e 11357 114b0 114bd "
    "115af 11930 1d165 1d16e-1d172 1f3fb-1f3ff e0020-e007f"
)
# Marks with a space of their own that join nothing.
_NOT_JOINING: Final = _ranges(
    "102b-102c 1038 1062-1064 1067-106d 1083 1087-108c 108f 109a-109c 1a61 1a63-1a64 aa7b aa7d 11720-11721"
)
_JOINING: Final = (0xE33, 0xEB3)
_RESERVED_CONTROLS: Final = _ranges("2065 fff0-fff8 fffd e0000 e0002-e001f e0080-e00ff e01f0-e0fff")
_HANGUL: Final = (
    ("L", _ranges("1100-115f a960-a97c")),
    ("V", _ranges("1160-11a7 d7b0-d7c6")),
    ("T", _ranges("11a8-11ff d7cb-d7fb")),
)
_SYLLABLES: Final = range(0xAC00, 0xD7A4)
_FLAGS: Final = range(0x1F1E6, 0x1F200)
_BYTES: Final = range(0xD800, 0xE000)


@cache
def _kind(character: str) -> str:
    """The property by which characters join: one letter, as the expressions below have them."""
    code, category = ord(character), unicodedata.category(character)
    if code in _SYLLABLES:
        return "B" if (code - _SYLLABLES.start) % 28 else "A"
    if code in _BYTES:
        return "!"
    for kind, ranges in (
        ("P", _PREPENDED),
        ("E", _EXTENDING),
        ("X", _PICTOGRAPHIC),
        ("C", _RESERVED_CONTROLS),
        *_HANGUL,
    ):
        if _within(code, ranges):
            return kind
    if character in "\r\n\u200d":
        return {"\r": "R", "\n": "N"}.get(character, "Z")
    if code in _FLAGS:
        return "F"
    if category in ("Mn", "Me"):
        return "E"
    if code in _JOINING or (category == "Mc" and not _within(code, _NOT_JOINING)):
        return "S"
    return "C" if category in ("Cc", "Cf", "Zl", "Zp") else "O"


_EXTENSION = "(?:E|S|Z(?:XE*)?)*"
_CORE = f"(?:L+(?:(?:A?V+|B)T*|A)?|AV*T*|V+T*|BT*|T+){_EXTENSION}|XE*{_EXTENSION}|Z[ZES]*|FF?{_EXTENSION}|[OES][EZS]*"
_CLUSTER = re.compile(f"RN|C|P+(?:{_CORE})?|{_CORE}")


def last_cluster(text: str) -> tuple[int, int]:
    """Start and end of the last cluster, the one that more text could still join.

    A carriage return or a line feed alone is none: what follows it is not looked at, and it is the last itself.
    """
    kinds = "".join(map(_kind, text))
    start = end = 0
    while end < len(text):
        match = _CLUSTER.match(kinds, end)
        if match is None:
            return end, end + 1
        start, end = match.span()
    return start, end
