"""The text that go-cty makes of a set's element: equal elements have equal ones, and structures are sorted by it.

Facts: go-cty v1.20, cty/set_internals.go, appendSetHashBytes.
"""

from collections.abc import Callable
from typing import Any

from ferrule.terraform.cty.numbers import Number, equality_key, number_key
from ferrule.terraform.cty.strings import quoted
from ferrule.terraform.cty.types import BOOL, DYNAMIC, NUMBER, STRING, List, Map, Object, Set, Tuple, Type
from ferrule.terraform.cty.unknown import Unknown

__all__ = ["exact_set_key", "set_key"]


def set_key(of: Type) -> Callable[[Any], str]:
    """The function that makes the text of the values of a type; they are in normal form."""
    return of.codecs.get("set key") or _made(of, "set key", number_key)


def exact_set_key(of: Type) -> Callable[[Any], str]:
    """As `set_key`, with all digits of numbers: known values of one `set_key` are equal if these texts are."""
    return of.codecs.get("exact set key") or _made(of, "exact set key", equality_key)


def _made(of: Type, name: str, number: Callable[[Number], str]) -> Callable[[Any], str]:
    known = _of_known(of, name, number)

    def key(value: Any) -> str:
        if value is None:
            return "~"
        return "?" if type(value) is Unknown else known(value)

    of.codecs[name] = key
    return key


def _of_known(of: Type, name: str, number: Callable[[Number], str]) -> Callable[[Any], str]:
    def inner(of: Type) -> Callable[[Any], str]:
        return of.codecs.get(name) or _made(of, name, number)

    match of:
        case List(element=element) | Set(element=element):
            key = inner(element)
            return lambda value: f"[{''.join(key(each) + ';' for each in value)}]"
        case Map(element=element):
            key = inner(element)
            return lambda value: f"{{{''.join(f'{quoted(name)}:{key(each)};' for name, each in value.items())}}}"
        case Tuple(elements=elements):
            keys = [inner(each) for each in elements]
            return lambda value: f"<{''.join(key(each) + ';' for key, each in zip(keys, value, strict=True))}>"
        case Object(attributes=attributes):
            named = {name: inner(each) for name, each in attributes.items()}
            return lambda value: f"<{''.join(key(value[name]) + ';' for name, key in named.items())}>"
    return number if of is NUMBER else _PRIMITIVE[of]


_PRIMITIVE: dict[Type, Callable[[Any], str]] = {
    STRING: quoted,
    BOOL: lambda value: "T" if value else "F",
    DYNAMIC: str,
}
