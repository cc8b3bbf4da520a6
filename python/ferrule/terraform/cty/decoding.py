"""Bytes in msgpack to values, led by the type.

Facts: go-cty v1.20, cty/msgpack/unmarshal.go. Three kinds of bytes are refused that go-cty takes for values of another
type: an object without attributes or with one twice, a tuple without elements, a map's key that is no text. Bytes that
make go-cty panic are refused too.
"""

from collections.abc import Callable
from typing import Any

from msgpack import ExtType

from ferrule.terraform.cty.errors import Attribute, CtyError, shown, within_stack
from ferrule.terraform.cty.numbers import parse_number
from ferrule.terraform.cty.raw import Pairs, unpacked
from ferrule.terraform.cty.refinements import read_unknown
from ferrule.terraform.cty.sets import arranged
from ferrule.terraform.cty.strings import are_ascii, normalized, to_text
from ferrule.terraform.cty.typed import Typed
from ferrule.terraform.cty.types import BOOL, DYNAMIC, MAX_DEPTH, NUMBER, STRING, List, Map, Object, Set, Tuple, Type
from ferrule.terraform.cty.values import presented, resolved

__all__ = ["decode"]

Reader = Callable[[Any, int], Any]
"""Takes an unpacked value and the level of nesting that it stands at."""


@within_stack
def decode(data: bytes, of: Type) -> Any:
    """The value of bytes in msgpack.

    Args:
        data: What a provider sent. Bytes after the value are ignored, as by go-cty.
        of: The type to decode it with.

    Returns:
        The value as the package describes it.

    Raises:
        CtyError: No msgpack, or no value of the type; the path tells where.

    Example:
        >>> decode(bytes.fromhex("82a46e616d65a3776562a4706f7274d40000"), Object({"name": STRING, "port": NUMBER}))
        {'name': 'web', 'port': UNKNOWN}
    """
    return _reader(of)(unpacked(data), 0)


def _reader(of: Type) -> Reader:
    return of.codecs.get("reader") or _made(of)


def _made(of: Type) -> Reader:
    match of:
        case List(element=element):
            reader = _elements(of, _reader(element))
        case Set(element=element):
            reader = _set(of, _reader(element))
        case Map(element=element):
            reader = _map(of, _reader(element))
        case Tuple(elements=elements):
            reader = _tuple(of, [_reader(each) for each in elements])
        case Object(attributes=attributes):
            reader = _object(of, {name: _reader(each) for name, each in attributes.items()})
        case _:
            reader = {STRING: _string, NUMBER: _number, BOOL: _bool, DYNAMIC: _dynamic}[of]
    of.codecs["reader"] = reader
    return reader


def _other(raw: Any, of: Type) -> Any:
    """Null, unknown, or an error: what is left when the value is not of the kind that its type wants."""
    if raw is None:
        return None
    if isinstance(raw, ExtType):
        return read_unknown(raw, of)
    raise CtyError(f"expected {of.name}, got {_shown(raw)}")


def _shown(raw: Any) -> str:
    if type(raw) is Pairs:
        return f"a map of {len(raw)}"
    return "bytes" if isinstance(raw, bytes) else shown(raw)


def _string(raw: Any, level: int) -> Any:
    if type(raw) is str:
        return raw if raw.isascii() else normalized(raw)
    return to_text(raw) if isinstance(raw, bytes) else _other(raw, STRING)


def _number(raw: Any, level: int) -> Any:
    if type(raw) is int:
        return raw
    if type(raw) is float:
        if raw != raw:  # noqa: PLR0124 - NaN
            raise CtyError("expected number, got NaN")
        return raw
    text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw
    if not isinstance(text, str):
        return _other(raw, NUMBER)
    try:
        return parse_number(text)
    except CtyError as error:
        hint = None if error.problem == "a number is required" else error.problem
        raise CtyError(f"expected number, got {shown(text)}", hint=hint) from None


def _bool(raw: Any, level: int) -> Any:
    return raw if raw is True or raw is False else _other(raw, BOOL)


def _dynamic(raw: Any, level: int) -> Any:
    if not isinstance(raw, list):
        if isinstance(raw, ExtType) or raw is None:
            return _other(raw, DYNAMIC)
        raise CtyError(f"expected a type and a value of it, got {_shown(raw)}")
    if len(raw) != 2 or not isinstance(raw[0], str | bytes):
        raise CtyError(f"expected a type and a value of it, got {_shown(raw)}")
    of = Type.from_json(raw[0] if isinstance(raw[0], bytes) else raw[0].encode("utf-8", "surrogateescape"))
    if level + of.depth >= MAX_DEPTH:
        raise CtyError(f"the value has more than {MAX_DEPTH} levels")
    value = _reader(of)(raw[1], level + 1)
    if of is DYNAMIC:
        return value
    return presented(*resolved(Typed(value, of), DYNAMIC), DYNAMIC)


def _elements(of: List | Set, inner: Reader) -> Reader:
    mixed, of_text = of.element.has_dynamic, of.element is STRING

    def elements(raw: Any, level: int) -> Any:
        if not isinstance(raw, list):
            return _other(raw, of)
        if of_text and are_ascii(raw):
            return raw
        level += 1
        values: list[Any] = []
        append = values.append
        try:
            for each in raw:
                append(inner(each, level))
        except CtyError as error:
            raise error.under(len(values)) from None
        # The normal form refuses elements of different types, which make a Go peer panic.
        return presented(*resolved(values, of), of) if mixed else values

    return elements


def _set(of: Set, inner: Reader) -> Reader:
    if of.element.has_dynamic:
        return _elements(of, inner)
    elements, element = _elements(of, inner), of.element.plain

    def set_(raw: Any, level: int) -> Any:
        values = elements(raw, level)
        return arranged(values, element) if isinstance(values, list) else values

    return set_


def _key(raw: Any) -> str:
    if type(raw) is str:
        return raw
    if isinstance(raw, bytes):
        return raw.decode("utf-8", "surrogateescape")
    if raw is None:
        return ""
    raise CtyError(f"expected text for a key, got {_shown(raw)}")


def _map(of: Map, inner: Reader) -> Reader:
    def map_(raw: Any, level: int) -> Any:
        if type(raw) is not Pairs:
            return _other(raw, of)
        level += 1
        values: dict[str, Any] = {}
        changed = False
        for raw_key, each in raw:
            if type(raw_key) is str and raw_key.isascii():
                key = raw_key
            else:
                key, changed = normalized(_key(raw_key)), True
            try:
                # The last of two equal keys counts.
                values[key] = inner(each, level)
            except CtyError as error:
                raise error.under(key) from None
        if changed and len(values) != len({_key(each) for each, _ in raw}):
            raise CtyError("two keys are the same in Unicode's normal form NFC")
        return presented(*resolved(values, of), of) if of.has_dynamic else values

    return map_


def _tuple(of: Tuple, inner: list[Reader]) -> Reader:
    def tuple_(raw: Any, level: int) -> Any:
        if not isinstance(raw, list):
            return _other(raw, of)
        if len(raw) != len(inner):
            raise CtyError(f"expected a tuple of {len(inner)}, got {_shown(raw)}")
        level += 1
        values: list[Any] = []
        try:
            for reader, each in zip(inner, raw, strict=True):
                values.append(reader(each, level))
        except CtyError as error:
            raise error.under(len(values)) from None
        return values

    return tuple_


def _object(of: Object, inner: dict[str, Reader]) -> Reader:
    count = len(inner)
    find = inner.get

    def object_(raw: Any, level: int) -> Any:
        if type(raw) is not Pairs:
            return _other(raw, of)
        if len(raw) != count:
            raise CtyError(f"expected an object of {count}, got {_shown(raw)}")
        level += 1
        values: dict[str, Any] = {}
        key: Any = ""
        try:
            for key, each in raw:
                reader = find(key if type(key) is str else (key := _key(key)))
                if reader is None:
                    raise CtyError("the object has no such attribute")
                values[key] = reader(each, level)
        except CtyError as error:
            raise error.under(Attribute(normalized(key))) if isinstance(key, str) else error from None
        if len(values) != count:
            raise CtyError("an attribute comes twice, and another is missing")
        return values

    return object_
