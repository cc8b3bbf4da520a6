"""Plugins, and machines, that do what nobody would expect."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import sys
from pathlib import Path

import pytest

from ferrule import ClientConnection
from ferrule.errors import HandshakeError, LaunchError, RPCPluginError, SecurityError
from ferrule.testing.kv_pb2 import PutRequest
from integration.kv import kv_client, kv_stub, started
from integration.processes import ended, stop
from peers import go_kv, python_kv
from waiting import until

PROMPTLY = 10.0


async def test_pipe_in_place_of_a_program_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o755)
    async with asyncio.timeout(PROMPTLY):
        with pytest.raises(LaunchError, match="not a regular file"):
            await kv_client([str(tmp_path / "pipe")]).start()


async def test_plugin_that_leaves_its_process_group_is_killed_too() -> None:
    program = "import os, sys; os.setpgid(0, os.getpgid(os.getppid())); print('1|2', flush=True); sys.stdin.read()"
    read, write = os.pipe()
    stdin = os.dup(0)
    os.dup2(read, 0)
    try:
        async with asyncio.timeout(PROMPTLY):
            with pytest.raises(HandshakeError):
                await kv_client([sys.executable, "-c", program]).start()
    finally:
        os.dup2(stdin, 0)
        for descriptor in (read, write, stdin):
            os.close(descriptor)


async def test_socket_of_somebody_else_is_left_alone(temporary_directory: Path) -> None:
    path = temporary_directory / "theirs"
    with socket.socket(socket.AF_UNIX) as theirs:
        theirs.bind(str(path))
        theirs.listen()
        command = python_kv(f"raw-line=1|1|unix|{path}|grpc|")
        with pytest.raises(RPCPluginError):
            await kv_client(command, auto_mtls=False, connect_timeout=0.3).start()
        assert path.is_socket()
    path.unlink()


async def test_wait_exited_after_a_launch_that_failed_says_so() -> None:
    client = kv_client(["/does/not/exist"])
    with pytest.raises(LaunchError):
        await client.start()
    async with asyncio.timeout(PROMPTLY):
        with pytest.raises(RPCPluginError, match="no plugin to wait for"):
            await client.wait_exited()


@pytest.mark.go
async def test_asking_again_and_again_for_the_exit_does_not_pile_up() -> None:
    async with started(go_kv()) as (client, _):
        for _ in range(50):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.wait_exited(), 0.001)
        waiting = asyncio.create_task(client.wait_exited())
        os.kill(client.pid or 0, signal.SIGKILL)
        async with asyncio.timeout(PROMPTLY):
            assert await waiting == -signal.SIGKILL


@pytest.mark.go
async def test_channel_survives_a_moment_without_descriptors() -> None:
    async with started(go_kv()) as (client, kv):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        # The library's end of a connection and ours need one each: the second is not to be had.
        spare = os.dup(0)
        os.close(spare)
        resource.setrlimit(resource.RLIMIT_NOFILE, (spare + 1, hard))
        try:
            await asyncio.gather(kv.Put(PutRequest(key="k"), timeout=0.3), return_exceptions=True)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        async with asyncio.timeout(PROMPTLY):
            await kv_stub(client).Put(PutRequest(key="k"), wait_for_ready=True)


@pytest.mark.go
async def test_hanging_plugin_does_not_collect_connections() -> None:
    async with started(go_kv(), connect_timeout=0.5, channel="grpcio") as (client, _):
        stop(client.pid or 0)
        bridge = client._facts and client._facts.bridge
        before = len(list(Path("/proc/self/fd").iterdir()))
        async with asyncio.timeout(PROMPTLY):
            for _ in range(5):
                reader, writer = await asyncio.open_unix_connection(str(bridge))
                writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
                # The answer of the bridge itself: the plugin does not.
                assert await reader.read(9)
                writer.close()
                await writer.wait_closed()
            await until(lambda: len(list(Path("/proc/self/fd").iterdir())) <= before)
        os.kill(client.pid or 0, signal.SIGCONT)


async def test_aborted_connection_lets_go_while_its_peer_does_not_read() -> None:
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as server:
        connection = await ClientConnection.open(f"127.0.0.1:{server.getsockname()[1]}")
        peer, _ = server.accept()
    with peer:
        peer.setblocking(False)
        sending = asyncio.create_task(connection.send_data(bytes(64 << 20)))
        await asyncio.sleep(0)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(connection.close(), 0.2)
        async with asyncio.timeout(PROMPTLY):
            await asyncio.gather(sending, return_exceptions=True)
            # What the kernel had taken already, then the end.
            while await loop.sock_recv(peer, 1 << 20):
                pass


@pytest.mark.go
async def test_security_is_not_retried() -> None:
    client = kv_client(go_kv("no-cert"), retry={"attempts": 5, "backoff": 30})
    async with asyncio.timeout(PROMPTLY):
        with pytest.raises(SecurityError):
            await client.start()


@pytest.mark.go
async def test_multiplexing_is_not_switched_on_by_the_callers_environment() -> None:
    async with started(go_kv(), env={**os.environ, "PLUGIN_MULTIPLEX_GRPC": "true"}) as (_, kv):
        await kv.Put(PutRequest(key="k"))


@pytest.mark.go
async def test_restart_that_fails_leaves_no_facts_of_the_first_life(tmp_path: Path) -> None:
    program = tmp_path / "plugin"
    program.symlink_to(go_kv()[0])
    client = kv_client([str(program)])
    async with client:
        pid = client.pid
    assert client.pid == pid
    program.unlink()
    with pytest.raises(LaunchError):
        await client.start()
    assert (client.pid, client.address, client.stop_report) == (None, None, None)
    assert pid is not None
    await ended(pid)
