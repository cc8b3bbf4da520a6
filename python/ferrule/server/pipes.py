"""Writing to pipes whose reader may be gone, such as the standard output and error of a plugin whose host has died."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator

__all__ = ["write_all"]


def write_all(descriptor: int, data: bytes) -> None:
    """Writes all of `data`.

    Raises:
        BrokenPipeError: Nobody reads any more. Raised in a program with SIGPIPE at its default action as well, which
            that signal would end.
        OSError: Any other failure of the write.
    """
    rest = memoryview(data)
    with _sigpipe_held_back():
        while rest:
            rest = rest[os.write(descriptor, rest) :]


@contextlib.contextmanager
def _sigpipe_held_back() -> Iterator[None]:
    # Python itself ignores the signal, so that this costs the others one look. Pipes have no flag as sockets have.
    if signal.getsignal(signal.SIGPIPE) is not signal.SIG_DFL:
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGPIPE})
    try:
        yield
    finally:
        if signal.SIGPIPE not in before:
            # The signal of a broken pipe is sent to the writing thread alone, where it waits now.
            signal.sigtimedwait({signal.SIGPIPE}, 0)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
