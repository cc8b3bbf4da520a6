"""Subscribers: who is told of a pool's events."""

from __future__ import annotations

import logging
from collections.abc import Callable

from ferrule.pool.aio.exits import EXITS, leave_loop
from ferrule.pool.events import PoolEvent

__all__ = ["Subscribers"]

_logger = logging.getLogger("ferrule.pool")


class Subscribers:
    """Functions that are called with each event of a pool. None of them hurts the pool."""

    def __init__(self) -> None:
        self._functions: list[Callable[[PoolEvent], object]] = []

    def add(self, function: Callable[[PoolEvent], object]) -> Callable[[], None]:
        """Has a function called with each event; returns what ends that, at its first call."""
        self._functions.append(function)

        def end() -> None:
            if function in self._functions:
                self._functions.remove(function)

        return end

    def tell(self, event: PoolEvent) -> None:
        """Calls all of them. What they raise is logged; an exit of the program leaves the loop at its next turn."""
        for function in list(self._functions):
            try:
                function(event)
            except Exception:
                _logger.exception("a subscriber of a pool failed with %r", event)
            except EXITS as error:
                leave_loop(error)
