"""CallCounts: the calls of threads, on their way to the pool's measures."""

from __future__ import annotations

from collections import deque
from typing import Any, Final, NamedTuple

import grpc

from ferrule.pool import OutcomeUnknown
from ferrule.pool.policy import Plugin

__all__ = ["CallCounts", "status_of"]


MAX_ENDED: Final = 100_000
"""Calls that wait to be counted, of more the latest; those after the end of all leases wait for the next lease."""


class _Ended(NamedTuple):
    plugin: Plugin
    method: str
    status: str
    seconds: float
    is_unknown: bool


class CallCounts:
    """Calls that have ended. The measures are the loop's alone, so threads leave the calls here until it comes."""

    def __init__(self) -> None:
        self._ended: deque[_Ended] = deque(maxlen=MAX_ENDED)

    def add(self, plugin: Plugin, method: str, seconds: float, error: Exception | None) -> None:
        """Notes a call that has ended; on any thread."""
        self._ended.append(_Ended(plugin, method, status_of(error), seconds, isinstance(error, OutcomeUnknown)))

    def settle(self) -> None:
        """Counts them, on the loop's thread."""
        ended = self._ended
        while ended:
            call = ended.popleft()
            calls = call.plugin.driver.calls
            calls.own.calls += 1
            calls.own.call_seconds.add(call.seconds)
            measures = calls.measures.calls[call.method]
            measures.seconds[call.status].add(call.seconds)
            measures.unknown += call.is_unknown


def status_of(error: Any) -> str:
    """The name of the status with which a call ended; None is a success."""
    if error is None:
        return "OK"
    code = error.code() if isinstance(error, grpc.RpcError) and callable(getattr(error, "code", None)) else None
    return code.name if isinstance(code, grpc.StatusCode) else "UNKNOWN"
