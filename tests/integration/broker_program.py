"""A plugin on ferrule.server that tries its host's broker: it serves before the host asks, and dials too often."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc

from ferrule.channel import Channel
from ferrule.server import GRPCBroker, serve
from integration.server_program import add_echo
from peers import EXCHANGE_CONFIG

SERVICE = "test.Broker"


class StreamWatch(grpc.aio.ServerInterceptor):
    """Knows when the host has opened the broker's stream."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        if handler_call_details.method == "/plugin.GRPCBroker/StartStream":
            self.opened.set()
        return await continuation(handler_call_details)


class Deeds:
    """Methods with bytes for messages."""

    def __init__(self, broker: GRPCBroker, watch: StreamWatch) -> None:
        self._broker = broker
        self._watch = watch
        self._dials: list[asyncio.Task[Channel]] = []

    async def offer(self, _request: bytes, _: Any) -> bytes:
        """Serves `/plugin/Echo`. Like a Go plugin, it does not answer before the broker's stream is open."""
        await self._watch.opened.wait()
        number = self._broker.next_id()
        await self._broker.accept_and_serve(number, lambda server: add_echo(server, "plugin"))
        return str(number).encode()

    async def crowd(self, request: bytes, _: Any) -> bytes:
        """Dials an id so often, and answers when some of the channels are connected: `id,often,some`."""
        number, often, some = map(int, request.split(b","))
        self._dials = [asyncio.create_task(self._broker.dial(number)) for _ in range(often)]
        for connected in list(asyncio.as_completed(self._dials))[:some]:
            await connected
        return b""

    async def connected(self, _request: bytes, _: Any) -> bytes:
        """How many channels are connected."""
        return str(sum(dial.done() for dial in self._dials)).encode()

    async def leave(self, _request: bytes, _: Any) -> bytes:
        """Closes the channels that are connected; answers when the others are."""
        for dial in [dial for dial in self._dials if dial.done()]:
            await (await dial).close()
        await asyncio.gather(*self._dials)
        return b""


def main() -> None:
    """Serves one host."""
    watch = StreamWatch()

    def register(server: Any, broker: GRPCBroker) -> None:
        deeds = Deeds(broker, watch)
        names = ("offer", "crowd", "connected", "leave")
        methods: dict[str, Any] = {name: grpc.unary_unary_rpc_method_handler(getattr(deeds, name)) for name in names}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))

    serve({1: register}, {**EXCHANGE_CONFIG, "interceptors": [watch]})


if __name__ == "__main__":
    main()
