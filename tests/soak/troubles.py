"""When a plugin was in trouble, so that only those calls may fail that the trouble can have met."""

from __future__ import annotations

import time

__all__ = ["Troubles"]


class Troubles:
    """The troubles of one plugin: each begins before a kill, and is over when the plugin's successor is ready."""

    def __init__(self) -> None:
        self._is_open = False
        self._last_over = float("-inf")

    @property
    def is_open(self) -> bool:
        """Whether the plugin is in trouble now."""
        return self._is_open

    def begin(self) -> None:
        """Notes that calls may fail from now on."""
        self._is_open = True

    def end(self) -> None:
        """Notes that calls which begin from now on may not."""
        if self._is_open:
            self._is_open, self._last_over = False, time.monotonic()

    def any_since(self, moment: float) -> bool:
        """Whether there was trouble at some time since a moment of `time.monotonic`."""
        return self._is_open or self._last_over >= moment
