"""Plugins that end connections in order (GOAWAY): calls, output, broker and stop go on, on the next connection."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from ferrule.client import RPCPluginClient
from ferrule.runner import RunnerLaunch, RunningPlugin, SubprocessRunner
from ferrule.sync import RPCPluginClient as SyncClient
from ferrule.testing import KVStub
from ferrule.testing.kv_pb2 import EchoRequest, NoiseRequest, PutRequest
from integration.aging_program import SERVICE
from integration.kv import started
from integration.processes import stop
from integration.server_program import add_echo
from integration.stream_peers import serving
from peers import ROOT, go_kv, kv_config
from waiting import LIMIT, until

pytestmark = pytest.mark.timeout(90)

PATIENCE = 10.0
"""The setting shutdown_timeout: a plugin that is asked ends long before."""

PUT = PutRequest(key="k", value=b"v")


def python_plugin(*words: str) -> list[str]:
    return [sys.executable, str(ROOT / "tests" / "integration" / "aging_program.py"), *words]


@contextlib.asynccontextmanager
async def aging(command: list[str], **settings: Any) -> AsyncIterator[tuple[RPCPluginClient, Any]]:
    """A plugin that ends by being asked, whatever became of its first connection."""
    settings = {"shutdown_timeout": PATIENCE, "env": {"PYTHONPATH": str(ROOT / "tests")}, **settings}
    async with asyncio.timeout(LIMIT), started(command, **settings) as (client, kv):
        yield client, kv
        await client.shutdown_plugin()
        assert client.stop_report is not None
        assert (client.stop_report.rung, client.stop_report.exit_status) == ("shutdown", 0)


async def deed(client: RPCPluginClient, name: str, request: bytes = b"") -> bytes:
    channel: Any = client.grpc_channel
    answer: bytes = await channel.unary_unary(f"/{SERVICE}/{name}")(request)
    return answer


async def connections(channel: Any, wanted: int) -> None:
    """Returns when the channel has left a connection and got another, so often."""
    state = channel.get_state(try_to_connect=True)
    while True:
        if state is grpc.ChannelConnectivity.READY:
            if wanted == 0:
                return
            wanted -= 1
        await channel.wait_for_state_change(state)
        state = channel.get_state(try_to_connect=True)


async def calls_during(kv: Any, event: asyncio.Future[None] | asyncio.Task[None]) -> int:
    """Calls one after the other, until something has happened; none may fail."""
    count = 0
    while not event.done():
        await kv.Put(PUT)
        count += 1
    await event
    return count


peers = pytest.mark.parametrize(
    ("plugin", "age"),
    [
        pytest.param(python_plugin, "age=150", id="python"),
        pytest.param(go_kv, "max-age=150ms", id="go", marks=pytest.mark.go),
    ],
)


@peers
@pytest.mark.parametrize(
    "settings",
    [{}, {"auto_mtls": False}, {"broker_multiplex": True}, {"channel": "grpcio"}],
    ids=["mtls", "plain", "multiplexed", "grpcio"],
)
async def test_calls_go_on_and_the_plugin_is_asked_to_end(plugin: Any, age: str, settings: dict[str, Any]) -> None:
    async with aging(plugin(age), **settings) as (client, kv):
        changed = asyncio.create_task(connections(client.grpc_channel, 4))
        assert await calls_during(kv, changed) > 4


@peers
async def test_a_call_goes_on_where_it_began(plugin: Any, age: str) -> None:
    async with aging(plugin(age)) as (client, kv):
        chat = kv.Chat()
        await chat.write(EchoRequest(payload=b"before"))
        assert (await chat.read()).payload == b"before"
        await calls_during(kv, asyncio.create_task(connections(client.grpc_channel, 2)))
        await chat.write(EchoRequest(payload=b"after"))
        assert (await chat.read()).payload == b"after"
        await chat.done_writing()
        assert await chat.code() is grpc.StatusCode.OK


@peers
def test_calls_of_threads_go_on(plugin: Any, age: str) -> None:
    with SyncClient(
        plugin(age), kv_config(shutdown_timeout=PATIENCE, env={"PYTHONPATH": str(ROOT / "tests")})
    ) as client:
        channel: Any = client.grpc_channel
        kv, ready, enough = KVStub(channel), [], threading.Event()

        def count(state: grpc.ChannelConnectivity) -> None:
            ready.extend([state] if state is grpc.ChannelConnectivity.READY else [])
            if len(ready) > 4:
                enough.set()

        channel.subscribe(count)
        while not enough.is_set():
            kv.Put(PUT, timeout=LIMIT)
        channel.unsubscribe(count)
        client.shutdown_plugin()
        assert client.stop_report is not None
        assert client.stop_report.rung == "shutdown"


@pytest.mark.parametrize("channel", ["native", "grpcio"])
@pytest.mark.parametrize("grace", [[], ["grace=50"]], ids=["streams-stay", "streams-are-cut"])
async def test_output_arrives_once_and_in_order(grace: list[str], channel: str) -> None:
    printed = bytearray()
    async with aging(python_plugin("age=100", *grace), channel=channel, sync_stdout=printed.extend) as (client, _):
        for number in range(5):
            await connections(client.grpc_channel, 2)
            await deed(client, "print_line", b"%d" % number)
            await until(lambda: printed.count(b"\n") > number)  # noqa: B023 - called at once.
    assert printed == b"0\n1\n2\n3\n4\n"


@pytest.mark.go
async def test_output_of_a_go_plugin_arrives() -> None:
    printed = bytearray()
    async with aging(go_kv("max-age=100ms"), sync_stdout=printed.extend) as (client, kv):
        await calls_during(kv, asyncio.create_task(connections(client.grpc_channel, 3)))
        await kv.Noise(NoiseRequest(synced_stdout="printed late\n"))
        await until(lambda: printed == b"printed late\n")


@pytest.mark.parametrize("multiplex", [False, True], ids=["sockets", "multiplexed"])
@pytest.mark.parametrize("grace", [[], ["grace=50"]], ids=["streams-stay", "streams-are-cut"])
async def test_broker_works_on(grace: list[str], multiplex: bool) -> None:
    async with aging(python_plugin("age=300", *grace), broker_multiplex=multiplex) as (client, kv):
        for _ in range(2):
            await calls_during(kv, asyncio.create_task(connections(client.grpc_channel, 2)))
            service_id = client.broker.next_id()
            async with await client.broker.accept_and_serve(service_id, lambda server: add_echo(server, "host")):
                answer = await deed(client, "call_back", str(service_id).encode())
                assert answer == b"host: from the plugin"
            offered = int(await deed(client, "offer"))
            async with await client.broker.dial(offered) as channel:
                assert await channel.unary_unary("/plugin/Echo")(b"host", timeout=LIMIT) == b"plugin: host"


@pytest.mark.parametrize("multiplex", [False, True], ids=["sockets", "multiplexed"])
async def test_the_plugin_is_asked_although_no_connection_is_left(multiplex: bool) -> None:
    async with aging(python_plugin("age=50", "grace=1"), broker_multiplex=multiplex) as (client, _):
        # No call: what the host itself needs is all that connects.
        channel: Any = client.grpc_channel
        before = channel.stats()["wire_bytes_received"]
        await until(lambda: channel.stats()["wire_bytes_received"] > 3 * before)


class Wire(SubprocessRunner):
    """Has the plugin reached by a socket that can be cut, without a word of HTTP/2."""

    def __init__(self) -> None:
        self.here = ""
        self.connections = 0
        self._there: str | None = None
        self._writers: list[asyncio.StreamWriter] = []

    async def start(self, launch: RunnerLaunch) -> RunningPlugin:
        plugin: Any = await super().start(launch)
        plugin.plugin_to_host = self._translated
        started: RunningPlugin = plugin
        return started

    async def _translated(self, network: str, address: str) -> tuple[str, str]:
        # The first one is that of the handshake; the others are of the broker.
        if self._there is not None:
            return network, address
        self._there = address
        return network, self.here

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_unix_connection(self._there)
        except OSError:
            return  # The plugin has ended.
        self.connections += 1
        self._writers += [writer, back]
        await asyncio.gather(copied(reader, back), copied(there, writer), return_exceptions=True)

    def cut(self) -> None:
        """Ends all connections."""
        for writer in self._writers:
            writer.close()
        self._writers.clear()


async def copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


@pytest.mark.parametrize("auto_mtls", [True, False], ids=["mtls", "plain"])
async def test_everything_comes_back_after_connections_that_broke(auto_mtls: bool, temporary_directory: Path) -> None:
    printed, wire = bytearray(), Wire()
    settings = {"auto_mtls": auto_mtls, "runner": wire, "sync_stdout": printed.extend}
    async with serving(wire.carry, "unix", temporary_directory) as address:
        wire.here = address.removeprefix("unix:")
        async with aging(python_plugin(), **settings) as (client, kv):
            for number in range(3):
                made = wire.connections
                wire.cut()
                # Nobody calls: it is the host itself that connects.
                await until(lambda: wire.connections > made)  # noqa: B023 - called at once.
                await kv.Put(PUT)
                await deed(client, "print_line", b"%d" % number)
                await until(lambda: printed.count(b"\n") > number)  # noqa: B023 - called at once.
            service_id = client.broker.next_id()
            async with await client.broker.accept_and_serve(service_id, lambda server: add_echo(server, "host")):
                assert await deed(client, "call_back", str(service_id).encode()) == b"host: from the plugin"
            # The plugin is asked on a connection that is yet to be made.
            wire.cut()
        wire.cut()
    assert printed == b"0\n1\n2\n"


async def test_a_stdio_service_that_fails_is_asked_once(caplog: pytest.LogCaptureFixture) -> None:
    async with aging(python_plugin("broken-stdio")) as (client, kv):
        for _ in range(200):
            await kv.Put(PUT)
        assert await deed(client, "subscriptions") == b"1"
    told = [record.getMessage() for record in caplog.records if "output is not relayed" in record.getMessage()]
    assert len(told) == 1
    assert "INTERNAL: recovered from a panic" in told[0]


async def test_a_stdio_service_that_sends_no_messages_is_asked_a_few_times(caplog: pytest.LogCaptureFixture) -> None:
    async with aging(python_plugin("garbled-stdio")) as (client, _):
        await until(lambda: any("output is not relayed" in record.getMessage() for record in caplog.records))
        assert await deed(client, "subscriptions") == b"6"
    assert sum("output was lost" in record.getMessage() for record in caplog.records) == 5


async def test_a_stdio_service_that_sends_no_messages_between_others_is_asked_with_pauses() -> None:
    printed = bytearray()
    async with aging(python_plugin("mixed-stdio"), sync_stdout=printed.extend) as (client, _):
        await until(lambda: len(printed) > 3)
        # A sleep ends no sooner than it should, by more than a tick of the clock.
        assert float(await deed(client, "shortest_pause")) > 0.05


KEEPALIVE = [("grpc.keepalive_time_ms", 200), ("grpc.keepalive_timeout_ms", 200)]


async def stopped_plugin_is_noticed(client: RPCPluginClient, kv: Any) -> None:
    stop(client.pid or 0)
    try:
        with pytest.raises(grpc.aio.AioRpcError, match="ping timeout"):
            await kv.Put(PUT, timeout=LIMIT)
    finally:
        os.kill(client.pid or 0, signal.SIGCONT)


async def test_keepalive_outlives_the_first_channel() -> None:
    async with aging(python_plugin(), grpc_options=KEEPALIVE) as (client, kv):
        await asyncio.to_thread(KVStub(client.sync_channel).Put, PUT)
        await asyncio.to_thread(client.sync_channel.close)
        await stopped_plugin_is_noticed(client, kv)


async def test_keepalive_outlives_an_idle_period() -> None:
    options = [*KEEPALIVE, ("grpc.client_idle_timeout_ms", 50)]
    async with aging(python_plugin(), grpc_options=options) as (client, kv):
        await kv.Put(PUT)
        channel: Any = client.grpc_channel
        await channel.wait_for_state_change(grpc.ChannelConnectivity.READY)
        await stopped_plugin_is_noticed(client, kv)
