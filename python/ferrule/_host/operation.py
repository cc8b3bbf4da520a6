"""Operation: the way in which threads wait for the I/O thread without an event loop."""

from __future__ import annotations

import select
import threading
from collections.abc import Callable
from concurrent.futures import Future
from time import monotonic
from typing import Any

from ferrule._core import Mailbox

__all__ = ["Operation"]

# Seconds. A signal that arrives just before a wait begins does not end the wait: its handler runs after the slice.
_WAIT_SLICE = 0.5


class Operation:
    """One operation of the core, begun once, for any number of threads that wait for its end.

    The operation has a mailbox of its own. One of the waiting threads watches the mailbox for all; when that thread
    leaves, by an exception or at its limit, another takes its place.

    Args:
        begin: Takes a mailbox and the future that the core resolves through it.

    Example:
        >>> import socket, tempfile
        >>> from ferrule._core import Stream
        >>> with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as server:
        ...     server.bind(f"{directory}/socket")
        ...     server.listen()
        ...     stream = Stream("unix", f"{directory}/socket", None, None)
        ...     Operation(stream.connect).result(timeout=10)
        ...     stream.close()
    """

    def __init__(self, begin: Callable[[Mailbox, Any], object]) -> None:
        self._begin = begin
        self._future: Future[Any] = Future()
        self._mailbox: Mailbox | None = None
        # Reentrant: the handler of a signal may wait for the operation that the interrupted thread waits for.
        self._turn = threading.RLock()

    def begin(self) -> None:
        """Begins the operation, if it is not under way or done."""
        with self._turn:
            if self._mailbox is None and not self._future.done():
                self._mailbox = Mailbox()
                try:
                    self._begin(self._mailbox, self._future)
                except BaseException:
                    self._mailbox = None
                    raise

    def result(self, timeout: float | None = None) -> Any:
        """Waits for the outcome, beginning the operation if need be. The interpreter's lock is released meanwhile.

        Args:
            timeout: Seconds to wait; default None, without limit.

        Raises:
            TimeoutError: The operation is not done in time; it goes on, and may be waited for again.
        """
        deadline = None if timeout is None else monotonic() + timeout
        while not self._future.done():
            limit = _WAIT_SLICE if deadline is None else min(_WAIT_SLICE, max(0.0, deadline - monotonic()))
            if self._turn.acquire(timeout=limit):
                try:
                    self._watch(limit)
                finally:
                    self._turn.release()
            if limit == 0 and not self._future.done():
                raise TimeoutError(f"not done after {timeout} s")
        try:
            return self._future.result()
        finally:
            # The future keeps an error, whose traceback would keep this frame, and the frame the future.
            del self

    def _watch(self, limit: float) -> None:
        self.begin()
        mailbox = self._mailbox
        # None if another thread has seen the end.
        if mailbox is None or not _is_readable(mailbox, limit):
            return
        try:
            mailbox.drain()
        except BaseException:
            # An interrupt inside may have lost the outcome. The next thread that waits begins again.
            self._mailbox = None
            raise
        if self._future.done():
            # Closes the mailbox's descriptor.
            self._mailbox = None


def _is_readable(mailbox: Mailbox, limit: float) -> bool:
    poll = select.poll()
    poll.register(mailbox.fileno(), select.POLLIN)
    return bool(poll.poll(limit * 1000))
