"""MessagePack, as far as Terraform puts values on the wire with it; for `terraform_provider.py`.

Providers on the older SDK do not read the JSON form of a DynamicValue, so MessagePack it is.
Format: https://github.com/msgpack/msgpack/blob/master/spec.md
"""

import struct
from typing import Any

UNKNOWN = "(known after apply)"
"""Shown for a value the provider will only know after the apply; on the wire an extension type."""


def pack(value: Any) -> bytes:
    """A value of None, bool, int, float, str, list and dict as MessagePack."""
    match value:
        case None | bool():
            packed = {None: b"\xc0", False: b"\xc2", True: b"\xc3"}[value]
        case int():
            packed = b"\xd3" + struct.pack(">q", value)
        case float():
            packed = b"\xcb" + struct.pack(">d", value)
        case str():
            text = value.encode()
            packed = b"\xdb" + struct.pack(">I", len(text)) + text
        case list():
            packed = b"\xdd" + struct.pack(">I", len(value)) + b"".join(map(pack, value))
        case dict():
            entries = b"".join(pack(key) + pack(item) for key, item in value.items())
            packed = b"\xdf" + struct.pack(">I", len(value)) + entries
        case _:
            raise TypeError(f"{value!r} ({type(value).__name__}) has no MessagePack form here")
    return packed


def unpack(data: bytes) -> Any:
    """The value of a MessagePack document, with UNKNOWN for extension types."""
    return _Reader(data).value()


NUMBERS = {0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q"}
NUMBERS |= {0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q"}
CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}
KINDS = {"bytes": 0xC4, "ext": 0xC7, "str": 0xD9}
SIZED = {first + step: (kind, form) for kind, first in KINDS.items() for step, form in enumerate((">B", ">H", ">I"))}
SIZED |= {0xDC: ("list", ">H"), 0xDD: ("list", ">I"), 0xDE: ("dict", ">H"), 0xDF: ("dict", ">I")}


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def value(self) -> Any:
        code = self._take(1)[0]
        if code in CONSTANTS:
            return CONSTANTS[code]
        if code in NUMBERS:
            return self._number(NUMBERS[code])
        if code in SIZED:
            kind, form = SIZED[code]
            return self._sized(kind, self._number(form))
        return self._short(code)

    def _short(self, code: int) -> Any:
        """A value whose number or length is part of its first byte."""
        if code < 0x80 or code >= 0xE0:
            return code if code < 0x80 else code - 0x100
        if code < 0xA0:
            return self._sized("dict" if code < 0x90 else "list", code & 0x0F)
        return self._sized("str", code & 0x1F) if code < 0xC0 else self._sized("ext", 1 << (code - 0xD4))

    def _sized(self, kind: str, size: int) -> Any:
        match kind:
            case "list":
                return [self.value() for _ in range(size)]
            case "dict":
                return {self.value(): self.value() for _ in range(size)}
            case "ext":
                self._take(1 + size)
                return UNKNOWN
        data = self._take(size)
        return data.decode() if kind == "str" else data

    def _number(self, form: str) -> Any:
        return struct.unpack(form, self._take(struct.calcsize(form)))[0]

    def _take(self, size: int) -> bytes:
        self._at += size
        return self._data[self._at - size : self._at]
