"""A grpcio server in the test's own process, and channels to it: Ferrule's, and grpcio's where both do the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from grpc import aio

from ferrule import channel as ferrule_channel
from reference import WITH_GRPCIO
from waiting import LIMIT


class Peer(grpc.GenericRpcHandler):
    """Services whose methods take and return bytes, and what they have noticed."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.server = aio.server()
        self.server.add_generic_rpc_handlers((self,))
        self.server.add_insecure_port(target)
        self.started = asyncio.Event()
        """A method that waits has begun."""
        self.cancelled = asyncio.Event()
        """A method was stopped since its client was gone."""
        self.answered = asyncio.Event()
        """A method has given its last response."""
        self.release = asyncio.Event()
        """Lets methods that wait go on."""
        self.received: list[bytes] = []

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """The handler: a method's name begins with its kind."""
        name = handler_call_details.method.rpartition("/")[2]
        kinds: dict[str, Any] = {
            "uu": grpc.unary_unary_rpc_method_handler,
            "us": grpc.unary_stream_rpc_method_handler,
            "su": grpc.stream_unary_rpc_method_handler,
            "ss": grpc.stream_stream_rpc_method_handler,
        }
        behaviour = getattr(self, name, None)
        return None if behaviour is None else kinds[name[:2]](behaviour)

    async def uu_echo(self, request: bytes, context: Any) -> bytes:
        return request

    async def uu_metadata(self, request: bytes, context: Any) -> bytes:
        await context.send_initial_metadata((("initial", "one"), ("initial", "two")))
        context.set_trailing_metadata((("trailing-bin", b"\x00\xff"),))
        return repr([tuple(pair) for pair in context.invocation_metadata() if pair[0].startswith("x-")]).encode()

    async def uu_fail(self, request: bytes, context: Any) -> bytes:
        await context.send_initial_metadata((("initial", "one"),))
        await context.abort(grpc.StatusCode.NOT_FOUND, "nothing here", (("trailing", "two"),))
        raise AssertionError

    async def uu_cancelled(self, request: bytes, context: Any) -> bytes:
        await context.abort(grpc.StatusCode.CANCELLED, "by the server")
        raise AssertionError

    async def uu_wait(self, request: bytes, context: Any) -> bytes:
        await self._wait()
        return request

    async def us_count(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        for number in range(int(request)):
            yield b"%d" % number

    async def us_count_and_fail(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        for number in range(int(request)):
            yield b"%d" % number
        await context.abort(grpc.StatusCode.NOT_FOUND, "nothing more")

    async def us_one_and_wait(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield b"one"
        await self._wait()
        yield b"two"

    async def su_join(self, requests: AsyncIterator[bytes], context: Any) -> bytes:
        async for request in requests:
            self.received.append(request)
        return b"".join(self.received)

    async def su_early(self, requests: AsyncIterator[bytes], context: Any) -> bytes:
        return b"early"

    async def su_fail(self, requests: AsyncIterator[bytes], context: Any) -> bytes:
        await context.abort(grpc.StatusCode.NOT_FOUND, "nothing here")
        raise AssertionError

    async def su_wait(self, requests: AsyncIterator[bytes], context: Any) -> bytes:
        await self._wait()
        return b""

    async def ss_echo(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        async for request in requests:
            self.received.append(request)
            yield request

    async def ss_fail(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        await context.abort(grpc.StatusCode.NOT_FOUND, "nothing here")
        yield b""

    async def ss_one_and_wait(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        yield b"one"
        await self._wait()

    async def ss_two(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        yield b"one"
        await self._wait()
        yield b"two"
        self.answered.set()

    async def _wait(self) -> None:
        self.started.set()
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


@pytest_asyncio.fixture
async def peer(temporary_directory: Path) -> AsyncIterator[Peer]:
    peer = Peer(f"unix:{temporary_directory}/peer")
    await peer.server.start()
    yield peer
    peer.release.set()
    await peer.server.stop(None)


Factory = Callable[..., aio.Channel]


@pytest.fixture(params=["ferrule", pytest.param("grpcio", marks=WITH_GRPCIO)])
def factory(request: pytest.FixtureRequest) -> Factory:
    """For behaviour that is grpcio's as well: running it there shows that the test is right."""
    made: Factory = ferrule_channel.insecure_channel if request.param == "ferrule" else aio.insecure_channel
    return made


@pytest_asyncio.fixture
async def channel(peer: Peer, factory: Factory) -> AsyncIterator[aio.Channel]:
    async with factory(peer.target) as channel:
        yield channel


@pytest_asyncio.fixture
async def own(peer: Peer) -> AsyncIterator[ferrule_channel.Channel]:
    """Ferrule's channel, where it differs from grpcio's."""
    async with ferrule_channel.insecure_channel(peer.target) as channel:
        yield channel


@pytest.fixture
def within() -> Callable[[Awaitable[Any]], Awaitable[Any]]:
    """Waits with a limit, for what should happen by itself."""
    return lambda awaitable: asyncio.wait_for(awaitable, LIMIT)
