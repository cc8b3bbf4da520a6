"""finalizer: `__del__` methods that keep quiet at the interpreter's very end."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

__all__ = ["finalizer"]

# What a method meets whose modules have lost their names.
_NAMELESS = (AttributeError, ImportError, NameError, TypeError)


def finalizer(method: Callable[[Any], None]) -> Callable[[Any], None]:
    """Decorates a `__del__`, which does nothing where nothing is left to do it with.

    An interpreter that ends clears its modules one after the other. An object that lives until then finds None in
    place of constants and functions: Python would print its error, and the core would be asked for what is none. By
    then the plugins have been ended, and the system takes back the rest. On a free-threaded interpreter more objects
    live that long.

    Example:
        >>> class Thing:
        ...     @finalizer
        ...     def __del__(self):
        ...         print("gone")
        >>> thing = Thing()
        >>> del thing
        gone
    """

    # All by defaults: this module loses its names too.
    @functools.wraps(method)
    def finalize(
        self: Any,
        method: Callable[[Any], None] = method,
        names: dict[str, Any] = method.__globals__,
        nameless: tuple[type[Exception], ...] = _NAMELESS,
        is_finalizing: Callable[[], bool] = sys.is_finalizing,
    ) -> None:
        # This one goes first.
        if names["__name__"] is None:
            return
        try:
            method(self)
        except nameless:
            if not is_finalizing():
                raise

    return finalize
