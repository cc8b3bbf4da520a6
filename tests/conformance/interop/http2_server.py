"""A raw HTTP/2 server that does to each request what a script says."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import DataReceived, Event, PingAckReceived, RequestReceived, StreamEnded
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings
from hyperframe.frame import GoAwayFrame

from waiting import LIMIT

Script = Callable[["Connection", int], None]
"""Is called with the number of a stream whose request is complete."""


def framed(message: bytes) -> bytes:
    """A message with gRPC's prefix, not compressed."""
    return struct.pack(">?I", False, len(message)) + message


class Http2Server:
    """What a script has seen.

    Attributes:
        connections: Streams by connection, in the order of their requests.
        bodies: Of requests that are complete.
        pings: The pings sent; each is done when it is acknowledged.
        violations: What clients did that HTTP/2 forbids.
    """

    def __init__(self, script: Script, settings: dict[SettingCodes, int]) -> None:
        self.script = script
        self.settings = settings
        self.connections: list[list[int]] = []
        self.bodies: list[bytes] = []
        self.pings: list[asyncio.Future[None]] = []
        self.violations: list[ProtocolError] = []
        self.transports: list[asyncio.Transport] = []

    @classmethod
    @contextlib.asynccontextmanager
    async def serving(
        cls, path: Path, script: Script, settings: dict[SettingCodes, int] | None = None
    ) -> AsyncIterator[Http2Server]:
        """Serves on a Unix socket; in the end no client may have broken a rule."""
        server = cls(script, settings or {})
        listener = await asyncio.get_running_loop().create_unix_server(lambda: Connection(server), path)
        try:
            yield server
        finally:
            listener.close()
            for transport in server.transports:
                transport.abort()
            path.unlink(missing_ok=True)
        assert server.violations == []

    async def all_acknowledged(self) -> None:
        """Waits until the client has acknowledged every ping."""
        async with asyncio.timeout(LIMIT):
            await asyncio.gather(*self.pings)


class Connection(asyncio.Protocol):
    """A client's connection, and what scripts can do to it."""

    _transport: asyncio.Transport

    def __init__(self, server: Http2Server) -> None:
        self._server = server
        self._http2 = H2Connection(H2Configuration(client_side=False))
        self._streams: list[int] = []
        self._bodies: defaultdict[int, bytes] = defaultdict(bytes)
        self._pings: dict[bytes, asyncio.Future[None]] = {}
        self._last_stream: int | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.transports.append(transport)
        self._server.connections.append(self._streams)
        self._http2.local_settings = Settings(client=False, initial_values=self._server.settings)
        self._http2.initiate_connection()
        self._flush()

    def data_received(self, data: bytes) -> None:
        try:
            events = self._http2.receive_data(data)
        except ProtocolError as violation:
            self._server.violations.append(violation)
            self._transport.abort()
            return
        for event in events:
            self._handle(event)
        self._flush()

    def _handle(self, event: Event) -> None:
        match event:
            case RequestReceived(stream_id=stream):
                self._streams.append(stream)
            case DataReceived(stream_id=stream, flow_controlled_length=length, data=data):
                self._http2.acknowledge_received_data(length, stream)
                self._bodies[stream] += data
            case StreamEnded(stream_id=stream) if self._last_stream is None or stream <= self._last_stream:
                self._server.bodies.append(self._bodies.pop(stream, b""))
                self._server.script(self, stream)
            case PingAckReceived(ping_data=data):
                self._pings.pop(data).set_result(None)

    def headers(self, stream: int) -> None:
        """Sends response headers."""
        self._http2.send_headers(stream, [(":status", "200"), ("content-type", "application/grpc")])
        self._flush()

    def data(self, stream: int, data: bytes) -> None:
        """Sends bytes of the body, in frames of the size that the client takes."""
        size = self._http2.max_outbound_frame_size
        for start in range(0, len(data), size):
            self._http2.send_data(stream, data[start : start + size])
        self._flush()

    def trailers(self, stream: int) -> None:
        """Ends the response with status OK."""
        self._http2.send_headers(stream, [("grpc-status", "0")], end_stream=True)
        self._flush()

    def reset(self, stream: int) -> None:
        """Resets the stream without an error code."""
        self._http2.reset_stream(stream, ErrorCodes.NO_ERROR)
        self._flush()

    def ping(self) -> asyncio.Future[None]:
        """Sends a ping; the future is done with its acknowledgement."""
        data = struct.pack(">Q", len(self._server.pings))
        acknowledged = asyncio.get_running_loop().create_future()
        self._pings[data] = acknowledged
        self._server.pings.append(acknowledged)
        self._http2.ping(data)
        self._flush()
        return acknowledged

    def go_away(self, last_stream: int) -> None:
        """Announces that no stream after this one will be served; the connection stays open."""
        self._last_stream = last_stream
        # Past the state machine, which would take the client's further frames, legal ones, for violations.
        self._transport.write(GoAwayFrame(last_stream_id=last_stream).serialize())

    def _flush(self) -> None:
        self._transport.write(self._http2.data_to_send())
