"""Policy: the decisions of one pool."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator
from typing import Any, Protocol

from ferrule.errors import RPCPluginError
from ferrule.pool.errors import LeaseTimeout, PluginUnavailable, PoolError, PoolFull
from ferrule.pool.events import EventKind, PoolEvent
from ferrule.pool.limits import Limits
from ferrule.pool.policy.commands import Abandon, Command, Configure, Grant, Refuse, Revoke, Start, Stop, Tell
from ferrule.pool.policy.model import Entry, Group, Hold, Plugin, State, Waiter
from ferrule.pool.spec import PluginSpec

__all__ = ["Policy", "Slots"]

_STARTS = {State.QUEUED, State.STARTING, State.CONFIGURING}


class Slots(Protocol):
    """The start slots, which pools may share. A free one that was refused before is announced by the driver: `tick`."""

    def take(self) -> bool:
        """Takes a slot; whether there was one."""

    def give(self) -> None:
        """Gives a slot back."""


class Policy:
    """The decisions of one pool.

    Args:
        limits: The pool's limits, with numbers where the defaults are the machine's.
        slots: The start slots.
    """

    def __init__(self, limits: Limits, slots: Slots) -> None:
        self.limits = limits
        self.commands: deque[Command] = deque()
        self.entries: dict[bytes, Entry] = {}
        self.is_closing = False
        self._groups: dict[str, Group] = {}
        self._slots = slots
        self._numbers = itertools.count(1)
        self._queue: deque[Plugin] = deque()
        self._waiting = 0

    # Leases.

    def entry(self, key: bytes, spec: PluginSpec) -> Entry:
        """The entry of a key, made if there is none."""
        entry = self.entries.get(key)
        if entry is None:
            group = None
            if spec.group is not None:
                group = self._groups.setdefault(spec.group, Group(spec.group, self._group_limit(spec.group)))
            entry = self.entries[key] = Entry(key, spec, group)
        return entry

    def lease_now(self, entry: Entry, now: float, place: Any = None) -> Hold | None:
        """A lease, if one is to be had without waiting. This is the path that each call of users takes."""
        plugin = entry.serving
        if plugin is None or entry.leases >= entry.limit or entry.waiters:
            return None
        group = entry.group
        if group is not None:
            if group.is_full:
                return None
            group.leases += 1
        entry.leases += 1
        plugin.calls += 1
        plugin.state = State.LEASED
        hold = Hold(plugin, now, place)
        plugin.holds.add(hold)
        return hold

    def give_back(self, hold: Hold, now: float) -> None:
        """Ends a lease; does nothing at the second time."""
        if hold.ended:
            return
        hold.ended = True
        plugin = hold.plugin
        plugin.holds.discard(hold)
        plugin.last_used = now
        if plugin.state is State.BROKEN:
            return
        self._uncount(plugin.entry)
        if not plugin.holds:
            if plugin.state is State.LEASED:
                plugin.state = State.READY
            elif plugin.state is State.DRAINING:
                self._stop(plugin, plugin.reason, now)
        self._serve(plugin.entry, now)

    def wait(self, entry: Entry, priority: int, deadline: float, now: float, place: Any = None) -> Waiter:
        """Queues a caller for a lease; `Grant` or `Refuse` follows.

        Raises:
            PoolFull: Too many wait.
        """
        if self.is_closing:
            raise PoolError("the pool is closed", None, "pool.closed")
        if self._waiting >= self.limits.max_waiting:
            message = f"{self._waiting} callers wait for a lease already, as many as max_waiting allows"
            raise PoolFull(message, "Ask less often, or raise Limits(max_waiting=...).", "pool.full")
        waiter = Waiter(entry, priority, now, deadline, place)
        entry.waiters.append(waiter)
        self._waiting += 1
        self._serve(entry, now)
        return waiter

    def withdraw(self, waiter: Waiter, now: float) -> None:
        """Takes back a wait that has not ended."""
        if waiter in waiter.entry.waiters:
            waiter.entry.waiters.remove(waiter)
            self._waiting -= 1
            self._abandon_unwanted(waiter.entry)

    # Plugins.

    def launched(self, plugin: Plugin, now: float) -> None:
        """The plugin's process answers."""
        self._slots.give()
        if plugin.entry.spec.on_start is None:
            self.configured(plugin, now)
        else:
            plugin.state = State.CONFIGURING
            self._tell("configuring", plugin, now)
            self.commands.append(Configure(plugin))
        self._start_queued(now)

    def configured(self, plugin: Plugin, now: float) -> None:
        """The plugin can take leases."""
        entry = plugin.entry
        entry.coming = None
        plugin.state = State.READY
        plugin.ready_at = plugin.last_used = now
        before, entry.serving = entry.serving, plugin
        self._tell("ready", plugin, now)
        if before is not None:
            self._drain(before, before.reason or "age", now)
        self._serve(entry, now)

    def failed(self, plugin: Plugin, error: Exception, now: float) -> None:
        """The plugin did not start, or its `on_start` raised; nothing of it is left."""
        if plugin.state is State.STARTING:
            self._slots.give()
        plugin.state = State.GONE
        entry = plugin.entry
        entry.coming = None
        self._tell("start_failed", plugin, now, type(error).__name__)
        for waiter in self._all_waiters(entry):
            self.commands.append(Refuse(waiter, unavailable(entry, error)))
        self._start_queued(now)

    def exited(self, plugin: Plugin, now: float) -> None:
        """The plugin's process has ended by itself; `stopped` follows when all is given back."""
        entry = plugin.entry
        if entry.serving is plugin:
            entry.serving = None
        entry.draining.discard(plugin)
        for _ in plugin.holds:
            self._uncount(entry)
        plugin.state = State.BROKEN
        self._tell("exited", plugin, now, "crash")
        self.commands.append(Stop(plugin, "crash"))
        self._serve(entry, now)

    def stopped(self, plugin: Plugin, now: float) -> None:
        """Nothing is left of the plugin."""
        plugin.state = State.GONE
        plugin.entry.draining.discard(plugin)
        self._start_queued(now)

    def evict(self, entry: Entry, now: float) -> None:
        """Has the entry's plugin take no more leases, and end after those that it has."""
        plugin, entry.serving = entry.serving, None
        if plugin is not None:
            self._drain(plugin, "evicted", now)

    def close(self, now: float, *, force: bool) -> None:
        """Refuses those who wait, and ends all plugins: at once if forced, else after their leases."""
        self.is_closing = True
        for entry in self.entries.values():
            for waiter in self._all_waiters(entry):
                self.commands.append(Refuse(waiter, PoolError("the pool was closed", None, "pool.closed")))
            if entry.coming is not None:
                self._abandon_unwanted(entry)
            self.evict(entry, now)
            if force:
                for plugin in list(entry.draining):
                    self.commands.append(Revoke(plugin, "close"))
                    self._stop(plugin, "close", now)

    # Time.

    def next_time(self) -> float | None:
        """When `tick` is to be called; None for never."""
        return min((waiter.deadline for waiter in self._every_waiter()), default=None)

    def tick(self, now: float) -> None:
        """Does what is due."""
        for waiter in [waiter for waiter in self._every_waiter() if waiter.deadline <= now]:
            self.withdraw(waiter, now)
            self.commands.append(Refuse(waiter, timeout(waiter, now)))
        self._start_queued(now)

    # What follows from events.

    def _serve(self, entry: Entry, now: float) -> None:
        """Grants leases to those who wait, and asks for a plugin if there is none."""
        waiters = entry.waiters
        while waiters and entry.serving is not None:
            first = waiters.popleft()
            rest, entry.waiters = entry.waiters, deque()
            hold = self.lease_now(entry, now, first.place)
            entry.waiters = rest
            if hold is None:
                waiters.appendleft(first)
                return
            self._waiting -= 1
            self.commands.append(Grant(first, hold))
        if waiters and entry.coming is None:
            plugin = entry.coming = Plugin(entry, next(self._numbers), now)
            self._queue.append(plugin)
            self._tell("queued", plugin, now)
            self._start_queued(now)

    def _start_queued(self, now: float) -> None:
        while self._queue and self._slots.take():
            plugin = self._queue.popleft()
            plugin.state = State.STARTING
            self._tell("starting", plugin, now)
            self.commands.append(Start(plugin))

    def _abandon_unwanted(self, entry: Entry) -> None:
        plugin = entry.coming
        if plugin is None or entry.waiters or entry.serving is not None:
            return
        if plugin.state is State.QUEUED:
            self._queue.remove(plugin)
            plugin.state = State.GONE
            entry.coming = None
        else:
            self.commands.append(Abandon(plugin))

    def _drain(self, plugin: Plugin, reason: str, now: float) -> None:
        plugin.reason = reason
        plugin.entry.draining.add(plugin)
        if plugin.holds:
            plugin.state = State.DRAINING
            self._tell("draining", plugin, now, reason)
        else:
            self._stop(plugin, reason, now)

    def _stop(self, plugin: Plugin, reason: str, now: float) -> None:
        plugin.state = State.STOPPING
        self._tell("stopping", plugin, now, reason)
        self.commands.append(Stop(plugin, reason))

    def _uncount(self, entry: Entry) -> None:
        entry.leases -= 1
        if entry.group is not None:
            entry.group.leases -= 1

    def _all_waiters(self, entry: Entry) -> list[Waiter]:
        waiters = list(entry.waiters)
        entry.waiters.clear()
        self._waiting -= len(waiters)
        return waiters

    def _every_waiter(self) -> Iterator[Waiter]:
        return itertools.chain.from_iterable(entry.waiters for entry in self.entries.values())

    def _group_limit(self, name: str) -> int | None:
        limit = self.limits.max_concurrent_calls_per_group
        return limit if limit is None or isinstance(limit, int) else limit.get(name)

    def _tell(self, kind: EventKind, plugin: Plugin, now: float, reason: str = "") -> None:
        pid = getattr(plugin.driver, "pid", None)
        self.commands.append(Tell(PoolEvent(kind, str(plugin.entry.spec.name), pid, reason, now)))


def unavailable(entry: Entry, error: Exception) -> PluginUnavailable:
    """The error for those who waited for a start that failed."""
    message = f"plugin {entry.spec.name!r} does not start: {getattr(error, 'message', error)}"
    known = error if isinstance(error, RPCPluginError) else None
    failed = PluginUnavailable(
        message,
        known.hint if known else None,
        "pool.unavailable",
        exit_status=known.exit_status if known else None,
        stderr_tail=known.stderr_tail if known else (),
    )
    failed.__cause__ = error
    return failed


def timeout(waiter: Waiter, now: float) -> LeaseTimeout:
    """The error for somebody who has waited long enough."""
    waited = now - waiter.since
    held_by = "concurrency" if waiter.entry.serving is not None else "start"
    name = waiter.entry.spec.name
    error = LeaseTimeout(f"no lease of plugin {name!r} within {waited:.3g} s: held by {held_by}", None, "pool.timeout")
    error.held_by, error.waited = held_by, waited
    return error
