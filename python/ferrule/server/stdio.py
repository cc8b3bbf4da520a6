"""The plugin's output on its way to the host, for plugin.GRPCStdio.

Output must never block the event loop, because the loop itself sends the output. So the output of the loop's own thread
is kept in memory. Other threads wait while the host is slow, but with a limit: they may hold a lock that the loop needs
next, such as that of a logging handler.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections import deque
from collections.abc import AsyncIterator

__all__ = ["CAPACITY_BYTES", "LIMIT_BYTES", "PIECE_BYTES", "STDERR", "STDOUT", "Output"]

STDOUT = 1
STDERR = 2

PIECE_BYTES = 1024
"""Largest piece, as in Go plugins. Pieces split lines and characters anywhere."""

CAPACITY_BYTES = 64 << 10
"""Pending bytes beyond which a writing thread waits, as a Go plugin waits for its full pipe."""

PATIENCE_SECONDS = 1.0
"""Longest wait of a write. After a wait in vain no write waits until the host fetches something, so that hosts which
never fetch, such as those older than the service, do not stop a thread that prints."""

LIMIT_BYTES = 16 << 20
"""Most bytes that are kept. Output beyond the limit is lost, to spare memory."""

_logger = logging.getLogger("ferrule.server")


class Output:
    """Output that was printed and not yet sent, in order, across both channels.

    An instance belongs to the event loop that runs when it is made.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._pieces: deque[tuple[int, bytearray]] = deque()
        self._size = 0
        # Reentrant: a signal handler or a finaliser may print in the middle of anything.
        self._changed = threading.Condition(threading.RLock())
        self._finished = False
        self._loses = False
        self._taken = 0
        self._waited_in_vain_at: int | None = None
        self._readers: set[asyncio.Event] = set()
        self._is_waking = False

    def write(self, channel: int, data: bytes | memoryview, capacity: int = CAPACITY_BYTES) -> None:
        """Adds output to one channel, from any thread.

        Args:
            channel: STDOUT or STDERR.
            data: Any number of bytes.
            capacity: Pending bytes beyond which threads other than the loop's wait; default `CAPACITY_BYTES`.
        """
        view = memoryview(data).cast("B")
        patient, begins_to_lose = threading.get_ident() != self._loop_thread, False
        for start in range(0, len(view), PIECE_BYTES):
            piece = view[start : start + PIECE_BYTES]
            with self._changed:
                patient = patient and self._wait_for_room(capacity)
                if self._size + len(piece) > LIMIT_BYTES:
                    begins_to_lose, self._loses = not self._loses, True
                    break
                self._append(channel, piece)
        if begins_to_lose:
            # Not under the lock, because the record's handler may print.
            _logger.warning("output is lost from now on: %d bytes wait for a host to fetch them", LIMIT_BYTES)

    async def pieces(self) -> AsyncIterator[tuple[int, bytes]]:
        """Channel and data of each piece, up to the last one before `finish`.

        Two readers share the pieces: each piece goes to one of them.
        """
        arrived = asyncio.Event()
        self._readers.add(arrived)
        try:
            while True:
                # Before `_take`, so that output which arrives after a fruitless one is noticed.
                arrived.clear()
                piece = self._take()
                if piece is not None:
                    yield piece
                elif self._finished:
                    return
                else:
                    await arrived.wait()
        finally:
            self._readers.discard(arrived)

    def finish(self) -> None:
        """Ends readers after the last piece, and the waits of writers."""
        with self._changed:
            self._finished = True
            self._changed.notify_all()
        self._wake_readers()

    def _wait_for_room(self, capacity: int) -> bool:
        """Waits for room. False: the host fetches nothing, so that further pieces need not wait."""
        before = self._taken
        patience = 0.0 if before == self._waited_in_vain_at else PATIENCE_SECONDS
        helps = self._changed.wait_for(lambda: self._finished or self._loses or self._size < capacity, patience)
        if not helps and self._taken == before:
            self._waited_in_vain_at = before
        return helps

    def _append(self, channel: int, piece: memoryview) -> None:
        if self._pieces and self._pieces[-1][0] == channel and len(self._pieces[-1][1]) + len(piece) <= PIECE_BYTES:
            self._pieces[-1][1].extend(piece)
        else:
            self._pieces.append((channel, bytearray(piece)))
        self._size += len(piece)
        if self._readers and not self._is_waking:
            self._is_waking = True
            # A closed loop refuses, and has nothing to send to any more.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._wake_readers)

    def _take(self) -> tuple[int, bytes] | None:
        with self._changed:
            if not self._pieces:
                return None
            channel, data = self._pieces.popleft()
            self._size -= len(data)
            self._loses = False
            self._taken += 1
            self._changed.notify_all()
            return channel, bytes(data)

    def _wake_readers(self) -> None:
        self._is_waking = False
        for arrived in self._readers:
            arrived.set()
