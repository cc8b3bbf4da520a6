"""Breaker: whether a key may be started, by how its starts and processes ended."""

from __future__ import annotations

from collections import deque
from typing import Final, Literal

from ferrule.errors import ConfigError, LaunchError, SecurityError
from ferrule.pool.limits import Limits

__all__ = ["STEADY_SECONDS", "Breaker", "BreakerState"]

BreakerState = Literal["closed", "backing_off", "open", "half_open"]

FIRST_BACKOFF_SECONDS: Final = 0.1
"""The pause after one failure; each further one in a row doubles it, up to `Limits.retry_after`."""

STEADY_SECONDS: Final = 1.0
"""A process that lived as long before it ended is started again at once."""

MAX_FAILURES: Final = 100_000
"""Failures that are remembered, however many the limits allow."""


def _is_final(error: Exception) -> bool:
    """Whether a start that failed so will fail again until somebody mends the program or the settings."""
    if isinstance(error, LaunchError):
        # "launch.failed" is the system's want of descriptors or memory, which passes.
        return error.code in {"launch.not-found", "launch.refused"}
    return isinstance(error, (ConfigError, SecurityError))


class Breaker:
    """Closed, backing off until a moment, open until a moment, or half open: one start is let through to try.

    Attributes:
        until: When the next start is allowed.
        is_open: Whether it is open or half open.
        error: The last failure; None without one.
    """

    __slots__ = ("_failures", "_streak", "error", "is_open", "until")

    def __init__(self) -> None:
        self._failures: deque[float] | None = None
        self._streak = 0
        self.until = 0.0
        self.is_open = False
        self.error: Exception | None = None

    def state(self, now: float) -> BreakerState:
        """The state at a moment."""
        if self.is_open:
            return "open" if now < self.until else "half_open"
        return "backing_off" if now < self.until else "closed"

    def refuses(self, now: float) -> bool:
        """Whether those who want a start are refused, rather than kept waiting."""
        return self.is_open and now < self.until

    def failed(self, error: Exception, now: float, limits: Limits, *, lived: float = 0.0) -> bool:
        """Counts a failed start, or the unasked end of a process that lived for a time; whether the breaker opened."""
        self.error = error
        failures = self._failures = self._failures if self._failures is not None else deque(maxlen=MAX_FAILURES)
        failures.append(now)
        while failures[0] <= now - limits.failure_window:
            failures.popleft()
        self._streak = 0 if lived >= STEADY_SECONDS else self._streak + 1
        was_refusing = self.refuses(now)
        if self.is_open or _is_final(error) or len(failures) >= limits.failures:
            self.is_open = True
            self.until = now + limits.retry_after
            return not was_refusing
        # The exponent is bounded, for a float that a large one overflows.
        pause = FIRST_BACKOFF_SECONDS * 2 ** min(self._streak - 1, 30) if self._streak else 0.0
        self.until = now + min(pause, limits.retry_after)
        return False

    def succeeded(self) -> bool:
        """Counts a start that succeeded; whether the breaker closed by it."""
        if not self.is_open:
            return False
        self.reset()
        return True

    def reset(self) -> None:
        """Forgets all failures."""
        self._failures = None
        self._streak = 0
        self.until = 0.0
        self.is_open = False
        self.error = None
