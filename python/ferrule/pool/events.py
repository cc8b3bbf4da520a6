"""What a pool tells those who subscribe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["EventKind", "PoolEvent"]

EventKind = Literal[
    "queued", "starting", "configuring", "ready", "start_failed", "replaced", "draining", "stopping", "exited",
    "breaker_opened", "breaker_closed", "leaked", "call_unknown", "closed",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class PoolEvent:
    """One thing that happened in a pool.

    Attributes:
        kind: What.
        plugin: The plugin's name; empty for the pool itself.
        pid: Its process; None where there is none.
        reason: Why: for "stopping" and "exited" one of idle, age, calls, memory, pressure, crash, evicted,
            close; for "start_failed" the error's class; else empty.
        at: The pool's time, in seconds, as `time.monotonic` has it.
        detail: Further text for people, such as the place where a leaked lease was taken.
    """

    kind: EventKind
    plugin: str
    pid: int | None
    reason: str
    at: float
    detail: str = ""
