"""OpenTelemetry's interceptors: a span for every call, whose context reaches the server.

Those for channels that block have an interface of their own and come with their own `intercept_channel`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest
from grpc import aio
from opentelemetry import trace
from opentelemetry.instrumentation import grpc as instrumentation
from opentelemetry.instrumentation.grpc import grpcext
from opentelemetry.trace.status import StatusCode

from conformance.interop import interop_pb2_grpc as generated
from conformance.libraries.conftest import Factory, Serve
from conformance.libraries.service import CALLS, SERVICE, SYNC_CALLS, answering, refusing
from conformance.libraries.spans import RecordedSpan, RecordingTracerProvider
from waiting import wait_until

# The library is typed in part only.
aio_client_interceptors: Callable[..., Any] = instrumentation.aio_client_interceptors
client_interceptor: Callable[..., Any] = instrumentation.client_interceptor
intercept_channel: Callable[..., Any] = grpcext.intercept_channel

NOT_FOUND = grpc.StatusCode.NOT_FOUND.value[0]


class Traceparents(aio.ServerInterceptor):
    """What the server was told of the callers' spans."""

    def __init__(self) -> None:
        self.received: list[Any] = []

    async def intercept_service(
        self, continuation: Callable[..., Awaitable[Any]], handler_call_details: grpc.HandlerCallDetails
    ) -> Any:
        self.received += [value for key, value in handler_call_details.invocation_metadata if key == "traceparent"]
        return await continuation(handler_call_details)


@pytest.fixture
def provider() -> RecordingTracerProvider:
    return RecordingTracerProvider()


def the_span(provider: RecordingTracerProvider, method: str, code: int) -> RecordedSpan:
    """The only span, which must have ended and say that the method ended with the code."""
    (span,) = provider.tracer.spans
    # That of a call that blocks ends on the thread of the channel's callbacks.
    wait_until(lambda: span.ends == 1, f"the end of the span of {method}")
    assert (span.name, span.kind) == (f"/{SERVICE}/{method}", trace.SpanKind.CLIENT)
    assert span.attributes == {
        "rpc.system": "grpc",
        "rpc.service": SERVICE,
        "rpc.method": method,
        "rpc.grpc.status_code": code,
    }
    return span


@pytest.mark.parametrize("method", CALLS)
async def test_aio_span_of_a_call(
    serve: Serve, connect: Factory, provider: RecordingTracerProvider, method: str
) -> None:
    call, expected = CALLS[method]
    traceparents = Traceparents()
    target = await serve(answering, interceptors=[traceparents])
    async with connect(target, interceptors=aio_client_interceptors(provider)) as channel:
        assert await call(generated.TestServiceStub(channel)) == expected
    span = the_span(provider, method, code=0)
    assert span.status is StatusCode.UNSET
    assert traceparents.received == [span.traceparent]


@pytest.mark.parametrize("method", CALLS)
async def test_aio_span_of_a_failed_call(
    serve: Serve, connect: Factory, provider: RecordingTracerProvider, method: str
) -> None:
    call, _ = CALLS[method]
    async with connect(await serve(refusing), interceptors=aio_client_interceptors(provider)) as channel:
        with pytest.raises(aio.AioRpcError):
            await call(generated.TestServiceStub(channel))
    assert the_span(provider, method, NOT_FOUND).status is StatusCode.ERROR


@pytest.mark.parametrize("method", SYNC_CALLS)
async def test_sync_span_of_a_call(
    serve: Serve, connect_sync: Factory, provider: RecordingTracerProvider, method: str
) -> None:
    call, expected = SYNC_CALLS[method]
    traceparents = Traceparents()
    with connect_sync(await serve(answering, interceptors=[traceparents])) as channel:
        traced = intercept_channel(channel, client_interceptor(provider))
        assert await asyncio.to_thread(call, generated.TestServiceStub(traced)) == expected
        span = the_span(provider, method, code=0)
    assert span.status is StatusCode.UNSET
    assert traceparents.received == [span.traceparent]


@pytest.mark.parametrize("method", SYNC_CALLS)
async def test_sync_span_of_a_failed_call(
    serve: Serve, connect_sync: Factory, provider: RecordingTracerProvider, method: str
) -> None:
    call, _ = SYNC_CALLS[method]
    with connect_sync(await serve(refusing)) as channel:
        traced = intercept_channel(channel, client_interceptor(provider))
        with pytest.raises(grpc.RpcError):
            await asyncio.to_thread(call, generated.TestServiceStub(traced))
        assert the_span(provider, method, NOT_FOUND).status is StatusCode.ERROR
