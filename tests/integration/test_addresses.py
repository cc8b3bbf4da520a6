"""Addresses with a name, or with none, as plugins in other languages announce them and as Go's host dials them."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from grpc import aio

from ferrule import RPCPluginClient
from ferrule.channel import insecure_channel
from ferrule.errors import TransportError
from ferrule.testing import KVStub
from ferrule.testing.kv import KV
from ferrule.testing.kv_pb2 import EchoRequest
from ferrule.testing.kv_pb2_grpc import add_KVServicer_to_server
from integration.kv import kv_stub, started
from peers import kv_config, python_kv
from waiting import LIMIT


@contextlib.asynccontextmanager
async def served(host: str) -> AsyncIterator[int]:
    """The port of a stock server that speaks for a plugin."""
    server = aio.server()
    add_KVServicer_to_server(KV(), server)  # type: ignore[arg-type] # Generated for blocking servers, made for both.
    port = server.add_insecure_port(f"{host}:0")
    await server.start()
    yield port
    await server.stop(None)


def _has_ipv6() -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        return True
    return False


only_ipv6 = pytest.param("[::1]", marks=pytest.mark.skipif(not _has_ipv6(), reason="no IPv6"))


@pytest.mark.parametrize("announced", ["localhost", "LocalHost", ""])
@pytest.mark.parametrize("listening", ["127.0.0.1", only_ipv6])
async def test_name_in_the_handshake_is_dialled_on_every_address(announced: str, listening: str) -> None:
    async with served(listening) as port:
        command = python_kv(f"raw-line=1|1|tcp|{announced}:{port}|grpc")
        async with started(command, auto_mtls=False, connect_timeout=LIMIT) as (client, kv):
            assert (await kv.Echo(EchoRequest(payload=b"x"), timeout=LIMIT)).payload == b"x"
            assert client.address == f"{announced or 'localhost'}:{port}"


async def test_name_that_does_not_resolve_is_said() -> None:
    client = RPCPluginClient(python_kv("raw-line=1|1|tcp|plugin.invalid:1|grpc"), kv_config(auto_mtls=False))
    with pytest.raises(TransportError, match=r'"plugin\.invalid" cannot be resolved'):
        await client.start()


@pytest.mark.parametrize("host", ["localhost", ""])
async def test_running_plugin_is_found_by_name(host: str) -> None:
    async with started(python_kv("tcp")) as (first, _):
        config = first.reattach_config(include_secrets=True)
        port = config.address.rpartition(":")[2]
        named = dataclasses.replace(config, address=f"{host}:{port}")
        async with RPCPluginClient(reattach=named, config=kv_config()) as second:
            # Under the same certificate: a name changes nothing of whom is believed.
            assert (await kv_stub(second).Echo(EchoRequest(payload=b"x"), timeout=LIMIT)).payload == b"x"


@pytest.mark.parametrize("host", ["localhost", "", "127.0.0.1"])
async def test_address_that_a_plugin_names_in_a_call_may_be_a_name(host: str) -> None:
    async with served("127.0.0.1") as port, started(python_kv(), auto_mtls=False) as (client, _):
        channel = await client.open_broker_subchannel(sub_id=1, address=f"{host}:{port}")
        assert (await KVStub(channel).Echo(EchoRequest(payload=b"x"), timeout=LIMIT)).payload == b"x"


@pytest.mark.parametrize("address", ["nonsense", "localhost:http", "[::1", "127.0.0.1:65536"])
async def test_address_that_cannot_be_dialled_is_named(address: str) -> None:
    async with started(python_kv(), auto_mtls=False) as (client, _):
        with pytest.raises(TransportError, match=f'"{re.escape(address)}" cannot be used'):
            await client.broker.dial_address("tcp", address)


async def test_target_of_a_plugin_in_an_odd_directory(temporary_directory: Path) -> None:
    odd = temporary_directory / "a b%20#?"
    odd.mkdir(mode=0o700)
    async with started(python_kv(), auto_mtls=False, unix_socket_dir=str(odd)) as (client, _):
        target = str(client.target_endpoint)
        # Both kinds of channel, and the host itself, read it as a URI.
        for factory in (aio.insecure_channel, insecure_channel):
            async with factory(target) as channel:
                assert (await KVStub(channel).Echo(EchoRequest(payload=b"x"), timeout=LIMIT)).payload == b"x"
        again = await client.open_broker_subchannel(sub_id=1, address=target)
        assert (await KVStub(again).Echo(EchoRequest(payload=b"x"), timeout=LIMIT)).payload == b"x"
    odd.rmdir()
