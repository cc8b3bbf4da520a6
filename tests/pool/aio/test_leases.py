"""Leases: quick, used once, given back once whatever happens. Numbers are those of the pool's scenarios."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable
from typing import Any

import pytest

from ferrule.errors import ConfigError, LaunchError
from ferrule.pool import PluginPool, PluginSpec, PluginUnavailable, PoolError
from pool.aio.fakes import FakeClock, FakeLauncher
from pool.aio.holder import Holder, pool_lease

Pools = Callable[..., PluginPool]
Specs = Callable[..., PluginSpec]


@pytest.mark.parametrize("other", [False, True])
async def test_14_start_ends_with_its_last_waiter(
    make_pool: Pools, spec: Specs, clock: FakeClock, launcher: FakeLauncher, other: bool
) -> None:
    async with make_pool() as pool:
        kv = spec()
        holders = [Holder(pool, kv) for _ in range(1 + other)]
        await clock.advance(0.5)
        holders[0].task.cancel()
        await clock.advance(1)
        assert len(launcher.alive) == other
        if other:
            assert holders[1].pid == launcher.last.pid
            await holders[1].end()


async def test_15_timeout_around_the_wait_fires_in_time(make_pool: Pools, spec: Specs, launcher: FakeLauncher) -> None:
    launcher.gate = asyncio.Event()
    async with make_pool() as pool:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(pool.lease(spec()).__aenter__(), 0.01)
        launcher.gate.set()


@pytest.mark.parametrize("end", ["raise", "cancel", "exit"])
async def test_16_lease_comes_back_once(
    make_pool: Pools, spec: Specs, clock: FakeClock, launcher: FakeLauncher, end: str
) -> None:
    async with make_pool() as pool:
        kv = spec()

        async def body() -> None:
            async with pool.lease(kv) as lease:
                if end == "raise":
                    raise ValueError("body")
                if end == "cancel":
                    await asyncio.Event().wait()
                await lease.__aexit__(None, None, None)

        task = asyncio.create_task(body())
        await clock.advance(1)
        task.cancel()
        await asyncio.wait([task])
        assert [plugin.leases for plugin in pool.stats().plugins] == [0]
        assert repr(pool).endswith("1 plugins, 0 leases, 0 waiting>")


async def test_24_lease_that_is_dropped_comes_back_and_is_told_of(
    make_pool: Pools, spec: Specs, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with make_pool() as pool:
        kv = spec()
        await pool_lease(pool, kv, clock)
        events: list[Any] = []
        pool.subscribe(events.append)
        await pool.lease(kv).__aenter__()
        with caplog.at_level(logging.WARNING, "ferrule.pool"):
            gc.collect()
        assert "never given back" in caplog.text
        assert __file__ in caplog.text
        assert [event.kind for event in events] == ["leaked"]
        stats = pool.stats()
        assert (stats.leases, stats.names[0].leases_leaked) == (0, 1)


async def test_24_lease_held_for_long_is_told_of(
    make_pool: Pools, spec: Specs, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with make_pool(leak_after=100) as pool:
        holder = Holder(pool, spec())
        with caplog.at_level(logging.WARNING, "ferrule.pool"):
            await clock.advance(500)
        assert sum("is held for" in record.message for record in caplog.records) == 1
        assert "holder.py" in caplog.text
        assert pool.stats().leases == 1
        await holder.end()


async def test_24_lease_of_a_collected_task_comes_back(make_pool: Pools, spec: Specs, clock: FakeClock) -> None:
    async with make_pool() as pool:
        kv = spec()
        await pool_lease(pool, kv, clock)

        async def forgotten() -> None:
            async with pool.lease(kv):
                await asyncio.get_running_loop().create_future()

        coroutine = forgotten()
        coroutine.send(None)
        assert pool.stats().leases == 1
        coroutine.close()
        assert pool.stats().leases == 0


async def test_warm_lease_does_not_suspend(make_pool: Pools, spec: Specs, clock: FakeClock) -> None:
    async with make_pool() as pool:
        kv = spec()
        await pool_lease(pool, kv, clock)

        async def lease() -> int:
            async with pool.lease(kv) as held:
                return held.pid

        coroutine = lease()
        with pytest.raises(StopIteration):
            coroutine.send(None)


async def test_lease_is_used_once_and_within_its_block(make_pool: Pools, spec: Specs, clock: FakeClock) -> None:
    async with make_pool() as pool:
        kv = spec()
        lease = pool.lease(kv)
        with pytest.raises(PoolError, match="has not begun"):
            _ = lease.pid
        assert repr(lease) == "<Lease of 'kv': not begun>"
        await pool_lease(pool, kv, clock)
        async with lease:
            assert lease.age == 0.0
            assert lease.calls == 2
            with pytest.raises(PoolError, match="used before"):
                await lease.__aenter__()
        with pytest.raises(PoolError, match="has ended"):
            _ = lease.channel
        with pytest.raises(PoolError, match="used before"):
            async with lease:
                pass
        assert pool.stats().leases == 0


async def test_stub_is_made_once_per_plugin(make_pool: Pools, spec: Specs, clock: FakeClock) -> None:
    class Stub:
        def __init__(self, channel: Any) -> None:
            self.channel = channel

    async with make_pool() as pool:
        kv = spec()
        await pool_lease(pool, kv, clock)
        async with pool.lease(kv) as first, pool.lease(kv) as second:
            assert first.stub(Stub) is second.stub(Stub)
            assert first.stub(Stub).channel is first.channel is second.channel
            assert first.is_shared


async def test_run_gives_the_lease_to_a_function(make_pool: Pools, spec: Specs, clock: FakeClock) -> None:
    async def work(lease: Any, number: int) -> tuple[int, int]:
        return lease.calls, number

    async with make_pool() as pool:
        task = asyncio.create_task(pool.run(spec(), work, 7, priority=3, timeout=5))
        await clock.advance(1)
        assert await task == (1, 7)


async def test_run_refuses_a_function_whose_result_cannot_be_awaited(
    make_pool: Pools, spec: Specs, clock: FakeClock
) -> None:
    async with make_pool() as pool:
        task = asyncio.create_task(pool.run(spec(), lambda lease: lease.calls))
        await clock.advance(1)
        with pytest.raises(ConfigError, match="returned an object of type int, expected one that can be awaited"):
            await task
        assert not pool.stats().leases


async def test_warm_starts_all_and_tells_of_each_failure(
    make_pool: Pools, spec: Specs, clock: FakeClock, launcher: FakeLauncher
) -> None:
    async with make_pool(max_waiting=20) as pool:
        launcher.failures = [LaunchError("first", None, "launch.failed"), LaunchError("second", None, "launch.failed")]
        warming = asyncio.create_task(pool.warm([spec(str(number)) for number in range(50)]))
        await clock.advance(60)
        with pytest.raises(ExceptionGroup) as caught:
            await warming
        assert [type(error) for error in caught.value.exceptions] == [PluginUnavailable] * 2
        assert len(launcher.alive) == 48
        assert pool.stats().by_state() == {"ready": 48}
