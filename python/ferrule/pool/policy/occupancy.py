"""Occupancy: the processes of a pool, the memory that counts for them, and which of them are idle."""

from __future__ import annotations

from collections import OrderedDict
from math import inf
from typing import Protocol

from ferrule.pool.policy.context import Context
from ferrule.pool.policy.model import Entry, Plugin

__all__ = ["Budget", "Occupancy"]


class Budget(Protocol):
    """Memory that pools may share. Room that was refused before is announced by the driver: `Policy.pump`."""

    @property
    def others(self) -> int:
        """Bytes of the other pools."""

    def use(self, number: int, /) -> None:
        """Tells what this pool's plugins use now, in bytes."""

    def fits(self, number: int, limit: int, /) -> bool:
        """Whether as many bytes more leave all pools within a limit."""

    def estimate(self, program: str, /) -> int:
        """Bytes that a process of a program, which this pool has not measured, is taken to need."""


class Occupancy:
    """The processes of a pool, from the start of each until nothing is left of it.

    Attributes:
        live: The plugins that have a process.
        leaving: Those of them that end.
        idle: Those of them that are ready and have no lease, the one that was used least recently first.
        own: Bytes that count for all of them.
    """

    def __init__(self, context: Context, budget: Budget) -> None:
        self.live: dict[Plugin, None] = {}
        self.leaving: set[Plugin] = set()
        self.idle: OrderedDict[Plugin, None] = OrderedDict()
        self.own = 0
        self._leaving_bytes = 0
        self._context = context
        self._budget = budget
        self._largest: dict[str, int] = {}

    def estimate(self, entry: Entry) -> int:
        """Bytes that the next process of an entry is taken to need.

        More than the pool's whole limit counts as all of it: such a process starts when it is alone, and is measured.
        """
        size = self._largest.get(entry.program) or self._budget.estimate(entry.program)
        limit = self._context.limits.max_memory_bytes
        return size if limit is None else min(size, limit)

    def lacks(self, size: int) -> str:
        """What is lacking for one more process: "plugins", "memory" or nothing."""
        limits = self._context.limits
        if len(self.live) >= (limits.max_plugins or inf):
            return "plugins"
        limit = limits.max_memory_bytes
        return "" if limit is None or self._budget.fits(size, limit) else "memory"

    def will_lack(self, processes: int, size: int) -> bool:
        """Whether there is no room for more, even when those that end are gone."""
        most = self._context.limits.max_plugins or inf
        return len(self.live) - len(self.leaving) + processes > most or self.exceeds_memory(size)

    def exceeds_memory(self, size: int = 0) -> bool:
        """Whether there is too little memory for so many bytes more, even when the plugins that end are gone."""
        limit = self._context.limits.max_memory_bytes
        return limit is not None and self.own - self._leaving_bytes + self._budget.others + size > limit

    def can_ever_have(self, size: int) -> bool:
        """Whether so many bytes would be there if this pool had no other process."""
        limit = self._context.limits.max_memory_bytes
        return limit is None or self._budget.others + size <= limit

    def enter(self, plugin: Plugin, size: int) -> None:
        """Counts a process that is about to be started."""
        self.live[plugin] = None
        plugin.size = size
        self.own += size
        self._budget.use(self.own)

    def measure(self, plugin: Plugin, memory: int) -> None:
        """Counts what a process uses instead of what it was taken to need."""
        plugin.memory = memory
        program = plugin.entry.program
        self._largest[program] = max(memory, self._largest.get(program, 0))
        self.own += memory - plugin.size
        if plugin in self.leaving:
            self._leaving_bytes += memory - plugin.size
        plugin.size = memory
        self._budget.use(self.own)

    def leave(self, plugin: Plugin) -> None:
        """The process is being ended, or has ended and is being cleaned up after: it is no victim any more."""
        self.idle.pop(plugin, None)
        if plugin in self.live and plugin not in self.leaving:
            self.leaving.add(plugin)
            self._leaving_bytes += plugin.size

    def gone(self, plugin: Plugin) -> None:
        """Nothing is left of the process."""
        if plugin not in self.live:
            return
        self.leave(plugin)
        self.leaving.discard(plugin)
        self._leaving_bytes -= plugin.size
        del self.live[plugin]
        self.own -= plugin.size
        self._budget.use(self.own)
