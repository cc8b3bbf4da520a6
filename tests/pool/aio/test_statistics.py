"""Statistics that other threads ask for while plugins come and go."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from ferrule.pool import PluginPool, PluginSpec, PoolStats
from pool.aio.fakes import FakeClock
from pool.aio.holder import Holder
from waiting import LIMIT


@pytest.fixture
def quick_switches() -> Iterator[None]:
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("quick_switches")
async def test_any_thread_may_ask(
    make_pool: Callable[..., PluginPool], spec: Callable[..., PluginSpec], clock: FakeClock
) -> None:
    over, asked = threading.Event(), threading.Event()
    found: list[PoolStats] = []
    failures: list[Exception] = []

    def ask() -> None:
        while not over.is_set():
            try:
                found.append(pool.stats())
            except Exception as error:  # noqa: BLE001
                failures.append(error)
            asked.set()

    async with make_pool(max_plugins=10, start_slots=10) as pool:
        thread = threading.Thread(target=ask)
        thread.start()
        for number in range(10):
            holders = [Holder(pool, spec(f"{number} {each}")) for each in range(10)]
            await clock.advance(5)
            for _ in range(2):
                # The second answer was begun while all of them lived.
                asked.clear()
                assert await asyncio.to_thread(asked.wait, LIMIT)
            for holder in holders:
                await holder.end()
        over.set()
        thread.join()
    assert failures == []
    assert any(stats.plugins for stats in found)
