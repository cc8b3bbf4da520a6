"""What `write()` gives to interceptors: requests as an asynchronous iterator."""

from __future__ import annotations

import asyncio
from typing import Any, Self

from ferrule.channel.status import ALREADY_FINISHED, HALF_CLOSED

__all__ = ["WrittenRequests"]


class WrittenRequests:
    """Takes one request at a time from a writer, and gives it to the iterating side."""

    def __init__(self) -> None:
        self.finished = False
        self._closed = False
        self._slot: list[Any] = []
        self._waiters: list[asyncio.Future[None]] = []

    async def put(self, request: Any) -> None:
        """Waits until the request before was taken, and leaves this one.

        Raises:
            InvalidStateError: The requests, or the call, have ended.
        """
        while True:
            if self._closed:
                raise asyncio.InvalidStateError(ALREADY_FINISHED)
            if self.finished:
                raise asyncio.InvalidStateError(HALF_CLOSED)
            if not self._slot:
                break
            await self._change()
        self._slot.append(request)
        self._notify()

    def finish(self) -> None:
        """No more requests follow."""
        self.finished = True
        self._notify()

    def close(self, _call: object = None) -> None:
        """The call has ended."""
        self._closed = True
        self._notify()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        while not self._slot:
            if self.finished or self._closed:
                raise StopAsyncIteration
            await self._change()
        request = self._slot.pop()
        self._notify()
        return request

    async def _change(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter

    def _notify(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
