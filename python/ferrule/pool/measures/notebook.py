"""What a notebook shows of a pool's statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ferrule._html import Html, element, table

__all__ = ["pool_html"]

MEBIBYTE: Final = 2**20
SHOWN_PLUGINS: Final = 50
"""Plugins up to which each has a row."""

COLOUR_BY_STATE: Final[Mapping[str, str]] = {"leased": "#2e7d32", "broken": "#c62828"}
HEAD: Final = ("plugin", "state", "pid", "leases", "waiting", "calls", "p99", "memory", "age", "restarts")


def pool_html(summary: str, plugins: Sequence[Mapping[str, Any]]) -> Html:
    """A summary, and a table with a row for each plugin.

    Args:
        summary: One line about the pool.
        plugins: The fields of each `PluginStats`.
    """
    parts = [element("div", element("b", summary))]
    if plugins:
        parts.append(table(HEAD, map(_row, plugins[:SHOWN_PLUGINS])))
    if (others := len(plugins) - SHOWN_PLUGINS) > 0:
        parts.append(element("div", f"... and {others:,} more"))
    return element("div", *parts)


def _row(plugin: Mapping[str, Any]) -> tuple[object, ...]:
    colour = COLOUR_BY_STATE.get(plugin["state"])
    p99, memory_bytes = plugin["call_seconds"]["p99"], plugin["memory_bytes"]
    return (
        plugin["name"],
        element("span", plugin["state"], style=f"color: {colour}" if colour else ""),
        "-" if plugin["pid"] is None else plugin["pid"],
        plugin["leases"],
        plugin["waiting"],
        f"{plugin['calls']:,}",
        "-" if p99 is None else f"{1000 * p99:,.1f} ms",
        "-" if memory_bytes is None else f"{memory_bytes / MEBIBYTE:,.1f} MiB",
        f"{plugin['age']:,.0f} s",
        plugin["restarts"],
    )
