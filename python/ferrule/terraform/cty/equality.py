"""Equality of values in normal form, each with its type.

Facts: go-cty v1.20, cty/value_ops.go (Equals, RawEquals) and cty/value_range.go (Includes).
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from ferrule.terraform.cty.numbers import equal_numbers
from ferrule.terraform.cty.set_keys import exact_set_key, set_key
from ferrule.terraform.cty.strings import utf8
from ferrule.terraform.cty.types import DYNAMIC, NUMBER, STRING, List, Map, Object, Set, Tuple, Type
from ferrule.terraform.cty.unknown import NOT_NULL, Unknown

__all__ = ["conforms", "equal", "has_unknown", "identical"]

MAYBE = NOT_NULL
"""The answer that depends on what is unknown: an unknown bool, which will not be null."""


def equal(a: Any, type_a: Type, b: Any, type_b: Type) -> bool | Unknown:
    """Whether the language's `==` takes two values for the same; unknown where that depends on an unknown value.

    Nulls are equal whatever their types; values of other types are not.
    """
    unknown_a, unknown_b = type(a) is Unknown, type(b) is Unknown
    if unknown_a and unknown_b:
        return MAYBE
    if unknown_a:
        return _equal_unknown(b, type_b, a, type_a)
    if unknown_b:
        return _equal_unknown(a, type_a, b, type_b)
    if a is None or b is None:
        return a is b
    if type_a.has_dynamic or type_b.has_dynamic:
        if not conforms(type_a, type_b) and not conforms(type_b, type_a):
            return False
        if _has_untyped(a, type_a) or _has_untyped(b, type_b):
            return MAYBE
    return type_a == type_b and _equal_known(a, b, type_a)


def _equal_unknown(known: Any, known_type: Type, unknown: Unknown, unknown_type: Type) -> bool | Unknown:
    if known is None:
        return False if unknown.not_null else MAYBE
    if not conforms(known_type, unknown_type) or not _possible(known, known_type, unknown):
        return False
    return MAYBE if unknown_type.has_dynamic or known_type == unknown_type else False


def _possible(known: Any, of: Type, unknown: Unknown) -> bool:
    """Whether the refinements allow the value."""
    if of is STRING:
        return utf8(known).startswith(utf8(unknown.prefix))
    if of is NUMBER:
        lower, upper = unknown.lower, unknown.upper
        above = lower is None or known > lower or (unknown.lower_inclusive and known == lower)
        return above and (upper is None or known < upper or (unknown.upper_inclusive and known == upper))
    if isinstance(of, List | Set | Map):
        most = unknown.max_length
        # Elements of a set that are unknown may turn out to be equal.
        least = 1 if isinstance(of, Set) and len(known) > 1 and has_unknown(known) else len(known)
        return len(known) >= unknown.min_length and (most is None or least <= most)
    return True


def has_unknown(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(has_unknown, value.values()))
    return any(map(has_unknown, value)) if isinstance(value, list) else type(value) is Unknown


def _has_untyped(value: Any, of: Type) -> bool:
    """Whether something in the value has no type yet."""
    if value is None or not of.has_dynamic:
        return False
    return type(value) is Unknown or any(_has_untyped(each, inner) for each, inner in _parts(value, of))


def _parts(value: Any, of: Type) -> Iterable[tuple[Any, Type]]:
    match of:
        case List(element=element) | Set(element=element):
            return ((each, element) for each in value)
        case Map(element=element):
            return ((each, element) for each in value.values())
        case Tuple(elements=elements):
            return zip(value, elements, strict=True)
        case Object(attributes=attributes):
            return ((value[name], each) for name, each in attributes.items())
    return ()


def _equal_known(a: Any, b: Any, of: Type) -> bool | Unknown:
    match of:
        case Set():
            return _equal_sets(a, b, of)
        case Map():
            return a.keys() == b.keys() and _all_equal(a, b, of)
        case List():
            return len(a) == len(b) and _first_unequal(a, b, of)
        case Tuple():
            return _first_unequal(a, b, of)
        case Object():
            return _all_equal(a, b, of)
    return equal_numbers(a, b) if of is NUMBER else bool(a == b)


def _first_unequal(a: Any, b: Any, of: Type) -> bool | Unknown:
    for (left, inner), (right, _) in zip(_parts(a, of), _parts(b, of), strict=True):
        if (answer := equal(left, inner, right, inner)) is not True:
            return answer
    return True


def _all_equal(a: Any, b: Any, of: Type) -> bool | Unknown:
    # go-cty answers by the first part that is unequal or unknown, in the random order of Go's maps.
    answers = [
        equal(left, inner, right, inner) for (left, inner), (right, _) in zip(_parts(a, of), _parts(b, of), strict=True)
    ]
    return False if False in answers else next((each for each in answers if each is not True), True)


def _equal_sets(a: list[Any], b: list[Any], of: Set) -> bool | Unknown:
    if any(type(each) is Unknown for each in (*a, *b)):
        return MAYBE
    return _is_subset(a, b, of.element) and _is_subset(b, a, of.element)


def _is_subset(inner: list[Any], outer: list[Any], of: Type) -> bool:
    key, exact_key = set_key(of), exact_set_key(of)
    # An element that is partly unknown equals none for sure.
    known = {(key(each), exact_key(each)) for each in outer if not has_unknown(each)}
    return all(not has_unknown(each) and (key(each), exact_key(each)) in known for each in inner)


def identical(a: Any, type_a: Type, b: Any, type_b: Type) -> bool:
    """Whether two values are the same in all: type, nulls, and what is known of unknown values."""
    if type_a != type_b:
        return False
    if type(a) is Unknown or type(b) is Unknown:
        return type(a) is type(b) and _known_alike(a, b)
    if a is None or b is None:
        return a is b
    match type_a:
        case Map() if a.keys() != b.keys():
            return False
        case List() | Set() if len(a) != len(b):
            return False
        case List() | Set() | Map() | Tuple() | Object():
            pairs = zip(_parts(a, type_a), _parts(b, type_a), strict=True)
            return all(identical(left, inner, right, inner) for (left, inner), (right, _) in pairs)
    return equal_numbers(a, b) if type_a is NUMBER else bool(a == b)


def _known_alike(a: Unknown, b: Unknown) -> bool:
    for bound_a, bound_b in ((a.lower, b.lower), (a.upper, b.upper)):
        if (bound_a is None) != (bound_b is None):
            return False
        if bound_a is not None and bound_b is not None and not equal_numbers(bound_a, bound_b):
            return False
    return replace(a, lower=None, upper=None) == replace(b, lower=None, upper=None)


def conforms(of: Type, constraint: Type) -> bool:
    """Whether values of the type fit a constraint as they are: equal to it but where the constraint is dynamic."""
    if constraint is DYNAMIC or of == constraint:
        return True
    if type(of) is not type(constraint) or not constraint.has_dynamic:
        return False
    match of, constraint:
        case ((List() | Set() | Map()), (List() | Set() | Map())):
            return conforms(of.element, constraint.element)
        case Tuple(), Tuple():
            pairs = zip(of.elements, constraint.elements, strict=False)
            return len(of.elements) == len(constraint.elements) and all(conforms(*pair) for pair in pairs)
        case Object(), Object():
            theirs = constraint.attributes
            return of.attributes.keys() == theirs.keys() and all(
                conforms(each, theirs[name]) for name, each in of.attributes.items()
            )
    return False
