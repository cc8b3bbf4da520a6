"""RPCPluginServer inside a process: its life in test mode, where it takes over nothing of the process."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from ferrule.channel import insecure_channel
from ferrule.errors import HandshakeError, RPCPluginError, TransportError
from ferrule.server import RPCPluginServer, ServerConfig, serve
from ferrule.testing import KV_CONFIG, KVStub
from ferrule.testing.kv import KV
from ferrule.testing.kv_pb2 import EchoRequest, PutRequest
from ferrule.testing.kv_pb2_grpc import add_KVServicer_to_server
from waiting import LIMIT


def register(server: Any, broker: object) -> None:
    add_KVServicer_to_server(KV(), server)


def serving(services: Any = register, **settings: Any) -> RPCPluginServer:
    return RPCPluginServer(services, {**KV_CONFIG, **settings}, test=True)


async def put(server: RPCPluginServer) -> None:
    async with insecure_channel(f"unix:{server.address}") as channel:
        await KVStub(channel).Put(PutRequest(key="k"), timeout=LIMIT)


async def test_life() -> None:
    before = sys.stdout, sys.stderr, signal.getsignal(signal.SIGTERM)
    server = serving()
    with pytest.raises(RPCPluginError, match="not started"):
        _ = server.reattach_config
    with pytest.raises(RPCPluginError, match="not started"):
        _ = server.broker
    await server.stop()
    await server.start()
    assert (sys.stdout, sys.stderr) == before[:2]
    assert (server.transport, server.protocol_version, server.server_cert) == ("unix", 1, None)
    config = server.reattach_config
    assert (config.pid, config.test, config.address) == (os.getpid(), True, server.address)
    await put(server)
    with pytest.raises(RPCPluginError, match="called before"):
        await server.start()
    waiting = asyncio.gather(server.wait_stopping(), server.wait_stopped())
    await asyncio.gather(server.stop(), server.stop())
    await asyncio.wait_for(waiting, LIMIT)
    assert not os.path.exists(config.address)  # noqa: PTH110 - nothing is there.
    assert signal.getsignal(signal.SIGTERM) == before[2]


async def test_sigterm_ends_it() -> None:
    async with serving() as server:
        signal.raise_signal(signal.SIGTERM)
        await asyncio.wait_for(server.wait_stopped(), LIMIT)


async def test_without_an_invitation_it_does_not_start() -> None:
    server = RPCPluginServer(register, KV_CONFIG)
    with pytest.raises(HandshakeError, match=r"^\[HandshakeError\] This binary is a plugin\."):
        await server.start()
    await server.stop()


async def test_serve_inside_a_loop_names_what_is_for_it() -> None:
    with pytest.raises(RPCPluginError, match="RPCPluginServer"):
        serve(register, KV_CONFIG)


async def test_services_by_version_and_coroutines() -> None:
    chosen = []

    def by_version(version: int) -> Callable[..., Any]:
        async def register_later(server: Any, broker: object) -> None:
            await asyncio.sleep(0)
            chosen.append(version)
            register(server, broker)

        return register_later

    # Without a host the lowest version is spoken, as in Go.
    services = {7: by_version(7), 5: by_version(5)}
    async with serving(services, protocol_versions=None) as server:
        await put(server)
    assert chosen == [5]


async def test_what_registering_raises_comes_through() -> None:
    def fail(*_: Any) -> None:
        raise LookupError("no servicer")

    server = serving(fail)
    with pytest.raises(LookupError, match="no servicer"):
        await server.start()
    await asyncio.wait_for(server.wait_stopped(), LIMIT)


@pytest.mark.parametrize("action", ["add_insecure_port", "add_secure_port", "start", "stop"])
async def test_the_servers_own_business_is_refused(action: str) -> None:
    async def meddle(server: Any, _: object) -> None:
        arguments = {"add_insecure_port": ("[::]:0",), "add_secure_port": ("[::]:0", None), "stop": (None,)}
        result = getattr(server, action)(*arguments.get(action, ()))
        await result

    with pytest.raises(RPCPluginError, match="this server belongs to the plugin"):
        await serving(meddle).start()


async def test_a_path_that_is_too_long_explains_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    deep = tmp_path / ("x" * 100)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    with pytest.raises(TransportError):
        await serving().start()


@pytest.mark.parametrize(("limit", "fits"), [(1000, False), (None, True)])
async def test_size_of_requests(limit: int | None, fits: bool) -> None:
    async with serving(max_receive_bytes=limit) as server:
        async with insecure_channel(f"unix:{server.address}") as channel:
            call = KVStub(channel).Echo(EchoRequest(payload=bytes(2000), response_bytes=1), timeout=LIMIT)
            if fits:
                assert (await call).payload == b"\0"
            else:
                with pytest.raises(grpc.aio.AioRpcError) as failure:
                    await call
                assert failure.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_interceptors_and_options() -> None:
    seen = []

    class Interceptor(grpc.aio.ServerInterceptor):
        async def intercept_service(self, continuation: Any, details: Any) -> Any:
            seen.append(details.method)
            return await continuation(details)

    config = ServerConfig.of({**KV_CONFIG, "interceptors": [Interceptor()], "grpc_options": [("grpc.so_reuseport", 0)]})
    async with RPCPluginServer(register, config, test=True) as server:
        await put(server)
    assert seen == ["/kv.KV/Put"]
