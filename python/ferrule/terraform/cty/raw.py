"""msgpack as it is, before a type leads it: counts are bounded by the bytes that are there, nesting by a thousand
levels.

The package `msgpack` does it in C. Of extensions it takes the type -1 for a timestamp, and refuses one of a single
byte, which is an unknown value to go-cty. `_Unpacker` here is for such bytes only, and finds the errors of all others
once more.
"""

import struct
from typing import Any, Final

from msgpack import ExtraData, ExtType, OutOfData, StackError, unpackb

from ferrule.terraform.cty.errors import CtyError

__all__ = ["Pairs", "unpacked"]

MAX_LEVELS: Final = 1000


Pairs: Final = tuple
"""The keys and values of a map in their order, repeated ones too. `ExtType` is a subclass: `type()` tells."""


def unpacked(data: bytes) -> Any:
    """The first value of the bytes: None, bool, int, float, str (bytes that are not UTF-8 by surrogateescape), bytes,
    list, `Pairs`, `ExtType`.

    Raises:
        CtyError: No msgpack, or not all of it.
    """
    try:
        return unpackb(
            data, object_pairs_hook=Pairs, ext_hook=ExtType, strict_map_key=False, unicode_errors="surrogateescape"
        )
    except ExtraData as error:
        return error.unpacked
    except (ValueError, OutOfData, StackError):
        return _Unpacker(data).value()


_TOO_SHORT: Final = "the bytes end in the middle of a value"
_FIXED: Final = {0xC0: None, 0xC2: False, 0xC3: True}
_NUMBERS: Final = {0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q"} | {
    0xD0: ">b",
    0xD1: ">h",
    0xD2: ">i",
    0xD3: ">q",
}
# Bytes of the length that follows a code.
_LENGTHS: Final = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xC7: 1, 0xC8: 2, 0xC9: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4} | {
    0xDC: 2,
    0xDD: 4,
    0xDE: 2,
    0xDF: 4,
}


class _Unpacker:
    """The format in Python, without recursion, for what the package refuses."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def value(self) -> Any:
        # The lists and maps around the place, each with the number of values that it still lacks.
        around: list[tuple[list[Any], int, bool]] = []
        while True:
            code = self.take(1)[0]
            count = self.count_of_parts(code)
            if count is None:
                value = self.scalar(code)
            else:
                if count > len(self.data) - self.position:
                    raise CtyError(_TOO_SHORT)
                if len(around) > MAX_LEVELS:
                    raise CtyError(f"the value has more than {MAX_LEVELS} levels")
                is_map = _is_map(code)
                if count:
                    around.append(([], count, is_map))
                    continue
                value = Pairs() if is_map else []
            while around:
                parts, lacking, is_map = around.pop()
                parts.append(value)
                if lacking > 1:
                    around.append((parts, lacking - 1, is_map))
                    break
                value = Pairs(zip(parts[::2], parts[1::2], strict=True)) if is_map else parts
            else:
                return value

    def take(self, count: int) -> bytes:
        end = self.position + count
        if end > len(self.data):
            raise CtyError(_TOO_SHORT)
        taken = self.data[self.position : end]
        self.position = end
        return taken

    def count_of_parts(self, code: int) -> int | None:
        """The number of values in the list or map that begins with this code; None if none begins."""
        if 0x80 <= code <= 0x9F:
            count = code & 0x0F
        elif 0xDC <= code <= 0xDF:
            count = int.from_bytes(self.take(_LENGTHS[code]))
        else:
            return None
        return 2 * count if _is_map(code) else count

    def scalar(self, code: int) -> Any:
        if code < 0x80:
            return code
        if code >= 0xE0:
            return code - 0x100
        if code in _FIXED:
            return _FIXED[code]
        if code in _NUMBERS:
            return struct.unpack(_NUMBERS[code], self.take(struct.calcsize(_NUMBERS[code])))[0]
        if 0xD4 <= code <= 0xD8:
            return self.extension(1 << (code - 0xD4))
        if code < 0xC0:
            length = code & 0x1F
        elif code in _LENGTHS:
            length = int.from_bytes(self.take(_LENGTHS[code]))
        else:
            raise CtyError("the bytes are no msgpack")
        if 0xC7 <= code <= 0xC9:
            return self.extension(length)
        data = self.take(length)
        return data if 0xC4 <= code <= 0xC6 else data.decode("utf-8", "surrogateescape")

    def extension(self, length: int) -> ExtType:
        (code,) = struct.unpack(">b", self.take(1))
        body = self.take(length)
        # `ExtType` has no negative codes. None of them has a meaning in cty, and neither has 127.
        return ExtType(code if code >= 0 else 127, body)


def _is_map(code: int) -> bool:
    return code <= 0x8F or code >= 0xDE
