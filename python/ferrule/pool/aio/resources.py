"""Resources: what a pool has of the machine, beside the other pools of the process."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Final

from ferrule.pool.limits import Limits
from ferrule.pool.machine import (
    CpuTime,
    MemoryShare,
    ProcessMeter,
    Sample,
    Sampler,
    SlotShare,
    check_max_plugins,
    default_max_plugins,
    this_machine,
)
from ferrule.pool.policy import Plugin

__all__ = ["Resources"]


FIRST_GROWTH: Final = 1.25
"""By how much a process is taken to grow in its first calls, as long as no other of its program tells."""

LATEST_SHARE: Final = 0.2
"""Weight of the latest sample in what processes of one program have grown to."""


class Resources:
    """What one pool has of start slots and memory, and what its processes use.

    Args:
        limits: The limits as the user gave them.
        now: The time.
        meter: Measures processes.

    Attributes:
        limits: The limits; once the pool is open, with numbers where the machine's were asked for.
        slots: The start slots, once the pool is open.
        memory: The memory, once the pool is open.
        sampler: What the processes use.
    """

    slots: SlotShare
    memory: MemoryShare

    def __init__(self, limits: Limits, now: Callable[[], float], meter: ProcessMeter) -> None:
        self.limits = limits
        self.sampler = Sampler(meter, now, limits.max_memory_bytes)
        self._samples: dict[Plugin, Sample] = {}
        self._grown: dict[str, float] = {}

    def resolved(self) -> Limits:
        """The limits with numbers where the machine's are asked for.

        Raises:
            ConfigError: The machine has no room for as many plugins.
        """
        return _resolved(self.limits)

    def join(self, limits: Limits, room_made: Callable[[], object]) -> None:
        """Takes part in what all pools of the process share; told when others give back what was refused."""
        machine = this_machine()
        self.limits = limits
        self.slots = machine.start_slots.join(room_made, limits.start_slots)
        self.memory = machine.memory.join(room_made)

    def resize(self, limits: Limits) -> Limits:
        """Has other limits hold; returns them with numbers where the machine's are asked for."""
        limits = _resolved(limits)
        self.limits = limits
        self.slots.resize(limits.start_slots)
        self.sampler.limit = limits.max_memory_bytes
        return limits

    def leave(self) -> None:
        """Takes part no longer."""
        self.slots.leave()
        self.memory.leave()

    def started(self, plugin: Plugin, pid: int | None) -> int | None:
        """Measures a process that has just started; the bytes that count for it, None where it cannot be measured.

        Most of a process's growth is in its first calls: until it is measured again, about a second later, it counts as
        what others of its program have grown to.
        """
        if pid is None:
            return None
        if plugin.entry.spec.max_memory_bytes is not None:
            self.sampler.has_own_limits = True
        sample = self._samples[plugin] = self.sampler.add(pid, plugin.entry.program, plugin)
        if sample.memory is None:
            return None
        self.memory.learn(plugin.entry.program, sample.memory)
        private = sample.memory.private
        limit = self.limits.max_memory_bytes
        if limit is None or plugin.entry.spec.max_memory_bytes is not None:
            # The start itself is judged by it.
            return private
        grown = self._grown.get(plugin.entry.program, FIRST_GROWTH * private)
        return max(private, min(int(grown), limit))

    def ended(self, plugin: Plugin) -> CpuTime:
        """Forgets a process that is about to end; its seconds of CPU."""
        sample = self._samples.pop(plugin, None)
        return self.sampler.remove(-1 if sample is None else sample.pid)

    def of(self, plugin: Plugin) -> Sample | None:
        """What a process used when it was measured last."""
        return self._samples.get(plugin)

    @property
    def slots_used(self) -> int:
        """Start slots that are taken, by all pools of the process."""
        return this_machine().start_slots.used

    @property
    def slots_max(self) -> int:
        """Start slots of the process."""
        return this_machine().start_slots.total

    def next_time(self) -> float | None:
        """When `sampled` is due; None for never."""
        return self.sampler.next_time()

    def sampled(self) -> Iterator[tuple[Plugin, int]]:
        """Measures the processes whose turn it is; each with its private memory in bytes."""
        for sample in self.sampler.tick():
            if sample.memory is not None:
                self.memory.learn(sample.program, sample.memory)
                private = sample.memory.private
                grown = self._grown.get(sample.program, private)
                self._grown[sample.program] = grown + LATEST_SHARE * (private - grown)
                yield sample.owner, private


def _resolved(limits: Limits) -> Limits:
    if limits.max_plugins is None:
        return dataclasses.replace(limits, max_plugins=default_max_plugins())
    check_max_plugins(limits.max_plugins)
    return limits
