"""ClientConnection.open under TLS, against Python's own TLS: whom it believes, and what it says of the others."""

from __future__ import annotations

import asyncio
import datetime
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from ferrule.client import ClientConnection
from ferrule.errors import ConfigError, SecurityError
from ferrule.tls import TLSConfig
from integration.certificates import Identity, issue, self_signed, server_context
from integration.stream_peers import NETWORKS, echo, serving
from waiting import LIMIT

TOMORROW = -datetime.timedelta(days=1)
LONG_AGO = datetime.timedelta(days=30)


@pytest.fixture(scope="module")
def authority() -> Identity:
    return issue("authority", authority=True)


async def exchange(address: str, tls: Any) -> bytes:
    async with await ClientConnection.open(address, tls=tls) as connection:
        await connection.send_data(b"secret")
        return bytes(await connection.reader.readexactly(6))


async def refusal(server: ssl.SSLContext, directory: Path, **tls: Any) -> SecurityError:
    async with asyncio.timeout(LIMIT), serving(echo, "tcp", directory, tls=server, refuses=True) as address:
        with pytest.raises(SecurityError) as caught:
            await exchange(address, tls)
        assert address in str(caught.value)
    return caught.value


@pytest.mark.parametrize("network", NETWORKS)
async def test_issued_certificate_is_believed(network: str, authority: Identity, temporary_directory: Path) -> None:
    server = server_context(issue("leaf", by=authority), temporary_directory)
    tls = TLSConfig(ca=authority.certificate_pem)
    async with asyncio.timeout(LIMIT), serving(echo, network, temporary_directory, tls=server) as address:
        assert await exchange(address, tls) == b"secret"
        assert await exchange(address, {"ca": authority.certificate_pem}) == b"secret"


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()], ids=lambda curve: curve.name)
async def test_self_signed_certificate_of_any_curve_is_believed(
    curve: ec.EllipticCurve, temporary_directory: Path
) -> None:
    """P-521 is what Go plugins show, and what the TLS inside grpcio cannot verify."""
    identity = self_signed(curve=curve)
    server = server_context(identity, temporary_directory)
    async with asyncio.timeout(LIMIT), serving(echo, "tcp", temporary_directory, tls=server) as address:
        assert await exchange(address, {"ca": identity.certificate_pem}) == b"secret"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_speaks_both_versions_of_tls(version: ssl.TLSVersion, temporary_directory: Path) -> None:
    identity = self_signed()
    server = server_context(identity, temporary_directory)
    server.minimum_version = server.maximum_version = version
    async with asyncio.timeout(LIMIT), serving(echo, "tcp", temporary_directory, tls=server) as address:
        assert await exchange(address, {"ca": identity.certificate_pem}) == b"secret"


@pytest.mark.parametrize("name", ["plugin.test", "127.0.0.1"])
@pytest.mark.parametrize("issued", [True, False], ids=["issued", "self-signed"])
async def test_server_name_is_the_one_asked_for(
    issued: bool, name: str, authority: Identity, temporary_directory: Path
) -> None:
    identity = issue("leaf", by=authority, names=[name]) if issued else self_signed(names=[name])
    ca = (authority if issued else identity).certificate_pem
    server = server_context(identity, temporary_directory)
    async with asyncio.timeout(LIMIT), serving(echo, "tcp", temporary_directory, tls=server) as address:
        assert await exchange(address, {"ca": ca, "server_name": name}) == b"secret"
    await refusal(server, temporary_directory, ca=ca)
    await refusal(server, temporary_directory, ca=ca, server_name="other.test")


async def test_certificate_of_another_authority_is_refused(authority: Identity, temporary_directory: Path) -> None:
    server = server_context(issue("leaf", by=authority), temporary_directory)
    error = await refusal(server, temporary_directory, ca=issue("authority", authority=True).certificate_pem)
    assert error.code == "tls.failed"
    # One of the same names is no better.
    await refusal(server, temporary_directory, ca=self_signed().certificate_pem)


@pytest.mark.parametrize(("age", "word"), [(LONG_AGO, "expired"), (TOMORROW, "not valid yet")])
@pytest.mark.parametrize("issued", [True, False], ids=["issued", "self-signed"])
async def test_certificate_out_of_its_time_is_refused(
    issued: bool, age: datetime.timedelta, word: str, authority: Identity, temporary_directory: Path
) -> None:
    identity = issue("leaf", by=authority, age=age) if issued else self_signed(age=age)
    ca = (authority if issued else identity).certificate_pem
    error = await refusal(server_context(identity, temporary_directory), temporary_directory, ca=ca)
    assert error.code == "tls.certificate-expired"
    assert word in error.message


async def test_client_shows_its_own_certificate(authority: Identity, temporary_directory: Path) -> None:
    shown: list[Any] = []

    async def look(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        shown.append(writer.get_extra_info("peercert"))
        await echo(reader, writer)

    client = issue("client", by=authority, curve=ec.SECP521R1())
    server = server_context(issue("leaf", by=authority), temporary_directory, client_authority=authority)
    tls = {"ca": authority.certificate_pem, "certificate": client.certificate_pem, "key": client.key_pem}
    async with asyncio.timeout(LIMIT), serving(look, "tcp", temporary_directory, tls=server) as address:
        assert await exchange(address, tls) == b"secret"
    assert shown[0]["subject"] == ((("commonName", "client"),),)


async def test_client_without_the_certificate_that_is_demanded_fails(
    authority: Identity, temporary_directory: Path
) -> None:
    server = server_context(issue("leaf", by=authority), temporary_directory, client_authority=authority)
    server.maximum_version = ssl.TLSVersion.TLSv1_2
    await refusal(server, temporary_directory, ca=authority.certificate_pem)


async def test_peer_without_tls_is_a_security_error(temporary_directory: Path) -> None:
    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.test ready\r\n")

    async with asyncio.timeout(LIMIT), serving(greet, "unix", temporary_directory) as address:
        with pytest.raises(SecurityError, match="does not speak TLS"):
            await exchange(address, {"ca": self_signed().certificate_pem})


@pytest.mark.parametrize("tls", [{}, {"ca": "nonsense"}, {"cas": b""}, "nonsense"], ids=str)
async def test_unusable_settings_are_refused_before_anything_is_opened(tls: Any) -> None:
    with pytest.raises(ConfigError):
        await ClientConnection.open("127.0.0.1:1", tls=tls)


async def test_server_name_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="not a name"):
        await ClientConnection.open(
            "127.0.0.1:1", tls={"ca": self_signed().certificate_pem, "server_name": "not a name"}
        )


async def test_encrypted_bytes_are_more_than_content_and_both_are_counted(temporary_directory: Path) -> None:
    identity = self_signed()
    server = server_context(identity, temporary_directory)
    async with asyncio.timeout(LIMIT), serving(echo, "tcp", temporary_directory, tls=server) as address:
        async with await ClientConnection.open(address, tls={"ca": identity.certificate_pem}) as connection:
            await connection.send_data(bytes(100_000))
            assert len(await connection.reader.readexactly(100_000)) == 100_000
            wire_sent, wire_received, sent, received = connection.writer.transport.traffic
            assert (sent, received, connection.bytes_sent) == (100_000, 100_000, 100_000)
            assert 100_000 < wire_sent < 110_000
            assert 100_000 < wire_received < 110_000
