"""The checks of what the methods of pools are given; a refusal names the argument, its value and what is expected."""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

from ferrule import _validation as rules
from ferrule.errors import ConfigError
from ferrule.pool.limits import Limits
from ferrule.pool.spec import PluginSpec

__all__ = [
    "SOCKET_VARIABLE",
    "checked_awaitable",
    "checked_force",
    "checked_function",
    "checked_limits",
    "checked_name",
    "checked_priority",
    "checked_seconds",
    "checked_socket",
    "checked_spec",
    "checked_specs",
    "checked_subscriber",
]

SOCKET_VARIABLE: Final = "FERRULE_POOL_SOCKET"
"""Names the path of a metrics socket, for programs that do not ask for one."""

_PRIORITY: Final = rules.whole_number(-(2**31), 2**31 - 1)

_LIMITS: Final = rules.instance("Limits", lambda value: isinstance(value, Limits))

_FUNCTION: Final = rules.instance("a function", callable)

_SUBSCRIBER: Final = rules.instance(
    "a function that is not async", lambda value: callable(value) and not inspect.iscoroutinefunction(value)
)


def _seconds() -> rules.Rule:
    def accept(value: Any) -> float:
        # What is left of a time may be 0 or less, and there may be no end.
        if isinstance(value, bool) or not isinstance(value, int | float) or not value <= math.inf:
            raise ValueError
        return float(max(min(value, rules.MAX_SECONDS), 0))

    return rules.Rule("seconds", accept)


def _socket() -> rules.Rule:
    path = rules.path("a path")

    def accept(value: Any) -> bool | str:
        return value if isinstance(value, bool) else str(path.accept(value))

    return rules.Rule("True, False or the path of a socket", accept)


_SECONDS: Final = _seconds()
_SOCKET: Final = _socket()


def checked_spec(value: Any) -> PluginSpec:
    """A spec. Another value is not quoted: settings of a plugin may have secrets.

    Raises:
        ConfigError: The value does not fit; so do all others here.
    """
    if isinstance(value, PluginSpec):
        return value
    shown = f"{os.fspath(value)!r} ({type(value).__name__})" if isinstance(value, str | os.PathLike) else None
    message = f"the spec is {shown or f'of type {type(value).__name__}'}, expected a PluginSpec"
    hint = "Make a spec of the command and its settings once, and lease that: PluginSpec([program, ...], {...})."
    raise ConfigError(message, hint, rules.INVALID)


def checked_specs(value: Any) -> list[PluginSpec]:
    """Several specs."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        hint = "Pass a list of specs."
        raise ConfigError(f"the specs are of type {type(value).__name__}, expected several", hint, rules.INVALID)
    return [checked_spec(each) for each in value]


def checked_priority(value: Any) -> int:
    """The priority of a lease."""
    return int(rules.check("priority", value, _PRIORITY))


def checked_seconds(value: Any) -> float:
    """A timeout."""
    return float(rules.check("timeout", value, _SECONDS))


def checked_force(value: Any) -> bool:
    """Whether leases are revoked."""
    return bool(rules.check("force", value, rules.flag()))


def checked_limits(value: Any) -> Limits:
    """The limits of a pool."""
    limits: Limits = rules.check("limits", value, _LIMITS, "Pass Limits(...).")
    return limits


def checked_name(value: Any) -> str:
    """The name of a pool."""
    return str(rules.check("name", value, rules.text("a name")))


def checked_socket(value: Any) -> bool | str:
    """Whether there is a metrics socket, or its path."""
    socket: bool | str = rules.check("metrics_socket", value, _SOCKET)
    return socket


def checked_function(value: Any) -> Callable[..., Any]:
    """What is called with a lease."""
    function: Callable[..., Any] = rules.check("function", value, _FUNCTION)
    return function


def checked_awaitable(value: Any) -> Awaitable[Any]:
    """What a function that is called with a lease returned."""
    if inspect.isawaitable(value):
        return value
    hint = "Define it with async def; ferrule.sync.PluginPool takes one that is not async."
    message = f"the function was called with the lease, and returned an object of type {type(value).__name__}"
    raise ConfigError(f"{message}, expected one that can be awaited", hint, rules.INVALID)


def checked_subscriber(value: Any) -> Callable[..., Any]:
    """What is called with events."""
    function: Callable[..., Any] = rules.check("on_event", value, _SUBSCRIBER)
    return function
