"""gRPC's interoperability cases, by their names there, against the servers of two implementations.

Left out are the cases that need a proxy or an identity from a cloud; their place takes `per_rpc_creds` with credentials
of the test's own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc.aio
import pytest
from grpc import StatusCode

from conformance.interop import interop_pb2 as pb
from conformance.interop.interop_pb2_grpc import UnimplementedServiceStub
from conformance.interop.links import Link, endpoints
from conformance.interop.service import ECHO_INITIAL, ECHO_TRAILING
from waiting import LIMIT

REQUEST_SIZE, RESPONSE_SIZE = 271_828, 314_159
REQUEST_SIZES, RESPONSE_SIZES = (27_182, 8, 1_828, 45_904), (31_415, 9, 2_653, 58_979)
CALLS = 1_000

Case = Callable[[Link], Awaitable[None]]


def zeros(size: int) -> pb.Payload:
    return pb.Payload(body=bytes(size))


LARGE_REQUEST = pb.SimpleRequest(response_size=RESPONSE_SIZE, payload=zeros(REQUEST_SIZE))


def duplex_request(response_size: int, request_size: int) -> pb.StreamingOutputCallRequest:
    parameters = pb.ResponseParameters(size=response_size)
    return pb.StreamingOutputCallRequest(response_parameters=[parameters], payload=zeros(request_size))


async def large_unary(link: Link) -> None:
    response = await link.stub.UnaryCall(LARGE_REQUEST)
    assert response.payload.body == bytes(RESPONSE_SIZE)


async def empty_unary(link: Link) -> None:
    assert await link.stub.EmptyCall(pb.Empty()) == pb.Empty()


async def client_streaming(link: Link) -> None:
    call = link.stub.StreamingInputCall()
    for size in REQUEST_SIZES:
        await call.write(pb.StreamingInputCallRequest(payload=zeros(size)))
    await call.done_writing()
    assert (await call).aggregated_payload_size == 74_922


async def server_streaming(link: Link) -> None:
    parameters = [pb.ResponseParameters(size=size) for size in RESPONSE_SIZES]
    call = link.stub.StreamingOutputCall(pb.StreamingOutputCallRequest(response_parameters=parameters))
    assert [response.payload.body async for response in call] == [bytes(size) for size in RESPONSE_SIZES]
    assert await call.code() is StatusCode.OK


async def ping_pong(link: Link) -> None:
    call = link.stub.FullDuplexCall()
    for response_size, request_size in zip(RESPONSE_SIZES, REQUEST_SIZES, strict=True):
        await call.write(duplex_request(response_size, request_size))
        assert (await call.read()).payload.body == bytes(response_size)
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF
    assert (await call.code(), await call.details()) == (StatusCode.OK, "")


async def empty_stream(link: Link) -> None:
    call = link.stub.FullDuplexCall()
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF
    assert await call.code() is StatusCode.OK


async def custom_metadata(link: Link) -> None:
    initial, trailing = (ECHO_INITIAL, "test_initial_metadata_value"), (ECHO_TRAILING, b"\xab\xab\xab")
    unary = link.stub.UnaryCall(LARGE_REQUEST, metadata=[initial, trailing])
    duplex = link.stub.FullDuplexCall(metadata=[initial, trailing])
    await duplex.write(duplex_request(RESPONSE_SIZE, REQUEST_SIZE))
    await duplex.done_writing()
    for call in (unary, duplex):
        assert initial in tuple(await call.initial_metadata())
        assert trailing not in tuple(await call.initial_metadata())
    assert len((await duplex.read()).payload.body) == RESPONSE_SIZE
    for call in (unary, duplex):
        assert trailing in tuple(await call.trailing_metadata())
        assert initial not in tuple(await call.trailing_metadata())
        assert await call.code() is StatusCode.OK


async def ends_with_status(call: Any, message: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await (call if isinstance(call, grpc.aio.UnaryUnaryCall) else call.read())
    assert (raised.value.code(), raised.value.details()) == (StatusCode.UNKNOWN, message)
    assert (await call.code(), await call.details()) == (StatusCode.UNKNOWN, message)


async def status_code_and_message(link: Link) -> None:
    status = pb.EchoStatus(code=2, message="test status message")
    await ends_with_status(link.stub.UnaryCall(pb.SimpleRequest(response_status=status)), status.message)
    duplex = link.stub.FullDuplexCall()
    await duplex.write(pb.StreamingOutputCallRequest(response_status=status))
    await duplex.done_writing()
    await ends_with_status(duplex, status.message)


async def special_status_message(link: Link) -> None:
    message = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"
    request = pb.SimpleRequest(response_status=pb.EchoStatus(code=2, message=message))
    await ends_with_status(link.stub.UnaryCall(request), message)


async def unimplemented_method(link: Link) -> None:
    call = link.stub.UnimplementedCall(pb.Empty())
    assert await call.code() is StatusCode.UNIMPLEMENTED


async def unimplemented_service(link: Link) -> None:
    call = UnimplementedServiceStub(link.channel).UnimplementedCall(pb.Empty())
    assert await call.code() is StatusCode.UNIMPLEMENTED


async def cancel_after_begin(link: Link) -> None:
    call = link.stub.StreamingInputCall()
    assert call.cancel()
    assert call.cancelled()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert await call.code() is StatusCode.CANCELLED


async def cancel_after_first_response(link: Link) -> None:
    call = link.stub.FullDuplexCall()
    await call.write(duplex_request(RESPONSE_SIZES[0], REQUEST_SIZES[0]))
    assert len((await call.read()).payload.body) == RESPONSE_SIZES[0]
    assert call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call.read()
    assert await call.code() is StatusCode.CANCELLED


async def concurrent_large_unary(link: Link) -> None:
    await asyncio.gather(*(large_unary(link) for _ in range(CALLS)))


CASES: tuple[Case, ...] = (
    empty_unary,
    large_unary,
    client_streaming,
    server_streaming,
    ping_pong,
    empty_stream,
    custom_metadata,
    status_code_and_message,
    special_status_message,
    unimplemented_method,
    unimplemented_service,
    cancel_after_begin,
    cancel_after_first_response,
    concurrent_large_unary,
)


@endpoints()
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
async def test_case(case: Case, link: Link) -> None:
    async with asyncio.timeout(LIMIT):
        await case(link)


@endpoints(lambda peer: peer.library == "ferrule")
async def test_timeout_on_sleeping_server(link: Link) -> None:
    await link.stub.EmptyCall(pb.Empty())  # Connected, so that the deadline passes while the server sleeps.
    parameters = pb.ResponseParameters(size=RESPONSE_SIZES[0], interval_us=2_000_000)
    request = pb.StreamingOutputCallRequest(response_parameters=[parameters], payload=zeros(REQUEST_SIZES[0]))
    call = link.stub.FullDuplexCall([request], timeout=0.001)
    # A server that notices the deadline first resets the stream, which grpcio reports as CANCELLED.
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await asyncio.wait_for(call.read(), LIMIT)
    assert raised.value.code() is StatusCode.DEADLINE_EXCEEDED


class EchoedCredentials(grpc.AuthMetadataPlugin):
    """Credentials that the server sends back."""

    def __call__(self, context: grpc.AuthMetadataContext, callback: grpc.AuthMetadataPluginCallback) -> None:
        callback(((ECHO_INITIAL, context.method_name),), None)


@endpoints(lambda peer: peer.transport == "automtls" and peer.library == "ferrule")
async def test_per_rpc_creds(link: Link) -> None:
    credentials = grpc.metadata_call_credentials(EchoedCredentials())
    call = link.stub.UnaryCall(pb.SimpleRequest(), credentials=credentials)
    assert (ECHO_INITIAL, "UnaryCall") in tuple(await call.initial_metadata())
    assert await call == pb.SimpleResponse(payload=pb.Payload())
