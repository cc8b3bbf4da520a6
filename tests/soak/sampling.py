"""What a soak measures of its program and of its plugins, and by how much each may grow."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from integration.usage import Usage
from soak.flatness import Limit, why_not_flat
from soak.ledger import Ledger, percentiles
from soak.member import Member

__all__ = ["MEASURES", "Measure", "Sampler", "verdict"]

MIB = 1 << 20


@dataclass(frozen=True)
class Measure:
    """A figure of each sample.

    Attributes:
        title: What it is, for people.
        unit: Of the figure.
        panel: The panel of the plot that shows it.
        limit: By how much it may grow over the later half of a run; None: by anything, it is shown alone.
        settles_seconds: How long the later half is at least for the limit to hold.
    """

    title: str
    unit: str
    panel: str
    limit: Limit | None
    settles_seconds: float = 0.0


# Limits of memory are those of the program's own noise: a collection more or less, an arena, pages that the allocator
# keeps. At some hundred pieces of work a second and one restart, 3 MiB in a quarter of an hour are below 40 bytes for a
# piece of work, or 4 KiB for a restart: less than any object that belongs to a call, a connection, or a plugin.
MEMORY = Limit(share=0.04, floor=3.0)
MEMORY_SETTLES_SECONDS = 600.0

# Of what is counted, restarts that are under way at the moment of a sample make some more or fewer. How little may be
# lost is not decided here: in the end, when all is closed, nothing at all may be left.
COUNT = Limit(share=0.1, floor=8.0)

# Times are those of a machine that does other work as well, which comes and goes: they are to double before they count.
# What a leak does to them, in lists that are searched and tables that grow, has no such bound.
MEDIAN_TIME, LONGEST_TIME = Limit(share=1.0, floor=5.0), Limit(share=2.0, floor=150.0)

MEASURES = {
    "resident_mib": Measure("the program, resident", "MiB", "memory", MEMORY, MEMORY_SETTLES_SECONDS),
    "private_mib": Measure("the program, private", "MiB", "memory", MEMORY, MEMORY_SETTLES_SECONDS),
    "python_plugins_mib": Measure("Python plugins, private", "MiB", "memory", MEMORY, MEMORY_SETTLES_SECONDS),
    "go_plugins_mib": Measure("Go plugins, private", "MiB", "memory", None),
    "descriptors": Measure("the program's descriptors", "", "counts", COUNT),
    "plugin_descriptors": Measure("of plugins that are never killed", "", "counts", COUNT),
    "threads": Measure("threads", "", "small counts", COUNT),
    "tasks": Measure("tasks", "", "small counts", COUNT),
    "children": Measure("processes", "", "small counts", COUNT),
    "call_p50_ms": Measure("call, median", "ms", "latency", MEDIAN_TIME, MEMORY_SETTLES_SECONDS),
    "call_p99_ms": Measure("call, 99th percentile", "ms", "long latency", LONGEST_TIME, MEMORY_SETTLES_SECONDS),
    "exchange_p50_ms": Measure("brokered exchange, median", "ms", "latency", MEDIAN_TIME, MEMORY_SETTLES_SECONDS),
    "apply_p50_ms": Measure("plan, apply, read, median", "ms", "latency", MEDIAN_TIME, MEMORY_SETTLES_SECONDS),
    "recovery_p50_ms": Measure("from a kill to the next call, median", "ms", "long latency", LONGEST_TIME,
                               MEMORY_SETTLES_SECONDS),
    "cpu_share": Measure("CPU of the program", "cores", "load", Limit(share=0.5, floor=0.1), MEMORY_SETTLES_SECONDS),
    "work_per_second": Measure("pieces of work", "per s", "work", None),
}  # fmt: skip


def private_bytes(pid: int) -> int:
    """Memory that a process shares with no other; 0 if it has ended."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        kinds = ("Private_Clean:", "Private_Dirty:")
        return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith(kinds))
    return 0


def descriptors_of(pid: int) -> int:
    """Open descriptors of a process; 0 if it has ended."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    return 0


class Sampler:
    """Samples, one after the other, as lists by measure."""

    def __init__(self, ledger: Ledger, members: Sequence[Member]) -> None:
        self.times: list[float] = []
        self.values: dict[str, list[float]] = {name: [] for name in MEASURES}
        self._ledger = ledger
        self._veterans = [member for member in members if member.is_veteran]
        self._begun = self._last = time.monotonic()
        self._cpu, self._ends = time.process_time(), 0

    async def take_some(self, count: int, pause: float) -> None:
        """Takes so many samples, with so many seconds between two of them at least."""
        for _ in range(count):
            await asyncio.sleep(pause)
            self.take()

    def take(self) -> None:
        """Takes one sample."""
        usage = Usage.now()
        self._note("resident_mib", usage.resident_bytes / MIB)
        self._note("private_mib", private_bytes(os.getpid()) / MIB)
        for name in ("descriptors", "threads", "tasks", "children"):
            self._note(name, getattr(usage, name))
        self._take_plugins()
        self._take_latencies()
        self._take_load()

    def _take_plugins(self) -> None:
        for language in ("python", "go"):
            pids = [member.pid for member in self._veterans if ("Python" in member.name) == (language == "python")]
            self._note(f"{language}_plugins_mib", sum(map(private_bytes, pids)) / MIB)
        self._note("plugin_descriptors", sum(descriptors_of(member.pid) for member in self._veterans))

    def _take_latencies(self) -> None:
        calls = percentiles(self._ledger.take_milliseconds("call"))
        self._note("call_p50_ms", calls[0])
        self._note("call_p99_ms", calls[1])
        for kind in ("exchange", "apply", "recovery"):
            self._note(f"{kind}_p50_ms", percentiles(self._ledger.take_milliseconds(kind))[0])

    def _take_load(self) -> None:
        now, cpu, ends = time.monotonic(), time.process_time(), self._ledger.ends.total()
        self._note("cpu_share", (cpu - self._cpu) / (now - self._last))
        self._note("work_per_second", (ends - self._ends) / (now - self._last))
        self._last, self._cpu, self._ends = now, cpu, ends
        self.times.append(round(now - self._begun, 2))

    def _note(self, name: str, value: float) -> None:
        self.values[name].append(round(value, 3))


def verdict(times: Sequence[float], values: dict[str, list[float]]) -> list[str]:
    """What is not flat, in words."""
    half = (times[-1] - times[0]) / 2
    found = []
    for name, measure in MEASURES.items():
        if measure.limit is not None and half >= measure.settles_seconds:
            why = why_not_flat(times, values[name], measure.limit)
            found += [f"{measure.title}{measure.unit and f' ({measure.unit})'}: {why}"] if why else []
    return found
