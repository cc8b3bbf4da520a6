"""Bytes moved between a client and its plugin."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Traffic"]


class Traffic(NamedTuple):
    """Bytes moved between this client and its plugin, all connections together, exact.

    Attributes:
        wire_sent: Bytes written to the plugin's socket, TLS records and all.
        wire_received: Bytes read from it.
        content_sent: Bytes of that which TLS carried; equal to `wire_sent` without TLS.
        content_received: The same for reading.
    """

    wire_sent: int
    wire_received: int
    content_sent: int
    content_received: int
