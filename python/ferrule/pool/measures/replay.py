"""Values that stand for those in a histogram, for exporters that take values alone."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

from ferrule.pool.measures.histogram import Histogram

__all__ = ["Replay"]


class Replay:
    """Gives out the values of a histogram again, those that came since the last time.

    Each value is in the bucket of the true one, and their sum is the true sum as long as none is beyond the last bound:
    all of them lie at one share of the way through their bucket. Beyond the last bound, values make up for the rest of
    the sum.
    """

    __slots__ = ("_counts", "_sum")

    def __init__(self) -> None:
        self._counts: Sequence[int] = ()
        self._sum = 0.0

    def values(self, histogram: Histogram) -> Iterator[tuple[float, int]]:
        """Each value that came, with how often it did."""
        counts, total = list(histogram.counts), histogram.sum
        before = self._counts or [0] * len(counts)
        new = [count - old for count, old in zip(counts, before, strict=True)]
        rest = total - self._sum
        self._counts, self._sum = counts, total
        return _spread((0.0, *histogram.bounds), new, rest)


def _spread(bounds: Sequence[float], counts: Sequence[int], total: float) -> Iterator[tuple[float, int]]:
    *within, beyond = counts
    buckets = [(lower, upper, count) for (lower, upper), count in zip(itertools.pairwise(bounds), within, strict=True)]
    floor = sum(count * lower for lower, _, count in buckets) + beyond * bounds[-1]
    room = sum(count * (upper - lower) for lower, upper, count in buckets)
    # Half of the way, if those beyond the last bound take the rest.
    share = 0.5 if beyond or not room else min(max((total - floor) / room, 0.0), 1.0)
    for lower, upper, count in buckets:
        if count:
            # Rounding may lead to the bound below, which is the lower bucket's, or beyond the one above.
            least = math.nextafter(lower, math.inf) if lower else 0.0
            yield min(max(lower + share * (upper - lower), least), upper), count
    if beyond:
        last = bounds[-1]
        yield max(last + (total - floor - share * room) / beyond, math.nextafter(last, math.inf)), beyond
