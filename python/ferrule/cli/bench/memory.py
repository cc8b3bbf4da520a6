"""Memory of one plugin among a number of its kind."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from ferrule.pool import PluginPool, PluginSpec
from ferrule.pool.machine import Memory, SystemMeter

__all__ = ["MemoryFigures", "grow", "pids_of", "warm"]


@dataclass(frozen=True)
class MemoryFigures:
    """A pool with a number of plugins; memory is None where it cannot be measured.

    Attributes:
        plugins: That number.
        seconds: Seconds that those took to start which the row before does not have.
        private_bytes: Memory of one plugin that is its own, the median of all.
        pss_bytes: Memory of all plugins, what they share counted once.
    """

    plugins: int
    seconds: float
    private_bytes: float | None
    pss_bytes: int | None


async def grow(pool: PluginPool, specs: Sequence[PluginSpec], counts: Sequence[int]) -> list[MemoryFigures]:
    """Starts plugins up to each number in turn, and measures them there."""
    meter, rows, started = SystemMeter(), [], 0
    for count in counts:
        began = time.perf_counter()
        await warm(pool, specs[started:count])
        seconds, started = time.perf_counter() - began, count
        measured = [meter.exact(pid) for pid in await pids_of(pool, specs[:count])]
        rows.append(_row(count, seconds, [memory for memory in measured if memory is not None]))
    return rows


async def warm(pool: PluginPool, specs: Sequence[PluginSpec]) -> None:
    """Starts plugins; the first of those that fail is raised by itself."""
    try:
        await pool.warm(specs)
    except ExceptionGroup as group:
        raise group.exceptions[0] from None


def _row(count: int, seconds: float, memory: list[Memory]) -> MemoryFigures:
    shares = [each.pss for each in memory if each.pss is not None]
    return MemoryFigures(
        plugins=count,
        seconds=seconds,
        private_bytes=median([each.private for each in memory]) if memory else None,
        pss_bytes=sum(shares) if shares else None,
    )


async def pids_of(pool: PluginPool, specs: Iterable[PluginSpec]) -> list[int]:
    """The processes of plugins that run."""
    pids = []
    for spec in specs:
        async with pool.lease(spec) as lease:
            pids.append(lease.pid)
    return pids
