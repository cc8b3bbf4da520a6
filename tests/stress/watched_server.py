"""A server of one connection in a thread of the test, which notices what the client does while its loop is busy."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from pathlib import Path

from stress.hostile_server import DATA, RST_STREAM, Victim, frame, message

PROMPTLY = 5.0


class Watched:
    """A server of one connection in a thread, which takes requests, and answers as a test wants."""

    def __init__(self, path: Path, answer: Callable[[Watched, int], None]) -> None:
        self.target = f"unix:{path}"
        self.requested, self.reset, self.gone = threading.Event(), threading.Event(), threading.Event()
        self.sent = 0
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._answer = answer
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with self._listener, connection:
            self.victim = Victim(connection, on_frame=self._notice)
            # The client may leave at any moment.
            with contextlib.suppress(OSError):
                stream = self.victim.begun()
                self.requested.set()
                self._answer(self, stream)
            self.victim.hold()
        self.gone.set()

    def _notice(self, kind: int) -> None:
        if kind == RST_STREAM:
            self.reset.set()

    def join(self) -> None:
        self._thread.join(PROMPTLY)
        assert not self._thread.is_alive()


def says_nothing(_server: Watched, _stream: int) -> None:
    pass


def sends_without_end(server: Watched, stream: int) -> None:
    data = message(bytes(16_379))
    while server.victim.reserve(stream, len(data)):
        server.victim.send(frame(DATA, 0, stream, data))
        server.sent += len(data)
