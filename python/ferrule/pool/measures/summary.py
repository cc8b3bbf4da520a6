"""Rows of `PoolStats` out of what was counted."""

from __future__ import annotations

from ferrule.pool.measures.counters import Measures, MeasuresByName
from ferrule.pool.measures.histogram import merged
from ferrule.pool.measures.stats import DurationStats, NameStats

__all__ = ["names_of"]


def names_of(measures: MeasuresByName) -> tuple[NameStats, ...]:
    """One row for each name; other threads than the loop's may ask."""
    return tuple(_name(name, each) for name, each in list(measures.items()))


def _name(name: str, measures: Measures) -> NameStats:
    methods = list(measures.calls.values())
    calls = [(status, each) for method in methods for status, each in list(method.seconds.items())]
    exits: dict[str, int] = {}
    for (reason, _), count in list(measures.exits.items()):
        exits[reason] = exits.get(reason, 0) + count
    return NameStats(
        name,
        starts={error: count for error, count in measures.starts.items() if count},
        exits=exits,
        lease_wait={outcome: DurationStats.of(each) for outcome, each in measures.lease_wait.items() if each.count},
        lease_use=DurationStats.of(measures.lease_use),
        lease_timeouts=measures.lease_timeouts,
        leases_refused=measures.leases_refused,
        leases_leaked=measures.leases_leaked,
        calls=sum(each.count for _, each in calls),
        calls_failed=sum(each.count for status, each in calls if status != "OK"),
        calls_unknown=sum(method.unknown for method in methods),
        call_seconds=DurationStats.of(merged(each for _, each in calls)),
    )
