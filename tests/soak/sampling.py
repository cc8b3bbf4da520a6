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

__all__ = ["MEASURES", "MIB", "SETTLES_SECONDS", "Measure", "Sampler", "verdict"]

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
# keeps. At a hundred pieces of work a second and a restart, they are some fifty bytes for a piece of work, or some KiB
# for a restart, in a quarter of an hour: less than what belongs to a call, or to a plugin with its connection.
MEMORY = Limit(share=0.04, floor=3.0)
SETTLES_SECONDS = 600.0
"""What the later half of a run lasts at least for its memory and its times to be judged."""

# Of what is counted, restarts that are under way at the moment of a sample make some more or fewer. How little may be
# lost is not decided here: in the end, when all is closed, nothing at all may be left.
COUNT = Limit(share=0.1, floor=8.0)

# A task for each piece of work, and some more for those that wait: many on a machine that has other work.
TASKS = Limit(share=0.3, floor=30.0)

# The medians follow the other work of the machine, by factors. The fastest tenth does so far less, and what accumulates
# in the program, such as a list that is searched, makes every call slower. CPU is that of a piece of work.
FASTEST_TIME, CPU = Limit(share=1.0, floor=10.0), Limit(share=0.5, floor=1.0)

MEASURES = {
    "resident_mib": Measure("the program, resident", "MiB", "memory", MEMORY, SETTLES_SECONDS),
    "private_mib": Measure("the program, private", "MiB", "memory", MEMORY, SETTLES_SECONDS),
    "python_plugins_mib": Measure("Python plugins, private", "MiB", "memory", MEMORY, SETTLES_SECONDS),
    "go_plugins_mib": Measure("Go plugins, private", "MiB", "memory", None),
    "descriptors": Measure("the program's descriptors", "", "counts", COUNT),
    "plugin_descriptors": Measure("of plugins that are never killed", "", "counts", COUNT),
    "threads": Measure("threads", "", "small counts", COUNT),
    "tasks": Measure("tasks", "", "small counts", TASKS),
    "children": Measure("processes", "", "small counts", COUNT),
    "call_p10_ms": Measure("call, fastest tenth", "ms", "fastest", FASTEST_TIME, SETTLES_SECONDS),
    "exchange_p10_ms": Measure("brokered exchange, fastest tenth", "ms", "fastest", FASTEST_TIME, SETTLES_SECONDS),
    "apply_p10_ms": Measure("plan, apply, read, fastest tenth", "ms", "fastest", FASTEST_TIME, SETTLES_SECONDS),
    "call_p50_ms": Measure("call, median", "ms", "latency", None),
    "exchange_p50_ms": Measure("brokered exchange, median", "ms", "latency", None),
    "apply_p50_ms": Measure("plan, apply, read, median", "ms", "latency", None),
    "call_p99_ms": Measure("call, 99th percentile", "ms", "long latency", None),
    "recovery_p50_ms": Measure("from a kill to the next call, median", "ms", "long latency", None),
    "cpu_ms": Measure("CPU of the program for a piece of work", "ms", "cpu", CPU, SETTLES_SECONDS),
    "work_per_second": Measure("pieces of work", "per s", "work", None),
}


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
        for kind in ("call", "exchange", "apply", "recovery"):
            found = percentiles(self._ledger.take_milliseconds(kind), (10, 50, 99))
            for percent, value in found.items():
                if f"{kind}_p{percent}_ms" in MEASURES:
                    self._note(f"{kind}_p{percent}_ms", value)

    def _take_load(self) -> None:
        now, cpu, ends = time.monotonic(), time.process_time(), self._ledger.ends.total()
        self._note("cpu_ms", 1000 * (cpu - self._cpu) / max(1, ends - self._ends))
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
