"""Calls of a lease beside others, and at the end of a pool. Numbers are those of the scenarios."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from grpc import aio

from ferrule.pool import LeaseRevoked, OutcomeUnknown, PluginDied, PoolError
from pool.aio.fakes import turns
from pool.aio.setting import METHOD, Leased


async def test_calls_through_one_lease_are_bounded(leased: Leased) -> None:
    async with leased(max_concurrent_calls=2) as at:
        calls = [at.unary(b"%d" % number, timeout=10) for number in range(4)]
        upload = at.requests(iter([b"a", b"b"]))
        core = at.plugin.core
        assert [call.request for call in core.calls] == [b"0", b"1"]
        await at.clock.advance(3)
        assert calls[3].cancel()
        core.calls[0].answer(b"zero")
        assert await calls[0] == b"zero"
        assert (core.calls[2].request, core.calls[2].timeout) == (b"2", 7)
        core.calls[1].answer(b"one")
        await turns()
        assert core.calls[3].requests == [b"a", b"b"]
        assert core.calls[3].is_finished
        core.calls[2].answer(b"two")
        core.calls[3].answer(b"sum")
        assert (await calls[2], await upload) == (b"two", b"sum")


async def test_call_that_waits_for_its_turn_has_its_deadline(leased: Leased) -> None:
    async with leased(max_concurrent_calls=1) as at:
        first, second = at.unary(b"1"), at.unary(b"2", timeout=1)
        await at.clock.advance(1)
        with pytest.raises(aio.AioRpcError) as caught:
            await second
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        at.sent().answer(b"one")
        assert await first == b"one"
        assert len(at.plugin.core.calls) == 1


async def test_calls_that_wait_for_their_turn_move_with_the_others(leased: Leased) -> None:
    async with leased(max_concurrent_calls=1) as at:
        begun, waiting = at.unary(b"1"), at.unary(b"2")
        at.sent().begin()
        at.plugin.die()
        await at.replaced()
        at.sent().answer(b"two")
        assert await waiting == b"two"
        with pytest.raises(OutcomeUnknown):
            await begun


@pytest.mark.parametrize("how", ["close", "evict", "drain"])
async def test_22_revoked_calls_say_so_and_nobody_is_cancelled(leased: Leased, how: str) -> None:
    async with leased({"drain_timeout": 50}) as at:
        call = at.unary(b"apply")
        at.sent().begin()
        outcome: list[Any] = []

        async def caller() -> None:
            try:
                await call
            except LeaseRevoked as error:
                outcome.extend([error.begun, asyncio.current_task().cancelling()])  # type: ignore[union-attr]
                raise

        task = asyncio.create_task(caller())
        if how == "close":
            await at.pool.close(force=True)
        elif how == "evict":
            await at.pool.evict(at.lease.spec, force=True)
        else:
            await at.pool.evict(at.lease.spec)
            await at.clock.advance(49)
            assert not task.done()
            await at.clock.advance(1)
        await asyncio.wait([task])
        assert outcome == [True, 0]
        assert isinstance(task.exception(), LeaseRevoked)


async def test_call_that_had_not_begun_moves_when_its_lease_is_revoked(leased: Leased) -> None:
    async with leased() as at:
        call = at.unary(b"read")
        await at.pool.evict(at.lease.spec, force=True)
        await at.replaced()
        at.sent().answer(b"done")
        assert await call == b"done"


async def test_call_after_the_end_of_the_pool(leased: Leased) -> None:
    async with leased() as at:
        await at.pool.close(force=True)
        with pytest.raises(PluginDied) as caught:
            await at.unary(b"read")
        assert "the pool is closed" in str(caught.value.__cause__)


async def test_stream_that_is_dropped_is_cancelled_and_not_counted_any_more(leased: Leased) -> None:
    async with leased() as at:
        stream = at.responses(b"list")
        sent = at.sent()
        del stream
        assert sent.code == 1
        assert at.pool.stats().plugins[0].calls_in_flight == 0


async def test_channel_is_not_the_callers_to_close(leased: Leased) -> None:
    async with leased() as at:
        async with at.lease.channel:
            pass
        call = at.unary(b"read")
        at.sent().answer(b"done")
        assert await call == b"done"
        assert at.lease.channel.get_state() is grpc.ChannelConnectivity.READY


async def test_call_that_moves_waits_for_its_turn_too(leased: Leased) -> None:
    async with leased(max_concurrent_calls=2) as at:
        at.plugin.die()
        await turns()
        other = at.pool.lease(at.lease.spec)
        entering = asyncio.create_task(other.__aenter__())
        await at.replaced()
        await entering
        core = at.plugin.core
        method: Any = other.channel.unary_unary(METHOD)
        calls = [method(b"1"), method(b"2")]
        moved = at.unary(b"3")
        await turns()
        assert [call.request for call in core.calls] == [b"1", b"2"]
        core.calls[0].answer(b"one")
        await turns()
        assert [call.request for call in core.calls] == [b"1", b"2", b"3"]
        core.calls[1].answer(b"two")
        core.calls[2].answer(b"three")
        assert [await calls[0], await calls[1], await moved] == [b"one", b"two", b"three"]
        await other.__aexit__(None, None, None)


async def test_calls_that_move_count_as_leases(leased: Leased) -> None:
    async with leased(max_concurrent_calls=2) as at:
        first, second = at.unary(b"1"), at.unary(b"2")
        at.plugin.die()
        await at.replaced()
        waiting = asyncio.create_task(at.pool.lease(at.lease.spec, timeout=1).__aenter__())
        await at.clock.advance(1)
        with pytest.raises(PoolError, match="concurrency"):
            await waiting
        for sent in list(at.plugin.core.calls):
            sent.answer(b"done")
        assert [await first, await second] == [b"done", b"done"]
