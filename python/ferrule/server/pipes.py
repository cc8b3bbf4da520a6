"""Writing to pipes whose reader may be gone, such as a plugin's standard output and error after its host's death."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Iterator

__all__ = ["write_all"]


def write_all(descriptor: int, data: bytes) -> None:
    """Writes all of `data`, and waits for room meanwhile, also where somebody has made the descriptor non-blocking.

    Raises:
        BrokenPipeError: The reader is gone. Programs with SIGPIPE at its default action get this error too, instead
            of being ended by the signal.
        OSError: Any other failure of the write.
    """
    rest = memoryview(data)
    with _sigpipe_held_back():
        while rest:
            try:
                rest = rest[os.write(descriptor, rest) :]
            except BlockingIOError:
                _wait_for_room(descriptor)


def _wait_for_room(descriptor: int) -> None:
    # What children inherit is one description of a file with them: some programs, Node.js for one, leave it
    # non-blocking, and then a line would break off where the pipe was full.
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    poll.poll()


@contextlib.contextmanager
def _sigpipe_held_back() -> Iterator[None]:
    # Python ignores the signal by default, where this costs one look. Pipes have no flag such as MSG_NOSIGNAL.
    if signal.getsignal(signal.SIGPIPE) is not signal.SIG_DFL:
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGPIPE})
    try:
        yield
    finally:
        if signal.SIGPIPE not in before:
            # The kernel sends the signal to the writing thread alone, for which it is pending now.
            signal.sigtimedwait({signal.SIGPIPE}, 0)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
