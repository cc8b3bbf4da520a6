"""The value at a path, and another one put in its place.

Values here are in normal form, each with its own type, so that a path leads into what is of type dynamic as well.
"""

from collections.abc import Callable
from typing import Any

from ferrule.terraform.cty import DYNAMIC, UNKNOWN, Attribute, List, Map, Object, Path, Step, Tuple, Type, Unknown

__all__ = ["PathError", "at", "put"]

Value = tuple[Any, Type]


class PathError(LookupError):
    """A path that leads nowhere."""


def at(value: Any, of: Type, path: Path) -> Value:
    """The value at a path; inside what is unknown all is.

    Raises:
        PathError: There is nothing at the path.
    """
    for step in path:
        value, of = _step(value, of, step)
    return value, of


def _step(value: Any, of: Type, step: Step) -> Value:
    if value is None:
        raise PathError
    match of, step:
        case Object(attributes=types), str() if step in types:
            inner = types[step]
        case (Map(element=element), str()) | (List(element=element), int()):
            inner = element
        case Tuple(elements=elements), int() if 0 <= step < len(elements):
            inner = elements[step]
        case _ if of is DYNAMIC:
            return UNKNOWN, DYNAMIC
        case _:
            raise PathError
    if type(value) is Unknown:
        return UNKNOWN, inner
    try:
        return value[str(step) if isinstance(step, Attribute) else step], inner
    except LookupError:
        raise PathError from None


def put(value: Any, of: Type, path: Path, replaced: Callable[[Any, Type], Value]) -> Value:
    """The value with what `replaced` makes of the one at the path; itself if there is none."""
    if not path:
        return replaced(value, of)
    step, rest = path[0], path[1:]
    try:
        inner = _step(value, of, step)
    except PathError:
        return value, of
    return (value, of) if type(value) is Unknown else _with_part(value, of, step, put(*inner, rest, replaced))


def _with_part(value: Any, of: Type, step: Step, part: Value) -> Value:
    new, new_type = part
    match of, step:
        case Tuple(elements=types), int():
            return _with(value, step, new), Tuple(_with(types, step, new_type))
        case _, int():
            return _with(value, step, new), of
        case Object(attributes=types), _ if types[step] != new_type:
            of = Object({**types, str(step): new_type})
    return {**value, str(step): new}, of


def _with(sequence: Any, index: int, new: Any) -> list[Any]:
    return [*sequence[:index], new, *sequence[index + 1 :]]
