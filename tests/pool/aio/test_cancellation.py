"""Scenario 13: whoever is cancelled, at whatever point, leaves the pool as if he had never been there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from ferrule.pool import PluginPool, PluginSpec, PluginUnavailable
from ferrule.pool.aio.process import MAX_STUBS
from ferrule.pool.machine import this_machine
from pool.aio.fakes import FakeClock, FakeLauncher, turns
from pool.aio.holder import Holder

Pools = Callable[..., PluginPool]
Specs = Callable[..., PluginSpec]

MOST_TURNS = 200
"""More than any of these lives takes."""


async def configure(_client: Any) -> None:
    await turns(2)


async def life(pool: PluginPool, kv: PluginSpec) -> None:
    """Acquire, start, configuration, call, release."""
    async with pool.lease(kv) as lease:
        assert await lease.channel.unary_unary("/test.Test/Call")(b"x") == b"x"  # type: ignore[arg-type]


async def cancelled_after(number: int, work: Awaitable[Any]) -> bool:
    """Cancels a task after some turns of the loop; whether it was over before."""
    task = asyncio.ensure_future(work)
    await turns(number)
    was_over = task.done()
    task.cancel()
    await asyncio.wait([task])
    assert was_over or task.cancelled(), "a CancelledError was swallowed"
    if was_over:
        task.result()
    return was_over


def untouched(pool: PluginPool) -> None:
    """Nobody has a lease of the pool or waits for one, and nothing starts."""
    stats = pool.stats()
    assert (stats.leases, stats.waiting) == (0, 0)
    assert set(stats.by_state()) <= {"ready"}
    assert sum(plugin.calls_in_flight for plugin in stats.plugins) == 0
    assert this_machine().start_slots.used == 0


@pytest.fixture(autouse=True)
def quick(launcher: FakeLauncher) -> None:
    launcher.start_seconds, launcher.turns, launcher.echoes = 0, 3, True


async def sweep(one: Callable[[int], Awaitable[bool]]) -> int:
    """Runs a life again and again, each time cancelled a turn later, until it was over before."""
    for number in range(MOST_TURNS):
        if await one(number):
            return number
    raise AssertionError("the life never ended by itself")


@pytest.mark.parametrize("on_start", [None, configure])
async def test_13_cold_lease(make_pool: Pools, spec: Specs, launcher: FakeLauncher, on_start: Any) -> None:
    async def one(number: int) -> bool:
        async with make_pool() as pool:
            was_over = await cancelled_after(number, life(pool, spec(on_start=on_start)))
            await turns()
            untouched(pool)
            assert was_over or len(launcher.alive) <= 1
            await life(pool, spec())
        return was_over

    assert await sweep(one) >= 8


async def test_13_lease_of_a_start_that_another_waits_for(
    make_pool: Pools, spec: Specs, launcher: FakeLauncher
) -> None:
    async def one(number: int) -> bool:
        async with make_pool() as pool:
            kv, before = spec(), len(launcher.clients)
            other = Holder(pool, kv)
            was_over = await cancelled_after(number, life(pool, kv))
            await turns()
            assert other.pid is not None
            assert len(launcher.clients) == before + 1
            await other.end()
            untouched(pool)
        return was_over

    await sweep(one)


async def test_13_hand_off_reaches_the_next(make_pool: Pools, spec: Specs) -> None:
    kv = spec(max_concurrent_calls=1, max_calls=1_000)

    async def one(number: int) -> bool:
        async with make_pool() as pool:
            await life(pool, kv)
            before = pool.stats().plugins[0]
            first = Holder(pool, kv)
            await turns()
            second = asyncio.ensure_future(life(pool, kv))
            await turns()
            third = Holder(pool, kv)
            await turns()
            first.release.set()
            # The lease is handed to the second one, who is cancelled around that very turn.
            await turns(number)
            was_over = second.done()
            second.cancel()
            await turns()
            assert third.pid == before.pid
            assert was_over or second.cancelled()
            await third.end()
            untouched(pool)
            async with pool.lease(kv) as lease:
                # The one who was cancelled counts only if the body had begun.
                assert lease.calls in {4, 5}
        return was_over

    await sweep(one)


async def test_13_counters_are_as_if_the_cancelled_one_had_never_been(make_pool: Pools, spec: Specs) -> None:
    kv = spec(max_concurrent_calls=1)
    async with make_pool() as pool:
        first = Holder(pool, kv)
        await turns()
        second = Holder(pool, kv)
        await turns()
        first.release.set()
        # The lease is granted, and the one who waits has not run yet.
        await turns(1)
        second.task.cancel()
        await turns()
        assert second.pid is None
        async with pool.lease(kv) as lease:
            assert lease.calls == 2
        names = pool.stats().names[0]
        assert names.lease_use.count == 2


async def test_13_close(make_pool: Pools, spec: Specs, launcher: FakeLauncher) -> None:
    async def one(number: int) -> bool:
        pool = make_pool()
        await pool.__aenter__()
        holders = [Holder(pool, spec(name)) for name in "abc"]
        await turns()
        for holder in holders[1:]:
            await holder.end()
        # One lease is held: only the second close, or the cancellation of the first, ends it.
        was_over = await cancelled_after(number, pool.close(force=number % 2 == 0))
        await pool.close(force=True)
        assert launcher.alive == set()
        await holders[0].end()
        return was_over and number % 2 == 0

    await sweep(one)


async def test_13_call_that_moves(make_pool: Pools, spec: Specs, clock: FakeClock, launcher: FakeLauncher) -> None:
    kv = spec()

    async def one(number: int) -> bool:
        async with make_pool() as pool:
            launcher.echoes = False
            async with pool.lease(kv) as lease:
                call: Any = lease.channel.unary_unary("/test.Test/Call")(b"x")  # type: ignore[arg-type]
                launcher.echoes = True
                await clock.advance(2)
                launcher.last.die()
                # A task that has not run has not looked at its call.
                was_over = await cancelled_after(number + 1, _outcome(call))
            await turns()
            untouched(pool)
        return was_over

    await sweep(one)


async def _outcome(call: Any) -> None:
    assert await call == b"x"


async def test_13_warm_up(make_pool: Pools, spec: Specs, launcher: FakeLauncher, clock: FakeClock) -> None:
    async def one(number: int) -> bool:
        async with make_pool() as pool:
            was_over = await cancelled_after(number, pool.warm([spec(name) for name in "abcd"]))
            await clock.advance(0)
            untouched(pool)
        assert launcher.alive == set()
        return was_over

    await sweep(one)


async def test_a_coroutine_that_is_closed_while_it_waits(make_pool: Pools, spec: Specs, launcher: FakeLauncher) -> None:
    launcher.gate = asyncio.Event()
    async with make_pool() as pool:
        kv = spec(max_concurrent_calls=1)
        waiting = pool.lease(kv).__aenter__()
        waiting.send(None)
        assert pool.stats().waiting == 1
        waiting.close()
        await turns()
        untouched(pool)
        launcher.gate.set()
        async with pool.lease(kv):
            pass
        untouched(pool)


async def test_a_lease_that_two_tasks_enter_at_once(make_pool: Pools, spec: Specs) -> None:
    async with make_pool() as pool:
        lease = pool.lease(spec())

        async def enter() -> None:
            async with lease:
                await turns()

        first, second = await asyncio.gather(enter(), enter(), return_exceptions=True)
        assert first is None
        assert getattr(second, "code", None) == "pool.lease-used"
        untouched(pool)


class Odd(BaseException):
    """Neither an Exception nor a CancelledError: test libraries have such."""


async def raise_odd(_client: Any) -> None:
    raise Odd("out of the ordinary")


async def test_an_on_start_that_raises_what_no_handler_expects(make_pool: Pools, spec: Specs) -> None:
    async with make_pool() as pool:
        with pytest.raises(PluginUnavailable, match="on_start ended with Odd") as caught:
            async with pool.lease(spec(on_start=raise_odd)):
                pass
        assert isinstance(caught.value.__cause__.__cause__, Odd)  # type: ignore[union-attr]
        untouched(pool)


async def test_stubs_of_functions_that_are_made_anew(make_pool: Pools, spec: Specs) -> None:
    async with make_pool() as pool, pool.lease(spec()) as lease:
        for number in range(2 * MAX_STUBS):
            assert lease.stub(lambda _channel, number=number: number) == number  # type: ignore[misc]
        assert len(lease._process._stubs) <= MAX_STUBS
