"""Every way in which a runner fails: which error, what it says, and that nothing is left."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from broker.exchange_pb2 import ExchangeRequest
from broker.exchange_pb2_grpc import CounterStub
from broker.witness import Witness, serve_witness
from ferrule.client import RPCPluginClient
from ferrule.errors import LaunchError, PluginExitedError, StartTimeoutError, TransportError
from ferrule.runner import RunnerLaunch, RunningPlugin, SubprocessRunner
from integration.kv import kv_client, started
from integration.processes import ended
from integration.runners import Altered, Env, nothing_kept, warm_up
from peers import EXCHANGE_CONFIG, go_exchange, python_kv

pytestmark = pytest.mark.timeout(60)

PROMPTLY = 3.0
"""Seconds within which an end must be known."""

BROKER_LIMIT = 10.0
"""The broker itself is patient for 5 s."""


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


@pytest.mark.parametrize(("kind", "make"), [("Socket", socket.socketpair), ("CharacterDevice", os.openpty)])
async def test_output_that_is_another_kind_of_file(kind: str, make: Callable[[], tuple[Any, Any]]) -> None:
    await warm_up()
    mine, other = (each if isinstance(each, int) else each.detach() for each in make())

    def exchange(plugin: Any) -> None:
        os.dup2(mine, plugin.stderr)

    runner = Altered(exchange)
    with nothing_kept(runner):
        with pytest.raises(LaunchError, match=rf"is a {kind}, expected the reading end of a pipe") as caught:
            await kv_client(python_kv(), runner=runner).start()
        assert caught.value.code == "runner.failed"
        del caught
    os.close(mine)
    os.close(other)


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


async def never(*_: Any) -> Any:
    await asyncio.Event().wait()


ANNOUNCING = ["/bin/sh", "-c", "echo '1|1|unix|/absent|grpc|'; exec sleep 600"]
"""A plugin that needs next to nothing of a short limit to announce itself."""


async def test_address_that_is_never_translated() -> None:
    await warm_up()
    runner = Altered(lambda plugin: setattr(plugin, "plugin_to_host", never))
    with nothing_kept(runner):
        with pytest.raises(LaunchError, match=r"did not translate the plugin's address within 0\.5 s") as caught:
            await asyncio.wait_for(kv_client(ANNOUNCING, runner=runner, start_timeout=0.5).start(), PROMPTLY)
        assert caught.value.code == "runner.failed"
        del caught


@pytest.mark.go
async def test_brokered_address_that_is_never_translated(temporary_directory: Path) -> None:
    runner = Altered(lambda _: None)
    async with RPCPluginClient(go_exchange(), {**EXCHANGE_CONFIG, "runner": runner}) as client:
        number, server = await serve_witness(client.broker, Witness(1))
        request = ExchangeRequest(host_service=number, token=1)
        offered = (await CounterStub(client.grpc_channel).Exchange(request)).plugin_service
        await server.stop()
        files = set(temporary_directory.rglob("*"))
        plugin: Any = runner.started[0]
        plugin.plugin_to_host = plugin.host_to_plugin = never
        # Both at once, because each takes as long as the broker is patient.
        waiting = (client.broker.accept(client.broker.next_id()), client.broker.dial(offered))
        async with asyncio.timeout(BROKER_LIMIT):
            errors = await asyncio.gather(*waiting, return_exceptions=True)
        for error in errors:
            assert isinstance(error, LaunchError)
            assert error.code == "runner.failed"
            assert "did not translate an address within 5 s" in str(error)
        # Neither is the socket that was to be announced.
        assert set(temporary_directory.rglob("*")) == files


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
