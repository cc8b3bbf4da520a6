"""The plugin's standard output and error on their way to the host, for plugin.GRPCStdio."""

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
"""Largest piece, as in Go plugins. Pieces split lines and characters anywhere."""

CAPACITY_CHUNKS = 64
"""Pending pieces beyond which a writer waits: after 64 KiB, as a Go plugin waits for its full pipe."""


class SyncedOutput:
    """Output that was written and not yet sent, in order, across both channels."""

    def __init__(self) -> None:
        self._pending: deque[tuple[int, bytes]] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def writer(self, channel: int) -> io.TextIOWrapper:
        """A text file whose lines go to `channel`, as a replacement for `sys.stdout` or `sys.stderr`."""
        return io.TextIOWrapper(io.BufferedWriter(_Writer(self, channel)), encoding="utf-8", line_buffering=True)

    def put(self, channel: int, data: bytes) -> None:
        """Queues one chunk once there is room. After `close` the chunk is dropped, since no reader will fetch it."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self._pending) < CAPACITY_CHUNKS)
            if not self._closed:
                self._pending.append((channel, data))
                self._changed.notify_all()

    def chunks(self, context: grpc.ServicerContext) -> Iterator[tuple[int, bytes]]:
        """Channel and data of each chunk until the call or the plugin ends. Each chunk goes to one reader."""
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
        """Ends readers after the last chunk, and the waits of writers."""
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
