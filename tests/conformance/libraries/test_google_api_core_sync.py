"""google.api_core with channels that block."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from google.api_core import exceptions, grpc_helpers

from conformance.interop import interop_pb2_grpc as generated
from conformance.libraries.conftest import Factory, Serve
from conformance.libraries.service import ONE, REFUSAL, SEVERAL, SIZES, SYNC_CALLS, answering, refusing, size
from waiting import LIMIT


class WrappedStub:
    """A stub whose methods raise the library's exceptions."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._stub = generated.TestServiceStub(channel)

    def __getattr__(self, method: str) -> Any:
        wrap: Callable[..., Any] = grpc_helpers.wrap_errors
        return wrap(getattr(self._stub, method))


@pytest.mark.parametrize("method", SYNC_CALLS)
async def test_wrapped_call(serve: Serve, connect_sync: Factory, method: str) -> None:
    call, expected = SYNC_CALLS[method]
    with connect_sync(await serve(answering)) as channel:
        assert await asyncio.to_thread(call, WrappedStub(channel)) == expected


@pytest.mark.parametrize("method", SYNC_CALLS)
async def test_wrapped_call_raises_the_librarys_exception(serve: Serve, connect_sync: Factory, method: str) -> None:
    call, _ = SYNC_CALLS[method]
    with connect_sync(await serve(refusing)) as channel:
        with pytest.raises(exceptions.NotFound, match=REFUSAL) as caught:
            await asyncio.to_thread(call, WrappedStub(channel))
    assert caught.value.grpc_status_code is grpc.StatusCode.NOT_FOUND
    assert isinstance(caught.value.response, grpc.RpcError)


async def test_wrapped_stream_is_a_call(serve: Serve, connect_sync: Factory) -> None:
    def read(stub: WrappedStub) -> list[int]:
        call = stub.StreamingOutputCall(SEVERAL, timeout=LIMIT)
        assert call.time_remaining() > 0
        sizes = [size(response) for response in call]
        assert (call.code(), call.details(), call.is_active()) == (grpc.StatusCode.OK, "", False)
        return sizes

    with connect_sync(await serve(answering)) as channel:
        assert await asyncio.to_thread(read, WrappedStub(channel)) == SIZES


async def test_deadline(serve: Serve, connect_sync: Factory) -> None:
    with connect_sync(await serve(answering)) as channel:
        with pytest.raises(exceptions.DeadlineExceeded):
            await asyncio.to_thread(WrappedStub(channel).UnaryCall, ONE, timeout=-1)
