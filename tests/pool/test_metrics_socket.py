"""The socket of a pool: who may read it, what it answers, where it is, what is left of it."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ferrule.errors import ConfigError
from ferrule.pool.arguments import SOCKET_VARIABLE
from ferrule.pool.measures import PluginStats, PoolStats
from ferrule.pool.metrics_socket import MAX_CONVERSATIONS, MetricsSocket, sockets

STATS = PoolStats("pool", (PluginStats("kv", "ready", 42),), plugins_max=500)


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A runtime directory of this test's."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv(SOCKET_VARIABLE, raising=False)
    return tmp_path


@asynccontextmanager
async def opened(path: str | None = None) -> AsyncIterator[MetricsSocket]:
    server = MetricsSocket(STATS.to_dict, path)
    await server.open()
    try:
        yield server
    finally:
        await server.close()


async def asked(server: MetricsSocket, *requests: bytes) -> list[Any]:
    reader, writer = await asyncio.open_unix_connection(server.path)
    answers = []
    for request in requests:
        writer.write(request)
        answers.append(json.loads(await reader.readline()))
    writer.close()
    return answers


async def test_requests_follow_one_another() -> None:
    async with opened() as server:
        first, unknown, second = await asked(server, b"stats\n", b"more\n", b"stats\n")
    assert first == second == STATS.to_dict()
    assert unknown == {"error": "unknown request; there is: stats"}


async def test_the_socket_is_its_users_alone(runtime: Path) -> None:
    async with opened() as server:
        path = Path(server.path)
        assert sockets() == sockets(os.getpid()) == [(os.getpid(), path)]
        assert sockets(1) == []
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert sockets() == []


async def test_two_pools_have_two() -> None:
    async with opened() as first, opened() as second:
        assert len(sockets()) == 2
        assert first.path != second.path


async def test_a_path_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SOCKET_VARIABLE, str(tmp_path / "s"))
    async with opened() as server:
        assert server.path == str(tmp_path / "s")
        assert await asked(server, b"stats\n") == [STATS.to_dict()]


async def test_a_socket_that_was_left_is_replaced(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left:
        left.bind(str(tmp_path / "s"))
    async with opened(str(tmp_path / "s")) as server:
        assert await asked(server, b"stats\n") == [STATS.to_dict()]
        with pytest.raises(ConfigError, match=r"cannot listen on .*: somebody listens there"):
            async with opened(str(tmp_path / "s")):
                pass
        assert await asked(server, b"stats\n") == [STATS.to_dict()]


async def test_sockets_of_killed_processes_are_removed(runtime: Path) -> None:
    (runtime / "ferrule").mkdir(mode=0o700)
    ended = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    await ended.wait()
    killed, other = (runtime / "ferrule" / f"pool-{pid}-1.sock" for pid in (ended.pid, os.getppid()))
    for path in (killed, other):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left:
            left.bind(str(path))
    async with opened():
        assert not killed.exists()
        assert other.exists()


async def test_a_file_in_its_place_stays(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("text")
    with pytest.raises(ConfigError, match="cannot listen on"):
        async with opened(str(tmp_path / "s")):
            pass
    assert (tmp_path / "s").read_text() == "text"


async def test_a_directory_that_others_may_enter_is_refused(runtime: Path) -> None:
    (runtime / "ferrule").mkdir(mode=0o755)
    with pytest.raises(ConfigError, match="is not a directory of this user's alone"):
        async with opened():
            pass


async def test_a_request_without_end_ends_the_conversation() -> None:
    async with opened() as server:
        reader, writer = await asyncio.open_unix_connection(server.path)
        writer.write(b"x" * 100_000)
        assert await reader.read() == b""
        writer.close()


async def test_the_oldest_of_too_many_conversations_ends() -> None:
    async with opened() as server:
        conversations = []
        for _ in range(MAX_CONVERSATIONS + 1):
            reader, writer = await asyncio.open_unix_connection(server.path)
            conversations.append((reader, writer))
            writer.write(b"stats\n")
            await reader.readline()
        (oldest, _), *rest = conversations
        assert await oldest.read() == b""
        for reader, writer in rest:
            writer.write(b"stats\n")
            assert json.loads(await reader.readline()) == STATS.to_dict()
        for _, writer in conversations:
            writer.close()


async def test_the_oldest_of_a_crowd_end_too() -> None:
    async with opened() as server:
        crowd = [socket.socket(socket.AF_UNIX) for _ in range(3 * MAX_CONVERSATIONS)]
        for client in crowd:
            client.connect(server.path)
        reader, writer = await asyncio.open_unix_connection(server.path)
        writer.write(b"stats\n")
        assert json.loads(await reader.readline()) == STATS.to_dict()
        for client in crowd[: 2 * MAX_CONVERSATIONS]:
            client.setblocking(False)
            assert client.recv(1) == b""
        writer.close()
        for client in crowd:
            client.close()


async def test_the_answer_is_not_made_on_the_loops_thread() -> None:
    threads = []

    def stats() -> dict[str, Any]:
        threads.append(threading.get_ident())
        return STATS.to_dict()

    server = MetricsSocket(stats)
    await server.open()
    await asked(server, b"stats\n")
    await server.close()
    assert threads != [threading.get_ident()]
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_closing_ends_conversations() -> None:
    async with opened() as server:
        reader, writer = await asyncio.open_unix_connection(server.path)
        writer.write(b"stats\n")
        await reader.readline()
    assert await reader.read() == b""
    writer.close()
    assert not Path(server.path).exists()
