"""Unknown values: where they are, and null in their place."""

from collections.abc import Iterable, Iterator
from typing import Any

from ferrule.terraform.core.sameness import with_own_type
from ferrule.terraform.cty import Attribute, List, Map, Object, Path, Set, Step, Tuple, Type, Unknown
from ferrule.terraform.cty.equality import has_unknown
from ferrule.terraform.cty.sets import arranged
from ferrule.terraform.cty.values import presented

__all__ = ["unknown_as_null", "unknown_paths"]


def unknown_paths(value: Any, of: Type) -> tuple[Path, ...]:
    """Where a value is unknown; a path ends at a set, since its elements have no place of their own.

    Example:
        >>> from ferrule.terraform.cty import STRING, UNKNOWN
        >>> unknown_paths({"id": UNKNOWN, "names": ["a", UNKNOWN]}, Object({"id": STRING, "names": List(STRING)}))
        ((Attribute('id'),), (Attribute('names'), 1))
    """
    return tuple(dict.fromkeys(_unknown(*with_own_type(value, of))))


def _unknown(value: Any, of: Type) -> Iterator[Path]:
    if type(value) is Unknown:
        yield ()
    elif isinstance(of, Set):
        if has_unknown(value):
            yield ()
    else:
        for step, each, inner in _parts(value, of):
            if type(each) in (dict, list, Unknown):
                yield from ((step, *path) for path in _unknown(each, inner))


def unknown_as_null(value: Any, of: Type) -> Any:
    """The value with null for each unknown one: what may be stored of an answer that must not have any."""
    known, own = with_own_type(value, of)
    return presented(_known(known, own), own, of)


def _known(value: Any, of: Type) -> Any:
    if value is None or type(value) is Unknown:
        return None
    match of:
        case Object() | Map():
            return {str(step): _known(each, inner) for step, each, inner in _parts(value, of)}
        case List() | Set() | Tuple():
            elements = [_known(each, inner) for _, each, inner in _parts(value, of)]
            return arranged(elements, of.element) if isinstance(of, Set) else elements
    return value


def _parts(value: Any, of: Type) -> Iterable[tuple[Step, Any, Type]]:
    if value is None:
        return ()
    match of:
        case List(element=element) | Set(element=element):
            return ((step, each, element) for step, each in enumerate(value))
        case Map(element=element):
            return ((key, each, element) for key, each in value.items())
        case Tuple(elements=types):
            return zip(range(len(types)), value, types, strict=True)
        case Object(attributes=attributes):
            return ((Attribute(name), value[name], each) for name, each in attributes.items())
    return ()
