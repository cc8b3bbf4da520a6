"""What a plugin does on signals, and putting back what was before.

A child that the plugin forks, by multiprocessing for example, inherits the handlers and the descriptor by which they
wake the plugin's loop: a SIGTERM for the child would end the plugin. So the child keeps neither.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

__all__ = ["Signals"]


class Signals:
    """Has the running loop handle signals, until `restore`. Outside the main thread, nothing: Python allows no more.

    Args:
        actions: What the loop calls on each signal.
        at_once: What to call before, between any two steps of the main thread, also while the loop is held up.
    """

    def __init__(
        self,
        actions: Mapping[signal.Signals, Callable[[], object]],
        at_once: Mapping[signal.Signals, Callable[[], object]] = MappingProxyType({}),
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._before: dict[signal.Signals, Any] = {}
        for number, action in actions.items():
            before = signal.getsignal(number)
            # NotImplementedError: Windows. RuntimeError, ValueError: not the main thread.
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
                self._loop.add_signal_handler(number, action)
                self._before[number] = before
                if number in at_once:
                    # The loop's own handler is empty: the loop hears by its descriptor.
                    signal.signal(number, _calling(at_once[number]))
        _active.add(self)

    def restore(self) -> None:
        """Puts the handlers of before back."""
        _active.discard(self)
        for number, before in self._before.items():
            self._loop.remove_signal_handler(number)
            # None: not installed from Python, and nothing that Python could install.
            if before is not None:
                signal.signal(number, before)
        self._before.clear()

    def leave_to_child(self) -> None:
        """In a child that was forked: signals do what they did before, and nothing on the parent's loop."""
        signal.set_wakeup_fd(-1)
        for number, before in self._before.items():
            # A terminal sends SIGINT to the children as well, and the plugin goes on.
            signal.signal(number, _ignore if number == signal.SIGINT else before or signal.SIG_DFL)
        self._before.clear()


_active: set[Signals] = set()
_forking = threading.local()


def _calling(action: Callable[[], object]) -> Callable[..., None]:
    def handle(*_: object) -> None:
        action()

    return handle


def _ignore(*_: object) -> None:
    """Unlike SIG_IGN it ends with exec."""


def _before_fork() -> None:
    # What is sent to the child at once waits until it has handlers of its own.
    _forking.mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM}) if _active else None


def _after_fork_in_parent() -> None:
    if _forking.mask is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, _forking.mask)


def _after_fork_in_child() -> None:
    for signals in _active:
        signals.leave_to_child()
    _active.clear()
    _after_fork_in_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
