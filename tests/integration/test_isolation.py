"""Plugins in namespaces of their own, with their sockets at another path than the host's."""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from broker.exchange_pb2 import ExchangeRequest
from broker.exchange_pb2_grpc import CounterStub
from ferrule.client import RPCPluginClient
from ferrule.errors import PluginExitedError
from ferrule.runner import RunnerLaunch, RunningPlugin
from ferrule.testing.kv_pb2 import ExitRequest, GetRequest, PutRequest
from integration.isolation import example, innermost, isolated_runner, namespace, processes_in
from integration.kv import both_plugins, kv_client, started
from integration.processes import environment_of
from integration.test_broker_client import identify, witness
from peers import EXCHANGE_CONFIG, ROOT, Command, go_exchange, go_kv
from waiting import until

pytestmark = pytest.mark.timeout(60)

PROMPTLY = 3.0
"""Seconds within which an end must be known."""


@pytest.fixture(params=["unshare", "bwrap"])
def isolated(request: pytest.FixtureRequest) -> Any:
    """A runner by each of the programs."""
    return isolated_runner(request.param)


@both_plugins
async def test_plugin_sees_no_network_and_another_tmp(plugin: Command, isolated: Any) -> None:
    async with started(plugin(), runner=isolated) as (client, kv):
        await kv.Put(PutRequest(key="k", value=b"v"))
        assert (await kv.Get(GetRequest(key="k"))).value == b"v"
        assert client.pid is not None
        pid = innermost(client.pid)
        for kind in ("net", "mnt", "pid", "ipc", "user"):
            assert namespace(pid, kind) != namespace("self", kind)
        devices = Path(f"/proc/{pid}/net/dev").read_text().splitlines()[2:]
        assert [line.split(":")[0].strip() for line in devices] == ["lo"]
        # Its own, and in it nothing but the directory of its sockets, which is the host's under another name.
        assert [entry.name for entry in Path(f"/proc/{pid}/root/tmp").iterdir()] == ["plugin"]
        assert client.address is not None
        inside, outside = Path(f"/proc/{pid}/root/tmp/plugin"), Path(client.address).parent
        assert inside.stat().st_ino == outside.stat().st_ino
        assert environment_of(pid)["PLUGIN_UNIX_SOCKET_DIR"] == "/tmp/plugin"
        assert "CapEff:\t0000000000000000" in Path(f"/proc/{pid}/status").read_text()
    assert client.stop_report is not None
    assert (client.stop_report.rung, client.exit_status) == ("shutdown", 0)


class Recorded:
    """A runner that notes which addresses it translates."""

    def __init__(self, runner: Any) -> None:
        self.runner = runner
        self.translated: list[tuple[str, str, str]] = []

    async def start(self, launch: RunnerLaunch) -> RunningPlugin:
        plugin: Any = await self.runner.start(launch)
        for direction in ("plugin_to_host", "host_to_plugin"):
            setattr(plugin, direction, functools.partial(self.translate, direction, getattr(plugin, direction)))
        return plugin  # type: ignore[no-any-return]

    async def translate(self, direction: str, translate: Any, network: str, address: str) -> tuple[str, str]:
        network, translated = await translate(network, address)
        self.translated.append((direction, address, translated))
        return network, translated


@pytest.mark.go
@pytest.mark.parametrize("multiplex", [False, True], ids=["sockets", "multiplexed"])
async def test_broker_works_through_the_namespace_both_ways(isolated: Any, multiplex: bool) -> None:
    runner = Recorded(isolated)
    config = {**EXCHANGE_CONFIG, "runner": runner, "broker_multiplex": multiplex}
    async with RPCPluginClient(go_exchange(), config) as client:
        assert client.address is not None
        assert client.server_cert is not None
        outside = str(Path(client.address).parent)

        async def exchange(token: int) -> int:
            number, server = await witness(client, token)
            async with server:
                request = ExchangeRequest(host_service=number, token=token)
                answer = await CounterStub(client.grpc_channel).Exchange(request)
                async with await client.broker.dial(answer.plugin_service) as theirs:
                    return await identify(theirs)

        assert await asyncio.gather(*map(exchange, range(10))) == list(range(10))
    # That of the handshake, and without multiplexing those of ten listeners on each side.
    directions = [direction for direction, _, _ in runner.translated]
    count = 0 if multiplex else 10
    assert (directions.count("plugin_to_host"), directions.count("host_to_plugin")) == (count + 1, count)
    for direction, given, translated in runner.translated:
        inside, here = (given, translated) if direction == "plugin_to_host" else (translated, given)
        assert (inside, here) == (f"/tmp/plugin/{Path(inside).name}", f"{outside}/{Path(inside).name}")


@pytest.mark.go
@pytest.mark.parametrize(
    ("words", "rung", "status"),
    [
        ([], "shutdown", 0),
        (["ignore-shutdown"], "sigterm", -15),
        (["ignore-shutdown", "ignore-sigterm"], "sigkill", -9),
    ],
)
async def test_each_rung_of_the_ladder(isolated: Any, words: list[str], rung: str, status: int) -> None:
    async with started(go_kv(*words), runner=isolated, shutdown_timeout=0.2, kill_timeout=0.2) as (client, _):
        assert client.pid is not None
        network = namespace(innermost(client.pid), "net")
    report = client.stop_report
    assert report is not None
    assert (report.rung, report.exit_status, client.exit_status) == (rung, status, status)
    await until(lambda: processes_in(network) == [])


@pytest.mark.go
@pytest.mark.parametrize("whom", ["plugin", "wrapper"])
async def test_killed_plugin_is_noticed(isolated: Any, whom: str) -> None:
    async with started(go_kv(), runner=isolated, shutdown_timeout=30) as (client, _):
        assert client.pid is not None
        plugin = innermost(client.pid)
        network = namespace(plugin, "net")
        os.kill(plugin if whom == "plugin" else client.pid, signal.SIGKILL)
        assert await asyncio.wait_for(client.wait_exited(), PROMPTLY) == -9
        await until(lambda: processes_in(network) == [])
    assert client.stop_report is not None
    assert client.stop_report.rung == "exited"


@both_plugins
async def test_plugin_that_ends_by_itself_has_its_own_status(plugin: Command, isolated: Any) -> None:
    async with started(plugin(), runner=isolated) as (client, kv):
        kv.Exit(ExitRequest(code=7))
        assert await asyncio.wait_for(client.wait_exited(), PROMPTLY) == 7


@pytest.mark.go
async def test_whatever_the_plugin_started_ends_with_it(isolated: Any) -> None:
    async with started(go_kv("grandchild"), runner=isolated) as (client, _):
        assert client.pid is not None
        grandchild = innermost(client.pid)
        assert Path(f"/proc/{grandchild}/comm").read_text() == "sleep\n"
        network = namespace(grandchild, "net")
    await until(lambda: processes_in(network) == [])


async def test_program_that_the_namespace_hides(isolated: Any, temporary_directory: Path) -> None:
    script = temporary_directory / "plugin"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    try:
        client = kv_client([str(script)], runner=isolated)
        with pytest.raises(PluginExitedError, match="No such file or directory"):
            await client.start()
    finally:
        script.unlink()


def test_the_example_as_a_program() -> None:
    isolated_runner("unshare")
    command = [sys.executable, "-W", "error", str(ROOT / "examples" / "isolated_runner.py")]
    result = subprocess.run(command, check=False, capture_output=True, text=True, timeout=20)
    assert (result.returncode, result.stderr) == (0, "")
    assert "colour is green" in result.stdout
    assert f"its sockets are {example().INSIDE} to it, /tmp/" in result.stdout
