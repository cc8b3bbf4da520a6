"""Queue: who waits for leases, and who gets the next one."""

from __future__ import annotations

from math import inf
from typing import Any, Final

from ferrule.pool.policy.commands import Grant
from ferrule.pool.policy.context import Context
from ferrule.pool.policy.model import Entry, Hold, Plugin, State, Waiter
from ferrule.pool.policy.occupancy import Occupancy

__all__ = ["STEP_SECONDS", "Queue", "rank"]

STEP_SECONDS: Final = 5.0
"""Waiting as long is worth one step of priority."""

# Looking into an enumeration takes four times as long as looking for a name, and each lease does so.
_LEASED: Final = State.LEASED


def rank(waiter: Waiter, turn: float = -inf) -> float:
    """The place of a waiter: the moment of its arrival, put back by its priority.

    Whoever waits for 5 seconds passes those who come then with a priority that is higher by one. All waiters age alike,
    so that the order of two of them never changes.

    Args:
        waiter: The waiter.
        turn: When the key had its turn last; the rank among keys counts from there, which makes it go round.
    """
    return max(waiter.since, turn) - STEP_SECONDS * waiter.priority


class Queue:
    """Who waits for leases, and who gets the next one.

    Within a key, callers are served by rank. Keys of one group take turns.

    Attributes:
        waiting: The number of waiters.
    """

    def __init__(self, context: Context, occupancy: Occupancy) -> None:
        self.waiting = 0
        self._context = context
        self._idle = occupancy.idle

    def add(self, waiter: Waiter) -> None:
        """Lets somebody wait."""
        entry = waiter.entry
        entry.waiters.put(waiter, rank(waiter))
        entry.warm = entry.warm or waiter.warm
        if waiter.deadline < inf:
            self._context.timers.put(waiter, waiter.deadline)
        self.waiting += 1

    def remove(self, waiter: Waiter) -> bool:
        """Ends a wait; whether it had not ended before."""
        entry = waiter.entry
        found = entry.waiters.drop(waiter)
        if found:
            entry.warm = entry.warm and bool(entry.waiters)
            self._context.timers.drop(waiter)
            self.waiting -= 1
        return found

    def remove_all(self, entry: Entry) -> list[Waiter]:
        """Ends all waits for an entry."""
        waiters = list(entry.waiters)
        for waiter in waiters:
            self.remove(waiter)
        return waiters

    def take(self, plugin: Plugin, now: float, place: Any) -> Hold:
        """A lease of a plugin that serves; the group's count is the caller's."""
        plugin.entry.leases += 1
        plugin.calls += 1
        if plugin.state is not _LEASED:
            plugin.state = _LEASED
            del self._idle[plugin]
        hold = Hold(plugin, now, place)
        plugin.holds[hold] = True
        return hold

    def serve(self, entry: Entry, now: float) -> list[Plugin]:
        """Grants leases of an entry, and of the others in its group; returns the plugins whose calls are used up."""
        used_up: list[Plugin] = []
        group = entry.group
        if group is None:
            while entry.waiters and entry.can_lease:
                self._grant_first(entry, now, used_up)
            return used_up
        self._line_up(entry)
        while not group.is_full and (next_entry := group.line.take()) is not None:
            if next_entry.waiters and next_entry.can_lease:
                self._grant_first(next_entry, now, used_up)
                self._line_up(next_entry)
        return used_up

    def _line_up(self, entry: Entry) -> None:
        first = entry.waiters.first()
        if first is not None and entry.group is not None:
            entry.group.line.put(entry, rank(first, entry.turn))

    def _grant_first(self, entry: Entry, now: float, used_up: list[Plugin]) -> None:
        waiter, plugin = entry.waiters.first(), entry.serving
        assert waiter is not None
        assert plugin is not None
        self.remove(waiter)
        entry.turn = now
        if entry.group is not None:
            entry.group.leases += 1
        if plugin.calls >= plugin.calls_limit:
            used_up.append(plugin)
        self._context.commands.append(Grant(waiter, self.take(plugin, now, waiter.place)))
