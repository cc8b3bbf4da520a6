"""Whose Unix sockets a host dials: its own user's and root's, unless another user was agreed on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ferrule.client import RPCPluginClient
from ferrule.errors import RPCPluginError, SecurityError
from ferrule.reattach import ReattachConfig
from ferrule.runner import SubprocessRunner
from integration.kv import started
from integration.test_limits import other_group
from integration.test_strangers import NOBODY, root
from peers import kv_config, python_kv
from waiting import LIMIT

pytestmark = [pytest.mark.timeout(60), root]

STRANGER = """
import os, socket, sys
listener = socket.socket(socket.AF_UNIX)
os.setegid(int(sys.argv[2]))
os.seteuid(int(sys.argv[2]))
listener.bind(sys.argv[1])
# The kernel remembers who listens.
listener.listen()
print("listening", flush=True)
while True:
    peer, _ = listener.accept()
    peer.close()
"""


@contextlib.asynccontextmanager
async def stranger(directory: Path, user: int) -> AsyncIterator[Path]:
    """A socket on which another user listens, who hangs up at once."""
    directory.chmod(0o711)
    place = directory / "open"
    place.mkdir()
    place.chmod(0o777)
    path = place / "socket"
    command = [sys.executable, "-c", STRANGER, str(path), str(user)]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), LIMIT) == b"listening\n"
        yield path
    finally:
        process.kill()
        await process.communicate()
        path.unlink(missing_ok=True)
        place.rmdir()


def announcing(path: Path, **settings: object) -> RPCPluginClient:
    """A client whose plugin names a socket that is not its own."""
    command = python_kv(f"raw-line=1|1|unix|{path}|grpc|")
    return RPCPluginClient(command, kv_config(auto_mtls=False, connect_timeout=5, **settings))


async def failure_of(client: RPCPluginClient) -> RPCPluginError:
    with pytest.raises(RPCPluginError) as failure:
        await client.start()
    return failure.value


async def test_socket_of_another_user_is_refused(temporary_directory: Path) -> None:
    async with stranger(temporary_directory, NOBODY) as path:
        error = await failure_of(announcing(path))
    assert isinstance(error, SecurityError)
    assert error.code == "connect.stranger"
    assert f"it belongs to user {NOBODY}, expected user {os.geteuid()}" in error.message
    assert "unix_socket_group" in str(error.hint)


async def test_multiplexed_and_brokered_sockets_as_well(temporary_directory: Path) -> None:
    async with stranger(temporary_directory, NOBODY) as path:
        command = python_kv(f"raw-line=1|1|unix|{path}|grpc||true")
        client = RPCPluginClient(command, kv_config(auto_mtls=False, broker_multiplex=True))
        assert (await failure_of(client)).code == "connect.stranger"
        async with started(python_kv()) as (client, _):
            with pytest.raises(SecurityError) as failure:
                await client.broker.dial_address("unix", str(path))
            assert failure.value.code == "connect.stranger"


class Plain(SubprocessRunner):
    """Starts the plugin as it is, and might do so as any user."""


async def test_where_another_user_was_agreed_on_nobody_is_a_stranger(temporary_directory: Path) -> None:
    async with stranger(temporary_directory, NOBODY) as path:
        reattach = ReattachConfig(network="unix", address=str(path), protocol_version=1)
        agreed = [
            announcing(path, unix_socket_group=other_group().gr_name),
            announcing(path, runner=Plain()),
            RPCPluginClient(reattach=reattach, config=kv_config(auto_mtls=False, connect_timeout=5)),
        ]
        for client in agreed:
            # It gets as far as the hanging up.
            assert (await failure_of(client)).code == "connect.http2"


async def test_own_user_is_no_stranger(temporary_directory: Path) -> None:
    async with stranger(temporary_directory, os.geteuid()) as path:
        assert (await failure_of(announcing(path))).code == "connect.http2"
