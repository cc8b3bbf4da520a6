"""A plugin on ferrule.server whose connections end in order after a while, as with grpc-go's MaxConnectionAge.

Words: `age=MS`, `grace=MS` for the calls that a connection still has then, `broken-stdio` for a stdio service that
fails, `garbled-stdio` for one whose messages are none, and `mixed-stdio` for one whose second messages are none.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc

from ferrule.server import GRPCBroker, ServerConfig, serve
from ferrule.server.descriptors import message_class
from ferrule.testing import KV_CONFIG
from ferrule.testing.kv import KV
from ferrule.testing.kv_pb2_grpc import add_KVServicer_to_server
from integration.server_program import add_echo

SERVICE = "test.Aging"
STDIO = "/plugin.GRPCStdio/StreamStdio"


class StdioWatch(grpc.aio.ServerInterceptor):
    """Counts subscriptions to the output, and may serve something else."""

    def __init__(self, instead: Any) -> None:
        self.subscriptions: list[float] = []
        """When they came, in seconds."""
        self._instead = instead

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        if handler_call_details.method != STDIO:
            return await continuation(handler_call_details)
        self.subscriptions.append(time.monotonic())
        if self._instead is None:
            return await continuation(handler_call_details)
        return grpc.unary_stream_rpc_method_handler(self._instead)


async def garble(_request: bytes, _context: Any) -> AsyncIterator[bytes]:
    yield b"\xff"


async def mix(_request: bytes, _context: Any) -> AsyncIterator[bytes]:
    yield message_class("plugin.StdioData")(channel=1, data=b".").SerializeToString()
    yield b"\xff"


async def fail(_request: bytes, context: Any) -> None:
    await context.abort(grpc.StatusCode.INTERNAL, "recovered from a panic")


def main(words: list[str]) -> None:
    values = dict(word.partition("=")[::2] for word in words)
    services: dict[str, Any] = {"broken-stdio": fail, "garbled-stdio": garble, "mixed-stdio": mix}
    watch = StdioWatch(next((service for word, service in services.items() if word in values), None))

    def register(server: Any, broker: GRPCBroker) -> None:
        async def subscriptions(_request: bytes, _: Any) -> bytes:
            return str(len(watch.subscriptions)).encode()

        async def shortest_pause(_request: bytes, _: Any) -> bytes:
            """Between two subscriptions, in seconds."""
            return str(min(later - earlier for earlier, later in itertools.pairwise(watch.subscriptions))).encode()

        async def print_line(request: bytes, _: Any) -> bytes:
            sys.stdout.write(request.decode() + "\n")
            return b""

        async def call_back(request: bytes, _: Any) -> bytes:
            """Calls the host's `/host/Echo` under the broker id given."""
            async with await broker.dial(int(request)) as channel:
                answer: bytes = await channel.unary_unary("/host/Echo")(b"from the plugin")
            return answer

        async def offer(_request: bytes, _: Any) -> bytes:
            """Serves `/plugin/Echo` under a new broker id, which is the answer."""
            service_id = broker.next_id()
            await broker.accept_and_serve(service_id, lambda served: add_echo(served, "plugin"))
            return str(service_id).encode()

        deeds = (subscriptions, shortest_pause, print_line, call_back, offer)
        handlers: dict[str, Any] = {deed.__name__: grpc.unary_unary_rpc_method_handler(deed) for deed in deeds}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        add_KVServicer_to_server(KV(), server)

    options = {"age": "grpc.max_connection_age_ms", "grace": "grpc.max_connection_age_grace_ms"}
    given = tuple((options[word], int(value)) for word, value in values.items() if word in options)
    serve(register, ServerConfig.of({**KV_CONFIG, "grpc_options": given, "interceptors": (watch,)}))


if __name__ == "__main__":
    main(sys.argv[1:])
