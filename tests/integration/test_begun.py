"""Whether a call had begun when its plugin died: nobody may repeat a write that had, and all else can be done again."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from ferrule.channel import AioRpcError
from ferrule.client import RPCPluginClient
from ferrule.testing.kv_pb2 import EchoRequest, PutRequest, WatchRequest
from integration.kv import both_plugins, started
from integration.processes import stop
from integration.sync_kv import in_thread, sync_started
from peers import Command, go_kv
from waiting import LIMIT, until, wait_until

pytestmark = pytest.mark.timeout(60)


async def requests() -> AsyncIterator[EchoRequest]:
    yield EchoRequest(payload=b"x")
    await asyncio.Event().wait()


def call_of_each_kind(client: RPCPluginClient, kv: Any) -> list[Any]:
    assert client.grpc_channel is not None
    return [
        kv.Echo(EchoRequest(payload=b"x")),
        kv.Watch(WatchRequest(count=1, size=10)),
        client.grpc_channel.stream_unary("/proto.KV/Upload", EchoRequest.SerializeToString)(requests()),
        kv.Chat(requests()),
    ]


async def failure(call: Any) -> AioRpcError:
    try:
        async with asyncio.timeout(LIMIT):
            if hasattr(call, "__await__"):
                await call
            else:
                [_ async for _ in call]
    except AioRpcError as error:
        return error
    raise AssertionError("the call did not fail")


@both_plugins
async def test_calls_in_flight_had_begun_and_later_ones_had_not(plugin: Command) -> None:
    async with started(plugin()) as (client, kv):
        assert client.pid is not None
        await kv.Echo(EchoRequest())
        # The plugin reads nothing of what follows: for all that the host knows it might have.
        stop(client.pid)
        calls = call_of_each_kind(client, kv)
        await until(lambda: all(call.begun for call in calls))
        os.kill(client.pid, signal.SIGKILL)
        for call in calls:
            error = await failure(call)
            assert (error.code(), error.begun, call.begun) == (grpc.StatusCode.UNAVAILABLE, True, True)
        await client.wait_exited()
        for call in call_of_each_kind(client, kv):
            error = await failure(call)
            assert (error.code(), error.begun, call.begun) == (grpc.StatusCode.UNAVAILABLE, False, False)
            assert "signal 9 (SIGKILL)" in str(error.details())


@pytest.mark.go
async def test_what_had_not_begun_is_not_in_the_plugins_own_journal(tmp_path: Path) -> None:
    """A plugin is killed under many writers, who go on for a while: what they are told, against what it wrote down."""
    journal = tmp_path / "journal"
    told: dict[str, set[str]] = {"ok": set(), "begun": set(), "not begun": set()}

    async def write(kv: Any, writer: str) -> None:
        failures = 0
        for number in itertools.count():
            key = f"{writer}-{number}"
            try:
                await kv.Put(PutRequest(key=key))
                told["ok"].add(key)
            except AioRpcError as error:
                told["begun" if error.begun else "not begun"].add(key)
                failures += 1
                if failures == 5:
                    return

    for turn in range(3):
        async with started(go_kv(f"journal={journal}")) as (client, kv):
            writers = [asyncio.create_task(write(kv, f"{turn}-{writer}")) for writer in range(20)]
            await until(lambda: client.stats().calls_succeeded > 200)
            os.kill(client.pid or 0, signal.SIGKILL)
            await asyncio.gather(*writers)
    lines = [line.split() for line in journal.read_text().splitlines()]
    began = {key for what, key in lines if what == "begin"}
    assert len(began) == sum(what == "begin" for what, _ in lines), "written twice"
    assert told["ok"] <= {key for what, key in lines if what == "end"}
    assert told["not begun"]
    assert told["not begun"] & began == set()
    assert began <= told["ok"] | told["begun"]


@both_plugins
def test_blocking_calls_in_flight_had_begun_and_later_ones_had_not(plugin: Command) -> None:
    with sync_started(plugin()) as (client, kv):
        kv.Echo(EchoRequest())
        assert client.pid is not None
        stop(client.pid)
        calls = [kv.Echo.future(EchoRequest()), kv.Watch(WatchRequest(count=1, size=10))]
        blocked = in_thread(lambda: kv.Echo(EchoRequest()))
        wait_until(lambda: client.sync_channel.stats()["messages_sent"] == 4, "calls sent")
        assert [call.begun for call in calls] == [True, True]
        os.kill(client.pid, signal.SIGKILL)
        client.wait_exited(LIMIT)
        errors: list[Any] = [call.exception(LIMIT) for call in calls] + [blocked.exception(LIMIT)]
        assert [(error.code(), error.begun) for error in errors] == [(grpc.StatusCode.UNAVAILABLE, True)] * 3
        for work in (lambda: kv.Echo(EchoRequest()), lambda: list(kv.Watch(WatchRequest(count=1, size=10)))):
            with pytest.raises(grpc.RpcError) as caught:
                work()
            assert caught.value.begun is False  # type: ignore[attr-defined]
