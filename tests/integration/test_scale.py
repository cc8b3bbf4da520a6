"""Hundreds of plugins in one process: the number of threads does not depend on the number of plugins."""

from __future__ import annotations

import asyncio
import gc
import os
from typing import Any, NamedTuple

import pytest

from conftest import children, descriptors
from ferrule.client import RPCPluginClient
from ferrule.testing.kv_pb2 import EchoRequest, GetRequest, PutRequest
from integration.kv import kv_client, kv_stub
from integration.usage import own_threads, thread_names
from peers import go_kv

COUNT = int(os.environ.get("FERRULE_PLUGINS", "200"))
# Of the core: two pipes, the pidfd and its registration, the connections of the core and of the channel to the plugin,
# a listening socket and the channel's connection to it. Of grpcio: its end of that one.
DESCRIPTORS_PER_PLUGIN = 12
GRPC_POOL = 16
"""Threads that grpcio keeps at most on a small machine, however many channels there are."""

pytestmark = [pytest.mark.go, pytest.mark.timeout(120)]


async def use(number: int, client: RPCPluginClient) -> Any:
    kv, name = kv_stub(client), b"plugin %d" % number
    await kv.Put(PutRequest(key="name", value=name))
    answers = await asyncio.gather(*(kv.Echo(EchoRequest(payload=name)) for _ in range(5)))
    assert {answer.payload for answer in answers} == {name}
    return (await kv.Get(GetRequest(key="name"))).value


class Measured(NamedTuple):
    """While all plugins live."""

    children: int
    own_threads: int
    threads: int
    descriptors: int


async def start_use_and_stop(clients: list[RPCPluginClient]) -> Measured:
    try:
        await asyncio.gather(*(client.start() for client in clients))
        names = await asyncio.gather(*(use(number, client) for number, client in enumerate(clients)))
        assert names == [b"plugin %d" % number for number in range(len(clients))]
        measured = Measured(len(children()), own_threads(), len(thread_names()), len(descriptors()))
        await asyncio.gather(*(client.shutdown_plugin() for client in clients))
        assert {client.stop_report and client.stop_report.rung for client in clients} == {"shutdown"}
    finally:
        await asyncio.gather(*(client.close() for client in clients))
    return measured


async def test_many_plugins_live_at_once_with_a_constant_number_of_threads() -> None:
    # The first one starts the threads that every further one shares.
    one = await start_use_and_stop([kv_client(go_kv())])
    gc.collect()
    before = len(descriptors())
    clients = [kv_client(go_kv()) for _ in range(COUNT)]
    many = await start_use_and_stop(clients)
    each = (many.descriptors - before) / COUNT
    print(f"{COUNT} plugins: {many.threads} threads, {each:.1f} descriptors each")  # noqa: T201
    assert many.children == COUNT
    assert many.own_threads == one.own_threads
    assert many.threads - many.own_threads <= GRPC_POOL
    assert each <= DESCRIPTORS_PER_PLUGIN
    assert {client.exit_status for client in clients} == {0}
    del clients
    gc.collect()
    assert len(descriptors()) == before
