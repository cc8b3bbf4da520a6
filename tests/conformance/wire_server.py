"""An HTTP/2 peer for gRPC clients that follows scripts: the method's name says which frames come back.

It has to break rules that servers keep, so it knows nothing of gRPC but the prefix of a message, and `h2` checks no
headers.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.exceptions import ProtocolError

LIMIT = 5.0
"""Seconds after which something that should happen counts as not happening."""

Header = tuple[str, str | bytes]

WireEvent = tuple[str | int, ...]
"""What a client did besides its requests, such as `("rst", 1, 8)`: stream 1, error code 8."""


@dataclass(frozen=True)
class Script:
    """An answer to one request."""

    answer: Callable[[Stream], Awaitable[None]]
    early: bool = False
    """Answers to the headers alone, and takes no more of the request than fits the first window."""


@dataclass(frozen=True)
class Stream:
    """A request, and the frames that a script can answer with."""

    connection: Connection
    number: int
    script: Script
    argument: str
    """What follows the script's name in the method."""
    attempt: int
    """1 for the first request of this method that any connection of the peer got."""

    def headers(
        self,
        *more: Header,
        status: str = "200",
        content_type: str | None = "application/grpc",
        end: bool = False,
    ) -> None:
        content: list[Header] = [("content-type", content_type)] if content_type is not None else []
        self._send([(":status", status), *content, *more], end)

    def trailers(self, *pairs: Header) -> None:
        self._send(pairs, True)

    async def message(self, payload: bytes, flag: int = 0) -> None:
        await self.data(struct.pack(">BI", flag, len(payload)) + payload)

    async def data(self, payload: bytes, end: bool = False) -> None:
        """Sends as fast as the client makes room; `end` is a flag of the last frame."""
        http2 = self.connection.http2
        while payload:
            room = min(http2.local_flow_control_window(self.number), http2.max_outbound_frame_size)
            if room <= 0:
                await self.connection.more_room()
                continue
            piece, payload = payload[:room], payload[room:]
            http2.send_data(self.number, piece, end_stream=end and not payload)

    def reset(self, code: int) -> None:
        """Ends the stream, in a segment of its own."""
        self.connection.flush()
        self.connection.http2.reset_stream(self.number, code)

    def go_away(self, code: int, reason: bytes, last_stream: int) -> None:
        self.connection.http2.close_connection(code, reason, last_stream)
        self.connection.close()

    def _send(self, headers: Iterable[Header], end: bool) -> None:
        encoded = [(name.encode(), value.encode() if isinstance(value, str) else value) for name, value in headers]
        self.connection.http2.send_headers(self.number, encoded, end_stream=end)


class Connection(asyncio.Protocol):
    """One client's connection: hands requests to scripts, and the peer a record of everything else."""

    transport: asyncio.Transport

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._streams: dict[int, Stream] = {}
        self._answers: set[asyncio.Task[None]] = set()
        self._room = asyncio.Event()
        self._pongs = 0
        self.http2 = H2Connection(
            H2Configuration(
                client_side=False,
                validate_inbound_headers=False,
                validate_outbound_headers=False,
                normalize_inbound_headers=False,
                normalize_outbound_headers=False,
            )
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._peer.connections.add(self)
        self.http2.initiate_connection()
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        for answer in self._answers:
            answer.cancel()
        self._peer.connections.discard(self)
        self._peer.record("disconnect")

    def data_received(self, data: bytes) -> None:
        try:
            received = self.http2.receive_data(data)
        except ProtocolError as error:
            self._peer.record("protocol_error", str(error))
            self.close()
            return
        for event in received:
            self._handle(event)
        self.flush()

    def flush(self) -> None:
        self.transport.write(self.http2.data_to_send())

    def close(self) -> None:
        self.flush()
        self.transport.close()

    async def more_room(self) -> None:
        self.flush()
        self._room.clear()
        await self._room.wait()

    async def round_trip(self) -> None:
        """Returns when the client has read everything that was sent to it, or the connection has ended."""
        awaited = self._pongs + 1
        if not self.transport.is_closing():
            self.http2.ping(b"are you?")
            self.flush()
        await self._peer.until(
            lambda: self._pongs >= awaited or self not in self._peer.connections, "a ping's acknowledgement"
        )

    def _handle(self, event: events.Event) -> None:
        match event:
            case events.RequestReceived():
                self._request(event)
            case events.DataReceived():
                if not self._streams[event.stream_id].script.early:
                    self.http2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case events.StreamEnded():
                if not self._streams[event.stream_id].script.early:
                    self._answer(self._streams[event.stream_id])
            case events.WindowUpdated() | events.RemoteSettingsChanged():
                self._room.set()
            case events.PingAckReceived():
                self._pongs += 1
                self._peer.notify()
            case events.StreamReset():
                self._peer.record("rst", event.stream_id, int(event.error_code or 0))
            case events.ConnectionTerminated():
                self._peer.record("goaway", int(event.error_code or 0))

    def _request(self, event: events.RequestReceived) -> None:
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in event.headers]
        method = dict(headers)[":path"]
        stream = self._peer.accept(self, event.stream_id, method, headers)
        self._streams[event.stream_id] = stream
        if stream.script.early:
            self._answer(stream)

    def _answer(self, stream: Stream) -> None:
        task = asyncio.get_running_loop().create_task(self._run(stream))
        self._answers.add(task)

    async def _run(self, stream: Stream) -> None:
        # A client may end the stream or the connection while its answer is being sent.
        with contextlib.suppress(ProtocolError):
            await stream.script.answer(stream)
        self.flush()


@dataclass
class Peer:
    """A listening peer and its record of what clients sent."""

    scripts: Mapping[str, Script]
    target: str = ""
    requests: list[list[tuple[str, str]]] = field(default_factory=list)
    """The headers of each request."""
    wire: list[WireEvent] = field(default_factory=list)
    connections: set[Connection] = field(default_factory=set)
    _attempts: Counter[str] = field(default_factory=Counter)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def accept(self, connection: Connection, number: int, method: str, headers: list[tuple[str, str]]) -> Stream:
        """Records a request and chooses the script for it: `/t/SCRIPT` or `/t/SCRIPT-ARGUMENT`."""
        self.requests.append(headers)
        self._attempts[method] += 1
        name, _, argument = method.removeprefix("/t/").partition("-")
        script = self.scripts.get(name, self.scripts["unknown"])
        return Stream(connection, number, script, argument, self._attempts[method])

    def record(self, *event: str | int) -> None:
        self.wire.append(event)
        self.notify()

    def notify(self) -> None:
        self._changed.set()

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        """Waits for something that clients do.

        Raises:
            TimeoutError: They have not done it within `LIMIT`.
        """
        try:
            async with asyncio.timeout(LIMIT):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise TimeoutError(f"{what}: not within {LIMIT} s; the client did {self.wire}") from None

    async def settle(self, expected: int) -> None:
        """Waits for as many wire events as a test expects, then for the client to have read all that was sent."""
        # An event that is missing shows when the test compares.
        with contextlib.suppress(TimeoutError):
            await self.until(lambda: len(self.wire) >= expected, f"{expected} events")
        for connection in list(self.connections):
            await connection.round_trip()


@contextlib.asynccontextmanager
async def serving(scripts: Mapping[str, Script], unix: bool = False) -> AsyncIterator[Peer]:
    """A peer on a free port of the loopback interface, or on a Unix socket in a directory of its own."""
    loop = asyncio.get_running_loop()
    peer = Peer(scripts)
    with tempfile.TemporaryDirectory() as directory:
        if unix:
            path = str(Path(directory, "peer.sock"))
            server: asyncio.Server = await loop.create_unix_server(lambda: Connection(peer), path)
            peer.target = f"unix:{path}"
        else:
            server = await loop.create_server(lambda: Connection(peer), "127.0.0.1", 0)
            peer.target = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield peer
        finally:
            server.close()
            for connection in list(peer.connections):
                connection.transport.abort()
            await peer.until(lambda: not peer.connections, "the end of all connections")
            await server.wait_closed()
