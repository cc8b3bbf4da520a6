"""Plugins that a runner starts: all that a client promises holds for them."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from broker.exchange_pb2 import ExchangeRequest
from broker.exchange_pb2_grpc import CounterStub
from ferrule import _core
from ferrule.client import RPCPluginClient, runner_driver
from ferrule.errors import LaunchError
from ferrule.runner import SubprocessRunner
from ferrule.testing.kv_pb2 import ExitRequest, GetRequest, PutRequest
from integration.kv import GO, PYTHON, both_plugins, kv_client, kv_stub, started
from integration.processes import ended, environment_of, is_running
from integration.runners import Env, nothing_kept, warm_up
from integration.test_broker_client import identify, witness
from integration.test_stop import LADDER
from peers import EXCHANGE_CONFIG, Command, go_exchange, go_kv, python_kv
from waiting import until

pytestmark = pytest.mark.timeout(60)

PROMPTLY = 3.0
"""Seconds within which an end must be known."""


@both_plugins
@pytest.mark.parametrize("channel", ["native", "grpcio"])
async def test_plugin_is_used_as_any_other(plugin: Command, channel: str) -> None:
    async with started(plugin(), runner=Env(), channel=channel) as (client, kv):
        await kv.Put(PutRequest(key="k", value=b"v"))
        assert (await kv.Get(GetRequest(key="k"))).value == b"v"
        assert client.pid is not None
        assert client.address is not None
        variables = environment_of(client.pid)
        assert variables["MARK"] == "by a runner"
        assert variables["PLUGIN_UNIX_SOCKET_DIR"] == str(Path(client.address).parent)
        assert variables["PLUGIN_CLIENT_CERT"].startswith("-----BEGIN CERTIFICATE-----\n")
        assert os.getpgid(client.pid) == client.pid
    assert client.stop_report is not None
    assert (client.stop_report.rung, client.exit_status) == ("shutdown", 0)


@both_plugins
@pytest.mark.parametrize(("words", "rung", "steps", "status"), LADDER)
async def test_each_rung_of_the_ladder(
    plugin: Command, words: list[str], rung: str, steps: list[str], status: int
) -> None:
    client = kv_client(plugin(*words), runner=Env(), shutdown_timeout=0.2, kill_timeout=0.1)
    await client.start()
    await client.shutdown_plugin()
    report = client.stop_report
    assert report is not None
    assert (report.rung, list(report.steps), report.exit_status, client.exit_status) == (rung, steps, status, status)
    await client.close()


@both_plugins
async def test_close_alone_kills_without_waiting(plugin: Command) -> None:
    client = kv_client(plugin("hang-shutdown", "ignore-sigterm"), runner=Env(), shutdown_timeout=30, kill_timeout=30)
    await client.start()
    async with asyncio.timeout(PROMPTLY):
        await client.close()
    assert client.exit_status == -9


@both_plugins
async def test_killed_plugin_is_noticed(plugin: Command) -> None:
    async with started(plugin(), runner=Env()) as (client, kv):
        assert client.pid is not None
        os.kill(client.pid, signal.SIGKILL)
        assert await asyncio.wait_for(client.wait_exited(), PROMPTLY) == -9
        with pytest.raises(grpc.aio.AioRpcError, match="the plugin ended with"):
            await kv.Get(GetRequest(key="k"), timeout=PROMPTLY)
    assert client.stop_report is not None
    assert client.stop_report.rung == "exited"


@both_plugins
async def test_plugin_that_ends_by_itself_is_noticed(plugin: Command) -> None:
    async with started(plugin(), runner=Env()) as (client, kv):
        call = kv.Exit(ExitRequest(code=7))
        assert await asyncio.wait_for(client.wait_exited(), PROMPTLY) == 7
        with pytest.raises(grpc.aio.AioRpcError):
            await call


@pytest.mark.go
async def test_grandchild_ends_with_the_plugin() -> None:
    async with started(go_kv("grandchild"), runner=Env()) as (client, _):
        line = next(line for line in client.stderr_tail if line.startswith("grandchild pid "))
        grandchild = int(line.split()[-1])
        assert is_running(grandchild)
    await ended(grandchild, PROMPTLY)


def test_both_kinds_of_loop(run: Callable[[Any], Any]) -> None:
    async def use() -> None:
        async with started(python_kv(), runner=Env()) as (client, kv):
            await kv.Put(PutRequest(key="k"))
        assert client.exit_status == 0
        with pytest.raises(LaunchError):
            await kv_client(["/absent"], runner=SubprocessRunner()).start()

    run(use())


@pytest.mark.go
@pytest.mark.parametrize("multiplex", [False, True], ids=["sockets", "multiplexed"])
async def test_broker(multiplex: bool) -> None:
    config = {**EXCHANGE_CONFIG, "runner": Env(), "broker_multiplex": multiplex}
    async with RPCPluginClient(go_exchange(), config) as client:
        number, _ = await witness(client, 7)
        answer = await CounterStub(client.grpc_channel).Exchange(ExchangeRequest(host_service=number, token=7))
        async with await client.broker.dial(answer.plugin_service) as theirs:
            assert await identify(theirs) == 7


async def test_one_runner_for_many_clients_and_starts() -> None:
    runner = Env()
    clients = [kv_client(python_kv(), runner=runner) for _ in range(3)]
    await warm_up()
    with nothing_kept(runner):
        for _ in range(2):
            await asyncio.gather(*(client.start() for client in clients))
            for client in clients:
                await kv_stub(client).Put(PutRequest(key="k"))
            await asyncio.gather(*(client.close() for client in clients))
    assert len({plugin.pid for plugin in runner.started}) == 6


async def test_forgotten_client_warns_and_its_plugin_ends() -> None:
    await warm_up()
    runner = Env()
    client = kv_client(python_kv(), runner=runner)
    await client.start()
    (pid,) = (plugin.pid for plugin in runner.started)
    assert pid is not None
    with pytest.warns(ResourceWarning, match=rf"pid {pid}.* was never closed"):  # noqa: PT031 - both may warn.
        del client
        gc.collect()
    await ended(pid, PROMPTLY)
    await until(lambda: _core.live_plugins() == 0 and not runner_driver._open_drivers)


HOST = """
import asyncio, json, sys
from ferrule.client import RPCPluginClient
from ferrule.runner import SubprocessRunner
from ferrule.testing import KV_CONFIG

async def main():
    client = RPCPluginClient(json.loads(sys.argv[1]), {**KV_CONFIG, "runner": SubprocessRunner()})
    await client.start()
    print(client.pid, flush=True)
    return client

if sys.argv[2] == "run":
    asyncio.run(main())
else:
    loop = asyncio.new_event_loop()
    client = loop.run_until_complete(main())
    if sys.argv[2] == "close":
        loop.close()
"""


@pytest.mark.parametrize("plugin", [GO, PYTHON])
@pytest.mark.parametrize("end", ["run", "close", "leave"])
async def test_host_that_ends_without_closing(plugin: Command, end: str) -> None:
    command = [sys.executable, "-W", "ignore", "-c", HOST, json.dumps(plugin()), end]
    host = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    # Less than the core would wait at the exit for a plugin of whose end nobody tells it.
    async with asyncio.timeout(4.5):
        output, errors = await host.communicate()
    assert host.returncode == 0
    # A loop that nobody ran to its end is told on by asyncio.
    assert end != "run" or errors == b""
    await ended(int(output), PROMPTLY)
