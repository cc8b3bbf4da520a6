"""Task: what a caller asks of a router."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Task"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Work for a plugin.

    Attributes:
        key: Equal for equal specs; tasks with one key meet the same plugin where they can.
        spec: The plugin.
        function: Awaited on the node as `function(lease, *args)`.
        args: Its further arguments.
        idempotent: Whether it may be run again elsewhere when its node is lost.
        exclusive: Whether no two nodes may have a plugin of this key at once.
        wait: Seconds to wait for a node and a lease.
        deadline: Seconds for everything; None for no limit.
    """

    key: bytes
    spec: Any
    function: Callable[..., Any]
    args: tuple[Any, ...] = ()
    idempotent: bool = False
    exclusive: bool = False
    wait: float = 30.0
    deadline: float | None = None
