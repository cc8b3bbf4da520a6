"""What the plugin prints, on its way to the host by plugin.GRPCStdio.

Nothing that is printed may stop the plugin's event loop for good: it is the loop that sends what was printed, so it
would wait for itself. What the loop's own thread prints is therefore kept in memory. Other threads wait while the host
is slow, but not for ever: they may hold a lock that the loop is about to ask for, such as that of a logging handler.
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
"""Largest piece that a Go plugin sends; pieces split lines and characters anywhere."""

CAPACITY_BYTES = 64 << 10
"""A thread waits beyond this, so that an absent host holds it up after 64 KiB, as a pipe stops a Go plugin."""

PATIENCE_SECONDS = 1.0
"""How long a write waits for a host. If nothing was fetched meanwhile, none waits until something is: hosts that never
fetch, such as those older than the service, do not stop a thread that prints."""

LIMIT_BYTES = 16 << 20
"""Kept at most, for the sake of memory; what is written beyond is lost."""

_logger = logging.getLogger("ferrule.server")


class Output:
    """What was printed and not yet sent, in order, across both channels.

    Belongs to the event loop that runs when it is made.
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
        """Adds to one channel, from any thread.

        Args:
            channel: STDOUT or STDERR.
            data: Any number of bytes.
            capacity: How much may be pending before other threads than the loop's wait; default `CAPACITY_BYTES`.
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
            # Not under the lock: whoever handles the record may print.
            _logger.warning("output is lost from now on: %d bytes wait for a host to fetch them", LIMIT_BYTES)

    async def pieces(self) -> AsyncIterator[tuple[int, bytes]]:
        """Channel and data of each piece, until there is no more after `finish`.

        Two readers share the pieces; neither gets a copy.
        """
        arrived = asyncio.Event()
        self._readers.add(arrived)
        try:
            while True:
                # First, since what comes after a fruitless _take must not be forgotten.
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
        """Lets readers end once they have everything; nobody waits any more."""
        with self._changed:
            self._finished = True
            self._changed.notify_all()
        self._wake_readers()

    def _wait_for_room(self, capacity: int) -> bool:
        """Whether waiting helps."""
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
            # A loop that has ended sends nothing any more.
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
