"""Text as cty holds it: Unicode in normal form NFC, ordered by its bytes in UTF-8.

Bytes that are not UTF-8 pass through cty. They stand in a str as Python's `surrogateescape` has them.

Python 3.11 knows Unicode 14, 3.12 has 15; Go 1.21 to 1.26 have 15. No composition was added between the two, so that
NFC differs only in the order of ten combining marks of 2022 (Arabic, Kawi, Cyrillic and Nag Mundari ones).
"""

import json
import re
import unicodedata
from collections.abc import Collection, Iterable
from functools import partial
from typing import Final, cast

from ferrule.terraform.cty.errors import CtyError
from ferrule.terraform.cty.marks import stream_safe

__all__ = [
    "REPLACEMENT",
    "are_ascii",
    "are_ascii_keys",
    "json_text",
    "normalized",
    "quoted",
    "replaced",
    "to_text",
    "unicode_text",
    "utf8",
]

REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"
_nfc = partial(unicodedata.normalize, "NFC")
_TEXT_ALONE: Final = {str}
_SURROGATE = re.compile("[\ud800-\udfff]")
# Halves of characters, from JSON's "\ud800" for example. The other surrogates stand for bytes.
_NO_TEXT = re.compile("[\ud800-\udc7f\udd00-\udfff]")


def normalized(text: str) -> str:
    """The text in NFC, with rows of marks as long as Go leaves them.

    Raises:
        CtyError: Half of a surrogate pair, which no UTF-8 can carry.
    """
    if text.isascii():
        # The text of a subclass is not always its `str()`.
        return text if type(text) is str else str.__str__(text)
    if _NO_TEXT.search(text):
        raise CtyError("the text has half of a surrogate pair, which is no character")
    return _nfc(stream_safe(str.__str__(text)))


def unicode_text(text: str) -> str:
    """Text of a caller's own in NFC.

    A provider's bytes that are not UTF-8 pass through cty, but a caller who has surrogates in text has read it with the
    wrong encoding: as bytes they may be other text, which the provider would then be blamed for.

    Raises:
        CtyError: The text has surrogates, and is no Unicode.
    """
    if not text.isascii() and (found := _SURROGATE.search(text)):
        place = f"a lone surrogate, U+{ord(found[0]):04X}, at character {found.start()}"
        hint = "Bytes that were read with another encoding become such text: decode them as UTF-8."
        raise CtyError(f"the text is no Unicode: it has {place}", hint=hint)
    return normalized(text)


def utf8(text: str) -> bytes:
    """The bytes of the text: the key by which cty orders names, keys, and sets of text."""
    return text.encode("utf-8", "surrogateescape")


def are_ascii(values: Collection[object]) -> bool:
    """Whether all are text that is the same in NFC and in any order of its bytes: a quick answer for long lists."""
    return set(map(type, values)) == _TEXT_ALONE and "".join(cast("Iterable[str]", values)).isascii()


def are_ascii_keys(values: Iterable[object]) -> bool:
    """As `are_ascii`, for keys, which may be of subclasses of str."""
    try:
        return "".join(cast("Iterable[str]", values)).isascii()
    except TypeError:
        return False


def to_text(data: bytes) -> str:
    """The text of bytes, in NFC; the reverse of `utf8`."""
    return normalized(data.decode("utf-8", "surrogateescape"))


# Text that JSON writes as it is.
_PLAIN = re.compile(r"[ !#-%'-;=?-\[\]-~]*")
_ESCAPED_BY_GO = {ord(each): f"\\u{ord(each):04x}" for each in "<>&\u2028\u2029"}


def json_text(text: str) -> str:
    """The text in JSON as Go's encoding/json writes it: not ASCII as it is, `<`, `>` and `&` escaped."""
    if _PLAIN.fullmatch(text):
        return f'"{text}"'
    written = json.encoder.encode_basestring(text).translate(_ESCAPED_BY_GO)
    return written if text.isascii() else _SURROGATE.sub(r"\\ufffd", written)


def replaced(text: str) -> str:
    """The text with U+FFFD for each byte or surrogate that is no character, as Go reads JSON."""
    return text if text.isascii() else _SURROGATE.sub(REPLACEMENT, text)


_ESCAPES = {"\a": "a", "\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t", "\v": "v", "\\": "\\", '"': '"'}


def quoted(text: str) -> str:
    """The text as Go's `%q` writes it, which decides where it stands in a set of structures."""
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    return '"' + "".join(map(_quoted_character, text)) + '"'


def _quoted_character(character: str) -> str:
    code = ord(character)
    if character in _ESCAPES:
        return "\\" + _ESCAPES[character]
    if character.isprintable():
        return character
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
