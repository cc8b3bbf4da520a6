"""One form for equal configurations, by which a pool tells which of its processes has which."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from msgpack import packb

from ferrule.terraform.cty import Typed, Unknown

__all__ = ["canonical"]


def canonical(value: Any) -> bytes:
    """The bytes of a configuration: equal for equal mappings in any order, and unlike for values that are not equal.

    Each value has its kind beside it: the text "1", the number 1 and True are three. A number in two types, such as 1
    and 1.0, counts as two, which costs a process and confuses nobody.
    """
    return _packed(_plain(value))


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | str | bytes):
        # msgpack tells text from bytes.
        return value
    return [*_kind_and_parts(value)]


def _kind_and_parts(value: Any) -> Iterator[Any]:
    match value:
        case int():
            # Of any size, which msgpack has not.
            yield from ("number", "int", str(int(value)))
        case float() | Decimal():
            yield from ("number", type(value).__name__, repr(value))
        case Mapping():
            yield "map"
            yield from sorted(([_plain(key), _plain(each)] for key, each in value.items()), key=_packed)
        case list() | tuple():
            yield "list"
            yield from map(_plain, value)
        case set() | frozenset():
            yield "set"
            yield from sorted(map(_plain, value), key=_packed)
        case Typed():
            yield from ("typed", repr(value.type), _plain(value.value))
        case Unknown():
            yield from ("unknown", repr(value))
        case _:
            # No value of Terraform: the schema will refuse it, and nobody is to share a process with it until then.
            yield from ("other", str(id(value)))


def _packed(value: Any) -> bytes:
    # Half of a surrogate pair is the schema's to refuse as well.
    data: bytes = packb(value, unicode_errors="surrogatepass")
    return data
