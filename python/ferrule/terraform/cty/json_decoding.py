"""JSON text to values, led by the type; and the type of a JSON text without one.

Facts: go-cty v1.20, cty/json/unmarshal.go and type_implied.go. Numbers are read as text, so that none is rounded.
"""

import json
import re
from collections.abc import Callable
from typing import Any, NoReturn

from ferrule.terraform.cty.errors import Attribute, CtyError, shown, within_stack
from ferrule.terraform.cty.numbers import parse_number
from ferrule.terraform.cty.sets import arranged
from ferrule.terraform.cty.strings import json_text, normalized, replaced
from ferrule.terraform.cty.typed import Typed
from ferrule.terraform.cty.types import BOOL, DYNAMIC, MAX_DEPTH, NUMBER, STRING, List, Map, Object, Set, Tuple, Type
from ferrule.terraform.cty.values import presented, resolved

__all__ = ["decode_json", "implied_type_of_json"]


Reader = Callable[[Any, int], Any]
"""Takes a parsed value and the level of nesting that it stands at."""


class _NumberText(str):
    """A number as it is written."""

    __slots__ = ()


class _Members(list[tuple[str, Any]]):
    """The members of an object in their order, repeated ones too."""

    __slots__ = ()


def _no_constant(name: str) -> NoReturn:
    raise CtyError(f"{name} is no JSON")


_DECODER = json.JSONDecoder(
    parse_int=_NumberText, parse_float=_NumberText, parse_constant=_no_constant, object_pairs_hook=_Members
)
_SPACE = " \t\r\n"
_CUT_NUMBER = re.compile(r"-?\d+(\.|(\.\d+)?[eE])")


def _parsed(text: str | bytes) -> tuple[Any, str]:
    """The first value of a text, and what follows it."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "surrogateescape")
    begin = len(text) - len(text.lstrip(_SPACE))
    try:
        raw, end = _DECODER.raw_decode(text, begin)
    except json.JSONDecodeError as error:
        raise CtyError(f"the text is no JSON: {error}") from None
    except RecursionError:
        raise CtyError(f"the value has more than {MAX_DEPTH} levels") from None
    rest = text[end:]
    # Python's decoder leaves off where a number ends in the middle, and would take the rest for what follows it.
    if isinstance(raw, _NumberText) and _CUT_NUMBER.fullmatch(raw + rest[:1]):
        raise CtyError("the text is no JSON: a number has no end")
    return raw, rest


@within_stack
def decode_json(text: str | bytes, of: Type) -> Any:
    """The value of a JSON text, as states and providers in JSON have it.

    Text in quotes is taken for a number or a bool too, and numbers and bools for text; a missing attribute is null.
    Under a `DYNAMIC` an object with the members `value` and `type` is wanted. What follows the value is ignored, as by
    go-cty.

    Raises:
        CtyError: No JSON, or no value of the type; the path tells where.

    Example:
        >>> decode_json('{"port": "80"}', Object({"name": STRING, "port": NUMBER}))
        {'name': None, 'port': 80}
    """
    return _reader(of)(_parsed(text)[0], 0)


@within_stack
def implied_type_of_json(text: str | bytes) -> Type:
    """The type that a JSON text has by itself: objects, tuples, primitive types, and `DYNAMIC` for null.

    Raises:
        CtyError: No JSON, more than one value, or an object with one name twice for values of different types.
    """
    raw, rest = _parsed(text)
    # Go's decoder takes a closing bracket for the end of something around the value.
    if rest.lstrip(_SPACE) and rest.lstrip(_SPACE)[0] not in "]}":
        raise CtyError("the text has more than one value")
    return _implied(raw, 0)


def _implied(raw: Any, level: int) -> Type:
    if level > MAX_DEPTH:
        raise CtyError(f"the value has more than {MAX_DEPTH} levels")
    if raw is None:
        return DYNAMIC
    if isinstance(raw, bool):
        return BOOL
    if isinstance(raw, str):
        return NUMBER if isinstance(raw, _NumberText) else STRING
    if not isinstance(raw, _Members):
        return Tuple([_implied(each, level + 1) for each in raw])
    types: dict[str, Type] = {}
    for name, each in raw:
        of = _implied(each, level + 1)
        if types.setdefault(name, of) != of:
            raise CtyError(f"the member {json_text(name)} comes twice, with different types")
    return Object({replaced(name): of for name, of in types.items()})


def _reader(of: Type) -> Reader:
    return of.codecs.get("json reader") or _made(of)


def _made(of: Type) -> Reader:
    match of:
        case List() | Set():
            known = _elements(of, _reader(of.element))
        case Map():
            known = _map(of, _reader(of.element))
        case Tuple():
            known = _tuple([_reader(each) for each in of.elements])
        case Object():
            known = _object({name: _reader(each) for name, each in of.attributes.items()})
        case _:
            known = {STRING: _string, NUMBER: _number, BOOL: _bool, DYNAMIC: _dynamic}[of]

    def reader(raw: Any, level: int) -> Any:
        return None if raw is None else known(raw, level)

    of.codecs["json reader"] = reader
    return reader


def _wrong(raw: Any, wanted: str, hint: str | None = None) -> CtyError:
    if isinstance(raw, _NumberText):
        got = f"number {raw[:60]}"
    else:
        got = f"an object of {len(raw)}" if isinstance(raw, _Members) else shown(raw)
    return CtyError(f"expected {wanted}, got {got}", hint=hint)


def _string(raw: Any, level: int) -> str:
    if isinstance(raw, str):
        return str(raw) if raw.isascii() else normalized(replaced(raw))
    if isinstance(raw, bool):
        return "true" if raw else "false"
    raise _wrong(raw, "string")


def _number(raw: Any, level: int) -> Any:
    if not isinstance(raw, str):
        raise _wrong(raw, "number")
    try:
        return parse_number(raw)
    except CtyError as error:
        raise _wrong(raw, "number", None if error.problem == "a number is required" else error.problem) from None


def _bool(raw: Any, level: int) -> bool:
    if isinstance(raw, bool):
        return raw
    if isinstance(raw, str) and not isinstance(raw, _NumberText):
        if raw in {"true", "1"}:
            return True
        if raw in {"false", "0"}:
            return False
    raise _wrong(raw, "bool")


def _elements(of: List | Set, inner: Reader) -> Reader:
    def elements(raw: Any, level: int) -> Any:
        if type(raw) is not list:
            raise _wrong(raw, of.name)
        values: list[Any] = []
        try:
            for each in raw:
                values.append(inner(each, level + 1))
        except CtyError as error:
            raise error.under(len(values)) from None
        if of.has_dynamic:
            return presented(*resolved(values, of), of)
        return arranged(values, of.element.plain) if isinstance(of, Set) else values

    return elements


def _map(of: Map, inner: Reader) -> Reader:
    def map_(raw: Any, level: int) -> Any:
        if type(raw) is not _Members:
            raise _wrong(raw, of.name)
        values: dict[str, Any] = {}
        for raw_key, each in raw:
            key = raw_key if raw_key.isascii() else normalized(replaced(raw_key))
            try:
                # The last of two equal names counts.
                values[key] = inner(each, level + 1)
            except CtyError as error:
                raise error.under(key) from None
        if len(values) != len(raw) and len(values) != len({replaced(key) for key, _ in raw}):
            raise CtyError("two keys are the same in Unicode's normal form NFC")
        return presented(*resolved(values, of), of) if of.has_dynamic else values

    return map_


def _tuple(inner: list[Reader]) -> Reader:
    def tuple_(raw: Any, level: int) -> Any:
        if type(raw) is not list or len(raw) != len(inner):
            raise _wrong(raw, f"a tuple of {len(inner)}")
        values: list[Any] = []
        try:
            for each, reader in zip(raw, inner, strict=True):
                values.append(reader(each, level + 1))
        except CtyError as error:
            raise error.under(len(values)) from None
        return values

    return tuple_


def _object(inner: dict[str, Reader]) -> Reader:
    def object_(raw: Any, level: int) -> Any:
        if type(raw) is not _Members:
            raise _wrong(raw, "object")
        values: dict[str, Any] = dict.fromkeys(inner)
        for name, each in raw:
            if name not in values:
                raise CtyError(f"the object has no attribute {json_text(name)}")
            try:
                values[name] = inner[name](each, level + 1)
            except CtyError as error:
                raise error.under(Attribute(name)) from None
        return values

    return object_


def _dynamic(raw: Any, level: int) -> Any:
    members = dict(raw) if isinstance(raw, _Members) else None
    if members is None or members.keys() != {"type", "value"}:
        raise _wrong(raw, "an object of value and type")
    of = Type.from_notation(_notation(members["type"]))
    if level + of.depth >= MAX_DEPTH:
        raise CtyError(f"the value has more than {MAX_DEPTH} levels")
    value = _reader(of)(members["value"], level + 1)
    if of is DYNAMIC:
        return value
    return presented(*resolved(Typed(value, of), DYNAMIC), DYNAMIC)


def _notation(raw: Any) -> Any:
    """The notation of a type as the standard decoder would give it."""
    if isinstance(raw, _Members):
        return {replaced(name): _notation(each) for name, each in raw}
    if isinstance(raw, _NumberText):
        return 0
    return list(map(_notation, raw)) if isinstance(raw, list) else raw
