"""A plugin's signal handlers, which are restored in the end and dropped in forked children.

A child that the plugin forks, by multiprocessing for example, inherits the handlers and the descriptor by which they
wake the plugin's loop. A SIGTERM for the child would therefore end the plugin, so the child keeps neither.
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
    """Has the running loop handle signals until `restore`.

    Does nothing outside the main thread, where Python allows no signal handlers, and on Windows.

    Args:
        actions: The function that the loop calls for each signal.
        at_once: Functions that are called earlier, between two steps of the main thread, even while the loop is held
            up.
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
                    # Unlike the loop's, it interrupts system calls: a main thread that waits for a lock, in C, would
                    # otherwise wait on, and Python would never call the handler.
                    signal.signal(number, _calling(at_once[number]))
        _active.add(self)

    def restore(self) -> None:
        """Restores the previous handlers."""
        _active.discard(self)
        for number, before in self._before.items():
            self._loop.remove_signal_handler(number)
            # None stands for a handler in C, which Python cannot install.
            if before is not None:
                signal.signal(number, before)
        self._before.clear()

    def leave_to_child(self) -> None:
        """Restores the previous handlers in a forked child, and cuts the child off the parent's loop."""
        signal.set_wakeup_fd(-1)
        for number, before in self._before.items():
            # A terminal sends SIGINT to the children too, and the plugin goes on without them.
            signal.signal(number, _ignore if number == signal.SIGINT else before or signal.SIG_DFL)
        self._before.clear()


_active: set[Signals] = set()
_forking = threading.local()


def _calling(action: Callable[[], object]) -> Callable[..., None]:
    def handle(*_: object) -> None:
        action()

    return handle


def _ignore(*_: object) -> None:
    """Ignores a signal. Unlike SIG_IGN, a Python handler does not survive `exec`."""


def _before_fork() -> None:
    # A signal that is sent to the child at once waits until the child has its own handlers.
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
