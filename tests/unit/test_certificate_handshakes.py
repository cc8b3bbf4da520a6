"""Certificates that are made, in handshakes of Python's own TLS."""

import ssl
from pathlib import Path
from typing import Any

import pytest

from ferrule import Certificate

CURVES = ("P-256", "P-384", "P-521")


def context(own: Certificate, trusted: Certificate, directory: Path, *, server: bool) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    made.verify_mode = ssl.CERT_REQUIRED
    made.verify_flags |= ssl.VERIFY_X509_STRICT
    made.load_verify_locations(cadata=trusted.certificate_pem)
    pair = directory / "pair.pem"
    pair.write_text(own.certificate_pem + own.private_key_pem)
    made.load_cert_chain(pair)
    return made


def shake_hands(client: ssl.SSLContext, server: ssl.SSLContext, name: str) -> tuple[Any, Any]:
    """The certificates that both sides have seen, after a whole handshake in memory."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    waiting = list(sides)
    while waiting:
        for side in list(waiting):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(side)
    return sides[0].getpeercert(), sides[1].getpeercert()


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("name", ["localhost", "a.example.com", "127.0.0.1", "::1"])
def test_handshake_with_both_certificates(curve: str, name: str, tmp_path: Path) -> None:
    authority = Certificate.generate(common_name="CA", usage="authority", curve=curve)
    plugin = Certificate.generate(
        dns_names=["localhost", "*.example.com"],
        ip_addresses=["127.0.0.1", "::1"],
        usage="server",
        signed_by=authority,
        curve=curve,
    )
    host = Certificate.generate(common_name="the host", usage="client", signed_by=authority, curve=curve)
    client, server = (context(own, authority, tmp_path, server=own is plugin) for own in (host, plugin))
    of_server, of_client = shake_hands(client, server, name)
    assert of_server["subject"] == ((("commonName", "localhost"),),)
    assert of_client["subject"] == ((("commonName", "the host"),),)


@pytest.mark.parametrize(
    ("server_usage", "client_usage", "name", "reason"),
    [
        ("client", "client", "localhost", "unsuitable certificate purpose|mismatch"),
        ("server", "server", "localhost", "unsuitable certificate purpose|UNSUITABLE"),
        ("server", "client", "elsewhere.example", "mismatch"),
    ],
)
def test_handshake_needs_the_right_usage_and_name(
    server_usage: Any, client_usage: Any, name: str, reason: str, authority: Certificate, tmp_path: Path
) -> None:
    plugin = Certificate.generate(dns_names=["localhost"], usage=server_usage, signed_by=authority)
    host = Certificate.generate(common_name="host", usage=client_usage, signed_by=authority)
    with pytest.raises(ssl.SSLError, match=reason):
        shake_hands(
            context(host, authority, tmp_path, server=False), context(plugin, authority, tmp_path, server=True), name
        )
