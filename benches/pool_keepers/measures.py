"""What is measured of a keeper. Each measure is run in a process of its own, and gives figures by name."""

import asyncio
import gc
import os
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from ferrule.testing import KVStub
from pool_keepers.keepers import REQUEST, Keeper, PoolKeeper

Figures = dict[str, dict[str, float]]
"""Values by case and measure."""

TOUCHES_PER_CALL = 10
"""How many more leases than calls are made where no call is: they take that much less time."""

BLOCKS = 9
"""Blocks of a measurement, of which the median counts."""
PAIRS = 90
"""Pairs of blocks whose difference is small beside either. Within a short pair the machine changes little."""
IN_FLIGHT = (1, 16)
STARTS_CASE = "wanted one after the other, then at once"

STARTS_AT_ONCE = 4
"""Where the starts themselves are not measured."""


def at_once(in_flight: int) -> str:
    """A number of calls, in words."""
    return "1 call at a time" if in_flight == 1 else f"{in_flight} calls at once"


def plugins(count: int) -> str:
    """A number of plugins, in words."""
    return "1 plugin" if count == 1 else f"{count} plugins"


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of the values does not exceed."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


async def cpu_us(work: Callable[[], Awaitable[object]], times: int) -> float:
    """CPU of this process, in microseconds, for each time that the work does something."""
    begun = time.process_time()
    await work()
    return (time.process_time() - begun) / times * 1e6


async def lease(make: type[Keeper], plugin: str, size: int, calls_made: int) -> Figures:
    """A plugin that is ready, got and given back by one task; and whether that ever lets another task run."""
    numbers, touches = range(size), TOUCHES_PER_CALL * calls_made
    async with make(plugin, numbers) as keeper:
        for number in numbers:
            await keeper.echo(number)

        async def touch_all() -> None:
            for count in range(touches):
                await keeper.touch(count % len(numbers))

        each = [await cpu_us(touch_all, touches) for _ in range(BLOCKS)]
        return {"a warm lease": {"CPU us": statistics.median(each), "lets others run": float(suspends(keeper))}}


async def wake(keeper: Keeper, numbers: Sequence[int]) -> None:
    """Has all of these plugins start, few at once whatever the keeper does."""
    gate = asyncio.Semaphore(STARTS_AT_ONCE)

    async def one(number: int) -> None:
        async with gate:
            await keeper.echo(number)

    await asyncio.gather(*map(one, numbers))


def suspends(keeper: Keeper) -> bool:
    """Whether a lease hands control to the loop: a coroutine that does not ends at the first step."""
    step = keeper.touch(0)
    try:
        step.send(None)
    except StopIteration:
        return False
    step.close()
    return True


async def counting(make: type[Keeper], plugin: str, _size: int, calls_made: int) -> Figures:
    """A lease with one call through it, and the same call through the client's own channel, in turns."""
    figures: Figures = {}
    most = max(IN_FLIGHT)
    each = max(calls_made * BLOCKS // PAIRS // most, 1) * most
    async with make(plugin, [0]) as keeper:
        assert isinstance(keeper, PoolKeeper)
        async with keeper.pool.lease(keeper.specs[0]) as held:
            stub = KVStub(held.client.grpc_channel)

            async def bare() -> None:
                await stub.Echo(REQUEST)

            for in_flight in IN_FLIGHT:
                pairs = []
                for _ in range(PAIRS):
                    pair = [await cpu_of_calls(call, each, in_flight) for call in (bare, lambda: keeper.echo(0))]
                    pairs.append(pair)
                figures[at_once(in_flight)] = {
                    "client's channel us": statistics.median(pair[0] for pair in pairs),
                    "lease and call us": statistics.median(pair[1] for pair in pairs),
                    "difference us": statistics.median(pair[1] - pair[0] for pair in pairs),
                }
    return figures


async def cpu_of_calls(call: Callable[[], Awaitable[object]], calls: int, in_flight: int) -> float:
    """CPU per call, in microseconds, with so many of them at once."""

    async def some() -> None:
        for _ in range(calls // in_flight):
            await call()

    async def all_of_them() -> None:
        await asyncio.gather(*(some() for _ in range(in_flight)))

    return await cpu_us(all_of_them, calls)


async def calls(make: type[Keeper], plugin: str, size: int, calls_made: int) -> Figures:
    """Calls that go round 1, a fifth, and all of the plugins."""
    figures: Figures = {}
    async with make(plugin, range(size)) as keeper:
        for spread in sorted({1, max(1, size // 5), size}):
            await wake(keeper, range(spread))
            for in_flight in IN_FLIGHT:
                case = f"{at_once(in_flight)}, {plugins(spread)}"
                figures[case] = await round_trips(keeper, spread, in_flight, calls_made)
    return figures


async def round_trips(keeper: Keeper, spread: int, in_flight: int, calls_made: int) -> dict[str, float]:
    """Calls round so many plugins."""
    took: list[float] = []

    async def some(first: int) -> None:
        for number in range(first, calls_made, in_flight):
            begun = time.perf_counter()
            await keeper.echo(number % spread)
            took.append(time.perf_counter() - begun)

    begun, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(some(first) for first in range(in_flight)))
    seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
    return {
        "CPU us": cpu / calls_made * 1e6,
        "p50 us": percentile(took, 0.5) * 1e6,
        "p99 us": percentile(took, 0.99) * 1e6,
        "calls per s": calls_made / seconds,
    }


async def starts(make: type[Keeper], plugin: str, size: int, _calls_made: int) -> Figures:
    """Plugins that are wanted one after the other, then as many at once; and a plugin that is there already."""
    async with make(plugin, range(2 * size)) as keeper:
        await keeper.echo(0)  # Threads and modules.
        begun = len(keeper.start_ms)
        cold = [await milliseconds(keeper.echo(number)) for number in range(1, size)]
        warm = [await milliseconds(keeper.echo(number)) for number in range(1, size)]
        lone = keeper.start_ms[begun:]
        begun = len(keeper.start_ms)
        all_ms = await milliseconds(asyncio.gather(*(keeper.echo(number) for number in range(size, 2 * size))))
        many = keeper.start_ms[begun:]
    cold_ms, warm_ms = percentile(cold, 0.5), percentile(warm, 0.5)
    return {
        STARTS_CASE: {
            "lone p50 ms": percentile(lone, 0.5),
            "lone p99 ms": percentile(lone, 0.99),
            "at once p50 ms": percentile(many, 0.5),
            "at once p99 ms": percentile(many, 0.99),
            "all ready ms": all_ms,
            "at once p99 / lone p99": percentile(many, 0.99) / percentile(lone, 0.99),
            "cold call ms": cold_ms,
            "warm call ms": warm_ms,
            "cold / warm": cold_ms / warm_ms,
        }
    }


async def milliseconds(work: Awaitable[object]) -> float:
    """Wall time of some work."""
    begun = time.perf_counter()
    await work
    return (time.perf_counter() - begun) * 1000


async def memory(make: type[Keeper], plugin: str, size: int, _calls_made: int) -> Figures:
    """Memory of so many plugins, in MiB, and what each costs the host."""
    async with make(plugin, [-1]) as first:
        await first.echo(-1)
    gc.collect()
    resident, descriptors = resident_kib(), open_descriptors()
    async with make(plugin, range(size)) as keeper:
        await wake(keeper, range(size))
        gc.collect()
        found = [rollup(pid) for pid in keeper.pids()]
        assert len(found) == size
        figures = {f"{name} MiB": sum(each[name] for each in found) / 1024 for name in found[0]}
        figures["descriptors each"] = (open_descriptors() - descriptors) / size
        figures["host each KiB"] = (resident_kib() - resident) / size
    return {plugins(size): figures}


def resident_kib() -> int:
    """Resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


def open_descriptors() -> int:
    """Descriptors of this process."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def rollup(pid: int) -> dict[str, int]:
    """Memory of a process in KiB: resident, its share of shared pages included, and its own alone."""
    found = {"resident": 0, "proportional": 0, "private": 0}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, value, *_ = line.split()
        match name.rstrip(":"):
            case "Rss":
                found["resident"] += int(value)
            case "Pss":
                found["proportional"] += int(value)
            case "Private_Clean" | "Private_Dirty":
                found["private"] += int(value)
    return found
