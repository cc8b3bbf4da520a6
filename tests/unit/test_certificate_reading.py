"""Certificates that are read and written, compared, shown, and given to the setting `tls`."""

import base64
import copy
import datetime
import pickle
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from ferrule import Certificate, ConfigError, TLSConfig
from integration.certificates import issue
from read_certificates import certificate_of

LONG_AGO = datetime.timedelta(days=30)
TOMORROW = -datetime.timedelta(days=1)


@pytest.mark.parametrize("form", ["apart", "together", "files", "bytes"])
def test_pair_survives_the_way_through_pem(form: str, authority: Certificate, tmp_path: Path) -> None:
    certificate, key = authority.certificate_pem, authority.private_key_pem
    (tmp_path / "ca.pem").write_text(certificate)
    (tmp_path / "ca.key").write_text(key)
    forms: dict[str, tuple[Any, ...]] = {
        "apart": (certificate, key),
        "together": (key + certificate,),
        "files": (tmp_path / "ca.pem", str(tmp_path / "ca.key")),
        "bytes": (certificate.encode(), key.encode()),
    }
    again = Certificate.from_pem(*forms[form])
    assert again == authority
    assert again.private_key_pem == key
    assert Certificate.generate(signed_by=again).issuer == "CN=Example CA"


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
@pytest.mark.parametrize("kind", ["ECDSA", "RSA"])
def test_key_keeps_the_form_in_which_it_was_read(form: PrivateFormat, kind: str) -> None:
    key: Any = ec.generate_private_key(ec.SECP256R1()) if kind == "ECDSA" else rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "leaf")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1).not_valid_before(now).not_valid_after(now)
    pem = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
    text = key.private_bytes(Encoding.PEM, form, NoEncryption())
    made = Certificate.from_pem(pem, text)
    assert made.private_key_pem == text.decode()
    assert made.key == ("P-256" if kind == "ECDSA" else "RSA")


OWN, OTHER = Certificate.generate(dns_names=["own"]), Certificate.generate(dns_names=["other"])
ENCRYPTED = load_pem_private_key(OWN.private_key_pem.encode(), None).private_bytes(
    Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
)
PEM: dict[str, tuple[tuple[Any, ...], str]] = {
    "no PEM": ((b"nothing",), "certificate holds 7 bytes without a readable certificate, expected PEM"),
    "no certificate": ((OWN.private_key_pem,), "bytes without a readable certificate, expected PEM: it has no section"),
    "no DER": (
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",),
        "certificate holds 59 bytes without a readable certificate",
    ),
    "two certificates": (
        (OWN.certificate_pem + OTHER.certificate_pem,),
        "certificate holds 2 certificates, expected one",
    ),
    "two keys": (
        (OWN.certificate_pem + OWN.private_key_pem + OTHER.private_key_pem,),
        "certificate holds 2 private keys, expected one",
    ),
    "the key twice": (
        (OWN.certificate_pem + OWN.private_key_pem, OWN.private_key_pem),
        "private_key is given, and certificate holds one too, expected one of them",
    ),
    "no key": (
        (OWN.certificate_pem, OWN.certificate_pem),
        "bytes without a readable private key, expected PEM",
    ),
    "half a key": ((OWN.certificate_pem, OWN.private_key_pem[:-60]), "bytes without a readable private key"),
    "key of another": (
        (OWN.certificate_pem, OTHER.private_key_pem),
        "private_key does not belong to the certificate of 'CN=own'",
    ),
    "encrypted key": (
        (OWN.certificate_pem, ENCRYPTED),
        "private_key holds an encrypted private key, expected a plain one",
    ),
    "encrypted key beside": (
        (OWN.certificate_pem.encode() + ENCRYPTED,),
        "certificate holds an encrypted private key, expected a plain one",
    ),
    "no file": (("no-such.pem",), "'no-such.pem' cannot be read: No such file or directory"),
    "number": ((5,), "setting certificate is <hidden> (int), expected one certificate: PEM, or the path of a PEM file"),
}


@pytest.mark.parametrize(("arguments", "words"), PEM.values(), ids=PEM)
def test_pem_that_cannot_be_read_is_refused(arguments: tuple[Any, ...], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Certificate.from_pem(*arguments)
    assert words in caught.value.message
    assert caught.value.code == "config.invalid"


def in_pem(der: bytes) -> bytes:
    return b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(der) + b"-----END CERTIFICATE-----\n"


def test_bytes_behind_a_certificate_are_refused() -> None:
    with pytest.raises(ConfigError, match="4 bytes follow its end"):
        Certificate.from_pem(in_pem(OWN.certificate_der + b"junk"))
    with pytest.raises(ConfigError, match="4 bytes follow its end"):
        TLSConfig(ca=in_pem(OWN.certificate_der + b"junk"))


def test_serial_number_of_either_sign() -> None:
    serial = OWN.serial_number.to_bytes(16)
    negative = bytes([serial[0] | 0x80]) + serial[1:]
    read = Certificate.from_pem(in_pem(OWN.certificate_der.replace(serial, negative)))
    assert read.serial_number == int.from_bytes(negative, signed=True) < 0


def test_certificate_without_its_key_says_so(authority: Certificate) -> None:
    public = Certificate.from_pem(authority.certificate_pem)
    assert not public.has_private_key
    assert repr(public).endswith(", without its private key>")
    with pytest.raises(ConfigError, match="the certificate of 'CN=Example CA' has no private key"):
        _ = public.private_key_pem


def test_certificates_are_equal_by_their_bytes(authority: Certificate) -> None:
    public = Certificate.from_pem(authority.certificate_pem)
    assert public == authority
    assert len({public, authority, OWN}) == 2
    assert OWN != OTHER
    assert OWN.certificate_pem != OWN


def test_repr_shows_whose_it_is_and_no_key() -> None:
    made = Certificate.generate(days=1, curve="P-384")
    assert repr(made) == f"<Certificate 'CN=localhost', P-384, until {made.not_after:%Y-%m-%d}, with its private key>"


def test_key_is_never_pickled(authority: Certificate) -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="cannot be pickled, since the key would be in the pickle"):
            pickle.dumps(authority, protocol)
    public = Certificate.from_pem(authority.certificate_pem)
    assert pickle.loads(pickle.dumps(public)) == public
    assert copy.deepcopy([authority])[0] is copy.copy(authority) is authority


def test_expiry() -> None:
    assert certificate_of(issue("old", age=LONG_AGO)).is_expired
    assert not certificate_of(issue("new")).is_expired


def test_there_is_no_other_way_to_make_one() -> None:
    with pytest.raises(TypeError, match=r"Certificate\.generate\(\).*Certificate\.from_pem\(\)"):
        Certificate()


def test_setting_tls_takes_certificates(authority: Certificate) -> None:
    own = Certificate.generate(signed_by=authority)
    tls = TLSConfig(ca=authority, certificate=own)
    certificate, key = own.certificate_pem.encode(), own.private_key_pem.encode()
    assert (tls.ca, tls.certificate, tls.key) == (authority.certificate_pem.encode(), certificate, key)
    assert tls == TLSConfig.of({"ca": authority, "certificate": own, "key": own.private_key_pem})
    # Never the authority's key.
    assert TLSConfig(ca=authority).key is None


def test_setting_tls_refuses_a_certificate_without_its_key(authority: Certificate) -> None:
    public = Certificate.from_pem(OWN.certificate_pem)
    with pytest.raises(ConfigError, match=r"setting tls\.certificate is given without tls\.key, expected both"):
        TLSConfig(ca=authority, certificate=public)
    assert TLSConfig(ca=authority, certificate=public, key=OWN.private_key_pem).key is not None
