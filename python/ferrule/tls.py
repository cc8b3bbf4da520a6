"""The caller's own certificates: the setting `tls`."""

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from ferrule.errors import ConfigError
from ferrule.rules import CODE, Rule, check_fields, optional, text

Pem: TypeAlias = "str | bytes | os.PathLike[str]"
"""PEM itself, as text or bytes, or the path of a PEM file; a str that contains `-----BEGIN` is PEM."""


def _read_pem(value: Any) -> bytes:
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    if isinstance(value, str) and "-----BEGIN" in value:
        return value.encode()
    if not isinstance(value, str | os.PathLike) or not os.fspath(value):
        raise ValueError
    from pathlib import Path

    try:
        return Path(value).read_bytes()
    except (OSError, ValueError) as error:
        # Text that is taken for a path may be a key without its PEM frame; base64 has no dot, and paths no line ends.
        is_path = isinstance(value, os.PathLike) or ("." in value and "\n" not in value)
        shown = repr(os.fspath(value)) if is_path else "the file"
        raise ValueError(f"{shown} cannot be read: {getattr(error, 'strerror', None) or 'not a path'}") from None


def pem(what: str) -> Rule:
    """PEM of some kind; kept as bytes. Secret, since a key may stand where a certificate belongs."""
    return Rule(f"{what}: PEM, or the path of a PEM file", _read_pem, secret=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class TLSConfig:
    """Certificates of the caller's own, in place of AutoMTLS's one-time pair.

    Files are read, and everything is checked, when the object is made. Each certificate and key is PEM, as text or
    bytes, or the path of a PEM file; a str that contains `-----BEGIN` is PEM. They are kept as PEM bytes and never
    appear in a repr or an error message.

    Attributes:
        ca: One or more certificates to trust.
        certificate: The host's own certificate, followed by its intermediates if any; default None, for plugins that
            do not ask for one. Given with `key` or not at all.
        key: The private key of `certificate`, not encrypted; default None.
        server_name: The name that the plugin's certificate must carry; default `localhost`.

    Raises:
        ConfigError: A file cannot be read, or what it holds does not parse, is encrypted, or does not belong together.
    """

    ca: Annotated[bytes, pem("certificates to trust")] = field(repr=False)
    certificate: Annotated[bytes | None, optional(pem("a certificate"))] = field(default=None, repr=False)
    key: Annotated[bytes | None, optional(pem("a private key"))] = field(default=None, repr=False)
    server_name: Annotated[str, text("a host name")] = "localhost"

    if TYPE_CHECKING:
        # What the constructor takes is more than what the attributes hold.
        def __init__(
            self, *, ca: Pem, certificate: Pem | None = None, key: Pem | None = None, server_name: str = "localhost"
        ) -> None: ...

    def __post_init__(self) -> None:
        check_fields(self, "tls.")
        _certificates("ca", self.ca)
        if (self.certificate is None) != (self.key is None):
            given, missing = ("certificate", "key") if self.key is None else ("key", "certificate")
            message = f"setting tls.{given} is given without tls.{missing}, expected both or neither"
            raise ConfigError(message, f"Add tls.{missing}.", CODE)
        if self.certificate is not None and self.key is not None:
            _check_pair(self.certificate, self.key)


def _certificates(name: str, data: bytes) -> list[Any]:
    # Only callers with their own certificates pay for this import, about 100 ms.
    from cryptography import x509

    try:
        return list(x509.load_pem_x509_certificates(data))
    except ValueError as error:
        message = f"setting tls.{name} holds {len(data)} bytes without a readable certificate, expected PEM: {error}"
        raise ConfigError(message, "A PEM certificate starts with -----BEGIN CERTIFICATE-----.", CODE) from None


def _check_pair(certificate: bytes, key: bytes) -> None:
    leaf = _certificates("certificate", certificate)[0]
    if _private_key(key).public_key() != leaf.public_key():
        message = f"setting tls.key does not belong to tls.certificate of {leaf.subject.rfc4514_string()!r}"
        hint = (
            "Give the key with which the certificate was requested; in a chain the host's own certificate comes first."
        )
        raise ConfigError(message, hint, CODE)


def _private_key(data: bytes) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        return load_pem_private_key(data, password=None)
    except TypeError:
        hint = "Decrypt it into a file that only you can read: openssl pkey -in encrypted.pem -out key.pem"
        raise ConfigError("setting tls.key is encrypted, expected a plain private key", hint, CODE) from None
    except (ValueError, UnsupportedAlgorithm):
        message = f"setting tls.key holds {len(data)} bytes without a readable private key, expected PEM"
        raise ConfigError(message, "A PEM key starts with -----BEGIN PRIVATE KEY-----.", CODE) from None
