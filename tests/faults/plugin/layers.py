"""Sockets, and TLS, as layers of bytes."""

from __future__ import annotations

import contextlib
import socket
import ssl

from faults.plugin.faults import ClosedError, Faults, Layer

READ_BYTES = 1 << 16


class SocketLayer:
    """A connected socket."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection

    def send(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise ClosedError from error

    def receive(self) -> bytes:
        try:
            return self._socket.recv(READ_BYTES)
        except OSError:
            return b""

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


class TlsLayer:
    """The server's side of TLS over another layer; `prefix` names the steps of brokered connections."""

    def __init__(self, under: Layer, context: ssl.SSLContext, faults: Faults, prefix: str) -> None:
        self._under = under
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                faults.send(f"{prefix}TLS", self._outgoing.read(), under)
                self._fill()
            except ssl.SSLError as error:
                # The alert.
                under.send(self._outgoing.read())
                under.close()
                raise ClosedError from error
            else:
                break
        self._flush()

    def _fill(self) -> None:
        data = self._under.receive()
        if not data:
            raise ClosedError
        self._incoming.write(data)

    def _flush(self) -> None:
        if data := self._outgoing.read():
            self._under.send(data)

    def send(self, data: bytes) -> None:
        self._tls.write(data)
        self._flush()

    def receive(self) -> bytes:
        while True:
            try:
                return self._tls.read(READ_BYTES)
            except ssl.SSLWantReadError:
                try:
                    self._fill()
                except ClosedError:
                    return b""
            except ssl.SSLError:
                return b""

    def close(self) -> None:
        self._under.close()
