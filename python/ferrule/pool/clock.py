"""The clock of a pool, which tests put forward by hand."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

__all__ = ["Clock", "LoopClock", "Timer"]


class Timer(Protocol):
    """A call that was asked for."""

    def cancel(self) -> None:
        """Takes the call back; does nothing after it."""


class Clock(Protocol):
    """The time, and calls at a later one."""

    def now(self) -> float:
        """Seconds since some moment, never less than before."""

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        """Has a function called on the loop's thread, at `when` or soon after."""


class LoopClock:
    """The monotonic clock and the timers of the running loop."""

    now = staticmethod(time.monotonic)

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        loop = asyncio.get_running_loop()
        return loop.call_later(max(0.0, when - time.monotonic()), callback)
