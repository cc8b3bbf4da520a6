"""Memory that the plugins of all pools of the process take together, and what the next one will take."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from ferrule._weak_set import WeakSet
from ferrule.pool.machine.processes import Memory

__all__ = ["UNKNOWN_PROGRAM_BYTES", "MemoryBudget", "MemoryShare"]

UNKNOWN_PROGRAM_BYTES: Final = 150 * 2**20
"""What a program is taken to need before one of its processes has been measured: a large Terraform provider."""

MAX_PROGRAMS: Final = 1_000
"""Programs whose size is remembered."""


class MemoryBudget:
    """The memory of the plugins of all pools.

    A pool compares its own limit with what all pools use: the machine has one memory. Pools on several event loops and
    threads take part. What a pool used counts no longer when the pool is garbage-collected.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._shares: WeakSet[MemoryShare] = WeakSet()
        self._largest: dict[str, int] = {}

    def join(self, freed: Callable[[], object]) -> MemoryShare:
        """The part of one pool.

        Args:
            freed: Called without an argument when another pool uses less than when `fits` said no, on the thread of the
                other one; it must return at once, as `loop.call_soon_threadsafe` does.
        """
        share = MemoryShare(self, freed)
        with self._lock:
            self._shares.add(share)
        return share

    @property
    def total(self) -> int:
        """Bytes of all pools."""
        with self._lock:
            return sum(share.own for share in self._shares)

    def estimate(self, program: str) -> int:
        """The bytes that a new process of a program is taken to need: the most that any has had."""
        with self._lock:
            return self._largest.get(program, UNKNOWN_PROGRAM_BYTES)

    def learn(self, program: str, memory: Memory) -> None:
        """Remembers the private memory of a process of a program."""
        with self._lock:
            largest = max(self._largest.pop(program, 0), memory.private)
            self._largest[program] = largest
            while len(self._largest) > MAX_PROGRAMS:
                del self._largest[next(iter(self._largest))]

    def _use(self, share: MemoryShare, number: int) -> None:
        with self._lock:
            less, share.own = number < share.own, number
            waiting = [each for each in self._shares if less and each.waiting and each is not share]
            for each in waiting:
                each.waiting = False
        for each in waiting:
            each._tell()

    def _fits(self, share: MemoryShare, number: int, limit: int) -> bool:
        with self._lock:
            fits = sum(each.own for each in self._shares) + number <= limit
            share.waiting = not fits
            return fits

    def _leave(self, share: MemoryShare) -> None:
        self._use(share, 0)
        with self._lock:
            self._shares.discard(share)

    def _after_fork(self) -> None:
        """Forgets all uses, in a forked child: the parent's plugins are not the child's, and its lock may be taken."""
        self._lock = threading.Lock()
        for share in self._shares:
            share.own, share.waiting = 0, False
        self._shares.clear()


class MemoryShare:
    """The part of one pool in the memory of all; `MemoryBudget.join` makes it.

    Attributes:
        own (int): Bytes that the pool's plugins use, by measure or by estimate.
        waiting (bool): Whether `freed` will be called.
    """

    def __init__(self, budget: MemoryBudget, freed: Callable[[], object]) -> None:
        self.own = 0
        self.waiting = False
        self._budget = budget
        self._freed = freed

    @property
    def others(self) -> int:
        """Bytes of the other pools."""
        return self._budget.total - self.own

    def use(self, number: int) -> None:
        """Tells what the pool's plugins use now, in bytes."""
        self._budget._use(self, number)

    def fits(self, number: int, limit: int) -> bool:
        """Whether as many bytes more of this pool leave all pools within a limit; if not, `freed` is called once."""
        return self._budget._fits(self, number, limit)

    def estimate(self, program: str) -> int:
        """The bytes that a new process of a program is taken to need: the most that any has had."""
        return self._budget.estimate(program)

    def learn(self, program: str, memory: Memory) -> None:
        """Remembers the private memory of a process of a program."""
        self._budget.learn(program, memory)

    def leave(self) -> None:
        """Uses nothing and takes part no longer."""
        self._budget._leave(self)

    def _tell(self) -> None:
        try:
            self._freed()
        except Exception:  # noqa: BLE001 - a pool whose loop is closed starts nothing.
            self.leave()

    def __repr__(self) -> str:
        return f"<MemoryShare: {self.own} bytes{', waiting' if self.waiting else ''}>"
