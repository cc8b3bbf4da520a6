"""What `with` says to an object of asyncio, and `async with` to a blocking one.

Python's own message, "does not support the context manager protocol", names neither the mistake nor the other face.
"""

from __future__ import annotations

from typing import Any, Never

__all__ = ["AsyncContext", "BlockingContext"]


class _WrongWithError(TypeError, AttributeError):
    """A TypeError, as Python's own, and an AttributeError, so that `hasattr` says that there is no such method."""


class _Missing:
    """A method that is not there, and that says what to write where somebody looks it up."""

    __slots__ = ("_cure",)

    def __init__(self, cure: str) -> None:
        self._cure = cure

    def __get__(self, _instance: object, owner: type) -> Never:
        raise _WrongWithError(f"{owner.__name__} {self._cure}")


class AsyncContext:
    """For classes that are entered by `async with`, and have a blocking twin."""

    __slots__ = ()
    __enter__: Any = _Missing('is entered by "async with"; ferrule.sync has the one for "with", without asyncio')


class BlockingContext:
    """For classes that are entered by `with`, and have a twin for asyncio."""

    __slots__ = ()
    __aenter__: Any = _Missing('of ferrule.sync is entered by "with"; "async with" is for the one of asyncio')
