"""How many starts a second there are with several at once, and how long each one takes."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Final

from ferrule.cli.bench.sampling import in_parallel, percentile, turns
from ferrule.client import RPCPluginClient
from ferrule.pool.machine import usable_cpus

__all__ = ["StartFigures", "measure_starts"]

FEWEST: Final = 4
"""Starts in one repetition, at least."""


@dataclass(frozen=True)
class StartFigures:
    """Starts with a number of others at once.

    Attributes:
        at_once: That number.
        starts: Starts that were measured.
        per_second: Starts a second.
        p50_ms, max_ms: Milliseconds that one start took.
    """

    at_once: int
    starts: int
    per_second: float
    p50_ms: float
    max_ms: float


async def measure_starts(make_client: Callable[[], RPCPluginClient], seconds: float) -> list[StartFigures]:
    """Starts plugins, some at once, and stops them."""
    cpus = usable_cpus()
    rates: dict[int, list[float]] = {at_once: [] for at_once in sorted({1, cpus, 2 * cpus, 4 * cpus})}
    durations: dict[int, list[float]] = {at_once: [] for at_once in rates}
    async for at_once in turns(rates, seconds * len(rates)):
        took, wall = await _burst(make_client, at_once)
        durations[at_once] += took
        rates[at_once].append(len(took) / wall)
    return [
        StartFigures(
            at_once=at_once,
            starts=len(took),
            per_second=median(rates[at_once]),
            p50_ms=1000 * percentile(took, 0.5),
            max_ms=1000 * max(took),
        )
        for at_once, took in durations.items()
    ]


async def _burst(make_client: Callable[[], RPCPluginClient], at_once: int) -> tuple[list[float], float]:
    """Seconds of each start, and of all of them. Ends are not part of either."""
    loop = asyncio.get_running_loop()
    clients = [make_client() for _ in range(max(at_once, FEWEST))]
    slots = asyncio.Semaphore(at_once)

    async def start(client: RPCPluginClient) -> float:
        async with slots:
            began = loop.time()
            await client.start()
            return loop.time() - began

    try:
        began = loop.time()
        took = await in_parallel(*(start(client) for client in clients))
        return took, loop.time() - began
    finally:
        await asyncio.gather(*(_end(client) for client in clients))


async def _end(client: RPCPluginClient) -> None:
    await client.shutdown_plugin()
    await client.close()
