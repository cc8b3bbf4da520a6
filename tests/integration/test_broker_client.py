"""The host's side of the broker against a stock Go plugin: serving, dialling, and what the end of the client ends."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from broker.exchange_pb2 import (
    ExchangeRequest,
    IdentifyRequest,
    PutRequest,
    PutResponse,
    SumRequest,
    SumResponse,
)
from broker.exchange_pb2_grpc import (
    AddHelperServicer,
    CounterStub,
    WitnessStub,
    add_AddHelperServicer_to_server,
    add_WitnessServicer_to_server,
)
from broker.witness import Witness, serve_witness
from conftest import descriptors
from ferrule._broker_common import listen
from ferrule.broker import BrokerServer
from ferrule.client import RPCPluginClient
from ferrule.errors import ConfigError, ProtocolError, RPCPluginError, SecurityError, TransportError
from integration.kv import kv_client, started
from peers import EXCHANGE_CONFIG, go_exchange, go_kv, python_kv
from waiting import until

pytestmark = [pytest.mark.timeout(60), pytest.mark.go]

ways = pytest.mark.parametrize("multiplex", [False, True], ids=["sockets", "multiplexed"])


def exchange_client(**settings: Any) -> RPCPluginClient:
    return RPCPluginClient(go_exchange(), {**EXCHANGE_CONFIG, **settings})


@contextlib.asynccontextmanager
async def exchanging(**settings: Any) -> AsyncIterator[tuple[RPCPluginClient, Any]]:
    """A started client of the Go plugin, and the stub of its main service."""
    async with exchange_client(**settings) as client:
        yield client, CounterStub(client.grpc_channel)


class Sum(AddHelperServicer):
    """Not a coroutine function, which `grpc.aio` runs in a thread."""

    def Sum(self, request: SumRequest, context: Any) -> SumResponse:  # type: ignore[override]
        return SumResponse(r=request.a + request.b)


async def test_sockets_that_are_gone_when_a_server_is_to_listen() -> None:
    server = grpc.aio.server()
    with pytest.raises(TransportError, match=r"cannot listen at unix:/nowhere/serve1") as caught:
        listen(server, "unix:/nowhere/serve1")
    assert caught.value.code == "listen.failed"
    await server.stop(None)


async def witness(client: RPCPluginClient, token: int) -> tuple[int, BrokerServer]:
    """An id of the host's under which a witness is served."""
    return await serve_witness(client.broker, Witness(token))


async def identify(channel: Any) -> int:
    return int((await WitnessStub(channel).Identify(IdentifyRequest(), timeout=10)).token)


@ways
@pytest.mark.parametrize("auto_mtls", [True, False], ids=["mtls", "plain"])
@pytest.mark.parametrize("channel", ["native", "grpcio"])
async def test_plugin_calls_back_and_serves(multiplex: bool, auto_mtls: bool, channel: str) -> None:
    async with exchanging(broker_multiplex=multiplex, auto_mtls=auto_mtls, channel=channel) as (client, counter):
        for token in (7, 8):
            number, server = await witness(client, token)
            assert (server.listener.address is None) == multiplex
            answer = await counter.Exchange(ExchangeRequest(host_service=number, token=token))
            async with await client.broker.dial(answer.plugin_service) as theirs:
                assert await identify(theirs) == token
            await server.stop()
        number, server = await witness(client, 9)
        with pytest.raises(grpc.aio.AioRpcError, match="misrouted"):
            await counter.Exchange(ExchangeRequest(host_service=number, token=10))


@ways
async def test_channel_connects_again(multiplex: bool) -> None:
    settings = {"broker_multiplex": multiplex, "grpc_options": [("grpc.client_idle_timeout_ms", 100)]}
    async with exchanging(**settings) as (client, counter):
        number, server = await witness(client, 7)
        async with server:
            answer = await counter.Exchange(ExchangeRequest(host_service=number, token=7))
            async with await client.broker.dial(answer.plugin_service) as theirs:
                for _ in range(3):
                    assert await identify(theirs) == 7
                    while (state := theirs.get_state()) is not grpc.ChannelConnectivity.IDLE:
                        await asyncio.wait_for(theirs.wait_for_state_change(state), 10)


async def test_exchanges_at_the_same_time_find_their_own_servers() -> None:
    async with exchanging() as (client, counter):

        async def exchange(token: int) -> int:
            number, server = await witness(client, token)
            async with server:
                answer = await counter.Exchange(ExchangeRequest(host_service=number, token=token))
                async with await client.broker.dial(answer.plugin_service) as theirs:
                    return await identify(theirs)

        assert await asyncio.gather(*map(exchange, range(30))) == list(range(30))


async def test_servicer_without_coroutines() -> None:
    async with exchanging() as (client, counter):
        number = client.broker.next_id()
        async with await client.broker.accept_and_serve(
            number, lambda server: add_AddHelperServicer_to_server(Sum(), server)
        ):
            assert await counter.Put(PutRequest(add_server=number, key="k", value=3)) == PutResponse()


@ways
async def test_server_of_ones_own_behind_a_listener(multiplex: bool) -> None:
    async with exchanging(broker_multiplex=multiplex) as (client, counter):
        server = grpc.aio.server()
        add_WitnessServicer_to_server(Witness(5), server)
        number = client.broker.next_id()
        async with await client.broker.accept(number) as listener:
            backend = Path(listener.target.removeprefix("unix:"))
            assert backend.parent.stat().st_mode & 0o777 == 0o700
            # The plugin is told before the server listens.
            call = counter.Exchange(ExchangeRequest(host_service=number, token=5))
            server.add_insecure_port(listener.target)
            await server.start()
            assert (await call).token == 5
            await server.stop(None)
        assert not backend.exists()
        assert listener.address is None or not Path(listener.address.removeprefix("unix:")).exists()


@ways
async def test_end_of_the_client_ends_everything(multiplex: bool) -> None:
    client = exchange_client(broker_multiplex=multiplex)
    await client.start()
    number, server = await witness(client, 1)
    counter = CounterStub(client.grpc_channel)
    answer = await counter.Exchange(ExchangeRequest(host_service=number, token=1))
    channel = await client.broker.dial(answer.plugin_service)
    listener = await client.broker.accept(client.broker.next_id())
    stopped = asyncio.create_task(server.wait_stopped())
    await asyncio.sleep(0)
    assert not stopped.done()
    await client.close()
    await asyncio.wait_for(stopped, 5)
    with pytest.raises(grpc.aio.UsageError):
        await identify(channel)
    # Closed already, which may be done again.
    await server.stop()
    await listener.close()
    with pytest.raises(RPCPluginError, match="no plugin to talk to"):
        _ = client.broker


async def test_client_started_again_has_a_new_broker() -> None:
    client = exchange_client()
    for token in (1, 2):
        async with client:
            number, _ = await witness(client, token)
            counter = CounterStub(client.grpc_channel)
            assert number == 1
            assert (await counter.Exchange(ExchangeRequest(host_service=number, token=token))).token == token


async def test_there_is_no_broker_before_the_start() -> None:
    with pytest.raises(RPCPluginError, match="no plugin to talk to"):
        _ = exchange_client().broker


@pytest.mark.parametrize("number", [-1, 2**32, "1", 1.0, None, True])
async def test_what_is_no_id_is_refused(number: Any) -> None:
    async with exchanging() as (client, _):
        for use in (client.broker.dial, client.broker.accept):
            with pytest.raises(ConfigError, match=r"service_id is .*expected a whole number from 0 to 4294967295"):
                await use(number)


@ways
async def test_id_that_nobody_serves(multiplex: bool) -> None:
    async with exchanging(broker_multiplex=multiplex) as (client, counter):
        with pytest.raises(ProtocolError, match="4000000000") as caught:
            await client.broker.dial(4_000_000_000)
        assert caught.value.code == "broker.timeout"
        number, _ = await witness(client, 3)
        assert (await counter.Exchange(ExchangeRequest(host_service=number, token=3))).token == 3


async def test_registration_that_fails_leaves_nothing_behind(temporary_directory: Path) -> None:
    def fail(server: grpc.aio.Server) -> None:
        raise KeyError("no servicer")

    async with exchanging() as (client, _):
        files, counts = set(temporary_directory.rglob("*")), []
        for _ in range(8):
            with pytest.raises(KeyError, match="no servicer"):
                await client.broker.accept_and_serve(client.broker.next_id(), fail)
            gc.collect()
            counts.append(len(descriptors()))
        assert set(temporary_directory.rglob("*")) == files
        # The first few are gRPC's own, of which it keeps some.
        assert counts[-1] == counts[3]


async def test_cancelled_operations_leave_nothing_behind(temporary_directory: Path) -> None:
    async with exchanging() as (client, counter):
        number, server = await witness(client, 3)
        assert (await counter.Exchange(ExchangeRequest(host_service=number, token=3))).token == 3
        await server.stop()
        files = sorted(temporary_directory.rglob("*"))
        for turns in range(6):
            number = client.broker.next_id()
            for begun in (witness(client, 3), client.broker.accept(number), client.broker.dial(3_000_000_000)):
                task = asyncio.ensure_future(begun)
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    served: Any = await task
                    await (served[1].stop() if isinstance(served, tuple) else served.close())
        await until(lambda: sorted(temporary_directory.rglob("*")) == files)


async def test_serving_may_be_cancelled_at_any_turn(temporary_directory: Path) -> None:
    async with exchanging() as (client, _):
        files = sorted(temporary_directory.rglob("*"))
        for turns in range(40):
            task = asyncio.ensure_future(witness(client, 3))
            # With the I/O thread's answer there, the rest are turns of the loop.
            await until(lambda: client.broker._listeners)
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await (await task)[1].stop()
        await until(lambda: sorted(temporary_directory.rglob("*")) == files)


@ways
async def test_plugin_that_dies_ends_what_waits(multiplex: bool) -> None:
    async with exchanging(broker_multiplex=multiplex) as (client, _):
        _, server = await witness(client, 1)
        dialling = asyncio.create_task(client.broker.dial(3_000_000_000))
        await asyncio.sleep(0)
        assert client.pid is not None
        os.kill(client.pid, 9)
        with pytest.raises(ProtocolError):
            await dialling
        with pytest.raises(ProtocolError) as caught:
            await client.broker.dial(3_000_000_000)
        assert caught.value.code == "broker.closed"
        await server.stop()


async def test_plugin_without_a_broker() -> None:
    async with started(python_kv()) as (client, _):
        with pytest.raises(ProtocolError) as caught:
            await client.broker.dial(1)
        assert caught.value.code in {"broker.closed", "broker.timeout"}


async def test_address_of_the_plugin_is_dialled_under_its_tls() -> None:
    async with exchanging() as (client, _):
        assert client.address is not None
        for address in (client.address, f"unix:{client.address}"):
            async with await client.open_broker_subchannel(3, address) as channel:
                number, server = await witness(client, 4)
                answer = await CounterStub(channel).Exchange(ExchangeRequest(host_service=number, token=4))
                assert answer.token == 4
                await server.stop()


async def test_address_of_a_plugin_on_tcp() -> None:
    async with started(go_kv("tcp")) as (client, _):
        assert client.address is not None
        async with await client.open_broker_subchannel(3, client.address) as channel:
            await asyncio.wait_for(channel.channel_ready(), 5)


async def test_address_at_which_nobody_answers(temporary_directory: Path) -> None:
    async with exchanging(connect_timeout=0.5) as (client, _):
        with pytest.raises(ProtocolError, match=r"service 3 was not reached.*absent"):
            await client.open_broker_subchannel(3, str(temporary_directory / "absent"))
        with pytest.raises(RPCPluginError, match="no plugin to talk to"):
            await kv_client(go_kv()).open_broker_subchannel(3, "/absent")


async def test_address_of_somebody_else_is_not_trusted() -> None:
    async with exchanging(connect_timeout=2) as (client, _), exchanging() as (other, _):
        assert other.address is not None
        with pytest.raises(SecurityError) as caught:
            await client.open_broker_subchannel(3, other.address)
        assert caught.value.code == "tls.certificate-mismatch"
