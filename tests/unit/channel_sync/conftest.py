"""A grpcio server on a Unix socket, and channels of both kinds to it: what holds for grpc's must hold for ours."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from ferrule.channel.sync import SyncChannel, insecure_channel
from reference import WITH_GRPCIO
from waiting import LIMIT

Factory = Callable[..., Any]


class Service(grpc.GenericRpcHandler):
    """Methods of every kind, with events that say how far a call has come."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.ended = threading.Event()
        self.released = threading.Event()
        kinds = {
            grpc.unary_unary_rpc_method_handler: (self.echo, self.fail, self.hold, self.has_ended, self.metadata),
            grpc.unary_stream_rpc_method_handler: (self.count, self.count_and_fail, self.count_and_hold),
            grpc.stream_unary_rpc_method_handler: (self.join, self.first, self.hold_unread),
            grpc.stream_stream_rpc_method_handler: (self.chat,),
        }
        self._methods: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            f"/t/{method.__name__}": make(method) for make, methods in kinds.items() for method in methods
        }

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        return self._methods.get(handler_call_details.method)

    def echo(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        context.send_initial_metadata((("first", "1"),))
        context.set_trailing_metadata((("last", "2"), ("last-bin", b"\0\xff")))
        return request

    def fail(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        context.set_trailing_metadata((("why", "because"),))
        context.abort(grpc.StatusCode.NOT_FOUND, request.decode())

    def hold(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        self._hold(context)
        return request

    def has_ended(self, _request: bytes, _context: grpc.ServicerContext) -> bytes:
        return str(self.ended.wait(LIMIT)).encode()

    def metadata(self, _request: bytes, context: grpc.ServicerContext) -> bytes:
        return repr([(key, value) for key, value in context.invocation_metadata()]).encode()

    def count(self, request: bytes, _context: grpc.ServicerContext) -> Iterator[bytes]:
        yield from (b"%d" % number for number in range(int(request)))

    def count_and_fail(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        yield from self.count(request, context)
        context.abort(grpc.StatusCode.DATA_LOSS, "enough")

    def count_and_hold(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        yield from self.count(request, context)
        self._hold(context)

    def join(self, requests: Iterator[bytes], _context: grpc.ServicerContext) -> bytes:
        return b",".join(requests)

    def first(self, requests: Iterator[bytes], _context: grpc.ServicerContext) -> bytes:
        return next(requests)

    def hold_unread(self, _requests: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
        self._hold(context)
        return b""

    def chat(self, requests: Iterator[bytes], _context: grpc.ServicerContext) -> Iterator[bytes]:
        yield from requests

    def _hold(self, context: grpc.ServicerContext) -> None:
        def end() -> None:
            self.ended.set()
            self.released.set()

        context.add_callback(end)
        self.reached.set()
        # Longer than a test waits for the end.
        self.released.wait(3 * LIMIT)


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def target(service: Service, temporary_directory: Path, no_leaks: None) -> Iterator[str]:
    """Where the server listens. It outlives the channels of the test."""
    server = grpc.server(ThreadPoolExecutor(32), handlers=[service])
    address = f"unix:{temporary_directory}/socket"
    server.add_insecure_port(address)
    server.start()
    yield address
    service.released.set()
    server.stop(None).wait(LIMIT)


@pytest.fixture(
    params=[pytest.param(grpc.insecure_channel, marks=WITH_GRPCIO), insecure_channel], ids=["grpcio", "ferrule"]
)
def factory(request: pytest.FixtureRequest) -> Factory:
    made: Factory = request.param
    return made


@pytest.fixture
def channel(factory: Factory, target: str) -> Iterator[grpc.Channel]:
    """A channel of either kind."""
    with factory(target) as made:
        yield made


@pytest.fixture
def native(target: str) -> Iterator[SyncChannel]:
    """One of ours, for what grpcio does otherwise."""
    with insecure_channel(target) as made:
        yield made
