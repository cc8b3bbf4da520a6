"""The plugin of the broker tests in Python, on ferrule.server: what build/go/exchange is in Go."""

from __future__ import annotations

import asyncio
import os
import stat
from collections import defaultdict
from pathlib import Path
from typing import Any

import grpc

from broker.exchange_pb2 import (
    ExchangeRequest,
    ExchangeResponse,
    FilesRequest,
    FilesResponse,
    GetRequest,
    GetResponse,
    IdentifyRequest,
    PutRequest,
    PutResponse,
    SumRequest,
)
from broker.exchange_pb2_grpc import AddHelperStub, CounterServicer, WitnessStub, add_CounterServicer_to_server
from broker.witness import LIMIT, Witness, serve_witness
from ferrule.broker import BrokerServer
from ferrule.server import GRPCBroker, serve
from peers import EXCHANGE_CONFIG


class Counter(CounterServicer):
    """Stores sums that the host adds up."""

    def __init__(self, broker: GRPCBroker) -> None:
        self._broker = broker
        self._values: defaultdict[str, int] = defaultdict(int)
        self._turn = asyncio.Lock()
        self._stopping: set[asyncio.Task[None]] = set()

    async def Put(self, request: PutRequest, context: Any) -> PutResponse:
        async with self._turn, await self._broker.dial(request.add_server) as channel:
            terms = SumRequest(a=self._values[request.key], b=request.value)
            self._values[request.key] = (await AddHelperStub(channel).Sum(terms, timeout=LIMIT)).r
        return PutResponse()

    async def Get(self, request: GetRequest, context: Any) -> GetResponse:
        if request.key not in self._values:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"nothing is stored under {request.key!r}")
        return GetResponse(value=self._values[request.key])

    async def Exchange(self, request: ExchangeRequest, context: Any) -> ExchangeResponse:
        async with await self._broker.dial(request.host_service) as channel:
            identified = await WitnessStub(channel).Identify(IdentifyRequest(), timeout=LIMIT)
        if identified.token != request.token:
            message = f"misrouted: service {request.host_service} has token {identified.token}, not {request.token}"
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, message)
        servers: list[BrokerServer] = []
        witness = Witness(request.token, released=lambda: self._stop(servers))
        number, server = await serve_witness(self._broker, witness)
        servers.append(server)
        return ExchangeResponse(plugin_service=number, token=request.token)

    async def Files(self, request: FilesRequest, context: Any) -> FilesResponse:
        names = Path(os.environ.get("PLUGIN_UNIX_SOCKET_DIR", os.devnull))
        sockets = [path for path in names.rglob("*") if stat.S_ISSOCK(path.lstat().st_mode)] if names.is_dir() else []
        # Without the one that reading the directory takes.
        return FilesResponse(descriptors=sum(1 for _ in Path("/proc/self/fd").iterdir()) - 1, sockets=len(sockets))

    def _stop(self, servers: list[BrokerServer]) -> None:
        for server in servers:
            task = asyncio.get_running_loop().create_task(server.stop(LIMIT))
            self._stopping.add(task)
            task.add_done_callback(self._stopping.discard)


def register(server: Any, broker: GRPCBroker) -> None:
    """Adds the main service."""
    add_CounterServicer_to_server(Counter(broker), server)


if __name__ == "__main__":
    serve({1: register}, EXCHANGE_CONFIG)
