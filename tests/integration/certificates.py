"""Certificates for peers that are not go-plugin's: authorities, leaves and self-signed ones."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)


class Identity(NamedTuple):
    """A key and its certificate, as PEM for programs and as objects for signing others."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def certificate_pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def issue(
    name: str,
    *,
    by: Identity | None = None,
    names: Sequence[str] = ("localhost",),
    authority: bool = False,
    curve: ec.EllipticCurve | None = None,
    age: datetime.timedelta = DAY / 2,
) -> Identity:
    """A certificate of one day that began `age` ago, signed by another or by itself."""
    key = ec.generate_private_key(curve or ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    begin = datetime.datetime.now(datetime.UTC) - age
    builder = (
        x509.CertificateBuilder(by.certificate.subject if by else subject, subject, key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + DAY)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if names:
        alternatives = x509.SubjectAlternativeName([_general_name(entry) for entry in names])
        builder = builder.add_extension(alternatives, critical=False)
    return Identity(key, builder.sign(by.key if by else key, hashes.SHA256()))


def self_signed(**details: object) -> Identity:
    """As go-plugin makes them: an authority that is its own only leaf."""
    return issue("localhost", authority=True, **details)  # type: ignore[arg-type]


def server_context(identity: Identity, directory: Path, *, client_authority: Identity | None = None) -> ssl.SSLContext:
    """Python's own TLS server; with an authority it demands a certificate of the client."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    pair = directory / "pair.pem"
    pair.write_bytes(identity.key_pem + identity.certificate_pem)
    context.load_cert_chain(pair)
    pair.unlink()
    if client_authority:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=client_authority.certificate_pem.decode())
    return context


def _general_name(entry: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(entry))
    except ValueError:
        return x509.DNSName(entry)
