"""Values in Python, their types, and their normal form.

`resolved` checks a value against a type and gives its normal form: text in NFC, numbers settled, sets arranged, the
keys of maps and the attributes of objects in the order of their bytes, tuples as lists, and the value's own type beside
it, in which something else stands for every `DYNAMIC` of the constraint whose value is known. `presented` is the way
back.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from ferrule.terraform.cty.errors import Attribute, CtyError, within_stack
from ferrule.terraform.cty.forms import normal_form, parts_form, text_keys
from ferrule.terraform.cty.sets import arranged
from ferrule.terraform.cty.typed import Typed
from ferrule.terraform.cty.types import (
    BOOL,
    DYNAMIC,
    MAX_DEPTH,
    NUMBER,
    STRING,
    List,
    Map,
    Object,
    Set,
    Tuple,
    Type,
    object_type,
)
from ferrule.terraform.cty.unification import unify
from ferrule.terraform.cty.unknown import UNKNOWN, Unknown

__all__ = ["common_type", "implied_type", "presented", "resolved"]


@within_stack
def implied_type(value: Any) -> Type:
    """The type that a plain value has where none is asked for, as that of a JSON text.

    Text, numbers and bools have the primitive types; a list or tuple is a `Tuple`, a dict an `Object`, a Python set a
    `Set` of the type that its elements have in common; null and unknown values are `DYNAMIC`; a `Typed` has its own.

    Raises:
        CtyError: A value that no type has, or the elements of a set have no type in common.

    Example:
        >>> implied_type({"a": 1, "b": ["x", True, None]})
        Object({'a': NUMBER, 'b': Tuple([STRING, BOOL, DYNAMIC])})
    """
    return _implied(value, 0)


def _implied(value: Any, level: int) -> Type:
    match value:
        case None | Unknown():
            return DYNAMIC
        case bool():
            return BOOL
        case str():
            return STRING
        case int() | float() | Decimal():
            return NUMBER
        case Typed(value=inner, type=of):
            return resolved(inner, of)[1]
    if level >= MAX_DEPTH:
        raise CtyError(f"the value has more than {MAX_DEPTH} levels")
    match value:
        case list() | tuple():
            return Tuple(_each(value, level))
        case set() | frozenset():
            if (common := unify(_each(list(value), level) or [DYNAMIC])) is not None:
                return Set(common)
            raise CtyError("the elements of the set have no type in common")
        case Mapping():
            keys = text_keys(value)
            types = _each(list(value.values()), level, list(map(Attribute, keys)))
            return object_type(tuple(zip(keys, types, strict=True)))
    raise CtyError(f"a value of Python's type {type(value).__name__} has no type of cty")


def _each(values: list[Any] | tuple[Any, ...], level: int, steps: list[Attribute] | None = None) -> list[Type]:
    types: list[Type] = []
    for each in values:
        try:
            types.append(_implied(each, level + 1))
        except CtyError as error:
            raise error.under(len(types) if steps is None else steps[len(types)]) from None
    return types


def resolved(value: Any, constraint: Type) -> tuple[Any, Type]:
    """The normal form of a value, and its own type.

    Raises:
        CtyError: The value is not of the type; the error's path tells where.
    """
    return _resolved(value, constraint, 0)


def _resolved(value: Any, constraint: Type, level: int) -> tuple[Any, Type]:
    if not constraint.has_dynamic:
        return normal_form(constraint)(value), constraint.plain
    if level > MAX_DEPTH:
        raise CtyError(f"the value has more than {MAX_DEPTH} levels")
    if constraint is DYNAMIC:
        return _resolved_dynamic(value, level)
    # Checks the kind of value, its length and names, and brings it in order; the parts are left as they are. What a
    # `Typed` has inside may be null or unknown.
    value = parts_form(constraint)(value)
    if value is None or isinstance(value, Unknown):
        return normal_form(constraint)(value), constraint.plain
    match constraint:
        case List(element=element) | Set(element=element):
            parts = _parts(list(enumerate(value)), [element] * len(value), level)
            common = _one_type([each for _, each in parts], element)
            values = [each for each, _ in parts]
            return (arranged(values, common), Set(common)) if isinstance(constraint, Set) else (values, List(common))
        case Map(element=element):
            parts = _parts(list(value.items()), [element] * len(value), level)
            common = _one_type([each for _, each in parts], element)
            return dict(zip(value, (each for each, _ in parts), strict=True)), Map(common)
        case Tuple(elements=elements):
            parts = _parts(list(enumerate(value)), elements, level)
            return [each for each, _ in parts], Tuple(each for _, each in parts)
    assert isinstance(constraint, Object)
    attributes = constraint.attributes
    parts = _parts([(Attribute(name), value[name]) for name in attributes], attributes.values(), level)
    typed = dict(zip(attributes, parts, strict=True))
    own = object_type(tuple((name, each) for name, (_, each) in typed.items()))
    return {name: each for name, (each, _) in typed.items()}, own


def _parts(values: list[tuple[Any, Any]], types: Any, level: int) -> list[tuple[Any, Type]]:
    parts: list[tuple[Any, Type]] = []
    for (step, value), of in zip(values, types, strict=True):
        try:
            parts.append(_resolved(value, of, level + 1))
        except CtyError as error:
            raise error.under(step) from None
    return parts


def _resolved_dynamic(value: Any, level: int) -> tuple[Any, Type]:
    if value is None:
        return None, DYNAMIC
    if isinstance(value, Unknown):
        # Of what has no type nothing can be known.
        return UNKNOWN, DYNAMIC
    if isinstance(value, Typed):
        if value.type is DYNAMIC or value.type.has_dynamic:
            return _resolved(value.value, value.type, level + 1)
        inner, of = _resolved(value.value, value.type, level + 1)
        # As in go-cty: a null and an unknown value keep the optional attributes of their type.
        return inner, value.type if inner is None or isinstance(inner, Unknown) else of
    return _resolved(value, implied_type(value), level + 1)


def common_type(types: list[Type]) -> Type | None:
    """The type of a collection's elements: the one that all have, but for nulls and unknown values without a type."""
    distinct = dict.fromkeys(each for each in types if each is not DYNAMIC)
    return next(iter(distinct), DYNAMIC) if len(distinct) < 2 else None


def _one_type(types: list[Type], element: Type) -> Type:
    if not types:
        return element.plain
    if (common := common_type(types)) is not None:
        return common
    first, *rest = dict.fromkeys(each for each in types if each is not DYNAMIC)
    step = types.index(rest[0])
    raise CtyError(
        f"element {step} is of type {rest[0].name}, those before it of type {first.name}: they must have one type",
        hint="convert() finds a common one",
    )


def presented(value: Any, of: Type, constraint: Type) -> Any:
    """The value as a caller gets it: in a place of type `DYNAMIC` plain if that implies its type, else `Typed`."""
    if not constraint.has_dynamic or value is None or isinstance(value, Unknown):
        return value if constraint is not DYNAMIC or of is DYNAMIC else Typed(value, of)
    if constraint is DYNAMIC:
        return value if _implies(value, of) else Typed(value, of)
    match of, constraint:
        case ((List() | Set()), (List() | Set())):
            return [presented(each, of.element, constraint.element) for each in value]
        case Map(), Map():
            return {key: presented(each, of.element, constraint.element) for key, each in value.items()}
        case Tuple(), Tuple():
            return list(map(presented, value, of.elements, constraint.elements))
        case Object(), Object():
            inner = constraint.attributes
            return {name: presented(value[name], each, inner[name]) for name, each in of.attributes.items()}
    return value


def _implies(value: Any, of: Type) -> bool:
    if value is None or isinstance(value, Unknown):
        return of is DYNAMIC
    match of:
        case Tuple(elements=elements):
            return all(map(_implies, value, elements))
        case Object(attributes=attributes):
            return all(_implies(value[name], each) for name, each in attributes.items())
    return of in (STRING, NUMBER, BOOL)
