"""A server on asyncio with one method of an application, whose threads are watched."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from ferrule._threaded_servicers import ThreadedServicers
from ferrule.channel import insecure_channel
from waiting import LIMIT

THREADS = 2
MAKERS: dict[str, Any] = {
    "unary_unary": grpc.unary_unary_rpc_method_handler,
    "unary_stream": grpc.unary_stream_rpc_method_handler,
    "stream_unary": grpc.stream_unary_rpc_method_handler,
    "stream_stream": grpc.stream_stream_rpc_method_handler,
}


@contextlib.asynccontextmanager
async def serving(
    directory: Path, kind: str, method: Callable[..., Any], *interceptors: Any
) -> AsyncIterator[tuple[Any, Any]]:
    """A channel to a server with one method of some kind and another, `ask`, that answers; and that method's stub."""
    threads = ThreadPoolExecutor(THREADS)
    methods = {"method": MAKERS[kind](method), "ask": MAKERS["unary_unary"](lambda request, _: request)}
    handlers = [grpc.method_handlers_generic_handler("test", methods)]
    server = grpc.aio.server(threads, handlers=handlers, interceptors=[ThreadedServicers(threads), *interceptors])
    target = f"unix:{directory}/server"
    server.add_insecure_port(target)
    await server.start()
    try:
        async with insecure_channel(target) as channel:
            yield channel, getattr(channel, kind)("/test/method")
    finally:
        await server.stop(0)
        # Not on the loop, which tells the threads of the end of their calls.
        await asyncio.to_thread(threads.shutdown)


async def asked(channel: Any) -> bytes:
    answer: bytes = await channel.unary_unary("/test/ask")(b"still there", timeout=LIMIT)
    return answer


def respond(act: Callable[[Any], object], streams: bool) -> Callable[..., Any]:
    """A method that does something with its context, and answers once."""

    def unary(_: Any, context: Any) -> bytes:
        act(context)
        return b"answer"

    def stream(_: Any, context: Any) -> Iterator[bytes]:
        act(context)
        yield b"answer"

    return stream if streams else unary
