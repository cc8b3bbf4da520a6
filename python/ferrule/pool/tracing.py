"""What a pool tells of leases and starts to whoever traces them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

__all__ = ["StartTrace", "Tracer", "tell"]

_logger = logging.getLogger("ferrule.pool")


def tell(trace: Callable[..., Any], *args: Any, **keywords: Any) -> Any:
    """Calls a method of a tracer; None if it raises, which is logged: no lease and no start is hurt by it."""
    try:
        return trace(*args, **keywords)
    except Exception:
        _logger.exception("a tracer of a pool failed")
        return None


@dataclass(frozen=True, slots=True)
class StartTrace:
    """A start that has ended.

    Attributes:
        plugin: The plugin's name.
        key: Its key: leases that wait for it have the same.
        pid: Its process; None if there was none.
        seconds: How long it took, from the end of the wait for a slot.
        slot_wait: Seconds that it waited for a start slot before.
        phases: Seconds of each phase, in their order: a client's `timings`, and `configure`.
        error: Why it failed; None if it did not.
    """

    plugin: str
    key: bytes
    pid: int | None
    seconds: float
    slot_wait: float
    phases: Mapping[str, float]
    error: BaseException | None = None


class Tracer(Protocol):
    """What is told of each lease and each start. Nothing is done for leases unless a pool has one.

    What `lease_asked` returns is given to the others. Those of a lease are called in the context of the caller.
    """

    def lease_asked(self, plugin: str, priority: int) -> Any:
        """Somebody asks for a lease of a plugin with this name."""

    def lease_waits(self, span: Any, key: bytes) -> None:
        """The lease is not to be had at once."""

    def lease_granted(self, span: Any, pid: int | None, *, cold: bool) -> None:
        """The lease is had; `cold` if a plugin was started or waited for."""

    def lease_ended(self, span: Any, error: BaseException | None) -> None:
        """The lease was given back, or not had; the error is that of the body, or why it was not had."""

    def start_ended(self, start: StartTrace) -> None:
        """A plugin was started, or was not."""
