"""Work for a plugin of the broker tests: connections that only the broker can make, both ways."""

from __future__ import annotations

import asyncio
import contextlib
from random import Random

from broker.exchange_pb2 import GetRequest, PutRequest
from broker.exchange_pb2_grpc import CounterStub, add_AddHelperServicer_to_server
from broker.witness import Adder, exchange
from ferrule.client import RPCPluginClient
from soak.kv_work import LIMIT, Work, expect

__all__ = ["EXCHANGE_WORK"]


async def both_ways(client: RPCPluginClient, numbers: Random) -> None:
    """A brokered connection each way."""
    await exchange(client.broker, CounterStub(client.grpc_channel), numbers.randrange(1, 1 << 40))


async def addition(client: RPCPluginClient, numbers: Random) -> None:
    """Two values that the plugin has added by its host."""
    broker, counter = client.broker, CounterStub(client.grpc_channel)
    key = str(numbers.randrange(1 << 40))
    number = broker.next_id()
    adder = await broker.accept_and_serve(number, lambda server: add_AddHelperServicer_to_server(Adder(), server))
    async with adder:
        await counter.Put(PutRequest(add_server=number, key=key, value=3), timeout=LIMIT)
    expect((await counter.Get(GetRequest(key=key), timeout=LIMIT)).value, 3)


async def cancelled_dial(client: RPCPluginClient, numbers: Random) -> None:
    """A dial of an id that nobody serves, given up; nothing where its knock would hold up others for seconds."""
    if client.config.broker_multiplex:
        return
    dial = asyncio.create_task(client.broker.dial(1_000_000 + numbers.randrange(1000)))
    await asyncio.wait([dial], timeout=numbers.uniform(0, 0.01))
    dial.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await dial


EXCHANGE_WORK: dict[Work, int] = {both_ways: 10, addition: 4, cancelled_dial: 1}
"""Pieces of work and how often they are chosen; they are given the client."""
