"""Plugins whose client is forgotten, or whose host dies: neither may stay behind."""

from __future__ import annotations

import asyncio
import contextlib
import gc
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
from integration.processes import ended, is_running, until
from peers import Command, go_kv

pytestmark = pytest.mark.timeout(60)

HOST = """
import asyncio, json, sys
from ferrule.client import RPCPluginClient
from ferrule.testing import KV_CONFIG

async def main():
    client = RPCPluginClient(json.loads(sys.argv[1]), {**KV_CONFIG, **json.loads(sys.argv[2])})
    await client.start()
    print(client.pid, flush=True)
    if sys.argv[3] == "wait":
        await asyncio.Event().wait()

asyncio.run(main())
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
async def host(ending: str, **settings: object) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    """Another Python process that started a plugin, and the plugin's pid."""
    arguments = [json.dumps(go_kv()), json.dumps(settings), ending]
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


def remove_sockets(directory: Path) -> None:
    """Removes the one socket directory that a killed host could not remove."""
    (left,) = directory.iterdir()
    shutil.rmtree(left)


@pytest.mark.go
async def test_plugin_dies_with_its_killed_host(temporary_directory: Path) -> None:
    async with host("wait") as (process, plugin):
        assert is_running(plugin)
        process.kill()
        await ended(plugin, limit=1)
        await process.wait()
    remove_sockets(temporary_directory)


@pytest.mark.go
async def test_plugin_may_be_told_to_outlive_its_host(temporary_directory: Path) -> None:
    async with host("wait", die_with_host=False) as (process, plugin):
        process.kill()
        await process.wait()
        try:
            with pytest.raises(TimeoutError):
                await ended(plugin, limit=0.5)
        finally:
            os.kill(plugin, signal.SIGKILL)
        await ended(plugin, limit=5)
    remove_sockets(temporary_directory)


@pytest.mark.go
@pytest.mark.parametrize("die_with_host", [True, False])
async def test_host_that_forgets_to_close_ends_cleanly(die_with_host: bool) -> None:
    async with host("return", die_with_host=die_with_host) as (process, plugin):
        await ended(plugin, limit=5)
        _, stderr = await process.communicate()
        assert process.returncode == 0
        assert b"Traceback" not in stderr
