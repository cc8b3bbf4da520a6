"""What the clients do alike over a plugin's life, on whatever they wait."""

from __future__ import annotations

import atexit
import functools
import os
import warnings
from collections.abc import Iterator

from ferrule import _core
from ferrule.config import RetryPolicy
from ferrule.errors import ConfigError, RPCPluginError, SecurityError, TransportError

__all__ = [
    "already_starting",
    "check_process",
    "closed_while_starting",
    "end_plugins_at_exit",
    "is_final",
    "is_parents",
    "no_plugin",
    "pauses",
    "warn_of_unclosed",
]

# Seconds; far more than SIGKILL takes.
_EXIT_LIMIT = 5.0


@functools.cache
def end_plugins_at_exit() -> None:
    """Sees to it that plugins which nobody closed do not outlive the interpreter."""
    atexit.register(_core.end_all, _EXIT_LIMIT)


def pauses(policy: RetryPolicy | None) -> Iterator[float]:
    """Seconds to wait after each failed start that another one follows; none without a policy."""
    if policy is not None:
        pause = policy.backoff
        for _ in range(policy.attempts - 1):
            yield pause
            pause = min(pause * policy.backoff_multiplier, policy.max_backoff)


def is_final(error: RPCPluginError) -> bool:
    """Whether trying again would be pointless, or, where security failed, wrong."""
    refused_by_system = error.code in {"launch.not-found", "launch.refused"}
    return refused_by_system or isinstance(error, ConfigError | SecurityError)


def closed_while_starting() -> TransportError:
    """The error of the core's kind Cancelled, for the moments in which the core does not run."""
    return TransportError("the client was closed while it started", "Nothing to do.", "client.cancelled")


def already_starting() -> RPCPluginError:
    """The error of a start during another."""
    return RPCPluginError("start() is already running", "Wait for it, or call close() to give it up.")


def no_plugin(purpose: str) -> RPCPluginError:
    """The error of what needs a plugin that was started."""
    return RPCPluginError(f"there is no plugin to {purpose}", "Call start() first.")


def is_parents(process_id: int) -> bool:
    """Whether a client's plugin is that of the process of which this one is a fork: there is nothing to give back."""
    return process_id != os.getpid()


def check_process(client: object, process_id: int) -> None:
    """Checks that a client is used by the process that started its plugin.

    The core would say the same, but a fork has none of the threads that a client may wait for before it comes to that.

    Raises:
        RuntimeError: This process is a fork of that one.
    """
    if is_parents(process_id):
        raise RuntimeError(
            f"the plugin of {client!r} belongs to process {process_id}, of which this one is a fork. "
            'Start plugins after the fork, or have multiprocessing use the start method "spawn".'
        )


def warn_of_unclosed(client: object) -> None:
    """Warns of a client that is collected while its plugin runs."""
    message = f"{client!r} was never closed: it is closed now, and the plugin killed if it is its own"
    warnings.warn(message, ResourceWarning, stacklevel=2, source=client)
