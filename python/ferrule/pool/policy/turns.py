"""Turns: a key that has been served for long makes room for one that waits, when no plugin is ever idle."""

from __future__ import annotations

from math import inf
from typing import Final

from ferrule.pool.policy.context import Context
from ferrule.pool.policy.endings import Endings
from ferrule.pool.policy.model import Entry, Plugin, State
from ferrule.pool.policy.occupancy import Occupancy
from ferrule.pool.policy.queue import STEP_SECONDS
from ferrule.pool.policy.starts import Starts

__all__ = ["Turns"]

AGAIN_SECONDS: Final = 1.0
"""When a plugin is looked for again, if none was fit to make room."""


class Turns:
    """Drains a leased plugin for a start that has waited for a step of priority, or for half of its caller's patience.

    Without it, a key whose leases overlap without end would keep its process for ever. One plugin at a time makes
    room, and one in each step of priority: the one that has served longest, of those that have served for a step at
    least and whose leases come and go. It serves again if the start has found room elsewhere before it has ended.
    """

    def __init__(self, context: Context, occupancy: Occupancy, endings: Endings, starts: Starts) -> None:
        self._context = context
        self._occupancy = occupancy
        self._endings = endings
        self._starts = starts
        self._yielding: Plugin | None = None
        self._yielded_at = -inf
        self._reason = ""

    def review(self, now: float) -> Entry | None:
        """Looks at the start that is stuck; returns the entry whose plugin makes room, or does so no longer."""
        yielding, stuck = self._yielding, self._starts.stuck
        if yielding is not None and (yielding.state is not State.DRAINING or yielding.reason != "pressure"):
            yielding = self._yielding = None
        if stuck is None:
            self._context.timers.drop(self)
            if yielding is not None and not self._starts.blocked_by:
                return self._serve_again(yielding, now)
            return None
        place = self._context.timers.get(self)
        if yielding is not None or (place is not None and now < place[0]):
            return None
        return self._yield(stuck, now)

    def _yield(self, stuck: Plugin, now: float) -> Entry | None:
        first = stuck.entry.waiters.first()
        assert first is not None
        patience = min(STEP_SECONDS, (first.deadline - first.since) / 2)
        due = max(max(first.since, stuck.queued_at) + patience, self._yielded_at + STEP_SECONDS)
        victim = self._victim(now) if due <= now else None
        if victim is None:
            self._context.timers.put(self, max(due, now + AGAIN_SECONDS))
            return None
        self._yielding, self._yielded_at, self._reason = victim, now, victim.reason
        self._endings.drain(victim, "pressure", now)
        return victim.entry

    def _victim(self, now: float) -> Plugin | None:
        """The plugin that makes room. Looks at all of them, once for each start that is stuck."""
        fit = [
            plugin
            for plugin in self._occupancy.live
            if plugin.state is State.LEASED
            and plugin.ready_at is not None
            and plugin.ready_at <= now - STEP_SECONDS <= plugin.last_used
        ]
        return min(fit, key=lambda plugin: plugin.ready_at or 0.0, default=None)

    def _serve_again(self, plugin: Plugin, now: float) -> Entry | None:
        entry = plugin.entry
        self._yielding = None
        coming = entry.coming
        if self._context.is_closing or entry.serving is not None:
            return None
        if coming is not None:
            if coming.state is not State.QUEUED:
                return None
            self._starts.forget(coming)
        plugin.state = State.LEASED
        plugin.reason = self._reason
        plugin.drain_by = inf
        entry.draining.discard(plugin)
        entry.serving = plugin
        # Its age and its leases are watched again, and a replacement that was wanted is wanted again.
        self._context.timers.put(plugin, now)
        self._context.timers.put(entry, now)
        return entry
