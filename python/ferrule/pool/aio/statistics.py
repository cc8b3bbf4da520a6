"""The statistics of a pool, out of what its policy has and what was counted."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from ferrule.pool.machine import CpuTime, Sample
from ferrule.pool.measures import (
    BreakerCount,
    DurationStats,
    PendingLeases,
    PluginStats,
    PoolStats,
    names_of,
)
from ferrule.pool.policy import Entry, Plugin

if TYPE_CHECKING:
    from ferrule.pool.aio.driver import Driver

__all__ = ["pool_stats"]


def pool_stats(name: str, driver: Driver) -> PoolStats:
    """A pool at this moment."""
    resources, limits, policy = driver.resources, driver.limits, driver.policy_if_opened
    names = names_of(driver.accounts.measures)
    if policy is None:
        return PoolStats(name, names=names, plugins_max=limits.max_plugins or 0)
    now = driver.clock.now()
    entries = list(policy.entries.values())
    # Those that have a process, and those that wait for their start. Copies: the loop may be on another thread.
    plugins = dict.fromkeys([*list(policy.live), *(entry.coming for entry in entries if entry.coming is not None)])
    resources.sampler.refresh()
    return PoolStats(
        name,
        tuple(_plugin(plugin, resources.of(plugin), now) for plugin in plugins),
        names,
        _pending(entries),
        _breakers(entries, now),
        limits.max_plugins or 0,
        resources.sampler.total,
        limits.max_memory_bytes,
        resources.slots_used,
        resources.slots_max,
    )


def _plugin(plugin: Plugin, sample: Sample | None, now: float) -> PluginStats:
    entry, process = plugin.entry, plugin.driver
    client = None if process is None else process.client
    calls = None if process is None else process.calls
    memory = None if sample is None else sample.memory
    cpu = CpuTime() if sample is None else sample.cpu
    sent, received = (0, 0) if client is None else (client.bytes_sent, client.bytes_received)
    return PluginStats(
        str(entry.spec.name),
        str(plugin.state),
        None if client is None else client.pid,
        age=0.0 if plugin.ready_at is None else now - plugin.ready_at,
        idle=0.0 if plugin.ready_at is None or plugin.holds else now - plugin.last_used,
        leases=len(plugin.holds),
        waiting=len(entry.waiters),
        calls=0 if calls is None else calls.own.calls,
        calls_in_flight=0 if calls is None else len(calls.live),
        call_seconds=DurationStats() if calls is None else DurationStats.of(calls.own.call_seconds),
        restarts=max(0, entry.starts - 1),
        group=entry.spec.group,
        memory_bytes=None if memory is None else memory.private,
        shared_bytes=None if memory is None else memory.shared,
        cpu_user=cpu.user,
        cpu_system=cpu.system,
        bytes_sent=sent,
        bytes_received=received,
    )


def _pending(entries: list[Entry]) -> tuple[PendingLeases, ...]:
    counts = Counter((str(entry.spec.name), waiter.priority) for entry in entries for waiter in list(entry.waiters))
    return tuple(PendingLeases(name, priority, count) for (name, priority), count in sorted(counts.items()))


def _breakers(entries: list[Entry], now: float) -> tuple[BreakerCount, ...]:
    counts = Counter((str(entry.spec.name), str(entry.breaker.state(now))) for entry in entries)
    return tuple(BreakerCount(name, state, count) for (name, state), count in sorted(counts.items()))
