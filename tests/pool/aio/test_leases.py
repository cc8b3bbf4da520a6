"""Leases: shared, quick, given back once whatever happens. Numbers are those of the pool's scenarios."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable
from typing import Any

import pytest

from ferrule.errors import ConfigError, LaunchError
from ferrule.pool import LeaseTimeout, PluginPool, PluginSpec, PluginUnavailable, PoolError, PoolFull
from pool.aio.fakes import FakeClock, FakeLauncher, turns
from pool.aio.holder import Holder

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


async def pool_lease(pool: PluginPool, kv: PluginSpec, clock: FakeClock) -> None:
    holder = Holder(pool, kv)
    await clock.advance(1)
    await holder.end()


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


async def at_once(pool: PluginPool, kv: PluginSpec, clock: FakeClock, seconds: float) -> int:
    """The pid of a lease that is taken within some time."""
    holder = Holder(pool, kv)
    await clock.advance(seconds)
    if holder.task.done():
        await holder.task
    await holder.end()
    assert holder.pid is not None
    return holder.pid


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
