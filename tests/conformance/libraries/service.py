"""A service with a method of each kind, one that refuses all of them, and one call of each kind."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NoReturn

import grpc
from grpc import aio

from conformance.interop import interop_pb2 as pb
from conformance.interop.interop_pb2_grpc import (
    TestServiceServicer,
    TestServiceStub,
    add_TestServiceServicer_to_server,
)
from conformance.interop.service import Context, InteropService

SERVICE = "grpc.testing.TestService"
SIZES = [3, 5]
REFUSAL = "nothing here"

ONE = pb.SimpleRequest(response_size=SIZES[0])
SEVERAL = pb.StreamingOutputCallRequest(response_parameters=[pb.ResponseParameters(size=size) for size in SIZES])
INPUTS = [pb.StreamingInputCallRequest(payload=pb.Payload(body=bytes(size))) for size in SIZES]
OUTPUTS = [pb.StreamingOutputCallRequest(response_parameters=[pb.ResponseParameters(size=size)]) for size in SIZES]
REQUESTS: dict[str, Any] = {
    "UnaryCall": ONE,
    "StreamingOutputCall": SEVERAL,
    "StreamingInputCall": INPUTS,
    "FullDuplexCall": OUTPUTS,
}


class Refusing(TestServiceServicer):
    """Ends every call with NOT_FOUND, after its last request: grpcio loses a status that comes while it sends."""

    async def UnaryCall(self, request: object, context: Context) -> NoReturn:
        await context.abort(grpc.StatusCode.NOT_FOUND, REFUSAL)

    async def StreamingInputCall(self, request_iterator: AsyncIterator[object], context: Context) -> NoReturn:
        async for _ in request_iterator:
            pass
        await context.abort(grpc.StatusCode.NOT_FOUND, REFUSAL)

    async def StreamingOutputCall(
        self, request: object, context: Context
    ) -> AsyncIterator[pb.StreamingOutputCallResponse]:
        await context.abort(grpc.StatusCode.NOT_FOUND, REFUSAL)
        yield pb.StreamingOutputCallResponse()

    async def FullDuplexCall(
        self, request_iterator: AsyncIterator[object], context: Context
    ) -> AsyncIterator[pb.StreamingOutputCallResponse]:
        async for _ in request_iterator:
            pass
        await context.abort(grpc.StatusCode.NOT_FOUND, REFUSAL)
        yield pb.StreamingOutputCallResponse()


def answering(server: aio.Server) -> None:
    add_TestServiceServicer_to_server(InteropService(), server)


def refusing(server: aio.Server) -> None:
    add_TestServiceServicer_to_server(Refusing(), server)


def size(response: Any) -> int:
    """Of a response's payload."""
    return len(response.payload.body)


async def call_unary_unary(stub: TestServiceStub) -> list[int]:
    return [size(await stub.UnaryCall(ONE))]


async def call_unary_stream(stub: TestServiceStub) -> list[int]:
    return [size(response) async for response in stub.StreamingOutputCall(SEVERAL)]


async def call_stream_unary(stub: TestServiceStub) -> list[int]:
    return [(await stub.StreamingInputCall(iter(INPUTS))).aggregated_payload_size]


async def call_stream_stream(stub: TestServiceStub) -> list[int]:
    return [size(response) async for response in stub.FullDuplexCall(iter(OUTPUTS))]


CALLS: dict[str, tuple[Callable[[TestServiceStub], Awaitable[list[int]]], list[int]]] = {
    "UnaryCall": (call_unary_unary, SIZES[:1]),
    "StreamingOutputCall": (call_unary_stream, SIZES),
    "StreamingInputCall": (call_stream_unary, [sum(SIZES)]),
    "FullDuplexCall": (call_stream_stream, SIZES),
}
"""For each method, a call for asyncio and what it gives."""

SYNC_CALLS: dict[str, tuple[Callable[[Any], list[int]], list[int]]] = {
    "UnaryCall": (lambda stub: [size(stub.UnaryCall(ONE))], SIZES[:1]),
    "StreamingOutputCall": (lambda stub: [size(each) for each in stub.StreamingOutputCall(SEVERAL)], SIZES),
    "StreamingInputCall": (
        lambda stub: [stub.StreamingInputCall(iter(INPUTS)).aggregated_payload_size],
        [sum(SIZES)],
    ),
    "FullDuplexCall": (lambda stub: [size(each) for each in stub.FullDuplexCall(iter(OUTPUTS))], SIZES),
}
"""The same for a channel that blocks."""
