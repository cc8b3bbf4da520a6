"""Operations between their calls: the steps that the async and the blocking driver take."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from ferrule.terraform.errors import TerraformError
from ferrule.terraform.messages import Protocol
from ferrule.terraform.operations.call import Call, Operation
from ferrule.terraform.plan import Plan
from ferrule.terraform.state import ResourceState

__all__ = ["CHANGING_METHODS", "LARGE_BYTES", "Finished", "Request", "Steps", "is_large"]

Result = TypeVar("Result")

LARGE_BYTES: Final = 8_000
"""Values from this size on are coded in a thread: 1,000 small blocks, which have 23 KB, take 40 ms of a loop's time."""

CHANGING_METHODS: Final = frozenset({"ApplyResourceChange"})
"""Methods whose call is never given up: the provider would go on, and nobody would learn what it did."""

_BYTES_OF_SMALL_VALUES: Final = 8
"""What a number, a flag or an empty text counts; a rough mean of their msgpack with the key before it."""


@dataclass(frozen=True, slots=True, repr=False)
class Request:
    """One call, ready to be sent.

    Attributes:
        method: Its name in protocol 6.
        path: Its name on the wire.
        data: The request, which may hold secrets.
    """

    method: str
    path: str
    data: bytes

    def __repr__(self) -> str:
        return f"Request({self.method!r})"


@dataclass(frozen=True, slots=True, repr=False)
class Finished(Generic[Result]):
    """The result of an operation that has ended."""

    result: Result


class Steps(Generic[Result]):
    """An operation, and the messages of its calls as bytes.

    Each step returns the next request, or the result. Only one step may be under way at a time.
    """

    def __init__(self, protocol: Protocol, operation: Operation[Result]) -> None:
        self._protocol = protocol
        self._operation = operation
        self._call: Call | None = None

    def begin(self) -> Request | Finished[Result]:
        """The first step."""
        return self._advance(lambda: self._operation.send(None))

    def answer(self, data: bytes) -> Request | Finished[Result]:
        """The step after a response."""
        assert self._call is not None
        try:
            response = self._protocol.parse_response(self._call.method, data)
        except TerraformError as error:
            return self.fail(error)
        return self._advance(lambda: self._operation.send(response))

    def fail(self, error: Exception) -> Request | Finished[Result]:
        """The step after a call that failed; most operations raise the error again."""
        return self._advance(lambda: self._operation.throw(error))

    def close(self) -> None:
        """Ends the operation where it stands."""
        # A thread may still take a step that the caller has given up; the operation ends with that step.
        with contextlib.suppress(ValueError):
            self._operation.close()

    def _advance(self, resume: Callable[[], Call]) -> Request | Finished[Result]:
        # StopIteration passes through no future, so the result is returned.
        try:
            call = self._call = resume()
        except StopIteration as stop:
            return Finished(stop.value)
        return Request(
            call.method, self._protocol.path(call.method), self._protocol.request(call.method, **call.fields)
        )


def is_large(*values: Any) -> bool:
    """Whether values take so long to code that a loop should not wait; looks at no more of them than tells that."""
    left = LARGE_BYTES
    waiting = list(values)
    while waiting and left > 0:
        value = waiting.pop()
        if isinstance(value, str | bytes):
            left -= len(value) + 1
        elif isinstance(value, dict):
            left -= len(value) * _BYTES_OF_SMALL_VALUES
            waiting += value.values() if left > 0 else ()
        elif isinstance(value, ResourceState):
            waiting.append(value.json)
        elif isinstance(value, Plan):
            waiting += (value.before, value.after)
        elif isinstance(value, list | tuple | set | frozenset):
            left -= len(value)
            waiting += value if left > 0 else ()
        else:
            left -= _BYTES_OF_SMALL_VALUES
    return left <= 0
