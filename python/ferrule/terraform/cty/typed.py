"""Values that bring their type."""

from dataclasses import dataclass
from typing import Any

from ferrule.terraform.cty.types import Type

__all__ = ["Typed", "untyped"]


@dataclass(frozen=True, slots=True)
class Typed:
    """A value with its type, where the type `DYNAMIC` leaves it open and the value alone does not tell.

    A plain value of Python stands for the type that JSON gives it: a list for a tuple, a dict for an object. A list of
    strings is `Typed(["a", "b"], List(STRING))`, a null of type string `Typed(None, STRING)`.
    """

    value: Any
    type: Type


def untyped(value: Any) -> Any:
    """The value without any `Typed`, for a program that only reads it. What is sent from it may have other types.

    Example:
        >>> from ferrule.terraform.cty import STRING, List
        >>> untyped({"names": Typed(["a"], List(STRING))})
        {'names': ['a']}
    """
    match value:
        case Typed(value=inner):
            return untyped(inner)
        case list():
            return list(map(untyped, value))
        case dict():
            return {key: untyped(each) for key, each in value.items()}
    return value
