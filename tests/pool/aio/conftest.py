"""Pools of fake plugins under a clock that stands still."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from ferrule.pool import Limits, PluginPool, PluginSpec
from pool.aio.fakes import FakeClock, FakeLauncher, FakeMeter


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
