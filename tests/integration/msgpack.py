"""MessagePack, as far as the values of these tests need it; Terraform's providers on the older SDK read no JSON.

Format: https://github.com/msgpack/msgpack/blob/master/spec.md
"""

from __future__ import annotations

import io
import struct
from typing import Any

UNKNOWN = "unknown"
"""Stands for a value that the provider will know after the apply; an extension type on the wire."""

# Length of what follows the byte: of the size of a container, or of a number.
_SIZES = {0xD9: ">B", 0xDA: ">H", 0xDB: ">I", 0xDC: ">H", 0xDE: ">H"}
_NUMBERS = {0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q"}
_NUMBERS |= {0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q"}
_CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}


def pack(value: Any) -> bytes:
    """None, text, or a dict of them with text as keys."""
    if value is None:
        return b"\xc0"
    if isinstance(value, str):
        data = value.encode()
        return b"\xda" + struct.pack(">H", len(data)) + data
    entries = b"".join(pack(key) + pack(item) for key, item in value.items())
    return b"\xde" + struct.pack(">H", len(value)) + entries


def unpack(data: bytes) -> Any:
    """The value of a document; what it cannot read raises `KeyError`."""
    return _value(io.BytesIO(data))


def _value(stream: io.BytesIO) -> Any:
    code = stream.read(1)[0]
    if code < 0x80 or code in _CONSTANTS:
        return _CONSTANTS.get(code, code)
    if code in _NUMBERS:
        return _number(stream, _NUMBERS[code])
    if code < 0x90 or code == 0xDE:
        return {_value(stream): _value(stream) for _ in range(_size(stream, code, 0x0F))}
    if code < 0xA0 or code == 0xDC:
        return [_value(stream) for _ in range(_size(stream, code, 0x0F))]
    if code == 0xD4:
        stream.read(2)
        return UNKNOWN
    return stream.read(_size(stream, code, 0x1F)).decode()


def _size(stream: io.BytesIO, code: int, mask: int) -> int:
    return int(_number(stream, _SIZES[code])) if code >= 0xC0 else code & mask


def _number(stream: io.BytesIO, form: str) -> Any:
    return struct.unpack(form, stream.read(struct.calcsize(form)))[0]
