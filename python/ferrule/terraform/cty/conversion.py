"""Conversion of values, as a configuration becomes what a schema wants.

Facts: go-cty v1.20, cty/convert (conversion*.go). The functions below are put together once for a pair of types. They
take a value of the source type in normal form, and give the new one with its own type, in which something stands for
every `DYNAMIC` of the target.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ferrule.terraform.cty.equality import has_unknown
from ferrule.terraform.cty.errors import Attribute, CtyError, Step, shown
from ferrule.terraform.cty.numbers import number_text, parse_number
from ferrule.terraform.cty.refusals import refusal
from ferrule.terraform.cty.sets import arranged
from ferrule.terraform.cty.types import (
    BOOL,
    DYNAMIC,
    NUMBER,
    STRING,
    List,
    Map,
    Object,
    Set,
    Tuple,
    Type,
    cached_by_types,
    object_type,
)
from ferrule.terraform.cty.unification import convertible, unify
from ferrule.terraform.cty.unknown import Unknown, settled_unknown
from ferrule.terraform.cty.values import common_type

__all__ = ["converted", "text_to_bool", "text_to_number"]

Converted = tuple[Any, Type]
Conversion = Callable[[Any], Converted]


def converted(value: Any, source: Type, target: Type) -> Converted:
    """The value as one of another type, with the type that it has itself.

    Args:
        value: In normal form.
        source: Its own type.
        target: The type wanted.

    Raises:
        CtyError: There is no such conversion, or not of this value; the path tells where.
    """
    if source == target.plain:
        return value, source
    if not convertible(source, target):
        raise refusal(value, source, target)
    return _conversion(source, target)(value)


@cached_by_types
def _conversion(source: Type, target: Type, unsafe: bool = True) -> Conversion:
    """The function that converts; the two types are `convertible`."""
    plain = target.plain
    if target is DYNAMIC or source == plain:
        return lambda value: (value, source)
    of_known = _of_known(source, target, unsafe)
    of_unknown = _with_types_of(source, plain)

    def result(value: Any) -> Converted:
        if value is None:
            return None, of_unknown
        if isinstance(value, Unknown):
            return _unknown(value, source, of_unknown), of_unknown
        return of_known(value)

    return result


def _of_known(source: Type, target: Type, unsafe: bool) -> Conversion:
    match source, target:
        case Object(), Object():
            return _object_to_object(source, target, unsafe)
        case Tuple(), Tuple():
            return _tuple_to_tuple(source, target, unsafe)
        case ((List() | Set()), (List() | Set())):
            return _collection_to_collection(source, target, unsafe)
        case Map(), Map():
            return _map_to_map(source, target, unsafe)
        case Tuple(), (List() | Set()):
            return _tuple_to_collection(source, target, unsafe)
        case Object(), Map():
            return _object_to_map(source, target, unsafe)
        case Map(), Object():
            return _map_to_object(source, target, unsafe)
    return _PRIMITIVE.get((source, target), _no_known_value)


def _no_known_value(value: Any) -> Converted:
    raise AssertionError(f"a known value without a type: {value!r}")


def text_to_number(value: str) -> Converted:
    try:
        return parse_number(value), NUMBER
    except CtyError as error:
        hint = None if error.problem == "a number is required" else error.problem
        raise CtyError(f"expected number, got {shown(value)}", hint=hint) from None


def text_to_bool(value: str) -> Converted:
    if value in {"true", "1"}:
        return True, BOOL
    if value in {"false", "0"}:
        return False, BOOL
    hint = f'write "{value.lower()}"' if value.lower() in {"true", "false"} else None
    raise CtyError(f"expected bool, got {shown(value)}", hint=hint)


_PRIMITIVE: dict[tuple[Type, Type], Conversion] = {
    (STRING, NUMBER): text_to_number,
    (STRING, BOOL): text_to_bool,
    (NUMBER, STRING): lambda value: (number_text(value), STRING),
    (BOOL, STRING): lambda value: ("true" if value else "false", STRING),
}


def _each(parts: Iterable[tuple[Step, Any]], conversions: Iterable[Conversion]) -> list[Converted]:
    done: list[Converted] = []
    for (step, value), conversion in zip(parts, conversions, strict=True):
        try:
            done.append(conversion(value))
        except CtyError as error:
            raise error.under(step) from None
    return done


def _one_type(parts: Sequence[Converted], kind: str) -> Type:
    common = common_type([of for _, of in parts])
    if common is None:
        raise CtyError(f"the elements of the {kind} must have one type")
    return common


def _made_one(parts: list[Converted], steps: Iterable[Step], unsafe: bool) -> list[Converted]:
    """The parts converted once more, to the type that theirs have in common."""
    common = unify([of for _, of in parts], not unsafe)
    if common is None:
        raise CtyError("the elements have no type in common")
    conversions = [_conversion(of, common, unsafe) for _, of in parts]
    return _each(zip(steps, (value for value, _ in parts), strict=True), conversions)


def _object_to_object(source: Object, target: Object, unsafe: bool) -> Conversion:
    names = [name for name in target.attributes if name in source.attributes]
    conversions = [_conversion(source.attributes[name], target.attributes[name], unsafe) for name in names]
    absent = {name: (None, each.plain) for name, each in target.attributes.items() if name not in source.attributes}

    def result(value: Any) -> Converted:
        parts = _each(((Attribute(name), value[name]) for name in names), conversions)
        done = {**dict(zip(names, parts, strict=True)), **absent}
        return _object({name: done[name] for name in target.attributes})

    return result


def _object(parts: dict[str, Converted]) -> Converted:
    return {name: value for name, (value, _) in parts.items()}, object_type(
        tuple((name, of.plain) for name, (_, of) in parts.items())
    )


def _tuple_to_tuple(source: Tuple, target: Tuple, unsafe: bool) -> Conversion:
    conversions = [_conversion(*pair, unsafe) for pair in zip(source.elements, target.elements, strict=True)]

    def result(value: Any) -> Converted:
        parts = _each(enumerate(value), conversions)
        return [each for each, _ in parts], Tuple(of for _, of in parts)

    return result


def _collected(parts: list[Converted], target: List | Set, empty: Type) -> Converted:
    """A list or set of converted elements."""
    if not parts:
        # A type that is known is better than one that is open.
        return [], type(target)(empty if target.element is DYNAMIC else target.element.plain)
    common = _one_type(parts, type(target).__name__.lower()).plain
    values = [each for each, _ in parts]
    return (arranged(values, common), Set(common)) if isinstance(target, Set) else (values, List(common))


def _collection_to_collection(source: List | Set, target: List | Set, unsafe: bool) -> Conversion:
    conversion = _conversion(source.element, target.element, unsafe)
    from_set = isinstance(source, Set) and isinstance(target, List)

    def result(value: Any) -> Converted:
        if from_set and len(value) > 1 and has_unknown(value):
            # The number of different elements is not known yet.
            return Unknown(), List(source.element)
        return _collected(_each(enumerate(value), [conversion] * len(value)), target, source.element)

    return result


def _tuple_to_collection(source: Tuple, target: List | Set, unsafe: bool) -> Conversion:
    element = target.element
    if element is DYNAMIC and source.elements:
        element = unify(source.elements, not unsafe) or DYNAMIC
    conversions = [_conversion(each, element, unsafe) for each in source.elements]

    def result(value: Any) -> Converted:
        parts = _each(enumerate(value), conversions)
        if parts and isinstance(target, List):
            parts = _made_one(parts, range(len(parts)), unsafe)
        return _collected(parts, target, DYNAMIC)

    return result


def _mapped(keys: Sequence[str], parts: list[Converted], target: Map, element: Type, unsafe: bool) -> Converted:
    if isinstance(element, List | Set | Map | Object):
        parts = _made_one(parts, keys, unsafe)
    common = _one_type(parts, "map").plain
    return {key: value for key, (value, _) in zip(keys, parts, strict=True)}, Map(common)


def _map_to_map(source: Map, target: Map, unsafe: bool) -> Conversion:
    conversion = _conversion(source.element, target.element, unsafe)

    def result(value: Any) -> Converted:
        if not value:
            return {}, Map(source.element if target.element is DYNAMIC else target.element.plain)
        parts = _each(value.items(), [conversion] * len(value))
        return _mapped(list(value), parts, target, target.element, unsafe=False)

    return result


def _object_to_map(source: Object, target: Map, unsafe: bool) -> Conversion:
    element = target.element
    if not source.attributes:
        return lambda value: ({}, Map(element.plain))
    if element is DYNAMIC:
        element = unify(list(source.attributes.values()), not unsafe) or DYNAMIC
    conversions = [_conversion(each, element, unsafe) for each in source.attributes.values()]

    def result(value: Any) -> Converted:
        return _mapped(list(value), _each(value.items(), conversions), target, element, unsafe)

    return result


def _map_to_object(source: Map, target: Object, unsafe: bool) -> Conversion:
    def conversion(name: str, of: Type) -> Conversion:
        if convertible(source.element, of, unsafe):
            return _conversion(source.element, of, unsafe)

        def refused(value: Any) -> Converted:
            raise refusal(value, source.element, of)

        return refused

    conversions = {name: conversion(name, each) for name, each in target.attributes.items()}

    def result(value: Any) -> Converted:
        given = [name for name in target.attributes if name in value]
        parts = _each(((name, value[name]) for name in given), [conversions[name] for name in given])
        done = dict(zip(given, parts, strict=True))
        for name, each in target.attributes.items():
            if name not in done:
                if name not in target.optional:
                    raise CtyError(f'the map has no element "{name}", which is a required attribute')
                done[name] = None, each.plain
        return _object({name: done[name] for name in target.attributes})

    return result


def _unknown(value: Unknown, source: Type, target: Type) -> Any:
    """The unknown value of another type, with what is still known about it."""
    least, most = 0, None
    match source, target:
        case Object(), Map():
            least = most = len(source.attributes)
        case Tuple(), List():
            least = most = len(source.elements)
        case Tuple(), Set():
            # Elements may turn out to be equal.
            least, most = min(len(source.elements), 1), len(source.elements)
        case ((List() | Set() | Map()), (List() | Set() | Map())):
            least, most = value.min_length, value.max_length
            least = min(least, 1) if isinstance(target, Set) else least
    return settled_unknown(Unknown(not_null=value.not_null, min_length=least, max_length=most), target)


def _with_types_of(source: Type, target: Type) -> Type:
    """The target with the types of the source in the places of `DYNAMIC`, for values that are null or unknown."""
    if source is DYNAMIC or not target.has_dynamic:
        return target
    if target is DYNAMIC:
        return source
    match source, target:
        case ((List() | Set()), (List() | Set())):
            return type(target)(_with_types_of(source.element, target.element))
        case Tuple(), (List() | Set()):
            return type(target)(_with_types_of(unify(source.elements) or DYNAMIC, target.element))
        case Map(), Map():
            return Map(_with_types_of(source.element, target.element))
        case Object(), Map():
            common = unify(list(source.attributes.values())) or DYNAMIC
            return Map(_with_types_of(common, target.element))
        case Map(), Object():
            return Object({name: _with_types_of(source.element, each) for name, each in target.attributes.items()})
        case Object(), Object():
            theirs = source.attributes
            return Object(
                {name: _with_types_of(theirs.get(name, DYNAMIC), each) for name, each in target.attributes.items()}
            )
        case Tuple(), Tuple():
            return Tuple(map(_with_types_of, source.elements, target.elements))
    return target
