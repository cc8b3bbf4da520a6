"""Accounts: what a pool counts of its leases, starts and ends."""

from __future__ import annotations

from ferrule.client import RPCPluginClient
from ferrule.pool.errors import LeaseTimeout, PoolFull
from ferrule.pool.machine import CpuTime
from ferrule.pool.measures import Measures, MeasuresByName, error_type
from ferrule.pool.policy import Hold, Plugin, Waiter
from ferrule.pool.spec import PluginSpec

__all__ = ["Accounts"]


class Accounts:
    """The measures of one pool, by events of its driver.

    Attributes:
        measures: The measures by the plugins' names.
    """

    def __init__(self) -> None:
        self.measures = MeasuresByName()

    def of(self, spec: PluginSpec) -> Measures:
        """The measures of all plugins with the spec's name."""
        return self.measures[str(spec.name)]

    def granted(self, waiter: Waiter, hold: Hold, now: float) -> None:
        """A caller who waited has a lease."""
        ready_at = hold.plugin.ready_at
        outcome = "cold" if ready_at is not None and ready_at >= waiter.since else "warm"
        self.of(waiter.entry.spec).lease_wait[outcome].add(now - waiter.since)

    def refused(self, spec: PluginSpec, waited: float, error: BaseException) -> None:
        """A caller has no lease, and is told why."""
        measures = self.of(spec)
        if isinstance(error, LeaseTimeout):
            outcome = "timeout"
            measures.lease_timeouts += 1
        elif isinstance(error, PoolFull):
            outcome = "refused"
            measures.leases_refused += 1
        else:
            outcome = "failed" if isinstance(error, Exception) else "cancelled"
        measures.lease_wait[outcome].add(waited)

    def started(self, plugin: Plugin, timings: dict[str, float], now: float) -> None:
        """A plugin's process answers."""
        phases = self.of(plugin.entry.spec).start_phases
        started_at = now if plugin.started_at is None else plugin.started_at
        phases["slot_wait"].add(max(0.0, started_at - plugin.queued_at))
        for phase, seconds in timings.items():
            if phase in phases:
                phases[phase].add(seconds)

    def start_ended(self, plugin: Plugin, error: BaseException | None) -> None:
        """A start has succeeded, its configuration included, or not."""
        self.of(plugin.entry.spec).starts[error_type(error)] += 1

    def ended(self, plugin: Plugin, client: RPCPluginClient, reason: str, cpu: CpuTime) -> None:
        """Nothing is left of a plugin that had started."""
        measures, report = self.of(plugin.entry.spec), client.stop_report
        measures.exits[reason, "" if report is None or reason == "crash" else report.rung] += 1
        measures.cpu_user += cpu.user
        measures.cpu_system += cpu.system
        measures.bytes_sent += client.bytes_sent
        measures.bytes_received += client.bytes_received
