"""Calls with a stream of responses: `UnaryStreamCall`, and the responses' half of `StreamStreamCall`."""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from typing import Any, Self

import grpc
from grpc import aio

from ferrule._finalizers import finalizer
from ferrule.channel.calls import BaseCall
from ferrule.channel.core_call import HEADERS, MESSAGE, EndedCall
from ferrule.channel.status import CANCELLED, CODES, COLLECTED, INTERNAL, MIXED_STYLES, NOT_DESERIALIZED, OK

__all__ = ["StreamResponse", "UnaryStreamCall"]

_OK = grpc.StatusCode.OK


class _WeakReceiver:
    """Passes the core's events on to a call, without keeping the call alive."""

    __slots__ = ("_call",)

    def __init__(self, call: StreamResponse) -> None:
        self._call = weakref.ref(call)

    def __call__(self) -> None:
        call = self._call()
        if call is not None:
            call._receive()


class StreamResponse(BaseCall):
    """A call with a stream of responses, which arrive in batches and are handed out one by one.

    The call is its own iterator, so that the user alone holds it: a call that is dropped is cancelled.
    """

    _unary_response = False
    _ended_in_core = False
    _iterated = False
    _read = False
    _reported = False
    """Whether the iterator has raised the end of the call, and is exhausted since."""

    def __init__(self, *args: Any) -> None:
        self._messages: deque[bytes] = deque()
        self._unread: list[bytes] = []
        """The core's last messages, taken after its end to see whether there are any."""
        super().__init__(*args)

    @finalizer
    def __del__(self) -> None:
        # An __init__ that raised leaves an object without a call of the core.
        if self._code is not None or not hasattr(self, "_core"):
            return
        self._cancelled_here = self._core.cancel(CANCELLED, COLLECTED)
        loop = self._channel.loop
        if (self._callbacks is not None or self._request_task is not None) and not loop.is_closed():
            # Garbage is collected on any thread.
            loop.call_soon_threadsafe(self._conclude)

    @property
    def _receiver(self) -> _WeakReceiver:  # type: ignore[override]
        return _WeakReceiver(self)

    def __aiter__(self) -> Self:
        if self._read:
            raise aio.UsageError(MIXED_STYLES)
        self._iterated = True
        return self

    async def __anext__(self) -> Any:
        if self._messages:
            return self._pop()
        if not self._reported:
            try:
                if await self._wait_for_messages():
                    return self._pop()
            except BaseException:
                self._reported = True
                raise
        raise StopAsyncIteration

    async def read(self) -> Any:
        if self._iterated and self._code is None:
            raise aio.UsageError(MIXED_STYLES)
        self._read = True
        if self._messages or await self._wait_for_messages():
            return self._pop()
        return aio.EOF

    async def wait_for_connection(self) -> None:
        await self._wait_for(HEADERS)
        self._raise_if_failed()

    def _pop(self) -> Any:
        messages = self._messages
        message = messages.popleft()
        if self._deserializer is not None:
            try:
                message = self._deserializer(message)
            except Exception as error:  # noqa: BLE001 - a user's function; becomes the call's status
                self._fail_deserializing(error)
        if self._ended_in_core and not messages:
            self._take_unread()
        return message

    async def _wait_for_messages(self) -> bool:
        """Waits for messages; returns False if the call ended with OK and there are none.

        Raises:
            UsageError: Another task waits already.
            AioRpcError: The call failed.
            CancelledError: The call or the task was cancelled.
        """
        try:
            if self._unread or (self._code is None and self._core.holds(MESSAGE)):
                # A stream that is faster than its reader must not hold up the loop.
                await asyncio.sleep(0)
            while not self._messages:
                if self._code is None and not self._core.holds(MESSAGE):
                    await self._wait_for_event()
                elif batch := self._unread or self._core.take():
                    self._unread = []
                    self._messages.extend(batch)
                elif self._code is None:
                    self._receive()
                elif self._code is _OK:
                    return False
                else:
                    raise self._error()
        except asyncio.CancelledError:
            self.cancel()
            raise
        return True

    async def _wait_for_event(self) -> None:
        if self._arrival is not None:
            raise aio.UsageError("another task is reading from this RPC; reads must follow one another")
        self._arrival = self._channel.create_arrival()
        try:
            await self._arrival
        finally:
            self._arrival = None

    def _receive(self) -> None:
        if self._code is not None:
            return
        number = self._core.code
        if number is not None:
            self._ended_in_core = True
            self._take_unread()
            if number != OK and self._code is None:
                self._settle(number)
            if self._code is not None:
                return
        if self._arrival is not None:
            self._arrival.arrive()
        if self._waiters is not None:
            self._wake()

    def _take_unread(self) -> None:
        """Takes the core's last messages; if there are none, the call ends for its user as well."""
        if self._messages or self._unread:
            return
        self._unread = self._core.take()
        number = self._core.code
        if not self._unread and self._code is None and number is not None:
            self._settle(number)

    def _conclude(self) -> None:
        self._receive()
        if self._code is None:
            self._settle(OK)

    def _end(
        self, number: int, details: str, failure: Exception | None = None, cause: BaseException | None = None
    ) -> bool:
        ended = super()._end(number, details, failure, cause)
        if ended:
            self._discard(number, details)
        return ended

    def _discard(self, number: int, details: str) -> None:
        """Drops buffered messages, and has the call end as given."""
        self._messages.clear()
        self._unread = []
        self._core = EndedCall.in_place_of(self._core, number, details)

    def _fail_deserializing(self, error: Exception) -> None:
        if not self._end(INTERNAL, NOT_DESERIALIZED, cause=error):
            # The call's end was known before the last messages were read.
            self._discard(INTERNAL, NOT_DESERIALIZED)
            self._code = CODES[INTERNAL]
            self._cause = error
        self._reported = self._iterated
        raise self._error()


class UnaryStreamCall(StreamResponse, aio.UnaryStreamCall[Any, Any]):
    """A call with one request and a stream of responses."""

    _unary_request = True
