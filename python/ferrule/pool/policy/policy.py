"""Policy: the decisions of one pool."""

from __future__ import annotations

import random
from collections import deque
from math import inf
from typing import Any, Final

from ferrule.pool.limits import Limits
from ferrule.pool.policy import refusals
from ferrule.pool.policy.commands import Command, Refuse
from ferrule.pool.policy.context import Context
from ferrule.pool.policy.dispatch import Dispatch
from ferrule.pool.policy.endings import Endings
from ferrule.pool.policy.failures import Failures
from ferrule.pool.policy.lifecycle import Lifecycle
from ferrule.pool.policy.model import Entry, Group, Hold, Plugin, State, Waiter
from ferrule.pool.policy.occupancy import Budget, Occupancy
from ferrule.pool.policy.queue import Queue
from ferrule.pool.policy.recycling import Recycling
from ferrule.pool.policy.starts import Slots, Starts
from ferrule.pool.policy.turns import Turns
from ferrule.pool.spec import PluginSpec

__all__ = ["Policy"]

MAX_UNUSED_ENTRIES: Final = 1_000
"""Entries from which on those without a plugin and without callers are forgotten."""

# As in `Queue`: a look into the enumeration is slow.
_LEASED: Final = State.LEASED
_READY: Final = State.READY


class Policy:
    """The decisions of one pool.

    Each method is an event with its time; `commands` has afterwards what is to be done about it, in order. None takes
    longer for having many plugins or callers, but `close` and `resize`.

    Args:
        limits: The pool's limits, with numbers where the defaults are the machine's.
        slots: The start slots.
        budget: The memory.
        source: The source of jitter; None for a new one.

    Attributes:
        commands: What the driver is to do.
        entries: The entries by key. Those that nobody uses may be forgotten.
    """

    def __init__(self, limits: Limits, slots: Slots, budget: Budget, source: random.Random | None) -> None:
        context = self._context = Context(limits, source or random.Random())
        self.commands: deque[Command] = context.commands
        self.entries: dict[bytes, Entry] = {}
        self._groups: dict[str, Group] = {}
        self._forget_at = MAX_UNUSED_ENTRIES
        occupancy = self._occupancy = Occupancy(context, budget)
        endings = self._endings = Endings(context, occupancy)
        queue = self._queue = Queue(context, occupancy)
        starts = self._starts = Starts(context, occupancy, endings, slots)
        turns = Turns(context, occupancy, endings, starts)
        recycling = self._recycling = Recycling(context, occupancy, endings, starts)
        failures = self._failures = Failures(context, queue, starts)
        dispatch = self._dispatch = Dispatch(context, queue, starts, recycling, turns)
        self._lifecycle = Lifecycle(context, occupancy, endings, starts, recycling, failures, dispatch)
        # What each lease needs.
        self._take = queue.take
        self._idle = occupancy.idle

    # What it is about.

    @property
    def limits(self) -> Limits:
        """The limits of the pool."""
        return self._context.limits

    @property
    def is_closing(self) -> bool:
        """Whether the pool ends."""
        return self._context.is_closing

    @property
    def live(self) -> tuple[Plugin, ...]:
        """The plugins that have a process, starting and ending ones included."""
        return tuple(self._occupancy.live)

    @property
    def memory(self) -> int:
        """Bytes that count for these plugins, by measure or by estimate."""
        return self._occupancy.own

    @property
    def waiting(self) -> int:
        """Callers who wait for a lease."""
        return self._queue.waiting

    def entry(self, key: bytes, spec: PluginSpec) -> Entry:
        """The entry of a key, made if there is none."""
        entry = self.entries.get(key)
        if entry is None:
            if len(self.entries) >= self._forget_at:
                self._forget_unused()
            group = None
            if spec.group is not None:
                group = self._groups.setdefault(spec.group, Group(spec.group, self._group_limit(spec.group)))
            entry = self.entries[key] = Entry(key, spec, group)
        return entry

    def _forget_unused(self) -> None:
        self.entries = {key: entry for key, entry in self.entries.items() if not entry.is_unused}
        groups = {entry.group for entry in self.entries.values()}
        self._groups = {group.name: group for group in groups if group is not None}
        self._forget_at = max(2 * len(self.entries), MAX_UNUSED_ENTRIES)

    # Leases.

    def lease_now(self, entry: Entry, now: float, place: Any = None) -> Hold | None:
        """A lease, if one is to be had without waiting. This is the path that each call of users takes.

        It asks for no command. None also for the lease that uses a plugin's calls up: `wait` grants it at once, and has
        the plugin replaced.
        """
        plugin = entry.serving
        if plugin is None or entry.leases >= entry.limit or plugin.calls >= plugin.calls_limit:
            return None
        group = entry.group
        if group is not None:
            if group.leases >= group.limit:
                return None
            group.leases += 1
        return self._take(plugin, now, place)

    def give_back(self, hold: Hold, now: float) -> None:
        """Ends a lease; does nothing at the second time, and for a lease that ended with its plugin."""
        if hold.ended:
            return
        hold.ended = True
        plugin = hold.plugin
        if plugin.holds.pop(hold, None) is None:
            return
        entry = plugin.entry
        group = entry.group
        entry.leases -= 1
        if group is not None:
            group.leases -= 1
        plugin.last_used = now
        if entry.waiters or (group is not None and group.line):
            self._dispatch.serve(entry, now)
        if not plugin.holds:
            if plugin.state is _LEASED:
                plugin.state = _READY
                self._idle[plugin] = None
            elif plugin.state is State.DRAINING:
                self._endings.stop(plugin, plugin.reason, now)
        if self._starts.is_pressed:
            self._dispatch.pump(now)

    def decline(self, hold: Hold, now: float) -> None:
        """Gives back a lease that was granted to somebody who had gone: it counts as no call."""
        if not hold.ended:
            hold.plugin.calls -= 1
            self.give_back(hold, now)

    def wait(
        self, entry: Entry, priority: int, deadline: float, now: float, place: Any = None, *, warm: bool = False
    ) -> Waiter:
        """Queues a caller for a lease; `Grant` or `Refuse` follows.

        Args:
            entry: Of what.
            priority: Higher ones come first.
            deadline: When the wait ends; infinite for never.
            now: The time.
            place: As of `Hold`.
            warm: Whether a start that has begun goes on when the caller is gone.

        Raises:
            PoolFull: Too many wait.
            PluginUnavailable: The plugin has failed too often, and is not tried again yet.
            PoolError: The pool ends.
        """
        if self.is_closing:
            raise refusals.closed()
        # It may have been forgotten, and made anew for another who wanted it.
        entry = self.entries.setdefault(entry.key, entry)
        if entry.group is not None:
            entry.group = self._groups.setdefault(entry.group.name, entry.group)
        if not entry.can_lease:
            if self._queue.waiting >= self.limits.max_waiting:
                raise refusals.full(self._queue.waiting)
            if entry.serving is None and entry.coming is None and entry.breaker.refuses(now):
                raise self._failures.unavailable(entry, now)
        waiter = Waiter(entry, priority, now, deadline, place, warm)
        self._queue.add(waiter)
        self._dispatch.serve(entry, now)
        self._dispatch.pump(now)
        return waiter

    def withdraw(self, waiter: Waiter, now: float) -> None:
        """Takes back a wait; does nothing if it has ended."""
        if self._queue.remove(waiter):
            self._starts.settle(waiter.entry, now)
            self._dispatch.pump(now)

    # Plugins.

    def launched(self, plugin: Plugin, now: float, memory: int | None = None) -> None:
        """The plugin's process answers.

        Args:
            plugin: Which.
            now: The time.
            memory: Its private memory in bytes, if it was measured: one that is larger than a limit already is refused
                as a setting, rather than replaced again and again.
        """
        self._lifecycle.launched(plugin, now, memory)

    def configured(self, plugin: Plugin, now: float) -> None:
        """The plugin can take leases."""
        self._lifecycle.configured(plugin, now)

    def failed(self, plugin: Plugin, error: Exception, now: float) -> None:
        """The plugin did not start, or its `on_start` raised; nothing of it is left."""
        self._lifecycle.failed(plugin, error, now)

    def exited(self, plugin: Plugin, now: float, error: Exception | None = None) -> None:
        """The plugin's process has ended by itself; `stopped` follows when all is given back.

        Args:
            plugin: Which, in any state. For one that starts or stops nothing follows from it: `failed` or `stopped`
                tells the same. One that is being configured is abandoned.
            now: The time.
            error: What is known of the end, with the last output; default nothing.
        """
        self._lifecycle.exited(plugin, now, error)

    def stopped(self, plugin: Plugin, now: float) -> None:
        """Nothing is left of the plugin."""
        self._lifecycle.stopped(plugin, now)

    def measured(self, plugin: Plugin, memory: int, now: float) -> None:
        """The plugin uses as many bytes of memory that it shares with no other process."""
        self._lifecycle.measured(plugin, memory, now)

    # The pool.

    def evict(self, entry: Entry, now: float, *, force: bool = False) -> None:
        """Has the entry's plugin take no more leases and end: after those that it has or, if forced, at once.

        What is known of its failures is forgotten: somebody who evicts a plugin has mended what it failed for.
        """
        entry = self.entries.get(entry.key, entry)
        entry.breaker.reset()
        self._retire(entry, "evicted", now, force=force)
        self._dispatch.serve(entry, now)
        self._dispatch.pump(now)

    def resize(self, limits: Limits, now: float) -> None:
        """Has other limits hold from now on; leased plugins above them end when they are idle."""
        self._context.limits = limits
        for group in self._groups.values():
            group.limit = self._group_limit(group.name)
        for plugin in self.live:
            self._recycling.look(plugin, now)
        for entry in self.entries.values():
            self._dispatch.serve(entry, now)
        self._starts.resized()
        self._dispatch.pump(now)

    def close(self, now: float, *, force: bool) -> None:
        """Refuses those who wait, and ends all plugins: at once if forced, else after their leases."""
        self._context.is_closing = True
        for entry in self.entries.values():
            for waiter in self._queue.remove_all(entry):
                self.commands.append(Refuse(waiter, refusals.closed()))
            self._context.timers.drop(entry)
            if entry.coming is not None:
                self._starts.give_up(entry.coming, now)
            self._retire(entry, "close", now, force=force)
        self._dispatch.pump(now)
        self._lifecycle.end_if_closed(now)

    def _retire(self, entry: Entry, reason: str, now: float, *, force: bool) -> None:
        if entry.serving is not None:
            self._endings.drain(entry.serving, reason, now)
        for plugin in list(entry.draining):
            if plugin.state is State.DRAINING:
                plugin.reason = reason
                if force:
                    self._endings.revoke(plugin, reason, now)

    # Time.

    def next_time(self) -> float | None:
        """When `tick` is to be called; None for never."""
        return self._dispatch.next_time()

    def tick(self, now: float) -> None:
        """Does what is due."""
        self._dispatch.tick(now)

    def pump(self, now: float) -> None:
        """Starts what can be started: to be called when slots or memory that were refused are free."""
        self._dispatch.pump(now)

    def _group_limit(self, name: str) -> float:
        limit = self.limits.max_concurrent_calls_per_group
        if isinstance(limit, int):
            return limit
        return inf if limit is None else limit.get(name, inf)
