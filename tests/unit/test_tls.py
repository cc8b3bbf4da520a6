"""The caller's own certificates: every form they come in, and every way in which they cannot work."""

import datetime
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from ferrule.config import ClientConfig
from ferrule.errors import ConfigError
from ferrule.tls import TLSConfig

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
KEY_MAKERS: dict[str, Callable[[], PrivateKey]] = {
    "P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "P-521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "RSA": lambda: rsa.generate_private_key(65537, 2048),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
}


class Pair(NamedTuple):
    certificate: bytes
    key: bytes


def key_pem(
    key: PrivateKey,
    encryption: KeySerializationEncryption | None = None,
    form: PrivateFormat = PrivateFormat.PKCS8,
) -> bytes:
    return key.private_bytes(Encoding.PEM, form, encryption or NoEncryption())


def self_signed(key: PrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "plugin.test")])
    now = datetime.datetime.now(datetime.UTC)
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, algorithm)
    )
    return certificate.public_bytes(Encoding.PEM)


@pytest.fixture(scope="module")
def key() -> PrivateKey:
    return KEY_MAKERS["P-256"]()


@pytest.fixture(scope="module")
def pair(key: PrivateKey) -> Pair:
    return Pair(self_signed(key), key_pem(key))


@pytest.mark.parametrize("make_key", KEY_MAKERS.values(), ids=KEY_MAKERS)
def test_pair_of_any_kind_is_kept_as_pem(make_key: Callable[[], PrivateKey]) -> None:
    key = make_key()
    certificate = self_signed(key)
    tls = TLSConfig(ca=certificate, certificate=certificate, key=key_pem(key))
    assert (tls.ca, tls.certificate, tls.key, tls.server_name) == (certificate, certificate, key_pem(key), "localhost")


@pytest.mark.parametrize("form", ["bytes", "bytearray", "text", "text with a preamble", "path", "path as text"])
def test_every_form_of_pem_is_read(form: str, pair: Pair, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_bytes(pair.certificate)
    forms: dict[str, Any] = {
        "bytes": pair.certificate,
        "bytearray": bytearray(pair.certificate),
        "text": pair.certificate.decode(),
        "text with a preamble": "subject=CN = plugin.test\n" + pair.certificate.decode(),
        "path": file,
        "path as text": str(file),
    }
    tls = TLSConfig(ca=forms[form])
    assert tls.ca.endswith(pair.certificate)
    assert (tls.certificate, tls.key) == (None, None)


def test_file_is_read_at_once(pair: Pair, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_bytes(pair.certificate)
    tls = TLSConfig(ca=file)
    file.unlink()
    assert tls.ca == pair.certificate


def test_key_is_never_shown(pair: Pair) -> None:
    config = ClientConfig(tls=TLSConfig(ca=pair.certificate, certificate=pair.certificate, key=pair.key))
    assert "BEGIN" not in repr(config)
    assert repr(config.tls) == "TLSConfig(server_name='localhost')"


def refusal(**settings: Any) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        ClientConfig.of({"tls": settings})
    assert caught.value.code == "config.invalid"
    return caught.value


def test_key_of_another_certificate_is_refused(pair: Pair) -> None:
    error = refusal(ca=pair.certificate, certificate=pair.certificate, key=key_pem(KEY_MAKERS["P-256"]()))
    assert error.message == "setting tls.key does not belong to tls.certificate of 'CN=plugin.test'"


def test_leaf_of_a_chain_decides(pair: Pair) -> None:
    other = self_signed(KEY_MAKERS["P-256"]())
    assert TLSConfig(ca=pair.certificate, certificate=pair.certificate + other, key=pair.key)
    assert "does not belong" in refusal(ca=other, certificate=other + pair.certificate, key=pair.key).message


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_encrypted_key_is_refused_with_the_cure(form: PrivateFormat, key: PrivateKey, pair: Pair) -> None:
    encrypted = key_pem(key, BestAvailableEncryption(b"secret"), form)
    error = refusal(ca=pair.certificate, certificate=pair.certificate, key=encrypted)
    assert error.message == "setting tls.key is encrypted, expected a plain private key"
    assert "openssl pkey -in" in str(error.hint)


@pytest.mark.parametrize(("given", "missing"), [("key", "certificate"), ("certificate", "key")])
def test_half_a_pair_is_refused(given: str, missing: str, pair: Pair) -> None:
    error = refusal(ca=pair.certificate, **{given: getattr(pair, given)})
    assert error.message == f"setting tls.{given} is given without tls.{missing}, expected both or neither"


def test_authority_is_required() -> None:
    assert refusal().message.startswith("setting tls.ca is missing, expected certificates to trust")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (b"nothing", "setting tls.ca holds 7 bytes without a readable certificate"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "setting tls.ca holds 59 bytes without"),
        ("no-such.pem", "'no-such.pem' cannot be read: No such file or directory"),
        (Path("/"), "'/' cannot be read: Is a directory"),
        ("/", "'/' cannot be read: Is a directory"),
        ("a.pem\0", "cannot be read: not a path"),
        ("", "setting tls.ca is <hidden> (str), expected certificates to trust"),
        (5, "setting tls.ca is <hidden> (int), expected certificates to trust"),
        (None, "setting tls.ca is <hidden> (NoneType), expected certificates to trust"),
    ],
)
def test_authority_that_cannot_be_read_is_refused(value: Any, words: str) -> None:
    assert words in refusal(ca=value).message


def test_no_message_repeats_a_key(pair: Pair) -> None:
    body = "".join(pair.key.decode().splitlines()[1:-1])
    damaged = pair.key.replace(b"M", b"N")
    for settings in (
        {"key": body, "certificate": pair.certificate},
        {"key": f"my.key\n{body}", "certificate": pair.certificate},
        {"key": damaged, "certificate": pair.certificate},
        {"key": pair.key, "certificate": pair.key},
        {"key": pair.key, "certificate": pair.certificate, "server_name": ""},
    ):
        error = refusal(ca=pair.certificate, **settings)
        assert error.message.startswith(("setting tls.key", "setting tls.certificate", "setting tls.server_name"))
        shown = "".join(traceback.format_exception(error))
        assert not any(body[start : start + 12] in shown for start in range(0, len(body), 12))


@pytest.mark.parametrize(("auto_mtls", "kept"), [({}, False), ({"auto_mtls": False}, False)])
def test_own_certificates_replace_auto_mtls(auto_mtls: dict[str, bool], kept: bool, pair: Pair) -> None:
    config = ClientConfig.of({"tls": {"ca": pair.certificate, "server_name": "plugin.test"}, **auto_mtls})
    assert config.auto_mtls is kept
    assert config.tls == TLSConfig(ca=pair.certificate, server_name="plugin.test")


def test_two_ways_to_protect_a_connection_are_refused(pair: Pair) -> None:
    with pytest.raises(ConfigError, match="settings auto_mtls and tls are both given"):
        ClientConfig(auto_mtls=True, tls=TLSConfig(ca=pair.certificate))


def test_cryptography_is_loaded_only_when_needed() -> None:
    code = "import sys, ferrule.config; ferrule.config.ClientConfig(); sys.exit('cryptography' in sys.modules)"
    environment = {"PYTHONPATH": ":".join(filter(None, sys.path))}
    assert subprocess.run([sys.executable, "-c", code], env=environment, timeout=60, check=False).returncode == 0
