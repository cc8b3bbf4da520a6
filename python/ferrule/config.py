"""The settings of a client: how it starts its plugin and talks to it. Checked when the objects are made."""

import inspect
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

from ferrule import _validation as rules
from ferrule._secrecy import forgetful, forgetful_init
from ferrule.certificate import CURVE
from ferrule.errors import ConfigError
from ferrule.integrity import SecureConfig
from ferrule.logs import OutputTarget
from ferrule.tls import TLSConfig

if TYPE_CHECKING:
    from ferrule.runner import Runner

__all__ = ["ClientConfig", "KeepalivePolicy", "RetryPolicy", "SecureConfig", "TLSConfig", "check_command"]

MAX_INT32 = 2**31 - 1
"""The highest limit of a message's size, in bytes: gRPC's own limits are of this type."""

MAX_INT63 = 2**63 - 1
"""The highest limit of a process's resource: the system takes anything above for infinity."""


def _is_output(value: Any) -> bool:
    write = getattr(value, "write", value)
    # A call of a coroutine function would run nothing.
    return callable(write) and not inspect.iscoroutinefunction(write)


PORT = rules.whole_number(1, 65535)
DIRECTORY = rules.path("the path of a directory")
PROGRAM = rules.path("the name or path of a program")
ARGUMENT = rules.path("an argument: text or a path, without NUL", empty=True)
GROUP = rules.text("the name or number of a group")
SIZE = rules.optional(rules.whole_number(1, MAX_INT32))
SECONDS = rules.seconds()
# gRPC takes milliseconds, as an int of 32 bits.
GRPC_SECONDS = rules.seconds(MAX_INT32 // 1000)
OUTPUT = rules.optional(rules.instance("a function that takes bytes (not async), or a file", _is_output))
RUNNER = rules.optional(
    rules.instance(
        "a Runner: an object with an asynchronous start()",
        lambda value: not isinstance(value, type) and inspect.iscoroutinefunction(getattr(value, "start", None)),
    )
)
LOGGER = rules.optional(
    rules.instance("a logging.Logger or the name of one", lambda value: isinstance(value, logging.Logger | str))
)

# The value of a setting that was left out, where the default depends on another setting: ClientConfig.__post_init__.
_UNSAID: Any = None


@rules.settings
@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """The number and the pauses of further attempts after a failed start.

    No further attempt follows an error that would repeat itself: a program that is missing or cannot be executed, a
    setting that does not fit, or a SecurityError.

    Attributes:
        attempts: Starts in all, the first included; 1 or more, default 3.
        backoff: Seconds to wait before the second start; default 0.1.
        backoff_multiplier: The factor by which each wait is longer than the one before; 1 or more, default 2.
        max_backoff: The longest wait, in seconds; default 5.

    Raises:
        ConfigError: A value does not fit.
    """

    attempts: Annotated[int, rules.whole_number(1, MAX_INT32)] = 3
    backoff: Annotated[float, SECONDS] = 0.1
    backoff_multiplier: Annotated[float, rules.number("a number, 1 or more", lambda value: value >= 1)] = 2.0
    max_backoff: Annotated[float, SECONDS] = 5.0

    def __post_init__(self) -> None:
        rules.check_fields(self, "retry.")


@rules.settings
@dataclass(frozen=True, slots=True, kw_only=True)
class KeepalivePolicy:
    """Pings on an idle connection, to notice a plugin that hangs.

    grpc-go, the server of stock Go plugins, closes the connection of a host that pings more often than once in 5
    minutes (`keepalive.EnforcementPolicy.MinTime`); `time` should not be less unless the plugin allows it.

    Attributes:
        time: Seconds without traffic before a ping; default 330, half a minute more than grpc-go asks for.
        timeout: Seconds to wait for the answer before the connection counts as lost; default 20.

    Raises:
        ConfigError: A value does not fit.
    """

    time: Annotated[float, GRPC_SECONDS] = 330.0
    timeout: Annotated[float, GRPC_SECONDS] = 20.0

    def __post_init__(self) -> None:
        rules.check_fields(self, "keepalive.")


@forgetful_init
@rules.settings
@dataclass(frozen=True, slots=True, kw_only=True)
class ClientConfig:
    """All settings of a client. The defaults are Terraform's, so that any provider binary starts.

    The object cannot change, and its repr shows no environment values, cookie value or key. Lists become tuples and
    whole numbers of seconds become floats. `tls`, `retry`, `keepalive` and `secure_config` may be mappings of their
    settings.

    Attributes:
        env: Variables for the plugin's environment, text to text; they win over the host's. Default none.
        cwd: Working directory of the plugin; default None, the host's.
        skip_host_env: Whether to keep the host's own environment from the plugin; default False. The plugin then gets
            `env` and the protocol's variables: no PATH, HOME or TMPDIR.
        magic_cookie_key: The variable by which the plugin recognises its host; default `TF_PLUGIN_MAGIC_COOKIE`.
        magic_cookie_value: The value of that variable; default Terraform's.
        protocol_versions: Application protocol versions that the caller's stubs speak, one or more, 0 or higher, in any
            order; default `(5, 6)`. The plugin takes the highest that it knows, by go-plugin's rule.
        auto_mtls: Whether to use mutual TLS with one-time certificates, pinned on both sides; default True, or False if
            `tls` is given. False without `tls` is plaintext.
        tls: The caller's own certificates instead, a `TLSConfig`; default None.
        certificate_curve: Curve of the one-time key: `P-256` (default, the fastest), `P-384` or `P-521`. SEC 2 names
            such as `secp256r1` and lower case are accepted.
        transports: The networks on which the plugin may listen: `unix`, `tcp` or both; default both.
        min_port: Lowest TCP port for a plugin that listens on TCP, 1 to 65535; default 10000, as go-plugin's.
        max_port: Highest TCP port, 1 to 65535; default 25000, as go-plugin's.
        start_timeout: Seconds from the launch to the handshake line; default 60, as go-plugin's.
        connect_timeout: Seconds from the handshake line to the first answered health check; default 10.
        shutdown_timeout: Seconds from the call `GRPCController.Shutdown` to SIGTERM, in which the plugin is to end;
            default 2, as go-plugin waits before its SIGKILL.
        kill_timeout: Seconds from SIGTERM to SIGKILL; default 1.
        retry: Further attempts after a failed start, a `RetryPolicy`; default None, none.
        max_receive_bytes: Largest message accepted, in bytes; default None, no limit (Terraform's schemas exceed gRPC's
            usual 4 MiB).
        max_send_bytes: Largest message sent, in bytes; default None, no limit.
        keepalive: Pings on an idle connection, a `KeepalivePolicy`; default None, none. Stock Go plugins tolerate at
            most one ping in 5 minutes.
        grpc_options: Further channel options, pairs of name and value as gRPC has them; default none.
        channel: The kind of `grpc_channel`: `native` (default), Ferrule's own channel under grpcio's interface, or
            `grpcio`, a stock channel over a local socket, for features that the native one lacks.
        sync_stdout: The target of the plugin's own standard output after its handshake: a function that takes bytes, a
            binary file, or a text file; default None, nowhere.
        sync_stderr: The target of the plugin's standard error as far as the plugin sends it over gRPC: a function that
            takes bytes, a binary file, or a text file; default None, nowhere. Log lines do not come here.
        logger: Logger for the plugin's log lines, or its name; default None, `ferrule.plugin.NAME` after the program.
        die_with_host: Whether the plugin is killed, with all that it started but daemons, when the host ends, however
            that happens; default True. Linux only; elsewhere it has no effect.
        broker_multiplex: Whether all connections, brokered ones included, share one socket; default False. The plugin
            must know multiplexing (go-plugin 1.6 and later), and cannot be reattached to.
        secure_config: The checksum without which the program is not started, a `SecureConfig`; default None, any.
        unix_socket_group: Group that may connect to the plugin's sockets, its name or number; default None, only the
            user who runs the plugin.
        unix_socket_dir: The directory in which the private one of the plugin's sockets is made; default None, the
            temporary directory. A path above 56 bytes leaves too little room for a socket's name, and one with `|`,
            control characters or bytes that are no UTF-8 fits into no handshake line: then `/tmp` is taken.
        max_memory_bytes: Largest address space of the plugin, in bytes (RLIMIT_AS); default None, the host's limit. A
            Go plugin reserves far more than it uses: 1 to 2 GB. Linux only.
        max_cpu_seconds: Seconds of CPU time after which the system ends the plugin (RLIMIT_CPU: SIGXCPU, and SIGKILL a
            second later), a whole number; default None, the host's limit. Linux only.
        managed: Whether `ferrule.cleanup_clients()` ends the plugin, and the interpreter's exit ends it by the whole
            ladder instead of killing it; default False. A managed client is kept until it is closed.
        runner: The `Runner` that starts the plugin; default None, the core, as a plain child. `die_with_host` has no
            effect on a runner, `secure_config` and the limits are refused with one. help(ferrule.Runner) describes it.

    Raises:
        ConfigError: A value does not fit, or two contradict each other.

    Example:
        >>> config = ClientConfig(env={"TF_LOG": "DEBUG"}, start_timeout=5)
        >>> config.env["TF_LOG"], config.start_timeout, config.auto_mtls
        ('DEBUG', 5.0, True)
    """

    env: Annotated[Mapping[str, str], rules.environment()] = rules.Environment()
    cwd: Annotated[str | os.PathLike[str] | None, rules.optional(DIRECTORY)] = None
    skip_host_env: Annotated[bool, rules.flag()] = False
    magic_cookie_key: Annotated[str, rules.text("a variable's name", forbidden="=\0")] = "TF_PLUGIN_MAGIC_COOKIE"
    magic_cookie_value: Annotated[str, rules.text("text that is not empty", secret=True)] = field(
        # Terraform's, which is public: it tells a provider that its host knows providers, and protects nothing.
        default="d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2",
        repr=False,
    )
    protocol_versions: Annotated[tuple[int, ...], rules.several(rules.whole_number(0, MAX_INT32))] = (5, 6)
    auto_mtls: Annotated[bool, rules.flag()] = _UNSAID
    tls: Annotated[TLSConfig | None, rules.optional(rules.nested(TLSConfig, "tls.", secret=True))] = None
    certificate_curve: Annotated[str, CURVE] = "P-256"
    transports: Annotated[tuple[str, ...], rules.several(rules.one_of("unix", "tcp"))] = ("unix", "tcp")
    min_port: Annotated[int, PORT] = 10000
    max_port: Annotated[int, PORT] = 25000
    start_timeout: Annotated[float, SECONDS] = 60.0
    connect_timeout: Annotated[float, SECONDS] = 10.0
    shutdown_timeout: Annotated[float, SECONDS] = 2.0
    kill_timeout: Annotated[float, SECONDS] = 1.0
    retry: Annotated[RetryPolicy | None, rules.optional(rules.nested(RetryPolicy, "retry."))] = None
    max_receive_bytes: Annotated[int | None, SIZE] = None
    max_send_bytes: Annotated[int | None, SIZE] = None
    keepalive: Annotated[KeepalivePolicy | None, rules.optional(rules.nested(KeepalivePolicy, "keepalive."))] = None
    grpc_options: Annotated[tuple[tuple[str, Any], ...], rules.pairs()] = ()
    channel: Annotated[Literal["native", "grpcio"], rules.one_of("native", "grpcio")] = "native"
    sync_stdout: Annotated[OutputTarget | None, OUTPUT] = None
    sync_stderr: Annotated[OutputTarget | None, OUTPUT] = None
    logger: Annotated[logging.Logger | str | None, LOGGER] = None
    die_with_host: Annotated[bool, rules.flag()] = True
    broker_multiplex: Annotated[bool, rules.flag()] = False
    secure_config: Annotated[SecureConfig | None, rules.optional(rules.nested(SecureConfig, "secure_config."))] = None
    unix_socket_group: Annotated[str | None, rules.optional(GROUP)] = None
    unix_socket_dir: Annotated[str | os.PathLike[str] | None, rules.optional(DIRECTORY)] = None
    max_memory_bytes: Annotated[int | None, rules.optional(rules.whole_number(1, MAX_INT63))] = None
    max_cpu_seconds: Annotated[int | None, rules.optional(rules.whole_number(1, MAX_INT63))] = None
    managed: Annotated[bool, rules.flag()] = False
    runner: Annotated["Runner | None", RUNNER] = None

    def __post_init__(self) -> None:
        if self.auto_mtls is _UNSAID:
            object.__setattr__(self, "auto_mtls", self.tls is None)
        rules.check_fields(self)
        if self.auto_mtls and self.tls is not None:
            message = "settings auto_mtls and tls are both given, expected one way to protect the connection"
            raise ConfigError(
                message, "Leave auto_mtls out, or set it to False, to use your certificates.", rules.INVALID
            )
        if self.min_port > self.max_port:
            message = f"settings min_port and max_port are {self.min_port} and {self.max_port}, expected a range"
            raise ConfigError(message, "Swap the two.", rules.INVALID)
        for name in ("secure_config", "max_memory_bytes", "max_cpu_seconds"):
            if self.runner is not None and getattr(self, name) is not None:
                message = f"settings runner and {name} are both given, expected one: only the core can see to {name}"
                raise ConfigError(message, f"Leave {name} out, and have the runner see to it.", rules.INVALID)

    @classmethod
    @forgetful
    def of(cls, config: "ClientConfig | Mapping[str, Any] | None") -> "ClientConfig":
        """A configuration from any form in which a caller has it.

        Args:
            config: A configuration, a mapping of settings, or None for the defaults.

        Returns:
            The configuration, checked.

        Raises:
            ConfigError: A setting is unknown or does not fit.
        """
        # Secret in every form: a list of pairs holds the same values as a mapping.
        expected = rules.optional(rules.nested(cls, "", secret=True))
        hint = "Pass a dict of settings, a ClientConfig, one of ferrule.families or nothing."
        checked: ClientConfig | None = rules.check("config", config, expected, hint)
        return cls() if checked is None else checked


def check_command(command: Sequence[str | os.PathLike[str]]) -> tuple[str, ...]:
    """The command line of a plugin as text.

    Args:
        command: The program and its arguments, one element each; a program without a slash is looked up on PATH.

    Returns:
        The command line as a tuple of str.

    Raises:
        ConfigError: The command is no list, has no program, or has an element that cannot be passed to a process.

    Example:
        >>> check_command(["terraform-provider-null", "-debug"])
        ('terraform-provider-null', '-debug')
    """
    if isinstance(command, str):
        message = f"the command is {rules.shown(command)} (str), expected a list of the program and its arguments"
        raise ConfigError(message, _split_hint(command), rules.INVALID)
    hint = "Pass a list such as ['terraform-provider-null', '-debug']."
    if not isinstance(command, Sequence) or isinstance(command, bytes | bytearray) or not command:
        given = f"{rules.shown(command)} ({type(command).__name__})"
        raise ConfigError(f"the command is {given}, expected a list with at least the program", hint, rules.INVALID)
    return tuple(
        rules.check(f"command[{index}]", element, ARGUMENT if index else PROGRAM, hint)
        for index, element in enumerate(command)
    )


def _split_hint(command: str) -> str:
    import shlex

    try:
        return f"Pass {shlex.split(command)!r}, which is shlex.split(command)."
    except ValueError:
        return "Pass a list; shlex.split(command) makes one of a command with correct quotes."
