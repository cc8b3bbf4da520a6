"""Calls that are spread over several plugins, with several in flight."""

import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import grpc.aio

from ferrule.cli.bench.memory import pids_of
from ferrule.cli.bench.sampling import REPETITIONS, in_parallel, percentile, turns
from ferrule.cli.bench.work import Work
from ferrule.cli.failures import CallError
from ferrule.pool import PluginPool, PluginSpec
from ferrule.pool.machine import SystemMeter

__all__ = ["CallFigures", "measure_calls"]


@dataclass(frozen=True)
class CallFigures:
    """Calls under leases of a pool.

    Attributes:
        channel: Whose channel carries them: `ferrule` or `grpcio`.
        plugins: Plugins that take turns.
        in_flight: Calls at once.
        calls: Calls that were measured.
        per_second: Calls a second.
        p50_us, p99_us: Microseconds that one lease with its call took.
        host_cpu_us: Microseconds of CPU of this process for a call.
        plugin_cpu_us: Microseconds of CPU of the plugins for a call; None where they cannot be measured.
    """

    channel: str
    plugins: int
    in_flight: int
    calls: int
    per_second: float
    p50_us: float
    p99_us: float
    host_cpu_us: float
    plugin_cpu_us: float | None


@dataclass
class _Slice:
    took: list[float]
    wall: float
    host_cpu: float
    plugin_cpu: float | None


async def measure_calls(
    pool: PluginPool,
    fleets: Mapping[str, Sequence[PluginSpec]],
    counts: Sequence[int],
    in_flight: Sequence[int],
    work: Work,
    seconds: float,
) -> list[CallFigures]:
    """Calls through each channel, over the first so many plugins of its fleet, which run."""
    cases = list(itertools.product(counts, in_flight, fleets))
    slices: dict[tuple[int, int, str], list[_Slice]] = {case: [] for case in cases}
    pids = {name: await pids_of(pool, fleet) for name, fleet in fleets.items()}
    async for case in turns(cases, 2 * seconds * len(cases)):
        count, at_once, name = case
        measured = await _slice(pool, fleets[name][:count], at_once, work, seconds / REPETITIONS, pids[name][:count])
        slices[case].append(measured)
    return [_figures(*case, found) for case, found in slices.items()]


def _figures(count: int, at_once: int, name: str, slices: list[_Slice]) -> CallFigures:
    took = [seconds for each in slices for seconds in each.took]
    plugin_cpu = [each.plugin_cpu for each in slices if each.plugin_cpu is not None]
    return CallFigures(
        channel=name,
        plugins=count,
        in_flight=at_once,
        calls=len(took),
        per_second=median([len(each.took) / each.wall for each in slices]),
        p50_us=1e6 * percentile(took, 0.5),
        p99_us=1e6 * percentile(took, 0.99),
        host_cpu_us=1e6 * sum(each.host_cpu for each in slices) / len(took),
        plugin_cpu_us=1e6 * sum(plugin_cpu) / len(took) if plugin_cpu else None,
    )


async def _slice(
    pool: PluginPool, specs: Sequence[PluginSpec], at_once: int, work: Work, seconds: float, pids: Sequence[int]
) -> _Slice:
    """Calls for a while, the plugins one after the other."""
    following = itertools.cycle(specs)
    took: list[float] = []
    clock = time.perf_counter

    async def worker() -> None:
        first = True
        while first or clock() < end:
            first = False
            began = clock()
            async with pool.lease(next(following)) as lease:
                await lease.stub(work.on)(work.request)
            took.append(clock() - began)

    plugin_cpu, host_cpu, began = _plugin_cpu(pids), time.process_time(), clock()
    end = began + seconds
    try:
        await in_parallel(*(worker() for _ in range(at_once)))
    except grpc.aio.AioRpcError as error:
        raise CallError.of(error, work.method) from None
    wall, host_cpu = clock() - began, time.process_time() - host_cpu
    after = _plugin_cpu(pids)
    return _Slice(took, wall, host_cpu, None if plugin_cpu is None or after is None else after - plugin_cpu)


def _plugin_cpu(pids: Sequence[int]) -> float | None:
    times = [SystemMeter().cpu(pid) for pid in pids]
    return None if None in times else sum(sum(each) for each in times if each is not None)
