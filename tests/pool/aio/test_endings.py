"""The end of plugins and of the pool, and pools in places that are not theirs. Numbers are those of the scenarios."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ferrule.errors import ConfigError
from ferrule.pool import Limits, PluginPool, PluginSpec, PoolError
from pool.aio.fakes import FakeClock, FakeLauncher, FakeMeter, turns
from pool.aio.holder import Holder

Pools = Callable[..., PluginPool]
Specs = Callable[..., PluginSpec]


@pytest.fixture(autouse=True)
def quick(launcher: FakeLauncher) -> None:
    launcher.start_seconds = 0


async def held(pool: PluginPool, spec: PluginSpec) -> Holder:
    holder = Holder(pool, spec)
    await turns()
    assert holder.pid is not None
    return holder


async def test_17_plugin_that_dies_idle_is_replaced_without_a_word(
    make_pool: Pools, spec: Specs, clock: FakeClock, launcher: FakeLauncher
) -> None:
    async with make_pool() as pool:
        kinds: list[str] = []
        pool.subscribe(lambda event: kinds.append(f"{event.kind} {event.reason}".strip()))
        await (await held(pool, spec())).end()
        await clock.advance(10)
        launcher.last.die()
        await turns()
        assert launcher.alive == set()
        assert launcher.last.is_closed
        await (await held(pool, spec())).end()
        assert kinds == ["queued", "starting", "ready", "exited crash", "queued", "starting", "ready"]
        names = pool.stats().names[0]
        assert names.exits == {"crash": 1}
        assert names.starts == {"none": 2}


async def test_17_dead_plugins_leases_no_longer_count(
    make_pool: Pools, spec: Specs, clock: FakeClock, launcher: FakeLauncher
) -> None:
    async with make_pool() as pool:
        kv = spec(max_concurrent_calls=1)
        first = await held(pool, kv)
        await clock.advance(2)
        launcher.last.die()
        await turns()
        second = await held(pool, kv)
        assert second.pid != first.pid
        await first.end()
        third = Holder(pool, kv)
        await turns()
        assert third.pid is None
        await second.end()
        await third.end()


async def test_23_end_of_many_takes_as_long_as_that_of_the_slowest(
    make_pool: Pools, spec: Specs, clock: FakeClock, launcher: FakeLauncher
) -> None:
    async with make_pool(start_slots=16) as pool:
        await pool.warm([spec(str(number)) for number in range(200)])
        launcher.stop_seconds = {0: 0.5, launcher.clients[17].pid or 0: 3.0}
        closing = asyncio.create_task(pool.close())
        await clock.advance(3)
        assert closing.done()
        assert launcher.alive == set()
        assert {client.shut_down_at for client in launcher.clients} == {clock.now() - 3}, (
            "asked before anything is closed"
        )


async def test_close_waits_for_leases_and_then_no_longer(make_pool: Pools, spec: Specs, clock: FakeClock) -> None:
    async with make_pool() as pool:
        patient, stubborn = await held(pool, spec("a")), await held(pool, spec("b"))
        closing = asyncio.create_task(pool.close(timeout=10))
        await clock.advance(5)
        await patient.end()
        await clock.advance(4)
        assert not closing.done()
        with pytest.raises(PoolError, match="closed"):
            async with pool.lease(spec("a")):
                pass
        await clock.advance(1)
        assert closing.done()
        await stubborn.end()


async def test_close_refuses_those_who_wait(make_pool: Pools, spec: Specs, launcher: FakeLauncher) -> None:
    launcher.gate = asyncio.Event()
    async with make_pool() as pool:
        holder = Holder(pool, spec())
        await turns()
        await pool.close()
        with pytest.raises(PoolError, match="closed"):
            await holder.task
        await pool.close()
        assert repr(pool) == "<PluginPool 'pool': the pool is closed>"


async def test_second_close_hurries_the_first(make_pool: Pools, spec: Specs) -> None:
    async with make_pool() as pool:
        holder = await held(pool, spec())
        first = asyncio.create_task(pool.close(timeout=1_000))
        await turns()
        assert not first.done()
        await pool.close(force=True)
        await first
        await holder.end()


async def test_close_that_is_cancelled_waits_for_no_lease(
    make_pool: Pools, spec: Specs, launcher: FakeLauncher
) -> None:
    async with make_pool() as pool:
        holder = await held(pool, spec())
        closing = asyncio.create_task(pool.close(timeout=1_000))
        await turns()
        assert len(launcher.alive) == 1
        closing.cancel()
        await turns()
        assert launcher.alive == set()
        await holder.end()


@pytest.mark.parametrize("close", [None, "timeout", "task"])
async def test_loop_that_ends_takes_the_plugins_with_it(
    launcher: FakeLauncher, clock: FakeClock, spec: Specs, close: str | None
) -> None:
    kv = spec()
    launcher.turns = 3

    async def program() -> None:
        pool = await PluginPool(_clock=clock, _launcher=launcher).__aenter__()
        holder = Holder(pool, kv)
        await turns()
        assert holder.pid is not None
        if close == "timeout":
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(pool.close(), 0.001)
        elif close == "task":
            closing = asyncio.create_task(pool.close(force=True))
            await turns(1)
            assert not closing.done()
        raise ValueError("the program's own")

    def run() -> None:
        with pytest.raises(ValueError, match="own"):
            asyncio.run(program())

    await asyncio.to_thread(run)
    assert launcher.alive == set()
    assert launcher.last.shut_down_at is not None
    assert launcher.last.is_closed


async def test_pool_in_the_wrong_place(make_pool: Pools, spec: Specs) -> None:
    pool, kv = make_pool(), spec()

    async def lease() -> None:
        async with pool.lease(kv):
            pass

    with pytest.raises(PoolError, match="not open"):
        await lease()
    async with pool:
        await lease()
        with pytest.raises(PoolError, match="another event loop"):
            await asyncio.to_thread(asyncio.run, lease())
        with pytest.raises(PoolError, match="another event loop"):
            await asyncio.to_thread(asyncio.run, pool.close())
        with pytest.raises(PoolError, match="opened before"):
            await pool.__aenter__()
        assert pool.stats().by_state() == {"ready": 1}
    with pytest.raises(PoolError, match="closed"):
        await lease()
    with pytest.raises(PoolError, match="opened before"):
        await pool.__aenter__()


async def test_pool_in_a_forked_child(make_pool: Pools, spec: Specs, launcher: FakeLauncher) -> None:
    async with make_pool() as pool:
        kv = spec()
        await (await held(pool, kv)).end()
        child = os.fork()
        if child == 0:
            # No loop's method may run here: the loop is the parent's, too.
            status = 1
            try:
                pool.lease(kv).__aenter__().send(None)
            except PoolError as error:
                closing = pool.close()
                try:
                    closing.send(None)
                except StopIteration:
                    status = 0 if "fork" in str(error) and "fork" in repr(pool) else 2
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode((await asyncio.to_thread(os.waitpid, child, 0))[1]) == 0
        await (await held(pool, kv)).end()
        assert len(launcher.clients) == 1


async def test_subscriber_that_raises_hurts_nobody(
    make_pool: Pools, spec: Specs, caplog: pytest.LogCaptureFixture
) -> None:
    async with make_pool() as pool:
        kinds: list[str] = []

        def broken(_event: Any) -> None:
            raise ValueError("subscriber")

        end = pool.subscribe(broken)
        pool.subscribe(lambda event: kinds.append(event.kind))
        with caplog.at_level(logging.ERROR, "ferrule.pool"):
            await (await held(pool, spec())).end()
        assert "a subscriber of a pool failed" in caplog.text
        assert kinds == ["queued", "starting", "ready"]
        end()
        end()
        await pool.close()
        assert kinds[-2:] == ["stopping", "closed"]


async def test_evict_and_resize(make_pool: Pools, spec: Specs, launcher: FakeLauncher) -> None:
    async with make_pool() as pool:
        kv = spec()
        first = await held(pool, kv)
        await pool.evict(kv)
        second = await held(pool, kv)
        assert first.pid != second.pid
        await first.end()
        await second.end()
        pool.resize(Limits(max_plugins=1, start_slots=2))
        assert pool.limits.max_plugins == 1
        await (await held(pool, spec("other"))).end()
        await turns()
        assert len(launcher.alive) == 1
        with pytest.raises(ConfigError, match="max_plugins"):
            pool.resize(Limits(max_plugins=2**30))
        assert pool.limits.max_plugins == 1


async def test_stats_of_everything_at_once(make_pool: Pools, spec: Specs, launcher: FakeLauncher) -> None:
    pool = make_pool()
    assert pool.stats().plugins == ()
    async with pool:
        holder = await held(pool, spec("a", group="account"))
        launcher.gate = asyncio.Event()
        waiting = Holder(pool, spec("b"), priority=4)
        await turns()
        stats = pool.stats()
        assert stats.by_state() == {"leased": 1, "starting": 1}
        row = stats.plugins[0]
        assert (row.pid, row.group, row.leases, row.restarts) == (holder.pid, "account", 1, 0)
        assert (row.memory_bytes, row.cpu_user) == (10 * 2**20, 0.5)
        assert [(each.name, each.priority, each.count) for each in stats.pending] == [("b", 4, 1)]
        assert stats.start_slots_used == 1
        assert stats.to_dict()["plugins"][0]["name"] == "a"
        launcher.gate.set()
        await turns()
        await holder.end()
        await waiting.end()
    assert pool.stats().by_state() == {}


async def test_two_specs_with_one_key_must_have_one_logger(make_pool: Pools) -> None:
    command = ["/bin/true"]
    first = PluginSpec(command, {"logger": "one"}, name="first")
    second = PluginSpec(command, {"logger": "two"}, name="second")
    async with make_pool() as pool:
        await (await held(pool, first)).end()
        with pytest.raises(ConfigError, match="'first' and 'second' share a process, and differ in logger"):
            async with pool.lease(second):
                pass
        again = PluginSpec(command, {"logger": "one", "start_timeout": 5})
        holder = await held(pool, again)
        assert holder.pid == pool.stats().plugins[0].pid
        await holder.end()


async def test_program_that_is_replaced_on_disk(
    make_pool: Pools, clock: FakeClock, launcher: FakeLauncher, tmp_path: Path
) -> None:
    program = tmp_path / "plugin"
    program.write_text("old")
    program.chmod(0o755)
    kv = PluginSpec([program])
    async with make_pool() as pool:
        old = await held(pool, kv)
        program.unlink()
        program.write_text("new one")
        program.chmod(0o755)
        async with pool.lease(kv) as lease:
            assert lease.pid == old.pid, "files are looked at once a second"
        await clock.advance(1)
        new = await held(pool, kv)
        assert new.pid != old.pid
        assert len(launcher.alive) == 2, "the old one drains"
        await old.end()
        await turns()
        assert len(launcher.alive) == 1
        await new.end()


@pytest.mark.parametrize("is_resized", [False, True])
async def test_memory_over_the_limit_of_a_spec_has_it_replaced(
    make_pool: Pools, spec: Specs, clock: FakeClock, launcher: FakeLauncher, meter: Any, is_resized: bool
) -> None:
    async with make_pool() as pool:
        kv = spec(max_memory_bytes=100 * 2**20, max_idle=1_000)
        await (await held(pool, kv)).end()
        if is_resized:
            pool.resize(Limits(max_plugins=10))
        meter.by_pid[launcher.last.pid] = 200 * 2**20
        await clock.advance(60)
        assert len(launcher.clients) == 2
        assert launcher.clients[0].is_closed


async def test_close_of_a_pool_that_was_never_open() -> None:
    started = time.monotonic()
    pool = PluginPool()
    await pool.close()
    assert time.monotonic() - started < 1
    with pytest.raises(PoolError, match="not open"):
        pool.resize(Limits())


@pytest.mark.filterwarnings("default::ResourceWarning")
async def test_a_pool_that_nobody_has_any_more_ends_after_its_leases(
    launcher: FakeLauncher, clock: FakeClock, meter: FakeMeter, spec: Specs
) -> None:
    launcher.start_seconds = 0
    pool = PluginPool(_clock=clock, _launcher=launcher, _meter=meter)
    await pool.__aenter__()
    async with pool.lease(spec("idle")):
        pass
    async with pool.lease(spec()) as lease:
        with pytest.warns(ResourceWarning, match="the pool 'pool' was never closed"):
            del pool
        await turns()
        assert {client.spec.name for client in launcher.alive} == {"kv"}
        assert lease.calls == 1
    await turns()
    assert (launcher.alive, clock.timers) == (set(), 0)
