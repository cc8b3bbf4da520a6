"""Servicers that are not async survive peers that cancel their streams: a plugin's, and those behind both brokers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ferrule.channel import insecure_channel
from ferrule.channel.sync import insecure_channel as blocking_channel
from ferrule.testing import KVStub
from ferrule.testing.kv import KV
from ferrule.testing.kv_pb2 import PutRequest, WatchRequest
from ferrule.testing.kv_pb2_grpc import add_KVServicer_to_server
from integration.kv import started
from integration.server_process import plugin
from integration.sync_kv import sync_started
from waiting import LIMIT

pytestmark = pytest.mark.timeout(60)

STREAMS = 40
"""More than any of the servers has threads."""
ENDLESS = WatchRequest(count=1 << 30, size=1000)


def register(server: Any) -> None:
    add_KVServicer_to_server(KV(), server)


async def cancel_streams(stub: Any) -> None:
    for _ in range(STREAMS):
        stream = stub.Watch(ENDLESS)
        await asyncio.wait_for(stream.read(), LIMIT)
        stream.cancel()
    await stub.Put(PutRequest(key="k"), timeout=LIMIT)


async def test_plugin(caplog: pytest.LogCaptureFixture) -> None:
    async with started(plugin()) as (client, stub):
        await cancel_streams(stub)
        await client.shutdown_plugin()
        assert client.exit_status == 0
    # It would say so of a thread that still runs.
    assert "threads of the plugin did not end" not in caplog.text


async def test_host_on_asyncio() -> None:
    async with started(plugin()) as (client, _):
        async with await client.broker.accept_and_serve(client.broker.next_id(), register) as server:
            async with insecure_channel(server.listener.target) as channel:
                await cancel_streams(KVStub(channel))


def test_host_on_threads() -> None:
    with sync_started(plugin()) as (client, _):
        with client.broker.accept_and_serve(client.broker.next_id(), register) as server:
            with blocking_channel(server.listener.target) as channel:
                stub = KVStub(channel)
                for _ in range(STREAMS):
                    stream = stub.Watch(ENDLESS, timeout=LIMIT)
                    next(stream)
                    stream.cancel()
                stub.Put(PutRequest(key="k"), timeout=LIMIT)
