"""ReattachConfig: the way to reach a plugin that runs already."""

import os
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Self

from ferrule import _core
from ferrule import _validation as rules
from ferrule._secrecy import Sealed, forgetful, forgetful_init
from ferrule.errors import ConfigError

__all__ = ["ReattachConfig", "ReattachTLS"]

ENVIRONMENT_NAME = "TF_REATTACH_PROVIDERS"
"""The variable in which Terraform looks for providers that run under a debugger."""

_CODE = "reattach.invalid"
"""The core's code for text that it cannot read."""

_MAX_INT32 = 2**31 - 1
# The version that Terraform assumes for a provider that names none.
_TERRAFORM_VERSION = 5
_DEFAULT_HOST, _DEFAULT_NAMESPACE = "registry.terraform.io", "hashicorp"


def _grpc(value: Any) -> str:
    if value in {"", "netrpc"}:
        # Go reads the empty name as net/rpc.
        raise ValueError("net/rpc is a protocol of Go programs alone; build the plugin with a gRPC server")
    if value != "grpc":
        raise ValueError
    return "grpc"


PEM = rules.text("PEM text", secret=True)


@forgetful_init
@rules.settings
@dataclass(frozen=True, slots=True, kw_only=True)
class ReattachTLS:
    """The one-time certificates of a plugin's first host, without which a plugin with AutoMTLS refuses connections.

    Their owner can take the host's place. They never appear in a repr or an error message.

    Attributes:
        certificate: The host's certificate, PEM.
        private_key: The key of `certificate`, PEM.
        server_certificate: The plugin's certificate, PEM: the only one that the host accepts.

    Raises:
        ConfigError: A value is no text, or empty.
    """

    certificate: Annotated[str, PEM] = field(repr=False)
    private_key: Annotated[str, PEM] = field(repr=False)
    server_certificate: Annotated[str, PEM] = field(repr=False)

    def __post_init__(self) -> None:
        rules.check_fields(self, "reattach.tls.")


@forgetful_init
@rules.settings
@dataclass(frozen=True, slots=True, kw_only=True)
class ReattachConfig:
    """A plugin that another program started: its address, process and protocol.

    The configuration comes from a client's `reattach_config()`, from JSON in go-plugin's form, or, for a Terraform
    provider under a debugger, from the environment.

    Attributes:
        protocol: `grpc`; a plugin of Go's net/rpc is refused.
        protocol_version: The application protocol version that the plugin speaks; default 0, unknown.
        network: `unix` or `tcp`.
        address: Path of the plugin's socket, or `HOST:PORT`; `:PORT` is this machine.
        pid: The plugin's process id, by which its end is noticed; default None, unknown.
        test: Whether the plugin serves in go-plugin's test mode, where hosts come and go; default False.
        tls: Certificates of a plugin that was started with AutoMTLS, a `ReattachTLS`; default None. Without it the
            connection is plaintext, unless the client's configuration has `tls`.
        owned: Whether this host may end the plugin, with every step of the ladder up to SIGKILL; default False: closing
            the client then leaves it running. Not part of the JSON, and not possible in test mode.

    Raises:
        ConfigError: A value does not fit.

    Example:
        >>> text = '{"Protocol": "grpc", "ProtocolVersion": 6, "Addr": {"Network": "unix", "String": "/tmp/plugin1"}}'
        >>> ReattachConfig.from_json(text).address
        '/tmp/plugin1'
    """

    protocol: Annotated[str, rules.Rule("'grpc'", _grpc)] = "grpc"
    protocol_version: Annotated[int, rules.whole_number(0, _MAX_INT32)] = 0
    network: Annotated[str, rules.one_of("unix", "tcp")]
    address: Annotated[str, rules.text("the path of a socket, or HOST:PORT")]
    pid: Annotated[int | None, rules.optional(rules.whole_number(1, _MAX_INT32))] = None
    test: Annotated[bool, rules.flag()] = False
    tls: Annotated[ReattachTLS | None, rules.optional(rules.nested(ReattachTLS, "reattach.tls.", secret=True))] = None
    owned: Annotated[bool, rules.flag()] = False

    def __post_init__(self) -> None:
        rules.check_fields(self, "reattach.")
        _core.check_reattach_address(self.network, self.address)
        if self.owned and self.pid is None:
            message = "setting reattach.owned is True, and reattach.pid is None, expected a process that can be ended"
            raise ConfigError(message, "Give the plugin's process id, or leave owned out.", rules.INVALID)
        if self.owned and self.test:
            message = "settings reattach.owned and reattach.test are both True, expected one or neither"
            raise ConfigError(message, "A plugin in test mode belongs to whoever started it.", rules.INVALID)

    @classmethod
    @forgetful
    def from_json(cls, text: str) -> Self:
        """Reads one configuration, with go-plugin's names in any case.

        Args:
            text: A JSON object, as `to_json` writes it or as a Go program writes its own.

        Raises:
            ConfigError: The text cannot be read, or a value does not fit.
        """
        return cls._of(_core.parse_reattach_config(text))

    def to_json(self, *, include_secrets: bool = False) -> str:
        """The configuration as JSON with go-plugin's names, for another process of this machine.

        Args:
            include_secrets: Whether to write the certificates and the private key too, under the name `Tls`; default
                False. Keep such text from logs, and from files that others may read.
        """
        tls = self.tls if include_secrets else None
        fields = Sealed(
            protocol=self.protocol,
            protocol_version=self.protocol_version,
            network=self.network,
            address=self.address,
            pid=self.pid,
            test=self.test,
            tls=None if tls is None else _sealed(tls),
        )
        return _core.format_reattach_config(fields)

    @classmethod
    @forgetful
    def from_environment(cls, provider: str | None = None, environ: Mapping[str, str] | None = None) -> Self:
        """A Terraform provider that runs under a debugger, from the variable `TF_REATTACH_PROVIDERS`.

        Args:
            provider: The provider's source address: `hashicorp/time`, `registry.terraform.io/hashicorp/time` and `time`
                are equal; case does not matter. Default None: the only one.
            environ: The variables to look in; default None, this process's environment.

        Raises:
            ConfigError: The variable is missing or cannot be read, or does not hold one provider of that name.
        """
        value = (os.environ if environ is None else environ).get(ENVIRONMENT_NAME, "")
        if not value.strip():
            message = f"the variable {ENVIRONMENT_NAME} is not set, expected what a provider with -debug prints"
            raise ConfigError(message, "Start the provider with -debug, and copy the variable that it prints.", _CODE)
        entries = _core.parse_reattach(value)
        wanted = None if provider is None else _source(provider)
        found = [entry for entry in entries if wanted in (None, _normal(entry["name"]))]
        if len(found) != 1:
            names = ", ".join(rules.shown(entry["name"]) for entry in entries) or "none"
            asked = "one provider" if wanted is None else f"one named {wanted}"
            message = f"the variable {ENVIRONMENT_NAME} holds {len(entries)} providers ({names}), expected {asked}"
            raise ConfigError(message, "Pass the provider's source address, such as hashicorp/time.", _CODE)
        fields = {name: content for name, content in found[0].items() if name != "name"}
        return cls._of({**fields, "protocol_version": fields["protocol_version"] or _TERRAFORM_VERSION})

    @classmethod
    def _of(cls, fields: Mapping[str, Any]) -> Self:
        """The configuration from the core's dict; Go writes an unknown process as 0."""
        return rules.from_mapping(cls, {**fields, "pid": fields.get("pid") or None}, "reattach.")

    def without_secrets(self) -> Self:
        """A copy of the configuration without certificates and key."""
        return replace(self, tls=None)

    def core_settings(self) -> Sealed:
        """The configuration in the form of the core's setting `reattach`."""
        tls = self.tls
        return Sealed(
            network=self.network,
            address=self.address,
            pid=self.pid,
            protocol_version=self.protocol_version,
            owned=self.owned,
            identity=None if tls is None else (tls.certificate, tls.private_key),
            server_certificate=None if tls is None else tls.server_certificate,
        )


def _sealed(tls: ReattachTLS) -> Sealed:
    return Sealed(certificate=tls.certificate, private_key=tls.private_key, server_certificate=tls.server_certificate)


def _source(address: str) -> str:
    """A provider's source address in full, as Terraform compares them.

    Raises:
        ConfigError: The address has no such form.
    """
    parts = address.split("/") if isinstance(address, str) else []
    if not 1 <= len(parts) <= 3 or not all(parts):
        message = f"the provider is {rules.shown(address)}, expected [HOST/][NAMESPACE/]TYPE"
        raise ConfigError(message, "For example hashicorp/time.", rules.INVALID)
    return _normal(address)


def _normal(address: str) -> str:
    """An address in the form in which it is compared: no difference of case or presentation, by IDNA; no port 443."""
    parts = unicodedata.normalize("NFKC", address).lower().split("/")
    host, namespace, name = [_DEFAULT_HOST, _DEFAULT_NAMESPACE][: 3 - len(parts)] + parts[-3:]
    return f"{host.removesuffix(':443')}/{namespace}/{name}"
