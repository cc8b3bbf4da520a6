"""Pools of fake plugins under a clock that stands still."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from ferrule.pool import Limits, PluginPool, PluginSpec
from pool.aio.fakes import FakeClock, FakeLauncher, FakeMeter
from pool.aio.setting import Leased, Setting


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def launcher(clock: FakeClock) -> FakeLauncher:
    return FakeLauncher(clock)


@pytest.fixture
def meter() -> FakeMeter:
    return FakeMeter()


@pytest_asyncio.fixture
async def make_pool(
    clock: FakeClock, launcher: FakeLauncher, meter: FakeMeter
) -> AsyncIterator[Callable[..., PluginPool]]:
    """Makes pools, which are closed in the end and must leave nothing."""
    pools: list[PluginPool] = []

    def make(**limits: Any) -> PluginPool:
        settings: dict[str, Any] = {"start_slots": 2, **limits}
        pool = PluginPool(Limits(**settings), _clock=clock, _launcher=launcher, _random=random.Random(1), _meter=meter)
        pools.append(pool)
        return pool

    yield make
    for pool in pools:
        await pool.close(force=True)
    assert launcher.alive == set(), "plugins left behind"
    assert all(client.is_closed for client in launcher.clients), "clients left open"
    assert clock.timers == 0, "timers left behind"


@pytest.fixture
def spec() -> Callable[..., PluginSpec]:
    """Makes specs, each with a key of its own by its name."""

    def make(name: str = "kv", **settings: Any) -> PluginSpec:
        return PluginSpec(["/bin/true", name], name=name, **settings)

    return make


@pytest.fixture
def leased(
    make_pool: Callable[..., PluginPool], spec: Callable[..., PluginSpec], clock: FakeClock, launcher: FakeLauncher
) -> Leased:
    @contextlib.asynccontextmanager
    async def enter(limits: dict[str, Any] | None = None, **settings: Any) -> AsyncIterator[Setting]:
        async with make_pool(**(limits or {})) as pool:
            lease = pool.lease(spec(**settings))
            entering = asyncio.create_task(lease.__aenter__())
            await clock.advance(1)
            await entering
            try:
                yield Setting(pool, lease, launcher, clock)
            finally:
                await lease.__aexit__(None, None, None)

    return enter
