"""A thread that drains a mailbox of the core and runs the callbacks of its messages."""

from __future__ import annotations

import contextlib
import enum
import logging
import os
import select
import threading
from collections import deque
from collections.abc import Callable

from ferrule._core import Mailbox
from ferrule._finalizers import finalizer
from ferrule.errors import refused_by_system

__all__ = ["Worker"]

_logger = logging.getLogger(__name__)


class _Ending(enum.Enum):
    NOW = enum.auto()
    WHEN_NOTHING_IS_AWAITED = enum.auto()


class Worker:
    """Runs jobs, and the receivers of its mailbox, one after the other on a daemon thread of its own.

    The thread lives from `start()` to `stop()` or `finish()`, and can be started again. It alone drains the mailbox.

    Args:
        name: The name of the thread.

    Raises:
        LaunchError: The system provides no pipe.
    """

    def __init__(self, name: str) -> None:
        self.mailbox = Mailbox()
        self._name = name
        self._jobs: deque[Callable[[], object]] = deque()
        # Reentrant: collecting garbage while it is held can end in `finish`.
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None
        self._ending: _Ending | None = None
        try:
            self._reader, self._writer = os.pipe()
        except OSError as error:
            raise refused_by_system("pipe", error) from None
        for end in (self._reader, self._writer):
            os.set_blocking(end, False)

    @finalizer
    def __del__(self) -> None:
        # The thread holds the worker, so it has ended. An __init__ that raised may leave no pipe.
        for end in (getattr(self, "_reader", None), getattr(self, "_writer", None)):
            if end is not None:
                os.close(end)

    @property
    def is_running(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None

    def start(self) -> None:
        """Starts the thread, unless it runs.

        Raises:
            LaunchError: The system provides no thread.
        """
        with self._lock:
            self._ending = None
            if self._thread is None:
                thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                try:
                    thread.start()
                except RuntimeError as error:
                    raise refused_by_system("thread", error) from None
                self._thread = thread

    def start_with(self, job: Callable[[], object]) -> None:
        """Starts the thread, unless it runs, and queues `job` for it, so that the thread cannot end in between.

        Raises:
            LaunchError: The system provides no thread; the job is not queued.
        """
        with self._lock:
            self.start()
            self._jobs.append(job)
        self.wake()

    def post(self, job: Callable[[], object]) -> None:
        """Queues `job` for the thread, which runs it now or once started; runs it at once if the thread has ended."""
        with self._lock:
            has_ended = self._thread is None and self._ending is not None
            if not has_ended:
                self._jobs.append(job)
        if has_ended:
            self._attempt(job)
        else:
            self.wake()

    def wake(self) -> None:
        """Wakes the thread, which looks for jobs and whether it may end."""
        # A full pipe has woken the thread.
        with contextlib.suppress(BlockingIOError):
            os.write(self._writer, b"\0")

    def stop(self) -> None:
        """Ends the thread once the queued jobs are done."""
        self._end(_Ending.NOW)

    def finish(self) -> None:
        """Ends the thread once everything that its mailbox awaits has arrived."""
        self._end(_Ending.WHEN_NOTHING_IS_AWAITED)

    def join(self, limit: float) -> None:
        """Waits for the end of the thread, at most `limit` seconds; returns at once on the thread itself."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(limit)

    def _end(self, ending: _Ending) -> None:
        with self._lock:
            self._ending = ending
        self.wake()

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self.mailbox.fileno(), select.POLLIN)
        poll.register(self._reader, select.POLLIN)
        while not self._has_ended():
            poll.poll()
            with contextlib.suppress(BlockingIOError):
                os.read(self._reader, 4096)
            self._attempt(self.mailbox.drain)
            # Only the jobs queued by now: a job that posts itself again must not keep the mailbox waiting.
            for _ in range(len(self._jobs)):
                self._attempt(self._jobs.popleft())

    def _has_ended(self) -> bool:
        with self._lock:
            awaited = self._ending is _Ending.WHEN_NOTHING_IS_AWAITED and len(self.mailbox) > 0
            if self._ending is None or self._jobs or awaited:
                return False
            self._thread = None
            return True

    def _attempt(self, job: Callable[[], object]) -> None:
        # An exception of one job must not end the thread for all others.
        try:
            job()
        except Exception:
            _logger.exception("%s: %r failed", self._name, job)
