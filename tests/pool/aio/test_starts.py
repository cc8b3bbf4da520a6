"""Starts, replacements and ends of plugins under a pool's limits. Numbers are those of the pool's scenarios."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import pytest

from ferrule.errors import ConfigError, LaunchError
from ferrule.pool import LeaseTimeout, PluginPool, PluginSpec, PluginUnavailable, PoolFull
from pool.aio.fakes import FakeClock, FakeLauncher, turns
from pool.aio.holder import Holder, at_once, pool_lease

Pools = Callable[..., PluginPool]
Specs = Callable[..., PluginSpec]


async def test_01_hundred_leases_of_one_key_share_one_start(
    make_pool: Pools, spec: Specs, clock: FakeClock, launcher: FakeLauncher
) -> None:
    async with make_pool() as pool:
        kv = spec()
        holders = [Holder(pool, kv) for _ in range(100)]
        await clock.advance(1)
        assert len(launcher.clients) == 1
        assert {holder.pid for holder in holders} == {launcher.last.pid}
        assert pool.stats().plugins[0].leases == 100
        for holder in holders:
            await holder.end()


async def test_02_environments_have_processes_of_their_own(
    make_pool: Pools, clock: FakeClock, launcher: FakeLauncher
) -> None:
    specs = [PluginSpec(["/bin/true"], {"env": {"REGION": region}}) for region in ("a", "b", "a")]
    async with make_pool() as pool:
        holders = [Holder(pool, each) for each in specs]
        await clock.advance(2)
        assert len(launcher.clients) == 2
        assert holders[0].pid == holders[2].pid != holders[1].pid
        for holder in holders:
            await holder.end()


async def test_03_throttle_and_order_of_starts(
    make_pool: Pools, spec: Specs, clock: FakeClock, launcher: FakeLauncher
) -> None:
    async with make_pool(start_slots=2) as pool:
        blockers = [Holder(pool, spec(f"blocker {number}")) for number in range(2)]
        await turns()
        holders = [Holder(pool, spec(f"{number}"), priority=number % 2) for number in range(8)]
        await clock.advance(10)
        assert launcher.most_starting == 2
        assert launcher.names[2:] == ["1", "3", "5", "7", "0", "2", "4", "6"]
        for holder in blockers + holders:
            await holder.end()


async def test_04_wait_for_a_slot_is_no_part_of_the_start(
    make_pool: Pools, spec: Specs, clock: FakeClock, launcher: FakeLauncher
) -> None:
    launcher.start_seconds = 70
    async with make_pool(start_slots=1, acquire_timeout=600) as pool:
        holders = [Holder(pool, spec(name)) for name in "ab"]
        await clock.advance(139)
        assert holders[1].pid is None
        await clock.advance(1)
        assert holders[1].pid is not None
        for holder in holders:
            await holder.end()


async def test_05_replacement_after_calls_without_a_gap(
    make_pool: Pools, spec: Specs, clock: FakeClock, launcher: FakeLauncher
) -> None:
    async with make_pool() as pool:
        kv = spec(max_calls=3)
        first = Holder(pool, kv)
        await clock.advance(1)
        pids = []
        for _ in range(3):
            async with pool.lease(kv) as lease:
                pids.append(lease.pid)
        assert pids == [first.pid] * 3, "the old one serves until the new one is ready"
        await clock.advance(1)
        async with pool.lease(kv) as lease:
            assert lease.pid == launcher.last.pid != first.pid
        assert len(launcher.alive) == 2
        await first.end()
        await clock.advance(0)
        assert len(launcher.alive) == 1


async def test_06_old_one_goes_on_if_its_replacement_does_not_start(
    make_pool: Pools, spec: Specs, clock: FakeClock, launcher: FakeLauncher, caplog: pytest.LogCaptureFixture
) -> None:
    async with make_pool() as pool:
        kv = spec(max_calls=2)
        first = Holder(pool, kv)
        await clock.advance(1)
        launcher.failures = [LaunchError("no memory", None, "launch.failed") for _ in range(3)]
        with caplog.at_level(logging.WARNING, "ferrule.pool"):
            for _ in range(4):
                async with pool.lease(kv) as lease:
                    assert lease.pid == first.pid
                await clock.advance(1)
        assert sum("cannot be replaced" in record.message for record in caplog.records) == 1
        await clock.advance(30)
        async with pool.lease(kv) as lease:
            assert lease.pid != first.pid
        await first.end()


async def test_07_idle_time_ends_a_plugin_and_a_lease_at_the_instant_wins(
    make_pool: Pools, spec: Specs, clock: FakeClock, launcher: FakeLauncher
) -> None:
    async with make_pool() as pool:
        kv = spec(max_idle=10)
        await pool_lease(pool, kv, clock)
        await clock.advance(9.9)
        assert len(launcher.alive) == 1
        async with pool.lease(kv):
            pass
        await clock.advance(9.9)
        assert len(launcher.alive) == 1
        await clock.advance(0.2)
        assert launcher.alive == set()


async def test_08_ages_are_spread_by_jitter(
    make_pool: Pools, spec: Specs, clock: FakeClock, launcher: FakeLauncher
) -> None:
    launcher.start_seconds = 0.01
    async with make_pool(start_slots=2) as pool:
        specs = [spec(str(number), max_age=1_000, max_idle=5_000) for number in range(20)]
        warming = asyncio.create_task(pool.warm(specs))
        await clock.advance(1)
        await warming
        ends: list[float] = []
        pool.subscribe(lambda event: ends.append(event.at) if event.kind == "replaced" else None)
        launcher.most_starting = 0
        await clock.advance(1_001)
        assert len(ends) == 20
        assert launcher.most_starting <= 2
        assert max(ends) - min(ends) > 50


async def test_09_limit_below_the_size_at_the_start_is_a_setting_to_mend(
    make_pool: Pools, spec: Specs, clock: FakeClock, launcher: FakeLauncher
) -> None:
    async with make_pool() as pool:
        holder = Holder(pool, spec(max_memory_bytes=5 * 2**20))
        await clock.advance(2)
        with pytest.raises(PluginUnavailable, match=r"10\.0 MiB.* 5\.0 MiB") as caught:
            await holder.task
        assert isinstance(caught.value.__cause__, ConfigError)
        await clock.advance(20)
        assert len(launcher.clients) == 1


async def test_11_full_pool_serves_the_waiter_at_the_first_return(
    make_pool: Pools, spec: Specs, clock: FakeClock, launcher: FakeLauncher
) -> None:
    async with make_pool(max_plugins=2) as pool:
        first, second = Holder(pool, spec("a")), Holder(pool, spec("b"))
        await clock.advance(1)
        third = Holder(pool, spec("c"))
        await clock.advance(5)
        assert third.pid is None
        await second.end()
        await clock.advance(1)
        assert third.pid is not None
        assert {str(client.spec.name) for client in launcher.alive} == {"a", "c"}
        await first.end()
        await third.end()


async def test_12_full_queue_and_what_a_timeout_tells(
    make_pool: Pools, spec: Specs, clock: FakeClock, launcher: FakeLauncher
) -> None:
    launcher.start_seconds = 100
    async with make_pool(max_waiting=1, start_slots=1) as pool:
        holder = Holder(pool, spec("a"), timeout=20)
        await turns()
        with pytest.raises(PoolFull):
            async with pool.lease(spec("b")):
                pass
        await clock.advance(20)
        with pytest.raises(LeaseTimeout, match="20 s") as caught:
            await holder.task
        assert caught.value.held_by == "start"
        assert caught.value.waited == 20
        assert isinstance(caught.value, TimeoutError)
        measures = pool.stats().names
        assert sum(each.lease_timeouts for each in measures) == sum(each.leases_refused for each in measures) == 1


async def test_20_crash_loop_opens_the_breaker_and_a_probe_closes_it(
    make_pool: Pools, spec: Specs, clock: FakeClock, launcher: FakeLauncher
) -> None:
    launcher.start_seconds = 0
    kinds: list[str] = []
    async with make_pool() as pool:
        pool.subscribe(lambda event: kinds.append(event.kind))
        kv = spec()
        launcher.failures = [LaunchError("x", None, "launch.failed", stderr_tail=("last words",)) for _ in range(5)]
        for _ in range(5):
            with pytest.raises(PluginUnavailable, match="last words"):
                await at_once(pool, kv, clock, 10)
        assert kinds.count("breaker_opened") == 1
        with pytest.raises(PluginUnavailable, match="next try is in") as caught:
            async with pool.lease(kv):
                pass
        # The frames would be those of the pool and the client alone.
        assert isinstance(caught.value.__cause__, LaunchError)
        assert caught.value.__cause__.__traceback__ is None
        await clock.advance(30)
        assert await at_once(pool, kv, clock, 1) == launcher.last.pid
        assert len(launcher.clients) == 6
        assert kinds.count("breaker_closed") == 1


async def test_21_missing_program_opens_the_breaker_at_once(make_pool: Pools) -> None:
    missing = PluginSpec(["/nowhere/plugin"])
    pool = PluginPool()
    async with pool:
        for _ in range(2):
            with pytest.raises(PluginUnavailable) as caught:
                async with pool.lease(missing):
                    pass
        assert isinstance(caught.value.__cause__, LaunchError)
        assert [(each.state, each.count) for each in pool.stats().breakers] == [("open", 1)]
