"""Where the parts of a serialised message are, without the parse of the parts.

The schema of a large provider has 11 MB, and protobuf parses all of it with the interpreter's lock held, over 100 ms.
The names of its types need the frame of the message alone. Source: protobuf.dev/programming-guides/encoding.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

__all__ = ["Index", "WireError", "entries", "index"]

_VARINT: Final = 0
_LENGTH_DELIMITED: Final = 2
_FIXED_SIZES: Final = {1: 8, 5: 4}
_KEY: Final = 1
_VALUE: Final = 2


class WireError(ValueError):
    """Bytes that are no serialised message."""


class Index(NamedTuple):
    """A message in its parts.

    Attributes:
        parts: The contents of the fields that were asked for, by number, in the order of the message.
        rest: All other fields, as a serialised message.
    """

    parts: dict[int, list[memoryview]]
    rest: bytes


def index(data: bytes | memoryview, numbers: Iterable[int]) -> Index:
    """Finds the fields of these numbers that are messages, text or bytes.

    Raises:
        WireError: Not the bytes of a message.
    """
    view = memoryview(data)
    parts: dict[int, list[memoryview]] = {number: [] for number in numbers}
    rest = []
    position, end = 0, len(view)
    while position < end:
        begin = position
        key, position = _varint(view, position)
        kind = key & 7
        if kind == _LENGTH_DELIMITED:
            length, position = _varint(view, position)
            content, position = position, position + length
        elif kind == _VARINT:
            _, position = _varint(view, position)
        elif kind in _FIXED_SIZES:
            position += _FIXED_SIZES[kind]
        else:
            raise WireError(f"a field at byte {begin} is of the unknown kind {kind}")
        if position > end:
            raise WireError(f"the bytes end within the field at byte {begin}")
        if kind == _LENGTH_DELIMITED and (found := parts.get(key >> 3)) is not None:
            found.append(view[content:position])
        else:
            rest.append(view[begin:position])
    return Index(parts, b"".join(rest))


def entries(parts: Iterable[memoryview]) -> dict[str, memoryview]:
    """The serialised values of a map by their keys. Of two entries with one key the last counts, as in protobuf.

    Raises:
        WireError: An entry is no message, or its key is not UTF-8.
    """
    found = {}
    for part in parts:
        inner = index(part, (_KEY, _VALUE)).parts
        try:
            key = str(inner[_KEY][-1], "utf-8") if inner[_KEY] else ""
        except UnicodeDecodeError as error:
            raise WireError(f"a key of a map is not UTF-8: {error}") from None
        values = inner[_VALUE]
        # A message that comes in several parts is their sum.
        found[key] = values[0] if len(values) == 1 else memoryview(b"".join(values))
    return found


def _varint(view: memoryview, position: int) -> tuple[int, int]:
    """The number at a position, and the position after it."""
    try:
        byte = view[position]
        if byte < 0x80:
            return byte, position + 1
        number, shift = byte & 0x7F, 7
        while shift < 64:
            position += 1
            byte = view[position]
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return number, position + 1
            shift += 7
    except IndexError:
        raise WireError("the bytes end within a number") from None
    raise WireError(f"a number at byte {position} has more than 64 bits")
