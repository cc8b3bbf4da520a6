"""Strangers who hold connections to a plugin and prove nothing do not keep its host out."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from ferrule.client import RPCPluginClient
from ferrule.testing.kv_pb2 import PutRequest
from integration.kv import kv_stub, started
from integration.server_process import plugin
from peers import kv_config
from waiting import LIMIT, until

pytestmark = pytest.mark.timeout(90)

STRANGERS = 300
"""More than there are places for those who have proved nothing."""

# It connects before the host knows where, and holds its connections until the plugin ends.
BESIEGED = f"""
import resource, socket, subprocess, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
plugin = subprocess.Popen(sys.argv[2:], stdout=subprocess.PIPE)
line = plugin.stdout.readline()
host, _, port = line.split(b"|")[3].decode().rpartition(":")
held = [socket.create_connection((host, int(port))) for _ in range({STRANGERS})]
for stranger in held[::2]:
    try:
        stranger.sendall(sys.argv[1].encode())
    except OSError:
        pass
sys.stdout.buffer.write(line)
sys.stdout.flush()
sys.exit(plugin.wait())
"""


def besieged(words: str) -> list[str]:
    """A plugin on TCP with strangers, every other of which has said something."""
    return [sys.executable, "-c", BESIEGED, words, *plugin("tcp")]


@pytest.mark.parametrize("words", ["", "GET / HTTP/1.1\\r\\n\\r\\n", "PRI * HT"], ids=["silent", "other words", "half"])
@pytest.mark.parametrize(
    "settings",
    [{"auto_mtls": True}, {"auto_mtls": False}, {"broker_multiplex": True}],
    ids=["mtls", "plain", "multiplexed"],
)
async def test_host_gets_in(settings: dict[str, Any], words: str, caplog: pytest.LogCaptureFixture) -> None:
    async with started(besieged(words), **settings) as (client, kv):
        await kv.Put(PutRequest(key="k"), timeout=LIMIT)
        if "broker_multiplex" not in settings:
            secret = settings["auto_mtls"]
            again = RPCPluginClient(
                reattach=client.reattach_config(include_secrets=secret), config=kv_config(auto_mtls=secret)
            )
            async with again:
                await kv_stub(again).Put(PutRequest(key="k"), timeout=LIMIT)
        await until(lambda: "refused a connection from" in caplog.text)
        # Of a flood a part, and its number.
        assert caplog.text.count("refused a connection from") <= 32
