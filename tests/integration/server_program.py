"""A plugin on ferrule.server for its tests: the KV service, and one that does what only an async servicer can do."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator
from typing import Any

import grpc

from ferrule.errors import RPCPluginError
from ferrule.server import GRPCBroker, ReattachTarget, ServerConfig, serve
from ferrule.testing import COOKIE_KEY, COOKIE_VALUE
from ferrule.testing.kv import KV
from ferrule.testing.kv_pb2_grpc import add_KVServicer_to_server

SERVICE = "test.Deeds"


class Deeds:
    """Methods with bytes for messages."""

    pool: Any = None

    def __init__(self, broker: GRPCBroker) -> None:
        self.broker = broker

    async def print(self, request: bytes, _: Any) -> bytes:
        """Prints so many bytes on the event loop: to `sys.stdout`, `sys.stderr`, and descriptor 1."""
        size = int(request)
        sys.stdout.write("o" * size)
        sys.stderr.write("e" * size)
        os.write(1, b"d" * size)
        return b""

    async def log(self, request: bytes, _: Any) -> bytes:
        """Logs a warning."""
        logging.getLogger("deeds").warning("%s", request.decode(), extra={"asked": True})
        return b""

    async def interrupt(self, _request: bytes, _: Any) -> bytes:
        """Has the process get a SIGINT, as from a terminal."""
        os.kill(os.getpid(), signal.SIGINT)
        return b""

    async def fork(self, request: bytes, _: Any) -> bytes:
        """Forks a child and sends it a signal; how it ended, or that it runs."""
        child = multiprocessing.get_context("fork").Process(target=wait_for_the_end, daemon=True)
        child.start()
        os.kill(child.pid or 0, signal.Signals[request.decode()])
        if request == b"SIGINT":
            # It would be gone by now: the second signal comes after the first.
            os.kill(child.pid or 0, signal.SIGTERM)
        await asyncio.to_thread(child.join, 20)
        ended = child.exitcode
        child.kill()
        return b"runs" if request == b"SIGINT" and ended == -signal.SIGTERM else str(ended).encode()

    def square(self, request: bytes, _: Any) -> bytes:
        """Has a process of the pool multiply."""
        assert self.pool is not None
        return str(self.pool.apply(pow, (int(request), 2))).encode()

    async def hold(self, _request: bytes, _: Any) -> AsyncIterator[bytes]:
        """Answers once and never ends."""
        yield b"held"
        await asyncio.Event().wait()

    def block(self, _request: bytes, _: Any) -> bytes:
        """Occupies a thread for ever."""
        threading.Event().wait()
        return b""

    async def occupy(self, _request: bytes, _: Any) -> bytes:
        """Occupies the event loop for ever, and logs that."""
        logging.getLogger("deeds").info("occupied")
        threading.Event().wait()
        return b""

    async def call_back(self, request: bytes, _: Any) -> bytes:
        """Calls the host's `/host/Echo` under the broker id given, and answers what that answered."""
        async with await self.broker.dial(int(request)) as channel:
            answer: bytes = await channel.unary_unary("/host/Echo")(b"from the plugin")
        return answer

    async def reach(self, request: bytes, _: Any) -> bytes:
        """Connects to a socket as if it were the host's; answers with the error's code."""
        try:
            channel = await self.broker.dial_address("unix", request.decode())
        except RPCPluginError as error:
            return (error.code or "").encode()
        await channel.close()
        return b"reached"

    async def offer(self, _request: bytes, _: Any) -> bytes:
        """Serves `/plugin/Echo` under a new broker id, which is the answer."""
        service_id = self.broker.next_id()
        await self.broker.accept_and_serve(service_id, lambda server: add_echo(server, "plugin"))
        return str(service_id).encode()


def wait_for_the_end() -> None:
    """What a child does."""
    threading.Event().wait()


def add_echo(server: grpc.aio.Server, service: str) -> None:
    """Adds a service whose method `Echo` answers with the service's name and what it was given."""

    async def echo(request: bytes, _: Any) -> bytes:
        return f"{service}: ".encode() + request

    handler: Any = grpc.unary_unary_rpc_method_handler(echo)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Echo": handler}),))


async def register(server: Any, broker: GRPCBroker) -> None:
    deeds = Deeds(broker)
    if "pool" in sys.argv:
        deeds.pool = multiprocessing.get_context("fork").Pool(2)
    if "hang" in sys.argv:
        logging.getLogger("deeds").info("hangs")
        await asyncio.Event().wait()
    if "sleep" in sys.argv:
        logging.getLogger("deeds").info("hangs")
        threading.Event().wait()
    names = ("print", "log", "interrupt", "block", "occupy", "call_back", "reach", "offer", "fork", "square")
    handlers: dict[str, Any] = {name: grpc.unary_unary_rpc_method_handler(getattr(deeds, name)) for name in names}
    handlers["hold"] = grpc.unary_stream_rpc_method_handler(deeds.hold)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    add_KVServicer_to_server(KV(), server)
    # Neither may come before the handshake line.
    sys.stdout.write("printed while registering\n")
    os.write(1, b"written while registering\n")


def main(words: list[str]) -> None:
    """Serves.

    Words: `tcp`, `tls=DIRECTORY` (with ca.pem, server.pem, server.key), `debug`, `provider=ADDRESS`, `pool`,
    `hang` or `sleep` for a registration that never ends and lets the loop run or not, and `sigpipe` for that signal's
    default action.
    """
    values = dict(word.partition("=")[::2] for word in words)
    if "sigpipe" in values:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    directory = values.get("tls")
    tls = directory and {
        "ca": f"{directory}/ca.pem",
        "certificate": f"{directory}/server.pem",
        "key": f"{directory}/server.key",
    }
    config = ServerConfig.of(
        {
            "magic_cookie_key": COOKIE_KEY,
            "magic_cookie_value": COOKIE_VALUE,
            "network": "tcp" if "tcp" in values else "unix",
            "tls": tls,
            "max_receive_bytes": None,
            "log_level": "TRACE",
        }
    )
    target = ReattachTarget(values.get("provider")) if {"debug", "provider"} & values.keys() else None
    serve({1: register, 3: register}, config, test=target)


if __name__ == "__main__":
    main(sys.argv[1:])
