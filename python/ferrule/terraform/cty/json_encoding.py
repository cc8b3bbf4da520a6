"""Values to JSON text, as states have them.

Facts: go-cty v1.20, cty/json/marshal.go. The text is the same as go-cty's.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

from ferrule.terraform.cty.errors import Attribute, CtyError, Step, within_stack
from ferrule.terraform.cty.numbers import Number, number_text
from ferrule.terraform.cty.strings import json_text
from ferrule.terraform.cty.types import BOOL, DYNAMIC, NUMBER, STRING, List, Map, Object, Set, Tuple, Type
from ferrule.terraform.cty.unknown import Unknown
from ferrule.terraform.cty.values import resolved

__all__ = ["encode_json"]

Writer = Callable[[Any], str]


@within_stack
def encode_json(value: Any, of: Type) -> str:
    """The value in JSON, as go-cty writes it: compact, sorted, numbers with all their digits.

    Under a `DYNAMIC` the value is `{"value":...,"type":...}`.

    Args:
        value: As for `encode`.
        of: The type that the reader decodes it with.

    Raises:
        CtyError: The value is not of the type, or it holds what JSON has not: an unknown value, an infinite number.

    Example:
        >>> encode_json({"a": [1, 0.5], "b": "<é>"}, Object({"a": List(NUMBER), "b": STRING}))
        '{"a":[1,0.5],"b":"\\\\u003cé\\\\u003e"}'
        >>> encode_json("x", DYNAMIC)
        '{"value":"x","type":"string"}'
    """
    value, own = resolved(value, of)
    return _writer(own, of)(value)


def _writer(own: Type, of: Type) -> Writer:
    """The function for values of a type, in normal form, in a place of another type: `DYNAMIC`, or one like it."""
    if of is DYNAMIC and own is not DYNAMIC:
        return _wrapping(own)
    if own.has_dynamic or own != of.plain:
        return _made(own, of)
    # The types of values under a `DYNAMIC` come and go, those of schemas stay.
    return own.codecs.get("writer") or own.codecs.setdefault("writer", _made(own, own))


def _made(own: Type, of: Type) -> Writer:
    match own, of:
        case ((List() | Set()), (List() | Set())):
            known = _list(_writer(own.element, of.element))
        case Map(), Map():
            known = _map(_writer(own.element, of.element))
        case Tuple(), Tuple():
            known = _tuple(list(map(_writer, own.elements, of.elements)))
        case Object(), Object():
            inner = of.attributes
            known = _object({name: _writer(each, inner[name]) for name, each in own.attributes.items()})
        case _:
            known = _PRIMITIVE[own]

    def written(value: Any) -> str:
        if value is None:
            return "null"
        if isinstance(value, Unknown):
            raise CtyError("the value is not known yet, which JSON cannot tell")
        return known(value)

    return written


def _wrapping(own: Type) -> Writer:
    written = _writer(own, own)
    return lambda value: f'{{"value":{written(value)},"type":{own.json}}}'


def _number(value: Number) -> str:
    if isinstance(value, float) and math.isinf(value):
        raise CtyError("an infinite number has no JSON")
    return number_text(value)


def _bool(value: bool) -> str:
    return "true" if value else "false"


_PRIMITIVE: dict[Type, Writer] = {STRING: json_text, NUMBER: _number, BOOL: _bool, DYNAMIC: str}


def _each(parts: Iterable[tuple[Step, Writer, Any]]) -> list[str]:
    done: list[str] = []
    for step, written, value in parts:
        try:
            done.append(written(value))
        except CtyError as error:
            raise error.under(step) from None
    return done


def _list(inner: Writer) -> Writer:
    def written(value: list[Any]) -> str:
        done: list[str] = []
        try:
            for each in value:
                done.append(inner(each))
        except CtyError as error:
            raise error.under(len(done)) from None
        return f"[{','.join(done)}]"

    return written


def _tuple(inner: list[Writer]) -> Writer:
    return lambda value: f"[{','.join(_each(zip(range(len(inner)), inner, value, strict=True)))}]"


def _map(inner: Writer) -> Writer:
    def written(value: dict[str, Any]) -> str:
        texts = _each((key, inner, each) for key, each in value.items())
        return f"{{{','.join(f'{json_text(key)}:{text}' for key, text in zip(value, texts, strict=True))}}}"

    return written


def _object(inner: dict[str, Writer]) -> Writer:
    names = [json_text(name) + ":" for name in inner]
    steps = list(map(Attribute, inner))
    writers = list(inner.values())

    def written(value: dict[str, Any]) -> str:
        # In normal form the attributes are in the order of the type's.
        texts = _each(zip(steps, writers, value.values(), strict=True))
        return f"{{{','.join(map(str.__add__, names, texts))}}}"

    return written
