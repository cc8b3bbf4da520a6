"""A server of hand-made frames: one Unix socket per attack, in a directory.

Run as: python -m stress.hostile_server DIRECTORY SEED

No HTTP/2 library is involved, because none would send what the attacks send. Every connection is served by a thread of
its own, with random numbers of its own that follow from the seed.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import random
import socket
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from waiting import pauses

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, END_HEADERS, PADDED, ACK = 0x1, 0x4, 0x8, 0x1
INITIAL_WINDOW_SIZE = 4
HEAD_BYTES = 9
DEFAULT_WINDOW = 65_535
FLOOD_BYTES = 200 << 20
"""A flood ends here, if the client lasts that long."""
BLOCK_BYTES = 64 << 10
DEAF_BYTES = 100_000
"""As a Unix socket's buffer counts, which takes about twice as much."""
LIMIT = 60.0


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def integer(value: int, bits: int) -> bytes:
    """An integer as HPACK has it, in a first byte of which only so many bits are free."""
    most = (1 << bits) - 1
    if value < most:
        return bytes((value,))
    value -= most
    encoded = bytearray((most,))
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*encoded, value))


def header(name: bytes, value: bytes, kind: int = 0) -> bytes:
    """A header with a literal name; of kind 0x40 it enters the client's table."""
    return bytes((kind,)) + integer(len(name), 7) + name + integer(len(value), 7) + value


def message(payload: bytes, compressed: bool = False) -> bytes:
    return bytes((compressed,)) + len(payload).to_bytes(4, "big") + payload


# Index 8 of the static table is `:status 200`.
RESPONSE = b"\x88" + header(b"content-type", b"application/grpc")
OK_TRAILERS = header(b"grpc-status", b"0")


class Victim:
    """A client's connection, and what attacks can do to it."""

    def __init__(
        self,
        connection: socket.socket,
        numbers: random.Random | None = None,
        on_frame: Callable[[int], object] = lambda _kind: None,
    ) -> None:
        self.numbers = numbers or random.Random(0)
        self._on_frame = on_frame
        self._socket = connection
        self._changed = threading.Condition()
        self._gone = False
        self._windows: dict[int, int] = {0: DEFAULT_WINDOW}
        self._initial_window = DEFAULT_WINDOW

    def send(self, *frames: bytes) -> None:
        self._socket.sendall(b"".join(frames))

    def settings(self, *values: tuple[int, int]) -> None:
        payload = b"".join(name.to_bytes(2, "big") + value.to_bytes(4, "big") for name, value in values)
        self.send(frame(SETTINGS, 0, 0, payload))

    def request(self) -> int:
        """The stream of the next request, as soon as its headers are there."""
        if not self._take(len(PREFACE)):
            raise ConnectionResetError
        for kind, flags, stream, payload in self._frames():
            self._note(kind, stream, payload)
            if kind == SETTINGS and not flags & ACK:
                # Only now do the client's windows count.
                self.send(frame(SETTINGS, ACK, 0))
            if kind == HEADERS:
                return stream
        raise ConnectionResetError

    def requests(self) -> Iterator[int]:
        """The streams of all requests."""
        yield self.request()
        for kind, _, stream, payload in self._frames():
            self._note(kind, stream, payload)
            if kind == HEADERS:
                yield stream

    def listen(self) -> None:
        """From now on takes whatever the client sends, and keeps its windows in mind."""
        threading.Thread(target=self._listen, daemon=True).start()

    def begun(self, *settings: tuple[int, int]) -> int:
        """Greets, takes the request, begins an answer; the stream."""
        self.settings(*settings)
        stream = self.request()
        self.listen()
        self.send(frame(HEADERS, END_HEADERS, stream, RESPONSE))
        return stream

    def flood(self, make: Callable[[], bytes]) -> None:
        """Sends frames of this kind until the client is gone, or has had enough of them; then waits for its end."""
        sent = 0
        while sent < FLOOD_BYTES and not self._gone:
            block = bytearray()
            while len(block) < BLOCK_BYTES:
                block += make()
            self._socket.sendall(block)
            sent += len(block)
        self.hold()

    def repeat(self, frames: bytes) -> None:
        """Floods with the same bytes again and again."""
        block = frames * (BLOCK_BYTES // len(frames) + 1)
        self.flood(lambda: block)

    def stream_data(self, stream: int, size: int, frames: bytes) -> None:
        """Repeats DATA frames that take so many bytes of the client's windows, as fast as it admits."""
        self.flood(lambda: frames if self.reserve(stream, size) else bytes(BLOCK_BYTES))

    def deafen(self) -> None:
        """Waits until the client has sent what this side's buffer holds, and can send no more."""
        waiting = array.array("i", [0])
        for pause in pauses():
            fcntl.ioctl(self._socket, termios.FIONREAD, waiting)
            if waiting[0] >= DEAF_BYTES:
                return
            time.sleep(pause)

    def hold(self) -> None:
        """Waits until the client is gone."""
        with self._changed:
            self._changed.wait_for(lambda: self._gone, LIMIT)

    def reserve(self, stream: int, size: int) -> bool:
        """Waits until the client's windows admit so many bytes of DATA; False if it is gone."""
        with self._changed:
            self._changed.wait_for(lambda: self._gone or min(self._windows[0], self._windows[stream]) >= size, LIMIT)
            self._windows[0] -= size
            self._windows[stream] -= size
            return not self._gone

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            for kind, _, stream, payload in self._frames():
                self._note(kind, stream, payload)
                self._on_frame(kind)
        with self._changed:
            self._gone = True
            self._changed.notify_all()

    def _note(self, kind: int, stream: int, payload: bytes) -> None:
        with self._changed:
            if kind == HEADERS:
                self._windows[stream] = self._initial_window
            elif kind == WINDOW_UPDATE and stream in self._windows:
                self._windows[stream] += int.from_bytes(payload, "big")
            elif kind == SETTINGS:
                for start in range(0, len(payload), 6):
                    if int.from_bytes(payload[start : start + 2], "big") == INITIAL_WINDOW_SIZE:
                        self._initial_window = int.from_bytes(payload[start + 2 : start + 6], "big")
            self._changed.notify_all()

    def _frames(self) -> Iterator[tuple[int, int, int, bytes]]:
        while head := self._take(HEAD_BYTES):
            payload = self._take(int.from_bytes(head[:3], "big"))
            yield head[3], head[4], int.from_bytes(head[5:], "big"), payload

    def _take(self, size: int) -> bytes:
        """So many bytes; none if the client is gone."""
        taken = b""
        while len(taken) < size:
            piece = self._socket.recv(size - len(taken))
            if not piece:
                return b""
            taken += piece
        return taken


Attack = Callable[[Victim], None]


def serve(listener: socket.socket, attack: Attack, seed: str) -> None:
    count = 0
    while True:
        connection, _ = listener.accept()
        count += 1
        numbers = random.Random(f"{seed}/{attack.__name__}/{count}")
        threading.Thread(target=_attack, args=(connection, attack, numbers), daemon=True).start()


def _attack(connection: socket.socket, attack: Attack, numbers: random.Random) -> None:
    # A client may leave whenever it likes.
    with connection, contextlib.suppress(OSError):
        attack(Victim(connection, numbers))
        # To close is not enough: the thread that listens has the socket as well.
        connection.shutdown(socket.SHUT_RDWR)


def main(directory: str, seed: str) -> None:
    """Listens until standard input closes; writes a line once it does."""
    from stress.attacks import ATTACKS, OTHERS

    for name, attack in (ATTACKS | OTHERS).items():
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(Path(directory, name)))
        listener.listen()
        threading.Thread(target=serve, args=(listener, attack, seed), daemon=True).start()
    sys.stdout.write("listening\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
