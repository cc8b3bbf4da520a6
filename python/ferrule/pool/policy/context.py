"""Context: what the parts of a policy share."""

from __future__ import annotations

import random
from collections import deque
from typing import Any

from ferrule.pool.events import EventKind, PoolEvent
from ferrule.pool.limits import Limits
from ferrule.pool.policy.commands import Command, Tell
from ferrule.pool.policy.line import Line
from ferrule.pool.policy.model import Entry, Plugin

__all__ = ["Context"]


class Context:
    """What the parts of a policy share.

    Attributes:
        limits: The pool's limits.
        commands: What the driver is to carry out, in order.
        timers: What is to be looked at by `tick`, and when: a waiter for its deadline, a plugin for its age, idle time,
            leases and drain, an entry for its next start. One timer for each, however many leases come and go.
        random: The source of jitter.
        is_closing: Whether the pool ends.
    """

    def __init__(self, limits: Limits, source: random.Random) -> None:
        self.limits = limits
        self.commands: deque[Command] = deque()
        self.timers: Line[Any] = Line()
        self.random = source
        self.is_closing = False

    def tell(
        self, kind: EventKind, entry: Entry, plugin: Plugin | None, now: float, reason: str = "", detail: str = ""
    ) -> None:
        """Has the subscribers told of an event of an entry or of one of its plugins."""
        pid = getattr(plugin.driver, "pid", None) if plugin is not None else None
        self.commands.append(Tell(PoolEvent(kind, str(entry.spec.name), pid, reason, now, detail)))
