"""The error of this package, and the paths that it names."""

import json
import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import wraps
from typing import Any, Final, ParamSpec, TypeVar

__all__ = ["Attribute", "CtyError", "Path", "Step", "format_path", "shown", "within_stack"]

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")

SHOWN_LENGTH: Final = 60
"""Characters of a wrong value that an error repeats."""

_IDENTIFIER = re.compile(r"[^\W\d][\w-]*")


class Attribute(str):
    """A step of a path into an object: the attribute's name. The key of a map is a plain str, an index an int."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Attribute({str.__repr__(self)})"


Step = Attribute | str | int
Path = tuple[Step, ...]


def format_path(path: Sequence[Step]) -> str:
    """The path as a configuration writes it.

    Example:
        >>> format_path((Attribute("ingress"), 2, Attribute("tags"), "team"))
        'ingress[2].tags["team"]'
    """
    text = ""
    for step in path:
        if isinstance(step, Attribute) and _IDENTIFIER.fullmatch(step):
            text += f".{step}" if text else str(step)
        elif isinstance(step, str):
            text += f"[{json.dumps(step, ensure_ascii=False)}]"
        else:
            text += f"[{step}]"
    return text


class CtyError(ValueError):
    """A value, a type, or bytes that do not fit.

    Attributes:
        path (Path): Where in the value, from its root; empty for the root itself.
        problem (str): What is wrong there.
        hint (str | None): What to do about it.

    Example:
        >>> print(CtyError('expected number, got "http"', (Attribute("ingress"), 2, Attribute("from_port"))))
        ingress[2].from_port: expected number, got "http"
    """

    def __init__(self, problem: str, path: Sequence[Step] = (), hint: str | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.hint = hint
        # The steps run from the place of the error outwards: each level of the value appends its own.
        self._steps: list[Step] = list(reversed(path))

    @property
    def path(self) -> Path:
        return tuple(reversed(self._steps))

    def under(self, step: Step) -> "CtyError":
        """This error, seen from one level further out."""
        self._steps.append(step)
        return self

    def __str__(self) -> str:
        place = format_path(self.path)
        return (f"{place}: " if place else "") + self.problem + (f" ({self.hint})" if self.hint else "")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.problem, self.path, self.hint)


def within_stack(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """The function with a `CtyError` where the caller's stack has no room for the value's levels."""

    @wraps(function)
    def bounded(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        try:
            return function(*args, **kwargs)
        except RecursionError:
            raise CtyError("the value has more levels than the stack of the calling program has room for") from None

    return bounded


def shown(value: object) -> str:
    """A few words for a value that is wrong where it stands."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            text = value if len(value) <= SHOWN_LENGTH else value[:SHOWN_LENGTH] + "..."
            return json.dumps(text, ensure_ascii=False).encode("utf-8", "replace").decode()
        case int() if abs(value) >= 10**SHOWN_LENGTH:
            return "a large number"
        case int() | float() | Decimal():
            return f"number {value}"
        case list() | tuple():
            return f"a list of {len(value)}"
        case dict():
            return f"an object of {len(value)}"
        case set() | frozenset():
            return f"a set of {len(value)}"
        case _:
            return f"a value of Python's type {type(value).__name__}"
