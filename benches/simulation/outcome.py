"""What came of a run."""

import math
from dataclasses import dataclass, field


@dataclass
class Outcome:
    """Counts of calls and plugins.

    Attributes:
        offered: Calls of the whole run; the next four add up to it.
        done: Calls that were answered.
        timed_out: Calls that waited for the longest time that they may.
        refused: Calls that came when too many others were there.
        unknown: Calls that ran on a node when it was lost.
        moved: Calls that waited on a node when it was lost, and were sent to another.
        measured: Calls that arrived in the measured time.
        cold: Measured calls that found no plugin ready.
        in_time: Measured calls that were answered before the end of the measured time.
        waits: Seconds that each measured call waited before it began, sorted.
        mean_mib: Memory of the plugins of a node, mean of all nodes over the measured time.
        peak_mib: Memory of the plugins of a node, the highest of any.
        starts: Plugins started.
        evicted: Idle plugins stopped for room.
    """

    offered: int = 0
    done: int = 0
    timed_out: int = 0
    refused: int = 0
    unknown: int = 0
    moved: int = 0
    measured: int = 0
    cold: int = 0
    in_time: int = 0
    waits: list[float] = field(default_factory=list)
    mean_mib: float = 0.0
    peak_mib: float = 0.0
    starts: int = 0
    evicted: int = 0

    def wait_seconds(self, share: float) -> float:
        """The wait that this share of the measured calls does not exceed, of those that began at all."""
        return self.waits[min(len(self.waits) - 1, int(share * len(self.waits)))] if self.waits else math.nan
