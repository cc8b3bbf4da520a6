"""An asyncio transport whose bytes are moved by the I/O thread: Unix or TCP, with TLS that knows P-521.

asyncio's own StreamReader and StreamWriter work on top of the transport unchanged.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterable
from typing import Any, NamedTuple

from ferrule import _core
from ferrule._mailbox import mailbox, outcome
from ferrule.errors import ConfigError, TransportError
from ferrule.tls import TLSConfig, tls_settings

__all__ = ["RustTransport", "open_streams"]

# asyncio's own default for streams, in bytes.
_HIGH_WATER = 64 * 1024
_MAX_PORT = 65535


class _Place(NamedTuple):
    """One address of a peer: as the core takes it, and as asyncio names it."""

    network: str
    location: str
    peer_name: Any


async def open_streams(
    address: str, tls: TLSConfig | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, RustTransport]:
    """Connects, and returns asyncio's pair of streams together with the transport below them.

    Raises:
        ConfigError: The address does not fit.
        TransportError: The peer cannot be reached.
        SecurityError: TLS failed.
    """
    *others, last = await _resolve(address)
    for place in others:
        # A name can have several addresses, of which the peer listens on some.
        with contextlib.suppress(TransportError):
            return await _open(place, tls)
    return await _open(last, tls)


async def _open(
    place: _Place, tls: TLSConfig | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, RustTransport]:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    transport = RustTransport(place.network, place.location, place.peer_name, tls, protocol)
    await transport.connect()
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop), transport


async def _resolve(address: str) -> list[_Place]:
    """The places, at least one, that `unix:PATH`, a path, or `HOST:PORT` stands for."""
    if address.startswith("unix:") or "/" in address:
        path = address.removeprefix("unix:")
        return [_Place("unix", path, path)]
    host, _, port = address.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > _MAX_PORT:
        message = f"the address is {address!r}, expected unix:PATH, a path with a slash, or HOST:PORT"
        raise ConfigError(message, "For example unix:/run/plugin.sock or 127.0.0.1:1234.")
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    except OSError as error:
        message = f"the host {host!r} of the address {address!r} was not found: {error.strerror}"
        raise TransportError(message, "Check the name, or give an IP address.", "connect.failed") from None
    return [_Place("tcp", _location(*peer_name), peer_name) for *_, peer_name in found]


def _location(ip: str, port: int, _flow: int = 0, zone: int = 0) -> str:
    if zone:
        # A link-local address means nothing without its interface.
        return f"[{ip}%{zone}]:{port}"
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


class RustTransport(asyncio.Transport):
    """One connection. Its methods are asyncio's; see `asyncio.Transport`."""

    def __init__(
        self, network: str, location: str, peer_name: Any, tls: TLSConfig | None, protocol: asyncio.BaseProtocol
    ) -> None:
        super().__init__({"peername": peer_name})
        passed = None if tls is None else tls_settings(tls)
        self._loop = asyncio.get_running_loop()
        self._protocol: Any = protocol
        self._stream = _core.Stream(network, location, passed, mailbox(), self._receive)
        self._unsent = 0
        self._limits = (_HIGH_WATER // 4, _HIGH_WATER)
        self._writing_paused = False
        self._reading = True
        self._input_ended = False
        self._output_ended = False
        self._closing = False
        self._lost = False

    async def connect(self) -> None:
        """Connects the socket and shakes hands with TLS."""
        try:
            await outcome(self._stream.connect)
        except BaseException:
            self._stream.close()
            raise
        self._protocol.connection_made(self)

    @property
    def traffic(self) -> tuple[int, int, int, int]:
        """Bytes on the socket and inside TLS: sent, received, content sent, content received."""
        return self._stream.traffic

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._closing:
            raise ConnectionResetError("write to a closed connection")
        if self._output_ended:
            raise RuntimeError("write after write_eof()")
        if data:
            self._unsent = self._stream.write(bytes(data))
            self._check_high_water()

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        self.write(b"".join(list_of_data))

    def write_eof(self) -> None:
        self._output_ended = True
        self._stream.finish()

    def can_write_eof(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        """Sends the unsent bytes, then closes."""
        if not self._closing:
            self._closing = True
            self._stream.finish()
            if self._unsent == 0:
                self._lose(None)

    def abort(self) -> None:
        self._closing = True
        self._lose(None)

    def abandon(self) -> None:
        """Ends the connection of an owner that is gone: the protocol is not told, and the loop may be closed."""
        self._lost = self._closing = True
        self._stream.close()

    def is_reading(self) -> bool:
        return self._reading and not self._closing

    def pause_reading(self) -> None:
        self._reading = False
        self._stream.pause(True)

    def resume_reading(self) -> None:
        self._reading = True
        self._stream.pause(False)

    def get_write_buffer_size(self) -> int:
        return self._unsent

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._limits

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        high = high if high is not None else _HIGH_WATER if low is None else 4 * low
        self._limits = (high // 4 if low is None else low, high)
        self._check_high_water()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        protocol: asyncio.BaseProtocol = self._protocol
        return protocol

    def _check_high_water(self) -> None:
        if self._unsent > self._limits[1] and not self._writing_paused:
            self._writing_paused = True
            self._protocol.pause_writing()

    def _receive(self) -> None:
        """Takes over the bytes and the state that the I/O thread has. Called on the loop's thread."""
        chunks, self._unsent, end_of_input, ended, reason = self._stream.take()
        if self._lost:
            return
        if chunks and not self._closing:
            self._protocol.data_received(b"".join(chunks) if len(chunks) > 1 else chunks[0])
        if self._writing_paused and self._unsent <= self._limits[0]:
            self._writing_paused = False
            self._protocol.resume_writing()
        if end_of_input and not self._input_ended:
            self._input_ended = True
            if not self._protocol.eof_received():
                self.close()
        if ended:
            self._lose(None if reason is None else ConnectionResetError(reason))
        elif self._closing and self._unsent == 0:
            self._lose(None)

    def _lose(self, error: Exception | None) -> None:
        if not self._lost:
            self._lost = self._closing = True
            self._stream.close()
            self._loop.call_soon(self._protocol.connection_lost, error)
