"""Which types can be converted into which, and the type that values of several types have in common.

Facts: go-cty v1.20, cty/convert (conversion.go, unify.go, sort_types.go, compare_types.go). A conversion is safe if it
can never fail or lose anything.
"""

from collections.abc import Callable, Sequence
from typing import Any

from ferrule.terraform.cty.errors import within_stack
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
)

__all__ = ["convertible", "unify", "unify_types"]

_PRIMITIVE = (STRING, NUMBER, BOOL)


@within_stack
def unify(types: Sequence[Type], safe: bool = False) -> Type | None:
    """The most general of the types, or one made of them, that values of all of them can be converted to.

    Args:
        types: In any number.
        safe: Only by conversions that can never fail, which text to a number is not.

    Returns:
        The type; None if there is none, as for number and bool, or no types.

    Example:
        >>> unify([NUMBER, STRING])
        STRING
        >>> unify([Tuple([STRING]), Tuple([STRING, NUMBER])])
        List(STRING)
    """
    # A repeated type changes nothing, and a long list of values has few.
    return unify_types(tuple(dict.fromkeys(types)), not safe)


@cached_by_types
def convertible(source: Type, target: Type, unsafe: bool = True) -> bool:
    """Whether values of one type can be converted into another; unsafe conversions may still fail on some."""
    if target is DYNAMIC or source == target:
        return True
    if source is DYNAMIC:
        return unsafe
    match source, target:
        case Object(), Object():
            return all(
                convertible(source.attributes[name], each, unsafe)
                if name in source.attributes
                else name in target.optional
                for name, each in target.attributes.items()
            )
        case Tuple(), Tuple():
            pairs = zip(source.elements, target.elements, strict=False)
            return len(source.elements) == len(target.elements) and all(convertible(*pair, unsafe) for pair in pairs)
        case ((List() | Set()), List()):
            return convertible(source.element, target.element, unsafe)
        case ((List() | Set()), Set()):
            return (unsafe or isinstance(source, Set)) and convertible(source.element, target.element, unsafe)
        case Map(), Map():
            return convertible(source.element, target.element, unsafe)
        case Tuple(), (List() | Set()):
            return _parts_convertible(source.elements, target.element, unsafe, into_map=False)
        case Object(), Map():
            return _parts_convertible(tuple(source.attributes.values()), target.element, unsafe, into_map=True)
        case Map(), Object():
            return unsafe and all(
                convertible(source.element, each) or name in target.optional for name, each in target.attributes.items()
            )
    if source in _PRIMITIVE and target in _PRIMITIVE:
        return target is STRING or (unsafe and source is STRING)
    return False


def _parts_convertible(parts: tuple[Type, ...], element: Type, unsafe: bool, into_map: bool) -> bool:
    if element is DYNAMIC and parts:
        common = unify(parts, not unsafe)
        # A list cannot have an open type, unless the types of all its elements are open.
        if common is None or (common is DYNAMIC and not into_map and any(each is not DYNAMIC for each in parts)):
            return False
        element = common
    return all(convertible(each, element, unsafe) for each in set(parts))


@cached_by_types
def unify_types(types: tuple[Type, ...], unsafe: bool) -> Type | None:
    """As `unify`, for types that are distinct."""
    kinds = {type(each) for each in types if each is not DYNAMIC}
    has_dynamic = DYNAMIC in types
    if len(kinds) == 1 and (made := _SAME_KIND.get(next(iter(kinds)))) is not None:
        # A type that is open now may become any later.
        return DYNAMIC if has_dynamic else made(types, unsafe)
    if kinds == {Map, Object} and (found := _as_collections(types, unsafe, Object, _map_of_attributes)):
        return found
    if kinds == {List, Tuple} and (found := _as_collections(types, unsafe, Tuple, _list_of_elements)):
        return found
    if {Object, Tuple} <= kinds:
        return None
    for wanted in _most_general_first(types):
        if all(convertible(each, wanted, unsafe) for each in types):
            return wanted
    return None


def _checked(types: tuple[Type, ...], common: Type, unsafe: bool) -> Type | None:
    return common if all(convertible(each, common, unsafe) for each in types) else None


def _of_elements(kind: type[List] | type[Set] | type[Map]) -> Callable[[tuple[Any, ...], bool], Type | None]:
    def common(types: tuple[Any, ...], unsafe: bool) -> Type | None:
        element = unify([each.element for each in types], not unsafe)
        return None if element is None else _checked(types, kind(element), unsafe)

    return common


def _of_objects(types: tuple[Any, ...], unsafe: bool) -> Type | None:
    names = types[0].attributes.keys()
    if any(each.attributes.keys() != names for each in types):
        return _map_of_attributes(types, unsafe)
    attributes: dict[str, Type] = {}
    for name in names:
        if (common := unify([each.attributes[name] for each in types], not unsafe)) is None:
            return None
        attributes[name] = common
    return _checked(types, Object(attributes), unsafe) or _map_of_attributes(types, unsafe)


def _of_tuples(types: tuple[Any, ...], unsafe: bool) -> Type | None:
    if any(len(each.elements) != len(types[0].elements) for each in types):
        return _list_of_elements(types, unsafe)
    elements: list[Type] = []
    for across in zip(*(each.elements for each in types), strict=True):
        if (common := unify(across, not unsafe)) is None:
            return None
        elements.append(common)
    return _checked(types, Tuple(elements), unsafe) or _list_of_elements(types, unsafe)


def _map_of_attributes(types: tuple[Any, ...], unsafe: bool) -> Type | None:
    element = unify([inner for each in types for inner in each.attributes.values()], not unsafe)
    return None if element is None else _checked(types, Map(element), unsafe)


def _list_of_elements(types: tuple[Any, ...], unsafe: bool) -> Type | None:
    element = unify([inner for each in types for inner in each.elements], not unsafe)
    return None if element is None else _checked(types, List(element), unsafe)


_SAME_KIND: dict[type[Type], Callable[[tuple[Any, ...], bool], Type | None]] = {
    **{kind: _of_elements(kind) for kind in (List, Set, Map)},
    Object: _of_objects,
    Tuple: _of_tuples,
}


def _as_collections(
    types: tuple[Type, ...],
    unsafe: bool,
    structure: type[Type],
    made: Callable[[tuple[Any, ...], bool], Type | None],
) -> Type | None:
    """Objects among maps are maps, and tuples among lists are lists, if they can be."""
    collection = made(tuple(each for each in types if isinstance(each, structure)), unsafe)
    if collection is None:
        return None
    common = unify([collection if isinstance(each, structure) else each for each in types], not unsafe)
    return common if type(common) is type(collection) else None


def _most_general_first(types: tuple[Type, ...]) -> list[Type]:
    """The types in an order in which each comes before those that it is more general than."""
    less_general: list[list[int]] = [[] for _ in types]
    waiting = [0] * len(types)
    for i, a in enumerate(types):
        for j in range(i + 1, len(types)):
            if order := _compared(a, types[j]):
                upper, lower = (i, j) if order < 0 else (j, i)
                less_general[upper].append(lower)
                waiting[lower] += 1
    queue = [i for i, count in enumerate(waiting) if not count]
    for i in queue:
        for j in less_general[i]:
            waiting[j] -= 1
            if not waiting[j]:
                queue.append(j)
    return [types[i] for i in queue]


# Of two structures the one that is less special: a list before a set and a tuple, a tuple before a set, a map before an
# object.
_GENERALITY = {List: 0, Tuple: 1, Set: 2, Map: 0, Object: 1}
_COMPARABLE = ({List, Set, Tuple}, {Map, Object})


def _compared(a: Type, b: Type) -> int:
    """-1 if the first type is more general, 1 if the second is, 0 if neither."""
    if a is DYNAMIC or b is DYNAMIC:
        return (a is DYNAMIC) - (b is DYNAMIC)
    if a in _PRIMITIVE and b in _PRIMITIVE:
        return (b is STRING) - (a is STRING)
    match a, b:
        case ((List() | Set() | Map()), (List() | Set() | Map())) if type(a) is type(b):
            return _compared(a.element, b.element)
        case Object(), Object():
            if a.attributes.keys() != b.attributes.keys():
                return 0
            return _all_compared((each, b.attributes[name]) for name, each in a.attributes.items())
        case Tuple(), Tuple():
            return _all_compared(zip(a.elements, b.elements, strict=True)) if len(a.elements) == len(b.elements) else 0
    if any({type(a), type(b)} <= kinds for kinds in _COMPARABLE):
        return -1 if _GENERALITY[type(a)] < _GENERALITY[type(b)] else 1
    return 0


def _all_compared(pairs: Any) -> int:
    orders = {_compared(a, b) for a, b in pairs}
    return 0 if {-1, 1} <= orders else min(orders - {0}, default=0)
