"""When the processes of a pool are measured: as seldom as those allow who want to know."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, Final

from ferrule.pool.machine.processes import CpuTime, Memory, ProcessMeter

__all__ = ["BATCH", "FRESH_SECONDS", "SAMPLE_SECONDS", "Sample", "Sampler"]

SAMPLE_SECONDS: Final = 10.0
"""Seconds between two samples of one process, under a limit of memory."""

FRESH_SECONDS: Final = 2.0
"""Age in seconds up to which a sample is good enough for those who ask for statistics."""

BATCH: Final = 16
"""Processes that are measured in one turn of the event loop: at most 4 ms."""

CLOSE_TO_LIMIT: Final = 0.8
"""Share of the limit of memory from which on processes are measured exactly, and more often."""

CLOSE_SAMPLE_SECONDS: Final = 1.0
"""Seconds between two samples of one process then, and after its start: most of its growth is in its first calls."""


class Sample:
    """What one process used when it was measured last.

    Attributes:
        pid (int): The process.
        program (str): Its program: all processes of one share pages.
        owner (Any): What the caller keeps with it.
        memory (Memory | None): None before it could be measured.
        cpu (CpuTime): Its seconds of CPU.
        at (float): When it was measured.
    """

    __slots__ = ("at", "cpu", "memory", "owner", "pid", "program")

    def __init__(self, pid: int, program: str, owner: Any, at: float) -> None:
        self.pid = pid
        self.program = program
        self.owner = owner
        self.memory: Memory | None = None
        self.cpu = CpuTime()
        self.at = at

    def __repr__(self) -> str:
        return f"<Sample: pid {self.pid}, {self.memory}, {self.cpu}>"


class Sampler:
    """Measures the processes of one pool: each when it starts, later only for a limit, or for those who ask.

    Without a limit of memory, and without anybody who asks for statistics, nothing is measured: of an idle pool that
    would be the largest part of its cost. With a limit, a few processes at a time are, so that all have their turn
    every 10 s and no turn of the event loop takes long; close to the pool's limit exactly, and every second.

    Args:
        meter: Measures one process.
        now: The time in seconds.
        limit: The pool's limit of private memory in bytes; default none.

    Attributes:
        limit (int | None): As given.
        has_own_limits (bool): Whether some process has a limit of its own.
    """

    def __init__(self, meter: ProcessMeter, now: Callable[[], float], limit: int | None = None) -> None:
        self.limit = limit
        self.has_own_limits = False
        self._meter = meter
        self._now = now
        self._samples: dict[int, Sample] = {}
        self._next_time = 0.0

    def add(self, pid: int, program: str, owner: Any = None) -> Sample:
        """Measures a process that has just become ready, and from now on whenever it is due."""
        now = self._now()
        if not self._samples:
            self._next_time = now + SAMPLE_SECONDS
        sample = self._samples[pid] = Sample(pid, program, owner, now)
        self._measure(sample, exactly=self._has_limit)
        if self._has_limit:
            self._next_time = min(self._next_time, now + self._pause(CLOSE_SAMPLE_SECONDS))
        return sample

    def remove(self, pid: int) -> CpuTime:
        """Forgets a process that ends; its seconds of CPU, measured once more if it is still there."""
        sample = self._samples.pop(pid, None)
        if sample is None:
            return CpuTime()
        last = self._meter.cpu(pid) or sample.cpu
        # The pid of one that has crashed may be another process's by now.
        return CpuTime(max(last.user, sample.cpu.user), max(last.system, sample.cpu.system))

    def next_time(self) -> float | None:
        """When `tick` is due; None for never."""
        return self._next_time if self._samples and self._has_limit else None

    def tick(self) -> list[Sample]:
        """Measures the processes whose turn it is; those that were measured, without those that have ended."""
        now = self._now()
        if not self._has_limit or now < self._next_time:
            return []
        batch = list(itertools.islice(self._samples.values(), BATCH))
        exactly = self._is_close()
        for sample in batch:
            # Behind the others.
            self._samples[sample.pid] = self._samples.pop(sample.pid)
        self._next_time = now + self._pause(CLOSE_SAMPLE_SECONDS if exactly else SAMPLE_SECONDS)
        return [sample for sample in batch if self._measure(sample, exactly=exactly)]

    def refresh(self) -> None:
        """Measures the processes whose last sample is older than 2 s. Any thread may call it."""
        oldest = self._now() - FRESH_SECONDS
        for sample in list(self._samples.values()):
            if sample.at <= oldest or sample.memory is None:
                self._measure(sample, exactly=False)

    @property
    def private(self) -> int:
        """Private bytes of all processes, as sampled last."""
        return sum(sample.memory.private for sample in list(self._samples.values()) if sample.memory is not None)

    @property
    def total(self) -> int:
        """Bytes of all processes as sampled last: their private memory, and once for each program what they share."""
        shared: dict[str, int] = {}
        for sample in list(self._samples.values()):
            if sample.memory is not None:
                shared[sample.program] = max(sample.memory.shared, shared.get(sample.program, 0))
        return self.private + sum(shared.values())

    @property
    def _has_limit(self) -> bool:
        return self.limit is not None or self.has_own_limits

    def _is_close(self) -> bool:
        return self.limit is not None and self.private > CLOSE_TO_LIMIT * self.limit

    def _pause(self, seconds: float) -> float:
        """Seconds until the next few processes are measured, if each is to be once in so many."""
        return seconds * min(1.0, BATCH / max(len(self._samples), 1))

    def _measure(self, sample: Sample, *, exactly: bool) -> bool:
        """Whether the process could be measured."""
        sample.at = self._now()
        memory = self._meter.exact(sample.pid) if exactly else self._meter.quick(sample.pid)
        sample.memory = memory or sample.memory
        sample.cpu = self._meter.cpu(sample.pid) or sample.cpu
        return memory is not None
