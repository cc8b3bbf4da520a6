"""Durations in buckets with fixed bounds."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Final

__all__ = ["SECONDS_BOUNDS", "Histogram", "merged"]

SECONDS_BOUNDS: Final = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0),
)
"""Upper bounds of the buckets, in seconds: from a warm call (0.2 ms) to the creation of a database by a provider."""


class Histogram:
    """Durations counted in buckets, each up to and including its bound, as Prometheus and OpenTelemetry have them.

    One thread adds; other threads may read meanwhile, and may then see a count without its part of `sum`.

    Args:
        bounds: Upper bounds in ascending order; beyond the last one there is one more bucket.

    Attributes:
        bounds (Sequence[float]): As given.
        counts (list[int]): The number of values in each bucket, one more than there are bounds.
        sum (float): The sum of all values.

    Example:
        >>> waits = Histogram((0.1, 1.0))
        >>> [waits.add(seconds) for seconds in (0.05, 0.1, 0.4, 7.0)]
        [0, 0, 1, 2]
        >>> waits.counts, waits.count, waits.percentile(50)
        ([2, 1, 1], 4, 0.1)
    """

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float] = SECONDS_BOUNDS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> int:
        """Counts one value; returns its bucket."""
        # Most values are in the first buckets, where a search by halves takes longer.
        bucket = 0
        for bound in self.bounds:
            if value <= bound:
                break
            bucket += 1
        self.counts[bucket] += 1
        self.sum += value
        return bucket

    @property
    def count(self) -> int:
        """The number of values."""
        return sum(self.counts)

    def percentile(self, percent: float) -> float | None:
        """An estimate of the value below which `percent` of 100 values are, or None without any.

        Values are taken as spread evenly over their bucket, as PromQL's `histogram_quantile` does; one beyond the last
        bound counts as that bound.
        """
        counts = list(self.counts)
        rank = sum(counts) * percent / 100
        if not any(counts):
            return None
        reached = 0
        for lower, upper, number in zip((0.0, *self.bounds), self.bounds, counts, strict=False):
            if number and reached + number >= rank:
                # Rounding may lead beyond the bound.
                return min(lower + (upper - lower) * max(rank - reached, 0.0) / number, upper)
            reached += number
        return self.bounds[-1]

    def cumulative(self) -> list[tuple[float, int]]:
        """Each upper bound with the number of values up to it, the last bound being infinity."""
        return list(zip((*self.bounds, math.inf), itertools.accumulate(list(self.counts)), strict=True))

    def __repr__(self) -> str:
        return f"<Histogram: {self.count} values, sum {self.sum:.6g}>"


def merged(histograms: Iterable[Histogram]) -> Histogram:
    """One histogram with the values of several, all with the bounds of durations."""
    whole = Histogram()
    for each in histograms:
        whole.counts = [ours + theirs for ours, theirs in zip(whole.counts, each.counts, strict=True)]
        whole.sum += each.sum
    return whole
