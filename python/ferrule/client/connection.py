"""ClientConnection: a reader and a writer with byte counters, and gRPC's framing on top."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Mapping
from typing import Any, Literal, Self

from ferrule._core import FrameDecoder, Stream, encode_frame, is_forked
from ferrule._finalizers import finalizer
from ferrule.client.stream_transport import RustTransport, open_streams
from ferrule.client.types import ReceiveFuncType, SendFuncType
from ferrule.config import MAX_INT32
from ferrule.tls import TLSConfig

__all__ = ["ClientConnection", "ReceiveFuncType", "SendFuncType"]

_DEFAULT_RECEIVE_BYTES = 16384
_FRAME_PREFIX_BYTES = 5
# One read while framing, in bytes: many small frames per wake-up, few wake-ups per large one.
_FRAME_READ_BYTES = 256 * 1024

_logger = logging.getLogger(__name__)


class ClientConnection:
    """A connection to one peer, counting its bytes.

    Two connections are equal only if they are the same object. A connection that is collected without having been
    closed logs a warning. One that `open` made goes past `reader` and `writer`, unless a function is injected or a
    subclass overrides `send_data`, `receive_data` or `update_metrics`; replacing one of these on the object does not
    count.

    Args:
        reader: An `asyncio.StreamReader`, or something with its `read`.
        writer: An `asyncio.StreamWriter`, or something like it.
        remote_addr: The peer's address, for messages.
        bytes_sent: First value of the counter; default 0.
        bytes_received: First value of the counter; default 0.
        send_func: Used instead of the writer: an async function that takes all bytes of one `send_data` or `send_frame`
            and returns None when more may be sent; `send_data` raises its exceptions. Default None, which writes, waits
            while the peer is slow, and adds to `bytes_sent`; a function of the caller's adds through `update_metrics`.
        receive_func: Used instead of the reader: an async function that takes the most bytes wanted, an int, and
            returns bytes, at least one and at most so many, or none when the peer has closed its side. Default None,
            which reads and adds to `bytes_received`; a function of the caller's adds through `update_metrics`.
        max_frame_bytes: Largest message of `send_frame` and `receive_frame`, in bytes; default 2^31 - 1.

    Example:
        >>> import asyncio
        >>> async def main():
        ...     async def echo(reader, writer):
        ...         writer.write(await reader.read(100))
        ...         writer.close()
        ...     server = await asyncio.start_server(echo, "127.0.0.1", 0)
        ...     port = server.sockets[0].getsockname()[1]
        ...     connection = await ClientConnection.open(f"127.0.0.1:{port}")
        ...     await connection.send_frame(b"hello")
        ...     answer = await connection.receive_frame()
        ...     await connection.close()
        ...     server.close()
        ...     return answer, connection.bytes_sent
        >>> asyncio.run(main())
        (b'hello', 10)
    """

    def __init__(
        self,
        reader: Any,
        writer: Any,
        remote_addr: str,
        bytes_sent: int = 0,
        bytes_received: int = 0,
        send_func: SendFuncType | None = None,
        receive_func: ReceiveFuncType | None = None,
        *,
        max_frame_bytes: int = MAX_INT32,
    ) -> None:
        self.reader = reader
        self.writer = writer
        self.remote_addr = remote_addr
        self.bytes_sent = bytes_sent
        self.bytes_received = bytes_received
        self._send_func = send_func
        self._receive_func = receive_func
        self.max_frame_bytes = max_frame_bytes
        self._frames: deque[bytes] = deque()
        self._decoder = FrameDecoder(max_frame_bytes)
        self._transport: RustTransport | None = None
        # The streams of the core that bytes are sent to and taken from without a detour; None where one is wanted.
        self._output: Stream | None = None
        self._input: Stream | None = None
        self._closed = False

    @classmethod
    async def open(
        cls, address: str, tls: TLSConfig | Mapping[str, Any] | None = None, *, max_frame_bytes: int = MAX_INT32
    ) -> Self:
        """Connects to an address; the loop's own thread moves the bytes.

        Args:
            address: `unix:PATH`, a path with a slash, or `HOST:PORT`.
            tls: Certificates, a `TLSConfig` or a mapping of its settings; default None, plaintext.
            max_frame_bytes: Largest message of `send_frame` and `receive_frame`, in bytes; default 2^31 - 1.

        Returns:
            The connection. Close it after use.

        Raises:
            ConfigError: The address or `tls` does not fit.
            TransportError: The peer cannot be reached.
            SecurityError: TLS failed.
        """
        try:
            config = TLSConfig.of(tls)
        finally:
            # A mapping may hold a key, which must not stay in the frames of an error.
            del tls
        reader, writer, transport = await open_streams(address, config)
        connection = cls(reader, writer, address, max_frame_bytes=max_frame_bytes)
        connection._use(transport)
        return connection

    def _use(self, transport: RustTransport) -> None:
        self._transport = transport
        cls = type(self)
        if cls.send_data is ClientConnection.send_data and cls._is_counting_as_usual():
            self._output = transport.stream
        if cls.receive_data is ClientConnection.receive_data and cls._is_counting_as_usual():
            self._input = transport.stream

    @classmethod
    def _is_counting_as_usual(cls) -> bool:
        return cls.update_metrics is ClientConnection.update_metrics

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        state = "closed" if self.is_closed else "open"
        counts = f"{self.bytes_sent} bytes sent, {self.bytes_received} received"
        return f"<ClientConnection to {self.remote_addr}: {state}, {counts}>"

    def __eq__(self, other: object) -> bool:
        return self is other if isinstance(other, ClientConnection) else NotImplemented

    def __hash__(self) -> int:
        return hash((id(self), self.remote_addr))

    @finalizer
    def __del__(self) -> None:
        # An __init__ that raised leaves an object without this attribute. In a forked child the parent has it to close.
        if not getattr(self, "_closed", True) and not (self._transport is not None and is_forked()):
            _logger.warning("connection to %s was never closed", self.remote_addr)
            if self._transport is not None and not self._transport.is_closing():
                self._transport.abandon()

    @property
    def is_closed(self) -> bool:
        """Whether `close()` was called or the writer is closing."""
        return self._closed or bool(self.writer.is_closing())

    # `send_func` and `receive_func` are properties, not attributes that hold a bound method: an object that refers to
    # itself is collected late, and its streams in any order.

    @property
    def send_func(self) -> SendFuncType:
        """The function that `send_data` calls: the injected one, or the default. May be set; None is the default."""
        return self._send_func or self._default_send

    @send_func.setter
    def send_func(self, function: SendFuncType | None) -> None:
        self._send_func = function
        self._output = None

    @property
    def receive_func(self) -> ReceiveFuncType:
        """The function that `receive_data` calls: the injected one, or the default. May be set; None is the default."""
        return self._receive_func or self._default_receive

    @receive_func.setter
    def receive_func(self, function: ReceiveFuncType | None) -> None:
        self._receive_func = function
        self._input = None

    def update_metrics(self, bytes_sent: int = 0, bytes_received: int = 0) -> None:
        """Adds to the counters.

        Args:
            bytes_sent: Bytes to add to `bytes_sent`; default 0.
            bytes_received: Bytes to add to `bytes_received`; default 0.
        """
        self.bytes_sent += bytes_sent
        self.bytes_received += bytes_received

    async def send_data(self, data: bytes) -> None:
        """Sends bytes, and returns when more may be sent: a peer that reads slowly makes the caller wait.

        The bytes go at once. On a connection of `open`, those within 100 microseconds of others are joined with them,
        unless something was received between: until the end of the loop's turn or 64 KiB. A later call has their error.

        Args:
            data: The bytes to send.

        Raises:
            ConnectionError: The connection is closed or broke.
        """
        if self._output is None or type(data) is not bytes:
            self._check_open("send")
            await self.send_func(data)
            return
        sent = self._output.send(data)
        if not sent:
            await self._wait_to_send(sent)
        self.bytes_sent += len(data)

    async def receive_data(self, size: int | None = None) -> bytes:
        """Receives the bytes that have arrived, waiting for the first.

        Args:
            size: The most bytes to return; default 16384.

        Returns:
            At least one byte; none when the peer has closed its side.

        Raises:
            ConnectionError: The connection is closed or broke.
            RuntimeError: Another task is waiting to receive.
        """
        if size is None:
            size = _DEFAULT_RECEIVE_BYTES
        if self._input is None or (data := self._input.take(size)) is None:
            self._check_open("receive")
            return await self.receive_func(size)
        self.bytes_received += len(data)
        return data

    async def send_frame(self, message: bytes) -> None:
        """Sends one message behind the prefix of gRPC over HTTP/2: 1 byte for compression, 4 for the length.

        It goes at once, or with others of the loop's turn, as the bytes of `send_data` do.

        Args:
            message: The message, without its prefix.

        Raises:
            ConnectionError: The connection is closed or broke.
            ProtocolError: The message is larger than `max_frame_bytes`; nothing was sent.
        """
        if self._output is None:
            await self.send_data(encode_frame(message, self.max_frame_bytes))
            return
        sent = self._output.send_frame(message, self.max_frame_bytes)
        if not sent:
            await self._wait_to_send(sent)
        self.bytes_sent += len(message) + _FRAME_PREFIX_BYTES

    async def receive_frame(self) -> bytes | None:
        """Receives one message.

        Returns:
            The message without its prefix; None when the peer has closed its side between two messages.

        Raises:
            ConnectionError: The connection is closed or broke.
            ProtocolError: The prefix is invalid, the message is larger than `max_frame_bytes`, or the peer closed its
                side inside a message.
            RuntimeError: Another task is waiting to receive.
        """
        if self._input is None:
            return await self._decode_frame()
        message = self._input.take_frame(self.max_frame_bytes)
        if message is None:
            message = await self._wait_for_frame(self._input)
        if message is False:
            return None
        self.bytes_received += len(message) + _FRAME_PREFIX_BYTES
        return message

    async def _decode_frame(self) -> bytes | None:
        """One message out of the bytes of `receive_data`."""
        # The messages of one read are returned without suspending; then comes the error that stood behind them, if any,
        # and only then the next read, which may last: the peer may wait for an answer.
        if not self._frames:
            self._decoder.feed(b"")
        while not self._frames:
            data = await self.receive_data(_FRAME_READ_BYTES)
            if not data:
                self._decoder.finish()
                return None
            self._frames.extend(self._decoder.feed(data))
        return self._frames.popleft()

    async def _wait_for_frame(self, stream: Stream) -> bytes | Literal[False]:
        """One message that has not come yet; False at the end."""
        self._check_open("receive")
        assert self._transport is not None
        while True:
            # Before there is a receiver: a loop that refuses would leave it there for ever.
            if not self._transport.is_watching:
                self._transport.watch()
            await stream.arrival_of_frame(self.max_frame_bytes)
            message = stream.take_frame(self.max_frame_bytes)
            if message is not None:
                return message
            if self.is_closed:
                return False

    async def _wait_to_send(self, sent: bool | None) -> None:
        """Waits until more may be sent, after bytes that were not all taken by the kernel; None: refused."""
        assert self._transport is not None
        if sent is None:
            self._check_open("send")
            self._transport.refuse_to_write()
        if self._transport.flush_later():
            await self.writer.drain()

    async def close(self) -> None:
        """Closes the connection after sending all unsent bytes; does nothing if it is closed. Never raises.

        A peer that does not read makes the caller wait; a cancelled caller drops the unsent bytes.
        """
        # In a forked child the connection belongs to the parent.
        if self._closed or (self._transport is not None and is_forked()):
            return
        self._closed = True
        self._input = self._output = None
        try:
            if not self.writer.is_closing():
                self.writer.close()
                await self.writer.wait_closed()
        except asyncio.CancelledError:
            # A peer that does not read could hold the unsent bytes, and the socket with them, for ever.
            transport = getattr(self.writer, "transport", None)
            if transport is not None:
                transport.abort()
            raise
        except Exception as error:  # noqa: BLE001 - the peer may have broken it first; a caller's writer raises anything.
            _logger.debug("connection to %s ended with %r", self.remote_addr, error)

    async def _default_send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()
        self.update_metrics(bytes_sent=len(data))

    async def _default_receive(self, size: int | None = None) -> bytes:
        data: bytes = await self.reader.read(_DEFAULT_RECEIVE_BYTES if size is None else size)
        self.update_metrics(bytes_received=len(data))
        return data

    def _check_open(self, verb: str) -> None:
        if self.is_closed:
            raise ConnectionError(f"cannot {verb}: the connection to {self.remote_addr} is closed")
