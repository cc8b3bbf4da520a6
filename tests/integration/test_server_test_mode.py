"""A plugin on ferrule.server in go-plugin's test mode: no host starts it, and hosts come and go."""

from __future__ import annotations

import asyncio
import shlex
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ferrule.client import RPCPluginClient
from ferrule.reattach import ReattachConfig
from ferrule.testing import COOKIE_KEY, KVStub
from ferrule.testing.kv_pb2 import GetRequest, NoiseRequest, PutRequest
from integration.server_process import Launch, Process, launcher
from peers import kv_config
from waiting import LIMIT

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launch]:
    with launcher(tmp_path) as start:
        yield start


async def line(process: Process, beginning: bytes) -> str:
    """The next line of standard output that begins so."""
    async with asyncio.timeout(LIMIT):
        while not (text := await asyncio.to_thread(process.stdout.readline)).startswith(beginning):
            assert text != b"", process.stderr.read_text()
    return text.decode()


async def test_hosts_come_and_go(launch: Launch) -> None:
    # Without a cookie; and what a host would have said counts for nothing.
    process = launch("debug", **{COOKIE_KEY: "", "PLUGIN_MULTIPLEX_GRPC": "true", "PLUGIN_PROTOCOL_VERSIONS": "3"})
    config = ReattachConfig.from_json(await line(process, b"{"))
    assert (config.pid, config.test, config.protocol_version) == (process.popen.pid, True, 1)
    async with RPCPluginClient([], kv_config(), reattach=config) as client:
        await KVStub(client.grpc_channel).Put(PutRequest(key="colour", value=b"green"))
        # A host that takes no notice of test mode.
        channel: Any = client.grpc_channel
        await channel.unary_unary("/plugin.GRPCController/Shutdown")(b"")
    async with RPCPluginClient([], kv_config(), reattach=config) as client:
        kv = KVStub(client.grpc_channel)
        assert (await kv.Get(GetRequest(key="colour"))).value == b"green"
        await kv.Noise(NoiseRequest(synced_stdout="not captured\n"))
    assert await line(process, b"not captured")
    process.popen.send_signal(signal.SIGINT)
    assert await asyncio.to_thread(process.popen.wait, LIMIT) == 0
    assert not Path(config.address).exists()


async def test_terraform_provider(launch: Launch) -> None:
    process = launch("provider=registry.terraform.io/example/example", **{COOKIE_KEY: ""})
    (word,) = shlex.split(await line(process, b"\tTF_REATTACH_PROVIDERS="))
    name, _, value = word.partition("=")
    config = ReattachConfig.from_environment("example/example", {name: value})
    async with RPCPluginClient([], kv_config(), reattach=config) as client:
        await KVStub(client.grpc_channel).Put(PutRequest(key="k"))
    process.popen.terminate()
    assert await asyncio.to_thread(process.popen.wait, LIMIT) == 0
