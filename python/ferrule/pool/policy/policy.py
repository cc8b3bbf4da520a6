"""Policy: the decisions of one pool."""

from __future__ import annotations

import random
from collections import deque
from math import inf
from typing import Any

from ferrule.pool.errors import PoolError
from ferrule.pool.events import PoolEvent
from ferrule.pool.limits import Limits
from ferrule.pool.policy import refusals
from ferrule.pool.policy.commands import Abandon, Command, Refuse, Tell, Warn
from ferrule.pool.policy.context import Context
from ferrule.pool.policy.endings import Endings
from ferrule.pool.policy.model import Entry, Group, Hold, Plugin, State, Waiter
from ferrule.pool.policy.occupancy import Budget, Occupancy, OwnBudget
from ferrule.pool.policy.queue import Queue
from ferrule.pool.policy.recycling import Recycling
from ferrule.pool.policy.starts import Slots, Starts
from ferrule.pool.policy.turns import Turns
from ferrule.pool.spec import PluginSpec

__all__ = ["Policy"]

START_SECONDS = 5.0
"""A first measure within this time of the start is the size that a plugin has by itself."""


class Policy:
    """The decisions of one pool.

    Each method is an event with its time; `commands` has afterwards what is to be done about it, in order.

    Args:
        limits: The pool's limits, with numbers where the defaults are the machine's.
        slots: The start slots.
        budget: The memory; default the pool's own.
        source: The source of jitter; default a new one.

    Attributes:
        entries: The entries by key.
    """

    def __init__(
        self, limits: Limits, slots: Slots, budget: Budget | None = None, source: random.Random | None = None
    ) -> None:
        context = self._context = Context(limits, source or random.Random())
        self.commands: deque[Command] = context.commands
        self.entries: dict[bytes, Entry] = {}
        self._is_closed = False
        self._groups: dict[str, Group] = {}
        self._occupancy = Occupancy(context, budget or OwnBudget())
        self._endings = Endings(context, self._occupancy)
        self._queue = Queue(context, self._occupancy)
        self._starts = Starts(context, self._occupancy, self._endings, slots)
        self._turns = Turns(context, self._occupancy, self._endings, self._starts)
        self._recycling = Recycling(context, self._occupancy, self._endings, self._starts)

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
            group = None
            if spec.group is not None:
                group = self._groups.setdefault(spec.group, Group(spec.group, self._group_limit(spec.group)))
            entry = self.entries[key] = Entry(key, spec, group)
        return entry

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
        return self._queue.take(plugin, now, place)

    def give_back(self, hold: Hold, now: float) -> None:
        """Ends a lease; does nothing at the second time, and for a lease that ended with its plugin."""
        if hold.ended:
            return
        hold.ended = True
        plugin = hold.plugin
        if plugin.holds.pop(hold, None) is None:
            return
        entry, group = plugin.entry, plugin.entry.group
        entry.leases -= 1
        if group is not None:
            group.leases -= 1
        plugin.last_used = now
        if entry.waiters or (group is not None and group.line):
            self._serve(entry, now)
        if not plugin.holds:
            if plugin.state is State.LEASED:
                plugin.state = State.READY
                self._occupancy.idle[plugin] = None
            elif plugin.state is State.DRAINING:
                self._endings.stop(plugin, plugin.reason, now)
        if self._starts.is_pressed:
            self.pump(now)

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
        if not entry.can_lease:
            if self._queue.waiting >= self.limits.max_waiting:
                raise refusals.full(self._queue.waiting)
            if entry.serving is None and entry.coming is None and entry.breaker.refuses(now):
                raise self._unavailable(entry, now)
        waiter = Waiter(entry, priority, now, deadline, place, warm)
        self._queue.add(waiter)
        self._serve(entry, now)
        self.pump(now)
        return waiter

    def withdraw(self, waiter: Waiter, now: float) -> None:
        """Takes back a wait that has not ended."""
        if self._queue.remove(waiter):
            self._starts.settle(waiter.entry, now)
            self.pump(now)

    # Plugins.

    def launched(self, plugin: Plugin, now: float, memory: int | None = None) -> None:
        """The plugin's process answers.

        Args:
            plugin: Which.
            now: The time.
            memory: Its private memory in bytes, if it was measured.
        """
        self._starts.give_slot(plugin)
        plugin.abandoned = False
        if memory is not None:
            self._occupancy.measure(plugin, memory)
        error = self._too_large(plugin)
        if self.is_closing:
            self._endings.stop(plugin, "close", now)
        elif error is not None:
            self._endings.stop(plugin, "memory", now)
            self._start_failed(plugin, error, now)
        elif plugin.entry.spec.on_start is None:
            self._ready(plugin, now)
        else:
            self._starts.configure(plugin, now)
            self._starts.settle(plugin.entry, now)
        self.pump(now)

    def configured(self, plugin: Plugin, now: float) -> None:
        """The plugin can take leases."""
        self._starts.unconfigure(plugin)
        plugin.abandoned = False
        if self.is_closing:
            self._endings.stop(plugin, "close", now)
        elif plugin.state is State.BROKEN:
            self._endings.crashed(plugin, now)
            self._start_failed(plugin, plugin.error or refusals.crashed(plugin.entry), now)
        else:
            self._ready(plugin, now)
        self.pump(now)

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
        self._serve(entry, now)
        self._recycling.look(plugin, now)

    def failed(self, plugin: Plugin, error: Exception, now: float) -> None:
        """The plugin did not start, or its `on_start` raised; nothing of it is left."""
        self._starts.give_slot(plugin)
        self._starts.unconfigure(plugin)
        self._endings.gone(plugin)
        if not self.is_closing:
            if plugin.abandoned:
                self._serve(plugin.entry, now)
            else:
                self._start_failed(plugin, plugin.error or error, now)
        self._end_if_closed(now)
        self.pump(now)

    def exited(self, plugin: Plugin, now: float, error: Exception | None = None) -> None:
        """The plugin's process has ended by itself; `stopped` follows when all is given back.

        Args:
            plugin: Which, in any state: for one that starts or stops, `failed` or `stopped` tells.
            now: The time.
            error: What is known of the end, with the last output; default nothing.
        """
        entry = plugin.entry
        error = error or refusals.crashed(entry)
        if plugin.configuring:
            if plugin.state is State.CONFIGURING:
                plugin.state, plugin.error = State.BROKEN, error
                self.commands.append(Abandon(plugin))
        elif plugin.state is State.CONFIGURING:
            self._starts.unconfigure(plugin)
            self._endings.crashed(plugin, now)
            self._start_failed(plugin, error, now)
        elif plugin.state in {State.READY, State.LEASED, State.DRAINING}:
            self._endings.crashed(plugin, now)
            self._count_failure(entry, error, now, now - (plugin.ready_at or now))
            self._serve(entry, now)
        self.pump(now)

    def stopped(self, plugin: Plugin, now: float) -> None:
        """Nothing is left of the plugin."""
        self._endings.gone(plugin)
        self._serve(plugin.entry, now)
        self._end_if_closed(now)
        self.pump(now)

    def measured(self, plugin: Plugin, memory: int, now: float) -> None:
        """The plugin uses as many bytes of memory that it shares with no other process."""
        if plugin not in self._occupancy.live:
            return
        is_first = plugin.memory is None
        self._occupancy.measure(plugin, memory)
        entry, limit = plugin.entry, plugin.entry.spec.max_memory_bytes
        if entry.serving is plugin:
            error = self._too_large(plugin) if is_first and now - (plugin.ready_at or now) <= START_SECONDS else None
            if error is not None:
                self._endings.drain(plugin, "memory", now)
                self._start_failed(plugin, error, now)
            elif limit is not None and memory > limit and not plugin.reason:
                self._recycling.renew(plugin, "memory", now)
        drained = self._recycling.relieve(now)
        if drained is not None:
            self._serve(drained.entry, now)
        self.pump(now)

    def _too_large(self, plugin: Plugin) -> Exception | None:
        """The error for a plugin that is larger at its start than a limit allows."""
        settings = (
            (plugin.entry.spec.max_memory_bytes, "max_memory_bytes of its spec"),
            (self.limits.max_memory_bytes, "Limits.max_memory_bytes"),
        )
        for limit, setting in settings:
            if plugin.memory is not None and limit is not None and plugin.memory > limit:
                return refusals.too_large(plugin.entry, plugin.memory, limit, setting)
        return None

    # The pool.

    def evict(self, entry: Entry, now: float, *, force: bool = False) -> None:
        """Has the entry's plugin take no more leases and end: after those that it has or, if forced, at once.

        What is known of its failures is forgotten: whoever evicts a plugin has mended what it failed for.
        """
        entry.breaker.reset()
        if entry.serving is not None:
            self._endings.drain(entry.serving, "evicted", now)
        for plugin in list(entry.draining):
            if plugin.state is State.DRAINING:
                plugin.reason = "evicted"
                if force:
                    self._endings.revoke(plugin, "evicted", now)
        self._serve(entry, now)
        self.pump(now)

    def resize(self, limits: Limits, now: float) -> None:
        """Has other limits hold from now on; leased plugins above them end when they are idle."""
        self._context.limits = limits
        for group in self._groups.values():
            group.limit = self._group_limit(group.name)
        for plugin in self.live:
            self._recycling.look(plugin, now)
        for entry in self.entries.values():
            self._serve(entry, now)
        self._starts.resized()
        self.pump(now)

    def close(self, now: float, *, force: bool) -> None:
        """Refuses those who wait, and ends all plugins: at once if forced, else after their leases."""
        self._context.is_closing = True
        for entry in self.entries.values():
            for waiter in self._queue.remove_all(entry):
                self.commands.append(Refuse(waiter, refusals.closed()))
            self._context.timers.drop(entry)
            if entry.coming is not None:
                self._starts.give_up(entry.coming, now)
            if entry.serving is not None:
                self._endings.drain(entry.serving, "close", now)
            for plugin in list(entry.draining):
                if plugin.state is State.DRAINING:
                    plugin.reason = "close"
                    if force:
                        self._endings.revoke(plugin, "close", now)
        self._end_if_closed(now)

    def _end_if_closed(self, now: float) -> None:
        if self.is_closing and not self._occupancy.live and not self._is_closed:
            self._is_closed = True
            self.commands.append(Tell(PoolEvent("closed", "", None, "", now)))

    def shed(self, now: float) -> bool:
        """Stops the plugin that has been idle for longest, for another pool that needs room; whether there was one."""
        found = self._starts.stop_idle(now)
        self.pump(now)
        return found

    # Time.

    def next_time(self) -> float | None:
        """When `tick` is to be called; None for never."""
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
                self._serve(due.entry, now)
            elif isinstance(due, Entry):
                self._retry(due, now)
            # Else the turns, which are looked at below.
        self.pump(now)

    def pump(self, now: float) -> None:
        """Starts what can be started; also to be called when slots or memory that were refused are free."""
        self._starts.pump(now)
        entry = self._turns.review(now)
        if entry is not None:
            self._serve(entry, now)

    def _time_out(self, waiter: Waiter, now: float) -> None:
        error = refusals.timeout(waiter, now, self._starts.blocked_by)
        self._queue.remove(waiter)
        self.commands.append(Refuse(waiter, error))
        self._starts.settle(waiter.entry, now)

    def _retry(self, entry: Entry, now: float) -> None:
        """The entry may be started again."""
        if entry.serving is not None and entry.serving.reason:
            self._starts.want(entry, now)
        else:
            self._starts.settle(entry, now)

    # What follows from events.

    def _serve(self, entry: Entry, now: float) -> None:
        """Grants what can be granted, and sees that a plugin starts for those who wait for one."""
        for plugin in self._queue.serve(entry, now):
            self._recycling.renew(plugin, "calls", now)
            self._starts.settle(plugin.entry, now)
        self._starts.settle(entry, now)

    def _start_failed(self, plugin: Plugin, error: Exception, now: float) -> None:
        """Tells those who waited for a start or, if another plugin serves, tries again later."""
        entry = plugin.entry
        self._context.tell("start_failed", entry, plugin, now, type(error).__name__, str(error))
        self._count_failure(entry, error, now, 0.0)
        if entry.serving is None:
            for waiter in self._queue.remove_all(entry):
                self.commands.append(Refuse(waiter, self._unavailable(entry, now)))
            return
        self._context.timers.put(entry, entry.breaker.until)
        if not entry.warned:
            entry.warned = True
            text = f"plugin {entry.spec.name!r} cannot be replaced, the old one goes on: {error}"
            self.commands.append(Warn(text))

    def _count_failure(self, entry: Entry, error: Exception, now: float, lived: float) -> None:
        breaker = entry.breaker
        if breaker.failed(error, now, self.limits, lived=lived):
            self._context.tell("breaker_opened", entry, None, now, "", str(error))
        coming = entry.coming
        if coming is not None and coming.state is State.QUEUED and now < breaker.until:
            self._starts.forget(coming)
            self._context.timers.put(entry, breaker.until)
        if breaker.refuses(now) and entry.serving is None and entry.coming is None:
            for waiter in self._queue.remove_all(entry):
                self.commands.append(Refuse(waiter, self._unavailable(entry, now)))

    def _unavailable(self, entry: Entry, now: float) -> PoolError:
        breaker = entry.breaker
        error = breaker.error or refusals.crashed(entry)
        return refusals.unavailable(entry, error, breaker.until - now if breaker.is_open else 0.0)

    def _group_limit(self, name: str) -> float:
        limit = self.limits.max_concurrent_calls_per_group
        if isinstance(limit, int):
            return limit
        return inf if limit is None else limit.get(name, inf)
