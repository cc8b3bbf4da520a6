"""Calls made out of an interceptor's result: a response, responses in place of a call's, or an exception.

grpcio's classes for these calls have the same names.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Generator
from typing import Any, Self

import grpc
from grpc import aio

from ferrule.channel.calls import run_callback
from ferrule.channel.status import ALREADY_FINISHED

__all__ = [
    "FailureOutcome",
    "StreamStreamCallResponseIterator",
    "StreamUnaryCallResponse",
    "UnaryStreamCallResponseIterator",
    "UnaryUnaryCallResponse",
]


class _CompletedCall:
    """A call that has ended with OK, without metadata since nothing was received."""

    _done_writing_flag = True
    begun = False

    def cancel(self) -> bool:
        return False

    def cancelled(self) -> bool:
        return False

    def done(self) -> bool:
        return True

    def time_remaining(self) -> float | None:
        return None

    def add_done_callback(self, callback: Callable[[Any], object]) -> None:
        run_callback(callback, self)

    async def initial_metadata(self) -> Any:
        return None

    async def trailing_metadata(self) -> Any:
        return None

    async def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.OK

    async def details(self) -> str:
        return ""

    async def debug_error_string(self) -> str | None:
        return None

    async def wait_for_connection(self) -> None:
        pass

    async def write(self, _request: Any) -> None:
        raise asyncio.InvalidStateError(ALREADY_FINISHED)

    async def done_writing(self) -> None:
        pass


class _Response(_CompletedCall):
    def __init__(self, response: Any) -> None:
        self._response = response

    def __await__(self) -> Generator[Any, None, Any]:
        return self._response
        yield  # Never reached; it makes this a generator.


class UnaryUnaryCallResponse(_Response, aio.UnaryUnaryCall[Any, Any]):
    """A call with one request, and the interceptor's result as its response."""


class StreamUnaryCallResponse(_Response, aio.StreamUnaryCall[Any, Any]):
    """A call with a stream of requests, and the interceptor's result as its response."""


class FailureOutcome(_CompletedCall):
    """A failed call in place of an exception of the interceptors; an AioRpcError is the call's status."""

    def __init__(self, error: Exception) -> None:
        self.failure = error
        self.begun = getattr(error, "begun", False)
        self._status = error if isinstance(error, aio.AioRpcError) else _status_of(error)
        self._reported = False

    def cancelled(self) -> bool:
        return self._status.code() is grpc.StatusCode.CANCELLED

    async def initial_metadata(self) -> Any:
        return self._status.initial_metadata()

    async def trailing_metadata(self) -> Any:
        return self._status.trailing_metadata()

    async def code(self) -> grpc.StatusCode:
        return self._status.code()

    async def details(self) -> str:
        return self._status.details() or ""

    async def debug_error_string(self) -> str | None:
        return self._status.debug_error_string()

    async def wait_for_connection(self) -> None:
        raise self.failure

    def __await__(self) -> Generator[Any, None, Any]:
        raise self.failure
        yield  # Never reached; it makes this a generator.

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        if self._reported:
            raise StopAsyncIteration
        self._reported = True
        raise self.failure

    async def read(self) -> Any:
        raise self.failure


def _status_of(error: Exception) -> aio.AioRpcError:
    details = "Exception raised while intercepting the RPC"
    debug = f"{type(error).__name__}: {error}"
    return aio.AioRpcError(grpc.StatusCode.INTERNAL, aio.Metadata(), aio.Metadata(), details, debug)


class _ResponseIterator:
    """An interceptor's iterator of responses, with the status of the last call that the interceptors made, if any."""

    def __init__(self, call: Any, responses: AsyncIterable[Any]) -> None:
        self._call = _CompletedCall() if call is None else call
        self._responses = aiter(responses)

    @property
    def begun(self) -> bool:
        begun: bool = self._call.begun
        return begun

    @property
    def _done_writing_flag(self) -> bool:
        flag: bool = self._call._done_writing_flag
        return flag

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._responses

    async def read(self) -> Any:
        return await anext(self._responses, aio.EOF)

    def cancel(self) -> bool:
        return bool(self._call.cancel())

    def cancelled(self) -> bool:
        return bool(self._call.cancelled())

    def done(self) -> bool:
        return bool(self._call.done())

    def time_remaining(self) -> float | None:
        left: float | None = self._call.time_remaining()
        return left

    def add_done_callback(self, callback: Callable[[Any], object]) -> None:
        self._call.add_done_callback(callback)

    async def initial_metadata(self) -> Any:
        return await self._call.initial_metadata()

    async def trailing_metadata(self) -> Any:
        return await self._call.trailing_metadata()

    async def code(self) -> grpc.StatusCode:
        code: grpc.StatusCode = await self._call.code()
        return code

    async def details(self) -> str:
        details: str = await self._call.details()
        return details

    async def debug_error_string(self) -> str | None:
        text: str | None = await self._call.debug_error_string()
        return text

    async def wait_for_connection(self) -> None:
        await self._call.wait_for_connection()


class UnaryStreamCallResponseIterator(_ResponseIterator, aio.UnaryStreamCall[Any, Any]):
    """A call with one request, and the interceptor's iterator as its responses."""


class StreamStreamCallResponseIterator(_ResponseIterator, aio.StreamStreamCall[Any, Any]):
    """A call with a stream of requests, and the interceptor's iterator as its responses."""

    async def write(self, request: Any) -> None:
        await self._call.write(request)

    async def done_writing(self) -> None:
        await self._call.done_writing()
