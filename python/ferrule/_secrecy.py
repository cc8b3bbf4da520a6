"""Protection of secrets in tracebacks: error reporters keep the local variables of every frame of an exception."""

from __future__ import annotations

import functools
import sys
import traceback
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

__all__ = ["Sealed", "forgetful", "forgetful_async", "forgetful_init"]

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")
Class = TypeVar("Class")


class Sealed:
    """Settings by name on their way to the core, which asks for them one by one.

    All settings go this way, so that a secret among them is hidden by default. The class is no mapping: reporters walk
    through mappings, whatever their repr hides.

    Example:
        >>> settings = Sealed(key="secret")
        >>> settings, settings["key"]
        (<settings: key>, 'secret')
    """

    __slots__ = ("_values",)

    def __init__(self, **values: Any) -> None:
        self._values = values

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __eq__(self, other: object) -> bool:
        return self._values == other._values if isinstance(other, Sealed) else NotImplemented

    __hash__ = None  # type: ignore[assignment] # As of a dict.

    def __repr__(self) -> str:
        return f"<settings: {', '.join(self._values)}>"


def forgetful(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Decorates a function that takes secrets as plain values: its errors keep none in their frames.

    The frames stay and name the place of the error; their variables are forgotten. The decorator is for functions that
    users call with a key, an environment or a mapping of settings, and for those that pass such values to the standard
    library.
    """

    @functools.wraps(function)
    def call(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        handled = sys.exception()
        try:
            return function(*args, **kwargs)
        except BaseException as error:
            del args, kwargs
            _forget_variables(error, handled)
            raise

    return call


def forgetful_async(
    function: Callable[Parameters, Coroutine[Any, Any, Result]],
) -> Callable[Parameters, Coroutine[Any, Any, Result]]:
    """Decorates a coroutine function that takes secrets as plain values, as `forgetful` does with others."""

    @functools.wraps(function)
    async def call(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        handled = sys.exception()
        try:
            return await function(*args, **kwargs)
        except BaseException as error:
            del args, kwargs
            _forget_variables(error, handled)
            raise

    return call


def forgetful_init(cls: type[Class]) -> type[Class]:
    """Decorates a class of settings: the errors of its constructor keep no secrets, as with `forgetful`."""
    cls.__init__ = forgetful(cls.__init__)  # type: ignore[method-assign] # There is no object yet.
    return cls


def _forget_variables(error: BaseException, handled: BaseException | None) -> None:
    """Empties the finished frames of an exception and its causes, up to the exception that the caller was handling."""
    seen = {id(handled)}
    waiting: list[BaseException | None] = [error]
    while waiting:
        current = waiting.pop()
        if current is not None and id(current) not in seen:
            seen.add(id(current))
            traceback.clear_frames(current.__traceback__)
            waiting += [current.__cause__, current.__context__]
