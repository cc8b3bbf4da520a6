"""Log lines and output of the plugins of all blocking clients, forwarded on one thread."""

from __future__ import annotations

import atexit
import contextlib
import functools
import logging
import os
import threading
from collections.abc import Callable

from ferrule import _core
from ferrule._host.output import OutputForwarder
from ferrule._secrecy import Sealed
from ferrule.channel.sync.worker import Worker
from ferrule.errors import LaunchError

__all__ = ["THREAD_NAME", "ThreadOutputForwarder"]

THREAD_NAME = "ferrule-delivery"

# Seconds without progress. Handlers of logs are the user's, and one may wait for the very thread that waits for it.
_DRAIN_STALL_LIMIT = 5.0
# Seconds. A handler that does not return is left where it is.
_JOIN_LIMIT = 1.0

_logger = logging.getLogger(__name__)


class _OutputThread:
    """The thread of this process: there as long as plugins are listened to."""

    def __init__(self) -> None:
        self.worker = Worker(THREAD_NAME)
        self.has_ended = False
        self.batches = 0
        # Reentrant: a signal's handler may start a client during the start of another.
        self._lock = threading.RLock()

    def open_host(self, settings: Sealed, listener: Callable[[], object], wanted_level: int | None) -> _core.Host:
        """A host, not started yet, whose listener is called on the thread."""
        with self._lock:
            return _core.Host(settings, self.worker.mailbox, listener, wanted_level)

    def start(self) -> None:
        """Starts the thread if it does not run, unless the interpreter is exiting."""
        with self._lock:
            if not self.has_ended:
                self.worker.start()

    def start_with(self, job: Callable[[], object]) -> bool:
        """Queues a job for the thread, which is started if it does not run; False if the interpreter is exiting."""
        with self._lock:
            if not self.has_ended:
                self.worker.start_with(job)
            return not self.has_ended

    def stop_if_idle(self) -> None:
        """Ends the thread if no plugin is listened to any more."""
        with self._lock:
            self.worker.finish()
            if len(self.worker.mailbox) == 0:
                # The next listener waits for this.
                self.worker.join(_JOIN_LIMIT)

    def end(self) -> None:
        """Ends the thread for good: it must not be found inside the core when the interpreter goes."""
        with self._lock:
            self.has_ended = True
            self.worker.stop()
        self.worker.join(_JOIN_LIMIT)


_lock = threading.RLock()
_thread: _OutputThread | None = None


def _output_thread() -> _OutputThread:
    """The one of this process, made when it is first asked for."""
    global _thread  # noqa: PLW0603 - one for the process is the point.
    with _lock:
        if _thread is None:
            _thread = _OutputThread()
        return _thread


def _forget_thread() -> None:
    """In a forked child: the thread stayed behind in the parent, where it may have held the lock."""
    global _thread, _lock
    _thread, _lock = None, threading.RLock()


def _end_thread() -> None:
    if _thread is not None:
        _thread.end()


os.register_at_fork(after_in_child=_forget_thread)
atexit.register(_end_thread)


class ThreadOutputForwarder(OutputForwarder):
    """Forwards log lines and output of one client's plugins, on the thread that all blocking clients share."""

    def open_host(self, settings: Sealed) -> _core.Host:
        """A host that is not started yet. Lines and output are forwarded between `start()` and `forget()`."""
        self.host = _output_thread().open_host(settings, self._announce, self.log.wanted_level())
        return self.host

    def start(self) -> None:
        """Has the thread run; until then, log lines and output wait."""
        _output_thread().start()

    def forget(self, host: _core.Host) -> None:
        """Forwards the last lines and output of a plugin, and listens no more."""
        self.drain()
        host.forget_listener()
        _output_thread().stop_if_idle()

    def abandon(self, host: _core.Host) -> None:
        """Has a plugin end, and listens no more, without waiting for either."""
        host.abandon()
        _output_thread().worker.finish()

    def drain(self) -> None:
        """Returns when everything there is has been forwarded, or a handler on the thread does not return.

        On the thread itself, inside a handler, it returns at once, and the rest follows in its order.
        """
        thread = _output_thread()
        if threading.current_thread().name == THREAD_NAME:
            return
        drained = threading.Event()
        # The thread may have ended with the last plugin, or not begun when the handler of a signal comes here.
        try:
            is_queued = thread.start_with(functools.partial(self._drain_on_thread, drained))
        except LaunchError:
            # No thread is to be had.
            is_queued = False
        if not is_queued:
            self._drain_here()
            return
        batches = -1
        while not drained.is_set() and batches != thread.batches:
            batches = thread.batches
            drained.wait(_DRAIN_STALL_LIMIT)
        thread.stop_if_idle()

    def _drain_here(self) -> None:
        while self._forward_safely():
            pass

    def _drain_on_thread(self, drained: threading.Event) -> None:
        if self._forward_safely():
            _output_thread().worker.post(functools.partial(self._drain_on_thread, drained))
        else:
            drained.set()

    def _announce(self) -> None:
        # Called from inside the core, which an interpreter that exits must not find on a thread's stack for long.
        _output_thread().worker.post(self._receive)

    def _receive(self) -> None:
        """Forwards one batch and comes back for the next, after those of other plugins."""
        if self._forward_safely():
            _output_thread().worker.post(self._receive)

    def _forward_safely(self) -> bool:
        """Forwards one batch; a handler that fails is logged, and there may be more."""
        try:
            return self.forward_batch()
        except BaseException:
            # What even a faulty handler may raise, SystemExit for one, must not end the thread for all plugins.
            with contextlib.suppress(BaseException):
                _logger.exception("passing on the output of a plugin failed")
            return True
        finally:
            _output_thread().batches += 1
