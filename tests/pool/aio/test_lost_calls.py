"""Calls of a lease whose plugin is lost: what is made again, what is told. Numbers are those of the scenarios."""

from __future__ import annotations

import asyncio
import pickle
from typing import Any

import grpc
import pytest
from grpc import aio

from ferrule.channel.status import UNAVAILABLE
from ferrule.pool import LeaseRevoked, OutcomeUnknown, PluginDied, PoolError
from pool.aio.fakes import turns
from pool.aio.setting import METHOD, Leased


async def test_calls_of_all_kinds_are_calls_of_grpc_aio(leased: Leased) -> None:
    async with leased() as at:
        call = at.unary(b"question", timeout=5, metadata=(("key", "value"),))
        assert isinstance(call, aio.UnaryUnaryCall)
        assert (at.sent().request, at.sent().timeout) == (b"question", 5)
        done: list[Any] = []
        call.add_done_callback(done.append)
        at.sent().answer(b"answer")
        assert await call == b"answer"
        assert (await call.code(), await call.details(), done) == (grpc.StatusCode.OK, "", [call])

        stream = at.responses(b"question")
        at.sent().deliver(b"1", b"2")
        assert await stream.read() == b"1"
        at.sent().answer(b"3")
        assert [await stream.read() for _ in range(3)] == [b"2", b"3", aio.EOF]

        upload = at.requests(iter([b"1", b"2"]))
        await turns()
        at.sent().begin()
        await turns()
        assert (at.sent().requests, at.sent().is_finished) == ([b"1", b"2"], True)
        at.sent().answer(b"sum")
        assert await upload == b"sum"

        both = at.both()
        at.sent().begin()
        await both.write(b"ping")
        at.sent().deliver(b"pong")
        assert await anext(aiter(both)) == b"pong"
        assert both.cancel()
        assert both.cancelled()
        stats = at.pool.stats().plugins[0]
        assert (stats.calls, stats.calls_in_flight, stats.call_seconds.count) == (4, 0, 4)


async def test_18_begun_call_is_told_as_unknown(leased: Leased) -> None:
    async with leased() as at:
        events: list[Any] = []
        at.pool.subscribe(events.append)
        call = at.unary(b"apply")
        at.sent().begin()
        at.plugin.stderr_tail = ("panic: oh",)
        pid = at.plugin.pid
        at.plugin.die()
        with pytest.raises(OutcomeUnknown, match=r"while /test\.Test/Call was under way.*SIGKILL") as caught:
            await call
        error = caught.value
        assert (error.begun, error.method, error.exit_status, error.pid) == (True, METHOD, -9, pid)
        assert error.stderr_tail == ("panic: oh",)
        assert isinstance(error, aio.AioRpcError)
        assert error.code() is grpc.StatusCode.UNAVAILABLE  # type: ignore[misc,operator]
        assert await call.code() is grpc.StatusCode.UNAVAILABLE
        with pytest.raises(OutcomeUnknown) as again:
            await call
        assert again.value is not error
        copy = pickle.loads(pickle.dumps(error))
        assert (type(copy), copy.method, copy.pid, str(copy)) == (OutcomeUnknown, METHOD, pid, str(error))
        assert ("call_unknown", METHOD) in [(event.kind, event.detail) for event in events]
        assert at.pool.stats().calls_unknown == 1
        await at.replaced()
        assert len(at.launcher.clients) == 1, "nobody wants another one"


async def test_18_call_that_had_not_begun_is_made_with_the_replacement(leased: Leased) -> None:
    async with leased() as at:
        calls = [at.unary(b"read", timeout=30), at.responses(b"list"), at.both(), at.requests(None)]
        at.plugin.die()
        await at.replaced()
        assert len(at.launcher.clients) == 2
        unary, responses, both, requests = at.plugin.core.calls
        assert unary.timeout < 30
        unary.answer(b"done")
        assert await calls[0] == b"done"
        responses.answer(b"1", b"2")
        assert [each async for each in calls[1]] == [b"1", b"2"]
        both.begin()
        await calls[2].write(b"x")
        await calls[2].done_writing()
        assert (both.requests, both.is_finished) == ([b"x"], True)
        both.answer()
        requests.answer(b"sum")
        assert await calls[3] == b"sum"
        await turns()
        assert at.pool.stats().leases == 0, "each call gives its own lease back"
        later = at.unary(b"later")
        await turns()
        at.sent().answer(b"too")
        assert await later == b"too"
        assert at.pool.stats().calls_unknown == 0


async def test_call_that_may_not_be_made_again_says_that_it_had_not_begun(leased: Leased) -> None:
    async with leased({"retry_unsent": False}) as at:
        call = at.unary(b"read")
        at.plugin.die()
        with pytest.raises(PluginDied, match=r"before /test\.Test/Call had begun") as caught:
            await call
        assert caught.value.begun is False
        with pytest.raises(PluginDied):
            await at.unary(b"another")


async def test_stream_whose_requests_were_taken_is_not_made_again(leased: Leased) -> None:
    async with leased() as at:
        call = at.requests(iter([b"1", b"2"]))
        await turns()
        at.plugin.die()
        with pytest.raises(PluginDied):
            await call


async def test_idempotent_call_is_made_again_after_it_had_begun(leased: Leased) -> None:
    async with leased(idempotent={METHOD}) as at:
        call = at.unary(b"read")
        at.sent().begin()
        at.plugin.die()
        await at.replaced()
        at.sent().answer(b"done")
        assert await call == b"done"


async def test_request_that_kills_each_plugin_is_given_up(leased: Leased) -> None:
    async with leased(idempotent={METHOD}) as at:
        call = at.unary(b"poison")
        for _ in range(3):
            at.sent().begin()
            at.plugin.die()
            await at.clock.advance(10)
        assert len(at.launcher.clients) == 3
        with pytest.raises(OutcomeUnknown):
            await call


async def test_only_repeats_of_a_call_that_had_begun_are_few(leased: Leased) -> None:
    async with leased(idempotent={METHOD}) as at:
        call = at.unary(b"read")
        for _ in range(3):
            at.plugin.die()
            await at.clock.advance(10)
        at.sent().begin()
        at.plugin.die()
        await at.clock.advance(10)
        at.sent().answer(b"done")
        assert await call == b"done"


async def test_call_that_had_begun_stays_so_while_it_is_made_again(leased: Leased) -> None:
    async with leased(idempotent={METHOD}) as at:
        call = at.unary(b"read", timeout=30)
        at.sent().begin()
        at.plugin.die()
        await turns()
        assert call.begun
        await at.replaced()
        at.plugin.expire(at.sent())
        with pytest.raises(aio.AioRpcError) as caught:
            await call
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert caught.value.begun  # type: ignore[attr-defined]


async def test_idempotent_stream_is_not_made_again_once_it_has_answered(leased: Leased) -> None:
    async with leased(idempotent={METHOD}) as at:
        call = at.responses(b"list")
        at.sent().deliver(b"1")
        assert await call.read() == b"1"
        at.plugin.die()
        with pytest.raises(OutcomeUnknown):
            await call.read()


@pytest.mark.parametrize("dies", [False, True])
async def test_status_of_the_plugin_itself_stays_what_it_is(leased: Leased, dies: bool) -> None:
    async with leased() as at:
        call = at.unary(b"read")
        at.sent().answer(code=UNAVAILABLE, details="the cloud is away")
        if dies:
            at.plugin.die()
        with pytest.raises(aio.AioRpcError) as caught:
            await call
        assert not isinstance(caught.value, PoolError)
        assert caught.value.details() == "the cloud is away"
        assert caught.value.begun  # type: ignore[attr-defined]


async def test_lost_connection_of_a_living_plugin_has_it_replaced(leased: Leased) -> None:
    async with leased() as at:
        first = at.plugin
        call = at.unary(b"read")
        at.sent().end(UNAVAILABLE, "the plugin did not answer", begun=False)
        await at.replaced()
        assert at.plugin is not first
        assert first.is_closed
        at.sent().answer(b"done")
        assert await call == b"done"


async def test_19_plugin_that_answers_neither_call_nor_health_check_is_replaced(leased: Leased) -> None:
    async with leased() as at:
        frozen = at.plugin
        call = at.unary(b"read", timeout=1)
        at.sent().begin()
        frozen.expire(at.sent())
        with pytest.raises(aio.AioRpcError) as caught:
            await call
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert caught.value.begun  # type: ignore[attr-defined]
        await turns()
        check = at.sent()
        assert check.method == b"/grpc.health.v1.Health/Check"
        frozen.expire(check)
        await turns()
        later = at.unary(b"again")
        await at.replaced()
        assert at.plugin is not frozen
        at.sent().answer(b"done")
        assert await later == b"done"


async def test_19_plugin_that_is_only_slow_stays(leased: Leased) -> None:
    async with leased() as at:
        call = at.unary(b"read", timeout=1)
        at.plugin.expire(at.sent())
        with pytest.raises(aio.AioRpcError):
            await call
        await turns()
        at.sent().answer(b"\x08\x01")
        await at.replaced()
        assert len(at.launcher.clients) == 1
        assert not at.plugin.is_closed


async def test_deadline_holds_while_a_call_waits_for_a_replacement(leased: Leased) -> None:
    async with leased() as at:
        at.launcher.start_seconds = 100
        call = at.unary(b"read", timeout=5)
        at.plugin.die()
        await at.clock.advance(5)
        with pytest.raises(aio.AioRpcError) as caught:
            await call
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert caught.value.begun is False  # type: ignore[attr-defined]
        await turns()
        assert len(at.launcher.alive) == 0, "nobody waits for the start any more"


async def test_call_that_waits_for_a_replacement_can_be_cancelled(leased: Leased) -> None:
    async with leased() as at:
        calls = [at.unary(b"read"), at.responses(b"list")]
        at.plugin.die()
        await turns()
        for call in calls:
            assert call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calls[0]
        await turns()
        assert len(at.launcher.alive) == 0


async def test_failed_replacement_is_the_cause(leased: Leased) -> None:
    async with leased() as at:
        at.launcher.failures = [RuntimeError("no start")]
        call = at.unary(b"read")
        at.plugin.die()
        await at.replaced()
        with pytest.raises(PluginDied) as caught:
            await call
        assert "no start" in str(caught.value.__cause__)


@pytest.mark.parametrize("kind", [PluginDied, OutcomeUnknown, LeaseRevoked])
def test_errors_are_made_where_grpcio_wants_all_of_it(monkeypatch: pytest.MonkeyPatch, kind: Any) -> None:
    """Up to 1.71 at least, AioRpcError had no defaults for its metadata."""
    init = aio.AioRpcError.__init__

    def older(
        self: Any, code: Any, initial_metadata: Any, trailing_metadata: Any, details: Any = None, debug: Any = None
    ) -> None:
        init(self, code, initial_metadata, trailing_metadata, details, debug)

    monkeypatch.setattr(aio.AioRpcError, "__init__", older)
    error = kind("lost", "a hint", "pool.lost", method="/a/b", pid=7)
    assert (error.message, error.hint, error.code, error.code()) == (
        *("lost", "a hint", "pool.lost"),
        grpc.StatusCode.UNAVAILABLE,
    )
    assert (error.details(), error.method, error.pid) == ("lost", "/a/b", 7)
    assert (list(error.initial_metadata()), list(error.trailing_metadata())) == ([], [])
