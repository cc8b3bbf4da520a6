"""TLS with the caller's own certificates, and the reason why this package exists."""

from __future__ import annotations

import asyncio
import base64
import datetime
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ferrule import Certificate
from ferrule.errors import RPCPluginError, SecurityError
from ferrule.testing import COOKIE_KEY, COOKIE_VALUE, KVStub
from ferrule.testing.kv_pb2 import PutRequest
from integration.kv import kv_client, started
from peers import go_kv, python_kv

pytestmark = [pytest.mark.timeout(60), pytest.mark.go]

PEM = serialization.Encoding.PEM


@dataclass(frozen=True)
class Authority:
    """A certificate authority of the test's own."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def make(cls, name: str) -> Authority:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _sign(name, name, key, key, [x509.BasicConstraints(ca=True, path_length=0)])
        return cls(certificate, key)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(PEM)

    def issue(self, name: str, *alternatives: str) -> tuple[bytes, bytes]:
        """A certificate for these DNS names, and its key, both PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = self.certificate.subject.rfc4514_string().removeprefix("CN=")
        names = x509.SubjectAlternativeName([x509.DNSName(alternative) for alternative in alternatives or (name,)])
        certificate = _sign(name, issuer, key, self.key, [names, x509.BasicConstraints(ca=False, path_length=None)])
        form = serialization.PrivateFormat.PKCS8
        return certificate.public_bytes(PEM), key.private_bytes(PEM, form, serialization.NoEncryption())


def _sign(
    name: str,
    issuer: str,
    key: ec.EllipticCurvePrivateKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    extensions: list[x509.ExtensionType],
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
    return builder.sign(issuer_key, hashes.SHA256())


@dataclass(frozen=True)
class Deployment:
    """The authority of a plugin with TLS of its own, and the plugin's command."""

    authority: Authority
    command: list[str]

    def settings(self, **changes: Any) -> dict[str, Any]:
        certificate, key = self.authority.issue("a host")
        return {"ca": self.authority.pem, "certificate": certificate, "key": key} | changes


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    authority = Authority.make("the authority")
    certificate, key = authority.issue("a plugin", "localhost", "plugin.example")
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    (tmp_path / "server.pem").write_bytes(certificate)
    (tmp_path / "server.key").write_bytes(key)
    return Deployment(authority, go_kv(f"user-tls={tmp_path}"))


@pytest.mark.parametrize("server_name", ["localhost", "plugin.example"])
async def test_own_certificates(deployment: Deployment, server_name: str) -> None:
    tls = deployment.settings(server_name=server_name)
    async with started(deployment.command, tls=tls) as (client, kv):
        await kv.Put(PutRequest(key="k"))
        assert client.client_cert == tls["certificate"].decode()
        assert client.client_key_pem == tls["key"].decode()
        # The plugin announces none in its handshake; it shows one to those who connect.
        assert client.server_cert is None
        assert client.traffic.content_sent < client.traffic.wire_sent
    assert client.stop_report is not None
    assert client.stop_report.rung == "shutdown"


@pytest.mark.parametrize("curve", ["P-256", "P-384", "P-521"])
async def test_certificates_that_are_made_here(curve: str, tmp_path: Path) -> None:
    """A plugin in Go believes them, and is believed with them."""
    authority = Certificate.generate(common_name="the authority", usage="authority", curve=curve)
    plugin = Certificate.generate(dns_names=["localhost"], usage="server", signed_by=authority, curve=curve)
    host = Certificate.generate(common_name="a host", usage="client", signed_by=authority, curve=curve)
    (tmp_path / "ca.pem").write_text(authority.certificate_pem)
    (tmp_path / "server.pem").write_text(plugin.certificate_pem)
    (tmp_path / "server.key").write_text(plugin.private_key_pem)
    tls = {"ca": authority, "certificate": host}
    async with started(go_kv(f"user-tls={tmp_path}"), tls=tls) as (client, kv):
        await kv.Put(PutRequest(key="k"))
        assert client.client_cert == host.certificate_pem
        assert client.client_key_pem == host.private_key_pem


async def test_own_certificates_from_files(deployment: Deployment, tmp_path: Path) -> None:
    certificate, key = deployment.authority.issue("a host")
    (tmp_path / "host.pem").write_bytes(certificate)
    (tmp_path / "host.key").write_bytes(key)
    tls = {"ca": tmp_path / "ca.pem", "certificate": tmp_path / "host.pem", "key": str(tmp_path / "host.key")}
    async with started(deployment.command, tls=tls) as (_, kv):
        await kv.Put(PutRequest(key="k"))


async def test_the_plugins_own_certificate_is_authority_enough(deployment: Deployment, tmp_path: Path) -> None:
    async with started(deployment.command, tls=deployment.settings(ca=tmp_path / "server.pem")) as (_, kv):
        await kv.Put(PutRequest(key="k"))


def stranger() -> dict[str, bytes]:
    authority = Authority.make("another authority")
    certificate, key = authority.issue("a host")
    return {"ca": authority.pem, "certificate": certificate, "key": key}


# What the caller gets wrong, and a word of the reason.
REFUSED = {
    "wrong authority": (lambda: {"ca": stranger()["ca"]}, "UnknownIssuer"),
    "wrong server name": (lambda: {"server_name": "elsewhere.example"}, "elsewhere.example"),
    "host of another authority": (lambda: {**stranger(), "ca": None}, "alert"),
    "host without a certificate": (lambda: {"certificate": None, "key": None}, "alert"),
}


@pytest.mark.parametrize(("change", "reason"), REFUSED.values(), ids=REFUSED.keys())
async def test_what_does_not_fit_is_refused(deployment: Deployment, change: Any, reason: str) -> None:
    changes = {name: value for name, value in change().items() if (name, value) != ("ca", None)}
    client = kv_client(deployment.command, tls=deployment.settings(**changes), connect_timeout=5)
    with pytest.raises(SecurityError) as caught:
        await client.start()
    assert caught.value.code == "tls.failed"
    assert reason in caught.value.message
    assert caught.value.hint
    assert not client.is_started


async def test_own_certificates_against_a_plugin_without_tls(deployment: Deployment) -> None:
    client = kv_client(go_kv(), tls=deployment.settings(), connect_timeout=5)
    with pytest.raises(RPCPluginError) as caught:
        await client.start()
    assert isinstance(caught.value, SecurityError), caught.value


async def test_plaintext_host_against_a_plugin_with_tls(deployment: Deployment) -> None:
    client = kv_client(deployment.command, auto_mtls=False, connect_timeout=5)
    with pytest.raises(RPCPluginError) as caught:
        await client.start()
    assert caught.value.code in {"connect.http2", "connect.health"}
    assert "TLS" in str(caught.value.hint)


@asynccontextmanager
async def by_hand(command: list[str], directory: Path, certificate: bytes) -> AsyncIterator[list[str]]:
    """A plugin launched as any host does it, and the fields of its handshake line."""
    environment = {
        **os.environ,
        COOKIE_KEY: COOKIE_VALUE,
        "PLUGIN_PROTOCOL_VERSIONS": "1",
        "PLUGIN_CLIENT_CERT": certificate.decode(),
        "PLUGIN_UNIX_SOCKET_DIR": str(directory),
    }
    pipe, null = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=pipe, stderr=null)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(20):
            yield (await process.stdout.readline()).decode().strip().split("|")
    finally:
        process.kill()
        await process.communicate()


async def stock_call(fields: list[str], host: Certificate) -> None:
    """One call through grpcio's own TLS, with all that AutoMTLS asks for."""
    own = (host.private_key_pem.encode(), host.certificate_pem.encode())
    theirs = x509.load_der_x509_certificate(_decode(fields[5])).public_bytes(PEM)
    credentials = grpc.ssl_channel_credentials(theirs, *own)
    options = [("grpc.ssl_target_name_override", "localhost")]
    async with grpc.aio.secure_channel(f"unix:{fields[3]}", credentials, options=options) as channel:
        stub: Any = KVStub(channel)
        await stub.Put(PutRequest(key="k"), timeout=10)


def _decode(field: str) -> bytes:
    return base64.b64decode(field + "=" * (-len(field) % 4))


async def test_control_stock_grpcio_cannot_talk_to_a_stock_go_plugin(tmp_path: Path) -> None:
    """Why this package exists.

    An unmodified Go plugin with AutoMTLS shows a certificate on the curve P-521. The TLS inside grpcio (BoringSSL) does
    not offer the signature scheme that such a key needs in TLS 1.3, so the handshake fails before any certificate is
    looked at. Nothing in grpcio's interface changes that. If this test fails one day, grpcio has learned it, and a
    plain secure channel has become an alternative.
    """
    host = Certificate.generate()
    async with by_hand(go_kv(), tmp_path, host.certificate_pem.encode()) as fields:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stock_call(fields, host)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    details = str(caught.value.details()).lower().replace("_", " ")
    assert "handshake" in details or "ssl" in details, details


async def test_control_of_the_control(tmp_path: Path) -> None:
    """The same call with the same code succeeds where the plugin's certificate is on P-256: the curve is all it is."""
    host = Certificate.generate()
    async with by_hand(python_kv(), tmp_path, host.certificate_pem.encode()) as fields:
        await stock_call(fields, host)
