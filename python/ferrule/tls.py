"""TLSConfig: the caller's own certificates, for the setting `tls`."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from ferrule._secrecy import Sealed, forgetful, forgetful_init
from ferrule._validation import INVALID, Rule, check, check_fields, nested, optional, text
from ferrule.errors import ConfigError

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
        # A file that the system has found is a path, with any name.
        is_found = isinstance(error, IsADirectoryError | PermissionError)
        is_path = is_found or isinstance(value, os.PathLike) or ("." in value and "\n" not in value)
        shown = repr(os.fspath(value)) if is_path else "the file"
        raise ValueError(f"{shown} cannot be read: {getattr(error, 'strerror', None) or 'not a path'}") from None


def pem(what: str) -> Rule:
    """PEM of the kind that `what` names; kept as bytes. Secret, since a key may stand where a certificate belongs."""
    return Rule(f"{what}: PEM, or the path of a PEM file", _read_pem, secret=True)


@forgetful_init
@dataclass(frozen=True, slots=True, kw_only=True)
class TLSConfig:
    """Certificates of the caller's own, in place of AutoMTLS's one-time pair.

    Files are read, and everything is checked, when the object is made. Each certificate and key is PEM, as text or
    bytes, or the path of a PEM file; a str that contains `-----BEGIN` is PEM. They are kept as PEM bytes and never
    appear in a repr or an error message.

    Attributes:
        ca: One or more certificates to trust.
        certificate: The host's own certificate, followed by its intermediates if any; default None, for plugins that
            request none. Given with `key` or not at all.
        key: The private key of `certificate`, not encrypted; default None.
        server_name: The name that the plugin's certificate must carry; default `localhost`.

    Raises:
        ConfigError: A file cannot be read, its content does not parse or is encrypted, or certificate and key do not
            belong together.
    """

    ca: Annotated[bytes, pem("certificates to trust")] = field(repr=False)
    certificate: Annotated[bytes | None, optional(pem("a certificate"))] = field(default=None, repr=False)
    key: Annotated[bytes | None, optional(pem("a private key"))] = field(default=None, repr=False)
    server_name: Annotated[str, text("a host name")] = "localhost"

    if TYPE_CHECKING:
        # The constructor takes more forms than the attributes hold.
        def __init__(
            self, *, ca: Pem, certificate: Pem | None = None, key: Pem | None = None, server_name: str = "localhost"
        ) -> None: ...

    @classmethod
    @forgetful
    def of(cls, tls: "TLSConfig | Mapping[str, Any] | None") -> "TLSConfig | None":
        """Certificates from any form in which a caller has them.

        Args:
            tls: Certificates, a mapping of their settings, or None, which stays None.

        Raises:
            ConfigError: A setting is unknown or does not fit.
        """
        checked: TLSConfig | None = check("tls", tls, optional(nested(cls, "tls.", secret=True)))
        return checked

    def __post_init__(self) -> None:
        check_fields(self, "tls.")
        # Loaded late: only callers with their own certificates need the core.
        from ferrule import _core

        _core.check_certificates("ca", self.ca)
        if (self.certificate is None) != (self.key is None):
            given, missing = ("certificate", "key") if self.key is None else ("key", "certificate")
            message = f"setting tls.{given} is given without tls.{missing}, expected both or neither"
            raise ConfigError(message, f"Add tls.{missing}.", INVALID)
        if self.certificate is not None and self.key is not None:
            _core.check_pair(self.certificate, self.key)


def tls_settings(tls: TLSConfig) -> Sealed:
    """The certificates in the form of the core's setting `tls`."""
    return Sealed(ca=tls.ca, certificate=tls.certificate, key=tls.key, server_name=tls.server_name)
