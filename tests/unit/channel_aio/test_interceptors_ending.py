"""Calls that users hold while interceptors are at work: how they end, and what is told."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import grpc
import pytest
from grpc import aio

from channel_aio.interceptor_kinds import Continuation, StreamStream, UnaryStream, UnaryUnary, pass_on
from ferrule import _core
from ferrule.channel import AioRpcError, Channel, insecure_channel
from ferrule.channel.options import channel_settings
from ferrule.channel.status import CLIENT_CLOSED

OK, CANCELLED, NOT_FOUND = grpc.StatusCode.OK, grpc.StatusCode.CANCELLED, grpc.StatusCode.NOT_FOUND
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


async def test_cancel_before_there_is_a_call(peer: Any, factory: Any, within: Any) -> None:
    began = asyncio.Event()

    async def wait(_continuation: Continuation, _details: Any, _request: Any) -> Any:
        began.set()
        await asyncio.Event().wait()

    async with factory(peer.target, interceptors=[UnaryUnary(wait)]) as channel:
        call = channel.unary_unary("/test/uu_echo")(b"")
        told = asyncio.Event()
        call.add_done_callback(lambda _: told.set())
        await within(began.wait())
        assert not call.done()
        assert call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert (call.done(), call.cancelled(), call.cancel()) == (True, True, False)
        assert (await call.code(), await call.details()) == (CANCELLED, "Locally cancelled by application!")
        assert (await call.initial_metadata(), await call.trailing_metadata()) == (None, None)
        await within(told.wait())


async def test_cancelling_the_task_reaches_the_inner_call(peer: Any, factory: Any, within: Any) -> None:
    async def wait(continuation: Continuation, details: Any, request: Any) -> Any:
        call = await continuation(details, request)
        await call
        return call

    for intercept in (pass_on, wait):
        async with factory(peer.target, interceptors=[UnaryUnary(intercept)]) as channel:

            async def use(channel: Any = channel) -> None:
                await channel.unary_unary("/test/uu_wait")(b"")

            peer.started.clear()
            peer.cancelled.clear()
            task = asyncio.create_task(use())
            await within(peer.started.wait())
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await within(peer.cancelled.wait())


async def test_callbacks_get_the_users_call(peer: Any, factory: Any, within: Any) -> None:
    async with factory(peer.target, interceptors=[UnaryUnary(pass_on)]) as channel:
        call = channel.unary_unary("/test/uu_wait")(b"")
        told: list[Any] = []
        call.add_done_callback(told.append)
        await within(peer.started.wait())
        call.add_done_callback(told.append)
        peer.release.set()
        await call
        call.add_done_callback(told.append)
        assert told == [call] * 3


async def test_time_remaining(peer: Any, within: Any) -> None:
    async with insecure_channel(peer.target, interceptors=[UnaryUnary(pass_on)]) as channel:
        call = channel.unary_unary("/test/uu_wait")(b"", timeout=100)
        assert 90 < (call.time_remaining() or 0) <= 100
        await within(peer.started.wait())
        assert 90 < (call.time_remaining() or 0) <= 100
        call.cancel()


async def test_closing_cancels_what_interceptors_do(peer: Any, factory: Any, within: Any) -> None:
    began = asyncio.Event()

    async def wait(_continuation: Continuation, _details: Any, _request: Any) -> Any:
        began.set()
        await asyncio.Event().wait()

    async with factory(peer.target, interceptors=[UnaryUnary(wait), UnaryStream(pass_on)]) as channel:
        calls = [channel.unary_unary("/test/uu_echo")(b""), channel.unary_stream("/test/us_one_and_wait")(b"")]
        await within(began.wait())
        await within(peer.started.wait())
        await channel.close()
        assert [await call.code() for call in calls] == [CANCELLED] * 2
        await within(peer.cancelled.wait())


async def test_a_dropped_stream_is_cancelled(peer: Any, within: Any) -> None:
    async with insecure_channel(peer.target, interceptors=[UnaryStream(pass_on), StreamStream(pass_on)]) as channel:
        async for message in channel.unary_stream("/test/us_one_and_wait")(b""):
            assert message == b"one"
            break
        gc.collect()
        await within(peer.cancelled.wait())
        peer.cancelled.clear()
        call = channel.stream_stream("/test/ss_one_and_wait")()
        assert await call.read() == b"one"
        del call
        gc.collect()
        await within(peer.cancelled.wait())


async def test_metadata_of_the_user_are_not_changed(peer: Any) -> None:
    async def add(continuation: Continuation, details: Any, request: Any) -> Any:
        details.metadata.add("x-added", "yes")
        return await continuation(details, request)

    metadata = aio.Metadata(("x-own", "own"))
    async with insecure_channel(peer.target, interceptors=[UnaryUnary(add)]) as channel:
        for _ in range(2):
            call = channel.unary_unary("/test/uu_metadata")(b"", metadata=metadata)
            assert await call == repr([("x-own", "own"), ("x-added", "yes")]).encode()
    assert tuple(metadata) == (("x-own", "own"),)


@pytest.mark.parametrize("metadata", [{"ab": "cd"}, ["ab"], [b"ab"], [("one", "two", "three")]])
async def test_metadata_must_be_pairs(peer: Any, metadata: Any) -> None:
    async def unused(continuation: Continuation, details: Any, request: Any) -> Any:
        raise AssertionError

    async with insecure_channel(peer.target, interceptors=[UnaryUnary(unused)]) as channel:
        with pytest.raises(ValueError, match="pairs of a key and a value"):
            channel.unary_unary("/test/uu_echo")(b"", metadata=metadata)


@pytest.fixture
def of_a_client(peer: Any) -> Any:
    """Makes a channel with interceptors such as clients hand out, whose calls do not end by a CancelledError."""

    def make(*interceptors: aio.ClientInterceptor) -> Channel:
        core = _core.Channel(peer.target, channel_settings(None, None), None)
        return Channel(core, secure=False, interceptors=interceptors, close_status=CLIENT_CLOSED)

    return make


@pytest.mark.parametrize("turns", [0, 1, 2])
async def test_channel_of_a_client_closed_before_there_is_a_call(of_a_client: Any, within: Any, turns: int) -> None:
    stopped: list[bool] = []

    async def wait(_continuation: Continuation, _details: Any, _request: Any) -> Any:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append(True)

    channel = of_a_client(UnaryUnary(wait), UnaryStream(wait), StreamStream(wait))
    calls = [
        channel.unary_unary("/test/uu_echo")(b""),
        channel.unary_stream("/test/us_count")(b"1"),
        channel.stream_stream("/test/ss_echo")(),
    ]
    for _ in range(turns):
        await asyncio.sleep(0)
    await channel.close()
    for call in calls:
        with pytest.raises(AioRpcError) as caught:
            await within(anext(aiter(call)) if hasattr(call, "__aiter__") else call)
        assert (caught.value.code(), caught.value.details()) == (UNAVAILABLE, CLIENT_CLOSED.details)
        assert (caught.value.begun, call.begun) == (False, False)
        assert (call.done(), call.cancelled(), await call.code()) == (True, False, UNAVAILABLE)
    assert len(stopped) == (3 if turns else 0)


async def test_channel_of_a_client_closed_around_the_inner_call(peer: Any, of_a_client: Any, within: Any) -> None:
    async def wait(continuation: Continuation, details: Any, request: Any) -> Any:
        call = await continuation(details, request)
        await call
        return call

    for intercept in (pass_on, wait):
        peer.started.clear()
        channel = of_a_client(UnaryUnary(intercept))
        call = channel.unary_unary("/test/uu_wait")(b"")
        await within(peer.started.wait())
        await channel.close()
        with pytest.raises(AioRpcError) as caught:
            await within(call)
        assert (caught.value.code(), caught.value.details()) == (UNAVAILABLE, CLIENT_CLOSED.details)
        assert (caught.value.begun, call.begun) == (True, True)
