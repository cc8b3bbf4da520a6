"""Leases for tests: held by somebody, or taken for a moment."""

from __future__ import annotations

import asyncio
from typing import Any

from ferrule.pool import Lease, PluginPool, PluginSpec
from pool.aio.fakes import FakeClock

__all__ = ["Holder", "at_once", "pool_lease"]


class Holder:
    """Somebody who takes a lease in a task of its own and holds it until told.

    Attributes:
        lease: The lease; None before.
        pid: The plugin's process; None before.
    """

    def __init__(self, pool: PluginPool, spec: PluginSpec, **options: Any) -> None:
        self.lease: Lease | None = None
        self.pid: int | None = None
        self.release = asyncio.Event()
        self.task = asyncio.get_running_loop().create_task(self._hold(pool, spec, options))

    async def _hold(self, pool: PluginPool, spec: PluginSpec, options: dict[str, Any]) -> None:
        async with pool.lease(spec, **options) as lease:
            self.lease, self.pid = lease, lease.pid
            await self.release.wait()

    async def end(self) -> None:
        """Gives the lease back."""
        self.release.set()
        await self.task


async def pool_lease(pool: PluginPool, kv: PluginSpec, clock: FakeClock) -> None:
    holder = Holder(pool, kv)
    await clock.advance(1)
    await holder.end()


async def at_once(pool: PluginPool, kv: PluginSpec, clock: FakeClock, seconds: float) -> int:
    """The pid of a lease that is taken within some time."""
    holder = Holder(pool, kv)
    await clock.advance(seconds)
    if holder.task.done():
        await holder.task
    await holder.end()
    assert holder.pid is not None
    return holder.pid
