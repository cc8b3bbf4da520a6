"""grpc_health: its servicer for asyncio, and its stub on both channels."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from grpc import aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from conformance.libraries.conftest import Factory, Serve
from waiting import LIMIT

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
WHOLE_SERVER = health_pb2.HealthCheckRequest(service="")
UNKNOWN_SERVICE = health_pb2.HealthCheckRequest(service="nobody's")


@pytest.fixture
def servicer() -> Any:
    return health.aio.HealthServicer()


@pytest.fixture
async def target(serve: Serve, servicer: Any) -> str:
    return await serve(lambda server: health_pb2_grpc.add_HealthServicer_to_server(servicer, server))


async def test_aio_check(target: str, connect: Factory) -> None:
    async with connect(target) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        assert (await stub.Check(WHOLE_SERVER, timeout=LIMIT)).status == SERVING
        with pytest.raises(aio.AioRpcError) as caught:
            await stub.Check(UNKNOWN_SERVICE)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_aio_watch_sees_every_change_until_cancelled(target: str, servicer: Any, connect: Factory) -> None:
    async with connect(target) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(WHOLE_SERVER, timeout=LIMIT)
        seen = []
        for following in (NOT_SERVING, SERVING):
            seen.append((await watch.read()).status)
            await servicer.set("", following)
        seen.append((await watch.read()).status)
        assert watch.cancel()
        assert await watch.code() is grpc.StatusCode.CANCELLED
    assert seen == [SERVING, NOT_SERVING, SERVING]


async def test_sync_check(target: str, connect_sync: Factory) -> None:
    with connect_sync(target) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        assert (await asyncio.to_thread(stub.Check, WHOLE_SERVER, timeout=LIMIT)).status == SERVING
        with pytest.raises(grpc.RpcError) as caught:
            await asyncio.to_thread(stub.Check, UNKNOWN_SERVICE, timeout=LIMIT)
    assert isinstance(caught.value, grpc.Call)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_sync_watch_sees_a_change_until_cancelled(target: str, servicer: Any, connect_sync: Factory) -> None:
    with connect_sync(target) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(WHOLE_SERVER, timeout=LIMIT)
        assert (await asyncio.to_thread(next, watch)).status == SERVING
        await servicer.set("", NOT_SERVING)
        assert (await asyncio.to_thread(next, watch)).status == NOT_SERVING
        watch.cancel()
        assert await asyncio.to_thread(watch.code) is grpc.StatusCode.CANCELLED
