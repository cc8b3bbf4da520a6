"""SIGPIPE at its default action, in a host and in a plugin: a peer that is gone is an error, never the end."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ferrule.client import RPCPluginClient
from ferrule.reattach import ReattachConfig
from ferrule.testing import COOKIE_KEY, KVStub
from ferrule.testing.kv_pb2 import PutRequest
from integration.server_process import Launch, launcher
from peers import ROOT, kv_config, python_kv
from waiting import LIMIT

pytestmark = pytest.mark.timeout(120)

LIVES = 8
STRANGERS = 20
# HTTP/2's preface and empty SETTINGS: enough for the server to have something to write.
GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launch]:
    with launcher(tmp_path) as start:
        yield start


@pytest.mark.parametrize("face", ["native", "grpcio", "sync"])
async def test_host_survives_plugins_that_are_killed(face: str) -> None:
    arguments = ["-m", "integration.sigpipe_program", face, str(LIVES), *python_kv()]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "tests")}
    host = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=asyncio.subprocess.PIPE, env=environment
    )
    output, _ = await host.communicate()
    assert (host.returncode, output) == (0, b"survived\n")


async def test_plugin_survives_hosts_that_vanish(launch: Launch) -> None:
    process = launch("debug", "sigpipe", **{COOKIE_KEY: ""})
    async with asyncio.timeout(LIMIT):
        while not (line := await asyncio.to_thread(process.stdout.readline)).startswith(b"{"):
            assert line, process.stderr.read_text()
    config = ReattachConfig.from_json(line.decode())
    for _ in range(STRANGERS):
        with socket.socket(socket.AF_UNIX) as stranger:
            stranger.connect(config.address)
            stranger.send(GREETING)
    async with RPCPluginClient([], kv_config(), reattach=config) as client:
        await KVStub(client.grpc_channel).Put(PutRequest(key="k", value=b"v"))
    process.popen.send_signal(signal.SIGINT)
    assert await asyncio.to_thread(process.popen.wait, LIMIT) == 0
