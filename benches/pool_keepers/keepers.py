"""Keepers: the plugins of several numbers, started when they are wanted. All but the first are what people write."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any, Protocol, Self

from ferrule.client import RPCPluginClient
from ferrule.pool import Limits, PluginPool, PluginSpec, PoolEvent
from ferrule.testing import KV_CONFIG, KVStub, kv_pb2

REQUEST = kv_pb2.EchoRequest(payload=b"x" * 16)


class Keeper(Protocol):
    """What is measured.

    Attributes:
        start_ms: Milliseconds of each start so far, from the moment at which it may begin until the plugin is ready.
    """

    start_ms: list[float]

    def __init__(self, plugin: str, numbers: Sequence[int]) -> None: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *exc_info: object) -> None: ...

    async def touch(self, number: int) -> None:
        """Gets a plugin and gives it back, without a call."""

    async def echo(self, number: int) -> None:
        """Gets a plugin, calls it, and gives it back."""

    def pids(self) -> list[int]:
        """The processes of the plugins."""


def settings(number: int) -> dict[str, Any]:
    """Settings of a plugin that no other number shares."""
    return {**KV_CONFIG, "env": {"FERRULE_BENCH": str(number)}}


class PoolKeeper:
    """`ferrule.pool` with its defaults."""

    def __init__(self, plugin: str, numbers: Sequence[int]) -> None:
        self.start_ms: list[float] = []
        self.specs = {number: PluginSpec([plugin], settings(number), name=str(number)) for number in numbers}
        self.pool = PluginPool(Limits(max_waiting=len(numbers) + 1))
        self._began: dict[str, float] = {}
        self._pids: set[int] = set()
        self.pool.subscribe(self._note)

    def _note(self, event: PoolEvent) -> None:
        if event.kind == "starting":
            self._began[event.plugin] = event.at
        elif event.kind == "ready" and event.pid is not None:
            self.start_ms.append((event.at - self._began.pop(event.plugin)) * 1000)
            self._pids.add(event.pid)

    async def __aenter__(self) -> Self:
        await self.pool.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.pool.__aexit__(*exc_info)

    async def touch(self, number: int) -> None:
        async with self.pool.lease(self.specs[number]):
            pass

    async def echo(self, number: int) -> None:
        async with self.pool.lease(self.specs[number]) as lease:
            await lease.stub(KVStub).Echo(REQUEST)

    def pids(self) -> list[int]:
        return sorted(self._pids)


class LockKeeper:
    """A dict of clients, and a lock for each: one start per plugin, any number of starts at once."""

    channel = "native"

    def __init__(self, plugin: str, numbers: Sequence[int]) -> None:
        self.start_ms: list[float] = []
        self._plugin = plugin
        self._locks: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._clients: dict[int, RPCPluginClient] = {}
        self._stubs: dict[int, Any] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        async def stop(client: RPCPluginClient) -> None:
            await client.shutdown_plugin()
            await client.close()

        await asyncio.gather(*map(stop, self._clients.values()))

    async def _stub(self, number: int) -> Any:
        async with self._locks[number]:
            stub = self._stubs.get(number)
            if stub is None:
                begun = time.perf_counter()
                client = RPCPluginClient([self._plugin], {**settings(number), "channel": self.channel})
                await client.start()
                self.start_ms.append((time.perf_counter() - begun) * 1000)
                self._clients[number] = client
                stub = self._stubs[number] = KVStub(client.grpc_channel)
            return stub

    async def touch(self, number: int) -> None:
        await self._stub(number)

    async def echo(self, number: int) -> None:
        stub = await self._stub(number)
        await stub.Echo(REQUEST)

    def pids(self) -> list[int]:
        return [client.pid for client in self._clients.values() if client.pid is not None]


class GrpcioKeeper(LockKeeper):
    """The dict with locks, over grpcio's channels."""

    channel = "grpcio"


class StackKeeper:
    """An AsyncExitStack that starts all plugins beforehand, one after the other: afterwards nothing but a dict."""

    def __init__(self, plugin: str, numbers: Sequence[int]) -> None:
        self.start_ms: list[float] = []
        self._plugin = plugin
        self._numbers = numbers
        self._stack = AsyncExitStack()
        self._clients: list[RPCPluginClient] = []
        self._stubs: dict[int, Any] = {}

    async def __aenter__(self) -> Self:
        for number in self._numbers:
            begun = time.perf_counter()
            client = await self._stack.enter_async_context(RPCPluginClient([self._plugin], settings(number)))
            self.start_ms.append((time.perf_counter() - begun) * 1000)
            self._clients.append(client)
            self._stubs[number] = KVStub(client.grpc_channel)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._stack.aclose()

    async def touch(self, number: int) -> None:
        self._stubs[number]

    async def echo(self, number: int) -> None:
        await self._stubs[number].Echo(REQUEST)

    def pids(self) -> list[int]:
        return [client.pid for client in self._clients if client.pid is not None]
