"""Peers for connections on threads of their own, with blocking sockets: they do what asyncio's servers would not."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ferrule.client import ClientConnection
from integration.certificates import self_signed, server_context
from waiting import LIMIT

MIB = 1 << 20
Peer = Callable[[Any], None]


class Served:
    """A peer on a thread of its own, which blocks where asyncio would not; at `path`, if that is given."""

    def __init__(self, peer: Peer, tls: ssl.SSLContext | None, path: Path | None) -> None:
        if path is None:
            self._listener = socket.create_server(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        else:
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(str(path))
            self._listener.listen()
            self.address = f"unix:{path}"
        self._path = path
        self._peer, self._tls = peer, tls
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._serve)

    def _serve(self) -> None:
        try:
            connection, _ = self._listener.accept()
            connection.settimeout(LIMIT)
            connection = connection if self._tls is None else self._tls.wrap_socket(connection, server_side=True)
            with connection:
                self._peer(connection)
        except BaseException as failure:  # noqa: BLE001 - raised again on the test's thread.
            self._failure = failure

    def __enter__(self) -> str:
        self._thread.start()
        return self.address

    def __exit__(self, *exc_info: object) -> None:
        self._thread.join(LIMIT)
        self._listener.close()
        if self._path is not None:
            self._path.unlink()
        assert not self._thread.is_alive()
        if self._failure is not None:
            raise self._failure


class Security:
    """Plaintext or TLS, for both sides."""

    def __init__(self, directory: Path | None) -> None:
        identity = None if directory is None else self_signed()
        self.server = None if identity is None or directory is None else server_context(identity, directory)
        self.client = None if identity is None else {"ca": identity.certificate_pem}

    def served(self, peer: Peer, path: Path | None = None) -> Served:
        return Served(peer, self.server, path)

    async def open(self, address: str) -> ClientConnection:
        return await ClientConnection.open(address, tls=self.client and {**self.client, "server_name": "localhost"})


def received(connection: Any, count: int) -> bytes:
    data = b""
    while len(data) < count and (block := connection.recv(count - len(data))):
        data += block
    return data


def echo(connection: Any) -> None:
    while data := connection.recv(MIB):
        connection.sendall(data)
