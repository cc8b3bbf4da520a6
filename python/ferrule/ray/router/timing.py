"""Waiting by a clock that is given."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from ferrule.pool.clock import Clock

__all__ = ["sleep_until", "wait_until", "within"]

Result = TypeVar("Result")


async def sleep_until(clock: Clock, when: float) -> None:
    """Returns when the clock has reached `when`."""
    await wait_until(clock, when, set())


async def wait_until(clock: Clock, when: float, futures: set[asyncio.Future[Any]]) -> None:
    """Returns when a future is done, or the clock has reached `when`."""
    reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def wake() -> None:
        if not reached.done():
            reached.set_result(None)

    timer = clock.call_at(when, wake)
    try:
        await asyncio.wait({reached, *futures}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        timer.cancel()


async def within(clock: Clock, seconds: float, work: Coroutine[Any, Any, Result]) -> Result:
    """The result of a coroutine, which is cancelled after that time.

    Raises:
        TimeoutError: It was not done.
    """
    task = asyncio.get_running_loop().create_task(work)
    try:
        await wait_until(clock, clock.now() + seconds, {task})
        if not task.done():
            raise TimeoutError(f"not done within {seconds:g} s")
        return task.result()
    finally:
        task.cancel()
