"""Members of unix_socket_group: they find the sockets of go-plugin, and nothing of what lies behind their TLS."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from broker.test_matrix import plugin
from broker.witness import Witness, serve_witness
from ferrule.client import RPCPluginClient
from integration.test_limits import other_group
from integration.test_strangers import NOBODY
from peers import EXCHANGE_CONFIG

pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a process of another user"),
]

LIMIT = 10.0

MEMBER = """
import os, socket, sys
os.setgroups([])
os.setgid(int(sys.argv[2]))
os.setuid(int(sys.argv[3]))
path = sys.argv[1]

def find():
    os.listdir(os.path.dirname(path))
    os.stat(path)

def replace():
    os.unlink(path)
    socket.socket(socket.AF_UNIX).bind(path)

def connect():
    socket.socket(socket.AF_UNIX).connect(path)

for deed in find, connect, replace:
    try:
        deed()
    except PermissionError:
        continue
    print(deed.__name__)
"""


def deeds(path: Path) -> list[str]:
    """What a member of the group can do to a socket."""
    command = [sys.executable, "-c", MEMBER, str(path), str(other_group().gr_gid), str(NOBODY)]
    # It becomes a member by itself: the interpreter may lie where only root can go.
    run = subprocess.run(command, check=False, capture_output=True, text=True, timeout=LIMIT)
    assert run.returncode == 0, run.stderr
    return run.stdout.split()


@pytest.mark.parametrize("auto_mtls", [True, False], ids=["mtls", "plaintext"])
async def test_group_reaches_sockets_but_not_what_is_behind_them(auto_mtls: bool, temporary_directory: Path) -> None:
    # As /tmp is; what is made below it has to protect itself.
    temporary_directory.chmod(0o1777)
    settings = {"auto_mtls": auto_mtls, "unix_socket_group": other_group().gr_name, "channel": "grpcio"}
    async with RPCPluginClient(plugin("python"), {**EXCHANGE_CONFIG, **settings}) as client:
        _, server = await serve_witness(client.broker, Witness(1))
        bridge = client._facts and client._facts.bridge
        hidden = (server.listener.target.removeprefix("unix:"), bridge)
        for path in map(Path, map(str, hidden)):
            assert path.is_socket()
            assert await asyncio.to_thread(deeds, path) == []
            assert path.is_socket()
        for path in map(Path, map(str, (client.address, server.listener.address))):
            assert await asyncio.to_thread(deeds, path) == ["find", "connect"]
