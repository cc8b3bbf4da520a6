"""What is between two answers of a pool: calls a second."""

from collections.abc import Mapping
from typing import Any

__all__ = ["sorted_rows", "with_rates"]


def with_rates(now: Mapping[str, Any], before: Mapping[str, Any] | None, seconds: float) -> dict[str, Any]:
    """An answer with `calls_per_second` of the pool and of each plugin: null where the answer before cannot tell.

    Args:
        now: The answer.
        before: The one before; None for the first.
        seconds: The time between both.
    """
    known = {_identity(plugin): plugin["calls"] for plugin in before["plugins"]} if before else {}

    def rate(plugin: Mapping[str, Any]) -> float | None:
        if before is None or seconds <= 0:
            return None
        # A plugin that the answer before lacks has begun since.
        return float(max(0, plugin["calls"] - known.get(_identity(plugin), 0)) / seconds)

    rows = [{**plugin, "calls_per_second": rate(plugin)} for plugin in now["plugins"]]
    rates = [row["calls_per_second"] for row in rows if row["calls_per_second"] is not None]
    return {**now, "calls_per_second": None if before is None else sum(rates), "plugins": rows}


def sorted_rows(answer: Mapping[str, Any], order: str) -> list[dict[str, Any]]:
    """The plugins with the largest first: by `memory`, `calls` or `wait`."""
    key = {"memory": "memory_bytes", "calls": "calls_per_second", "wait": "waiting"}[order]
    return sorted(answer["plugins"], key=lambda row: (-(row.get(key) or 0), str(row["name"]), row.get("pid") or 0))


def _identity(plugin: Mapping[str, Any]) -> tuple[Any, Any]:
    return plugin["name"], plugin.get("pid")
