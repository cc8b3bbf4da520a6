"""Whether a measure of a run stays where it is: the rule by which a soak passes or fails.

The rule is the growth over the later half of the run, by the Theil-Sen estimator: the median of the slopes of all pairs
of samples, times the length of that half.

- **The later half**, since allocators, caches and thread pools take in the first half what they keep for ever.
- **A median of slopes**, since a mean follows single samples: a collection that ran late, a plugin that was being
  restarted, a second in which the machine had other work. A median moves only if most of the run moves.
- **A limit** that is a share of the level, or a floor where the level is low. What a sample cannot tell from noise is
  no leak; the limits in `soak.sampling` say how large a leak remains unseen.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

__all__ = ["FEWEST_SAMPLES", "Limit", "growth", "later_half", "why_not_flat"]

FEWEST_SAMPLES = 8
"""Samples in the later half below which nothing is said of a run."""


@dataclass(frozen=True)
class Limit:
    """By how much a measure may grow over the later half of a run: the larger of a share of its level, and a floor."""

    share: float
    floor: float

    def of(self, level: float) -> float:
        """The limit at a level, in the measure's unit."""
        return max(self.share * level, self.floor)


def later_half(times: Sequence[float], values: Sequence[float]) -> tuple[list[float], list[float]]:
    """The samples after the middle of the run's time."""
    middle = (times[0] + times[-1]) / 2
    kept = [(time, value) for time, value in zip(times, values, strict=True) if time > middle]
    return [time for time, _ in kept], [value for _, value in kept]


def growth(times: Sequence[float], values: Sequence[float]) -> float:
    """By how much a measure grows from the first to the last of these samples, by Theil and Sen."""
    pairs = combinations(zip(times, values, strict=True), 2)
    slope = statistics.median((later - earlier) / (at - before) for (before, earlier), (at, later) in pairs)
    return slope * (times[-1] - times[0])


def why_not_flat(times: Sequence[float], values: Sequence[float], limit: Limit) -> str | None:
    """What is wrong with a measure, in words; None if it is flat over the later half of the run.

    Raises:
        ValueError: The later half has fewer than `FEWEST_SAMPLES` samples.
    """
    later_times, later = later_half(times, values)
    if len(later) < FEWEST_SAMPLES:
        raise ValueError(f"{len(later)} samples in the later half of the run, expected {FEWEST_SAMPLES} or more")
    grown, level = growth(later_times, later), statistics.median(later)
    allowed = limit.of(level)
    if grown <= allowed:
        return None
    seconds = later_times[-1] - later_times[0]
    return f"grows by {grown:.1f} at a level of {level:.1f} in {seconds:.0f} s, and {allowed:.1f} are allowed"
