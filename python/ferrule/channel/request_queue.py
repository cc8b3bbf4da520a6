"""The requests of `write()` as an asynchronous iterator, which is the form that interceptors take."""

from __future__ import annotations

import asyncio
from typing import Any, Self

from ferrule.channel.status import ALREADY_FINISHED, HALF_CLOSED

__all__ = ["RequestQueue"]


class RequestQueue:
    """A queue of one request between a writer and an interceptor that iterates."""

    def __init__(self) -> None:
        self.finished = False
        self._opened = False
        self._closed = False
        self._failure: Exception | None = None
        self._slot: list[Any] = []
        self._waiters: list[asyncio.Future[None]] = []

    async def put(self, request: Any) -> None:
        """Queues a request, once the request before it has been taken.

        Raises:
            InvalidStateError: The stream of requests, or the call, has ended.
            Exception: The exception of the interceptors.
        """
        await self._start()
        while True:
            self._raise_failure()
            if self._closed:
                raise asyncio.InvalidStateError(ALREADY_FINISHED)
            if self.finished:
                raise asyncio.InvalidStateError(HALF_CLOSED)
            if not self._slot:
                break
            await self._change()
        self._slot.append(request)
        self._notify()

    async def finish(self) -> None:
        """Ends the stream of requests.

        Raises:
            Exception: The exception of the interceptors.
        """
        self.finished = True
        self._notify()
        await self._start()
        self._raise_failure()

    def open(self) -> None:
        """Lets writers go on; called when the interceptors have returned, or ask for a request."""
        if not self._opened:
            self._opened = True
            self._notify()

    def close(self, _call: object = None) -> None:
        """Refuses further requests; called when the call has ended."""
        self._closed = True
        self._notify()

    def fail(self, failure: Exception) -> None:
        """Has writers raise `failure`, the exception of the interceptors."""
        self._failure = failure
        self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        self.open()
        while not self._slot:
            if self.finished or self._closed:
                raise StopAsyncIteration
            await self._change()
        request = self._slot.pop()
        self._notify()
        return request

    async def _start(self) -> None:
        while not (self._opened or self._closed):
            await self._change()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            # Without its old traceback, to which each raise would add.
            raise self._failure.with_traceback(None)

    async def _change(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter

    def _notify(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
