"""Servicers behind a server of `grpc.aio`: threads for those that are not async, and an end for every call.

grpc.aio runs such servicers on threads too, but for ever: a thread whose call was cancelled waits until its next
message is taken, and in the end the pool has no threads left. A thread that asks for its call's peer after the call has
ended crashes the process. In this module the end of a call reaches its thread, and a call that has ended is not
touched.

grpc.aio ends a call with an `Exception` of its method. With another error, such as the CancelledError of something that
the method awaited, the call stays open until its deadline. A thread's SystemExit ends the event loop, and crashes the
process. Here a method that ends has ended its call.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import threading
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import CancelledError, Executor
from queue import SimpleQueue
from typing import Any, NoReturn

import grpc
import grpc.aio

__all__ = ["ThreadedServicers"]

MAX_UNSENT_RESPONSES = 2
"""Messages that a method may be ahead of the event loop, which sends them; as many as in grpc.aio."""

_MAKERS: dict[tuple[bool, bool], Callable[..., Any]] = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}

_FORWARDED = frozenset(
    {
        *("code", "details", "disable_next_message_compression", "invocation_metadata", "set_code", "set_compression"),
        *("set_details", "set_trailing_metadata", "time_remaining", "trailing_metadata"),
    }
)
"""Methods of a call's context that any thread may use at any time."""

_OF_RUNNING_CALL = frozenset({"auth_context", "peer", "peer_identities", "peer_identity_key"})
"""Methods that grpcio answers from the call itself, which must not have ended."""


class ThreadedServicers(grpc.aio.ServerInterceptor):
    """Runs methods that are not async on threads, async ones on the event loop.

    The first of a server's interceptors, so that the others get methods as the application wrote them.

    Args:
        threads: The pool that runs the methods, one thread for each call; None for the event loop's own pool.

    Example:
        >>> async def main():
        ...     return grpc.aio.server(interceptors=[ThreadedServicers(None)])
        >>> isinstance(asyncio.run(main()), grpc.aio.Server)
        True
    """

    def __init__(self, threads: Executor | None) -> None:
        self._threads = threads

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        handler: Any = await continuation(handler_call_details)
        if handler is None:
            return None
        method = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
        answer = _on_loop(handler, method) if _is_async(method) else self._on_thread(handler, method)
        make = _MAKERS[handler.request_streaming, handler.response_streaming]
        return make(answer, handler.request_deserializer, handler.response_serializer)

    def _on_thread(self, handler: Any, method: Callable[..., Any]) -> Callable[..., Any]:
        run = self._stream if handler.response_streaming else self._unary

        async def answer(request: Any, context: Any) -> Any:
            call = _ThreadContext(context)
            try:
                given = call.requests() if handler.request_streaming else request
                return await run(method, given, call)
            finally:
                call.end()

        return answer

    async def _unary(self, method: Callable[..., Any], request: Any, call: _ThreadContext) -> Any:
        return await call.loop.run_in_executor(self._threads, _finish, method, request, call)

    async def _stream(self, method: Callable[..., Any], request: Any, call: _ThreadContext) -> None:
        responses = _Responses(call.loop)
        work = call.loop.run_in_executor(self._threads, responses.produce, lambda: method(request, call))
        try:
            while batch := await responses.take():
                for response in batch:
                    await call.write(response)
                    responses.sent()
        finally:
            responses.abandon()
            # The method may be queued, and no thread has begun it yet.
            work.cancel()


def _is_async(method: Callable[..., Any]) -> bool:
    # The second one serves objects that are called like functions.
    functions = (method, type(method).__call__)
    return any(inspect.iscoroutinefunction(each) or inspect.isasyncgenfunction(each) for each in functions)


async def _read(context: Any) -> Any:
    """The next request of a call or `grpc.aio.EOF`, of which a call that was cut off has none."""
    message = await context.read()
    if message is grpc.aio.EOF:
        # A call that was cancelled ends its messages first, and itself a moment later. An answer to one more question
        # comes behind that, and is the end of the messages again where nothing was cut off.
        await context.read()
    return message


async def _requests(context: Any) -> AsyncIterator[Any]:
    while (message := await _read(context)) is not grpc.aio.EOF:
        yield message


class _ReadingContext:
    """The context of an async method that may read its requests from it."""

    def __init__(self, context: Any) -> None:
        self._context = context

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    async def read(self) -> Any:
        return await _read(self._context)


def _on_loop(handler: Any, method: Callable[..., Any]) -> Callable[..., Any]:
    """An async method in the form that grpc.aio needs."""

    async def answer(request: Any, context: Any) -> Any:
        try:
            given = (_requests(context), _ReadingContext(context)) if handler.request_streaming else (request, context)
            answering = method(*given)
            if not isinstance(answering, AsyncIterator):
                return await answering
            async for response in answering:
                await context.write(response)
        except (Exception, GeneratorExit, KeyboardInterrupt, SystemExit):
            # The last ones are for the event loop, whose thread may be the program's main one.
            raise
        except BaseException as error:
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
                # The call was cancelled, and this is its own task.
                raise
            raise _as_call_error(error) from error
        return None

    return answer


def _finish(method: Callable[..., Any], request: Any, call: _ThreadContext) -> Any:
    """Runs a method of one response, on its thread."""
    try:
        response = method(request, call)
    except BaseException as error:  # noqa: BLE001 - any error ends the call.
        call_error = _as_call_error(error)
        raise call_error from call_error.__cause__
    if inspect.iscoroutine(response):
        response.close()
        raise TypeError("the method returned a coroutine, but is no async function: is it in a decorator that is none?")
    return response


def _as_call_error(error: BaseException) -> Exception:
    """The error with which a call ends: `error`, unless futures or the event loop give it a meaning of their own."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration | CancelledError):
        return error
    call_error = RuntimeError(f"the method ended with {error!r}")
    call_error.__cause__ = error
    return call_error


class _Responses:
    """The messages that a method yields, handed from its thread to the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._arrived = asyncio.Event()
        self._pending: deque[Any] = deque()
        self._error: Exception | None = None
        self._is_over = False
        self._is_abandoned = False
        self._room: SimpleQueue[None] = SimpleQueue()
        for _ in range(MAX_UNSENT_RESPONSES):
            self._room.put(None)

    def produce(self, begin: Callable[[], Any]) -> None:
        """Runs the method, on its thread, until its end or that of the call."""
        try:
            responses = iter(begin())
            for response in responses:
                self._room.get()
                if self._is_abandoned:
                    break
                self._pending.append(response)
                self._wake()
            # On this thread: a generator may hold objects that no other thread may touch.
            close = getattr(responses, "close", None)
            if close is not None:
                close()
        except BaseException as error:  # noqa: BLE001 - any error ends the call.
            self._error = _as_call_error(error)
        self._is_over = True
        self._wake()

    async def take(self) -> list[Any]:
        """The messages that have arrived since the last call, waiting for one; none at the end.

        Raises:
            Exception: The error that the method raised, after all its messages.
        """
        batch: list[Any] = []
        while not batch:
            await self._arrived.wait()
            self._arrived.clear()
            # Read before the messages are: those that are pending afterwards are the last.
            is_over = self._is_over
            while self._pending:
                batch.append(self._pending.popleft())
            if is_over:
                # The next call returns at once, without messages.
                self._arrived.set()
                break
        error, self._error = (None, self._error) if batch else (self._error, None)
        if error is not None:
            raise error
        return batch

    def sent(self) -> None:
        """Makes room for one more message."""
        self._room.put(None)

    def abandon(self) -> None:
        """Has the method end at its next message: no message is taken any more."""
        self._is_abandoned = True
        self._room.put(None)

    def _wake(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._arrived.set)
        except RuntimeError:
            # The loop is closed, and with it the call.
            self.abandon()


class _ThreadContext:
    """The context of a method that is not async: its call, for use on another thread than the event loop's."""

    def __init__(self, context: Any) -> None:
        self.loop = asyncio.get_running_loop()
        self.write = context.write
        self._context = context
        # Held while grpcio looks into the call, which must not end meanwhile.
        self._lock = threading.Lock()
        self._has_ended = False
        self._callbacks: list[Callable[[], object]] = []

    def __getattr__(self, name: str) -> Any:
        if name in _FORWARDED:
            return getattr(self._context, name)
        if name in _OF_RUNNING_CALL:
            return functools.partial(self._ask, getattr(self._context, name))
        raise AttributeError(f"the context of a method that is not async has no attribute {name!r}")

    def end(self) -> None:
        """The call has ended; on the event loop."""
        with self._lock:
            self._has_ended = True
        for callback in self._callbacks:
            self.loop.call_soon(callback)

    def is_active(self) -> bool:
        """Whether the call has not ended."""
        return not (self._has_ended or self._context.done())

    def add_callback(self, callback: Callable[[], object]) -> bool:
        """Has the event loop call a function when the call ends; False if it has ended."""
        with self._lock:
            if not self._has_ended:
                self._callbacks.append(callback)
            return not self._has_ended

    def cancel(self) -> None:
        """Ends the call with CANCELLED."""
        with contextlib.suppress(grpc.aio.AbortError, grpc.RpcError):
            self.abort(grpc.StatusCode.CANCELLED, "cancelled by the servicer")

    def abort(self, code: grpc.StatusCode, details: str = "", trailing_metadata: Any = ()) -> NoReturn:
        """Ends the call with a status, and raises."""
        self._await(lambda: self._context.abort(code, details, tuple(trailing_metadata or ())))
        raise AssertionError("a call that was aborted goes on")

    def abort_with_status(self, status: Any) -> NoReturn:
        """Ends the call with a status, and raises."""
        self.abort(status.code, status.details, status.trailing_metadata)

    def send_initial_metadata(self, initial_metadata: Any) -> None:
        """Sends the response's headers before its first message."""
        self._await(lambda: self._context.send_initial_metadata(initial_metadata))

    def requests(self) -> Iterator[Any]:
        """The requests of a call, for the thread that runs its method."""
        while True:
            try:
                message = self._await(lambda: _read(self._context))
            except CancelledError:
                raise _ended() from None
            if message is not grpc.aio.EOF:
                yield message
            elif self.is_active():
                return
            else:
                raise _ended()

    def _ask(self, question: Callable[[], Any]) -> Any:
        with self._lock:
            if self._has_ended:
                raise _ended()
            return question()

    def _await(self, begin: Callable[[], Awaitable[Any]]) -> Any:
        async def run() -> Any:
            if self._has_ended:
                raise _ended()
            return await begin()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result()


def _ended() -> grpc.RpcError:
    return grpc.RpcError("the call has ended")
