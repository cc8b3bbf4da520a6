"""Calls that go through interceptors, or wait for the metadata of credentials, before they start."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Generator
from typing import Any, ClassVar, Self

import grpc
from grpc import aio

from ferrule.channel.calls import deadline_of, run_callback, time_left
from ferrule.channel.core_call import Pairs
from ferrule.channel.errors import AioRpcError, note_begun
from ferrule.channel.interceptor_chain import Chain
from ferrule.channel.interceptor_results import (
    FailureOutcome,
    StreamStreamCallResponseIterator,
    StreamUnaryCallResponse,
    UnaryStreamCallResponseIterator,
    UnaryUnaryCallResponse,
)
from ferrule.channel.request_queue import RequestQueue
from ferrule.channel.state import ChannelState
from ferrule.channel.status import ALREADY_FINISHED, CANCELLED, CODES, LOCALLY_CANCELLED, MIXED_STYLES

__all__ = [
    "InterceptedStreamStreamCall",
    "InterceptedStreamUnaryCall",
    "InterceptedUnaryStreamCall",
    "InterceptedUnaryUnaryCall",
]

# The key under which compression passes through interceptors, as `ClientCallDetails` has no field for it; grpcio's key.
_COMPRESSION_KEY = "grpc-internal-encoding-request"
_COMPRESSION_NAMES = {0: "identity", 1: "deflate", 2: "gzip"}


def _metadata(pairs: Pairs | None) -> aio.Metadata:
    """Returns the metadata as interceptors see them.

    Raises:
        ValueError: An entry is no pair.
    """
    given = list(pairs or ())
    for pair in given:
        # A mapping gives its keys, and a key of two characters would pass for a pair.
        if isinstance(pair, str | bytes) or len(pair) != 2:
            raise ValueError(f"metadata must be pairs of a key and a value, one entry is {pair!r}")
    return aio.Metadata(*given)


class _InterceptedCall(ABC):
    """The call of the user: waits for the interceptors, then forwards everything to the call that they returned.

    The channel holds it only until the interceptors have returned, so that a stream that is dropped later is cancelled.
    """

    _intercept: ClassVar[str]
    """The interceptors' method for calls of this kind."""

    def __init__(
        self,
        channel: ChannelState,
        method: bytes,
        interceptors: list[Any],
        invoke: Callable[[Any, Any], Awaitable[Any]],
        request: Any,
        timeout: float | None,
        metadata: Pairs | None,
        credentials: grpc.CallCredentials | None,
        wait_for_ready: bool | None,
        compression: int | None,
    ) -> None:
        pairs = _metadata(metadata)
        if compression is not None:
            pairs[_COMPRESSION_KEY] = _COMPRESSION_NAMES.get(compression, "identity")
        details = aio.ClientCallDetails(method, timeout, pairs, credentials, wait_for_ready)  # type: ignore[arg-type]
        self._deadline = None if timeout is None else deadline_of(timeout)
        self._callbacks: list[Callable[[Any], object]] = []
        self._cancelled_here = False
        self._live = channel.live_calls
        self._live.add(self)
        self._chain = Chain(interceptors, self._intercept, invoke, self._as_call)
        self._task = channel.loop.create_task(self._chain.run(details, request))
        self._task.add_done_callback(self._intercepted)

    @staticmethod
    @abstractmethod
    def _as_call(result: Any, last_call: Any) -> Any:
        """Returns an interceptor's result as a call of this kind."""

    @property
    def begun(self) -> bool:
        """Whether the peer may have seen a request of a call that the interceptors made."""
        if self._chain.begun:
            return True
        # An interceptor may return a call that it made elsewhere.
        has_result = self._task.done() and not self._was_cancelled()
        return has_result and bool(getattr(self._task.result(), "begun", False))

    def cancel(self) -> bool:
        if self._task.done():
            return not self._was_cancelled() and bool(self._task.result().cancel())
        if self._cancelled_here:
            return False
        self._cancelled_here = True
        self._task.cancel()
        self._run_callbacks()
        return True

    def end_by_close(self, code: int, details: str) -> None:
        """Ends the call since its channel is closed; an interceptor that waits gets a CancelledError."""
        if code == CANCELLED:
            self.cancel()
        elif not self._task.done():
            status = CODES[code]
            error = AioRpcError(status, details=details, debug_error_string=f"{status.name}: {details}", begun=False)
            if self._chain.close(error):
                self._task.cancel()

    def cancelled(self) -> bool:
        return self._was_cancelled() or (self._task.done() and self._task.result().cancelled())

    def done(self) -> bool:
        return self._was_cancelled() or (self._task.done() and self._task.result().done())

    def time_remaining(self) -> float | None:
        if not self._task.done() or self._was_cancelled():
            return time_left(self._deadline)
        left: float | None = self._task.result().time_remaining()
        return left

    def add_done_callback(self, callback: Callable[[Any], object]) -> None:
        if self.done():
            run_callback(callback, self)
        elif self._task.done():
            self._task.result().add_done_callback(lambda _call: callback(self))
        else:
            self._callbacks.append(callback)

    async def initial_metadata(self) -> Any:
        call = await self._outcome()
        return None if call is None else await call.initial_metadata()

    async def trailing_metadata(self) -> Any:
        call = await self._outcome()
        return None if call is None else await call.trailing_metadata()

    async def code(self) -> grpc.StatusCode:
        call = await self._outcome()
        return grpc.StatusCode.CANCELLED if call is None else await call.code()

    async def details(self) -> str:
        call = await self._outcome()
        return LOCALLY_CANCELLED if call is None else await call.details()

    async def debug_error_string(self) -> str | None:
        call = await self._outcome()
        return None if call is None else await call.debug_error_string()

    async def wait_for_connection(self) -> None:
        call = await self._outcome()
        if call is None:
            raise note_begun(asyncio.CancelledError(), self.begun)
        try:
            await call.wait_for_connection()
        except Exception as error:
            note_begun(error, self.begun)
            raise

    def _was_cancelled(self) -> bool:
        """Returns whether the user or the loop cancelled this call before the interceptors returned one."""
        return self._cancelled_here or self._task.cancelled()

    async def _outcome(self) -> Any:
        """Waits for the interceptors' call; None if this call was cancelled first. A cancelled wait cancels nothing."""
        if not self._was_cancelled() and not self._task.done():
            await asyncio.wait((self._task,))
        return None if self._was_cancelled() else self._task.result()

    async def _call(self) -> Any:
        """Waits for the interceptors' call. A cancelled wait cancels the interceptors.

        Raises:
            CancelledError: This call was cancelled before the interceptors returned one.
        """
        call = await self._task
        if self._cancelled_here:
            raise note_begun(asyncio.CancelledError(), self.begun)
        return call

    def _intercepted(self, task: asyncio.Task[Any]) -> None:
        self._live.discard(self)
        if task.cancelled():
            self._run_callbacks()
        elif self._cancelled_here:
            # An interceptor swallowed the cancellation.
            task.result().cancel()
        elif self._callbacks:
            task.result().add_done_callback(lambda _call: self._run_callbacks())

    def _run_callbacks(self) -> None:
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            run_callback(callback, self)


class _UnaryResponse(_InterceptedCall):
    def __await__(self) -> Generator[Any, None, Any]:
        call = yield from self._call().__await__()
        try:
            return (yield from call.__await__())
        except Exception as error:
            note_begun(error, self.begun)
            raise


class _StreamResponse(_InterceptedCall):
    _responses: Any = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        if self._responses is None:
            self._responses = aiter(await self._call())
        try:
            return await anext(self._responses)
        except StopAsyncIteration:
            raise
        except Exception as error:
            note_begun(error, self.begun)
            raise

    async def read(self) -> Any:
        call = await self._call()
        try:
            return await call.read()
        except Exception as error:
            note_begun(error, self.begun)
            raise


class _StreamRequest(_InterceptedCall):
    def __init__(
        self, channel: ChannelState, method: bytes, interceptors: list[Any], invoke: Any, requests: Any, *args: Any
    ) -> None:
        self._request_queue: RequestQueue | None = None
        if requests is None:
            self._request_queue = requests = RequestQueue()
        super().__init__(channel, method, interceptors, invoke, requests, *args)

    def _intercepted(self, task: asyncio.Task[Any]) -> None:
        super()._intercepted(task)
        if self._request_queue is None:
            return
        if self._was_cancelled():
            self._request_queue.close()
        elif isinstance(call := task.result(), FailureOutcome):
            self._request_queue.fail(call.failure)
        else:
            self._request_queue.open()
            call.add_done_callback(self._request_queue.close)

    async def write(self, request: Any) -> None:
        if self._request_queue is None:
            raise aio.UsageError(MIXED_STYLES)
        if self._was_cancelled():
            raise asyncio.InvalidStateError(ALREADY_FINISHED)
        try:
            await self._request_queue.put(request)
        except asyncio.CancelledError:
            self.cancel()
            raise
        except aio.AioRpcError:
            # The call has failed, and the reason is in its status.
            raise asyncio.InvalidStateError(ALREADY_FINISHED) from None

    async def done_writing(self) -> None:
        if self._request_queue is None:
            raise aio.UsageError(MIXED_STYLES)
        try:
            await self._request_queue.finish()
        except asyncio.CancelledError:
            self.cancel()
            raise

    @property
    def _done_writing_flag(self) -> bool:
        return self._request_queue is None or self._request_queue.finished


class InterceptedUnaryUnaryCall(_UnaryResponse, aio.UnaryUnaryCall[Any, Any]):
    """An intercepted call with one request and one response."""

    _intercept = "intercept_unary_unary"

    @staticmethod
    def _as_call(result: Any, _last_call: Any) -> Any:
        return result if isinstance(result, aio.UnaryUnaryCall) else UnaryUnaryCallResponse(result)


class InterceptedUnaryStreamCall(_StreamResponse, aio.UnaryStreamCall[Any, Any]):
    """An intercepted call with one request and a stream of responses."""

    _intercept = "intercept_unary_stream"

    @staticmethod
    def _as_call(result: Any, last_call: Any) -> Any:
        return result if isinstance(result, aio.UnaryStreamCall) else UnaryStreamCallResponseIterator(last_call, result)


class InterceptedStreamUnaryCall(_StreamRequest, _UnaryResponse, aio.StreamUnaryCall[Any, Any]):
    """An intercepted call with a stream of requests and one response."""

    _intercept = "intercept_stream_unary"

    @staticmethod
    def _as_call(result: Any, _last_call: Any) -> Any:
        return result if isinstance(result, aio.StreamUnaryCall) else StreamUnaryCallResponse(result)


class InterceptedStreamStreamCall(_StreamRequest, _StreamResponse, aio.StreamStreamCall[Any, Any]):
    """An intercepted call with a stream of requests and a stream of responses."""

    _intercept = "intercept_stream_stream"

    @staticmethod
    def _as_call(result: Any, last_call: Any) -> Any:
        return (
            result if isinstance(result, aio.StreamStreamCall) else StreamStreamCallResponseIterator(last_call, result)
        )
