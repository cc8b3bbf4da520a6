"""The plugin's own standard output and error, carried to the host by plugin.GRPCStdio."""

import io
import threading
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

import grpc

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

STDOUT = 1
STDERR = 2

CHUNK_BYTES = 1024
"""Largest piece a Go plugin sends; pieces split lines and characters anywhere."""

CAPACITY_CHUNKS = 64
"""A writer waits beyond this, so that an absent host stops a plugin after 64 KiB, as a pipe stops a Go plugin."""


class SyncedOutput:
    """What was written and not yet sent, in order, across both channels."""

    def __init__(self) -> None:
        self._pending: deque[tuple[int, bytes]] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def writer(self, channel: int) -> io.TextIOWrapper:
        """A text file whose lines go to `channel`; a replacement for `sys.stdout` or `sys.stderr`."""
        return io.TextIOWrapper(io.BufferedWriter(_Writer(self, channel)), encoding="utf-8", line_buffering=True)

    def put(self, channel: int, data: bytes) -> None:
        """Queue one chunk, waiting for room; dropped once closed, when nobody will fetch it."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self._pending) < CAPACITY_CHUNKS)
            if not self._closed:
                self._pending.append((channel, data))
                self._changed.notify_all()

    def chunks(self, context: grpc.ServicerContext) -> Iterator[tuple[int, bytes]]:
        """Channel and data of each chunk until the call or the plugin ends; two readers would share them, not copy."""
        if not context.add_callback(self._wake):
            return
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._pending or self._closed or not context.is_active())
                if not self._pending or not context.is_active():
                    return
                chunk = self._pending.popleft()
                self._changed.notify_all()
            yield chunk

    def close(self) -> None:
        """Let readers end once they have what was written; writers no longer wait."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()


class _Writer(io.RawIOBase):
    def __init__(self, output: SyncedOutput, channel: int) -> None:
        self._output = output
        self._channel = channel

    def writable(self) -> bool:
        return True

    def write(self, data: "ReadableBuffer") -> int:
        view = memoryview(data)
        for start in range(0, len(view), CHUNK_BYTES):
            self._output.put(self._channel, bytes(view[start : start + CHUNK_BYTES]))
        return len(view)
