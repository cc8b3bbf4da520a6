"""`convert`, and the conversion of a configuration: values without types, as a program writes them or reads JSON.

The result is that of converting a value of the implied type (`conversion`), without making that type: a list of ten
thousand objects would have as many types. The functions below are put together once for a type.
"""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from math import isfinite
from typing import Any

from ferrule.terraform.cty.conversion import converted, text_to_bool, text_to_number
from ferrule.terraform.cty.errors import Attribute, CtyError, Step, shown, within_stack
from ferrule.terraform.cty.forms import mapped, text_keys
from ferrule.terraform.cty.numbers import INT64, number_text, settled
from ferrule.terraform.cty.sets import arranged
from ferrule.terraform.cty.strings import are_ascii_keys, json_text, unicode_text
from ferrule.terraform.cty.typed import Typed
from ferrule.terraform.cty.types import BOOL, DYNAMIC, NUMBER, STRING, List, Map, Object, Set, Tuple, Type
from ferrule.terraform.cty.unknown import Unknown, settled_unknown
from ferrule.terraform.cty.values import implied_type, presented, resolved

__all__ = ["convert"]

Coercion = Callable[[Any], Any]


@within_stack
def convert(value: Any, target: Type, source: Type | None = None) -> Any:
    """The value as one of another type, by the conversions of Terraform's language.

    Text becomes a number or a bool where all of it is one, numbers and bools become text; lists, sets and tuples lists
    and sets, maps and objects each other; extra attributes of an object are dropped, absent optional ones are null.
    Under a `DYNAMIC` of the target a value keeps its type, and the elements of a list, set or map of `DYNAMIC` get one
    in common.

    Args:
        value: The value.
        target: The type wanted.
        source: The value's type. Default None: the value is a configuration, as if read from JSON. Its type is
            `implied_type(value)`, and a float is the decimal number that Python prints: 0.1 is `Decimal("0.1")`.

    Raises:
        CtyError: There is no such conversion, or not of this value; the path tells where.

    Example:
        >>> from ferrule.terraform.cty import NUMBER, STRING, Object, Set
        >>> convert({"port": "80", "tags": ["b", "a", "b"]}, Object({"port": NUMBER, "tags": Set(STRING)}))
        {'port': 80, 'tags': ['a', 'b']}
    """
    if source is None:
        return coercion(target)(value)
    value, source = resolved(value, source)
    return presented(*converted(value, source, target), target)


def coercion(target: Type) -> Coercion:
    """The function that makes values of a type of plain values."""
    return target.codecs.get("coercion") or _made(target)


def _made(target: Type) -> Coercion:
    match target:
        case List() | Set() | Map() if target.element.has_dynamic:
            # The elements get a type in common, for which the types of all must be known.
            coerced = _by_type(target)
        case List() | Set():
            coerced = _elements(target, coercion(target.element))
        case Map():
            coerced = _map(target, coercion(target.element))
        case Tuple():
            coerced = _tuple(target, [coercion(each) for each in target.elements])
        case Object():
            coerced = _object(target)
        case _:
            coerced = {STRING: _string, NUMBER: _number, BOOL: _bool, DYNAMIC: _by_type(DYNAMIC)}[target]
    target.codecs["coercion"] = coerced
    return coerced


def _by_type(target: Type) -> Coercion:
    def coerced(value: Any) -> Any:
        # An endless value ends here.
        implied_type(value)
        value, source = resolved(_as_written(value), DYNAMIC)
        return presented(*converted(value, source, target), target)

    return coerced


def _as_written(value: Any) -> Any:
    """The value with a Decimal for each float, and its text checked."""
    match value:
        case str():
            unicode_text(value)
        case float() if isfinite(value):
            return settled(Decimal(repr(value)))
        case list() | tuple():
            return _parts_written(enumerate(value))
        case set() | frozenset():
            return set(map(_as_written, value))
        case Mapping():
            keys = _checked_keys(value)
            return dict(zip(keys, _parts_written((Attribute(key), value[key]) for key in keys), strict=True))
    return value


def _parts_written(parts: Iterable[tuple[Step, Any]]) -> list[Any]:
    done = []
    for step, each in parts:
        try:
            done.append(_as_written(each))
        except CtyError as error:
            raise error.under(step) from None
    return done


def _checked_keys(value: Mapping[Any, Any]) -> list[Any]:
    keys = list(value)
    if not are_ascii_keys(keys):
        for key in keys:
            if isinstance(key, str):
                unicode_text(key)
    return keys


def _other(value: Any, target: Type) -> Any:
    """Null, unknown, a value with a type, or an error: what is left of the kinds that can become the target."""
    if value is None:
        return None
    if isinstance(value, Unknown):
        return settled_unknown(value, target)
    if isinstance(value, Typed) or (isinstance(value, set | frozenset) and isinstance(target, List)):
        return _by_type(target)(value)
    raise CtyError(f"expected {target.name}, got {shown(value)}")


def _string(value: Any) -> Any:
    if isinstance(value, str):
        return unicode_text(value)
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, int | float | Decimal):
        return number_text(settled(_as_written(value)))
    return _other(value, STRING)


def _number(value: Any) -> Any:
    if type(value) is int and value in INT64:
        return value
    if isinstance(value, str):
        return text_to_number(value)[0]
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return settled(_as_written(value))
    return _other(value, NUMBER)


def _bool(value: Any) -> Any:
    if value is True or value is False:
        return value
    return text_to_bool(value)[0] if isinstance(value, str) else _other(value, BOOL)


def _elements(target: List | Set, inner: Coercion) -> Coercion:
    kinds = (list, tuple) if isinstance(target, List) else (list, tuple, set, frozenset)
    element = target.element.plain

    def elements(value: Any) -> Any:
        if not isinstance(value, kinds):
            return _other(value, target)
        done: list[Any] = []
        append = done.append
        try:
            for each in value:
                append(inner(each))
        except CtyError as error:
            raise error.under(len(done)) from None
        return done if kinds == (list, tuple) else arranged(done, element)

    return elements


def _map(target: Map, inner: Coercion) -> Coercion:
    def map_(value: Any) -> Any:
        if not isinstance(value, Mapping):
            return _other(value, target)
        _checked_keys(value)
        return mapped(value, inner)

    return map_


def _tuple(target: Tuple, inner: list[Coercion]) -> Coercion:
    def tuple_(value: Any) -> Any:
        if not isinstance(value, list | tuple):
            return _other(value, target)
        if len(value) != len(inner):
            raise CtyError(f"expected a tuple of {len(inner)}, got one of {len(value)}")
        done: list[Any] = []
        try:
            for coerced, each in zip(inner, value, strict=True):
                done.append(coerced(each))
        except CtyError as error:
            raise error.under(len(done)) from None
        return done

    return tuple_


def _object(target: Object) -> Coercion:
    inner = [(name, coercion(each)) for name, each in target.attributes.items()]
    required = target.attributes.keys() - target.optional

    def object_(value: Any) -> Any:
        if type(value) is not dict and not isinstance(value, Mapping):
            return _other(value, target)
        given = value if are_ascii_keys(value) else dict(zip(text_keys(value), value.values(), strict=True))
        if not given.keys() >= required:
            raise CtyError(f"the attribute {json_text(min(required - given.keys()))} is required")
        done: dict[str, Any] = {}
        name = ""
        try:
            for name, coerced in inner:
                done[name] = coerced(given.get(name))
        except CtyError as error:
            raise error.under(Attribute(name)) from None
        return done

    return object_
