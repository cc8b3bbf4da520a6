"""What a notebook shows of a client. Neither arguments nor environment are in it, which may have secrets."""

from __future__ import annotations

from ferrule._host.client_stats import ClientStats
from ferrule._html import Html, element, table

__all__ = ["client_html"]


def client_html(name: str, connection: str | None, protocol_version: int | None, stats: ClientStats) -> Html:
    """A table of what is known of a client and its plugin.

    Args:
        name: The plugin's.
        connection: How it is reached, and what protects that; None before the first start.
        protocol_version: The version that both sides agreed on; None before the first start.
        stats: The client's numbers.
    """
    rows = [("plugin", name), ("state", _state(stats))]
    if connection is not None:
        traffic = f"{stats.wire_bytes_sent:,} bytes sent, {stats.wire_bytes_received:,} received"
        rows += [
            ("protocol version", str(protocol_version)),
            ("connection", connection),
            ("calls", _calls(stats)),
            ("traffic", traffic),
        ]
    return table((), ((element("b", title), text) for title, text in rows), "RPCPluginClient")


def _state(stats: ClientStats) -> str:
    if stats.exit_status is not None:
        return f"ended, exit status {stats.exit_status}"
    if not stats.is_started:
        return "not started" if stats.pid is None else "closed"
    age = "" if stats.age is None else f" for {stats.age:,.1f} s"
    return f"runs{age}, pid {stats.pid}"


def _calls(stats: ClientStats) -> str:
    return f"{stats.calls_succeeded:,} succeeded, {stats.calls_failed:,} failed, {stats.calls_active:,} under way"
