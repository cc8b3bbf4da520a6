"""What the policy knows: entries by key, their plugins, those who wait."""

from __future__ import annotations

import os
from enum import StrEnum
from math import inf
from typing import Any

from ferrule.pool.policy.breaker import Breaker
from ferrule.pool.policy.line import Line
from ferrule.pool.spec import PluginSpec

__all__ = ["Entry", "Group", "Hold", "Plugin", "State", "Waiter"]


class State(StrEnum):
    """Where a process of the pool is in its life."""

    QUEUED = "queued"
    STARTING = "starting"
    CONFIGURING = "configuring"
    READY = "ready"
    LEASED = "leased"
    DRAINING = "draining"
    STOPPING = "stopping"
    BROKEN = "broken"
    GONE = "gone"


class Hold:
    """One lease as the policy sees it. It ends once, by `Policy.give_back`.

    Attributes:
        plugin: The plugin that is leased.
        since: When the lease began.
        place: Where it was taken: a code object and a line, or None.
        ended: Whether it was given back.
        leaked: Whether it was reported as held for too long.
    """

    __slots__ = ("ended", "leaked", "place", "plugin", "since")

    def __init__(self, plugin: Plugin, since: float, place: Any) -> None:
        self.plugin = plugin
        self.since = since
        self.place = place
        self.ended = False
        self.leaked = False


class Group:
    """Entries whose leases are bounded together.

    Attributes:
        name: The group's name.
        limit: Leases at once; infinite without a limit.
        leases: Leases at this moment.
        line: Entries that wait for a lease of the group, in the order of their turns.
    """

    __slots__ = ("leases", "limit", "line", "name")

    def __init__(self, name: str, limit: float) -> None:
        self.name = name
        self.limit = limit
        self.leases = 0
        self.line: Line[Entry] = Line()

    @property
    def is_full(self) -> bool:
        """Whether one more lease is too many."""
        return self.leases >= self.limit


class Entry:
    """All that the pool has for one key.

    Attributes:
        key: The key.
        spec: The spec that came first with this key.
        program: The program's path, by which sizes are remembered.
        serving: The plugin that takes leases; None while there is none.
        coming: The plugin that is to serve next: queued, starting or being configured; None while there is none.
        draining: Plugins that take no more leases, until nothing is left of them.
        waiters: Those who wait for a lease, in order.
        leases: Leases that count against the spec's `max_concurrent_calls`.
        limit: Leases at once; infinite without a limit.
        group: The group of the spec; None without one.
        breaker: Whether the key may be started.
        turn: When a waiter of the entry was last served, or a start was last asked for.
        starts: Starts so far.
        warm: Whether one of the waiters wants the plugin started even if nobody waits any more.
        warned: Whether a failed replacement was reported since the latest start that succeeded.
    """

    __slots__ = (
        "breaker", "coming", "draining", "group", "key", "leases", "limit", "program", "serving", "spec", "starts",
        "turn", "waiters", "warm", "warned",
    )  # fmt: skip

    def __init__(self, key: bytes, spec: PluginSpec, group: Group | None) -> None:
        self.key = key
        self.spec = spec
        self.program = os.fspath(spec.command[0])
        self.group = group
        self.serving: Plugin | None = None
        self.coming: Plugin | None = None
        self.draining: set[Plugin] = set()
        self.waiters: Line[Waiter] = Line()
        self.leases = 0
        self.limit: float = inf if spec.max_concurrent_calls is None else spec.max_concurrent_calls
        self.breaker = Breaker()
        self.turn = -inf
        self.starts = 0
        self.warm = False
        self.warned = False

    @property
    def can_lease(self) -> bool:
        """Whether a lease is to be had at this moment."""
        group = self.group
        return self.serving is not None and self.leases < self.limit and (group is None or not group.is_full)

    @property
    def is_unused(self) -> bool:
        """Whether nothing would be lost with it but the memory of failures."""
        return not (self.serving or self.coming or self.draining or self.waiters or self.leases)


class Plugin:
    """One process of the pool, before, during and after its life.

    Attributes:
        entry: Its key's entry.
        number: Unlike that of any other plugin of the pool.
        state: Where it is in its life.
        holds: Its leases, the oldest first.
        calls: Leases that it has had.
        calls_limit: Leases from which on the next one asks for a replacement; infinite without a limit, and once it
            was asked for.
        queued_at: When it was asked for.
        started_at: When its process was started; None before.
        ready_at: When it could take leases; None before.
        last_used: When its latest lease ended or, without one, when it became ready.
        expires_at: When it is old enough to be replaced.
        drain_by: When its leases are revoked; infinite unless it drains.
        reason: Why it is replaced, drained or stopped; empty before.
        size: Bytes that count for it: an estimate, then what was measured.
        memory: Bytes as measured last; None before.
        held_by: What its start waited for last; empty if for nothing.
        keep: Whether its start goes on although nobody waits.
        abandoned: Whether the driver was asked to give up its start.
        configuring: Whether the driver was asked to configure it.
        slots: The start slots of which it has one; None without.
        error: How its process ended while it was configured; None otherwise.
        driver: What the driver keeps with it.
    """

    __slots__ = (
        "abandoned", "calls", "calls_limit", "configuring", "drain_by", "driver", "entry", "error", "expires_at",
        "held_by", "holds", "keep", "last_used", "memory", "number", "queued_at", "ready_at", "reason", "size", "slots",
        "started_at", "state",
    )  # fmt: skip

    def __init__(self, entry: Entry, number: int, now: float) -> None:
        self.entry = entry
        self.number = number
        self.state = State.QUEUED
        self.holds: dict[Hold, bool] = {}
        self.calls = 0
        self.calls_limit: float = inf if entry.spec.max_calls is None else entry.spec.max_calls - 1
        self.queued_at = self.last_used = now
        self.started_at: float | None = None
        self.ready_at: float | None = None
        self.expires_at = inf
        self.drain_by = inf
        self.reason = ""
        self.size = 0
        self.memory: int | None = None
        self.held_by = ""
        self.keep = False
        self.abandoned = False
        self.configuring = False
        self.slots: Any = None
        self.error: Exception | None = None
        self.driver: Any = None

    def __repr__(self) -> str:
        return f"<Plugin {self.number} of {self.entry.spec.name!r}: {self.state}, {len(self.holds)} leases>"


class Waiter:
    """Somebody who waits for a lease of an entry.

    Attributes:
        entry: The entry.
        priority: Higher ones come first.
        since: When the wait began.
        deadline: When it ends.
        place: As of `Hold`.
        warm: Whether the plugin is wanted, rather than a lease: its start goes on when nobody waits any more.
        driver: What the driver keeps with it.
    """

    __slots__ = ("deadline", "driver", "entry", "place", "priority", "since", "warm")

    def __init__(
        self, entry: Entry, priority: int, since: float, deadline: float, place: Any, warm: bool = False
    ) -> None:
        self.entry = entry
        self.priority = priority
        self.since = since
        self.deadline = deadline
        self.place = place
        self.warm = warm
        self.driver: Any = None
