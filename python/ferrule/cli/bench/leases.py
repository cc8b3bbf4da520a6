"""What a lease of a pool's plugin costs: with the start of the plugin, and without."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from statistics import median
from typing import Final

from ferrule.cli.bench.sampling import REPETITIONS, turns
from ferrule.cli.bench.work import Work
from ferrule.pool import Lease, PluginPool, PluginSpec

__all__ = ["LeaseFigures", "measure_leases"]

BATCH: Final = 100
"""Leases between two looks at the clock."""


@dataclass(frozen=True)
class LeaseFigures:
    """What one lease takes, each figure the median of its repetitions.

    Attributes:
        cold_ms: Milliseconds for a lease whose plugin has to be started, and one call.
        warm_us: Microseconds for a lease whose plugin runs, and one call.
        bare_us: Microseconds for one call without a lease.
        lease_cpu_us: Microseconds of CPU for a lease alone.
    """

    cold_ms: float
    warm_us: float
    bare_us: float
    lease_cpu_us: float


async def measure_leases(spec: PluginSpec, work: Work, seconds: float) -> LeaseFigures:
    """Measures in a pool of its own for each repetition."""
    cold: list[float] = []
    warm: list[float] = []
    bare: list[float] = []
    alone: list[float] = []
    slice_seconds = seconds / REPETITIONS
    async for _ in turns([None], 4 * seconds):
        async with PluginPool() as pool:

            async def leased(pool: PluginPool = pool) -> None:
                async with pool.lease(spec) as lease:
                    await lease.stub(work.on)(work.request)

            began = time.perf_counter()
            await leased()
            cold.append(time.perf_counter() - began)
            async with pool.lease(spec) as lease:
                bare.append(await _each(_call(lease, work), slice_seconds))
            warm.append(await _each(leased, slice_seconds))
            alone.append(await _lease_alone(pool, spec, slice_seconds))
    return LeaseFigures(1000 * median(cold), 1e6 * median(warm), 1e6 * median(bare), 1e6 * median(alone))


def _call(lease: Lease, work: Work) -> Callable[[], Awaitable[None]]:
    call = work.on(lease.client.grpc_channel)  # type: ignore[arg-type] # The client of a lease is started.

    async def once() -> None:
        await call(work.request)

    return once


async def _each(once: Callable[[], Awaitable[None]], seconds: float) -> float:
    """Seconds that each of many takes, one after the other."""
    number, began = 0, time.perf_counter()
    while (passed := time.perf_counter() - began) < seconds or number == 0:
        await once()
        number += 1
    return passed / number


async def _lease_alone(pool: PluginPool, spec: PluginSpec, seconds: float) -> float:
    """Seconds of this thread's CPU for a lease that nothing is done with."""
    number, used, end = 0, 0.0, time.perf_counter() + seconds
    while time.perf_counter() < end or number == 0:
        began = time.thread_time()
        for _ in range(BATCH):
            async with pool.lease(spec):
                pass
        used += time.thread_time() - began
        number += BATCH
        # A lease that is to be had at once lets nothing else run, a signal among it.
        await asyncio.sleep(0)
    return used / number
