"""google.api_core's timeouts, retries and interceptors, with channels for asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest
from google.api_core import exceptions, gapic_v1, grpc_helpers_async, retry_async
from grpc import aio

from conformance.interop import interop_pb2 as pb
from conformance.interop import interop_pb2_grpc as generated
from conformance.libraries.conftest import Factory, Serve
from conformance.libraries.service import ONE, SIZES, answering, size
from waiting import LIMIT

# The library is typed in part only.
wrap_errors: Callable[..., Any] = grpc_helpers_async.wrap_errors
wrap_method: Callable[..., Any] = gapic_v1.method_async.wrap_method
apply_channel_interceptors: Callable[..., Any] | None = getattr(grpc_helpers_async, "apply_channel_interceptors", None)


class Unreliable(generated.TestServiceServicer):
    """Answers the third call; before that it is not available."""

    def __init__(self) -> None:
        self.calls = 0

    async def UnaryCall(self, request: pb.SimpleRequest, context: aio.ServicerContext[Any, Any]) -> pb.SimpleResponse:
        self.calls += 1
        if self.calls < 3:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "later")
        return pb.SimpleResponse(payload=pb.Payload(body=bytes(request.response_size)))


class Silent(generated.TestServiceServicer):
    """Never answers."""

    async def UnaryCall(self, request: object, context: object) -> pb.SimpleResponse:
        await asyncio.Event().wait()
        raise AssertionError


class Counting(aio.UnaryUnaryClientInterceptor):
    """Counts calls."""

    def __init__(self) -> None:
        self.calls = 0

    async def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: aio.ClientCallDetails, request: Any
    ) -> Any:
        self.calls += 1
        return await continuation(client_call_details, request)


async def test_timeout_is_the_deadline(serve: Serve, connect: Factory) -> None:
    target = await serve(lambda server: generated.add_TestServiceServicer_to_server(Silent(), server))
    async with connect(target) as channel:
        method = wrap_method(generated.TestServiceStub(channel).UnaryCall, default_timeout=0.05)
        with pytest.raises(exceptions.DeadlineExceeded):
            await method(ONE)


async def test_retry_until_the_server_is_available(serve: Serve, connect: Factory) -> None:
    service = Unreliable()
    retry: Callable[[Any], Callable[..., Awaitable[Any]]] = retry_async.AsyncRetry(
        retry_async.if_exception_type(exceptions.ServiceUnavailable), initial=0.001, maximum=0.001, timeout=LIMIT
    )
    target = await serve(lambda server: generated.add_TestServiceServicer_to_server(service, server))
    async with connect(target) as channel:
        stub = generated.TestServiceStub(channel)
        assert size(await retry(wrap_errors(stub.UnaryCall))(ONE)) == SIZES[0]
    assert service.calls == 3


@pytest.mark.skipif(apply_channel_interceptors is None, reason="releases that take protobuf 4.25.0 do not have it")
async def test_interceptor_applied_to_a_channel_that_exists(serve: Serve, connect: Factory) -> None:
    assert apply_channel_interceptors is not None
    interceptor = Counting()
    async with apply_channel_interceptors(connect(await serve(answering)), [interceptor]) as channel:
        assert size(await generated.TestServiceStub(channel).UnaryCall(ONE)) == SIZES[0]
    assert interceptor.calls == 1
