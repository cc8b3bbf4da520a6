"""What became of each piece of work: its latency, the word for its end, and all that is wrong."""

from __future__ import annotations

import statistics
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Awaitable, Sequence

import grpc

from ferrule.errors import RPCPluginError
from soak.troubles import Troubles

__all__ = ["Ledger", "WrongAnswerError", "percentiles"]

MOST_SHOWN = 20
"""Findings that are kept with their text; the others are counted."""

CODES_IN_TROUBLE = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNKNOWN}
"""Of a plugin that is gone, of one that was started anew since something was stored, and of one that lost its host."""


class WrongAnswerError(Exception):
    """A plugin's answer is not the right one."""


def percentiles(values: list[float], which: Sequence[int]) -> dict[int, float]:
    """Some percentiles; 0 where nothing was measured."""
    if len(values) < 2:
        return dict.fromkeys(which, sum(values))
    hundredths = statistics.quantiles(values, n=100, method="inclusive")
    return {percent: hundredths[percent - 1] for percent in which}


def is_loss(error: Exception) -> bool:
    """Whether an error is one that the loss of a plugin may cause."""
    if isinstance(error, grpc.RpcError):
        return error.code() in CODES_IN_TROUBLE
    # The others are those of the next call on a client that was closed, which has not begun.
    return isinstance(error, RPCPluginError) or getattr(error, "begun", None) is False


class Ledger:
    """The work of a whole run."""

    def __init__(self) -> None:
        self.ends: Counter[str] = Counter()
        self.troubles: Counter[str] = Counter()
        self.findings: list[str] = []
        self.found = 0
        self._seconds: defaultdict[str, list[float]] = defaultdict(list)

    def find(self, what: str) -> None:
        """Notes something that is wrong."""
        self.found += 1
        if len(self.findings) < MOST_SHOWN:
            self.findings.append(what)

    def note_seconds(self, kind: str, seconds: float) -> None:
        """Notes how long something took."""
        self._seconds[kind].append(seconds)

    def take_milliseconds(self, kind: str) -> list[float]:
        """The latencies since the last look, in milliseconds."""
        return [1000 * seconds for seconds in self._seconds.pop(kind, [])]

    async def keep(self, name: str, kind: str, troubles: Troubles, work: Awaitable[None]) -> None:
        """Awaits a piece of work, and notes its end; an error is a finding unless a trouble explains it."""
        begun = time.monotonic()
        try:
            await work
        except Exception as error:  # noqa: BLE001 - any other is the finding.
            if troubles.any_since(begun) and is_loss(error):
                self.ends[f"{kind}: lost with its plugin"] += 1
            else:
                self.find(f"{name}, {kind}: {traceback.format_exc()}")
        else:
            self.ends[f"{kind}: right"] += 1
            if not troubles.any_since(begun):
                self.note_seconds(kind, time.monotonic() - begun)
