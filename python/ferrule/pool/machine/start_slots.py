"""The throttle of starts, one for all pools of the process: starts take CPUs, and all pools share those."""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Callable

from ferrule._weak_set import WeakSet
from ferrule.pool.machine.cpus import usable_cpus

__all__ = ["SlotShare", "StartSlots"]


class StartSlots:
    """Slots of which each start holds one from its launch until the plugin is ready.

    Pools on several event loops and threads take part. A slot that comes back is handed to the pool that has waited
    longest, and a pool that wants another one waits behind the others. What a pool held is free again when the pool is
    garbage-collected.

    Args:
        default: Slots of a pool that sets no number; default the usable CPUs.
    """

    def __init__(self, default: int | None = None) -> None:
        self._default = default or usable_cpus()
        self._lock = threading.Lock()
        self._shares: WeakSet[SlotShare] = WeakSet()
        self._waiting: deque[weakref.ref[SlotShare]] = deque()

    def join(self, granted: Callable[[], object], limit: int | None = None) -> SlotShare:
        """The part of one pool.

        Args:
            granted: Called without an argument when a slot has been handed to a pool that waited, on the thread of the
                one who gave it back; it must return at once, as `loop.call_soon_threadsafe` does. If it raises, as with
                a closed loop, the slot goes to the next.
            limit: Slots that this pool holds at most; default the usable CPUs.
        """
        share = SlotShare(self, granted, limit or self._default)
        with self._lock:
            self._shares.add(share)
        return share

    @property
    def total(self) -> int:
        """The number of slots: the largest that any pool asks for, else the usable CPUs."""
        with self._lock:
            return self._total()

    @property
    def used(self) -> int:
        """Slots that are held."""
        with self._lock:
            return self._used()

    def _total(self) -> int:
        return max((share.limit for share in self._shares), default=self._default)

    def _used(self) -> int:
        return sum(share.held + share.handed for share in self._shares)

    def _take(self, share: SlotShare) -> bool:
        with self._lock:
            if share.handed:
                share.handed -= 1
                share.held += 1
                return True
            if self._free_for(share) and not self._others_wait(share):
                share.held += 1
                return True
            if not share.waiting:
                share.waiting = True
                self._waiting.append(weakref.ref(share))
        # A pool that was garbage-collected has given its slots back without a word.
        self._hand_over()
        return False

    def _free_for(self, share: SlotShare) -> bool:
        return share.held + share.handed < share.limit and self._used() < self._total()

    def _others_wait(self, share: SlotShare) -> bool:
        waiting = (reference() for reference in self._waiting)
        return any(each is not None and each is not share and self._free_for(each) for each in waiting)

    def _hand_over(self) -> None:
        """Hands free slots to the pools that wait, the one that has waited longest first."""
        while (share := self._next()) is not None:
            try:
                share._granted()
            except Exception:  # noqa: BLE001 - a pool whose loop is closed takes no slot.
                with self._lock:
                    share.handed = max(share.handed - 1, 0)

    def _next(self) -> SlotShare | None:
        """The next pool that gets a slot, which nobody else can take from now on."""
        with self._lock:
            for reference in list(self._waiting):
                share = reference()
                if share is None:
                    self._waiting.remove(reference)
                elif self._free_for(share):
                    self._waiting.remove(reference)
                    share.waiting = False
                    share.handed += 1
                    return share
        return None

    def _give(self, share: SlotShare) -> None:
        with self._lock:
            share.held = max(share.held - 1, 0)
        self._hand_over()

    def _settle(self, share: SlotShare) -> None:
        with self._lock:
            share.handed = 0
        self._hand_over()

    def _leave(self, share: SlotShare) -> None:
        with self._lock:
            share.held = share.handed = 0
            share.waiting = False
            self._waiting = deque(each for each in self._waiting if each() not in {None, share})
            self._shares.discard(share)
        self._hand_over()

    def _resize(self, share: SlotShare, limit: int | None) -> None:
        with self._lock:
            share.limit = limit or self._default
        self._hand_over()

    def _after_fork(self) -> None:
        """Forgets all, in a forked child: the parent's starts are not the child's, and its lock may be taken."""
        self._lock = threading.Lock()
        for share in self._shares:
            share.held, share.handed, share.waiting = 0, 0, False
        self._shares.clear()
        self._waiting.clear()


class SlotShare:
    """The part of one pool in the start slots of the process; `StartSlots.join` makes it.

    A slot that comes back while the pool waits is handed to it: `granted` is called, `take` then takes what was handed
    over, and `settle` passes on what the pool has no more use for.

    Attributes:
        held (int): Slots that the pool has taken.
        handed (int): Slots that wait for the pool to take them.
        limit (int): Slots that it has at most.
        waiting (bool): Whether `granted` will be called.
    """

    def __init__(self, slots: StartSlots, granted: Callable[[], object], limit: int) -> None:
        self.held = 0
        self.handed = 0
        self.limit = limit
        self.waiting = False
        self._slots = slots
        self._granted = granted

    def take(self) -> bool:
        """Takes a slot; whether there was one. Without one, the pool waits, and `granted` is called once."""
        return self._slots._take(self)

    def give(self) -> None:
        """Gives back a slot that was taken."""
        self._slots._give(self)

    def settle(self) -> None:
        """Passes on slots that were handed over and not taken; a pool calls it after `granted`, when it has taken."""
        self._slots._settle(self)

    def resize(self, limit: int | None) -> None:
        """Sets how many slots the pool has at most; None for the usable CPUs. Those taken already stay."""
        self._slots._resize(self, limit)

    def leave(self) -> None:
        """Gives all slots back and takes part no longer."""
        self._slots._leave(self)

    def __repr__(self) -> str:
        return f"<SlotShare: {self.held} of {self.limit} taken{', waiting' if self.waiting else ''}>"
