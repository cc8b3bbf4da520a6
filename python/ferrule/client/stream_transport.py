"""An asyncio transport whose bytes the core moves on the loop's own thread: Unix or TCP, with TLS that knows P-521.

asyncio's own StreamWriter works on top of the transport unchanged; reading goes past asyncio's protocol.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections.abc import Iterable
from typing import Any, NamedTuple, NoReturn

from ferrule import _core
from ferrule._mailbox import outcome, resume
from ferrule._validation import shown
from ferrule.client.stream_reader import StreamReader
from ferrule.errors import ConfigError, TransportError
from ferrule.tls import TLSConfig, tls_settings

__all__ = ["RustTransport", "open_streams"]

# asyncio's own default for streams, in bytes.
_HIGH_WATER = 64 * 1024
_MAX_PORT = 65535
_PORT = re.compile("[0-9]{1,5}")
# Surrogates stand for bytes that are no UTF-8.
_UNICODE = re.compile("[^\ud800-\udfff]*", re.DOTALL)


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
    transport = RustTransport(place.network, place.location, place.peer_name, tls)
    reader = StreamReader(transport.stream, transport.watch, loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    await transport.connect(protocol)
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop), transport


async def _resolve(address: str) -> list[_Place]:
    """The places, at least one, that `unix:PATH`, a path, or `HOST:PORT` stands for."""
    if not isinstance(address, str) or not _UNICODE.fullmatch(address):
        raise _malformed(address)
    if address.startswith("unix:") or "/" in address:
        path = address.removeprefix("unix:")
        return [_Place("unix", path, path)]
    host, _, port = address.rpartition(":")
    if not host or not _PORT.fullmatch(port) or int(port) > _MAX_PORT:
        raise _malformed(address)
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        # Labels that IDNA refuses are too long, or empty.
        reason = error.strerror if isinstance(error, OSError) else "no DNS name"
        message = f"the host {host!r} of the address {address!r} was not found: {reason}"
        raise TransportError(message, "Check the name, or give an IP address.", "connect.failed") from None
    return [_Place("tcp", _location(*peer_name), peer_name) for *_, peer_name in found]


def _malformed(address: object) -> ConfigError:
    message = f"the address is {shown(address)}, expected unix:PATH, a path with a slash, or HOST:PORT"
    return ConfigError(message, "For example unix:/run/plugin.sock or 127.0.0.1:1234.", code="config.invalid")


def _location(ip: str, port: int, _flow: int = 0, zone: int = 0) -> str:
    if zone:
        # A link-local address means nothing without its interface.
        return f"[{ip}%{zone}]:{port}"
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


class RustTransport(asyncio.Transport):
    """One connection. Its methods are asyncio's; see `asyncio.Transport`.

    The protocol hears of the end and of the flow of what is sent, not of what is received: that stays in the core's
    stream until somebody takes it.
    """

    def __init__(self, network: str, location: str, peer_name: Any, tls: TLSConfig | None) -> None:
        super().__init__({"peername": peer_name})
        self._loop = asyncio.get_running_loop()
        self._protocol: Any = None
        self.stream = _core.Stream(network, location, None if tls is None else tls_settings(tls), self._loop)
        self._descriptor = -1
        self._limits = (_HIGH_WATER // 4, _HIGH_WATER)
        # What the loop watches, and what it has to leave alone.
        self.is_watching = False
        self._is_flushing = False
        self._is_joining = False
        self._is_paused = False
        self._writing_paused = False
        self._input_ended = False
        self._closing = False
        self._lost = False

    async def connect(self, protocol: asyncio.BaseProtocol) -> None:
        """Connects the socket and shakes hands with TLS, on the I/O thread; from then on the loop has the socket."""
        try:
            await outcome(self.stream.connect)
        except BaseException:
            self.stream.close()
            raise
        self._protocol = protocol
        self._descriptor = self.stream.fileno()
        self.stream.expect_flush(False, self._limits[1])
        protocol.connection_made(self)
        self.watch()

    @property
    def traffic(self) -> tuple[int, int, int, int]:
        """Bytes on the socket and inside TLS: sent, received, content sent, content received."""
        return self.stream.traffic

    def watch(self) -> None:
        """Has the loop read, unless there is nothing to come or reading is paused."""
        if not (self.is_watching or self._is_paused or self._input_ended or self._closing):
            self._loop.add_reader(self._descriptor, self._read)
            self.is_watching = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        sent = self.stream.send(data if isinstance(data, bytes) else bytes(data))
        if sent is None:
            self.refuse_to_write()
        if not sent:
            self.flush_later()

    def refuse_to_write(self) -> NoReturn:
        """Raises the error for a write of which nothing was taken."""
        failure = self.stream.failure
        if failure is not None:
            self._changed()
            raise ConnectionResetError(failure)
        if self._closing:
            raise ConnectionResetError("write to a closed connection")
        raise RuntimeError("write after write_eof()")

    def flush_later(self) -> bool:
        """Has the loop send what has not been sent; returns whether the sender is to wait."""
        if self.stream.is_joining:
            if not self._is_joining:
                self._loop.call_soon(self._flush_joined)
                self._is_joining = True
        elif not self._is_flushing:
            self._is_flushing = True
            self._loop.add_writer(self._descriptor, self._flush)
            self.stream.expect_flush(True, self._limits[1])
        self._check_high_water()
        return self._writing_paused

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        self.write(b"".join(list_of_data))

    def write_eof(self) -> None:
        self._finish_output()

    def _finish_output(self) -> None:
        # The last record of TLS may have to wait as well.
        self.stream.finish()
        if self.stream.unsent > 0:
            self.flush_later()

    def can_write_eof(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        """Sends the unsent bytes, then closes."""
        if self._closing:
            return
        self._closing = True
        self.stream.stop()
        self._finish_output()
        if self.stream.unsent == 0:
            self._lose(None)
        elif not self._input_ended:
            # A peer that writes before it reads must be able to come to our last bytes.
            self.is_watching = True
            self._loop.add_reader(self._descriptor, self._discard)

    def abort(self) -> None:
        self._closing = True
        self._lose(None)

    def abandon(self) -> None:
        """Ends the connection of an owner that is gone: the protocol is not told, and the loop may be closed."""
        if self._lost or _core.is_forked():
            return
        self._lost = self._closing = True
        running = asyncio._get_running_loop()
        if self._loop.is_closed() or self._loop is running or not self._loop.is_running():
            self._let_go()
        else:
            # The garbage collector may run on any thread.
            self._loop.call_soon_threadsafe(self._let_go)

    def is_reading(self) -> bool:
        return not self._is_paused and not self._closing

    def pause_reading(self) -> None:
        self._is_paused = True
        self.stream.pause(True)
        self._stop_watching()

    def resume_reading(self) -> None:
        self._is_paused = False
        self.stream.pause(False)
        self.watch()

    def get_write_buffer_size(self) -> int:
        return self.stream.unsent

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._limits

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        high = high if high is not None else _HIGH_WATER if low is None else 4 * low
        self._limits = (high // 4 if low is None else low, high)
        self.stream.expect_flush(self._is_flushing, high)
        self._check_high_water()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        protocol: asyncio.BaseProtocol = self._protocol
        return protocol

    def _check_high_water(self) -> None:
        if not self._writing_paused and self.stream.unsent > self._limits[1]:
            self._writing_paused = True
            self._protocol.pause_writing()

    def _flush_joined(self) -> None:
        """Sends what the turn's end has come for. The loop calls it."""
        self._is_joining = False
        # In a forked child these bytes are the parent's to send.
        if not (self._is_flushing or _core.is_forked()):
            self._flush()

    def _flush(self) -> None:
        """Sends what the kernel takes now. The loop calls it."""
        unsent = self.stream.flush()
        if self.stream.failure is not None:
            self._changed()
            return
        if unsent > 0:
            self.flush_later()
        elif self._is_flushing:
            self._is_flushing = False
            self._loop.remove_writer(self._descriptor)
        if self._writing_paused and unsent <= self._limits[0]:
            self._writing_paused = False
            self._protocol.resume_writing()
        if self._closing and unsent == 0:
            self._lose(None)

    def _read(self) -> None:
        """Reads what has arrived, and has its receiver go on. The loop calls it."""
        if resumed := self.stream.readable(self._changed):
            resume(resumed)

    def _discard(self) -> None:
        """Reads what nobody wants any more. The loop calls it."""
        self.stream.discard()
        if self.stream.failure is not None or self.stream.input_ended:
            self._changed()

    def _changed(self) -> None:
        """Reading is to stop: something broke, the peer has said its last, or more is unread than is asked for."""
        failure = self.stream.failure
        if failure is not None:
            self._lose(ConnectionResetError(failure))
            return
        self._stop_watching()
        if self.stream.input_ended and not self._input_ended:
            self._input_ended = True
            if not self._closing and not self._protocol.eof_received():
                self.close()

    def _stop_watching(self) -> None:
        if self.is_watching:
            self.is_watching = False
            self._loop.remove_reader(self._descriptor)

    def _lose(self, error: Exception | None) -> None:
        if self._lost:
            return
        self._lost = self._closing = True
        self._let_go(keep_unread=error is not None)
        self._loop.call_soon(self._protocol.connection_lost, error)

    def _let_go(self, keep_unread: bool = False) -> None:
        """Gives the socket back, to the loop first: its number may soon be another's."""
        # What the loop of a forked child watches is what the parent's watches: the system has one set for both.
        if _core.is_forked():
            return
        # A loop that is closed may refuse.
        with contextlib.suppress(RuntimeError):
            self._stop_watching()
            if self._is_flushing:
                self._is_flushing = False
                self._loop.remove_writer(self._descriptor)
        if keep_unread:
            self.stream.hang_up()
        else:
            self.stream.close()
