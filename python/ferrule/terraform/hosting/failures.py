"""Calls that failed: the errors that operations get for them."""

from __future__ import annotations

import grpc

from ferrule.channel.errors import note_begun
from ferrule.errors import PluginExitedError, RPCPluginError, TransportError
from ferrule.terraform.errors import ProviderError, UnsupportedError

__all__ = ["EXIT_SECONDS", "closed_during", "failed_call"]

EXIT_SECONDS = 2.0
"""Seconds to wait for the end of a plugin whose connection broke; a crash is known within milliseconds."""


def failed_call(
    method: str,
    code: grpc.StatusCode,
    details: str,
    exit_status: int | None = None,
    stderr_tail: tuple[str, ...] = (),
    *,
    begun: bool = True,
) -> RPCPluginError:
    """The error for a call that ended without a response.

    Args:
        method: The call's method, by its name in protocol 6.
        code: The call's status.
        details: The status's text.
        exit_status: How the plugin ended; None if it did not, or if that is not known.
        stderr_tail: The plugin's last output.
        begun: Whether the provider may have seen the request; the error's attribute `begun` repeats it.

    Returns:
        The exception, not raised.
    """
    if code is grpc.StatusCode.UNIMPLEMENTED:
        hint = "A newer release of the provider may have it."
        return UnsupportedError(f"the provider has no method {method}", hint, "terraform.unsupported")
    if exit_status is not None:
        message = f"the provider ended while it answered {method}"
        ended = PluginExitedError(message, code="terraform.exited", exit_status=exit_status, stderr_tail=stderr_tail)
        return note_begun(ended, begun)
    if code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}:
        how = "was cancelled" if code is grpc.StatusCode.CANCELLED else "lost its connection to the provider"
        return note_begun(TransportError(f"{method} {how}: {details}", code="terraform.lost"), begun)
    return ProviderError(f"{method} failed with {code.name}: {details}", method, "", ())


def closed_during(method: str, *, begun: bool = True) -> TransportError:
    """The error for a call whose client was closed; `begun` as in `failed_call`."""
    error = TransportError(f"the client of the provider was closed during {method}", code="terraform.closed")
    return note_begun(error, begun)
