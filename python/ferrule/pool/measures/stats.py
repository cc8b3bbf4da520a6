"""What a pool tells of itself at one moment: plain values that are pickled, compared, and written as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from ferrule.pool.measures.histogram import Histogram

__all__ = ["BreakerCount", "DurationStats", "NameStats", "PendingLeases", "PluginStats", "PoolStats"]


class _Row:
    """What all of these values have."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """The fields by name, as values that `json.dumps` writes."""
        return {each.name: _plain(getattr(self, each.name)) for each in fields(self)}  # type: ignore[arg-type]


def _plain(value: Any) -> Any:
    if is_dataclass(value) and isinstance(value, _Row):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return value


@dataclass(frozen=True, slots=True)
class DurationStats(_Row):
    """Durations in short.

    Attributes:
        count: The number of durations.
        sum: Their sum in seconds.
        p50, p95, p99: Estimates of percentiles in seconds, out of buckets with fixed bounds; None without any duration.
    """

    count: int = 0
    sum: float = 0.0
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None

    @classmethod
    def of(cls, histogram: Histogram) -> DurationStats:
        """The durations of a histogram."""
        return cls(histogram.count, histogram.sum, *map(histogram.percentile, (50, 95, 99)))


@dataclass(frozen=True, slots=True)
class PluginStats(_Row):
    """One plugin of a pool: a process, or one that waits for its start.

    Attributes:
        name: The spec's name, else the program's base name.
        state: One of `queued`, `starting`, `configuring`, `ready`, `leased`, `draining`, `stopping`, `broken`.
        pid: The process id; None without a process.
        age: Seconds since it became ready; 0 before.
        idle: Seconds since its last lease came back; 0 while leased.
        leases: Leases at this moment.
        waiting: Callers who wait for a lease of its key.
        calls: Calls begun by this process.
        calls_in_flight: Calls that have not ended.
        call_seconds: Durations of its calls.
        restarts: Starts of its key before this one.
        group: The spec's group; None without one.
        memory_bytes: Private memory as sampled last: what would be free without this plugin. None before a sample.
        shared_bytes: Memory that it shares with others, its program's pages above all; None before a sample.
        cpu_user, cpu_system: Seconds of CPU as sampled last.
        bytes_sent, bytes_received: Bytes on its socket.
    """

    name: str
    state: str
    pid: int | None = None
    age: float = 0.0
    idle: float = 0.0
    leases: int = 0
    waiting: int = 0
    calls: int = 0
    calls_in_flight: int = 0
    call_seconds: DurationStats = field(default_factory=DurationStats)
    restarts: int = 0
    group: str | None = None
    memory_bytes: int | None = None
    shared_bytes: int | None = None
    cpu_user: float = 0.0
    cpu_system: float = 0.0
    bytes_sent: int = 0
    bytes_received: int = 0

    def __repr__(self) -> str:
        pid = "no process" if self.pid is None else f"pid {self.pid}"
        memory = "" if self.memory_bytes is None else f", {self.memory_bytes / 2**20:.1f} MiB"
        return f"<PluginStats {self.name!r}: {self.state}, {pid}, {self.leases} leases, {self.calls} calls{memory}>"


@dataclass(frozen=True, slots=True)
class PendingLeases(_Row):
    """Callers who wait for a lease, by the plugin's name and by priority."""

    name: str
    priority: int
    count: int


@dataclass(frozen=True, slots=True)
class BreakerCount(_Row):
    """Keys by the plugin's name and by state: `closed`, `backing_off`, `half_open`, `open`."""

    name: str
    state: str
    count: int


@dataclass(frozen=True, slots=True)
class NameStats(_Row):
    """What a pool has counted since its opening, of all plugins with one name.

    Attributes:
        name: The plugins' name.
        starts: Starts by type of error, `none` for those that succeeded; types without any are left out.
        exits: Ends by reason.
        lease_wait: Seconds from asking for a lease to having it, by outcome; outcomes without any are left out.
        lease_use: Seconds from having a lease to giving it back.
        lease_timeouts, leases_refused, leases_leaked: Leases that ended so.
        calls: Calls that have ended.
        calls_failed: Those among them whose status is not OK.
        calls_unknown: Those among them that had begun when their plugin died: what they did is not known.
        call_seconds: Their durations.
    """

    name: str
    starts: Mapping[str, int] = field(default_factory=dict)
    exits: Mapping[str, int] = field(default_factory=dict)
    lease_wait: Mapping[str, DurationStats] = field(default_factory=dict)
    lease_use: DurationStats = field(default_factory=DurationStats)
    lease_timeouts: int = 0
    leases_refused: int = 0
    leases_leaked: int = 0
    calls: int = 0
    calls_failed: int = 0
    calls_unknown: int = 0
    call_seconds: DurationStats = field(default_factory=DurationStats)


@dataclass(frozen=True, slots=True)
class PoolStats(_Row):
    """A pool at one moment.

    Attributes:
        name: The pool's name.
        plugins: One row for each plugin.
        names: What was counted since the opening, one row for each name of plugins.
        pending: Callers who wait for leases.
        breakers: Keys by state.
        plugins_max: The limit of plugins.
        memory_bytes: Private memory of all plugins, and once for each program what its plugins share; None if no limit
            of memory is set and nobody has asked lately, for then nothing is sampled.
        memory_limit_bytes: The limit of memory; None without one.
        start_slots_used, start_slots_max: Start slots, those of the whole process.

    Example:
        >>> stats = PoolStats("pool", (PluginStats("kv", "ready", 42),), plugins_max=500)
        >>> stats
        <PoolStats 'pool': 1 of 500 plugins (1 ready), 0 leases, 0 waiting, 0 calls, 0 unknown>
    """

    name: str
    plugins: tuple[PluginStats, ...] = ()
    names: tuple[NameStats, ...] = ()
    pending: tuple[PendingLeases, ...] = ()
    breakers: tuple[BreakerCount, ...] = ()
    plugins_max: int = 0
    memory_bytes: int | None = None
    memory_limit_bytes: int | None = None
    start_slots_used: int = 0
    start_slots_max: int = 0

    def by_state(self) -> dict[str, int]:
        """The number of plugins in each state that any is in."""
        counts: dict[str, int] = {}
        for plugin in self.plugins:
            counts[plugin.state] = counts.get(plugin.state, 0) + 1
        return counts

    @property
    def leases(self) -> int:
        """Leases at this moment."""
        return sum(plugin.leases for plugin in self.plugins)

    @property
    def waiting(self) -> int:
        """Callers who wait for a lease."""
        return sum(each.count for each in self.pending)

    @property
    def calls(self) -> int:
        """Calls that have ended since the opening."""
        return sum(each.calls for each in self.names)

    @property
    def calls_unknown(self) -> int:
        """Calls since the opening that had begun when their plugin died."""
        return sum(each.calls_unknown for each in self.names)

    def _repr_html_(self) -> str:
        """What the repr says, and a table of the plugins, for a notebook."""
        from ferrule.pool.measures.notebook import pool_html

        return pool_html(repr(self).strip("<>"), [plugin.to_dict() for plugin in self.plugins])

    def __repr__(self) -> str:
        states = ", ".join(f"{count} {state}" for state, count in self.by_state().items()) or "none"
        return (
            f"<PoolStats {self.name!r}: {len(self.plugins)} of {self.plugins_max} plugins ({states}), "
            f"{self.leases} leases, {self.waiting} waiting, {self.calls} calls, {self.calls_unknown} unknown>"
        )
