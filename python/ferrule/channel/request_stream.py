"""Calls with a stream of requests: `StreamUnaryCall` and `StreamStreamCall`."""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import AsyncIterable
from typing import Any

from grpc import aio

from ferrule.channel.calls import BaseCall
from ferrule.channel.core_call import BEGUN, ROOM
from ferrule.channel.state import ChannelState
from ferrule.channel.status import (
    ALREADY_FINISHED,
    HALF_CLOSED,
    INTERNAL,
    MIXED_STYLES,
    NOT_ITERATED,
    NOT_SERIALIZED,
    UNKNOWN,
)
from ferrule.channel.stream_response import StreamResponse
from ferrule.channel.unary_response import UnaryResponse

__all__ = ["RequestStream", "StreamStreamCall", "StreamUnaryCall"]

# An iterator's requests are sent in batches: a wait for the transport after each of them would cost a turn of the loop.
_BATCH_REQUESTS = 32
_BATCH_BYTES = 64 * 1024

_logger = logging.getLogger(__name__)


class RequestStream(BaseCall):
    """A call with a stream of requests, which the user writes or a task takes from an iterator."""

    _unary_request = False
    _done_writing_flag = False
    _seen_begun = False
    """Whether `write` has seen the call begin on a connection."""
    _batch_requests = _batch_bytes = 0

    def __init__(self, channel: ChannelState, method: str | bytes, requests: Any, *args: Any) -> None:
        self._takes_iterator = requests is not None
        super().__init__(channel, method, None, *args)
        if requests is not None and self._code is None:
            self._request_task = channel.loop.create_task(_consume_request_iterator(weakref.ref(self), requests))

    async def write(self, request: Any) -> None:
        if self._takes_iterator:
            raise aio.UsageError(MIXED_STYLES)
        try:
            if not self._seen_begun and self._code is None:
                await self._wait_for(BEGUN)
                self._raise_if_failed()
                self._seen_begun = True
            self._send(request)
            while (waiter := self._room_waiter()) is not None:
                await waiter
        except asyncio.CancelledError:
            self.cancel()
            raise
        # A call that has ended otherwise may have ended because of this very request.
        if self._cancelled_here:
            raise asyncio.CancelledError

    async def done_writing(self) -> None:
        if self._takes_iterator:
            raise aio.UsageError(MIXED_STYLES)
        self._half_close()

    async def wait_for_connection(self) -> None:
        await self._wait_for(BEGUN)
        self._raise_if_failed()

    def _send(self, request: Any) -> int:
        """Queues a request for the transport and returns its size in bytes.

        Raises:
            InvalidStateError: The call, or its stream of requests, has ended.
            AioRpcError: The call has failed, and its user does not know yet.
            Exception: The request cannot be serialized, which ends the call.
        """
        core = self._core
        if self._code is not None:
            raise asyncio.InvalidStateError(ALREADY_FINISHED)
        if core.code is not None:
            # The notice is on its way. The reason of a failure says more than that the call has ended.
            self._raise_if_failed()
            raise asyncio.InvalidStateError(ALREADY_FINISHED)
        if self._done_writing_flag:
            raise asyncio.InvalidStateError(HALF_CLOSED)
        try:
            data = request if self._serializer is None else self._serializer(request)
            if data.__class__ is not bytes:
                self._check_bytes(data)
        except Exception as error:
            self._end(INTERNAL, NOT_SERIALIZED, failure=error)
            raise
        core.send(data)
        return len(data)

    def _send_in_batch(self, request: Any) -> bool:
        """Queues a request of the iterator; returns whether the transport should take the batch before the next one."""
        self._batch_requests += 1
        self._batch_bytes += self._send(request)
        if self._batch_requests < _BATCH_REQUESTS and self._batch_bytes < _BATCH_BYTES:
            return False
        self._batch_requests = self._batch_bytes = 0
        return True

    def _room_waiter(self) -> asyncio.Future[None] | None:
        """Returns a future to await before the next look for room; None if the transport has taken everything."""
        return None if self._core.holds(ROOM) else self._new_waiter()

    def _half_close(self) -> None:
        if self._code is None and not self._done_writing_flag:
            self._done_writing_flag = True
            self._core.finish()


class StreamUnaryCall(RequestStream, UnaryResponse, aio.StreamUnaryCall[Any, Any]):
    """A call with a stream of requests and one response."""


class StreamStreamCall(RequestStream, StreamResponse, aio.StreamStreamCall[Any, Any]):
    """A call with a stream of requests and a stream of responses."""


async def _consume_request_iterator(reference: weakref.ref[RequestStream], requests: Any) -> None:
    """Sends the requests of an iterator; if the iterator fails, so does the call.

    The task holds the call weakly while it waits, since a call that its user has dropped must be collected.
    """
    try:
        if isinstance(requests, AsyncIterable):
            async for request in requests:
                if not await _send_from_iterator(reference, request):
                    return
        else:
            for request in requests:
                if not await _send_from_iterator(reference, request):
                    return
    except BaseException as error:
        if not _is_failure(error):
            if (call := reference()) is not None:
                call.cancel()
            raise
        _fail(reference, error)
        return
    call = reference()
    if call is not None:
        call._half_close()


def _is_failure(error: BaseException) -> bool:
    """Whether an exception is an iterator's own; any other ends the task, or the program.

    An iterator that waits for something which others cancel raises a CancelledError, too. Handed on as such it would
    end a task group that waits for the call without an error.
    """
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is not None and not task.cancelling()
    return isinstance(error, Exception)


def _fail(reference: weakref.ref[RequestStream], error: BaseException) -> None:
    """Ends a call since its iterator failed; the record is for calls that nobody waits for, as of blocking calls."""
    _logger.error(NOT_ITERATED, exc_info=error)
    call = reference()
    if call is not None:
        call._end(UNKNOWN, NOT_ITERATED, cause=error)


async def _send_from_iterator(reference: weakref.ref[RequestStream], request: Any) -> bool:
    """Sends a request of an iterator; returns False if the call has ended, so that no more are wanted."""
    call = reference()
    if call is None:
        return False
    try:
        is_full = call._send_in_batch(request)
    except Exception:
        # The end of a call is no failure of its iterator: the responses that came before it are still to be read.
        if call._code is None and call._core.code is None:
            raise
        return False
    if is_full:
        # An iterator that never waits must not hold up the loop, even when the transport is fast.
        call, waiter = None, None
        await asyncio.sleep(0)
        while (call := reference()) is not None and (waiter := call._room_waiter()) is not None:
            call = None
            await waiter
    return True
