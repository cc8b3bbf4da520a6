"""A client that is closed under its calls: each of them fails, says so, and no task group takes it for its own end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from ferrule.channel import AioRpcError
from ferrule.client import RPCPluginClient
from ferrule.testing import KVStub
from ferrule.testing.kv_pb2 import EchoRequest, PutRequest, WatchRequest
from integration.kv import both_plugins, kv_client, kv_stub
from integration.processes import stop
from integration.sync_kv import in_thread, sync_client
from peers import Command, go_kv
from waiting import LIMIT, until, wait_until

pytestmark = pytest.mark.timeout(60)

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
CLOSED = "the plugin's client, or its channel, was closed during the call"


async def stopped(command: list[str]) -> tuple[RPCPluginClient, Any]:
    """A started client whose plugin answers nothing more, and its stub."""
    client = kv_client(command)
    await client.start()
    kv = kv_stub(client)
    await kv.Put(PutRequest(key="a", value=b"1"))
    assert client.pid is not None
    stop(client.pid)
    return client, kv


async def write_and_close_in_one_group(client: RPCPluginClient, kv: Any) -> None:
    call: Any = None

    async def write() -> None:
        nonlocal call
        call = kv.Put(PutRequest(key="a", value=b"2"))
        await call

    async with asyncio.TaskGroup() as group:
        group.create_task(write())
        await until(lambda: call is not None and call.begun)
        await client.close()


@both_plugins
async def test_task_group_hears_of_a_write_whose_client_was_closed(plugin: Command) -> None:
    client, kv = await stopped(plugin())
    with pytest.raises(ExceptionGroup) as caught:
        await write_and_close_in_one_group(client, kv)
    (error,) = caught.value.exceptions
    assert isinstance(error, AioRpcError)
    assert (error.code(), error.details(), error.begun) == (UNAVAILABLE, CLOSED, True)
    # The group has cancelled the caller of close(), which goes on by itself.
    await client.close()


async def requests() -> AsyncIterator[EchoRequest]:
    yield EchoRequest(payload=b"x")
    await asyncio.Event().wait()


async def take(call: Any) -> None:
    if hasattr(call, "__await__"):
        await call
    else:
        [_ async for _ in call]


@pytest.mark.go
async def test_every_kind_of_call_ends_so_and_no_task_is_cancelled() -> None:
    client, kv = await stopped(go_kv())
    assert client.grpc_channel is not None
    calls = [
        kv.Echo(EchoRequest()),
        kv.Watch(WatchRequest(count=1, size=10)),
        client.grpc_channel.stream_unary("/proto.KV/Upload", EchoRequest.SerializeToString)(requests()),
        kv.Chat(requests()),
    ]
    tasks = [asyncio.create_task(take(call)) for call in calls]
    await until(lambda: all(call.begun for call in calls))
    await client.close()
    async with asyncio.timeout(LIMIT):
        errors: list[Any] = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(error) for error in errors] == [AioRpcError] * 4
    assert {(error.code(), error.details(), error.begun) for error in errors} == {(UNAVAILABLE, CLOSED, True)}
    assert not any(call.cancelled() for call in calls)


@pytest.mark.go
async def test_writing_stream_whose_client_is_closed() -> None:
    client, kv = await stopped(go_kv())
    chat = kv.Chat()

    async def write_without_end() -> None:
        while True:
            await chat.write(EchoRequest(payload=bytes(100_000)))

    writing = asyncio.create_task(write_without_end())
    await until(lambda: chat.begun)
    await client.close()
    async with asyncio.timeout(LIMIT):
        # As with grpc.aio: a write that waits gets the call's status, a later one is told that the call is over.
        with pytest.raises((asyncio.InvalidStateError, AioRpcError), match=r"finished|closed during the call"):
            await writing
        with pytest.raises(AioRpcError, match="closed during the call"):
            await chat.read()


@pytest.mark.go
async def test_call_that_outlasts_the_grace_of_a_close() -> None:
    client, kv = await stopped(go_kv())
    assert client.grpc_channel is not None
    call = kv.Echo(EchoRequest())
    await client.grpc_channel.close(0.05)
    with pytest.raises(AioRpcError) as caught:
        await call
    assert (caught.value.code(), caught.value.details()) == (UNAVAILABLE, CLOSED)
    await client.close()


@pytest.mark.go
async def test_blocking_channel_of_the_client_of_a_loop() -> None:
    client, _ = await stopped(go_kv())
    future: Any = KVStub(client.sync_channel).Echo.future(EchoRequest())
    await until(lambda: future.begun)
    await client.close()
    error: Any = future.exception(LIMIT)
    assert (error.code(), error.details(), error.begun) == (UNAVAILABLE, CLOSED, True)


@both_plugins
def test_blocking_client(plugin: Command) -> None:
    with contextlib.closing(sync_client(plugin())) as client:
        client.start()
        kv = KVStub(client.grpc_channel)
        kv.Echo(EchoRequest())
        assert client.pid is not None
        stop(client.pid)
        calls: list[Any] = [kv.Echo.future(EchoRequest()), kv.Watch(WatchRequest(count=1, size=10))]
        blocked = in_thread(lambda: kv.Echo(EchoRequest()))
        channel = client.sync_channel
        wait_until(lambda: channel.stats()["messages_sent"] == 4, "calls sent")
        client.close()
        errors: list[Any] = [call.exception(LIMIT) for call in calls] + [blocked.exception(LIMIT)]
        assert [(error.code(), error.details(), error.begun) for error in errors] == [(UNAVAILABLE, CLOSED, True)] * 3
