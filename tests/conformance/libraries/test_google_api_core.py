"""google.api_core, on which Google's generated clients stand: errors of channels for asyncio."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import pytest
from google.api_core import exceptions, grpc_helpers_async
from grpc import aio

from conformance.interop import interop_pb2_grpc as generated
from conformance.libraries.conftest import Factory, Serve
from conformance.libraries.service import CALLS, OUTPUTS, REFUSAL, REQUESTS, SIZES, answering, refusing, size
from waiting import LIMIT

# The library is typed in part only.
wrap_errors: Callable[..., Any] = grpc_helpers_async.wrap_errors


async def result(wrapped: Callable[..., Any], method: str) -> list[int]:
    """Calls as Google's clients do: only a call with one request and one response is not awaited before its result."""
    call = wrapped(REQUESTS[method])
    if method == "UnaryCall":
        return [size(await call)]
    call = await call
    if method == "StreamingInputCall":
        return [(await call).aggregated_payload_size]
    return [size(response) async for response in call]


@pytest.mark.parametrize("method", CALLS)
async def test_wrapped_call(serve: Serve, connect: Factory, method: str) -> None:
    async with connect(await serve(answering)) as channel:
        wrapped = wrap_errors(getattr(generated.TestServiceStub(channel), method))
        assert await result(wrapped, method) == CALLS[method][1]


@pytest.mark.parametrize("method", CALLS)
async def test_wrapped_call_raises_the_librarys_exception(serve: Serve, connect: Factory, method: str) -> None:
    async with connect(await serve(refusing)) as channel:
        wrapped = wrap_errors(getattr(generated.TestServiceStub(channel), method))
        with pytest.raises(exceptions.NotFound, match=REFUSAL) as caught:
            await result(wrapped, method)
    assert caught.value.grpc_status_code is grpc.StatusCode.NOT_FOUND
    assert isinstance(caught.value.response, aio.AioRpcError)


async def test_wrapped_stream_is_read_and_written(serve: Serve, connect: Factory) -> None:
    async with connect(await serve(answering)) as channel:
        call = await wrap_errors(generated.TestServiceStub(channel).FullDuplexCall)(timeout=LIMIT)
        for request, expected in zip(OUTPUTS, SIZES, strict=True):
            await call.write(request)
            assert size(await call.read()) == expected
        await call.done_writing()
        assert await call.read() is aio.EOF
        assert (await call.code(), await call.details()) == (grpc.StatusCode.OK, "")
        assert call.done()
        assert not call.cancelled()
