"""What all pools of a process share, as they share the machine: start slots and memory."""

from __future__ import annotations

import os
import threading

from ferrule.pool.machine.memory_budget import MemoryBudget
from ferrule.pool.machine.start_slots import StartSlots

__all__ = ["Machine", "this_machine"]


class Machine:
    """The start slots and the memory that several pools share.

    Args:
        start_slots: Starts at once; default the usable CPUs.
    """

    def __init__(self, start_slots: int | None = None) -> None:
        self.start_slots = StartSlots(start_slots)
        self.memory = MemoryBudget()


_lock = threading.Lock()
_machine: Machine | None = None


def this_machine() -> Machine:
    """The one of this process; a forked child has its own."""
    global _machine  # noqa: PLW0603 - one for each process is what it is for.
    with _lock:
        if _machine is None:
            _machine = Machine()
        return _machine


def _after_fork() -> None:
    global _machine, _lock  # noqa: PLW0603
    _lock = threading.Lock()
    if _machine is not None:
        _machine.start_slots._after_fork()
        _machine.memory._after_fork()
    _machine = None


os.register_at_fork(after_in_child=_after_fork)
