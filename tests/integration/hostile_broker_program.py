"""A plugin whose broker sends what no plugin should, over HTTP/2 of its own that lets its host send next to nothing.

Run as: python -m integration.hostile_broker_program DEED [ADDRESS]
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived, WindowUpdated

from ferrule import _core
from ferrule._mailbox import mailbox, outcome
from ferrule.server import ServerConfig
from ferrule.server.descriptors import message_class
from ferrule.server.negotiation import negotiate
from peers import EXCHANGE_CONFIG

FLOOD = 300_000
"""Messages of a flood, as many as cost a careless host some hundred bytes each."""

LONG = 2 << 20
"""Length of a path, which the limit of a message allows."""

OFFERED = 5
"""The broker id that is announced."""

SERVED = 1
"""The broker id under which the host serves."""

HEADERS = [(":status", "200"), ("content-type", "application/grpc")]


def frame(**fields: object) -> bytes:
    """A ConnInfo as gRPC frames it."""
    message: bytes = message_class("plugin.ConnInfo")(**fields).SerializeToString()
    return _core.encode_frame(message)


def messages(deed: str, address: str) -> Iterator[bytes]:
    """What is sent, in pieces of at most 64 KiB for small messages."""
    if deed == "announce":
        yield frame(service_id=OFFERED, network="tcp", address=address)
    elif deed == "announcements":
        for service_id in range(40):
            yield frame(service_id=1000 + service_id, network="unix", address="/" + "x" * LONG)
    else:
        knock = {"knock": True, "ack": deed == "answers"}
        one = frame(service_id=SERVED, knock=knock)
        for _ in range(FLOOD // 1000):
            yield one * 1000


class Http2(asyncio.Protocol):
    """As much of a plugin as a host needs. A call of /test/Flood ends when everything was sent."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.http = H2Connection(H2Configuration(client_side=False, header_encoding=None))
        self.http.initiate_connection()
        self.window = asyncio.Event()
        self.broker: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.flush()

    def flush(self) -> None:
        self.transport.write(self.http.data_to_send())

    def data_received(self, data: bytes) -> None:
        for event in self.http.receive_data(data):
            if isinstance(event, RequestReceived) and event.stream_id is not None:
                self.called(event.stream_id, dict(event.headers or ())[b":path"].decode())
            elif isinstance(event, WindowUpdated):
                self.window.set()
        self.flush()

    def called(self, stream: int, path: str) -> None:
        self.http.send_headers(stream, HEADERS)
        if path.endswith("/StartStream"):
            self.broker.set_result(stream)
        elif path.endswith("/Flood"):
            self.flooding = asyncio.create_task(self.flood(stream))
        elif path.endswith("/Check"):
            self.answer(stream, _core.encode_frame(b"\x08\x01"))
        elif path.endswith("/Shutdown"):
            os._exit(0)

    async def flood(self, call: int) -> None:
        broker = await self.broker
        for message in messages(*sys.argv[1:3], *[""] * (3 - len(sys.argv))):
            left = memoryview(message)
            while left:
                room = min(self.http.local_flow_control_window(broker), self.http.max_outbound_frame_size)
                if room == 0:
                    self.window.clear()
                    await self.window.wait()
                    continue
                self.http.send_data(broker, bytes(left[:room]))
                left = left[room:]
                self.flush()
            # What the host says is read meanwhile, for its windows.
            await asyncio.sleep(0)
        self.answer(call, _core.encode_frame(b""))
        self.flush()

    def answer(self, stream: int, body: bytes) -> None:
        self.http.send_data(stream, body)
        self.http.send_headers(stream, [("grpc-status", "0")], end_stream=True)


async def main() -> None:
    """Serves until the host ends it."""
    settings = negotiate(ServerConfig.of(EXCHANGE_CONFIG), (1,), os.environ).core_settings
    core = _core.PluginServer(settings, mailbox(), lambda: None)
    facts = await outcome(core.start)
    await asyncio.get_running_loop().create_unix_server(Http2, str(facts.backend))
    print(facts.handshake_line, flush=True)  # noqa: T201
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
