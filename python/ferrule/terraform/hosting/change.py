"""Applies that were cancelled: when nothing more may start, and what the caller is told."""

from __future__ import annotations

from typing import Any, Final

from ferrule.errors import TransportError
from ferrule.terraform.errors import ApplyError, StoppedError
from ferrule.terraform.hosting.warnings import LOGGER

__all__ = ["STOP_AGAIN_SECONDS", "cancelled_apply", "log_cancelled", "lost_apply", "not_started", "not_waited_for"]

STOP_AGAIN_SECONDS: Final = 3.0
"""Seconds after which a stop is repeated, once: a provider may have handled it before the apply that was sent first."""


def not_started(method: str) -> StoppedError:
    """The error for a call that is not made since the operation was stopped before it."""
    return StoppedError(f"the operation was stopped before {method}", code="terraform.stopped")


def not_waited_for(method: str, seconds: float | None, *, asked: bool = True) -> TransportError:
    """The error for a call whose answer did not come in time after a stop.

    Args:
        method: The call's method.
        seconds: How long it was waited for; None where the caller did not want to wait.
        asked: Whether the provider was asked to stop; it was not where it works for others too.
    """
    how_long = "" if seconds is None else f" within {seconds:g} s"
    what = "was asked to stop, and" if asked else "works for others too, so it was not asked to stop; it"
    message = f"the provider {what} did not answer {method}{how_long}"
    return TransportError(message, code="terraform.not-awaited")


def cancelled_apply(type_name: str, state: Any) -> ApplyError:
    """The cause of the cancellation of an apply that came to its end all the same.

    Args:
        type_name: Type of the resource.
        state: The state after the apply; None after a destruction.
    """
    return ApplyError(
        f"{type_name}: the apply was cancelled, and had been done", type_name, state=state, outcome="done"
    )


def log_cancelled(error: BaseException) -> None:
    """Logs what became of a cancelled apply: other code may replace the exception, and the state is lost with it."""
    if isinstance(error, ApplyError):
        LOGGER.warning("%s was cancelled in its apply; outcome: %s", error.type_name, error.outcome)


def lost_apply(type_name: str) -> ApplyError:
    """The cause of an interrupt that came between the calls of an apply."""
    return ApplyError(f"{type_name}: the apply was interrupted, and may have happened", type_name, outcome="unknown")
