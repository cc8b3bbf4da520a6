"""Loss: how a call was lost with its plugin, and the exception that says so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from ferrule.pool.calls.interfaces import CallsOfPlugin
from ferrule.pool.errors import LeaseRevoked, OutcomeUnknown, PluginDied

__all__ = ["Loss"]


@dataclass(frozen=True, slots=True)
class Loss:
    """The end of a call whose plugin ended first, or whose connection did.

    Attributes:
        plugin: The plugin's name.
        method: The call's method, `/service/method`.
        begun: Whether the plugin may have seen the request.
        is_revoked: Whether the pool itself ended the plugin.
        pid: The plugin's process.
        exit_status: How it ended; None if it lives on, or nobody knows.
        stderr_tail: Its last lines.
        details: What the transport says.
        cause: Why the call was not made elsewhere; None if that was not tried.
    """

    plugin: str
    method: str
    begun: bool
    is_revoked: bool
    pid: int | None
    exit_status: int | None
    stderr_tail: tuple[str, ...]
    details: str
    cause: Exception | None

    @classmethod
    def of(cls, calls: CallsOfPlugin, method: str, *, begun: bool, details: str, cause: Exception | None) -> Self:
        """The end of a call with its plugin, as much as is known at this moment."""
        client, name, revoked = calls.client, str(calls.spec.name), calls.is_revoked
        tail = tuple(client.stderr_tail)
        return cls(name, method, begun, revoked, client.pid, client.exit_status, tail, details, cause)

    @property
    def message(self) -> str:
        """The text of the exception, without the plugin's output."""
        why = self.details.split("; its last output:", 1)[0]
        if self.begun:
            state = "was under way; it may have been carried out"
            return f"plugin {self.plugin!r} was lost while {self.method} {state}: {why}"
        return f"plugin {self.plugin!r} was lost before {self.method} had begun: {why}"

    def error(self) -> PluginDied | OutcomeUnknown:
        """A new exception: one that is raised twice would collect tracebacks."""
        if self.begun:
            kind: type[PluginDied | OutcomeUnknown] = LeaseRevoked if self.is_revoked else OutcomeUnknown
            hint = "Look at what the plugin manages before the call is made again."
            code = "pool.revoked" if self.is_revoked else "pool.unknown"
        else:
            kind, hint, code = PluginDied, "The call can be made again.", "pool.died"
        error = kind(
            self.message,
            hint,
            code,
            method=self.method,
            pid=self.pid,
            exit_status=self.exit_status,
            stderr_tail=self.stderr_tail,
        )
        error.__cause__ = self.cause
        return error
