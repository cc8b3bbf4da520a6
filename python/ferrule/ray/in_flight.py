"""Running a function for many items, a bounded number of them at once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, TypeVar

__all__ = ["in_flight"]

Item = TypeVar("Item")
Result = TypeVar("Result")


async def in_flight(
    items: Iterable[Item] | AsyncIterable[Item],
    function: Callable[[Item], Awaitable[Result]],
    room: int,
    *,
    ordered: bool,
) -> AsyncIterator[Result]:
    """Yields the results of a function for each item, as they come or in the order of the items.

    The next item is taken when fewer than `room` are being worked on or have a result that was not taken.
    """
    # None is the end.
    ready: asyncio.Queue[asyncio.Future[Result] | None] = asyncio.Queue()
    running: set[asyncio.Future[Result]] = set()
    free = asyncio.Semaphore(room)

    def done(future: asyncio.Future[Result]) -> None:
        running.discard(future)
        if not ordered:
            ready.put_nowait(future)

    async def feed() -> None:
        try:
            # Room first: an item that is taken is also begun.
            await free.acquire()
            async with contextlib.aclosing(_each(items)) as each:
                async for item in each:
                    future = asyncio.ensure_future(function(item))
                    running.add(future)
                    future.add_done_callback(done)
                    if ordered:
                        ready.put_nowait(future)
                    await free.acquire()
        finally:
            if running and not ordered:
                await asyncio.wait(running)
            ready.put_nowait(None)

    feeding = asyncio.ensure_future(feed())
    try:
        while (future := await ready.get()) is not None:
            result = await future
            free.release()
            yield result
        await feeding
    finally:
        left: set[asyncio.Future[Any]] = {feeding, *running}
        for task in left:
            task.cancel()
        await asyncio.wait(left)


async def _each(items: Iterable[Item] | AsyncIterable[Item]) -> AsyncGenerator[Item, None]:
    if isinstance(items, AsyncIterable):
        try:
            async for item in items:
                yield item
        finally:
            if isinstance(items, AsyncGenerator):
                await items.aclose()
    else:
        for item in items:
            yield item
