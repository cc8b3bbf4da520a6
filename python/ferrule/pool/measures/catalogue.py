"""The metrics of a pool: their names for OpenTelemetry and for Prometheus, and where the values come from.

Names follow OpenTelemetry's conventions for connection pools (`db.client.connection.*`) and calls
(`rpc.client.call.duration`). The key of a plugin, its pid and its settings label nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from ferrule.pool.measures.counters import Measures
from ferrule.pool.measures.histogram import Histogram
from ferrule.pool.measures.reading import Metric, Reading, Value
from ferrule.pool.measures.stats import PluginStats
from ferrule.pool.measures.vocabulary import BREAKER_STATES, PLUGIN_STATES

__all__ = ["CATALOGUE", "SHARED"]

SHARED: Final = "(shared)"
"""The plugin's name of memory that processes share."""


def _each(value: Callable[[Measures, list[PluginStats]], float | Histogram]) -> Callable[[Reading], Iterator[Value]]:
    """One value for each name."""
    return lambda reading: (((name,), value(measures, plugins)) for name, measures, plugins in reading.by_name())


def _plugins(reading: Reading) -> Iterator[Value]:
    for name, _, plugins in reading.by_name():
        for state in PLUGIN_STATES:
            yield (name, state), sum(plugin.state == state for plugin in plugins)


def _start_phases(reading: Reading) -> Iterator[Value]:
    for name, measures, _ in reading.by_name():
        for phase, seconds in measures.start_phases.items():
            yield (name, phase), seconds


def _starts(reading: Reading) -> Iterator[Value]:
    for name, measures, _ in reading.by_name():
        for error, count in measures.starts.items():
            yield (name, error), count


def _exits(reading: Reading) -> Iterator[Value]:
    for name, measures, _ in reading.by_name():
        for (reason, rung), count in list(measures.exits.items()):
            yield (name, reason, rung), count


def _pending(reading: Reading) -> Iterator[Value]:
    counts = {(name, 0): 0 for name in reading.measures}
    for each in reading.stats.pending:
        counts[each.name, each.priority] = counts.get((each.name, each.priority), 0) + each.count
    for (name, priority), count in counts.items():
        yield (name, str(priority)), count


def _lease_waits(reading: Reading) -> Iterator[Value]:
    for name, measures, _ in reading.by_name():
        for outcome, seconds in measures.lease_wait.items():
            yield (name, outcome), seconds


def _calls(reading: Reading) -> Iterator[Value]:
    for name, measures, _ in reading.by_name():
        for method, calls in list(measures.calls.items()):
            for status, seconds in list(calls.seconds.items()):
                yield (name, "grpc", method.removeprefix("/"), status, "" if status == "OK" else status), seconds


def _unknown(reading: Reading) -> Iterator[Value]:
    for name, measures, _ in reading.by_name():
        for method, calls in list(measures.calls.items()):
            yield (name, method.removeprefix("/")), calls.unknown


def _memory(reading: Reading) -> Iterator[Value]:
    private = 0
    for name, _, plugins in reading.by_name():
        own = sum(plugin.memory_bytes or 0 for plugin in plugins)
        private += own
        yield (name,), own
    yield (SHARED,), max((reading.stats.memory_bytes or 0) - private, 0)


def _memory_limit(reading: Reading) -> Iterator[Value]:
    if reading.stats.memory_limit_bytes is not None:
        yield (), reading.stats.memory_limit_bytes


def _cpu(reading: Reading) -> Iterator[Value]:
    for name, measures, plugins in reading.by_name():
        yield (name, "user"), measures.cpu_user + sum(plugin.cpu_user for plugin in plugins)
        yield (name, "system"), measures.cpu_system + sum(plugin.cpu_system for plugin in plugins)


def _io(reading: Reading) -> Iterator[Value]:
    for name, measures, plugins in reading.by_name():
        yield (name, "transmit"), measures.bytes_sent + sum(plugin.bytes_sent for plugin in plugins)
        yield (name, "receive"), measures.bytes_received + sum(plugin.bytes_received for plugin in plugins)


def _breakers(reading: Reading) -> Iterator[Value]:
    counts = {(name, state): 0 for name in reading.measures for state in BREAKER_STATES}
    for each in reading.stats.breakers:
        counts[each.name, each.state] = counts.get((each.name, each.state), 0) + each.count
    yield from counts.items()


_BREAKER_LEVELS: Final = {"half_open": 1, "open": 2}


def _breaker_state(reading: Reading) -> Iterator[Value]:
    levels = dict.fromkeys(reading.measures, 0)
    for each in reading.stats.breakers:
        if each.count:
            levels[each.name] = max(levels.get(each.name, 0), _BREAKER_LEVELS.get(each.state, 0))
    for name, level in levels.items():
        yield (name,), level


CATALOGUE: Final = (
    Metric(
        *("ferrule.pool.plugin.count", "ferrule_pool_plugins", "updown", "{plugin}"),
        "Plugins by state.",
        ("plugin", "state"),
        _plugins,
    ),
    Metric(
        *("ferrule.pool.plugin.max", "ferrule_pool_plugins_max", "updown", "{plugin}"),
        "The limit of plugins.",
        (),
        lambda reading: [((), reading.stats.plugins_max)],
    ),
    Metric(
        *("ferrule.pool.plugin.start.duration", "ferrule_pool_plugin_start_seconds", "histogram", "s"),
        "Seconds of each phase of starts that succeeded.",
        ("plugin", "phase"),
        _start_phases,
    ),
    Metric(
        *("ferrule.pool.plugin.starts", "ferrule_pool_plugin_starts_total", "counter", "{start}"),
        "Starts by type of error, none for those that succeeded.",
        ("plugin", "error.type"),
        _starts,
    ),
    Metric(
        *("ferrule.pool.plugin.exits", "ferrule_pool_plugin_exits_total", "counter", "{exit}"),
        "Ends of plugins by reason, and by the rung of the stop.",
        ("plugin", "reason", "rung"),
        _exits,
    ),
    Metric(
        *("ferrule.pool.lease.pending", "ferrule_pool_leases_pending", "updown", "{request}"),
        "Callers who wait for a lease.",
        ("plugin", "priority"),
        _pending,
    ),
    Metric(
        *("ferrule.pool.lease.wait.duration", "ferrule_pool_lease_wait_seconds", "histogram", "s"),
        "Seconds from asking for a lease to having it or not.",
        ("plugin", "outcome"),
        _lease_waits,
    ),
    Metric(
        *("ferrule.pool.lease.use.duration", "ferrule_pool_lease_use_seconds", "histogram", "s"),
        "Seconds from having a lease to giving it back.",
        ("plugin",),
        _each(lambda measures, _: measures.lease_use),
    ),
    Metric(
        *("ferrule.pool.lease.timeouts", "ferrule_pool_lease_timeouts_total", "counter", "{timeout}"),
        "Waits for a lease that ended without one.",
        ("plugin",),
        _each(lambda measures, _: measures.lease_timeouts),
    ),
    Metric(
        *("ferrule.pool.lease.refused", "ferrule_pool_lease_refused_total", "counter", "{request}"),
        "Leases refused because too many callers waited.",
        ("plugin",),
        _each(lambda measures, _: measures.leases_refused),
    ),
    Metric(
        *("ferrule.pool.lease.leaked", "ferrule_pool_lease_leaked_total", "counter", "{lease}"),
        "Leases that were never given back.",
        ("plugin",),
        _each(lambda measures, _: measures.leases_leaked),
    ),
    Metric(
        *("rpc.client.call.duration", "ferrule_rpc_client_call_seconds", "histogram", "s"),
        "Seconds of calls.",
        ("plugin", "rpc.system.name", "rpc.method", "rpc.response.status_code", "error.type"),
        _calls,
    ),
    Metric(
        *("ferrule.pool.call.active", "ferrule_pool_calls_in_flight", "updown", "{call}"),
        "Calls that have not ended.",
        ("plugin",),
        _each(lambda _, plugins: sum(plugin.calls_in_flight for plugin in plugins)),
    ),
    Metric(
        *("ferrule.pool.call.unknown", "ferrule_pool_calls_unknown_total", "counter", "{call}"),
        "Calls that had begun when their plugin died: what they did is not known.",
        ("plugin", "rpc.method"),
        _unknown,
    ),
    Metric(
        *("ferrule.pool.memory.usage", "ferrule_pool_memory_bytes", "updown", "By"),
        "Private memory of plugins, and once for each program what they share.",
        ("plugin",),
        _memory,
    ),
    Metric(
        *("ferrule.pool.memory.limit", "ferrule_pool_memory_limit_bytes", "updown", "By"),
        "The limit of private memory.",
        (),
        _memory_limit,
    ),
    Metric(
        *("ferrule.pool.cpu.time", "ferrule_pool_cpu_seconds_total", "counter", "s"),
        "Seconds of CPU of plugins, of those too that have ended.",
        ("plugin", "state"),
        _cpu,
    ),
    Metric(
        *("ferrule.pool.io", "ferrule_pool_io_bytes_total", "counter", "By"),
        "Bytes on the sockets of plugins, of those too that have ended.",
        ("plugin", "direction"),
        _io,
    ),
    Metric(
        *("ferrule.pool.breaker.state", "", "gauge", "1"),
        "0 if plugins start, 1 if one is tried, 2 if starts are refused: the highest of the keys of a name.",
        ("plugin",),
        _breaker_state,
    ),
    Metric(
        *("", "ferrule_pool_breakers", "updown", "{key}"),
        "Keys by the state of their breaker.",
        ("plugin", "state"),
        _breakers,
    ),
    Metric(
        *("ferrule.pool.throttle.slots", "ferrule_start_slots", "updown", "{start}"),
        "Starts under way in this process, of all pools.",
        (),
        lambda reading: [((), reading.stats.start_slots_used)],
        of_process=True,
    ),
    Metric(
        *("ferrule.pool.throttle.slots.max", "ferrule_start_slots_max", "updown", "{start}"),
        "Starts that may be under way at once in this process.",
        (),
        lambda reading: [((), reading.stats.start_slots_max)],
        of_process=True,
    ),
)
"""All metrics of a pool."""
