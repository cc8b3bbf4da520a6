"""A key and its self-signed certificate, beside the package `cryptography`. `formats.py` beside it runs them."""

import datetime
from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pytest_benchmark.fixture import BenchmarkFixture

from ferrule import _core

Pems = tuple[bytes, bytes]
"""A certificate and its private key."""


def core_identity() -> Pems:
    """The plugin's own, out of the core."""
    certificate, key = _core.one_time_identity()
    return certificate.encode(), key.encode()


def cryptography_identity() -> Pems:
    """A certificate of go-plugin's profile: for servers and clients, its own authority, for the name localhost."""
    key = ec.generate_private_key(ec.SECP256R1())
    names = {NameOID.COMMON_NAME: "localhost", NameOID.ORGANIZATION_NAME: "HashiCorp"}
    name = x509.Name([x509.NameAttribute(of, value) for of, value in names.items()])
    now = datetime.datetime.now(datetime.UTC)
    uses = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(seconds=30))
        .not_valid_after(now + datetime.timedelta(hours=262_980))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        .sign(key, hashes.SHA256())
    )
    form = serialization.PrivateFormat.PKCS8
    key_pem = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    return certificate.public_bytes(serialization.Encoding.PEM), key_pem


@pytest.mark.parametrize("make", [core_identity, cryptography_identity], ids=["ferrule", "cryptography"])
def test_identity(benchmark: BenchmarkFixture, make: Callable[[], Pems]) -> None:
    benchmark.group = "key and certificate, P-256"
    benchmark.extra_info["side"] = "ferrule" if make is core_identity else "cryptography"
    certificate_pem, key_pem = benchmark(make)
    certificate = x509.load_pem_x509_certificate(certificate_pem)
    key = serialization.load_pem_private_key(key_pem, None)
    assert certificate.public_key() == key.public_key()
    certificate.verify_directly_issued_by(certificate)
