"""Managed clients: ended together by one call, and by the interpreter's exit without haste."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
import weakref
from pathlib import Path
from typing import Any

import pytest

import ferrule
from ferrule import _core
from ferrule._host.managed import managed_clients
from integration.kv import both_plugins, kv_client, started
from integration.processes import ended, is_running
from peers import Command, python_kv
from waiting import LIMIT, until

pytestmark = pytest.mark.timeout(60)

HOST = """
import asyncio, json, sys
from ferrule import RPCPluginClient
from ferrule.testing import KV_CONFIG

async def main():
    clients = []
    for command, settings in json.loads(sys.argv[1]):
        clients.append(RPCPluginClient(command, {**KV_CONFIG, **settings}))
        await clients[-1].start()
        print(clients[-1].pid, flush=True)
    return clients

kept = asyncio.run(main())
"""


@both_plugins
async def test_all_managed_clients_end_at_once(plugin: Command) -> None:
    clients = [kv_client(plugin(), managed=True) for _ in range(3)]
    for client in clients:
        await client.start()
    assert managed_clients(asyncio.get_running_loop()) == clients
    async with started(plugin()) as (unmanaged, _):
        await ferrule.cleanup_clients()
        assert unmanaged.pid is not None
        assert is_running(unmanaged.pid)
    reports = [client.stop_report for client in clients]
    assert [(report.rung, report.exit_status) for report in reports if report] == [("shutdown", 0)] * 3
    assert not any(client.is_started for client in clients)
    await ferrule.cleanup_clients()
    # A client may be started again, and is managed again.
    await clients[0].start()
    await ferrule.cleanup_clients()
    assert not clients[0].is_started


async def test_ladders_run_side_by_side() -> None:
    settings = {"managed": True, "shutdown_timeout": 1, "kill_timeout": 1}
    clients = [kv_client(python_kv("ignore-shutdown", "ignore-sigterm"), **settings) for _ in range(3)]
    await asyncio.gather(*(client.start() for client in clients))
    began = time.monotonic()
    await ferrule.cleanup_clients()
    assert time.monotonic() - began < 2 + 2
    assert [client.stop_report and client.stop_report.rung for client in clients] == ["sigkill"] * 3


async def test_managed_client_is_kept_until_it_is_closed() -> None:
    client = kv_client(python_kv(), managed=True)
    await client.start()
    kept, pid = weakref.ref(client), client.pid
    assert pid is not None
    del client
    gc.collect()
    assert kept() is not None
    assert is_running(pid)
    await ferrule.cleanup_clients()
    gc.collect()
    assert kept() is None
    await ended(pid)


async def test_closed_clients_are_forgotten() -> None:
    async with started(python_kv(), managed=True):
        assert len(managed_clients(asyncio.get_running_loop())) == 1
    assert managed_clients(asyncio.get_running_loop()) == []
    with pytest.raises(ferrule.LaunchError):
        await kv_client(["/absent"], managed=True).start()
    assert managed_clients(asyncio.get_running_loop()) == []


async def test_client_that_is_starting_is_given_up() -> None:
    client = kv_client(python_kv("hang"), managed=True)
    start = asyncio.create_task(client.start())
    await until(lambda: _core.live_plugins() == 1)
    await ferrule.cleanup_clients()
    with pytest.raises(ferrule.TransportError, match="closed while it started"):
        await start
    assert _core.live_plugins() == 0


async def test_each_loop_has_its_own() -> None:
    client = kv_client(python_kv(), managed=True)
    await client.start()
    await asyncio.to_thread(asyncio.run, ferrule.cleanup_clients())
    assert client.is_started
    await ferrule.cleanup_clients()
    assert not client.is_started


async def test_one_that_fails_does_not_keep_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    clients = [kv_client(python_kv(), managed=True) for _ in range(2)]
    for client in clients:
        await client.start()

    async def fail() -> None:
        raise RuntimeError("the first fails")

    monkeypatch.setattr(clients[0], "shutdown_plugin", fail)
    with pytest.raises(RuntimeError, match="the first fails"):
        await ferrule.cleanup_clients()
    assert not any(client.is_started for client in clients)


class Host:
    """Another Python process that starts plugins and ends without closing them."""

    def __init__(self, plugins: list[tuple[list[str], dict[str, Any]]]) -> None:
        self.plugins = plugins
        self.pids: list[int] = []
        self.stderr = ""
        self.seconds = 0.0

    async def run(self) -> None:
        arguments = [sys.executable, "-c", HOST, json.dumps(self.plugins)]
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*arguments, stdout=pipe, stderr=pipe)
        assert process.stdout is not None
        assert process.stderr is not None
        async with asyncio.timeout(LIMIT):
            for _ in self.plugins:
                self.pids.append(int(await process.stdout.readline()))
            began = time.monotonic()
            self.stderr = (await process.stderr.read()).decode()
            assert await process.wait() == 0
            self.seconds = time.monotonic() - began


def telling(marker: Path, command: list[str]) -> list[str]:
    """A command whose shell writes the plugin's exit status to `marker`, unless it is killed as well."""
    return ["/bin/sh", "-c", '"$@"; echo $? > "$0"', str(marker), *command]


@both_plugins
async def test_exit_of_the_interpreter_asks_managed_plugins_to_end(plugin: Command, tmp_path: Path) -> None:
    markers = {managed: tmp_path / str(managed) for managed in (True, False)}
    host = Host([(telling(marker, plugin()), {"managed": managed}) for managed, marker in markers.items()])
    await host.run()
    for pid in host.pids:
        await ended(pid, 5)
    assert host.stderr == ""
    assert markers[True].read_text() == "0\n"
    assert not markers[False].exists()


async def test_exit_goes_up_the_ladder_of_all_at_once() -> None:
    stubborn = {"managed": True, "shutdown_timeout": 0.5, "kill_timeout": 0.5}
    host = Host([(python_kv("ignore-shutdown", "ignore-sigterm"), stubborn)] * 3)
    await host.run()
    for pid in host.pids:
        await ended(pid, 5)
    assert 0.9 < host.seconds < 2.9
    assert host.stderr == ""


async def test_exit_does_not_wait_for_ever() -> None:
    host = Host([(python_kv("hang-shutdown"), {"managed": True, "shutdown_timeout": 10_000})])
    await host.run()
    await ended(host.pids[0], 5)
    assert 9 < host.seconds < 15
