"""The words that label what a pool measures: few, and known before anything has happened."""

from __future__ import annotations

from typing import Final

from ferrule.errors import (
    ConfigError,
    ConnectTimeoutError,
    HandshakeError,
    LaunchError,
    PluginExitedError,
    ProtocolError,
    SecurityError,
    TransportError,
)

__all__ = [
    "BREAKER_STATES",
    "ERROR_TYPES",
    "EXIT_REASONS",
    "LEASE_OUTCOMES",
    "NO_ERROR",
    "PLUGIN_STATES",
    "START_PHASES",
    "error_type",
]

PLUGIN_STATES: Final = (
    "queued",
    "starting",
    "configuring",
    "ready",
    "leased",
    "draining",
    "stopping",
    "broken",
)
"""The states of a pooled plugin."""

BREAKER_STATES: Final = ("closed", "backing_off", "half_open", "open")
"""The states of a key: starts are allowed; the next one waits; one is tried as a probe; all fail at once."""

START_PHASES: Final = ("slot_wait", "launch", "handshake", "connect", "health", "configure")
"""The phases of a start in their order; those from `launch` to `health` are a client's `timings`."""

LEASE_OUTCOMES: Final = ("warm", "cold", "timeout", "refused", "failed", "cancelled")
"""How a wait for a lease ends: without or with a start, or with `LeaseTimeout`, `PoolFull`, another error, nothing."""

EXIT_REASONS: Final = (
    "idle",
    "age",
    "calls",
    "memory",
    "pressure",
    "crash",
    "evicted",
    "close",
)
"""Why a plugin ends: a limit of its spec (`memory` by its size), the pool's memory (`pressure`), or one who asked."""

NO_ERROR: Final = "none"
"""The type of error of a start that succeeds."""

_TYPE_BY_CLASS: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (PluginExitedError, "exited"),
    (ConnectTimeoutError, "timeout"),
    (TimeoutError, "timeout"),
    (HandshakeError, "handshake"),
    (SecurityError, "security"),
    (LaunchError, "launch"),
    (TransportError, "transport"),
    (ProtocolError, "protocol"),
    (ConfigError, "config"),
)

ERROR_TYPES: Final = (NO_ERROR, *dict.fromkeys(name for _, name in _TYPE_BY_CLASS), "other")
"""The types of errors that label starts."""


def error_type(error: BaseException | None) -> str:
    """The type of a start's error, one of `ERROR_TYPES`.

    Example:
        >>> error_type(None), error_type(TimeoutError()), error_type(ValueError())
        ('none', 'timeout', 'other')
    """
    if error is None:
        return NO_ERROR
    return next((name for kind, name in _TYPE_BY_CLASS if isinstance(error, kind)), "other")
