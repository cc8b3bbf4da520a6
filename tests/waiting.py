"""Waiting for what has no event of its own, without taking the processor from what is waited for."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator

LIMIT = 20.0
"""Seconds after which something that should happen counts as not happening."""

QUICK_TURNS = 100
"""Looks without a pause: what happens at once is seen at once."""

LONGEST_PAUSE = 0.001
"""Seconds between two looks at what takes longer."""


def pauses() -> Iterator[float]:
    """Seconds to sleep after each look: none at first, then more and more, up to `LONGEST_PAUSE`."""
    yield from itertools.repeat(0.0, QUICK_TURNS)
    pause = LONGEST_PAUSE / 64
    while True:
        yield pause
        pause = min(2 * pause, LONGEST_PAUSE)


async def until(condition: Callable[[], object], limit: float = LIMIT) -> None:
    """Returns when a condition holds that has no event of its own; other tasks go on meanwhile.

    Raises:
        TimeoutError: The condition does not hold after the limit, in seconds.
    """
    async with asyncio.timeout(limit):
        for pause in pauses():
            if condition():
                return
            await asyncio.sleep(pause)


def wait_until(condition: Callable[[], object], what: str, limit: float = LIMIT) -> None:
    """Returns when a condition holds that has no event of its own; the calling thread waits.

    Raises:
        TimeoutError: The condition does not hold after the limit, in seconds; the message begins with `what`.
    """
    deadline = time.monotonic() + limit
    for pause in pauses():
        if condition():
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {limit} s")
        time.sleep(pause)
