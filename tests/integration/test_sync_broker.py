"""The broker of the blocking client against a stock Go plugin: both directions, many threads, and nothing left."""

from __future__ import annotations

import contextlib
import functools
import gc
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from broker.exchange_pb2 import (
    ExchangeRequest,
    GetRequest,
    IdentifyRequest,
    IdentifyResponse,
    PutRequest,
    SumRequest,
    SumResponse,
)
from broker.exchange_pb2_grpc import (
    AddHelperServicer,
    CounterStub,
    WitnessServicer,
    WitnessStub,
    add_AddHelperServicer_to_server,
    add_WitnessServicer_to_server,
)
from conftest import descriptors
from ferrule.errors import ConfigError, ProtocolError, RPCPluginError
from ferrule.sync import BrokerServer, RPCPluginClient
from integration.sync_kv import in_thread
from peers import EXCHANGE_CONFIG, go_exchange
from waiting import wait_until

pytestmark = [pytest.mark.timeout(60), pytest.mark.go]

LIMIT = 10.0

ways = pytest.mark.parametrize("multiplex", [False, True], ids=["sockets", "multiplexed"])


@contextlib.contextmanager
def exchanging(**settings: Any) -> Iterator[tuple[RPCPluginClient, Any]]:
    """A started client of the Go plugin, and the stub of its main service."""
    with RPCPluginClient(go_exchange(), {**EXCHANGE_CONFIG, **settings}) as client:
        yield client, CounterStub(client.grpc_channel)


class Witness(WitnessServicer):
    """Knows one token."""

    def __init__(self, token: int) -> None:
        self.token = token

    def Identify(self, request: IdentifyRequest, context: Any) -> IdentifyResponse:  # type: ignore[override] # Typed for asyncio alone.
        return IdentifyResponse(token=self.token)


def witness(client: RPCPluginClient, token: int) -> tuple[int, BrokerServer]:
    """An id of the host's under which a witness is served."""
    number = client.broker.next_id()
    register = functools.partial(add_WitnessServicer_to_server, Witness(token))
    return number, client.broker.accept_and_serve(number, register)


def exchange(client: RPCPluginClient, counter: Any, token: int) -> int:
    """One brokered connection each way; the token that the plugin's witness knows."""
    number, server = witness(client, token)
    with server:
        answer = counter.Exchange(ExchangeRequest(host_service=number, token=token), timeout=LIMIT)
        with client.broker.dial(answer.plugin_service) as theirs:
            return int(WitnessStub(theirs).Identify(IdentifyRequest(), timeout=LIMIT).token)


def broker_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("ferrule-broker")]


@ways
@pytest.mark.parametrize("auto_mtls", [True, False], ids=["mtls", "plain"])
def test_plugin_calls_back_and_serves(multiplex: bool, auto_mtls: bool) -> None:
    with exchanging(broker_multiplex=multiplex, auto_mtls=auto_mtls) as (client, counter):
        assert [exchange(client, counter, token) for token in (7, 8)] == [7, 8]
        number, server = witness(client, 9)
        assert (server.listener.address is None) == multiplex
        with pytest.raises(grpc.RpcError, match="misrouted"):
            counter.Exchange(ExchangeRequest(host_service=number, token=10), timeout=LIMIT)


@ways
def test_exchanges_of_many_threads_find_their_own_servers(multiplex: bool) -> None:
    with exchanging(broker_multiplex=multiplex) as (client, counter), ThreadPoolExecutor(8) as threads:
        found = threads.map(functools.partial(exchange, client, counter), range(32))
        assert list(found) == list(range(32))
        wait_until(lambda: not broker_threads(), "the servers' threads ended")


def test_plugin_asks_the_host_inside_a_call() -> None:
    class Sum(AddHelperServicer):
        def Sum(self, request: SumRequest, context: Any) -> SumResponse:  # type: ignore[override] # As above.
            return SumResponse(r=request.a + request.b)

    with exchanging() as (client, counter):
        for _ in range(2):
            number = client.broker.next_id()
            with client.broker.accept_and_serve(number, functools.partial(add_AddHelperServicer_to_server, Sum())):
                counter.Put(PutRequest(add_server=number, key="k", value=21), timeout=LIMIT)
        assert counter.Get(GetRequest(key="k"), timeout=LIMIT).value == 42


def test_what_fails_says_so() -> None:
    def refuse(_: grpc.Server) -> None:
        raise KeyError("mine")

    with exchanging(connect_timeout=0.5) as (client, _):
        with pytest.raises(ConfigError, match="service_id"):
            client.broker.dial(-1)
        with pytest.raises(KeyError, match="mine"):
            client.broker.accept_and_serve(client.broker.next_id(), refuse)
        with pytest.raises(ProtocolError, match="brokered service 5 was not reached"):
            client.open_broker_subchannel(5, "unix:/nowhere/socket")
        broker = client.broker
    with pytest.raises(ProtocolError):
        broker.dial(1)
    with pytest.raises(RPCPluginError, match="no plugin to talk to"):
        client.broker.next_id()


def test_seed_name_for_dialling_an_address_connects() -> None:
    with exchanging() as (client, _):
        # The plugin's main socket is an address like any other.
        with client.open_broker_subchannel(0, str(client.target_endpoint)) as again:
            with pytest.raises(grpc.RpcError) as caught:
                CounterStub(again).Get(GetRequest(key="none"), timeout=LIMIT)
            assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_waiting_for_the_end_of_a_server() -> None:
    with exchanging() as (client, _):
        _, server = witness(client, 1)
        assert not server.wait_stopped(0.01)
        waiting = in_thread(server.wait_stopped)
        server.stop()
        assert waiting.result(LIMIT)
        server.stop()


@ways
def test_close_of_the_client_ends_everything_and_leaves_nothing(multiplex: bool, temporary_directory: Path) -> None:
    def live() -> None:
        with exchanging(broker_multiplex=multiplex) as (client, counter):
            number, _ = witness(client, 1)
            answer = counter.Exchange(ExchangeRequest(host_service=number, token=1), timeout=LIMIT)
            channel = client.broker.dial(answer.plugin_service)
            client.broker.accept(client.broker.next_id())
        with pytest.raises((grpc.RpcError, ValueError)):
            WitnessStub(channel).Identify(IdentifyRequest(), timeout=LIMIT)

    live()
    gc.collect()
    before = len(descriptors())
    for _ in range(5):
        live()
    wait_until(lambda: not broker_threads(), "the servers' threads ended")
    wait_until(lambda: gc.collect() >= 0 and len(descriptors()) <= before, f"{before} descriptors as before")
    assert list(temporary_directory.iterdir()) == []


def test_ids_that_are_served_are_not_given_out() -> None:
    """Some families have fixed ids beside those of the broker."""
    with exchanging() as (client, _):
        broker = client.broker
        fixed = [broker.accept_and_serve(number, lambda _server: None) for number in (1, 2, 4)]
        given = [broker.next_id(), broker.next_id()]
        assert given == [3, 5]
        with broker.accept_and_serve(given[0], lambda _server: None):
            pass
        # Free again, but never given out twice.
        fixed[0].stop()
        assert broker.next_id() == 6
