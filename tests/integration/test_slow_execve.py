"""A file system that is slow to execute a program: it holds up that one start, for no longer than its limit."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from conftest import children
from ferrule.client import RPCPluginClient
from ferrule.errors import StartTimeoutError
from ferrule.testing.kv_pb2 import PutRequest
from integration.kv import kv_client, started
from peers import python_kv
from waiting import until

pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.skipif(not hasattr(fcntl, "F_SETLEASE"), reason="holds execve up by a lease, which only Linux has"),
]


class Held:
    """A program whose execution waits until this lets go: it has a lease on the file, which opening it breaks."""

    def __init__(self, path: Path, *lines: str) -> None:
        path.write_text("\n".join(("#!/bin/sh", *lines, f'exec {sys.executable} "$@"', "")))
        path.chmod(stat.S_IRWXU)
        self.command = [str(path), *python_kv()[1:]]
        self.is_wanted = asyncio.Event()
        self._descriptor = os.open(path, os.O_RDONLY)
        asyncio.get_running_loop().add_signal_handler(signal.SIGIO, self.is_wanted.set)
        fcntl.fcntl(self._descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)

    def let_go(self) -> None:
        if self._descriptor >= 0:
            # Closing would not do: the process that waits has a copy of the descriptor.
            fcntl.fcntl(self._descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
            os.close(self._descriptor)
            self._descriptor = -1


@contextlib.asynccontextmanager
async def held_up(
    directory: Path, **settings: object
) -> AsyncIterator[tuple[Held, RPCPluginClient, asyncio.Task[None]]]:
    """A start that waits for its program to be executed."""
    held = Held(directory / "plugin")
    client = kv_client(held.command, **settings)
    starting = asyncio.create_task(client.start())
    try:
        await asyncio.wait_for(held.is_wanted.wait(), 20)
        yield held, client, starting
    finally:
        held.let_go()
        asyncio.get_running_loop().remove_signal_handler(signal.SIGIO)
        with contextlib.suppress(Exception, asyncio.CancelledError):
            await starting
        await client.close()


async def test_other_plugins_work_and_start_meanwhile(tmp_path: Path) -> None:
    async with started(python_kv()) as (_, kv), held_up(tmp_path) as (held, client, starting):
        await kv.Put(PutRequest(key="k"))
        async with started(python_kv()) as (_, other):
            await other.Put(PutRequest(key="k"))
        assert not starting.done()
        held.let_go()
        await starting
        assert client.is_started


async def nothing_left(before: set[int], temporary_directory: Path) -> None:
    """Returns when the process that could not be executed, and its directory, are gone."""
    await until(lambda: children() == before and not list(temporary_directory.iterdir()))


async def test_start_that_takes_too_long_fails_in_time_and_leaves_nothing(
    tmp_path: Path, temporary_directory: Path
) -> None:
    before = children()
    async with held_up(tmp_path, start_timeout=0.3) as (held, _, starting):
        with pytest.raises(StartTimeoutError, match=r"plugin could not be executed within 0\.3 s") as caught:
            await starting
        assert caught.value.code == "handshake.timeout"
        held.let_go()
        await nothing_left(before, temporary_directory)


@pytest.mark.parametrize("how", ["cancel", "close"])
async def test_start_that_is_given_up_leaves_nothing(how: str, tmp_path: Path, temporary_directory: Path) -> None:
    before = children()
    async with held_up(tmp_path) as (held, client, starting):
        if how == "cancel":
            starting.cancel()
            await asyncio.wait([starting])
        else:
            await client.close()
        held.let_go()
        await nothing_left(before, temporary_directory)


@pytest.mark.parametrize("count", [3])
async def test_several_at_once_do_not_hold_up_the_next(count: int, tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for number in range(count):
            directory = tmp_path / str(number)
            directory.mkdir()
            await stack.enter_async_context(held_up(directory))
        async with started(python_kv()) as (_, kv):
            await kv.Put(PutRequest(key="k"))


HOST = """
import asyncio, sys
from ferrule.client import RPCPluginClient

asyncio.run(RPCPluginClient(sys.argv[1:], {"start_timeout": 60}).start())
"""


async def test_killed_host_ends_while_it_waits(tmp_path: Path, temporary_directory: Path) -> None:
    held = Held(tmp_path / "plugin")
    process = await asyncio.to_thread(subprocess.Popen, [sys.executable, "-c", HOST, *held.command])
    try:
        await asyncio.wait_for(held.is_wanted.wait(), 20)
    finally:
        process.kill()
        asyncio.get_running_loop().remove_signal_handler(signal.SIGIO)
        held.let_go()
        await asyncio.to_thread(process.wait)
    await nothing_left(children(), temporary_directory)


def polled_descriptors(process_id: int) -> int:
    """How many descriptors a process has in its epoll instances."""
    count = 0
    for path in Path(f"/proc/{process_id}/fdinfo").iterdir():
        # A descriptor of a running process may be closed meanwhile.
        with contextlib.suppress(FileNotFoundError):
            count += path.read_text().count("tfd:")
    return count


STOPPED_HOST = """
import asyncio, sys
from ferrule.client import RPCPluginClient
from ferrule.testing import KV_CONFIG

async def main():
    async with RPCPluginClient(sys.argv[2:], {**KV_CONFIG, "start_timeout": float(sys.argv[1])}):
        print("started")

asyncio.run(main())
"""


async def test_limit_begins_anew_where_the_host_was_stopped_while_it_waited(tmp_path: Path) -> None:
    limit, go_on = 4.0, tmp_path / "go-on"
    os.mkfifo(go_on)
    held = Held(tmp_path / "plugin", f"read -r _ < {go_on}")
    command = [sys.executable, "-c", STOPPED_HOST, str(limit), *held.command]
    host = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        await asyncio.wait_for(held.is_wanted.wait(), 20)
        host.send_signal(signal.SIGSTOP)
        polled = polled_descriptors(host.pid)
        held.let_go()
        # The event is the passing of the limit itself.
        await asyncio.sleep(limit + 1)
    finally:
        host.send_signal(signal.SIGCONT)
        asyncio.get_running_loop().remove_signal_handler(signal.SIGIO)
        held.let_go()
    # The handshake comes after the launch has been seen, when the plugin's outputs are polled.
    await until(lambda: polled_descriptors(host.pid) > polled)
    await asyncio.to_thread(go_on.write_text, "go on\n")
    output, _ = await host.communicate()
    assert (host.returncode, output) == (0, b"started\n")
