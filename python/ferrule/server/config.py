"""The settings of a plugin, checked when they are given."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from ferrule import _validation as rules
from ferrule._secrecy import forgetful, forgetful_init
from ferrule.certificate import CURVE
from ferrule.config import MAX_INT32, SECONDS, SIZE, ClientConfig
from ferrule.errors import ConfigError
from ferrule.tls import TLSConfig

if TYPE_CHECKING:
    import grpc.aio

    from ferrule.broker import GRPCBroker

__all__ = ["Register", "ServerConfig", "Services", "server_options", "services_by_version"]

Register: TypeAlias = "Callable[[grpc.aio.Server, GRPCBroker], Awaitable[None] | None]"
"""A function that adds an application's servicers to a server; the broker is for calling services of the host. May be a
coroutine function."""

Services: TypeAlias = "Register | Mapping[int, Register]"
"""A plugin's services: one function for all protocol versions, or one for each version."""

TERRAFORM_MESSAGE_BYTES = 256 << 20
"""The limit in both directions of providers that are written with Terraform's own SDK."""


def _level(value: Any) -> int:
    number = logging.getLevelNamesMapping().get(value) if isinstance(value, str) else value
    if not isinstance(number, int) or isinstance(number, bool):
        raise ValueError
    return number


def _interceptors(value: Any) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError
    return tuple(value)


LEVEL = rules.Rule("a level of logging, such as logging.DEBUG or 'DEBUG'", _level)
INTERCEPTORS = rules.Rule("a list of interceptors", _interceptors)


@forgetful_init
@rules.settings
@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """All settings of a plugin. Only the cookie has no default: a plugin and its hosts agree on one.

    Attributes:
        magic_cookie_key: Name of the environment variable by which a host announces itself.
        magic_cookie_value: Value of that variable. The cookie keeps people from starting a plugin by hand and is no
            secret.
        protocol_versions: Application protocol versions of the services, one or more, 0 or higher; default None, which
            is version 1, or the versions of the mapping that was given as services.
        network: The kind of socket: `unix` (default), or `tcp` on 127.0.0.1, in the port range that the host names.
        tls: The plugin's own certificates, a `TLSConfig` with `certificate` and `key`, whose `ca` says who may connect;
            default None, AutoMTLS if the host asks for it and else plaintext, as with Go plugins.
        certificate_curve: Curve of AutoMTLS's one-time key: `P-256` (default, the fastest), `P-384` or `P-521`. SEC 2
            names such as `secp256r1` and lower case are accepted.
        max_receive_bytes: Largest request accepted, in bytes; default 4 MiB, that of Go plugins. None is no limit.
        max_send_bytes: Largest response sent, in bytes; default None, no limit, as in Go plugins.
        grace: Seconds that open calls have to end after a Shutdown; default 0.5. A Go host kills the plugin 2 seconds
            after its Shutdown.
        threads: Most calls that servicers without async handle at once, each on a thread; default 32.
        interceptors: Interceptors for asyncio (`grpc.aio.ServerInterceptor`), the outermost first; default none.
        grpc_options: Further server options, pairs of name and value as gRPC has them; default none.
        log_level: Lowest level that is logged, if logging is not set up and `serve` does it; default `INFO`.

    Raises:
        ConfigError: A value does not fit, or two contradict each other.

    Example:
        >>> config = ServerConfig(magic_cookie_key="KV_PLUGIN", magic_cookie_value="hello", log_level="DEBUG")
        >>> config.network, config.max_receive_bytes, config.log_level
        ('unix', 4194304, 10)
    """

    magic_cookie_key: Annotated[str, rules.text("a variable's name", forbidden="=\0")]
    magic_cookie_value: Annotated[str, rules.text("text that is not empty", secret=True)] = field(repr=False)
    protocol_versions: Annotated[
        tuple[int, ...] | None, rules.optional(rules.several(rules.whole_number(0, MAX_INT32)))
    ] = None
    network: Annotated[str, rules.one_of("unix", "tcp")] = "unix"
    tls: Annotated[TLSConfig | None, rules.optional(rules.nested(TLSConfig, "tls.", secret=True))] = None
    certificate_curve: Annotated[str, CURVE] = "P-256"
    max_receive_bytes: Annotated[int | None, SIZE] = 4 << 20
    max_send_bytes: Annotated[int | None, SIZE] = None
    grace: Annotated[float, SECONDS] = 0.5
    threads: Annotated[int, rules.whole_number(1, 10_000)] = 32
    interceptors: Annotated[tuple[Any, ...], INTERCEPTORS] = ()
    grpc_options: Annotated[tuple[tuple[str, Any], ...], rules.pairs()] = ()
    log_level: Annotated[int | str, LEVEL] = logging.INFO

    def __post_init__(self) -> None:
        rules.check_fields(self)
        if self.tls is not None and self.tls.certificate is None:
            message = "setting tls has no certificate, expected one: a plugin is the server of its connections"
            raise ConfigError(message, "Add tls.certificate and tls.key.", rules.INVALID)

    @classmethod
    @forgetful
    def of(cls, config: "ServerConfig | Mapping[str, Any]") -> "ServerConfig":
        """A checked configuration.

        Args:
            config: A configuration, which is returned, or a mapping of settings.

        Returns:
            The configuration, checked.

        Raises:
            ConfigError: A setting is unknown, missing, or does not fit.
        """
        hint = "Pass a dict of settings or a ServerConfig; ServerConfig.terraform() has those of a Terraform provider."
        checked: ServerConfig = rules.check("config", config, rules.nested(cls, "", secret=True), hint)
        return checked

    @classmethod
    @forgetful
    def terraform(cls, *, protocol_versions: tuple[int, ...] | None = (6,), **settings: Any) -> "ServerConfig":
        """The settings of a Terraform provider: Terraform's cookie, and messages of up to 256 MiB.

        Args:
            protocol_versions: `(6,)` (default) for a provider that serves `tfplugin6.Provider`, `(5,)` for
                `tfplugin5.Provider`; None if the services are given by version.
            **settings: Further settings, or other values for the cookie and the limits.

        Raises:
            ConfigError: A setting is unknown or does not fit.

        Example:
            >>> ServerConfig.terraform().magic_cookie_key
            'TF_PLUGIN_MAGIC_COOKIE'
        """
        host = ClientConfig()
        given: dict[str, Any] = {
            "magic_cookie_key": host.magic_cookie_key,
            "magic_cookie_value": host.magic_cookie_value,
            "protocol_versions": protocol_versions,
            "max_receive_bytes": TERRAFORM_MESSAGE_BYTES,
            "max_send_bytes": TERRAFORM_MESSAGE_BYTES,
        }
        return cls.of({**given, **settings})


def services_by_version(services: Services, config: ServerConfig) -> Mapping[int, Register]:
    """The function that registers the services of each protocol version.

    Raises:
        ConfigError: There is none, one is no function, or the versions are not those of the settings.
    """
    if not isinstance(services, Mapping):
        services = dict.fromkeys(config.protocol_versions or (1,), services)
    elif config.protocol_versions is not None and set(config.protocol_versions) != set(services):
        message = f"setting protocol_versions is {config.protocol_versions}, but the services are of {tuple(services)}"
        raise ConfigError(message, "Leave protocol_versions out: the mapping names the versions.", rules.INVALID)
    hint = "Pass a function of a server and a broker, or a mapping from each protocol version to one."
    rules.check("services", list(services), rules.several(rules.whole_number(0, MAX_INT32)), hint)
    function = rules.instance("a function that takes a server and a broker", callable)
    return {
        version: rules.check(f"services[{version}]", register, function, hint) for version, register in services.items()
    }


def server_options(config: ServerConfig) -> list[tuple[str, Any]]:
    """The options of the plugin's gRPC server."""
    unlimited = -1
    return [
        ("grpc.max_receive_message_length", config.max_receive_bytes or unlimited),
        ("grpc.max_send_message_length", config.max_send_bytes or unlimited),
        # The one client is the host, whose keepalive pings must not end the connection.
        ("grpc.http2.max_ping_strikes", 0),
        # The caller's options come last, so that they win.
        *config.grpc_options,
    ]
