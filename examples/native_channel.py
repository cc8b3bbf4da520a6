"""Use the native channel without any plugin: on a server of grpcio, with an interceptor, for asyncio and for threads.

Run: python examples/native_channel.py

The server runs in this process so that the example needs nothing else. In your own program only the import of the
function that makes the channel is Ferrule's; stubs, interceptors and errors are the ones that you have.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
from grpc import aio

from ferrule.channel import insecure_channel
from ferrule.channel.sync import insecure_channel as blocking_insecure_channel

SECONDS = 10  # The deadline of every call.


class Numbers(grpc.GenericRpcHandler):
    """A service without generated code: its messages are bytes."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        match handler_call_details.method:
            case "/example.Numbers/Double":
                return grpc.unary_unary_rpc_method_handler(self.double)
            case "/example.Numbers/Count":
                return grpc.unary_stream_rpc_method_handler(self.count)
        return None

    async def double(self, request: bytes, context: aio.ServicerContext[bytes, bytes]) -> bytes:
        if not request.isdigit():
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"{request!r} is not a number")
        return b"%d" % (2 * int(request))

    async def count(self, request: bytes, context: aio.ServicerContext[bytes, bytes]) -> AsyncIterator[bytes]:
        for number in range(int(request)):
            yield b"%d" % number


class Timing(aio.UnaryUnaryClientInterceptor):
    """Notes how long each call took."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        began = time.perf_counter()
        call = await continuation(client_call_details, request)
        call.add_done_callback(lambda _: self.seconds.append(time.perf_counter() - began))
        return call


async def use(target: str) -> None:
    """Calls of both kinds, one that fails, and what the channel has counted."""
    timing = Timing()
    async with insecure_channel(target, interceptors=[timing]) as channel:
        double: Any = channel.unary_unary("/example.Numbers/Double")
        count: Any = channel.unary_stream("/example.Numbers/Count")
        doubled = await asyncio.gather(*(double(b"%d" % number, timeout=SECONDS) for number in range(100)))
        counted = [int(number) async for number in count(b"1000", timeout=SECONDS)]
        print(f"{len(doubled)} calls at once, the slowest in {1000 * max(timing.seconds):.1f} ms")
        print(f"{len(counted)} messages of one stream")
        try:
            await double(b"one", timeout=SECONDS)
        except aio.AioRpcError as error:
            print(f"{error.code().name}: {error.details()}")
        stats = channel.stats()
    print(f"{stats['calls_started']} calls on {stats['connections_opened']} connection, {stats['calls_failed']} failed")


def use_blocking(target: str) -> None:
    """The same core without asyncio."""
    with blocking_insecure_channel(target) as channel:
        numbers = list(channel.unary_stream("/example.Numbers/Count")(b"3", timeout=SECONDS))
    print(f"{len(numbers)} numbers over a blocking channel")


async def main() -> None:
    server = aio.server()
    server.add_generic_rpc_handlers((Numbers(),))
    target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        await use(target)
        # Its calls would block the loop, which serves here.
        await asyncio.to_thread(use_blocking, target)
    finally:
        await server.stop(None)


if __name__ == "__main__":
    asyncio.run(main())
