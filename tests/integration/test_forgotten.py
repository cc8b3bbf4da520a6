"""Plugins whose client is forgotten, or whose host dies: neither may stay behind."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import grp
import json
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ferrule import _core
from integration.kv import both_plugins, kv_client
from integration.processes import ended, environment_of, given_the_directory_of, group, is_running, watchers
from peers import Command, go_kv, python_kv
from waiting import until

pytestmark = pytest.mark.timeout(60)

HOST = """
import asyncio, json, os, signal, sys
from ferrule.client import RPCPluginClient
from ferrule.testing import KV_CONFIG

async def start():
    client = RPCPluginClient(json.loads(sys.argv[1]), {**KV_CONFIG, **json.loads(sys.argv[2])})
    await client.start()
    print(client.pid, flush=True)
    return client

async def main(ending):
    asked = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, asked.set)
    clients = [await start()]
    if ending == "return":
        return
    if ending == "fork":
        fork = os.fork()
        if fork == 0:
            signal.pause()
        print(fork, flush=True)
    if ending == "three":
        await clients[0].close()
        clients += [await start(), await start()]
    await asked.wait()
    if ending == "again":
        clients.append(await start())
    else:
        await clients[0].close()
        try:
            os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            print("no children", flush=True)
    await asyncio.Event().wait()

asyncio.run(main(sys.argv[3]))
"""


@both_plugins
async def test_forgotten_client_warns_and_its_plugin_ends(plugin: Command) -> None:
    client = kv_client(plugin())
    await client.start()
    pid = client.pid
    assert pid is not None
    with pytest.warns(ResourceWarning, match=rf"pid {pid}.* was never closed"):  # noqa: PT031 - both may warn.
        del client
        gc.collect()
    await ended(pid, 5)
    await until(lambda: _core.live_plugins() == 0)


@pytest.mark.go
async def test_client_forgotten_during_its_start() -> None:
    client = kv_client(go_kv("hang"))
    task = asyncio.create_task(client.start())
    await asyncio.sleep(0)
    await until(lambda: _core.live_plugins() == 1)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    del client, task
    gc.collect()
    assert _core.live_plugins() == 0


@contextlib.asynccontextmanager
async def host(
    ending: str, command: list[str] | None = None, **settings: object
) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    """Another Python process that started a plugin, and the plugin's pid."""
    arguments = [json.dumps(command or go_kv()), json.dumps(settings), ending]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", HOST, *arguments, stdout=pipe, stderr=pipe)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(20):
            yield process, int(await process.stdout.readline())
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def nothing_left(directory: Path) -> None:
    """Returns when the watcher has removed the socket directory of a killed host."""
    await until(lambda: not list(directory.iterdir()))


@pytest.mark.go
async def test_plugin_dies_with_its_killed_host(temporary_directory: Path) -> None:
    async with host("wait") as (process, plugin):
        assert is_running(plugin)
        process.kill()
        await ended(plugin, limit=1)
        await process.wait()
    await nothing_left(temporary_directory)


LAUNCHER = "import subprocess, sys; sys.exit(subprocess.call(sys.argv[1:]))"

WRAPPERS = {
    "shell": ["/bin/sh", "-c", '"$@"; exit $?', "sh"],
    "timeout": ["timeout", "60"],
    "python": [sys.executable, "-c", LAUNCHER],
    "two": ["/bin/sh", "-c", '"$@"; exit $?', "sh", sys.executable, "-c", LAUNCHER],
}


@both_plugins
@pytest.mark.parametrize("wrapper", WRAPPERS.values(), ids=WRAPPERS.keys())
async def test_plugin_behind_a_wrapper_dies_with_its_killed_host(
    plugin: Command, wrapper: list[str], temporary_directory: Path
) -> None:
    async with host("wait", [*wrapper, *plugin()]) as (process, leader):
        members = group(leader)
        assert len(members) > 1
        process.kill()
        # Both outputs end: nothing holds them open.
        await process.communicate()
        await asyncio.gather(*map(ended, members))
        await nothing_left(temporary_directory)


# A shell ends last, so that the wrapper in it is not the first.
GROUPS_OF_THEIR_OWN = {
    "timeout": 'timeout 60 "$@"; exit $?',
    "job control": 'exec bash -c "set -m; \\"\\$@\\"; exit \\$?" bash "$@"',
    "twice": 'timeout 60 timeout 60 "$@"; exit $?',
}


@both_plugins
@pytest.mark.parametrize("script", GROUPS_OF_THEIR_OWN.values(), ids=GROUPS_OF_THEIR_OWN.keys())
async def test_plugin_in_another_group_dies_with_its_killed_host(
    plugin: Command, script: str, temporary_directory: Path
) -> None:
    async with host("wait", ["/bin/sh", "-c", script, "sh", *plugin()]) as (process, leader):
        members = given_the_directory_of(leader)
        assert members > group(leader)
        process.kill()
        await process.communicate()
        await asyncio.gather(*map(ended, members))
        await nothing_left(temporary_directory)


@pytest.mark.go
async def test_what_a_killed_host_leaves_alone(temporary_directory: Path) -> None:
    """Daemons, which have a session of their own, and whoever has nearly the same variable."""
    async with host("wait", ["/bin/sh", "-c", 'setsid sleep 60 >/dev/null 2>&1 & "$@"; exit $?', "sh", *go_kv()]) as (
        process,
        leader,
    ):
        (directory,) = temporary_directory.iterdir()
        (daemon,) = given_the_directory_of(leader) - group(leader)
        others = [
            await asyncio.create_subprocess_exec("sleep", "60", env={**os.environ, name: value})
            for name, value in [
                ("PLUGIN_UNIX_SOCKET_DIR", f"{directory}0"),
                ("PLUGIN_UNIX_SOCKET_DIR", f"{directory}/0"),
                ("PLUGIN_UNIX_SOCKET_DIR", f"x{directory}"),
                ("A_PLUGIN_UNIX_SOCKET_DIR", str(directory)),
            ]
        ]
        process.kill()
        await nothing_left(temporary_directory)
        try:
            assert is_running(daemon)
            assert all(is_running(other.pid) for other in others)
        finally:
            for pid in [daemon, *(other.pid for other in others)]:
                os.kill(pid, signal.SIGKILL)
            await asyncio.gather(ended(daemon), *(other.wait() for other in others))


@pytest.mark.parametrize("unix_socket_group", [None, grp.getgrgid(os.getgid()).gr_name])
async def test_killed_host_of_many_plugins(unix_socket_group: str | None, temporary_directory: Path) -> None:
    wrapped = [*WRAPPERS["shell"], *python_kv()]
    async with host("three", wrapped, unix_socket_group=unix_socket_group) as (process, first):
        assert process.stdout is not None
        others = [int(await process.stdout.readline()) for _ in range(2)]
        # The first one has ended by then.
        assert group(first) == set()
        members = [member for leader in others for member in group(leader)]
        assert len(members) == 4
        process.kill()
        await asyncio.gather(*map(ended, members))
        await nothing_left(temporary_directory)


async def test_fork_of_the_host_does_not_keep_its_plugins_alive(temporary_directory: Path) -> None:
    async with host("fork", [*WRAPPERS["shell"], *python_kv()]) as (process, leader):
        assert process.stdout is not None
        fork = int(await process.stdout.readline())
        members = group(leader)
        try:
            # Not waited for: the fork holds its outputs.
            process.kill()
            await asyncio.gather(*map(ended, members))
            await nothing_left(temporary_directory)
            assert is_running(fork)
        finally:
            os.kill(fork, signal.SIGKILL)


async def test_watcher_is_no_child_and_ends_with_the_host() -> None:
    async with host("wait", python_kv()) as (process, plugin):
        (watcher,) = watchers(process.pid)
        assert os.getsid(watcher) == watcher
        assert environment_of(watcher).keys() <= {"PATH"}
        assert process.stdout is not None
        os.kill(process.pid, signal.SIGUSR1)
        # The host has closed its plugin; then there is nothing to wait for, and the watcher is still there.
        assert await process.stdout.readline() == b"no children\n"
        assert not is_running(plugin)
        assert watchers(process.pid) == {watcher}
        process.terminate()
        await ended(watcher)


async def test_killed_watcher_is_replaced_by_the_next_start(temporary_directory: Path) -> None:
    async with host("again", [*WRAPPERS["shell"], *python_kv()]) as (process, first):
        assert process.stdout is not None
        (watcher,) = watchers(process.pid)
        os.kill(watcher, signal.SIGKILL)
        await ended(watcher)
        os.kill(process.pid, signal.SIGUSR1)
        second = int(await process.stdout.readline())
        members = group(first) | group(second)
        assert len(members) == 4
        process.kill()
        await asyncio.gather(*map(ended, members))
        await nothing_left(temporary_directory)


@pytest.mark.go
async def test_plugin_may_be_told_to_outlive_its_host(temporary_directory: Path) -> None:
    async with host("wait", die_with_host=False) as (process, plugin):
        assert watchers(process.pid) == set()
        process.kill()
        await process.wait()
        try:
            with pytest.raises(TimeoutError):
                await ended(plugin, limit=0.5)
        finally:
            os.kill(plugin, signal.SIGKILL)
        await ended(plugin, limit=5)
    (left,) = temporary_directory.iterdir()
    shutil.rmtree(left)


@pytest.mark.go
@pytest.mark.parametrize("die_with_host", [True, False])
async def test_host_that_forgets_to_close_ends_cleanly(die_with_host: bool) -> None:
    async with host("return", die_with_host=die_with_host) as (process, plugin):
        await ended(plugin, limit=5)
        _, stderr = await process.communicate()
        assert process.returncode == 0
        assert b"Traceback" not in stderr
