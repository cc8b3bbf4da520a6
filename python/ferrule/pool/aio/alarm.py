"""Alarm: the one timer of a pool."""

from __future__ import annotations

from collections.abc import Callable

from ferrule.pool.clock import Clock, Timer

__all__ = ["Alarm"]


class Alarm:
    """Calls a function at the earliest of the times that were asked for.

    An earlier time sets the timer anew. A later one does not: the function is called early, finds nothing to do, and
    asks again. So times that move with each lease cost nothing.

    Args:
        clock: The pool's time.
        ring: What is called.
    """

    def __init__(self, clock: Clock, ring: Callable[[], None]) -> None:
        self._clock = clock
        self._ring = ring
        self._timer: Timer | None = None
        self._when = 0.0

    def set(self, when: float | None) -> None:
        """Has the function called at a time, or earlier; None for never."""
        if when is None:
            self.cancel()
        elif self._timer is None or when < self._when:
            self.cancel()
            self._timer, self._when = self._clock.call_at(when, self._go_off), when

    def cancel(self) -> None:
        """Takes it back."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _go_off(self) -> None:
        self._timer = None
        self._ring()
