"""Plugins that would have the host's broker fill its memory, use up its descriptors, or dial what it must not."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import select
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from broker.test_matrix import plugin
from broker.witness import Witness, serve_witness
from ferrule import _core
from ferrule._mailbox import mailbox, outcome
from ferrule.channel.options import channel_settings
from ferrule.client import RPCPluginClient
from ferrule.errors import ProtocolError
from ferrule.server import ServerConfig
from ferrule.server.negotiation import negotiate
from integration.broker_program import SERVICE
from integration.hostile_broker_program import OFFERED, SERVED
from integration.test_broker_routing import program
from peers import EXCHANGE_CONFIG
from waiting import until

pytestmark = pytest.mark.timeout(60)

LIMIT = 30.0

PLACES = 64
"""Connections that one listener carries at a time."""

HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
"""What a peer says first: RFC 9113, section 3.4, with an empty SETTINGS frame."""

MEMORY = 24 << 20
"""Bytes by which the host may grow under attack, some of it by the allocator's own ways."""


def resident() -> int:
    """Bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@contextlib.asynccontextmanager
async def hostile(*words: str, **settings: Any) -> AsyncIterator[RPCPluginClient]:
    """A client of the plugin that misbehaves, which waits to be told to."""
    config = {**EXCHANGE_CONFIG, "auto_mtls": False, **settings}
    async with RPCPluginClient(program("hostile_broker_program", *words), config) as client:
        yield client


async def flood(client: RPCPluginClient) -> None:
    """Returns when the plugin has sent everything, and the host has read all but the last window of it."""
    channel: Any = client.grpc_channel
    await channel.unary_unary("/test/Flood")(b"", timeout=LIMIT)


async def test_plugin_is_let_in_after_it_gave_up() -> None:
    settings = negotiate(ServerConfig.of(EXCHANGE_CONFIG), (1,), {"PLUGIN_MULTIPLEX_GRPC": "true"}).core_settings
    server = _core.PluginServer(settings, mailbox(), lambda: None)
    await outcome(server.start)
    stream = server.broker_stream(mailbox(), lambda: None)
    dial = channel_settings((), None)
    with pytest.raises(ProtocolError, match="7"):
        await outcome(lambda *to: server.broker().dial(7, dial, *to))
    # Who remarks on it is this thread, and nobody listens to remarks.
    server.take(None)
    stream.receive(b"\x08\x07\x22\x04\x08\x01\x10\x01")
    await until(lambda: server.take(0)[0])
    stream.close()
    await outcome(server.close)


@pytest.mark.parametrize(
    ("deed", "multiplex"),
    [("announcements", False), ("announcements", True), ("knocks", True), ("answers", True)],
    ids=["announcements-sockets", "announcements-multiplexed", "knocks", "answers"],
)
async def test_plugin_that_floods_the_broker_costs_no_memory(deed: str, multiplex: bool) -> None:
    async with hostile(deed, broker_multiplex=multiplex) as client:
        async with await client.broker.accept(SERVED):
            gc.collect()
            before = resident()
            await flood(client)
            assert resident() - before < MEMORY


@pytest.mark.parametrize("transports", [("unix",), ("unix", "tcp")], ids=["unix", "both"])
async def test_brokered_address_obeys_transports(transports: tuple[str, ...], caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        host, port = server.getsockname()
        async with hostile("announce", f"{host}:{port}", transports=transports) as client:
            dialling = asyncio.create_task(client.broker.dial(OFFERED))
            await flood(client)
            if "tcp" in transports:
                async with asyncio.timeout(LIMIT):
                    connection, _ = await asyncio.get_running_loop().sock_accept(server)
                connection.close()
                with pytest.raises(ProtocolError, match="closed the connection"):
                    await dialling
            else:
                await until(lambda: "transport" in caplog.text)
                dialling.cancel()
                with pytest.raises(BlockingIOError):
                    server.accept()


def answered(connections: list[socket.socket]) -> int:
    """To how many something was said."""
    return len(select.select(connections, (), (), 0)[0])


async def test_plugin_that_connects_often_leaves_the_host_its_descriptors() -> None:
    async with RPCPluginClient(plugin("python"), {**EXCHANGE_CONFIG, "auto_mtls": False}) as client:
        _, server = await serve_witness(client.broker, Witness(1))
        with contextlib.ExitStack() as stack:

            def connect() -> socket.socket:
                connection = stack.enter_context(socket.socket(socket.AF_UNIX))
                connection.connect(str(server.listener.address).removeprefix("unix:"))
                # Whoever says nothing has no place of a peer's.
                connection.sendall(HTTP2_PREFACE)
                return connection

            first = [connect() for _ in range(PLACES)]
            await until(lambda: answered(first) == PLACES)
            others = [connect() for _ in range(16)]
            # The loop that accepts connections has been round more than once.
            number, another = await serve_witness(client.broker, Witness(2))
            async with await client.broker.dial_address("unix", str(another.listener.address)):
                assert number
            assert (server.listener.connections, answered(others)) == (PLACES, 0)
            for connection in first:
                connection.close()
            await until(lambda: answered(others) == len(others))


async def test_plugin_that_opens_many_streams_leaves_the_host_its_descriptors() -> None:
    config = {**EXCHANGE_CONFIG, "broker_multiplex": True}
    async with RPCPluginClient(program("broker_program"), config) as client:
        number, server = await serve_witness(client.broker, Witness(1))

        async def tell(deed: str, request: str = "") -> bytes:
            channel: Any = client.grpc_channel
            return bytes(await channel.unary_unary(f"/{SERVICE}/{deed}")(request.encode(), timeout=LIMIT))

        await tell("crowd", f"{number},{PLACES + 2},{PLACES}")
        for _ in range(100):
            assert await tell("connected") == str(PLACES).encode()
        assert server.listener.connections == PLACES
        await tell("leave")
