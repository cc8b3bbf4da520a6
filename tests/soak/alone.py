"""Plugins with a client of their own, on the event loop."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from random import Random
from typing import Any

from ferrule.client import RPCPluginClient
from ferrule.testing import KVStub
from soak.exchange_work import EXCHANGE_WORK
from soak.kv_work import KV_WORK, LIMIT, Work
from soak.member import Member

__all__ = ["Alone", "AloneExchange", "AloneKV"]

LATEST_CANCEL_SECONDS = 0.05


@dataclass
class Alone(Member):
    """A plugin of one client, which this program starts anew."""

    client: RPCPluginClient = field(kw_only=True)
    _is_up: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self) -> None:
        await self.client.start()
        self.pid = self.client.pid or 0
        self._is_up.set()

    async def revive(self) -> None:
        self._is_up.clear()
        async with asyncio.timeout(LIMIT):
            await self.client.wait_exited()
        await self.client.close()
        await self.start()

    async def renew(self, numbers: Random) -> None:
        """Stops the plugin in order, or closes its client under it; the next start is given up at first, or is not."""
        self.troubles.begin()
        self._is_up.clear()
        if numbers.random() < 0.5:
            await self.client.shutdown_plugin()
        await self.client.close()
        if numbers.random() < 0.5:
            await self._give_up_a_start(numbers.uniform(0, LATEST_CANCEL_SECONDS))
        await self.start()
        self.troubles.end()

    async def _give_up_a_start(self, seconds: float) -> None:
        start = asyncio.create_task(self.client.start())
        await asyncio.wait([start], timeout=seconds)
        start.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await start
            await self.client.close()

    async def work(self, numbers: Random) -> None:
        await self._is_up.wait()
        work = numbers.choices(list(self.choices()), list(self.choices().values()))[0]
        await work(self.subject(), numbers)

    def choices(self) -> dict[Work, int]:
        """The pieces of work, and how often each is chosen."""
        return KV_WORK

    def subject(self) -> Any:
        """What a piece of work is given."""
        return KVStub(self.client.grpc_channel)

    async def close(self) -> None:
        await self.client.shutdown_plugin()
        await self.client.close()


@dataclass
class AloneKV(Alone):
    """A KV plugin."""


@dataclass
class AloneExchange(Alone):
    """A plugin of the broker tests."""

    # A plugin that has answered an exchange serves until it is told that it need not.
    is_cancellable = False

    def choices(self) -> dict[Work, int]:
        return EXCHANGE_WORK

    def subject(self) -> Any:
        return self.client
