"""One of the plugins of a soak: what every face of it has in common."""

from __future__ import annotations

import abc
import asyncio
import contextlib
import os
import signal
from dataclasses import dataclass, field
from random import Random

from soak.troubles import Troubles

__all__ = ["Member"]

FROZEN_SECONDS = 0.3


@dataclass
class Member(abc.ABC):
    """A plugin under load, by whatever client.

    Attributes:
        name: What findings call it.
        is_veteran: Whether it lives through the whole run, so that what its process holds can be measured.
        kind: What its latency is noted under.
        troubles: When its calls may fail.
        pid: Its process, 0 before the first start.
    """

    name: str
    is_veteran: bool
    kind: str
    troubles: Troubles = field(default_factory=Troubles)
    pid: int = 0

    is_cancellable = True
    """Whether a piece of work may be cancelled at any moment without a trace in the plugin."""

    @abc.abstractmethod
    async def start(self) -> None:
        """Starts the plugin for the first time."""

    @abc.abstractmethod
    async def work(self, numbers: Random) -> None:
        """One piece of work, once the plugin is there."""

    @abc.abstractmethod
    async def renew(self, numbers: Random) -> None:
        """Ends the plugin in one of the ways that a program has, and starts it anew."""

    @abc.abstractmethod
    async def revive(self) -> None:
        """Starts the plugin anew after it was killed; returns when calls work."""

    @abc.abstractmethod
    async def close(self) -> None:
        """Ends the plugin."""

    async def kill(self) -> None:
        """Kills the plugin under its calls, and revives it."""
        self.troubles.begin()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        await self.revive()
        self.troubles.end()

    async def freeze(self) -> None:
        """Stops the plugin for a moment, which no call may notice but by the time that it takes."""
        pid = self.pid
        # It may be killed meanwhile.
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            try:
                await asyncio.sleep(FROZEN_SECONDS)
            finally:
                os.kill(pid, signal.SIGCONT)
