"""What a plugin does on signals, and putting back what was before."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["Signals"]


class Signals:
    """Has the running loop handle signals, until `restore`. Outside the main thread, nothing: Python allows no more.

    Args:
        actions: What to call on each signal.
    """

    def __init__(self, actions: Mapping[signal.Signals, Callable[[], object]]) -> None:
        self._loop = asyncio.get_running_loop()
        self._before: dict[signal.Signals, Any] = {}
        for number, action in actions.items():
            before = signal.getsignal(number)
            # NotImplementedError: Windows. RuntimeError, ValueError: not the main thread.
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
                self._loop.add_signal_handler(number, action)
                self._before[number] = before

    def restore(self) -> None:
        """Puts the handlers of before back."""
        for number, before in self._before.items():
            self._loop.remove_signal_handler(number)
            # None: not installed from Python, and nothing that Python could install.
            if before is not None:
                signal.signal(number, before)
        self._before.clear()
