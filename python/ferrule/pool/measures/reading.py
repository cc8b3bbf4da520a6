"""What exporters read: a metric, and a pool at one moment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from ferrule import _validation as rules
from ferrule.errors import ConfigError
from ferrule.pool.measures.counters import Measures, MeasuresByName
from ferrule.pool.measures.histogram import Histogram
from ferrule.pool.measures.stats import PluginStats, PoolStats

__all__ = ["MeasuredPool", "Metric", "Reading", "Source", "Value"]

Kind: TypeAlias = Literal["counter", "updown", "gauge", "histogram"]

Value: TypeAlias = tuple[tuple[str, ...], float | Histogram]
"""The values of a metric's attributes after `pool`, and the metric's value for them."""


class MeasuredPool(Protocol):
    """What exporters need of a pool."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def measures(self) -> MeasuresByName:
        """What it counts."""

    def stats(self) -> PoolStats:
        """What it tells of itself; from any thread."""


class Reading:
    """One pool at one moment.

    Args:
        pool: The pool.
        highest: The highest value of each counter so far, by its name and labels; kept up.

    Attributes:
        pool (str): The pool's name.
        stats (PoolStats): What it tells of itself.
        measures (dict[str, Measures]): What it counts, by the plugins' names.
    """

    def __init__(self, pool: MeasuredPool, highest: dict[tuple[str, ...], float]) -> None:
        self._highest = highest
        self.pool = pool.name
        self.stats = pool.stats()
        self.measures: dict[str, Measures] = dict(pool.measures)
        for name in [*(plugin.name for plugin in self.stats.plugins), *(each.name for each in self.stats.pending)]:
            self.measures.setdefault(name, Measures())
        self._plugins: dict[str, list[PluginStats]] = {name: [] for name in self.measures}
        for plugin in self.stats.plugins:
            self._plugins[plugin.name].append(plugin)

    def by_name(self) -> Iterator[tuple[str, Measures, list[PluginStats]]]:
        """Each name with what was counted of it, and its plugins."""
        for name, measures in self.measures.items():
            yield name, measures, self._plugins[name]

    def values(self, metric: Metric) -> Iterator[Value]:
        """The values of a metric, by those of its attributes after `pool`."""
        for labels, value in metric.read(self):
            if metric.kind == "counter" and not isinstance(value, Histogram):
                series = (metric.prometheus, *labels)
                value = self._highest[series] = max(value, self._highest.get(series, 0))  # noqa: PLW2901
            yield labels, value


class Source:
    """One pool, which is read again and again.

    What is counted of plugins moves from those that live to those that have ended while another thread reads; none of
    the counters falls by that, for a counter that falls means to a reader that the program was started anew.

    Raises:
        ConfigError: It is no pool.
    """

    def __init__(self, pool: MeasuredPool) -> None:
        if not hasattr(type(pool), "stats"):
            message = f"the pool is of type {type(pool).__name__}, expected a PluginPool"
            raise ConfigError(message, "Pass the pool itself.", rules.INVALID)
        self.pool = pool
        self._highest: dict[tuple[str, ...], float] = {}

    def read(self) -> Reading:
        """The pool as it is now."""
        return Reading(self.pool, self._highest)


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    Attributes:
        name: Its name for OpenTelemetry; empty if it has none.
        prometheus: Its name for Prometheus; empty if it has none.
        kind: What it is.
        unit: Its unit, as UCUM writes it.
        description: What it says.
        attributes: Their names after `pool`; those of the whole process have none at all.
        read: Its values.
        of_process: Whether it is of the whole process, and the same for all of its pools.
    """

    name: str
    prometheus: str
    kind: Kind
    unit: str
    description: str
    attributes: tuple[str, ...]
    read: Callable[[Reading], Iterable[Value]]
    of_process: bool = False
