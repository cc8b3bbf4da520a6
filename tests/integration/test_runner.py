"""Plugins that a runner starts: all that a client promises, and every way in which a runner fails."""

from __future__ import annotations

import asyncio
import contextlib
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
from conftest import children, descriptors
from ferrule import _core
from ferrule.client import RPCPluginClient, runner_driver
from ferrule.errors import LaunchError, PluginExitedError, StartTimeoutError, TransportError
from ferrule.mailbox import mailbox
from ferrule.runner import RunnerLaunch, RunningPlugin, SubprocessRunner
from ferrule.testing.kv_pb2 import ExitRequest, GetRequest, PutRequest
from integration.kv import GO, PYTHON, both_plugins, kv_client, kv_stub, started
from integration.processes import ended, environment_of, is_running, until
from integration.test_broker_client import identify, witness
from integration.test_stop import LADDER
from peers import EXCHANGE_CONFIG, Command, go_exchange, go_kv, python_kv

pytestmark = pytest.mark.timeout(60)

PROMPTLY = 3.0
"""Seconds within which an end must be known."""


class Env(SubprocessRunner):
    """Puts a program before the plugin's, and counts what it starts."""

    def __init__(self) -> None:
        self.started: list[RunningPlugin] = []

    def command(self, launch: RunnerLaunch) -> list[str]:
        return ["env", "MARK=by a runner", *launch.command]

    async def start(self, launch: RunnerLaunch) -> RunningPlugin:
        plugin = await super().start(launch)
        self.started.append(plugin)
        return plugin


class Altered(Env):
    """Does something more with what it has started."""

    def __init__(self, alter: Callable[[Any], object]) -> None:
        super().__init__()
        self.alter = alter

    async def start(self, launch: RunnerLaunch) -> RunningPlugin:
        plugin = await super().start(launch)
        self.alter(plugin)
        return plugin


@contextlib.contextmanager
def nothing_kept(runner: Env | None = None) -> Any:
    """No process, descriptor, task or listener is left of what is done inside."""
    gc.collect()
    processes, files, listeners = children(), descriptors(), len(mailbox())
    yield
    gc.collect()
    assert children() == processes
    assert descriptors() == files
    assert len(mailbox()) == listeners
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert runner_driver._open_drivers == set()
    assert _core.live_plugins() == 0
    for plugin in runner.started if runner else ():
        assert plugin.pid is not None
        assert not is_running(plugin.pid)


async def warm_up() -> None:
    """What is made once per loop or process."""
    async with started(python_kv(), runner=Env()):
        pass


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


class Failing(Env):
    """Fails to start anything, at first."""

    def __init__(self, times: int = 1000) -> None:
        super().__init__()
        self.times = times

    async def start(self, launch: RunnerLaunch) -> RunningPlugin:
        self.times -= 1
        if self.times >= 0:
            raise OSError(28, "no space for a container")
        return await super().start(launch)


async def test_runner_that_raises_in_start() -> None:
    await warm_up()
    with nothing_kept():
        with pytest.raises(LaunchError) as caught:
            await kv_client(["plugin"], runner=Failing()).start()
        assert caught.value.code == "runner.failed"
        assert "the runner Failing failed in start(): OSError: [Errno 28] no space for a container" in str(caught.value)
        assert isinstance(caught.value.__cause__, OSError)
        del caught


async def test_program_that_does_not_exist() -> None:
    await warm_up()
    with nothing_kept():
        with pytest.raises(
            LaunchError, match=r"SubprocessRunner failed in start\(\): LaunchError: the plugin /absent"
        ) as caught:
            await kv_client(["/absent"], runner=SubprocessRunner()).start()
        assert isinstance(caught.value.__cause__, LaunchError)
        assert caught.value.__cause__.code == "launch.not-found"
        del caught


async def test_start_is_tried_again() -> None:
    runner = Failing(times=2)
    retry = {"attempts": 3, "backoff": 0.01}
    async with started(python_kv(), runner=runner, retry=retry) as (client, _):
        assert client.pid == runner.started[0].pid
    assert len(runner.started) == 1


async def test_plugin_that_ends_before_its_handshake() -> None:
    runner = Env()
    await warm_up()
    with nothing_kept(runner):
        with pytest.raises(PluginExitedError) as caught:
            await kv_client(python_kv("exit=3"), runner=runner).start()
        assert (caught.value.code, caught.value.exit_status) == ("handshake.exited", 3)
        assert caught.value.__cause__ is None
        del caught


@pytest.mark.parametrize("word", ["hang", "raw-line=1|1|unix|/absent|grpc"])
async def test_plugin_that_does_not_get_ready(word: str) -> None:
    runner = Env()
    await warm_up()
    with nothing_kept(runner):
        with pytest.raises(Exception, match=r"\[Code: (handshake|connect)\."):
            await kv_client(python_kv(word), runner=runner, start_timeout=0.5, connect_timeout=0.3).start()


class Slow(Env):
    """Waits before it starts anything, and needs a moment to give that up."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.release = asyncio.Event(), asyncio.Event()
        self.given_up = False

    async def start(self, launch: RunnerLaunch) -> RunningPlugin:
        self.begun.set()
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            for _ in range(10):
                await asyncio.sleep(0)
            self.given_up = True
            raise
        return await super().start(launch)


async def test_runner_that_never_starts_anything() -> None:
    await warm_up()
    runner = Slow()
    with nothing_kept(runner):
        with pytest.raises(StartTimeoutError, match=r"did not start the plugin within 0\.2 s") as caught:
            await kv_client(python_kv(), runner=runner, start_timeout=0.2).start()
        # The runner was told, and has given up when the start has.
        assert runner.given_up
        assert caught.value.code == "handshake.timeout"
        del caught


@pytest.mark.parametrize("by", ["close", "cancel"])
async def test_start_that_is_given_up(by: str) -> None:
    await warm_up()
    runner = Slow()
    with nothing_kept(runner):
        client = kv_client(python_kv(), runner=runner)
        starting = asyncio.create_task(client.start())
        await runner.begun.wait()
        if by == "close":
            await client.close()
        else:
            starting.cancel()
        with pytest.raises(TransportError if by == "close" else asyncio.CancelledError):
            await starting
        assert runner.given_up
        del client, starting


class Stubborn(Slow):
    """Starts the plugin although it was told to give up."""

    async def start(self, launch: RunnerLaunch) -> RunningPlugin:
        with contextlib.suppress(asyncio.CancelledError):
            await super().start(launch)
        return await Env.start(self, launch)


async def test_plugin_that_was_started_too_late_ends() -> None:
    await warm_up()
    runner = Stubborn()
    with nothing_kept(runner):
        with pytest.raises(StartTimeoutError):
            await kv_client(python_kv(), runner=runner, start_timeout=0.2).start()
    assert len(runner.started) == 1


class Wrong(Env):
    """Answers with something that is no plugin."""

    async def start(self, launch: RunnerLaunch) -> RunningPlugin:
        return "a plugin"  # type: ignore[return-value]


def without_pipe(plugin: Any) -> None:
    os.close(plugin.stderr)
    plugin.stderr = os.eventfd(0)


async def test_answer_that_is_no_plugin() -> None:
    await warm_up()
    with nothing_kept():
        with pytest.raises(LaunchError, match="it returned 'a plugin', expected a RunningPlugin"):
            await kv_client(python_kv(), runner=Wrong()).start()


async def test_output_that_is_no_pipe() -> None:
    await warm_up()
    runner = Altered(without_pipe)
    with nothing_kept(runner):
        with pytest.raises(LaunchError, match=r"failed in start\(\): OSError") as caught:
            await kv_client(python_kv(), runner=runner).start()
        assert caught.value.code == "runner.failed"
        del caught


def failing(name: str) -> Callable[[Any], object]:
    async def fail(*args: Any) -> Any:
        raise KeyError(f"no {name}")

    return lambda plugin: setattr(plugin, name, fail)


async def test_address_that_cannot_be_translated() -> None:
    await warm_up()
    runner = Altered(failing("plugin_to_host"))
    with nothing_kept(runner):
        with pytest.raises(LaunchError, match=r"failed in plugin_to_host\(\): KeyError: 'no plugin_to_host'") as caught:
            await kv_client(python_kv(), runner=runner).start()
        assert caught.value.code == "runner.failed"
        assert isinstance(caught.value.__cause__, KeyError)
        del caught


@pytest.mark.parametrize("answer", [("tcp", "localhost"), ("tcp",), None])
async def test_translation_that_is_no_address(answer: Any) -> None:
    async def translate(network: str, address: str) -> Any:
        return answer

    await warm_up()
    runner = Altered(lambda plugin: setattr(plugin, "plugin_to_host", translate))
    with nothing_kept(runner):
        with pytest.raises(LaunchError, match=r"failed in plugin_to_host\(\)"):
            await kv_client(python_kv(), runner=runner).start()


@pytest.mark.go
async def test_listener_whose_address_cannot_be_translated() -> None:
    config = {**EXCHANGE_CONFIG, "runner": Altered(failing("host_to_plugin"))}
    async with RPCPluginClient(go_exchange(), config) as client:
        with pytest.raises(LaunchError, match="no host_to_plugin"):
            await client.broker.accept(client.broker.next_id())


async def test_runner_that_cannot_wait(caplog: pytest.LogCaptureFixture) -> None:
    await warm_up()
    runner = Altered(failing("wait"))
    with contextlib.suppress(LaunchError, PluginExitedError, TransportError):
        await kv_client(python_kv(), runner=runner).start()
    assert "its runner failed in wait()" in caplog.text
    plugin: Any = runner.started[0]
    await ended(plugin.pid, PROMPTLY)
    # To collect it was the runner's part.
    assert plugin._process.wait() == -9


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
