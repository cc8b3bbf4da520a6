"""Plugins of the blocking client, whose calls are made on threads."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from random import Random

from ferrule.sync import RPCPluginClient
from ferrule.testing import KVStub
from ferrule.testing.kv_pb2 import EchoRequest, GetRequest, PutRequest, WatchRequest
from soak.kv_work import LIMIT, expect
from soak.member import Member

__all__ = ["BlockingKV"]


@dataclass
class BlockingKV(Member):
    """A KV plugin behind the blocking client."""

    client: RPCPluginClient = field(kw_only=True)
    _is_up: asyncio.Event = field(default_factory=asyncio.Event)

    # A thread cannot be cancelled.
    is_cancellable = False

    async def start(self) -> None:
        await asyncio.to_thread(self.client.start)
        self.pid = self.client.pid or 0
        self._is_up.set()

    async def work(self, numbers: Random) -> None:
        await self._is_up.wait()
        await asyncio.to_thread(self._calls, numbers.randbytes(1000), numbers.randrange(1, 40))

    def _calls(self, payload: bytes, count: int) -> None:
        stub = KVStub(self.client.grpc_channel)
        expect(stub.Echo(EchoRequest(payload=payload), timeout=LIMIT).payload, payload)
        stub.Put(PutRequest(key="key", value=payload), timeout=LIMIT)
        expect(stub.Get(GetRequest(key="key"), timeout=LIMIT).value, payload)
        responses = stub.Watch(WatchRequest(count=count, size=100), timeout=LIMIT)
        expect([len(response.payload) for response in responses], [100] * count)

    async def revive(self) -> None:
        self._is_up.clear()
        await asyncio.to_thread(self.client.wait_exited, LIMIT)
        await asyncio.to_thread(self.client.close)
        await self.start()

    async def renew(self, numbers: Random) -> None:
        """Stops the plugin in order, or closes its client under it."""
        self.troubles.begin()
        self._is_up.clear()
        if numbers.random() < 0.5:
            await asyncio.to_thread(self.client.shutdown_plugin)
        await asyncio.to_thread(self.client.close)
        await self.start()
        self.troubles.end()

    async def close(self) -> None:
        await asyncio.to_thread(self.client.shutdown_plugin)
        await asyncio.to_thread(self.client.close)
