"""What the policy knows: entries by key, their plugins, those who wait."""

from __future__ import annotations

from collections import deque
from enum import StrEnum
from typing import Any

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
    """

    __slots__ = ("ended", "place", "plugin", "since")

    def __init__(self, plugin: Plugin, since: float, place: Any) -> None:
        self.plugin = plugin
        self.since = since
        self.place = place
        self.ended = False


class Group:
    """Entries whose leases are bounded together."""

    __slots__ = ("leases", "limit", "name")

    def __init__(self, name: str, limit: int | None) -> None:
        self.name = name
        self.limit = limit
        self.leases = 0

    @property
    def is_full(self) -> bool:
        """Whether one more lease is too many."""
        return self.limit is not None and self.leases >= self.limit


class Entry:
    """All that the pool has for one key.

    Attributes:
        key: The key.
        spec: The spec that came first with this key.
        serving: The plugin that takes leases; None while there is none.
        coming: The plugin that is to serve next: queued, starting or being configured; None while there is none.
        draining: Plugins that take no more leases.
        waiters: Those who wait for a lease, in order.
        leases: Leases that count against the spec's `max_concurrent_calls`.
        group: The group of the spec; None without one.
    """

    __slots__ = ("coming", "draining", "group", "key", "leases", "limit", "serving", "spec", "waiters")

    def __init__(self, key: bytes, spec: PluginSpec, group: Group | None) -> None:
        self.key = key
        self.spec = spec
        self.group = group
        self.serving: Plugin | None = None
        self.coming: Plugin | None = None
        self.draining: set[Plugin] = set()
        self.waiters: deque[Waiter] = deque()
        self.leases = 0
        self.limit: float = float("inf") if spec.max_concurrent_calls is None else spec.max_concurrent_calls


class Plugin:
    """One process of the pool, before, during and after its life.

    Attributes:
        entry: Its key's entry.
        number: Unlike that of any other plugin of the pool.
        state: Where it is in its life.
        holds: Its leases.
        calls: Leases that it has had.
        queued_at: When it was asked for.
        ready_at: When it could take leases; None before.
        last_used: When its latest lease ended or, without one, when it became ready.
        driver: What the driver keeps with it.
    """

    __slots__ = (
        "calls", "driver", "entry", "holds", "last_used", "number", "queued_at", "ready_at", "reason", "state",
    )  # fmt: skip

    def __init__(self, entry: Entry, number: int, now: float) -> None:
        self.entry = entry
        self.number = number
        self.state = State.QUEUED
        self.holds: set[Hold] = set()
        self.calls = 0
        self.queued_at = self.last_used = now
        self.ready_at: float | None = None
        self.reason = ""
        self.driver: Any = None


class Waiter:
    """Somebody who waits for a lease of an entry.

    Attributes:
        entry: The entry.
        priority: Higher ones come first.
        since: When the wait began.
        deadline: When it ends.
        place: As of `Hold`.
        driver: What the driver keeps with it.
    """

    __slots__ = ("deadline", "driver", "entry", "place", "priority", "since")

    def __init__(self, entry: Entry, priority: int, since: float, deadline: float, place: Any) -> None:
        self.entry = entry
        self.priority = priority
        self.since = since
        self.deadline = deadline
        self.place = place
        self.driver: Any = None
