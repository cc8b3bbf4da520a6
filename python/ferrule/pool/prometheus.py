"""Metrics of pools for Prometheus.

    from prometheus_client import REGISTRY
    from ferrule.pool.prometheus import PoolCollector

    REGISTRY.register(PoolCollector(pool))

Everything is read when it is scraped; calls and leases cost no more than without it. The page Observing pools has the
names.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

try:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
    from prometheus_client.metrics_core import Metric as MetricFamily
    from prometheus_client.registry import Collector
except ImportError:
    raise ImportError(
        'ferrule.pool.prometheus needs the package prometheus-client: pip install "ferrule[prometheus]"'
    ) from None

from ferrule.pool.measures import Histogram
from ferrule.pool.measures.catalogue import CATALOGUE
from ferrule.pool.measures.reading import MeasuredPool, Metric, Reading, Source

__all__ = ["PoolCollector"]


class PoolCollector(Collector):
    """The metrics of one pool or of several, for a registry.

    A registry takes each name once, so all pools of one registry belong into one collector.

    Args:
        pools: The pools; their names should differ, for the label `pool` tells them apart.
    """

    def __init__(self, *pools: MeasuredPool) -> None:
        self._sources = [Source(pool) for pool in pools]

    def add(self, pool: MeasuredPool) -> None:
        """Collects the metrics of one more pool."""
        self._sources.append(Source(pool))

    def remove(self, pool: MeasuredPool) -> None:
        """Collects the metrics of a pool no longer."""
        self._sources = [source for source in self._sources if source.pool is not pool]

    def describe(self) -> Iterator[MetricFamily]:
        """The metrics without values; a registry asks for them when the collector is registered."""
        return (_family(metric) for metric in CATALOGUE if metric.prometheus)

    def collect(self) -> Iterator[MetricFamily]:
        """The metrics of all pools, as they are now."""
        readings = [source.read() for source in list(self._sources)]
        for metric in CATALOGUE:
            if metric.prometheus:
                yield _filled(metric, readings)


def _family(metric: Metric) -> MetricFamily:
    labels = [name.replace(".", "_") for name in metric.attributes]
    if not metric.of_process:
        labels.insert(0, "pool")
    match metric.kind:
        case "counter":
            return CounterMetricFamily(metric.prometheus, metric.description, labels=labels)
        case "histogram":
            return HistogramMetricFamily(metric.prometheus, metric.description, labels=labels)
        case _:
            return GaugeMetricFamily(metric.prometheus, metric.description, labels=labels)


def _filled(metric: Metric, readings: list[Reading]) -> MetricFamily:
    family: Any = _family(metric)
    # What is of the process is the same for all of its pools.
    for reading in readings[:1] if metric.of_process else readings:
        for attributes, value in reading.values(metric):
            labels = attributes if metric.of_process else (reading.pool, *attributes)
            if isinstance(value, Histogram):
                family.add_metric(labels, [(_bound(bound), count) for bound, count in value.cumulative()], value.sum)
            else:
                family.add_metric(labels, value)
    return family  # type: ignore[no-any-return]


def _bound(bound: float) -> str:
    return "+Inf" if math.isinf(bound) else str(bound)
