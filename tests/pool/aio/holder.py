"""Somebody who holds a lease."""

from __future__ import annotations

import asyncio
from typing import Any

from ferrule.pool import Lease, PluginPool, PluginSpec

__all__ = ["Holder"]


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
