"""A plugin that ends by itself: known at once, and every call says how it ended and what it said last."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import grpc
import pytest

from ferrule.client import RPCPluginClient
from ferrule.testing.kv_pb2 import EchoRequest, ExitRequest, NoiseRequest, PutRequest
from integration.kv import both_plugins, kv_client, kv_stub, started
from integration.processes import ended
from peers import Command, go_kv, python_kv
from waiting import until

pytestmark = pytest.mark.timeout(60)

PROMPTLY = 3.0
"""Seconds within which a crash must be known to everybody: a thousand times what it takes."""

protection = pytest.mark.parametrize("auto_mtls", [True, False], ids=["mtls", "plain"])


async def failure(call: Any) -> grpc.aio.AioRpcError:
    """How a call failed."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async with asyncio.timeout(PROMPTLY):
            await call
    error: grpc.aio.AioRpcError = caught.value
    return error


async def open_chat(kv: Any) -> Any:
    """A stream that is known to be in flight: it was answered once."""
    chat = kv.Chat()
    await chat.write(EchoRequest(payload=b"x"))
    assert (await chat.read()).payload == b"x"
    return chat


@both_plugins
@protection
async def test_exit_is_known_at_once(plugin: Command, auto_mtls: bool) -> None:
    async with started(plugin(), auto_mtls=auto_mtls) as (client, kv):
        waiting = [asyncio.create_task(client.wait_exited()) for _ in range(3)]
        error = await failure(kv.Exit(ExitRequest(code=7)))
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        async with asyncio.timeout(PROMPTLY):
            assert await asyncio.gather(*waiting) == [7, 7, 7]
            assert await client.wait_exited() == 7
        assert client.exit_status == 7
        # What crashed is still to be closed.
        assert client.is_started
    assert client.stop_report is not None
    assert (client.stop_report.rung, client.stop_report.exit_status, client.stop_report.steps) == ("exited", 7, {})
    assert client.exit_status == 7


@both_plugins
@protection
async def test_call_in_flight_fails_with_the_exit_and_the_last_output(plugin: Command, auto_mtls: bool) -> None:
    async with started(plugin(), auto_mtls=auto_mtls) as (_, kv):
        chat = await open_chat(kv)
        await kv.Noise(NoiseRequest(stderr_lines=["the last words"]))
        await failure(kv.Exit(ExitRequest(code=7)))
        error = await failure(chat.read())
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert "the plugin ended with exit status 7" in str(error.details())
        assert "the last words" in str(error.details())


async def write_without_end(chat: Any) -> None:
    while True:
        await chat.write(EchoRequest(payload=bytes(10_000)))


@protection
@pytest.mark.go
async def test_reason_of_the_end_is_not_lost_when_the_host_was_writing(auto_mtls: bool) -> None:
    lost = []
    for _ in range(10):
        async with started(go_kv(), auto_mtls=auto_mtls) as (_, kv):
            writing = asyncio.create_task(write_without_end(await open_chat(kv)))
            error = await failure(kv.Exit(ExitRequest(code=7)))
            await asyncio.gather(writing, return_exceptions=True)
            if "exit status 7" not in str(error.details()):
                lost.append(error.details())
    assert lost == []


@both_plugins
@protection
async def test_call_after_the_end_fails_with_the_exit_and_the_last_output(plugin: Command, auto_mtls: bool) -> None:
    async with started(plugin(), auto_mtls=auto_mtls) as (client, kv):
        await kv.Noise(NoiseRequest(stderr_lines=["the last words"]))
        await failure(kv.Exit(ExitRequest(code=7)))
        await client.wait_exited()
        for _ in range(3):
            error = await failure(kv.Put(PutRequest(key="k")))
            assert error.code() is grpc.StatusCode.UNAVAILABLE
            assert "the plugin ended with exit status 7" in str(error.details())
            assert "the last words" in str(error.details())


@pytest.mark.go
async def test_call_after_the_end_of_a_plugin_on_tcp() -> None:
    async with started(go_kv("tcp")) as (client, kv):
        await failure(kv.Exit(ExitRequest(code=7)))
        await client.wait_exited()
        error = await failure(kv.Put(PutRequest(key="k")))
        assert "the plugin ended with exit status 7" in str(error.details())


@both_plugins
async def test_panic_is_in_the_tail(plugin: Command) -> None:
    async with started(plugin()) as (client, kv):
        await failure(kv.Exit(ExitRequest(panic="the sky is falling")))
        async with asyncio.timeout(PROMPTLY):
            assert await client.wait_exited() == 2
        assert any(line.startswith("panic: the sky is falling") for line in client.stderr_tail)


@both_plugins
async def test_panic_is_what_a_failed_call_shows(plugin: Command) -> None:
    async with started(plugin()) as (client, kv):
        await failure(kv.Exit(ExitRequest(panic="the sky is falling")))
        await client.wait_exited()
        error = await failure(kv.Put(PutRequest(key="k")))
        assert "panic: the sky is falling" in str(error.details())


@pytest.mark.go
async def test_panic_is_not_pushed_out_of_the_tail_by_its_own_stack_trace() -> None:
    # A provider's handlers run deep below gRPC's: traces of more than 40 lines are the rule.
    async with started(go_kv()) as (client, kv):
        trace = ["panic: the sky is falling", "", *(f"frame {number}" for number in range(100))]
        await kv.Noise(NoiseRequest(stderr_lines=trace))
        await failure(kv.Exit(ExitRequest(code=2)))
        await client.wait_exited()
        assert "panic: the sky is falling" in client.stderr_tail
        assert client.stderr_tail[-1] == "frame 99"


@both_plugins
async def test_killed_plugin(plugin: Command) -> None:
    async with started(plugin()) as (client, kv):
        assert client.pid is not None
        chat = await open_chat(kv)
        os.kill(client.pid, signal.SIGKILL)
        async with asyncio.timeout(PROMPTLY):
            assert await client.wait_exited() == -signal.SIGKILL
        error = await failure(chat.read())
        assert "signal 9 (SIGKILL)" in str(error.details())


@pytest.mark.go
async def test_tail_is_bounded() -> None:
    async with started(go_kv()) as (client, kv):
        lines = [f"line {number}" for number in range(100)]
        await kv.Noise(NoiseRequest(stderr_lines=[*lines, "z" * 100_000]))
        await failure(kv.Exit(ExitRequest(code=1)))
        await client.wait_exited()
        assert len(client.stderr_tail) == 40
        assert client.stderr_tail[:-1] == tuple(lines[-39:])
        assert client.stderr_tail[-1] == "z" * 500


async def crashed(client: RPCPluginClient) -> None:
    await client.start()
    await failure(kv_stub(client).Exit(ExitRequest(code=7)))
    await client.wait_exited()


@both_plugins
async def test_client_may_be_started_again_after_a_crash(plugin: Command) -> None:
    client = kv_client(plugin())
    await crashed(client)
    first = client.pid
    await client.close()
    async with client:
        assert client.pid != first
        assert (client.exit_status, client.stop_report) == (None, None)
        await kv_stub(client).Put(PutRequest(key="k"))


@pytest.mark.go
async def test_grandchild_does_not_delay_the_news_and_dies_too() -> None:
    async with started(go_kv("grandchild")) as (client, kv):
        line = next(line for line in client.stderr_tail if line.startswith("grandchild pid "))
        await failure(kv.Exit(ExitRequest(code=7)))
        async with asyncio.timeout(PROMPTLY):
            assert await client.wait_exited() == 7
        await ended(int(line.split()[-1]), PROMPTLY)


async def test_end_of_a_failed_attempt_is_not_that_of_the_next(tmp_path: Path) -> None:
    script = 'mkdir "$0" 2>/dev/null && exit 3; exec "$@"'
    command = ["/bin/sh", "-c", script, str(tmp_path / "tried"), *python_kv()]
    client = kv_client(command, retry={"attempts": 2, "backoff": 0.5})
    starting = asyncio.create_task(client.start())
    await until(lambda: client._host is not None and client._host.was_launched)
    assert await client.wait_exited() == 3
    await starting
    try:
        waiting = asyncio.create_task(client.wait_exited())
        await client.shutdown_plugin()
        async with asyncio.timeout(PROMPTLY):
            assert await waiting == 0
    finally:
        await client.close()
