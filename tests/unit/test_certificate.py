"""Certificates that are made, in the eyes of `cryptography`."""

import datetime
import ipaddress
from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from ferrule import Certificate
from integration.certificates import Identity
from read_certificates import pair_of

CURVES = {"P-256": "secp256r1", "P-384": "secp384r1", "P-521": "secp521r1"}
USAGES = {
    "server": [ExtendedKeyUsageOID.SERVER_AUTH],
    "client": [ExtendedKeyUsageOID.CLIENT_AUTH],
    "peer": [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH],
}
LONG_AGO = datetime.timedelta(days=30)
TOMORROW = -datetime.timedelta(days=1)


def read(certificate: Certificate) -> x509.Certificate:
    return x509.load_pem_x509_certificate(certificate.certificate_pem.encode())


def extension(certificate: Certificate, kind: type[Any]) -> Any:
    return read(certificate).extensions.get_extension_for_class(kind)


def key_usages(certificate: Certificate) -> set[str]:
    """The usages that are on; those of key agreement can only be asked for with it."""
    found = extension(certificate, x509.KeyUsage)
    assert found.critical
    names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    return {name for name in (*names, "key_cert_sign", "crl_sign") if getattr(found.value, name)}


@pytest.mark.parametrize("curve", [*CURVES, "secp521r1", "p-384"])
def test_key_is_on_the_curve_and_belongs_to_the_certificate(curve: str) -> None:
    made = Certificate.generate(curve=curve)
    key = load_pem_private_key(made.private_key_pem.encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert key.curve.name == CURVES[made.key]
    assert key.public_key() == read(made).public_key()
    assert made.private_key_pem.startswith("-----BEGIN PRIVATE KEY-----\n")
    key_text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    assert made.private_key_pem == key_text


def test_default_is_a_peer_for_this_machine() -> None:
    made = Certificate.generate()
    assert (made.subject, made.issuer, made.dns_names, made.ip_addresses) == (
        "CN=localhost",
        "CN=localhost",
        ("localhost",),
        (),
    )
    assert made.not_after - made.not_before == datetime.timedelta(days=365, seconds=30)
    assert not made.is_authority
    assert not made.is_expired
    assert made.has_private_key
    read(made).verify_directly_issued_by(read(made))
    assert {each.oid._name: each.critical for each in read(made).extensions} == {
        "subjectKeyIdentifier": False,
        "basicConstraints": True,
        "keyUsage": True,
        "extendedKeyUsage": False,
        "subjectAltName": False,
    }


def test_authority_signs_and_does_nothing_else(authority: Certificate) -> None:
    constraints = extension(authority, x509.BasicConstraints)
    assert (constraints.critical, constraints.value.ca, constraints.value.path_length) == (True, True, 0)
    assert key_usages(authority) == {"key_cert_sign", "crl_sign"}
    kinds = [type(each.value) for each in read(authority).extensions]
    assert x509.ExtendedKeyUsage not in kinds
    assert x509.SubjectAlternativeName not in kinds
    assert authority.is_authority
    read(authority).verify_directly_issued_by(read(authority))


@pytest.mark.parametrize("usage", USAGES)
def test_usage_is_that_asked_for(usage: Any, authority: Certificate) -> None:
    made = Certificate.generate(common_name="someone", usage=usage, signed_by=authority)
    assert list(extension(made, x509.ExtendedKeyUsage).value) == USAGES[usage]
    assert key_usages(made) == {"digital_signature"}
    constraints = extension(made, x509.BasicConstraints)
    assert (constraints.critical, constraints.value.ca) == (True, False)
    assert made.dns_names == (() if usage == "client" else ("localhost",))


@pytest.mark.parametrize("signer_curve", CURVES)
@pytest.mark.parametrize("curve", CURVES)
def test_signature_is_the_authoritys(signer_curve: str, curve: str) -> None:
    signer = Certificate.generate(common_name="CA", usage="authority", curve=signer_curve)
    made = Certificate.generate(curve=curve, signed_by=signer)
    read(made).verify_directly_issued_by(read(signer))
    assert made.issuer == signer.subject == "CN=CA"
    of_issuer = extension(made, x509.AuthorityKeyIdentifier).value.key_identifier
    assert of_issuer == extension(signer, x509.SubjectKeyIdentifier).value.digest


def test_names_of_every_form() -> None:
    names = ["Example.com", "*.example.com", "a_b.xn--bcher-kva.example", "host"]
    addresses = ["127.0.0.1", ipaddress.ip_address("2001:db8::1")]
    made = Certificate.generate(dns_names=names, ip_addresses=addresses)
    assert made.dns_names == tuple(names)
    assert made.ip_addresses == (ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("2001:db8::1"))
    assert made.subject == "CN=Example.com"
    found = extension(made, x509.SubjectAlternativeName).value
    assert found.get_values_for_type(x509.DNSName) == names
    assert tuple(found.get_values_for_type(x509.IPAddress)) == made.ip_addresses


def test_addresses_are_names_enough() -> None:
    made = Certificate.generate(ip_addresses=["::1"], usage="server")
    assert (made.subject, made.dns_names) == ("CN=::1", ())


def test_long_name_is_no_common_name_as_a_whole() -> None:
    long = ".".join(["x" * 50, "y" * 50, "example"])
    made = Certificate.generate(dns_names=[long])
    assert (made.subject, made.dns_names) == (f"CN={long[:64]}", (long,))


def test_common_name_of_any_script() -> None:
    made = Certificate.generate(common_name="Größe, 大")
    (attribute,) = read(made).subject.get_attributes_for_oid(x509.oid.NameOID.COMMON_NAME)
    assert attribute.value == "Größe, 大"


def test_serial_numbers_are_unique_and_positive() -> None:
    made = [Certificate.generate() for _ in range(200)]
    numbers = {each.serial_number for each in made}
    assert len(numbers) == 200
    assert numbers == {read(each).serial_number for each in made}
    assert all(number.bit_length() == 127 for number in numbers)


def test_facts_are_those_of_the_certificate(authority: Certificate) -> None:
    theirs = read(authority)
    assert authority.fingerprint == theirs.fingerprint(hashes.SHA256()).hex()
    assert authority.certificate_der == theirs.public_bytes(Encoding.DER)
    assert authority.certificate_pem == theirs.public_bytes(Encoding.PEM).decode()
    assert authority.not_before == theirs.not_valid_before_utc
    assert authority.not_after == theirs.not_valid_after_utc
    assert authority.not_after.utcoffset() == datetime.timedelta(0)


@pytest.mark.parametrize("days", [0.5, 9_000, 36_500])
def test_certificate_is_valid_as_long_as_asked_for(days: float) -> None:
    """Dates up to 2049 have another form than later ones."""
    made = Certificate.generate(days=days)
    assert read(made).not_valid_after_utc == made.not_after
    assert made.not_after - made.not_before == datetime.timedelta(days=days, seconds=30)


def test_certificate_ends_with_its_authority() -> None:
    signer = Certificate.generate(common_name="CA", usage="authority", days=2)
    assert Certificate.generate(days=365, signed_by=signer).not_after == signer.not_after
    assert Certificate.generate(days=1, signed_by=signer).not_after < signer.not_after


def test_authority_that_was_read_signs() -> None:
    """Its name is taken over byte for byte: parts of one kind, several in one set, and strings of other kinds."""
    name = x509.Name(
        [
            x509.RelativeDistinguishedName([x509.NameAttribute(x509.NameOID.DOMAIN_COMPONENT, "com")]),
            x509.RelativeDistinguishedName([x509.NameAttribute(x509.NameOID.DOMAIN_COMPONENT, "example")]),
            x509.RelativeDistinguishedName(
                [
                    x509.NameAttribute(x509.NameOID.COMMON_NAME, "CA", x509.name._ASN1Type.PrintableString),
                    x509.NameAttribute(x509.NameOID.SERIAL_NUMBER, "5"),
                ]
            ),
        ]
    )
    key = ec.generate_private_key(ec.SECP384R1())
    now = datetime.datetime.now(datetime.UTC)
    theirs = (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(now - LONG_AGO)
        .not_valid_after(now + LONG_AGO)
        .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
        .add_extension(x509.SubjectKeyIdentifier(b"an identifier"), critical=False)
        .sign(key, hashes.SHA384())
    )
    signer = pair_of(Identity(key, theirs))
    made = Certificate.generate(signed_by=signer)
    read(made).verify_directly_issued_by(theirs)
    assert read(made).issuer.public_bytes() == name.public_bytes()
    assert extension(made, x509.AuthorityKeyIdentifier).value.key_identifier == b"an identifier"
    below = Certificate.generate(common_name="below", usage="authority", signed_by=signer)
    read(Certificate.generate(signed_by=below)).verify_directly_issued_by(read(below))


@pytest.mark.parametrize(
    "make_key",
    [lambda: rsa.generate_private_key(65537, 2048), ed25519.Ed25519PrivateKey.generate],
    ids=["RSA", "Ed25519"],
)
def test_authority_with_a_key_of_another_kind_signs(make_key: Callable[[], Any]) -> None:
    key = make_key()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "CA")])
    now = datetime.datetime.now(datetime.UTC)
    theirs = (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(now - LONG_AGO)
        .not_valid_after(now + LONG_AGO)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
    )
    made = Certificate.generate(signed_by=pair_of(Identity(key, theirs)))
    read(made).verify_directly_issued_by(theirs)
    with pytest.raises(x509.ExtensionNotFound):
        extension(made, x509.AuthorityKeyIdentifier)
