"""Certificate: authorities, servers and clients for the setting `tls`, made or read."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, final

from ferrule import _validation as rules
from ferrule._pem import Pem, pem
from ferrule._secrecy import forgetful
from ferrule.errors import ConfigError

if TYPE_CHECKING:
    import datetime
    from ipaddress import IPv4Address, IPv6Address

    from ferrule import _core

__all__ = ["CURVE", "Certificate", "Usage"]

Usage: TypeAlias = Literal["authority", "server", "client", "peer"]
"""What a certificate is for: signing others, being connected to, connecting, or both of these (`peer`)."""

MAX_DAYS: Final = 36_500
"""The longest life of a certificate that is made here, about a hundred years."""

MAX_COMMON_NAME_CHARACTERS: Final = 64
"""The bound of X.520."""

_SECONDS_PER_DAY: Final = 86_400.0

CURVE: Final = rules.one_of(
    "P-256",
    "P-384",
    "P-521",
    also={
        f"{prefix}{bits}{suffix}": f"P-{bits}"
        for prefix, suffix in (("p-", ""), ("secp", "r1"))
        for bits in (256, 384, 521)
    },
)
"""The curves of keys that are made here, by the names of NIST and of SEC 2."""

_LABEL: Final = r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)"
_DNS_NAME: Final = re.compile(rf"(?=.{{1,253}}\Z)(?:\*\.)?(?:{_LABEL}\.)*(?![0-9]+\Z){_LABEL}")


def _common_name(value: Any) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_COMMON_NAME_CHARACTERS:
        raise ValueError
    if not value.isprintable() or value != value.strip():
        raise ValueError
    return value


def _dns_name(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{rules.shown(value)} is no text")
    if not _DNS_NAME.fullmatch(value):
        raise ValueError(f"{rules.shown(value)} is {_what_instead_of_dns_name(value)}")
    return value


def _what_instead_of_dns_name(value: str) -> str:
    if _is_ip_address(value):
        return "an IP address, put it into ip_addresses"
    return "no DNS name" if value.isascii() else "not ASCII, write such a name as xn--..."


def _is_ip_address(value: str) -> bool:
    import ipaddress

    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


def _ip_address(value: Any) -> IPv4Address | IPv6Address:
    import ipaddress

    # Not numbers, for which ip_address() knows addresses too.
    if not isinstance(value, str | ipaddress.IPv4Address | ipaddress.IPv6Address):
        raise ValueError(f"{rules.shown(value)} is no IP address")
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        instead = "a DNS name, put it into dns_names" if _DNS_NAME.fullmatch(str(value)) else "no IP address"
        raise ValueError(f"{rules.shown(value)} is {instead}") from None
    if getattr(address, "scope_id", None):
        raise ValueError(f"{rules.shown(str(address))} has a scope, which certificates cannot say")
    return address


_COMMON_NAME: Final = rules.Rule(f"text of 1 to {MAX_COMMON_NAME_CHARACTERS} printable characters", _common_name)
_DNS_NAMES: Final = rules.optional(rules.several(rules.Rule("a DNS name", _dns_name)))
_IP_ADDRESSES: Final = rules.optional(rules.several(rules.Rule("an IP address", _ip_address)))
_USAGE: Final = rules.one_of("authority", "server", "client", "peer")
_DAYS: Final = rules.number(f"days: more than 0, at most {MAX_DAYS}", lambda value: 0 < value <= MAX_DAYS)
_SIGNED_BY: Final = rules.optional(
    rules.instance("a Certificate with its private key", lambda value: isinstance(value, Certificate))
)
_ONE_CERTIFICATE: Final = pem("one certificate")
_PRIVATE_KEY: Final = rules.optional(pem("a private key"))


@final
class Certificate:
    """An X.509 certificate, with its private key if that is known.

    `generate` makes one, `from_pem` reads one. The setting `tls` takes certificates as they are. The private key stays
    in the core, which wipes it, until `private_key_pem` is asked for. It is in no repr and no traceback, and a
    certificate with a key is refused by pickle: what is pickled ends up in files and on other machines, where nobody
    looks for keys. Two certificates are equal if their bytes are, with or without keys.

    Example:
        >>> from ferrule import Certificate, TLSConfig
        >>> authority = Certificate.generate(common_name="Example CA", usage="authority", days=3650)
        >>> plugin = Certificate.generate(dns_names=["localhost"], signed_by=authority)
        >>> plugin.subject, plugin.issuer, plugin.dns_names
        ('CN=localhost', 'CN=Example CA', ('localhost',))
        >>> TLSConfig(ca=authority, certificate=plugin)
        TLSConfig(server_name='localhost')
    """

    __slots__ = ("_core",)

    _core: _core.Certificate

    def __init__(self) -> None:
        raise TypeError("make a certificate with Certificate.generate(), or read one with Certificate.from_pem()")

    @classmethod
    def generate(
        cls,
        *,
        common_name: str | None = None,
        dns_names: Collection[str] | None = None,
        ip_addresses: Collection[str | IPv4Address | IPv6Address] | None = None,
        usage: Usage = "peer",
        days: float = 365,
        signed_by: Certificate | None = None,
        curve: str = "P-256",
    ) -> Certificate:
        """Makes a new private key and its certificate.

        The certificate begins 30 seconds ago, since clocks differ, and ends with that of its authority at the latest.

        Args:
            common_name: Whose it is, in 1 to 64 characters; default the first of its names, cut to so many. An
                authority needs one, and so does a client without names.
            dns_names: The names by which others connect to it, `*.example.com` included; default `localhost`, if it is
                for a server or peer without `ip_addresses`. An authority has none.
            ip_addresses: The addresses by which others connect to it, if they do so by address; default none.
            usage: `authority` signs servers, clients and peers, no further authorities. A `server` is connected to, a
                `client` connects, a `peer` (default) does both: so do hosts and plugins that have a broker.
            days: How long it is valid, more than 0; default 365.
            signed_by: The authority, with its private key; default None, signed by itself.
            curve: `P-256` (default, the fastest), `P-384` or `P-521`. SEC 2 names are accepted.

        Raises:
            ConfigError: An argument does not fit, or `signed_by` is no authority, has no key, or is not valid now.

        Example:
            >>> Certificate.generate(ip_addresses=["::1"], usage="server", curve="P-521").key
            'P-521'
        """
        names = rules.check("dns_names", dns_names, _DNS_NAMES) or ()
        addresses = tuple(map(str, rules.check("ip_addresses", ip_addresses, _IP_ADDRESSES) or ()))
        purpose = rules.check("usage", usage, _USAGE)
        if purpose == "authority" and (names or addresses):
            message = "dns_names or ip_addresses are given for an authority, expected none: nobody connects to it"
            raise ConfigError(message, "Make a second certificate, signed_by the authority.", rules.INVALID)
        if purpose in {"server", "peer"} and not names and not addresses:
            names = ("localhost",)
        if common_name is None:
            common_name = next((name[:MAX_COMMON_NAME_CHARACTERS] for name in (*names, *addresses)), None)
        checked_name = rules.check("common_name", common_name, _COMMON_NAME)
        signer = rules.check("signed_by", signed_by, _SIGNED_BY)
        seconds = rules.check("days", days, _DAYS) * _SECONDS_PER_DAY
        from ferrule import _core

        return _wrapped(
            _core.Certificate.generate(
                rules.check("curve", curve, CURVE),
                checked_name,
                (list(names), list(addresses)),
                purpose,
                seconds,
                signer and signer._core,
            )
        )

    @classmethod
    @forgetful
    def from_pem(cls, certificate: Pem, private_key: Pem | None = None) -> Certificate:
        """Reads one certificate, and its private key.

        Args:
            certificate: PEM as text or bytes, or the path of a PEM file. The private key may be in it too.
            private_key: The private key of the certificate, not encrypted, in the same forms; default None.

        Raises:
            ConfigError: A file cannot be read, there is not exactly one certificate, or the key cannot be read, is
                encrypted, or does not belong to the certificate.

        Example:
            >>> made = Certificate.generate()
            >>> Certificate.from_pem(made.certificate_pem, made.private_key_pem) == made
            True
        """
        from ferrule import _core

        text = rules.check("certificate", certificate, _ONE_CERTIFICATE)
        return _wrapped(_core.Certificate.from_pem(text, rules.check("private_key", private_key, _PRIVATE_KEY)))

    @property
    def certificate_pem(self) -> str:
        """The certificate as PEM, without its key; final newline included."""
        return self._core.certificate_pem

    @property
    def certificate_der(self) -> bytes:
        """The certificate in DER, without its key."""
        return self._core.der

    @property
    def private_key_pem(self) -> str:
        """The private key as PEM, final newline included: PKCS #8, or the form in which it was read.

        This is the only way in which the key leaves the object.

        Raises:
            ConfigError: The certificate was read without its key.
        """
        key = self._core.private_key_pem
        if key is None:
            message = f"the certificate of {self.subject!r} has no private key, expected one that was read with its key"
            raise ConfigError(message, "Pass private_key to Certificate.from_pem.", rules.INVALID)
        return key

    @property
    def has_private_key(self) -> bool:
        """Whether the private key is known."""
        return self._core.has_private_key

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate in DER, as 64 hexadecimal digits."""
        return self._core.fingerprint.hex()

    @property
    def subject(self) -> str:
        """Whose certificate it is, for example `CN=localhost`."""
        return self._core.subject

    @property
    def issuer(self) -> str:
        """Who has signed it; the subject itself if it is self-signed."""
        return self._core.issuer

    @property
    def serial_number(self) -> int:
        """The number that its signer gave it; random if it was made here."""
        return int.from_bytes(self._core.serial, signed=True)

    @property
    def key(self) -> str:
        """The kind of its key: `P-256`, `P-384`, `P-521`, `RSA`, or the object identifier of another."""
        return self._core.key

    @property
    def is_authority(self) -> bool:
        """Whether it may sign other certificates."""
        return self._core.is_authority

    @property
    def dns_names(self) -> tuple[str, ...]:
        """The DNS names that it is valid for."""
        return tuple(self._core.dns_names)

    @property
    def ip_addresses(self) -> tuple[IPv4Address | IPv6Address, ...]:
        """The IP addresses that it is valid for."""
        import ipaddress

        return tuple(map(ipaddress.ip_address, self._core.ip_addresses))

    @property
    def not_before(self) -> datetime.datetime:
        """The first moment at which it is valid, in UTC."""
        return _moment(self._core.not_before)

    @property
    def not_after(self) -> datetime.datetime:
        """The last moment at which it is valid, in UTC."""
        return _moment(self._core.not_after)

    @property
    def is_expired(self) -> bool:
        """Whether its last moment is over, by the clock of this machine."""
        import time

        return time.time() > self._core.not_after

    def __eq__(self, other: object) -> bool:
        return self._core.der == other._core.der if isinstance(other, Certificate) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._core.der)

    def __repr__(self) -> str:
        key = "with" if self.has_private_key else "without"
        return f"<Certificate {self.subject!r}, {self.key}, until {self.not_after:%Y-%m-%d}, {key} its private key>"

    def __copy__(self) -> Certificate:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Certificate:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        if self.has_private_key:
            message = "a Certificate with its private key cannot be pickled, since the key would be in the pickle"
            way_out = "pickle Certificate.from_pem(certificate.certificate_pem), or pass on private_key_pem yourself"
            raise TypeError(f"{message}: {way_out}")
        return Certificate.from_pem, (self.certificate_pem,)


def _wrapped(core: _core.Certificate) -> Certificate:
    certificate = object.__new__(Certificate)
    certificate._core = core
    return certificate


def _moment(timestamp: int) -> datetime.datetime:
    import datetime

    return datetime.datetime.fromtimestamp(timestamp, datetime.UTC)
