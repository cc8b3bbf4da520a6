"""The one thread on which log lines and output of the plugins of all blocking clients are passed on."""

from __future__ import annotations

import atexit
import contextlib
import functools
import logging
import os
import threading
from collections.abc import Callable

from ferrule import _core
from ferrule._secrecy import Sealed
from ferrule.channel.sync.worker import Worker
from ferrule.client.relay import PluginOutput
from ferrule.errors import LaunchError

__all__ = ["THREAD_NAME", "ThreadRelay"]

THREAD_NAME = "ferrule-delivery"

# Seconds without progress. Handlers of logs are the user's, and one may wait for the very thread that waits for it.
_PATIENCE = 5.0
# Seconds. A handler that does not return is left where it is.
_EXIT_LIMIT = 1.0

_logger = logging.getLogger(__name__)


class _Delivery:
    """The thread of this process: there as long as plugins are listened to."""

    def __init__(self) -> None:
        self.worker = Worker(THREAD_NAME)
        self.has_ended = False
        self.batches = 0
        # Reentrant: a signal's handler may start a client during the start of another.
        self._lock = threading.RLock()

    def listen(self, settings: Sealed, listener: Callable[[], object], wanted_level: int | None) -> _core.Host:
        """A host whose listener is called on the thread."""
        with self._lock:
            return _core.Host(settings, self.worker.mailbox, listener, wanted_level)

    def begin(self) -> None:
        """Sees to it that the thread runs, unless the interpreter is exiting."""
        with self._lock:
            if not self.has_ended:
                self.worker.start()

    def rest(self) -> None:
        """Ends the thread if nobody is listened to any more."""
        with self._lock:
            self.worker.finish()
            if len(self.worker.mailbox) == 0:
                # Whoever listens next waits for this.
                self.worker.join(_EXIT_LIMIT)

    def end(self) -> None:
        """Ends the thread for good: it must not be found inside the core when the interpreter goes."""
        with self._lock:
            self.has_ended = True
            self.worker.stop()
        self.worker.join(_EXIT_LIMIT)


_lock = threading.RLock()
_delivery: _Delivery | None = None


def _of_process() -> _Delivery:
    global _delivery  # noqa: PLW0603 - one for the process is the point.
    with _lock:
        if _delivery is None:
            _delivery = _Delivery()
        return _delivery


def _forget() -> None:
    """In a forked child: the thread stayed behind in the parent, where it may have held the lock."""
    global _delivery, _lock
    _delivery, _lock = None, threading.RLock()


def _end() -> None:
    if _delivery is not None:
        _delivery.end()


os.register_at_fork(after_in_child=_forget)
atexit.register(_end)


class ThreadRelay(PluginOutput):
    """Passes on what one plugin after the other says, on the thread for all of them."""

    def listen(self, settings: Sealed) -> _core.Host:
        """A host that is not started yet. What its plugin says is passed on between `begin()` and `forget()`."""
        self.host = _of_process().listen(settings, self._announce, self.log.wanted_level())
        return self.host

    def begin(self) -> None:
        """Sees to it that the thread runs; until then, what the plugin says waits."""
        _of_process().begin()

    def forget(self, host: _core.Host) -> None:
        """Passes on what a plugin said last, and listens no more."""
        self.drain()
        host.forget_listener()
        _of_process().rest()

    def abandon(self, host: _core.Host) -> None:
        """Has a plugin end, and listens no more, without waiting for either."""
        host.abandon()
        _of_process().worker.finish()

    def drain(self) -> None:
        """Returns when everything there is has been passed on, or a handler on that thread does not return.

        On the thread itself, inside a handler, it returns at once, and the rest follows in its order.
        """
        delivery = _of_process()
        if threading.current_thread().name == THREAD_NAME:
            return
        if delivery.has_ended:
            while self._pass_on():
                pass
            return
        drained = threading.Event()
        delivery.worker.post(functools.partial(self._drain, drained))
        # Afterwards, so that it does not end in between. It may have ended with the last plugin, or not begun when the
        # handler of a signal comes here.
        try:
            delivery.begin()
        except LaunchError:
            # No thread is to be had.
            while self._pass_on():
                pass
            return
        batches = -1
        while not drained.is_set() and batches != delivery.batches:
            batches = delivery.batches
            drained.wait(_PATIENCE)
        delivery.rest()

    def _drain(self, drained: threading.Event) -> None:
        if self._pass_on():
            _of_process().worker.post(functools.partial(self._drain, drained))
        else:
            drained.set()

    def _announce(self) -> None:
        # Called from inside the core, which an interpreter that exits must not find on a thread's stack for long.
        _of_process().worker.post(self._receive)

    def _receive(self) -> None:
        """Passes on one batch and comes back for the next, after those of other plugins."""
        if self._pass_on():
            _of_process().worker.post(self._receive)

    def _pass_on(self) -> bool:
        try:
            return self.pass_on()
        except BaseException:
            # What even a faulty handler may raise, SystemExit for one, must not end the thread for all plugins.
            with contextlib.suppress(BaseException):
                _logger.exception("passing on the output of a plugin failed")
            return True
        finally:
            _of_process().batches += 1
