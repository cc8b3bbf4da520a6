"""Those who are neither the host nor its plugin: refused and logged, whichever side they knock at."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from broker.exchange_pb2 import ExchangeRequest, IdentifyRequest
from broker.exchange_pb2_grpc import CounterStub, WitnessStub
from broker.witness import Witness, serve_witness
from ferrule.broker import BrokerServer
from ferrule.channel import insecure_channel, secure_channel
from ferrule.client import RPCPluginClient
from ferrule.errors import SecurityError
from ferrule.tls import TLSConfig
from integration.certificates import Identity, self_signed, server_context
from integration.kv import started
from integration.server_process import deed, plugin
from peers import EXCHANGE_CONFIG, go_exchange
from waiting import until

pytestmark = [pytest.mark.timeout(60), pytest.mark.go]

LIMIT = 10.0
TOKEN = 7

NOBODY = 65534
"""The user id that owns nothing on any Unix."""

root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a process of another user")

CONNECT = """
import os, socket, sys
os.setgroups([])
os.setgid(int(sys.argv[2]))
os.setuid(int(sys.argv[2]))
peer = socket.socket(socket.AF_UNIX)
peer.settimeout(10)
try:
    peer.connect(sys.argv[1])
    peer.sendall(b"PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n")
    print("answered" if peer.recv(1) else "closed")
except ConnectionError:
    print("closed")
except PermissionError:
    print("forbidden")
"""


@contextlib.asynccontextmanager
async def host_that_serves() -> AsyncIterator[tuple[RPCPluginClient, BrokerServer, Any]]:
    """A host with a brokered server, which its plugin has used."""
    async with RPCPluginClient(go_exchange(), EXCHANGE_CONFIG) as client:
        number, server = await serve_witness(client.broker, Witness(TOKEN))
        counter = CounterStub(client.grpc_channel)
        await counter.Exchange(ExchangeRequest(host_service=number, token=TOKEN))
        yield client, server, counter


def stranger(kind: str, client: RPCPluginClient) -> TLSConfig | None:
    other = self_signed()
    ca = (client.client_cert or "").encode()
    return {
        "no certificate": TLSConfig(ca=ca),
        "another certificate": TLSConfig(ca=ca, certificate=other.certificate_pem, key=other.key_pem),
        # It is public; without its key it proves nothing.
        "the plugin's certificate with another key": TLSConfig(
            ca=ca, certificate=mixed(client, other).certificate_pem, key=other.key_pem
        ),
        "plaintext": None,
    }[kind]


def mixed(client: RPCPluginClient, other: Identity) -> Identity:
    """A certificate that says all that the plugin's does, but for the key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    original = x509.load_pem_x509_certificate((client.server_cert or "").encode())
    builder = x509.CertificateBuilder(
        original.issuer,
        original.subject,
        other.key.public_key(),
        original.serial_number,
        original.not_valid_before_utc,
        original.not_valid_after_utc,
        list(original.extensions),
    )
    return Identity(other.key, builder.sign(other.key, hashes.SHA512()))


@pytest.mark.parametrize(
    "kind", ["no certificate", "another certificate", "the plugin's certificate with another key", "plaintext"]
)
async def test_host_serves_its_plugin_alone(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    async with host_that_serves() as (client, server, _):
        target, tls = f"unix:{server.listener.address}", stranger(kind, client)
        channel = insecure_channel(target) if tls is None else secure_channel(target, tls)
        async with channel:
            with pytest.raises(grpc.aio.AioRpcError) as failure:
                await WitnessStub(channel).Identify(IdentifyRequest(), timeout=LIMIT)
        assert failure.value.code() is grpc.StatusCode.UNAVAILABLE
        await until(lambda: "refused a connection from user" in caplog.text)
        # The plugin has hung up.
        assert server.listener.connections == 0


@contextlib.asynccontextmanager
async def somebody_else(directory: Path, keys: Path) -> AsyncIterator[Path]:
    """A server at which another certificate answers than was agreed on in the handshake."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    path = directory / "other"
    async with await asyncio.start_unix_server(accept, path, ssl=server_context(self_signed(), keys)):
        yield path
    path.unlink(missing_ok=True)


async def test_host_does_not_trust_a_certificate_that_was_swapped_after_the_handshake(
    temporary_directory: Path, tmp_path: Path
) -> None:
    async with host_that_serves() as (client, _, _), somebody_else(temporary_directory, tmp_path) as path:
        with pytest.raises(SecurityError) as failure:
            await client.broker.dial_address("unix", str(path))
        assert failure.value.code == "tls.certificate-mismatch"


async def test_plugin_does_not_trust_a_certificate_that_was_swapped_after_the_handshake(
    temporary_directory: Path, tmp_path: Path
) -> None:
    async with started(plugin()) as (client, _), somebody_else(temporary_directory, tmp_path) as path:
        assert await deed(client.grpc_channel, "reach", str(path).encode()) == b"tls.certificate-mismatch"


def connect_as_nobody(path: str) -> str:
    # It becomes nobody by itself: the interpreter may lie where only root can go.
    command = [sys.executable, "-c", CONNECT, path, str(NOBODY)]
    run = subprocess.run(command, check=False, capture_output=True, text=True, timeout=LIMIT)
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


@root
async def test_another_user_does_not_reach_what_the_host_serves(caplog: pytest.LogCaptureFixture) -> None:
    async with host_that_serves() as (_, server, _):
        address = Path(server.listener.address or "")
        assert await asyncio.to_thread(connect_as_nobody, str(address)) == "forbidden"
        # As if the directory had been made by somebody careless.
        opened(address)
        assert await asyncio.to_thread(connect_as_nobody, str(address)) == "closed"
        await until(lambda: f"it belongs to user {NOBODY}" in caplog.text)


@root
@pytest.mark.parametrize("broker_multiplex", [False, True], ids=["sockets", "multiplexed"])
async def test_another_user_does_not_reach_the_plugin(broker_multiplex: bool, caplog: pytest.LogCaptureFixture) -> None:
    async with started(plugin(), broker_multiplex=broker_multiplex) as (client, _):
        address = Path(client.address or "")
        if broker_multiplex:
            # The one connection there ever is has been made.
            assert not address.exists()
            return
        assert await asyncio.to_thread(connect_as_nobody, str(address)) == "forbidden"
        opened(address)
        assert await asyncio.to_thread(connect_as_nobody, str(address)) == "closed"
        await until(lambda: f"it belongs to user {NOBODY}" in caplog.text)


def opened(socket: Path) -> None:
    for directory in (socket.parent, socket.parent.parent):
        directory.chmod(0o711)
    socket.chmod(0o777)
