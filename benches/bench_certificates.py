"""A key and its self-signed certificate, beside the package `cryptography`. `formats.py` beside it runs them."""

import datetime
from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pytest_benchmark.fixture import BenchmarkFixture

from ferrule import Certificate

Pems = tuple[bytes, bytes]
"""A certificate and its private key."""

KINDS: dict[str, tuple[ec.EllipticCurve, hashes.SHA256 | hashes.SHA384 | hashes.SHA512]] = {
    "P-256": (ec.SECP256R1(), hashes.SHA256()),
    "P-384": (ec.SECP384R1(), hashes.SHA384()),
    "P-521": (ec.SECP521R1(), hashes.SHA512()),
}
"""How `cryptography` names a curve, and the digest that belongs to it."""


def ferrule_pair(curve: str) -> Pems:
    """The plugin's own, out of the core."""
    made = Certificate.generate(curve=curve)
    return made.certificate_pem.encode(), made.private_key_pem.encode()


def cryptography_pair(curve: str) -> Pems:
    """A certificate with the same content: for servers and clients, of the name localhost."""
    kind, digest = KINDS[curve]
    key = ec.generate_private_key(kind)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    signs_handshakes = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(seconds=30))
        .not_valid_after(now + datetime.timedelta(days=365))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(signs_handshakes, critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, digest)
    )
    form = serialization.PrivateFormat.PKCS8
    key_pem = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    return certificate.public_bytes(serialization.Encoding.PEM), key_pem


def content(certificate: x509.Certificate) -> list[x509.Extension[x509.ExtensionType]]:
    """The extensions, but for the identifier of the key, which may be any digest."""
    return [each for each in certificate.extensions if not isinstance(each.value, x509.SubjectKeyIdentifier)]


@pytest.mark.parametrize("make", [ferrule_pair, cryptography_pair], ids=["ferrule", "cryptography"])
@pytest.mark.parametrize("curve", KINDS)
def test_pair(benchmark: BenchmarkFixture, make: Callable[[str], Pems], curve: str) -> None:
    benchmark.group = f"key and certificate, {curve}"
    benchmark.extra_info["side"] = "ferrule" if make is ferrule_pair else "cryptography"
    certificate_pem, key_pem = benchmark(make, curve)
    certificate = x509.load_pem_x509_certificate(certificate_pem)
    key = serialization.load_pem_private_key(key_pem, None)
    assert certificate.public_key() == key.public_key()
    certificate.verify_directly_issued_by(certificate)
    assert content(certificate) == content(x509.load_pem_x509_certificate(cryptography_pair(curve)[0]))
