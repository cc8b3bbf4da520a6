"""A pool that has done a little of everything, for the tests of exporters."""

from __future__ import annotations

from ferrule.pool.measures import BreakerCount, MeasuresByName, PendingLeases, PluginStats, PoolStats, names_of

MIB = 2**20


class WatchedPool:
    """What exporters need of a pool, with values that are known."""

    def __init__(self, name: str = "main") -> None:
        self.name = name
        self.measures = MeasuresByName()
        kv = self.measures["kv"]
        kv.starts["none"] += 3
        kv.starts["timeout"] += 1
        kv.start_phases["launch"].add(0.03)
        kv.exits["idle", "shutdown"] += 1
        kv.exits["crash", ""] += 2
        kv.lease_wait["warm"].add(0.000_05)
        kv.lease_wait["warm"].add(0.000_07)
        kv.lease_wait["cold"].add(0.2)
        kv.lease_use.add(40_000.0)
        kv.lease_timeouts += 4
        kv.leases_refused += 5
        kv.leases_leaked += 6
        kv.calls["/kv.KV/Get"].seconds["OK"].add(0.000_2)
        kv.calls["/kv.KV/Put"].seconds["UNAVAILABLE"].add(1.5)
        kv.calls["/kv.KV/Put"].unknown += 1
        kv.cpu_user, kv.cpu_system = 1.0, 0.5
        kv.bytes_sent, kv.bytes_received = 100, 1_000
        self.plugins = [
            PluginStats("kv", "leased", 42, calls_in_flight=2, memory_bytes=3 * MIB, cpu_user=0.25, bytes_sent=7),
            PluginStats("kv", "ready", 43, memory_bytes=4 * MIB, bytes_received=9),
            PluginStats("aws", "queued"),
        ]
        self.memory_limit_bytes: int | None = 100 * MIB

    def stats(self) -> PoolStats:
        return PoolStats(
            self.name,
            tuple(self.plugins),
            names_of(self.measures),
            (PendingLeases("aws", 5, 2), PendingLeases("kv", 0, 1)),
            (BreakerCount("kv", "open", 1), BreakerCount("kv", "closed", 2)),
            plugins_max=500,
            memory_bytes=19 * MIB,
            memory_limit_bytes=self.memory_limit_bytes,
            start_slots_used=1,
            start_slots_max=2,
        )
