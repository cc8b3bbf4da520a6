"""Dispatch: what follows from an event, for an entry and for the pool."""

from __future__ import annotations

from ferrule.pool.policy import refusals
from ferrule.pool.policy.commands import Refuse
from ferrule.pool.policy.context import Context
from ferrule.pool.policy.model import Entry, Plugin, Waiter
from ferrule.pool.policy.queue import Queue
from ferrule.pool.policy.recycling import Recycling
from ferrule.pool.policy.starts import Starts
from ferrule.pool.policy.turns import Turns

__all__ = ["Dispatch"]


class Dispatch:
    """Sees, after each event, that those who wait get what there is, and that the rest is started."""

    def __init__(self, context: Context, queue: Queue, starts: Starts, recycling: Recycling, turns: Turns) -> None:
        self._context = context
        self._queue = queue
        self._starts = starts
        self._recycling = recycling
        self._turns = turns

    def serve(self, entry: Entry, now: float) -> None:
        """Grants what can be granted, and sees that a plugin starts for those who wait for one."""
        for plugin in self._queue.serve(entry, now):
            self._recycling.renew(plugin, "calls", now)
            self._starts.settle(plugin.entry, now)
        self._starts.settle(entry, now)

    def pump(self, now: float) -> None:
        """Starts what can be started."""
        self._starts.pump(now)
        entry = self._turns.review(now)
        if entry is not None:
            self.serve(entry, now)
            self._starts.pump(now)

    def next_time(self) -> float | None:
        """When `tick` is to be called."""
        return self._context.timers.first_rank()

    def tick(self, now: float) -> None:
        """Does what is due."""
        timers = self._context.timers
        while (when := timers.first_rank()) is not None and when <= now:
            due = timers.take()
            if isinstance(due, Waiter):
                self._time_out(due, now)
            elif isinstance(due, Plugin):
                self._recycling.look(due, now)
                self.serve(due.entry, now)
            elif isinstance(due, Entry):
                self._retry(due, now)
            # Else the turns, which `pump` looks at.
        self.pump(now)

    def _time_out(self, waiter: Waiter, now: float) -> None:
        error = refusals.timeout(waiter, now, self._starts.blocked_by)
        self._queue.remove(waiter)
        self._context.commands.append(Refuse(waiter, error))
        self._starts.settle(waiter.entry, now)

    def _retry(self, entry: Entry, now: float) -> None:
        """The entry may be started again."""
        if entry.serving is not None and entry.serving.reason:
            self._starts.want(entry, now)
        else:
            self._starts.settle(entry, now)
