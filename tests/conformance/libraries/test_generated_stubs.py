"""Stubs as grpcio-tools generates them."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from grpc import aio

from conformance.interop import interop_pb2_grpc as generated
from conformance.libraries.conftest import Factory, Serve
from conformance.libraries.service import CALLS, REFUSAL, SYNC_CALLS, answering, refusing


@pytest.mark.parametrize("method", CALLS)
async def test_aio_stub_calls_methods_of_every_kind(serve: Serve, connect: Factory, method: str) -> None:
    call, expected = CALLS[method]
    async with connect(await serve(answering)) as channel:
        assert await call(generated.TestServiceStub(channel)) == expected


@pytest.mark.parametrize("method", CALLS)
async def test_aio_stub_raises_what_the_server_refuses_with(serve: Serve, connect: Factory, method: str) -> None:
    call, _ = CALLS[method]
    async with connect(await serve(refusing)) as channel:
        with pytest.raises(aio.AioRpcError) as caught:
            await call(generated.TestServiceStub(channel))
    assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.NOT_FOUND, REFUSAL)


@pytest.mark.parametrize("method", SYNC_CALLS)
async def test_sync_stub_calls_methods_of_every_kind(serve: Serve, connect_sync: Factory, method: str) -> None:
    call, expected = SYNC_CALLS[method]
    with connect_sync(await serve(answering)) as channel:
        assert await asyncio.to_thread(call, generated.TestServiceStub(channel)) == expected


@pytest.mark.parametrize("method", SYNC_CALLS)
async def test_sync_stub_raises_what_the_server_refuses_with(serve: Serve, connect_sync: Factory, method: str) -> None:
    call, _ = SYNC_CALLS[method]
    with connect_sync(await serve(refusing)) as channel:
        with pytest.raises(grpc.RpcError) as caught:
            await asyncio.to_thread(call, generated.TestServiceStub(channel))
    error = caught.value
    assert isinstance(error, grpc.Call)
    assert (error.code(), error.details()) == (grpc.StatusCode.NOT_FOUND, REFUSAL)
