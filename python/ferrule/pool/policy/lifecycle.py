"""Lifecycle: the events of plugins, from their start until nothing is left of them."""

from __future__ import annotations

from typing import Final

from ferrule.pool.events import PoolEvent
from ferrule.pool.policy import refusals
from ferrule.pool.policy.commands import Abandon, Tell
from ferrule.pool.policy.context import Context
from ferrule.pool.policy.dispatch import Dispatch
from ferrule.pool.policy.endings import Endings
from ferrule.pool.policy.failures import Failures
from ferrule.pool.policy.model import Plugin, State
from ferrule.pool.policy.occupancy import Occupancy
from ferrule.pool.policy.recycling import Recycling
from ferrule.pool.policy.starts import Starts

__all__ = ["Lifecycle"]

FRESH_SECONDS: Final = 5.0
"""A first measure within this time of the start is the size that a plugin has by itself."""


class Lifecycle:
    """The events of plugins; `Policy` says of each what it means."""

    def __init__(
        self,
        context: Context,
        occupancy: Occupancy,
        endings: Endings,
        starts: Starts,
        recycling: Recycling,
        failures: Failures,
        dispatch: Dispatch,
    ) -> None:
        self._context = context
        self._occupancy = occupancy
        self._endings = endings
        self._starts = starts
        self._recycling = recycling
        self._failures = failures
        self._dispatch = dispatch
        self._is_closed = False

    # The start.

    def launched(self, plugin: Plugin, now: float, memory: int | None) -> None:
        self._starts.give_slot(plugin)
        plugin.abandoned = False
        if memory is not None:
            self._occupancy.measure(plugin, memory)
        error = self._failures.too_large(plugin)
        if self._context.is_closing:
            self._endings.stop(plugin, "close", now)
        elif error is not None:
            self._endings.stop(plugin, "memory", now)
            self._failures.start_failed(plugin, error, now)
        elif plugin.entry.spec.on_start is None:
            self._ready(plugin, now)
        else:
            self._starts.configure(plugin, now)
            self._starts.settle(plugin.entry, now)
        self._dispatch.pump(now)

    def configured(self, plugin: Plugin, now: float) -> None:
        self._starts.unconfigure(plugin)
        plugin.abandoned = False
        if self._context.is_closing:
            self._endings.stop(plugin, "close", now)
        elif plugin.state is State.BROKEN:
            self._endings.crashed(plugin, now)
            self._failures.start_failed(plugin, plugin.error or refusals.crashed(plugin.entry), now)
        else:
            self._ready(plugin, now)
        self._dispatch.pump(now)

    def failed(self, plugin: Plugin, error: Exception, now: float) -> None:
        self._starts.give_slot(plugin)
        self._starts.unconfigure(plugin)
        self._endings.gone(plugin)
        if self._context.is_closing:
            self.end_if_closed(now)
        elif plugin.abandoned:
            self._dispatch.serve(plugin.entry, now)
        else:
            self._failures.start_failed(plugin, plugin.error or error, now)
        self._dispatch.pump(now)

    def _ready(self, plugin: Plugin, now: float) -> None:
        entry = plugin.entry
        before = entry.serving
        plugin.state = State.READY
        plugin.ready_at = plugin.last_used = now
        entry.coming, entry.serving, entry.warned = None, plugin, False
        self._occupancy.idle[plugin] = None
        self._context.tell("ready", entry, plugin, now)
        if entry.breaker.succeeded():
            self._context.tell("breaker_closed", entry, plugin, now)
        if before is not None:
            if not before.holds:
                # A plugin that nobody uses is replaced, but not kept for ever by that.
                plugin.last_used = before.last_used
            self._context.tell("replaced", entry, before, now, before.reason)
            self._endings.drain(before, before.reason, now)
        self._recycling.watch(plugin, now)
        self._dispatch.serve(entry, now)
        self._recycling.look(plugin, now)

    # The end.

    def exited(self, plugin: Plugin, now: float, error: Exception | None) -> None:
        entry = plugin.entry
        error = error or refusals.crashed(entry)
        if plugin.configuring:
            if plugin.state is State.CONFIGURING:
                plugin.state, plugin.error = State.BROKEN, error
                self._context.commands.append(Abandon(plugin))
        elif plugin.state is State.CONFIGURING:
            self._starts.unconfigure(plugin)
            self._endings.crashed(plugin, now)
            self._failures.start_failed(plugin, error, now)
        elif plugin.state in {State.READY, State.LEASED, State.DRAINING}:
            self._endings.crashed(plugin, now)
            self._failures.count(entry, error, now, lived=now - (plugin.ready_at or now))
            self._dispatch.serve(entry, now)
        self._dispatch.pump(now)

    def stopped(self, plugin: Plugin, now: float) -> None:
        self._endings.gone(plugin)
        self._dispatch.serve(plugin.entry, now)
        self.end_if_closed(now)
        self._dispatch.pump(now)

    def end_if_closed(self, now: float) -> None:
        """Tells, once, that nothing is left of a pool that was closed."""
        if self._context.is_closing and not self._occupancy.live and not self._is_closed:
            self._is_closed = True
            self._context.commands.append(Tell(PoolEvent("closed", "", None, "", now)))

    # Memory.

    def measured(self, plugin: Plugin, memory: int, now: float) -> None:
        if plugin not in self._occupancy.live:
            return
        is_first = plugin.memory is None
        self._occupancy.measure(plugin, memory)
        entry, limit = plugin.entry, plugin.entry.spec.max_memory_bytes
        if entry.serving is plugin:
            is_fresh = is_first and now - (plugin.ready_at or now) <= FRESH_SECONDS
            error = self._failures.too_large(plugin) if is_fresh else None
            if error is not None:
                self._endings.drain(plugin, "memory", now)
                self._failures.start_failed(plugin, error, now)
            elif limit is not None and memory > limit and not plugin.reason:
                self._recycling.renew(plugin, "memory", now)
        drained = self._recycling.relieve(now)
        if drained is not None:
            self._dispatch.serve(drained.entry, now)
        self._dispatch.pump(now)
