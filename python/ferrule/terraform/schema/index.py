"""Where in a provider's answer each type is, without a parse of the types.

The schema of a large provider has 11 MB. As messages it takes several times as much memory, and protobuf parses all of
it with the interpreter's lock held. The entries of a map can be told from their first bytes, and whatever else there is
goes to protobuf. Source: protobuf.dev/programming-guides/encoding.
"""

from collections.abc import Collection
from typing import Final, NamedTuple

__all__ = ["Index", "Slice", "index"]

_LENGTH_DELIMITED: Final = 2
_CONTINUED: Final = 0x80
"""The bit of a byte of a number that says that there are more, and the first value with more than one byte."""
_LENGTH_BITS: Final = 32
"""Of a length: no message has 2 GiB. A longer number is protobuf's to judge; made here, it would take the square of its
length in time."""
_KEY_TAG: Final = 1 << 3 | _LENGTH_DELIMITED
_VALUE_TAG: Final = 2 << 3 | _LENGTH_DELIMITED

Slice = tuple[int, int]
"""Where something begins and ends."""


class Index(NamedTuple):
    """A serialised message in two parts.

    Attributes:
        entries: For each map its entries: the key, and where the serialised value is.
        rest: All fields that are not in `entries`, as a serialised message, or what is no message at all.
    """

    entries: dict[int, dict[str, Slice]]
    rest: bytes


def index(data: bytes, maps: Collection[int]) -> Index:
    """Finds the entries of maps with text for keys and messages for values.

    Args:
        data: A serialised message.
        maps: Numbers of the maps, up to 15.
    """
    entries: dict[int, dict[str, Slice]] = {number: {} for number in maps}
    maps_by_tag = {number << 3 | _LENGTH_DELIMITED: found for number, found in entries.items()}
    rest = []
    position, end = 0, len(data)
    try:
        while position < end:
            tag = data[position]
            if tag >= _CONTINUED or tag & 7 != _LENGTH_DELIMITED:
                break
            length, begin = data[position + 1], position + 2
            if length >= _CONTINUED:
                length, begin = _number(data, position + 1)
            stop = begin + length
            if stop > end:
                break
            found = maps_by_tag.get(tag)
            if found is None or not _add_entry(data, begin, stop, found):
                rest.append(data[position:stop])
            position = stop
    except IndexError:
        # Of these bytes too protobuf says what is wrong.
        pass
    rest.append(data[position:])
    return Index(entries, b"".join(rest))


def _add_entry(data: bytes, begin: int, end: int, found: dict[str, Slice]) -> bool:
    """Adds an entry that is a key and a value, as everything writes it; says whether there is such a one."""
    # Two tags and two lengths.
    if end - begin < 4 or data[begin] != _KEY_TAG:
        return False
    length, begin = data[begin + 1], begin + 2
    if length >= _CONTINUED:
        return False
    key_end = begin + length
    if key_end + 2 > end or data[key_end] != _VALUE_TAG:
        return False
    length, value = data[key_end + 1], key_end + 2
    if length >= _CONTINUED:
        length, value = _number(data, key_end + 1)
    if value + length != end:
        return False
    try:
        found[data[begin:key_end].decode()] = value, end
    except UnicodeDecodeError:
        return False
    return True


def _number(data: bytes, position: int) -> tuple[int, int]:
    """A number, and the position after it.

    Raises:
        IndexError: The bytes end within the number, or it is longer than any length.
    """
    number = 0
    for shift in range(0, _LENGTH_BITS, 7):
        byte = data[position]
        position += 1
        number |= (byte & ~_CONTINUED) << shift
        if byte < _CONTINUED:
            return number, position
    raise IndexError
