"""What a pool counts, and what it tells of itself.

The pool's own code adds to `MeasuresByName`; `PluginPool.stats()` makes `PoolStats` of it; exporters read both when
they are scraped. Nothing here knows a library for metrics.
"""

from __future__ import annotations

from ferrule.pool.measures.counters import CallMeasures, Measures, MeasuresByName, PluginMeasures
from ferrule.pool.measures.histogram import SECONDS_BOUNDS, Histogram
from ferrule.pool.measures.stats import BreakerCount, DurationStats, NameStats, PendingLeases, PluginStats, PoolStats
from ferrule.pool.measures.summary import names_of
from ferrule.pool.measures.vocabulary import (
    BREAKER_STATES,
    ERROR_TYPES,
    EXIT_REASONS,
    LEASE_OUTCOMES,
    NO_ERROR,
    PLUGIN_STATES,
    START_PHASES,
    error_type,
)

__all__ = [
    "BREAKER_STATES",
    "ERROR_TYPES",
    "EXIT_REASONS",
    "LEASE_OUTCOMES",
    "NO_ERROR",
    "PLUGIN_STATES",
    "SECONDS_BOUNDS",
    "START_PHASES",
    "BreakerCount",
    "CallMeasures",
    "DurationStats",
    "Histogram",
    "Measures",
    "MeasuresByName",
    "NameStats",
    "PendingLeases",
    "PluginMeasures",
    "PluginStats",
    "PoolStats",
    "error_type",
    "names_of",
]
