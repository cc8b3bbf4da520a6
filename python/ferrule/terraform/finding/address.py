"""Source addresses of providers, `[HOST/][NAMESPACE/]TYPE`, and the patterns of them in the CLI configuration."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Final

from ferrule import _validation as rules
from ferrule.errors import ConfigError

__all__ = ["REGISTRY_HOSTS", "Address", "Pattern", "check_core", "normal_host", "normal_part"]

REGISTRY_HOSTS: Final = {
    "terraform": ("registry.terraform.io", "registry.opentofu.org"),
    "opentofu": ("registry.opentofu.org", "registry.terraform.io"),
}
"""The hosts of an address that names none, the core's own first: a mirror that the other made lies under its own."""

_DEFAULT_NAMESPACE = "hashicorp"
_HINT = "Pass a source address such as hashicorp/random, or a path that begins with ./ or /."
_MAX_PORT = 65535


def check_core(core: str) -> str:
    """The name of a core, refused if it is neither `terraform` nor `opentofu`."""
    text: str = rules.check("core", core, rules.one_of(*REGISTRY_HOSTS))
    return text


def normal_part(text: str) -> str | None:
    """A namespace or type in the form in which it is compared, or None if it is none.

    Rules of the cores: letters, digits and single dashes inside, without difference of case, like a label of a host.
    """
    part = unicodedata.normalize("NFKC", text).lower()
    if not part or part[0] == "-" or part[-1] == "-" or "--" in part:
        return None
    if not all(letter.isalnum() or letter == "-" or unicodedata.category(letter)[0] == "M" for letter in part):
        return None
    return part


def normal_host(text: str) -> str | None:
    """A host in the form in which it is compared, or None if it is none; the port 443 is left out."""
    name, colon, port = text.partition(":")
    labels = [normal_part(label) for label in name.split(".")]
    if None in labels:
        return None
    if colon:
        if not (port.isascii() and port.isdigit() and len(port) <= len(str(_MAX_PORT))):
            return None
        if not 0 < int(port) <= _MAX_PORT:
            return None
        colon, port = ("", "") if int(port) == 443 else (":", str(int(port)))
    return ".".join(label for label in labels if label) + colon + port


@dataclass(frozen=True, slots=True)
class Address:
    """A provider's full source address, in the form in which the cores compare it.

    Attributes:
        host: The registry, which need not exist.
        namespace: The publisher in it.
        type: The provider's name.
    """

    host: str
    namespace: str
    type: str

    def __str__(self) -> str:
        return f"{self.host}/{self.namespace}/{self.type}"

    @property
    def program(self) -> str:
        """The name with which the provider's program begins."""
        return f"terraform-provider-{self.type}"

    @classmethod
    def candidates(cls, text: str, core: str = "terraform") -> tuple[Address, ...]:
        """The addresses that a text may mean, the likeliest first: several where it names no host.

        Raises:
            ConfigError: The text is no address.
        """
        parts = text.split("/")
        if not 1 <= len(parts) <= 3:
            raise _refused(text, "expected [HOST/][NAMESPACE/]TYPE")
        kind = normal_part(parts[-1])
        namespace = normal_part(parts[-2]) if len(parts) > 1 else _DEFAULT_NAMESPACE
        hosts = (normal_host(parts[0]),) if len(parts) == 3 else REGISTRY_HOSTS[core]
        if kind is None or namespace is None:
            raise _refused(text, "expected [HOST/][NAMESPACE/]TYPE of letters, digits and single dashes")
        for prefix in ("terraform-provider-", "opentofu-provider-"):
            if kind.startswith(prefix) and len(kind) > len(prefix):
                meant = "/".join([*parts[:-1], kind.removeprefix(prefix)])
                raise _refused(text, f"expected a type without {prefix}: {meant}")
        for prefix in ("terraform-", "opentofu-"):
            if kind.startswith(prefix):
                raise _refused(text, f"no type begins with {prefix}")
        found = tuple(cls(host, namespace, kind) for host in hosts if host is not None)
        if not found:
            raise _refused(text, f"{rules.shown(parts[0])} is no host")
        return found


def _refused(text: str, why: str) -> ConfigError:
    return ConfigError(f"the provider is {rules.shown(text)}, {why}", _HINT, rules.INVALID)


@dataclass(frozen=True, slots=True)
class Pattern:
    """What `include` and `exclude` of an installation method name: an address with `*` for all at its end.

    Attributes:
        hosts: The hosts that match; None for all.
        namespace: The namespace that matches; None for all.
        type: The type that matches; None for all.
    """

    hosts: tuple[str, ...] | None
    namespace: str | None
    type: str | None

    @classmethod
    def of(cls, text: str, core: str = "terraform") -> Pattern:
        """Reads a pattern.

        Raises:
            ValueError: The text is no pattern; the message says why.
        """
        parts = text.split("/")
        if not 2 <= len(parts) <= 3:
            raise ValueError(f"{rules.shown(text)} has {len(parts)} parts, expected two or three between slashes")
        host = normal_host(parts[0]) if len(parts) == 3 and parts[0] != "*" else None
        namespace, kind = (None if part == "*" else normal_part(part) for part in parts[-2:])
        wild = [part == "*" for part in parts]
        if any(value is None and not is_wild for value, is_wild in zip((namespace, kind), wild[-2:], strict=True)):
            raise ValueError(f"{rules.shown(text)} is no pattern of an address")
        if len(parts) == 3 and host is None and not wild[0]:
            raise ValueError(f"{rules.shown(text)} names no host")
        if wild != sorted(wild):
            raise ValueError(f"{rules.shown(text)} has a wildcard before a name, expected them at the end alone")
        hosts = REGISTRY_HOSTS[core] if len(parts) == 2 else None if wild[0] else (host or "",)
        return cls(hosts, namespace, kind)

    def matches(self, address: Address) -> bool:
        """Whether an address is among those that the pattern names."""
        return (
            (self.hosts is None or address.host in self.hosts)
            and self.namespace in (None, address.namespace)
            and self.type in (None, address.type)
        )
