"""Plugins that a pool keeps: the KV plugins, and providers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from random import Random
from typing import Any

from ferrule.pool import Lease, Limits, PluginPool, PluginSpec, PoolEvent
from ferrule.terraform import Provider
from ferrule.testing import KVStub
from soak.kv_work import KV_WORK, LIMIT, expect
from soak.ledger import WrongAnswerError
from soak.member import Member

__all__ = ["LIMITS", "Pooled", "PooledKV", "PooledProvider"]

# Crashes are what this is about: no plugin is given up for them, or left alone for long. All of them start at once, on
# a machine that may be busy.
LIMITS = Limits(failures=10**9, retry_after=0.1, acquire_timeout=300.0)
TIME = {"rfc3339": "2020-02-12T06:36:13Z"}


@dataclass
class Pooled(Member):
    """A plugin of a pool, which starts it anew by itself."""

    pool: PluginPool = field(kw_only=True)
    spec: PluginSpec = field(kw_only=True)
    _is_gone: asyncio.Event = field(default_factory=asyncio.Event)

    def hear(self, event: PoolEvent) -> None:
        """Takes what the pool tells of this plugin."""
        if event.kind == "ready" and event.pid is not None:
            self.pid = event.pid
            self._is_gone.clear()
        elif event.kind == "exited" and event.pid == self.pid:
            self._is_gone.set()

    async def start(self) -> None:
        await self.pool.warm([self.spec])

    async def revive(self) -> None:
        # Until the pool has noticed the end, it would say that all is well.
        async with asyncio.timeout(LIMIT):
            await self._is_gone.wait()
        await self.pool.warm([self.spec])

    async def renew(self, numbers: Random) -> None:
        """A fresh process: after the leases of the old one, without any error, or at once."""
        if is_forced := numbers.random() < 0.5:
            self.troubles.begin()
        await self.pool.evict(self.spec, force=is_forced)
        await self.pool.warm([self.spec])
        self.troubles.end()

    async def close(self) -> None:
        """The pool ends it."""


@dataclass
class PooledKV(Pooled):
    """A KV plugin."""

    async def work(self, numbers: Random) -> None:
        work = numbers.choices(list(KV_WORK), list(KV_WORK.values()))[0]
        async with self.pool.lease(self.spec) as lease:
            await work(lease.stub(KVStub), numbers)


@dataclass
class PooledProvider(Pooled):
    """A Terraform provider: `simple` or `time`."""

    resource: str = field(kw_only=True)

    async def work(self, numbers: Random) -> None:
        """Plans and applies a resource, and reads it."""
        wanted: dict[str, Any] = TIME
        if self.resource == "simple_resource":
            wanted = {"value": numbers.randbytes(8).hex()}
        async with self.pool.lease(self.spec) as lease:
            await self._create(lease, wanted)

    async def _create(self, lease: Lease, wanted: dict[str, Any]) -> None:
        async with Provider.over(lease) as provider:
            resource = provider.resource(self.resource)
            state = await resource.apply(await resource.plan(wanted))
            if state is None:
                raise WrongAnswerError("an apply without a state")
            expect({name: state.attributes[name] for name in wanted}, wanted)
            expect(await resource.read(state), state)
