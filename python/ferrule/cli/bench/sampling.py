"""Repetitions that take turns, and what is made of their figures."""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Iterable, Sequence
from typing import Final, TypeVar

__all__ = ["REPETITIONS", "in_parallel", "percentile", "turns"]

REPETITIONS: Final = 3

Case = TypeVar("Case")
Result = TypeVar("Result")


async def turns(cases: Iterable[Case], seconds: float) -> AsyncIterator[Case]:
    """Each case once, then again while there is time, so that what else the machine does meets all cases.

    Args:
        cases: What is measured.
        seconds: Time after which no further turn begins; there are `REPETITIONS` at most.
    """
    cases = list(cases)
    loop = asyncio.get_running_loop()
    began = loop.time()
    for turn in range(REPETITIONS):
        if turn and loop.time() - began > seconds:
            return
        for case in cases:
            yield case


async def in_parallel(*work: Awaitable[Result]) -> list[Result]:
    """The results of all; the first that fails ends the others, and is raised by itself."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def percentile(figures: Sequence[float], share: float) -> float:
    """The figure that this share of all, from 0 to 1, does not exceed."""
    ordered = sorted(figures)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
