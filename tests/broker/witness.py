"""The servicers of the broker tests that both sides serve, and one exchange as a host makes it."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import Any

from broker.exchange_pb2 import (
    ExchangeRequest,
    IdentifyRequest,
    IdentifyResponse,
    ReleaseRequest,
    ReleaseResponse,
    SumRequest,
    SumResponse,
)
from broker.exchange_pb2_grpc import (
    AddHelperServicer,
    WitnessServicer,
    WitnessStub,
    add_WitnessServicer_to_server,
)
from ferrule.broker import BrokerServer, GRPCBroker

LIMIT = 30.0
"""Seconds for one call."""


class Adder(AddHelperServicer):
    """Adds, for a plugin that does not."""

    async def Sum(self, request: SumRequest, context: Any) -> SumResponse:
        return SumResponse(r=request.a + request.b)


class Witness(WitnessServicer):
    """Knows one token; `released` is called when the other side needs it no more."""

    def __init__(self, token: int, released: Callable[[], object] = lambda: None) -> None:
        self.token = token
        self._released = released

    async def Identify(self, request: IdentifyRequest, context: Any) -> IdentifyResponse:
        return IdentifyResponse(token=self.token)

    async def Release(self, request: ReleaseRequest, context: Any) -> ReleaseResponse:
        context.add_done_callback(lambda _: self._released())
        return ReleaseResponse()


async def serve_witness(broker: GRPCBroker, witness: Witness) -> tuple[int, BrokerServer]:
    """Serves a witness on an id of its own."""
    number = broker.next_id()
    register = functools.partial(add_WitnessServicer_to_server, witness)
    return number, await broker.accept_and_serve(number, register)


async def exchange(broker: GRPCBroker, counter: Any, token: int) -> None:
    """One brokered connection each way; an AssertionError or a failed call if either led to somebody else."""
    number, server = await serve_witness(broker, Witness(token))
    async with server:
        answer = await counter.Exchange(ExchangeRequest(host_service=number, token=token), timeout=LIMIT)
        async with await broker.dial(answer.plugin_service) as channel:
            witness = WitnessStub(channel)
            identified = await witness.Identify(IdentifyRequest(), timeout=LIMIT)
            assert identified.token == token
            await witness.Release(ReleaseRequest(), timeout=LIMIT)


async def exchanges(broker: GRPCBroker, counter: Any, count: int, concurrency: int) -> None:
    """So many exchanges, so many of them at a time."""
    places = asyncio.Semaphore(concurrency)

    async def one(token: int) -> None:
        async with places:
            await exchange(broker, counter, token)

    await asyncio.gather(*map(one, range(1, count + 1)))
