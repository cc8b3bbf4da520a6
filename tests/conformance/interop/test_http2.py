"""gRPC's negative HTTP/2 interoperability cases: servers that do what HTTP/2 allows and few clients expect."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import grpc.aio
import pytest
from grpc import StatusCode
from h2.settings import SettingCodes

from conformance.interop import interop_pb2 as pb
from conformance.interop import interop_pb2_grpc as rpc
from conformance.interop.http2_server import Connection, Http2Server, Script, framed
from conformance.interop.links import LIBRARIES
from waiting import LIMIT

REQUEST = pb.SimpleRequest(response_size=314_159, payload=pb.Payload(body=bytes(271_828)))
RESPONSE = pb.SimpleResponse(payload=pb.Payload(body=bytes(314_159)))
BODY = framed(RESPONSE.SerializeToString())

Serve = Callable[..., contextlib.AbstractAsyncContextManager[tuple[rpc.TestServiceStub, Http2Server]]]


@pytest.fixture(params=LIBRARIES)
def serve(request: pytest.FixtureRequest, temporary_directory: Path) -> Serve:
    """Starts a scripted server, and a channel to it."""

    @contextlib.asynccontextmanager
    async def start(
        script: Script, settings: dict[SettingCodes, int] | None = None
    ) -> AsyncIterator[tuple[rpc.TestServiceStub, Http2Server]]:
        path = temporary_directory / "http2.sock"
        async with asyncio.timeout(LIMIT), Http2Server.serving(path, script, settings) as server:
            async with LIBRARIES[request.param](f"unix:{path}") as channel:
                yield rpc.TestServiceStub(channel), server

    return start


def answer(connection: Connection, stream: int) -> None:
    connection.headers(stream)
    connection.data(stream, BODY)
    connection.trailers(stream)


def go_away_and_answer(connection: Connection, stream: int) -> None:
    connection.go_away(stream)
    answer(connection, stream)


async def test_goaway(serve: Serve) -> None:
    async with serve(go_away_and_answer) as (stub, server):
        assert await stub.UnaryCall(REQUEST) == RESPONSE
        assert await stub.UnaryCall(REQUEST) == RESPONSE
    assert server.connections == [[1], [1]]


async def test_goaway_over_requests_of_a_stream(serve: Serve) -> None:
    turned_away: list[int] = []

    def turn_away_once(connection: Connection, stream: int) -> None:
        if turned_away:
            answer(connection, stream)
        else:
            turned_away.append(stream)
            connection.go_away(0)

    requests = [pb.StreamingOutputCallRequest(payload=pb.Payload(body=b"x" * size)) for size in (1, 0, 70_000)]
    async with serve(turn_away_once) as (stub, server):
        assert [answer.payload async for answer in stub.FullDuplexCall(iter(requests))] == [RESPONSE.payload]
    assert server.connections == [[1], [1]]
    assert server.bodies == [b"".join(framed(request.SerializeToString()) for request in requests)] * 2


# As with grpcio, but for a moment in which that has read headers and not yet seen them.
@pytest.mark.parametrize("serve", ["ferrule"], indirect=True)
@pytest.mark.parametrize("body", [b"", BODY], ids=["headers", "message"])
@pytest.mark.parametrize("kind", ["unary", "stream"])
async def test_goaway_below_an_answer_that_has_begun(serve: Serve, kind: str, body: bytes) -> None:
    def begin_and_go_away(connection: Connection, stream: int) -> None:
        connection.headers(stream)
        connection.data(stream, body)
        # Acknowledged by a client that has read what came before.
        connection.ping().add_done_callback(lambda _: connection.go_away(0))

    async with serve(begin_and_go_away) as (stub, server):
        call = stub.UnaryCall(REQUEST) if kind == "unary" else stub.StreamingOutputCall(pb.StreamingOutputCallRequest())
        assert await call.code() is StatusCode.UNAVAILABLE
    assert server.connections == [[1]]


def reset_after_header(connection: Connection, stream: int) -> None:
    connection.headers(stream)
    connection.reset(stream)


def reset_during_data(connection: Connection, stream: int) -> None:
    connection.headers(stream)
    connection.data(stream, BODY[: len(BODY) // 2])
    connection.reset(stream)


def reset_after_data(connection: Connection, stream: int) -> None:
    connection.headers(stream)
    connection.data(stream, BODY)
    connection.reset(stream)


@pytest.mark.parametrize("script", [reset_after_header, reset_during_data, reset_after_data])
async def test_rst(serve: Serve, script: Script) -> None:
    async with serve(script) as (stub, server):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await stub.UnaryCall(REQUEST)
        assert raised.value.code() is StatusCode.INTERNAL
    assert server.connections == [[1]]


def ping_around_frames(connection: Connection, stream: int) -> None:
    connection.ping()
    connection.headers(stream)
    connection.ping()
    connection.data(stream, BODY)
    connection.ping()
    connection.trailers(stream)
    connection.ping()


async def test_ping(serve: Serve) -> None:
    async with serve(ping_around_frames) as (stub, server):
        assert await stub.UnaryCall(REQUEST) == RESPONSE
        assert len(server.pings) == 4
        await server.all_acknowledged()


def answer_one_round_trip_later(connection: Connection, stream: int) -> None:
    # A client that does not wait for the end of this stream has opened another one by then.
    connection.ping().add_done_callback(lambda _: answer(connection, stream))


async def test_max_streams(serve: Serve) -> None:
    settings = {SettingCodes.MAX_CONCURRENT_STREAMS: 1}
    async with serve(answer_one_round_trip_later, settings) as (stub, server):
        # The setting binds a client that has seen it.
        assert await stub.UnaryCall(REQUEST) == RESPONSE
        responses = await asyncio.gather(*(stub.UnaryCall(REQUEST) for _ in range(10)))
    assert responses == [RESPONSE] * 10
    assert [len(streams) for streams in server.connections] == [11]
