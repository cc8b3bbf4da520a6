"""A plugin's ordinary life: started in every combination, called in every way, ended."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from ferrule.errors import RPCPluginError
from ferrule.testing.kv_pb2 import EchoRequest, GetRequest, PutRequest, WatchRequest
from integration.kv import GO, PYTHON, both_plugins, kv_client, kv_stub, started
from integration.processes import is_running
from peers import Command, go_kv, python_kv

pytestmark = pytest.mark.timeout(60)

MIB = 1 << 20


async def check_calls(kv: Any) -> None:
    """One call of each kind, with answers that only a working plugin can give."""
    await kv.Put(PutRequest(key="colour", value=b"green"))
    assert (await kv.Get(GetRequest(key="colour"))).value == b"green"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await kv.Get(GetRequest(key="absent"))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert [len(item.payload) async for item in kv.Watch(WatchRequest(count=50, size=1000))] == [1000] * 50
    chat = kv.Chat()
    for word in (b"one", b"two"):
        await chat.write(EchoRequest(payload=word))
        assert (await chat.read()).payload == word
    await chat.done_writing()
    assert await chat.read() is grpc.aio.EOF


@both_plugins
@pytest.mark.parametrize("network", ["unix", "tcp"])
@pytest.mark.parametrize("auto_mtls", [True, False], ids=["mtls", "plain"])
async def test_calls_of_every_kind(plugin: Command, network: str, auto_mtls: bool) -> None:
    words = ["tcp"] if network == "tcp" else []
    async with started(plugin(*words), auto_mtls=auto_mtls) as (client, kv):
        assert (client.transport, client.server_cert is not None) == (network, auto_mtls)
        await check_calls(kv)
    assert client.stop_report is not None
    assert (client.stop_report.rung, client.exit_status) == ("shutdown", 0)


@both_plugins
async def test_payload_of_32_mib_both_ways(plugin: Command) -> None:
    payload = os.urandom(MIB) * 32
    async with started(plugin()) as (client, kv):
        before = client.traffic
        assert (await kv.Echo(EchoRequest(payload=payload))).payload == payload
        for after, earlier in zip(client.traffic, before, strict=True):
            assert len(payload) < after - earlier < 1.1 * len(payload)


@pytest.mark.parametrize("curve", ["P-256", "P-384", "P-521"])
@pytest.mark.go
async def test_every_curve_works_with_the_stock_plugin(curve: str) -> None:
    async with started(go_kv(), certificate_curve=curve) as (client, kv):
        assert client.client_cert is not None
        key = x509.load_pem_x509_certificate(client.client_cert.encode()).public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        assert key.curve.key_size == int(curve.removeprefix("P-"))
        await check_calls(kv)


async def test_plugin_on_grpcio_takes_p_384() -> None:
    async with started(python_kv(), certificate_curve="P-384") as (_, kv):
        await check_calls(kv)


@pytest.mark.parametrize(
    ("plugin", "subject", "curve"),
    [
        pytest.param(*GO.values, "O=HashiCorp, CN=localhost", "P-521", marks=GO.marks),
        (*PYTHON.values, "CN=localhost", "P-256"),
    ],
)
async def test_certificates_and_key_are_real_and_belong_together(plugin: Command, subject: str, curve: str) -> None:
    client = kv_client(plugin())
    async with client:
        assert client.client_cert
        assert client.client_key_pem
        assert client.server_cert
        own = x509.load_pem_x509_certificate(client.client_cert.encode())
        key = load_pem_private_key(client.client_key_pem.encode(), password=None)
        assert key.public_key() == own.public_key()
        assert client.client_key_pem not in repr(client) + repr(client.config)
        theirs = x509.load_pem_x509_certificate(client.server_cert.encode())
        facts = client.certificate_facts
        assert facts is not None
        assert (facts.subject, facts.key) == (subject, curve)
        assert facts.not_before == int(theirs.not_valid_before_utc.timestamp())
        assert facts.not_after == int(theirs.not_valid_after_utc.timestamp())


@both_plugins
async def test_attributes_tell_the_truth(plugin: Command, temporary_directory: Path) -> None:
    async with started(plugin()) as (client, kv):
        assert client.pid is not None
        assert is_running(client.pid)
        assert os.getpgid(client.pid) == client.pid
        assert (client.is_started, client.protocol_version, client.transport) == (True, 1, "unix")
        assert client.address is not None
        assert Path(client.address).is_socket()
        assert Path(client.address).is_relative_to(temporary_directory)
        assert Path(client.address).parent.stat().st_mode & 0o777 == 0o700
        assert client.target_endpoint == f"unix:{client.address}"
        assert list(client.timings) == ["launch", "handshake", "connect", "health"]
        assert all(0 < seconds < 30 for seconds in client.timings.values())
        traffic = client.traffic
        assert 0 < traffic.content_sent < traffic.wire_sent
        assert 0 < traffic.content_received < traffic.wire_received
        await kv.Put(PutRequest(key="k", value=bytes(1000)))
        assert client.bytes_sent - traffic.wire_sent >= 1000
        assert client.bytes_received > traffic.wire_received
        assert str(client.pid) in repr(client)
        assert (client.exit_status, client.stop_report) == (None, None)
    assert not is_running(client.pid)
    assert (client.is_started, client.grpc_channel, client.exit_status) == (False, None, 0)


@both_plugins
async def test_plaintext_counts_the_same_inside_and_outside(plugin: Command) -> None:
    async with started(plugin("tcp"), auto_mtls=False) as (client, kv):
        await kv.Put(PutRequest(key="k", value=b"v"))
        traffic = client.traffic
        assert traffic.wire_sent == traffic.content_sent > 0
        assert traffic.wire_received == traffic.content_received > 0
        assert (client.client_cert, client.client_key_pem, client.server_cert) == (None, None, None)
        assert client.certificate_facts is None
        host, _, port = str(client.address).rpartition(":")
        assert host == "127.0.0.1"
        assert client.config.min_port <= int(port) <= client.config.max_port
        assert client.target_endpoint == client.address


@pytest.mark.go
async def test_port_range_is_passed_on() -> None:
    async with started(go_kv("tcp"), min_port=26101, max_port=26199) as (client, _):
        assert 26101 <= int(str(client.address).rpartition(":")[2]) <= 26199


@both_plugins
@pytest.mark.parametrize("setting", ["max_receive_bytes", "max_send_bytes"])
async def test_message_limits_are_honoured(plugin: Command, setting: str) -> None:
    async with started(plugin(), **{setting: 1000}) as (_, kv):
        assert len((await kv.Echo(EchoRequest(payload=bytes(900)))).payload) == 900
        large = EchoRequest(response_bytes=2000) if setting == "max_receive_bytes" else EchoRequest(payload=bytes(2000))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await kv.Echo(large)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


@both_plugins
@pytest.mark.parametrize(("offered", "expected"), [((5,), 5), ((3, 5), 5), ((7, 3), 7), ((1, 3, 9), 3)])
async def test_highest_common_version_is_used(plugin: Command, offered: tuple[int, ...], expected: int) -> None:
    async with started(plugin("versions=3,5,7"), protocol_versions=offered) as (client, kv):
        assert client.protocol_version == expected
        await kv.Put(PutRequest(key="k"))


@both_plugins
async def test_client_may_be_started_again_after_its_end(plugin: Command) -> None:
    client = kv_client(plugin())
    seen = set()
    for _ in range(3):
        async with client:
            seen.add((client.pid, client.client_cert, client.address))
            kv = kv_stub(client)
            with pytest.raises(grpc.aio.AioRpcError):
                await kv.Get(GetRequest(key="left over"))
            await kv.Put(PutRequest(key="left over"))
        assert client.exit_status == 0
    assert len({pid for pid, _, _ in seen}) == len({certificate for _, certificate, _ in seen}) == 3


@pytest.mark.go
async def test_client_may_be_used_on_one_event_loop_after_another() -> None:
    client = kv_client(go_kv())

    async def life() -> int | None:
        async with client:
            await kv_stub(client).Put(PutRequest(key="k"))
            return client.pid

    pids = [await asyncio.to_thread(asyncio.run, life()) for _ in range(2)]
    assert len(set(pids)) == 2


@both_plugins
async def test_second_start_does_nothing(plugin: Command) -> None:
    async with started(plugin()) as (client, kv):
        pid, channel = client.pid, client.grpc_channel
        await client.start()
        assert (client.pid, client.grpc_channel) == (pid, channel)
        await kv.Put(PutRequest(key="k"))


@both_plugins
async def test_exit_of_the_context_ends_the_plugin_also_when_the_body_raised(plugin: Command) -> None:
    client = kv_client(plugin())
    with pytest.raises(KeyError, match="the body's own"):
        async with client:
            raise KeyError("the body's own")
    assert client.pid is not None
    assert not is_running(client.pid)
    assert client.stop_report is not None
    assert (client.stop_report.rung, client.exit_status) == ("shutdown", 0)


async def test_nothing_happens_before_the_first_start() -> None:
    client = kv_client(python_kv())
    await client.shutdown_plugin()
    await client.close()
    with pytest.raises(RPCPluginError, match="no plugin to wait for"):
        await client.wait_exited()
    facts = (client.pid, client.address, client.transport, client.protocol_version, client.target_endpoint)
    assert facts == (None,) * 5
    certificates = (client.client_cert, client.client_key_pem, client.server_cert, client.certificate_facts)
    assert certificates == (None,) * 4
    assert (client.stop_report, client.exit_status, client.stderr_tail, client.timings) == (None, None, (), {})
    assert (client.is_started, client.bytes_sent, client.bytes_received) == (False, 0, 0)
