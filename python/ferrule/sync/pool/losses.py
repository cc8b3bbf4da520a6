"""What the failure of a blocking call means for its pool."""

from __future__ import annotations

from typing import Any, Final

import grpc

from ferrule.pool.calls.loss import Loss
from ferrule.pool.policy import Plugin, State
from ferrule.sync.pool.plugin import LeasedPlugin

__all__ = ["EXIT_SECONDS", "FAILURES", "has_ended", "loss_of"]

FAILURES: Final = (grpc.RpcError, ValueError)
"""What a call raises; ValueError is that of a channel which is closed, and of malformed metadata."""

EXIT_SECONDS: Final = 0.5
"""Seconds to wait for the end of a plugin that may have died; a crash is known within milliseconds."""


def has_ended(plugin: Plugin) -> bool:
    """Whether no more calls are to be sent to a plugin."""
    return plugin.state in {State.BROKEN, State.STOPPING, State.GONE}


def loss_of(channel: LeasedPlugin, method: str, error: Exception) -> Loss | None:
    """How a call was lost with its plugin; None for a failure that is none of the pool's.

    Args:
        channel: The channel of the call.
        method: The call's path.
        error: What the call raised, one of `FAILURES`.
    """
    client, details = channel.client, "its plugin had ended"
    begun = bool(getattr(error, "begun", False))
    if isinstance(error, ValueError):
        if begun or client.is_started:
            return None
    elif not isinstance(error, grpc.Call) or not _is_loss(channel, error):
        return None
    else:
        details = str(error.details())
    return Loss(
        str(channel.spec.name),
        method,
        begun,
        _is_revoked(channel),
        client.pid,
        client.exit_status,
        tuple(client.stderr_tail),
        details,
        None,
    )


def _is_loss(channel: LeasedPlugin, error: Any) -> bool:
    code = error.code()
    if code is grpc.StatusCode.CANCELLED:
        # The client has closed its channel below the call.
        return not channel.client.is_started
    return code is grpc.StatusCode.UNAVAILABLE and not getattr(error, "answered", False)


def _is_revoked(channel: LeasedPlugin) -> bool:
    """Whether the pool has ended the plugin below its leases."""
    report = channel.client.stop_report
    return channel.plugin.state is State.STOPPING or (report is not None and report.rung != "exited")
