"""The exceptions that Ferrule raises.

The tree, with the builtin exceptions that each class is as well:

    RPCPluginError              anything below
    ├── ConfigError             a setting that cannot work (ValueError)
    ├── HandshakeError          the plugin started, but its handshake is missing or unusable
    │   ├── StartTimeoutError   no handshake in time (TimeoutError)
    │   └── PluginExitedError   the process ended where a live one was needed
    ├── ProtocolError           both sides talk, but not the same protocol
    ├── SecurityError           certificates, TLS, anything that must not be waved through
    └── TransportError          the connection could not be made or was lost (ConnectionError)
        ├── LaunchError         the program is missing or cannot be executed
        └── ConnectTimeoutError no connection in time (TimeoutError)

All of them have the attributes of `RPCPluginError`, keep them when pickled and copied, and explain themselves: what
failed, what to try, and how the plugin ended if it did.
"""

import re
import signal
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

__all__ = [
    "CLASS_BY_NAME",
    "ConfigError",
    "ConnectTimeoutError",
    "HandshakeError",
    "LaunchError",
    "PluginExitedError",
    "ProtocolError",
    "RPCPluginError",
    "SecurityError",
    "StartTimeoutError",
    "TransportError",
    "error_from_core",
    "panic_text",
    "refused_by_system",
]

PHASES = frozenset(
    {"broker", "client", "config", "connect", "grpc", "handshake", "integrity", "launch", "listen"}
    | {"pool", "ray", "reattach", "runner", "runtime", "server", "terraform", "tls"}
)
"""What the codes of Ferrule's own errors begin with."""

SHOWN_TAIL_LINES = 10
"""Lines of the plugin's last output that the text of an error repeats; `stderr_tail` has them all."""


class RPCPluginError(Exception):
    """The base of the exceptions that Ferrule raises.

    Args:
        message: What failed, with which value, and what was expected.
        hint: What to try; default none.
        code: Stable identifier such as `handshake.app-version`, kept as text; default none.
        exit_status: How the plugin ended, as `subprocess` has it: its exit code, or the negative number of the signal
            that ended it; default None, not known or still alive.
        stderr_tail: Last lines of the plugin's standard error, oldest first; default none.

    Attributes:
        message (str): As given.
        hint (str | None): As given.
        code (str | None): As given, as text.
        exit_status (int | None): As given.
        stderr_tail (tuple[str, ...]): As given.

    Example:
        >>> print(RPCPluginError("no port 0", hint="Use 1 to 9.", code="config.invalid"))
        [RPCPluginError] no port 0 [Code: config.invalid] (Hint: Use 1 to 9.) (More: ferrule explain config.invalid)
    """

    def __init__(
        self,
        message: str,
        hint: str | None = None,
        code: str | int | None = None,
        *,
        exit_status: int | None = None,
        stderr_tail: Iterable[str] = (),
    ) -> None:
        # One argument only: with two or more, the OSError among the bases of some subclasses takes them for errno,
        # strerror and file names.
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = None if code is None else str(code)
        self.exit_status = exit_status
        self.stderr_tail = tuple(stderr_tail)

    @property
    def explained_by(self) -> str | None:
        """The command that shows what the documentation says of the code; None for a code that is not Ferrule's."""
        is_ours = self.code is not None and self.code.partition(".")[0] in PHASES
        return f"ferrule explain {self.code}" if is_ours else None

    def __str__(self) -> str:
        code = f" [Code: {self.code}]" if self.code is not None else ""
        hint = f" (Hint: {self.hint})" if self.hint else ""
        more = f" (More: {self.explained_by})" if self.explained_by else ""
        lines = [f"[{type(self).__name__}] {self.message}{code}{hint}{more}"]
        if self.exit_status is not None:
            ending = _ending(self.exit_status)
            # The lookahead keeps "exit status 1" from being found in "exit status 127".
            if not re.search(re.escape(ending) + r"(?!\w)", self.message):
                lines.append(f"The plugin ended with {ending}.")
        if self.stderr_tail:
            lines.append("Last output of the plugin:")
            lines.extend(f"    {line}" for line in self.stderr_tail[-SHOWN_TAIL_LINES:])
        return "\n".join(lines)

    def __reduce__(self) -> tuple[Any, ...]:
        # The state restores all attributes; the default would lose them, and OSError's own would misread the arguments.
        return type(self), (self.message,), self.__dict__.copy()


class ConfigError(RPCPluginError, ValueError):
    """A setting that cannot work: unknown, of the wrong type, out of range, or contradicting another."""


class HandshakeError(RPCPluginError):
    """The plugin started, but its handshake is missing or unusable."""


class StartTimeoutError(HandshakeError, TimeoutError):
    """The plugin printed no handshake line within `start_timeout`."""


class PluginExitedError(HandshakeError):
    """The process ended where a live one was needed; `exit_status` and `stderr_tail` tell how.

    No builtin exception is a base: `ChildProcessError` means that there is no child to wait for, and `BrokenPipeError`
    is about a write.
    """


class ProtocolError(RPCPluginError):
    """Both sides talk, but different protocols."""


class SecurityError(RPCPluginError):
    """A check that protects the caller failed: certificates, TLS, the checksum of the program."""


class TransportError(RPCPluginError, ConnectionError):
    """The connection could not be made or was lost.

    A `ConnectionError` also has `errno`, `strerror` and `filename`; they are None.
    """


class LaunchError(TransportError):
    """The program is missing, cannot be executed, or the system could not provide what a process needs."""


class ConnectTimeoutError(TransportError, TimeoutError):
    """The plugin could not be connected to, or did not answer, within `connect_timeout`."""


CLASS_BY_NAME: Mapping[str, type[RPCPluginError]] = MappingProxyType(
    {
        "config": ConfigError,
        "launch": LaunchError,
        "handshake": HandshakeError,
        "start-timeout": StartTimeoutError,
        "exited": PluginExitedError,
        "protocol": ProtocolError,
        "security": SecurityError,
        "transport": TransportError,
        "connect-timeout": ConnectTimeoutError,
        # The task that is cancelled gets asyncio.CancelledError; this class is for the others that waited with it.
        "cancelled": TransportError,
    }
)
"""The exception class for each family of errors that the core knows."""


def error_from_core(
    class_name: str, code: str, message: str, hint: str, exit_status: int | None, stderr_tail: list[str]
) -> RPCPluginError:
    """The exception for an error of the core.

    Args:
        class_name: Family of the error, a key of `CLASS_BY_NAME`. An unknown family gives an `RPCPluginError`, so that
            the error itself is not lost.
        code: Stable identifier, `phase.rule`; empty for none.
        message: What failed.
        hint: What to try; empty for none.
        exit_status: How the plugin ended, as `subprocess` has it; None if unknown or alive.
        stderr_tail: Last lines of the plugin's standard error, oldest first.

    Returns:
        The exception, not raised.
    """
    exception = CLASS_BY_NAME.get(class_name, RPCPluginError)
    return exception(message, hint or None, code or None, exit_status=exit_status, stderr_tail=stderr_tail)


def panic_text(panic: BaseException) -> str:
    """The text of the RuntimeError that a panic of the core becomes: always a bug of this package."""
    return f"a bug in ferrule's core: {', '.join(map(str, panic.args))}; please report this"


def refused_by_system(what: str, error: Exception, hint: str | None = None) -> LaunchError:
    """The error for something that the operating system refused, with the code that the core uses for its own needs.

    Args:
        what: The thing that was wanted, such as "thread".
        error: The refusal.
        hint: What to try; default None, to check the limits of files and processes.
    """
    message = f"the operating system provides no {what}: {error}"
    return LaunchError(message, hint or "Check the limits of open files and processes.", "launch.failed")


def _ending(exit_status: int) -> str:
    """An exit status in the words of the core's messages."""
    if exit_status >= 0:
        return f"exit status {exit_status}"
    try:
        return f"signal {-exit_status} ({signal.Signals(-exit_status).name})"
    except ValueError:
        return f"signal {-exit_status}"
