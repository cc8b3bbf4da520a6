"""grpc_status: details of an error beyond its code and message."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc import aio
from grpc_status import rpc_status

from conformance.interop import interop_pb2 as pb
from conformance.interop import interop_pb2_grpc as generated
from conformance.libraries.conftest import Factory, Serve
from conformance.libraries.service import ONE, answering


def rich_status() -> Any:
    """With a detail, and with a message that has to be escaped on the way."""
    detail = any_pb2.Any()
    detail.Pack(error_details_pb2.QuotaFailure(violations=[{"subject": "project:1", "description": "too many"}]))
    return status_pb2.Status(code=code_pb2.RESOURCE_EXHAUSTED, message="enough ☺ 100%", details=[detail])


class Exhausted(generated.TestServiceServicer):
    async def UnaryCall(self, request: pb.SimpleRequest, context: aio.ServicerContext[Any, Any]) -> pb.SimpleResponse:
        await context.abort_with_status(rpc_status.to_status(rich_status()))


def exhausted(server: aio.Server) -> None:
    generated.add_TestServiceServicer_to_server(Exhausted(), server)


async def test_aio_call_has_the_rich_status(serve: Serve, connect: Factory) -> None:
    async with connect(await serve(exhausted)) as channel:
        call = generated.TestServiceStub(channel).UnaryCall(ONE)
        assert await rpc_status.aio.from_call(call) == rich_status()
        with pytest.raises(aio.AioRpcError) as caught:
            await call
    # The error has a call's accessors, without being one for asyncio.
    assert rpc_status.from_call(caught.value) == rich_status()


async def test_aio_call_without_one(serve: Serve, connect: Factory) -> None:
    async with connect(await serve(answering)) as channel:
        assert await rpc_status.aio.from_call(generated.TestServiceStub(channel).UnaryCall(ONE)) is None


async def test_sync_error_has_the_rich_status(serve: Serve, connect_sync: Factory) -> None:
    with connect_sync(await serve(exhausted)) as channel:
        with pytest.raises(grpc.RpcError) as caught:
            await asyncio.to_thread(generated.TestServiceStub(channel).UnaryCall, ONE)
    assert rpc_status.from_call(caught.value) == rich_status()


async def test_sync_future_has_the_rich_status(serve: Serve, connect_sync: Factory) -> None:
    with connect_sync(await serve(exhausted)) as channel:
        future = generated.TestServiceStub(channel).UnaryCall.future(ONE)
        assert await asyncio.to_thread(rpc_status.from_call, future) == rich_status()
