"""The server's side of yamux, as go-plugin multiplexes: github.com/hashicorp/yamux/blob/master/spec.md."""

from __future__ import annotations

import queue
import struct
import threading
from collections.abc import Iterator

from faults.plugin.faults import ClosedError, Faults, Layer

DATA, WINDOW, PING, GO_AWAY = range(4)
SYN, ACK, FIN, RST = 1, 2, 4, 8
HEAD = struct.Struct(">BBHII")
FIRST_WINDOW = 256 << 10


class YamuxStream:
    """One stream of a session."""

    def __init__(self, session: YamuxSession, number: int) -> None:
        self._session, self._number = session, number
        self.received: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self.window = FIRST_WINDOW

    def send(self, data: bytes) -> None:
        while data:
            part = self._session.take_window(self, data)
            self._session.write(DATA, 0, self._number, len(part), part)
            data = data[len(part) :]

    def receive(self) -> bytes:
        data = self.received.get()
        if data:
            self._session.write(WINDOW, 0, self._number, len(data))
        else:
            # The next one is to hear of the end, too.
            self.received.put(b"")
        return data

    def close(self) -> None:
        self._session.write(DATA, FIN, self._number, 0)
        self.received.put(b"")


class YamuxSession:
    """A session, whose streams are the client's."""

    def __init__(self, under: Layer, faults: Faults) -> None:
        self._under, self._faults = under, faults
        self._streams: dict[int, YamuxStream] = {}
        self._changed = threading.Condition()
        self._buffer = b""

    def streams(self) -> Iterator[YamuxStream]:
        """Reads the session, and yields each stream that the client opens."""
        try:
            while True:
                _, kind, flags, number, length = HEAD.unpack(self._exactly(HEAD.size))
                payload = self._exactly(length) if kind == DATA else b""
                if flags & SYN and kind in {DATA, WINDOW}:
                    stream = self._streams[number] = YamuxStream(self, number)
                    self.write(WINDOW, ACK, number, 0, step="yamux")
                    yield stream
                self._take(kind, flags, number, length, payload)
        except ClosedError:
            for stream in self._streams.values():
                stream.received.put(b"")

    def _take(self, kind: int, flags: int, number: int, length: int, payload: bytes) -> None:
        stream = self._streams.get(number)
        if kind == PING and not flags & ACK:
            self.write(PING, ACK, 0, length)
        elif kind == GO_AWAY:
            raise ClosedError
        elif stream is not None:
            if payload:
                stream.received.put(payload)
            if kind == WINDOW:
                with self._changed:
                    stream.window += length
                    self._changed.notify_all()
            if flags & (FIN | RST):
                stream.received.put(b"")

    def take_window(self, stream: YamuxStream, data: bytes) -> bytes:
        """What of the data may be sent now; waits until something may."""
        with self._changed:
            self._changed.wait_for(lambda: stream.window > 0)
            part = data[: stream.window]
            stream.window -= len(part)
        return part

    def write(self, kind: int, flags: int, number: int, length: int, payload: bytes = b"", *, step: str = "") -> None:
        """Writes a frame."""
        with self._changed:
            self._faults.send(step, HEAD.pack(0, kind, flags, number, length) + payload, self._under)

    def _exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            data = self._under.receive()
            if not data:
                raise ClosedError
            self._buffer += data
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken
