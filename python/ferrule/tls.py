"""TLSConfig: the caller's own certificates, for the setting `tls`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from ferrule._pem import Pem, pem
from ferrule._secrecy import Sealed, forgetful, forgetful_init
from ferrule._validation import INVALID, Rule, check, check_fields, nested, optional, settings, text
from ferrule.certificate import Certificate
from ferrule.errors import ConfigError


def _certificates(what: str) -> Rule:
    """PEM of certificates, or a Certificate, of which the key stays behind; kept as PEM bytes."""
    plain = pem(what)

    def accept(value: Any) -> bytes:
        return bytes(value.certificate_pem.encode() if isinstance(value, Certificate) else plain.accept(value))

    return Rule(f"{what}: a ferrule.Certificate, PEM, or the path of a PEM file", accept, secret=True)


@forgetful_init
@settings
@dataclass(frozen=True, slots=True, kw_only=True)
class TLSConfig:
    """Certificates of the caller's own, in place of AutoMTLS's one-time pair.

    Files are read, and everything is checked, when the object is made. Each certificate and key is PEM, as text or
    bytes, or the path of a PEM file; a str that contains `-----BEGIN` is PEM. A certificate may be a
    `ferrule.Certificate` too. They are kept as PEM bytes and never appear in a repr or an error message.

    Attributes:
        ca: One or more certificates to trust.
        certificate: The host's own certificate, followed by its intermediates if any; default None, for plugins that
            request none. Given with `key` or not at all.
        key: The private key of `certificate`, not encrypted; default None, that of a `ferrule.Certificate` which has
            one.
        server_name: The name that the plugin's certificate must carry; default `localhost`.

    Raises:
        ConfigError: A file cannot be read, its content does not parse or is encrypted, or certificate and key do not
            belong together.
    """

    ca: Annotated[bytes, _certificates("certificates to trust")] = field(repr=False)
    certificate: Annotated[bytes | None, optional(_certificates("a certificate"))] = field(default=None, repr=False)
    key: Annotated[bytes | None, optional(pem("a private key"))] = field(default=None, repr=False)
    server_name: Annotated[str, text("a host name")] = "localhost"

    if TYPE_CHECKING:
        # The constructor takes more forms than the attributes hold.
        def __init__(
            self,
            *,
            ca: Pem | Certificate,
            certificate: Pem | Certificate | None = None,
            key: Pem | None = None,
            server_name: str = "localhost",
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
        given: object = self.certificate
        if isinstance(given, Certificate) and given.has_private_key and self.key is None:
            object.__setattr__(self, "key", given.private_key_pem)
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
