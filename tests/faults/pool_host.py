"""What a pool does in a row: a lease and a call, perhaps the same again, and the pool's end."""

from __future__ import annotations

from typing import Any

from faults import asyncio_host, blocking_host
from faults.result import Result
from ferrule.pool import PluginPool, PluginSpec
from ferrule.sync import PluginPool as SyncPool
from ferrule.testing import KVStub
from ferrule.testing.kv_pb2 import PutRequest

METHOD = "/kv.KV/Put"
LEASE_LIMIT = 20.0
"""Seconds that a lease is waited for."""


def spec(command: list[str], settings: dict[str, Any], *, idempotent: bool) -> PluginSpec:
    """The plugin as a pool has it."""
    return PluginSpec(command, settings, name="scripted", idempotent=(METHOD,) if idempotent else ())


async def _call(pool: PluginPool, plugin: PluginSpec, limit: float) -> None:
    async with pool.lease(plugin, timeout=LEASE_LIMIT) as lease:
        await lease.stub(KVStub).Put(PutRequest(key="k"), timeout=limit)


async def run(plugin: PluginSpec, limit: float, again: bool) -> Result:
    """On an event loop."""
    result = Result(end="pool closed")
    async with PluginPool() as pool:
        result.outcome = await asyncio_host.attempt(_call(pool, plugin, limit), result)
        if again:
            result.then = await asyncio_host.attempt(_call(pool, plugin, limit), result)
    return result


def _call_blocking(pool: SyncPool, plugin: PluginSpec, limit: float) -> None:
    with pool.lease(plugin, timeout=LEASE_LIMIT) as lease:
        lease.stub(KVStub).Put(PutRequest(key="k"), timeout=limit)


def run_blocking(plugin: PluginSpec, limit: float, again: bool) -> Result:
    """Without an event loop."""
    result = Result(end="pool closed")
    with SyncPool() as pool:
        result.outcome = blocking_host.attempt(lambda: _call_blocking(pool, plugin, limit), result)
        if again:
            result.then = blocking_host.attempt(lambda: _call_blocking(pool, plugin, limit), result)
    return result
