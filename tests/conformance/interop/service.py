"""gRPC's interoperability test service on grpcio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

import grpc.aio

from conformance.interop import interop_pb2 as pb
from conformance.interop.interop_pb2_grpc import TestServiceServicer

ECHO_INITIAL = "x-grpc-test-echo-initial"
ECHO_TRAILING = "x-grpc-test-echo-trailing-bin"

STATUS_CODES = {code.value[0]: code for code in grpc.StatusCode}

Context = grpc.aio.ServicerContext[Any, Any]


class InteropService(TestServiceServicer):
    """Answers as the description of the interoperability tests says, except for `expect_compressed`.

    grpcio shows the flag of a received message to nobody; what arrives compressed is decompressed.
    """

    async def EmptyCall(self, request: pb.Empty, context: Context) -> pb.Empty:
        return pb.Empty()

    async def UnaryCall(self, request: pb.SimpleRequest, context: Context) -> pb.SimpleResponse:
        await _echo_metadata(context, compressed=request.response_compressed.value)
        await _echo_status(request.response_status, context)
        return pb.SimpleResponse(payload=_payload(request.response_size))

    async def StreamingInputCall(
        self, request_iterator: AsyncIterator[pb.StreamingInputCallRequest], context: Context
    ) -> pb.StreamingInputCallResponse:
        size = 0
        async for request in request_iterator:
            size += len(request.payload.body)
        return pb.StreamingInputCallResponse(aggregated_payload_size=size)

    async def StreamingOutputCall(
        self, request: pb.StreamingOutputCallRequest, context: Context
    ) -> AsyncIterator[pb.StreamingOutputCallResponse]:
        if any(parameters.compressed.value for parameters in request.response_parameters):
            context.set_compression(grpc.Compression.Gzip)
        async for response in _responses(request.response_parameters, context):
            yield response

    async def FullDuplexCall(
        self, request_iterator: AsyncIterator[pb.StreamingOutputCallRequest], context: Context
    ) -> AsyncIterator[pb.StreamingOutputCallResponse]:
        await _echo_metadata(context)
        async for request in request_iterator:
            await _echo_status(request.response_status, context)
            async for response in _responses(request.response_parameters, context):
                yield response


async def _responses(
    wanted: Iterable[pb.ResponseParameters], context: Context
) -> AsyncIterator[pb.StreamingOutputCallResponse]:
    for parameters in wanted:
        await asyncio.sleep(parameters.interval_us / 1e6)
        if not parameters.compressed.value:
            context.disable_next_message_compression()
        yield pb.StreamingOutputCallResponse(payload=_payload(parameters.size))


async def _echo_metadata(context: Context, *, compressed: bool = False) -> None:
    received = dict(context.invocation_metadata() or ())
    if ECHO_TRAILING in received:
        context.set_trailing_metadata([(ECHO_TRAILING, received[ECHO_TRAILING])])
    if compressed:
        # For a unary response grpcio heeds this only with metadata that are sent explicitly.
        context.set_compression(grpc.Compression.Gzip)
    if compressed or ECHO_INITIAL in received:
        await context.send_initial_metadata([(key, value) for key, value in received.items() if key == ECHO_INITIAL])


async def _echo_status(status: pb.EchoStatus, context: Context) -> None:
    if status.code:
        await context.abort(STATUS_CODES[status.code], status.message)


def _payload(size: int) -> pb.Payload:
    return pb.Payload(body=bytes(size))
