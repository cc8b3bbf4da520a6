"""Session: the state that the threads of one blocking client share from a start to the end of its close."""

from __future__ import annotations

import contextlib
import queue
from typing import TYPE_CHECKING

from ferrule._host.operation import Operation

if TYPE_CHECKING:
    from ferrule import _core

__all__ = ["Session", "StartAttempt"]


class StartAttempt:
    """One host of the core with its operations, each begun once for all threads that wait.

    Args:
        host: A host that is not started.
    """

    def __init__(self, host: _core.Host) -> None:
        self.host = host
        self.stopping = Operation(host.stop)
        self.closing = Operation(host.close)
        self.exiting = Operation(host.exited)


class Session:
    """One start, its attempts, and everything until all is given back.

    Attributes:
        attempt: The latest; None before the first.
        given_up: Whether the session is to end.
        is_open: Whether something may still be to be given back.
    """

    def __init__(self) -> None:
        self.attempt: StartAttempt | None = None
        self.given_up = False
        self.is_open = True
        # Not a threading.Event, which the handler of a signal must not set while the thread that it interrupts waits.
        self._wake_ups: queue.SimpleQueue[None] = queue.SimpleQueue()

    def give_up(self) -> None:
        """Has the session end, and `pause` return."""
        self.given_up = True
        self._wake_ups.put(None)

    def pause(self, seconds: float) -> bool:
        """Waits, unless the session is given up; returns whether it is."""
        if not self.given_up:
            with contextlib.suppress(queue.Empty):
                self._wake_ups.get(timeout=seconds)
        return self.given_up
