"""Interceptors that fail, and those who write requests meanwhile."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from grpc import aio

from channel_aio.interceptor_kinds import All, Continuation, StreamUnary, pass_on
from ferrule.channel import insecure_channel


async def fail_at_once(_continuation: Continuation, _details: Any, _requests: Any) -> Any:
    raise ZeroDivisionError


@pytest.mark.parametrize("kind", ["stream_unary", "stream_stream"])
@pytest.mark.parametrize("when", ["at once", "after a while", "after a request", "from the inner one"])
async def test_error_of_the_interceptor_reaches_a_writer(kind: str, when: str, peer: Any, within: Any) -> None:
    late = asyncio.Event()

    async def fail(_continuation: Continuation, _details: Any, requests: Any) -> Any:
        if when == "after a while":
            await late.wait()
        if when == "after a request":
            await anext(aiter(requests))
        raise ZeroDivisionError

    outer = [All(pass_on)] if when == "from the inner one" else []
    async with insecure_channel(peer.target, interceptors=[*outer, All(fail)]) as channel:
        call = getattr(channel, kind)("/test/ss_echo")()
        first = asyncio.create_task(call.write(b"a"))
        if when == "after a request":
            await within(first)
            # How many turns of the loop lie between that and the failure depends on the version of Python. Writers hear
            # of it a turn after the status.
            assert await within(call.code()) is grpc.StatusCode.INTERNAL
            await asyncio.sleep(0)
        else:
            late.set()
            with pytest.raises(ZeroDivisionError):
                await within(first)
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                await within(call.write(b"b"))
            with pytest.raises(ZeroDivisionError):
                await within(call.done_writing())
        assert await call.code() is grpc.StatusCode.INTERNAL


async def test_error_of_the_interceptor_reaches_who_ends_the_requests(factory: Any, peer: Any, within: Any) -> None:
    async with factory(peer.target, interceptors=[StreamUnary(fail_at_once)]) as channel:
        with pytest.raises(ZeroDivisionError):
            await within(channel.stream_unary("/test/su_join")().done_writing())


async def test_status_of_the_interceptor_is_an_end_like_any_other(factory: Any, peer: Any, within: Any) -> None:
    async def refuse(_continuation: Continuation, _details: Any, _requests: Any) -> Any:
        raise aio.AioRpcError(grpc.StatusCode.UNAUTHENTICATED, aio.Metadata(), aio.Metadata(), "no token")

    async with factory(peer.target, interceptors=[StreamUnary(refuse)]) as channel:
        call = channel.stream_unary("/test/su_join")()
        with pytest.raises(asyncio.InvalidStateError, match="RPC already finished"):
            await within(call.write(b"a"))
        with pytest.raises(aio.AioRpcError, match="no token"):
            await within(call.done_writing())


async def test_writer_that_is_cancelled_cancels_the_call(peer: Any, within: Any) -> None:
    started = asyncio.Event()

    async def hold(_continuation: Continuation, _details: Any, _requests: Any) -> Any:
        started.set()
        await asyncio.Event().wait()

    async with insecure_channel(peer.target, interceptors=[StreamUnary(hold)]) as channel:
        for writes in (True, False):
            started.clear()
            call = channel.stream_unary("/test/su_join")()
            acting = asyncio.create_task(call.write(b"a") if writes else call.done_writing())
            await within(started.wait())
            acting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await within(acting)
            assert call.cancelled()
