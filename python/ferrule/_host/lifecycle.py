"""The steps of a plugin's life that both clients share, with the errors and warnings that belong to them."""

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
    "belongs_to_parent",
    "check_process",
    "closed_while_starting",
    "end_plugins_at_exit",
    "is_permanent",
    "no_plugin",
    "retry_pauses",
    "warn_of_unclosed",
]

# Seconds; far more than SIGKILL takes.
_EXIT_LIMIT = 5.0


@functools.cache
def end_plugins_at_exit() -> None:
    """Has plugins that were never closed end with the interpreter."""
    atexit.register(_core.end_all, _EXIT_LIMIT)


def retry_pauses(policy: RetryPolicy | None) -> Iterator[float]:
    """Seconds to wait before each further attempt; no attempts without a policy."""
    if policy is not None:
        pause = policy.backoff
        for _ in range(policy.attempts - 1):
            yield pause
            pause = min(pause * policy.backoff_multiplier, policy.max_backoff)


def is_permanent(error: RPCPluginError) -> bool:
    """Whether another attempt would be pointless, or, where security failed, wrong."""
    refused_by_system = error.code in {"launch.not-found", "launch.refused"}
    return refused_by_system or isinstance(error, ConfigError | SecurityError)


def closed_while_starting() -> TransportError:
    """The error of a start that close() ended while the core did not run; the core's kind Cancelled."""
    return TransportError("the client was closed while it started", "Nothing to do.", "client.cancelled")


def already_starting() -> RPCPluginError:
    """The error of a start during another start of the same client."""
    return RPCPluginError(
        "start() is already running", "Wait for it, or call close() to give it up.", code="client.lifecycle"
    )


def no_plugin(purpose: str) -> RPCPluginError:
    """The error of a method that needs a plugin that was started; `purpose` completes "there is no plugin to"."""
    return RPCPluginError(f"there is no plugin to {purpose}", "Call start() first.", code="client.lifecycle")


def belongs_to_parent(process_id: int) -> bool:
    """Whether a client's plugin belongs to the process of which this one is a fork: there is nothing to give back."""
    return process_id != os.getpid()


def check_process(client: object, process_id: int) -> None:
    """Checks that a client is used by the process that started its plugin.

    The core raises this error too, but a fork has none of the threads that a client may wait for before it asks the
    core.

    Raises:
        RuntimeError: This process is a fork of the process that started the plugin.
    """
    if belongs_to_parent(process_id):
        raise RuntimeError(
            f"the plugin of {client!r} belongs to process {process_id}, of which this one is a fork. "
            'Start plugins after the fork, or have multiprocessing use the start method "spawn".'
        )


def warn_of_unclosed(client: object) -> None:
    """Warns of a client that is collected while its plugin runs."""
    message = f"{client!r} was never closed: it is closed now, and the plugin killed if it is its own"
    warnings.warn(message, ResourceWarning, stacklevel=2, source=client)
