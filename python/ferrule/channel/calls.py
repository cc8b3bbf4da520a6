"""The base of the calls of all four kinds: start, status, cancellation, done callbacks, metadata.

A call has ended for its user once `_settle` has set `_code`. The core's call ends earlier: by a turn of the loop, and
in a stream of responses that ends with OK, by the time that the user takes to read the last messages.
"""

from __future__ import annotations

import asyncio
import logging
import math
from abc import ABC, abstractmethod
from asyncio import get_running_loop
from collections.abc import Callable
from time import monotonic
from typing import Any, Protocol

import grpc
from grpc import aio

from ferrule._core import Arrival
from ferrule.channel.core_call import HEADERS, CoreCall, EndedCall, Pairs
from ferrule.channel.errors import AioRpcError, note_begun
from ferrule.channel.state import ChannelState
from ferrule.channel.status import CANCELLED, CODES, INTERNAL, LOCALLY_CANCELLED, NOT_SERIALIZED

__all__ = ["BaseCall", "deadline_of", "run_callback", "time_left"]

_CANCELLED = grpc.StatusCode.CANCELLED
_OK = grpc.StatusCode.OK

_logger = logging.getLogger(__name__)


def deadline_of(timeout: float) -> float | None:
    """Returns the monotonic time in `timeout` seconds; None for infinity.

    Raises:
        TypeError: `timeout` is not a number.
    """
    try:
        deadline = monotonic() + timeout
    except TypeError:
        raise TypeError(f"timeout is {timeout!r} ({type(timeout).__name__}), expected seconds") from None
    return None if deadline == math.inf else deadline


def time_left(deadline: float | None) -> float | None:
    """Returns the seconds until a monotonic time, at least 0; None if there is no deadline."""
    return None if deadline is None else max(0.0, deadline - monotonic())


def run_callback(callback: Callable[[Any], object], call: object) -> None:
    """Runs a done callback; logs its exception, so that the callbacks after it run as well."""
    try:
        callback(call)
    except Exception:
        _logger.exception("a done callback of %r failed", call)


class _LiveCalls(Protocol):
    def add(self, call: Any, /) -> None: ...
    def discard(self, call: Any, /) -> None: ...


class BaseCall(ABC):
    """The members of `grpc.aio.Call`, on a call of the core.

    Attributes that few calls need have their defaults on the class: setting them would cost every call.
    """

    _unary_request: bool
    _unary_response: bool
    _receiver: Callable[[], object]
    """The core calls it at each event that was asked for, and at the end."""
    _core: CoreCall
    _live: _LiveCalls
    _code: grpc.StatusCode | None = None
    _deadline: float | None = None
    _cancelled_here = False
    _failure: Exception | None = None
    """The exception to raise in place of one with the status."""
    _cause: BaseException | None = None
    """The exception because of which the call has its status."""
    _arrival: Arrival | None = None
    """Of a response, or of the end; its cancellation cancels the call."""
    _waiters: list[asyncio.Future[None]] | None = None
    """Resolved at each event; their cancellation leaves the call alone."""
    _callbacks: list[Callable[[Any], object]] | None = None
    _request_task: asyncio.Task[None] | None = None
    """Sends the requests of an iterator."""

    def __init__(
        self,
        channel: ChannelState,
        method: str | bytes,
        request: Any,
        serializer: Callable[[Any], bytes] | None,
        deserializer: Callable[[bytes], Any] | None,
        timeout: float | None,
        metadata: Pairs | None,
        wait_for_ready: bool | None,
        compression: int | None,
    ) -> None:
        if channel.open_on is not get_running_loop():
            channel.attach()
        self._channel = channel
        self._serializer = serializer
        self._deserializer = deserializer
        if timeout is not None:
            self._deadline = deadline_of(timeout)
        data: bytes | None = None
        if self._unary_request:
            try:
                data = request if serializer is None else serializer(request)
                if data.__class__ is not bytes:
                    self._check_bytes(data)
            except Exception as error:  # noqa: BLE001 - a user's function; raised when the call is awaited
                self._fail_before_start(NOT_SERIALIZED, error)
                return
        unary = self._unary_response
        try:
            self._core = channel.core.call(
                channel.mailbox,
                self._receiver,
                method,
                data,
                unary,
                metadata,
                timeout,
                bool(wait_for_ready),
                compression,
            )
        except (TypeError, ValueError) as error:
            self._take_refusal(error)
            return
        self._live = live = channel.live_calls if unary else channel.live_streams
        live.add(self)

    def __repr__(self) -> str:
        status = "running" if self._code is None else f"{self._code.name}, details {self._core.details!r}"
        return f"<{type(self).__name__}: {status}>"

    @property
    def begun(self) -> bool:
        """Whether the peer may have seen the request. Final once the call has ended; False before is a moment's answer.

        Certainly False if no connection took the call before it ended, or if the peer says that it never processed it.
        """
        return self._core.begun

    def cancel(self) -> bool:
        return self._end(CANCELLED, LOCALLY_CANCELLED)

    def cancelled(self) -> bool:
        return self._code is _CANCELLED

    def done(self) -> bool:
        return self._code is not None

    def time_remaining(self) -> float | None:
        return time_left(self._deadline)

    def add_done_callback(self, callback: Callable[[Any], object]) -> None:
        if self._code is not None:
            run_callback(callback, self)
        elif self._callbacks is None:
            self._callbacks = [callback]
        else:
            self._callbacks.append(callback)

    async def initial_metadata(self) -> aio.Metadata:
        await self._wait_for(HEADERS)
        return aio.Metadata(*self._core.initial_metadata)

    async def trailing_metadata(self) -> aio.Metadata:
        await self.code()
        return aio.Metadata(*self._core.trailing_metadata)

    async def code(self) -> grpc.StatusCode:
        while self._code is None:
            if self._core.code is None:
                await self._new_waiter()
            else:
                self._conclude()
        return self._code

    async def details(self) -> str:
        await self.code()
        return self._core.details

    async def debug_error_string(self) -> str | None:
        await self.code()
        return None if self._cancelled_here else self._core.debug_error_string

    def end_by_close(self, code: int, details: str) -> None:
        """Ends the call since its channel is closed."""
        self._end(code, details)

    @abstractmethod
    def _receive(self) -> None:
        """Takes over what has happened in the core's call."""

    def _conclude(self) -> None:
        """Ends the call for its user after the end of the core's call."""
        self._receive()

    def _check_bytes(self, data: object) -> None:
        if not isinstance(data, bytes):
            origin = "the request, which has no serializer," if self._serializer is None else "the serialized request"
            raise TypeError(f"{origin} is {type(data).__name__}, expected bytes")

    def _take_refusal(self, error: TypeError | ValueError) -> None:
        text = str(error)
        if isinstance(error, TypeError):
            self._fail_before_start(text, error)
        elif text.startswith("Illegal header"):
            self._fail_before_start(text, aio.InternalError(text))
        else:
            # Metadata that are not pairs are the caller's mistake, raised at once.
            raise error

    def _fail_before_start(self, details: str, failure: Exception) -> None:
        self._core = EndedCall(INTERNAL, details)
        self._failure = failure
        self._code = CODES[INTERNAL]

    def _end(
        self, number: int, details: str, failure: Exception | None = None, cause: BaseException | None = None
    ) -> bool:
        """Ends the call from this side; returns False if it had ended before."""
        if self._code is not None:
            return False
        core = self._core
        if not core.cancel(number, details):
            # The core's call has ended, and the notice is on its way.
            self._receive()
            if self._code is not None:
                return False
            self._core = EndedCall.in_place_of(core, number, details)
        self._cancelled_here = number == CANCELLED
        self._failure = failure
        self._cause = cause
        self._settle(number)
        return True

    def _settle(self, number: int) -> None:
        self._code = CODES.get(number, grpc.StatusCode.UNKNOWN)
        self._live.discard(self)
        try:
            if self._callbacks is not None:
                callbacks, self._callbacks = self._callbacks, None
                for callback in callbacks:
                    run_callback(callback, self)
        finally:
            # Also after a callback that ends the loop, by SystemExit for one.
            if self._arrival is not None:
                self._arrival.arrive()
            if self._waiters is not None:
                self._wake()
            if self._request_task is not None:
                self._request_task.cancel()

    def _error(self) -> BaseException:
        """Returns the exception for a call that has not ended with OK: a new one each time, unless it has a failure."""
        core = self._core
        if self._cancelled_here:
            return note_begun(asyncio.CancelledError(), core.begun)
        if self._failure is not None:
            return note_begun(self._failure, core.begun)
        if (known := self._channel.error_of(core)) is not None:
            return known
        metadata = (aio.Metadata(*core.initial_metadata), aio.Metadata(*core.trailing_metadata))
        error = AioRpcError(self._code or _CANCELLED, *metadata, core.details, core.debug_error_string, core.begun)
        error.__cause__ = self._cause
        return error

    def _raise_if_failed(self) -> None:
        if self._code is None and self._core.code is not None:
            self._receive()
        if self._code is not None and self._code is not _OK:
            raise self._error()

    def _new_waiter(self) -> asyncio.Future[None]:
        waiter = self._channel.create_future()
        if self._waiters is None:
            self._waiters = [waiter]
        else:
            self._waiters.append(waiter)
        return waiter

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, None
        for waiter in waiters or ():
            if not waiter.done():
                waiter.set_result(None)

    async def _wait_for(self, event: int) -> None:
        """Waits until the event of the core holds or the call has ended."""
        while self._code is None and not self._core.holds(event):
            await self._new_waiter()
