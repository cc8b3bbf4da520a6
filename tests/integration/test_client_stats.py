"""The numbers that a client gives of itself, before, during and after the life of its plugin."""

from __future__ import annotations

import json
import os
import signal
from typing import Any

import grpc
import pytest

from ferrule.client import ClientStats
from ferrule.testing import KVStub
from ferrule.testing.kv_pb2 import EchoRequest, GetRequest, PutRequest, WatchRequest
from integration.kv import both_plugins, kv_client, kv_stub, started
from integration.sync_kv import sync_client
from peers import Command, go_kv
from waiting import until

pytestmark = pytest.mark.timeout(60)


def counts(stats: ClientStats) -> dict[str, int]:
    """The counts of calls, messages and streams that are not 0."""
    fields = stats.to_dict()
    return {name: fields[name] for name in fields if name.startswith(("calls", "messages", "streams")) and fields[name]}


@both_plugins
@pytest.mark.parametrize("auto_mtls", [True, False], ids=["mtls", "plain"])
async def test_course_of_a_client(plugin: Command, auto_mtls: bool) -> None:
    client = kv_client(plugin(), auto_mtls=auto_mtls)
    assert client.stats() == ClientStats()
    await client.start()
    stats = client.stats()
    assert (stats.is_started, stats.pid, stats.exit_status, counts(stats)) == (True, client.pid, None, {})
    assert 0 <= (stats.age or 0.0) < 60
    assert 0 < (stats.start_seconds or 0.0) < 60
    kv = kv_stub(client)
    await kv.Put(PutRequest(key="a", value=b"1"))
    assert [_ async for _ in kv.Watch(WatchRequest(count=3, size=10))]
    with pytest.raises(grpc.aio.AioRpcError):
        await kv.Get(GetRequest(key="absent"))
    chat = kv.Chat()
    await chat.write(EchoRequest(payload=b"x"))
    await chat.read()
    sent = client.traffic.wire_sent
    stats = client.stats()
    assert counts(stats) == {
        "calls_started": 4,
        "calls_succeeded": 2,
        "calls_failed": 1,
        "calls_active": 1,
        "messages_sent": 4,
        "messages_received": 5,
        "streams_opened": 4,
    }
    assert stats.connections_opened == 1
    assert sent <= stats.wire_bytes_sent
    assert 0 < stats.content_bytes_received <= stats.wire_bytes_received
    assert (stats.content_bytes_sent < stats.wire_bytes_sent) == auto_mtls
    await client.shutdown_plugin()
    await client.close()
    # The I/O thread ends the call that was under way, and counts it.
    await until(lambda: client.stats().calls_active == 0)
    after = client.stats()
    assert (after.is_started, after.pid, after.exit_status) == (False, client.pid, 0)
    assert (after.calls_started, after.calls_failed, after.calls_active) == (4, 2, 0)
    assert client.stats() == after, "the numbers of a closed client stay"
    assert json.loads(json.dumps(after.to_dict())) == after.to_dict()
    async with client:
        assert counts(client.stats()) == {}


@pytest.mark.go
async def test_both_channels_of_a_client_count() -> None:
    async with started(go_kv()) as (client, kv):
        await kv.Echo(EchoRequest())
        KVStub(client.sync_channel).Echo.future(EchoRequest()).result(10)
        assert counts(client.stats())["calls_succeeded"] == 2
        assert client.stats().connections_opened == 2


@pytest.mark.go
async def test_with_the_channel_of_grpcio() -> None:
    async with started(go_kv(), channel="grpcio") as (client, kv):
        await kv.Echo(EchoRequest())
        stats = client.stats()
        assert (stats.is_started, counts(stats)) == (True, {})
        assert stats.wire_bytes_sent > 0


@pytest.mark.go
async def test_after_a_crash() -> None:
    async with started(go_kv()) as (client, kv):
        await kv.Echo(EchoRequest())
        assert client.pid is not None
        os.kill(client.pid, signal.SIGKILL)
        await until(lambda: client.stats().exit_status == -signal.SIGKILL)
        assert (client.stats().is_started, client.stats().calls_succeeded) == (True, 1)


@pytest.mark.go
def test_blocking_client() -> None:
    client = sync_client(go_kv())
    assert client.stats() == ClientStats()
    with client:
        kv: Any = KVStub(client.grpc_channel)
        kv.Put(PutRequest(key="a", value=b"1"))
        assert counts(client.stats()) == {
            "calls_started": 1,
            "calls_succeeded": 1,
            "messages_sent": 1,
            "messages_received": 1,
            "streams_opened": 1,
        }
        assert client.stats().is_started
    after = client.stats()
    assert (after.is_started, after.exit_status, after.calls_succeeded) == (False, 0, 1)
    assert client.stats() == after
