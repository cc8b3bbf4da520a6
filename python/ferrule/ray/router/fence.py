"""Fence: how long a node may work without a word from its router."""

from __future__ import annotations

import threading
from collections.abc import Callable

from ferrule.ray.router.messages import Beat, Join

__all__ = ["FENCE_AFTER", "SHUTDOWN_LADDER", "Fence"]

FENCE_AFTER = 10.0
"""Seconds without a heartbeat after which a node ends its work."""

SHUTDOWN_LADDER = 4.0
"""Seconds that a node has for ending its plugins then; what is left ends with the node's process."""


class Fence:
    """A lease of time, which heartbeats renew. Threads may share it.

    The lease runs from the node's own clock as the router repeats it: a heartbeat that waited in a frozen node's socket
    renews nothing. No clock of another machine takes part.
    """

    def __init__(self, now: Callable[[], float], fence_after: float = FENCE_AFTER) -> None:
        self._now = now
        self._fence_after = fence_after
        self._lock = threading.Lock()
        self._until = -1.0
        self.epoch = 0

    @property
    def until(self) -> float:
        """When the lease ends, by the node's clock."""
        return self._until

    def is_up(self, epoch: int | None = None) -> bool:
        """Whether work must not begin: the lease has ended, or the work is of another epoch."""
        with self._lock:
            return self._has_ended() or (epoch is not None and epoch != self.epoch)

    def renew(self, beat: Beat) -> None:
        """Renews a lease that has not ended; one that has ended stays so until `begin`."""
        with self._lock:
            if beat.epoch == self.epoch and not self._has_ended():
                self._until = max(self._until, beat.echo + self._fence_after)

    def begin(self, join: Join) -> bool:
        """Begins a later epoch; false if the message is of an earlier one, or was under way for too long."""
        with self._lock:
            until = join.echo + self._fence_after
            if join.epoch <= self.epoch or until <= self._now():
                return False
            self.epoch, self._until = join.epoch, until
            return True

    def end(self) -> None:
        """Ends the lease."""
        with self._lock:
            self._until = -1.0

    def _has_ended(self) -> bool:
        return self._now() >= self._until
