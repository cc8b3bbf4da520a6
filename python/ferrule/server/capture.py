"""Captures what the process prints, for an `Output` that is sent to the host.

As in a Go plugin, the language's own stdout and stderr are replaced. File descriptor 2 stays: logs and the
interpreter's last words go there, and a host reads it even when gRPC is dead. File descriptor 1 is captured too,
because hosts discard what arrives there after the handshake line: the output of C code and of child processes reaches
the host, while in Go it is lost.
"""

from __future__ import annotations

import contextlib
import io
import os
import select
import sys
import threading
from typing import TYPE_CHECKING

from ferrule.server.pipes import write_all
from ferrule.server.stdio import LIMIT_BYTES, STDERR, STDOUT, Output

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

__all__ = ["Capture"]

PIPE_BYTES = 64 << 10
"""Capacity of a pipe on Linux."""


class Capture:
    """Replaces `sys.stdout`, `sys.stderr` and file descriptor 1 until `release`.

    Args:
        output: Receives everything that is printed.
    """

    def __init__(self, output: Output) -> None:
        self._output = output
        self._handshake = os.dup(1)
        self._pipe, writing = os.pipe()
        self._released, self._release = os.pipe()
        os.dup2(writing, 1)
        os.close(writing)
        os.set_blocking(self._pipe, False)
        self._originals = sys.stdout, sys.stderr
        self._files = _File(output, STDOUT), _File(output, STDERR)
        self._replacements = _text_file(self._files[0]), _text_file(self._files[1])
        # Text that was printed too early and not flushed may come neither before the handshake line nor after what is
        # printed from now on. Such text may be longer than the pipe holds.
        self._start_pump()
        for stream in self._originals:
            # None, closed, or an object that only writes: then it holds nothing back.
            with contextlib.suppress(AttributeError, ValueError):
                stream.flush()
        self._stop_pump()
        sys.stdout, sys.stderr = self._replacements
        _captures.add(self)
        self._start_pump()

    def announce(self, line: str) -> None:
        """Writes a line to the process's real standard output, unbuffered."""
        write_all(self._handshake, f"{line}\n".encode())

    def release(self) -> None:
        """Restores everything. Whatever was printed before is in the output when this returns."""
        _captures.discard(self)
        self.restore_streams()
        os.dup2(self._handshake, 1)
        self._stop_pump()
        for descriptor in (self._handshake, self._pipe, self._released, self._release):
            os.close(descriptor)

    def restore_streams(self) -> None:
        """Restores `sys.stdout` and `sys.stderr`, unless other code has replaced them since."""
        if sys.stdout is self._replacements[0]:
            sys.stdout = self._originals[0]
        if sys.stderr is self._replacements[1]:
            sys.stderr = self._originals[1]

    def leave_to_parent(self) -> None:
        """Leads output to the descriptors again, in a forked child."""
        self.restore_streams()
        for file in self._files:
            # Handlers of logging, for example, keep the `sys.stderr` of their making.
            file.lead_to_descriptor()

    def _start_pump(self) -> None:
        self._thread = threading.Thread(target=self._pump, name="ferrule-stdout", daemon=True)
        self._thread.start()

    def _stop_pump(self) -> None:
        """Ends the thread; what was written to the pipe before is in the output when this returns."""
        os.write(self._release, b"\n")
        self._thread.join()

    def _pump(self) -> None:
        # On a thread of its own, because the loop's thread may fill the pipe, in a system call that waits for room.
        poll = select.poll()
        for descriptor in (self._pipe, self._released):
            poll.register(descriptor, select.POLLIN)
        while True:
            ready = {descriptor for descriptor, _ in poll.poll()}
            if self._released in ready:
                os.read(self._released, 1)
                # A child that still prints must not keep this going.
                self._read(PIPE_BYTES)
                return
            if not self._read(PIPE_BYTES):
                poll.unregister(self._pipe)

    def _read(self, limit: int) -> bool:
        """Whether the pipe still has a writer."""
        try:
            data = os.read(self._pipe, limit)
        except BlockingIOError:
            return True
        self._output.write(STDOUT, data, LIMIT_BYTES)
        return bool(data)


_captures: set[Capture] = set()


def _restore_in_fork() -> None:
    # The child has no loop that sends. Its descriptor 1 still leads to the output, by way of the parent.
    for capture in _captures:
        capture.leave_to_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_restore_in_fork)


def _text_file(file: _File) -> io.TextIOWrapper:
    # Without a buffer: a thread that waits would hold the buffer's lock, for which the loop's thread would wait.
    return io.TextIOWrapper(file, encoding="utf-8", errors="backslashreplace", write_through=True)


class _File(io.RawIOBase):
    def __init__(self, output: Output, channel: int) -> None:
        self.name = f"<stdio channel {channel}>"
        self._output: Output | None = output
        self._channel = channel

    def lead_to_descriptor(self) -> None:
        """Has what is written from now on go where it goes for child processes."""
        self._output = None

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        # For child processes and faulthandler: descriptor 1 is captured too, and descriptor 2 is the log.
        return self._channel

    def write(self, data: ReadableBuffer) -> int:
        view = memoryview(data)
        if self._output is None:
            write_all(self._channel, view.tobytes())
        else:
            self._output.write(self._channel, view)
        return view.nbytes
