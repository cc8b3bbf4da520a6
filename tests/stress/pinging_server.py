"""A server in a thread of the test, which answers lone calls, and pings the client while its loop is busy."""

from __future__ import annotations

import contextlib
import io
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stress.hostile_server import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    OK_TRAILERS,
    PING,
    PREFACE,
    RESPONSE,
    RST_STREAM,
    SETTINGS,
    frame,
)
from waiting import LIMIT

NO_ERROR = bytes(4)


class Reads(io.RawIOBase):
    """The bytes of a socket, and how often they were read."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        self.count += 1
        return self._connection.recv_into(buffer)


class Pinging:
    """Echoes messages, one connection after the other. A message that `holds` is not answered.

    Attributes:
        pings_with_responses: Whether a ping comes with each response, as from grpc-go.
        joined: How many requests have come in one piece with the acknowledgement of such a ping.
        held: A call has come that is not answered.
        acknowledged: When the client acknowledged the latest ping, as `time.monotonic` has it; None before.
        reset: The client has ended a call.
    """

    def __init__(self, path: Path, holds: Callable[[bytes], bool] = lambda message: message == b"hold") -> None:
        self.target = f"unix:{path}"
        self.pings_with_responses = False
        self.joined = 0
        self.held, self.reset = threading.Event(), threading.Event()
        self.acknowledged: float | None = None
        self.connections = 0
        self._holds = holds
        self._pong = threading.Event()
        self._path = path
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._connection: socket.socket | None = None
        self._reads: Reads | None = None
        self._acknowledged_by = 0
        self._latest_stream = 0
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def ping(self) -> None:
        """Pings the client, and waits until it has answered."""
        assert self._connection is not None
        self._pong.clear()
        self._connection.sendall(frame(PING, 0, 0, b"answer!!"))
        assert self._pong.wait(LIMIT)

    def go_away(self) -> None:
        """Takes no more calls on the connection."""
        assert self._connection is not None
        self._connection.sendall(frame(GOAWAY, 0, 0, self._latest_stream.to_bytes(4, "big") + NO_ERROR))

    def hang_up(self) -> None:
        """Closes the connection."""
        assert self._connection is not None
        self._connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Ends the listening and waits for the end of the connections."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(LIMIT)
        assert not self._thread.is_alive()
        self._path.unlink()

    def _accept(self) -> None:
        with self._listener, contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                with connection, contextlib.suppress(OSError):
                    self._connection = connection
                    self._serve(connection)

    def _serve(self, connection: socket.socket) -> None:
        connection.sendall(frame(SETTINGS, 0, 0))
        self._reads = Reads(connection)
        with io.BufferedReader(self._reads) as stream:
            stream.read(len(PREFACE))
            while head := stream.read(9):
                payload = stream.read(int.from_bytes(head[:3], "big"))
                self._take(connection, head[3], head[4], int.from_bytes(head[5:], "big"), payload)

    def _take(self, connection: socket.socket, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == SETTINGS and not flags & ACK:
            connection.sendall(frame(SETTINGS, ACK, 0))
        elif kind == PING and flags & ACK:
            self.acknowledged = time.monotonic()
            self._acknowledged_by = self._read_count()
            self._pong.set()
        elif kind == RST_STREAM:
            self.reset.set()
        elif kind == DATA and flags & END_STREAM:
            self._latest_stream = stream
            self.joined += self._acknowledged_by == self._read_count()
            if self._holds(payload[5:]):
                self.held.set()
                return
            head = frame(HEADERS, END_HEADERS, stream, RESPONSE)
            trailers = frame(HEADERS, END_HEADERS | END_STREAM, stream, OK_TRAILERS)
            ping = frame(PING, 0, 0, b"measure!") if self.pings_with_responses else b""
            connection.sendall(ping + head + frame(DATA, 0, stream, payload) + trailers)

    def _read_count(self) -> int:
        assert self._reads is not None
        return self._reads.count
