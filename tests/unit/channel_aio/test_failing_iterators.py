"""Iterators of requests that fail: the call fails with them. In grpc.aio it is cancelled, which task groups swallow."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import pytest
from grpc import aio

from channel_aio.interceptor_kinds import All, pass_on
from ferrule.channel import insecure_channel
from waiting import until

UNKNOWN, CANCELLED, INTERNAL = grpc.StatusCode.UNKNOWN, grpc.StatusCode.CANCELLED, grpc.StatusCode.INTERNAL
DETAILS = "Exception iterating requests!"


async def failing() -> AsyncIterator[bytes]:
    yield b"one"
    raise ValueError("no more")


async def waiting_for_a_cancelled_future() -> AsyncIterator[bytes]:
    yield b"one"
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


def dividing() -> Iterator[bytes]:
    yield b"one"
    yield b"%d" % (1 // 0)


FAILING = [
    pytest.param(failing, ValueError, id="async"),
    pytest.param(dividing, ZeroDivisionError, id="plain"),
    pytest.param(lambda: 7, TypeError, id="none"),
    pytest.param(waiting_for_a_cancelled_future, asyncio.CancelledError, id="cancelled"),
]


async def unary(call: Any) -> None:
    await call


async def iterate(call: Any) -> None:
    async for _ in call:
        pass


async def read(call: Any) -> None:
    while await call.read() is not aio.EOF:
        pass


WAYS = [("stream_unary", "/test/su_wait", unary)] + [
    ("stream_stream", "/test/ss_one_and_wait", way) for way in (iterate, read)
]


@pytest.mark.parametrize("intercepted", [False, True])
@pytest.mark.parametrize(("kind", "method", "wait"), WAYS, ids=["unary", "iterate", "read"])
@pytest.mark.parametrize(("requests", "cause"), FAILING)
async def test_the_call_fails(
    peer: Any, within: Any, kind: str, method: str, wait: Any, requests: Any, cause: type, intercepted: bool
) -> None:
    interceptors = [All(pass_on)] if intercepted else []
    async with insecure_channel(peer.target, interceptors=interceptors) as channel:
        call = getattr(channel, kind)(method)(requests())
        with pytest.raises(aio.AioRpcError) as caught:
            await within(wait(call))
        assert (caught.value.code(), caught.value.details()) == (UNKNOWN, DETAILS)
        assert type(caught.value.__cause__) is cause
        assert (await call.code(), await call.details()) == (UNKNOWN, DETAILS)
        assert (call.done(), call.cancelled()) == (True, False)


async def test_the_peer_is_told(own: Any, peer: Any, within: Any) -> None:
    async def failing_later() -> AsyncIterator[bytes]:
        yield b"one"
        await peer.started.wait()
        raise ValueError("no more")

    with pytest.raises(aio.AioRpcError):
        await own.stream_unary("/test/su_wait")(failing_later())
    await within(peer.cancelled.wait())


@pytest.mark.parametrize(("kind", "method", "wait"), WAYS, ids=["unary", "iterate", "read"])
async def test_a_task_group_fails_with_it(own: Any, kind: str, method: str, wait: Any) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.TaskGroup() as group:
            group.create_task(wait(getattr(own, kind)(method)(failing())))
    (error,) = caught.value.exceptions
    assert isinstance(error, aio.AioRpcError)
    assert str(error.__cause__) == "no more"


async def test_it_is_logged(own: Any, caplog: pytest.LogCaptureFixture) -> None:
    """As of blocking calls: nobody may wait for the call."""
    with caplog.at_level(logging.DEBUG, "ferrule"):
        call = own.stream_unary("/test/su_wait")(failing())
        await call.code()
    (record,) = (record for record in caplog.records if record.name == "ferrule.channel.request_stream")
    assert (record.levelno, record.getMessage()) == (logging.ERROR, DETAILS)
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "no more"


async def test_a_serializer_that_fails_keeps_its_error(own: Any, caplog: pytest.LogCaptureFixture) -> None:
    call = own.stream_unary("/test/su_wait", request_serializer=str.encode)(iter([7]))
    with pytest.raises(TypeError):
        await call
    assert await call.code() is INTERNAL
    assert DETAILS not in caplog.text


async def test_cancelling_the_call_is_no_failure(
    own: Any, peer: Any, within: Any, caplog: pytest.LogCaptureFixture
) -> None:
    call = own.stream_stream("/test/ss_one_and_wait")(waiting())
    assert await call.read() == b"one"
    await within(peer.started.wait())
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call.read()
    await within(peer.cancelled.wait())
    assert await call.code() is CANCELLED
    assert DETAILS not in caplog.text


async def waiting() -> AsyncIterator[bytes]:
    yield b"one"
    await asyncio.Event().wait()


async def test_cancelling_the_sending_task_cancels_the_call(own: Any) -> None:
    """As the end of the loop does, which cancels all tasks."""
    before = asyncio.all_tasks()
    call = own.stream_stream("/test/ss_one_and_wait")(waiting())
    (task,) = asyncio.all_tasks() - before
    assert await call.read() == b"one"
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call.read()
    assert await call.code() is CANCELLED


async def test_the_end_of_the_call_is_no_failure_of_the_iterator(own: Any, peer: Any, within: Any) -> None:
    """What came before an early OK is read, though requests were still on their way."""
    asked = asyncio.Event()

    async def going_on() -> AsyncIterator[bytes]:
        yield b"one"
        await asked.wait()
        yield b"two"

    call = own.stream_stream("/test/ss_two")(going_on())
    assert await call.read() == b"one"
    peer.release.set()
    await within(peer.answered.wait())
    # The status has arrived, the second response is unread.
    await until(lambda: call._core.code is not None)
    asked.set()
    await asyncio.sleep(0.05)
    assert [await call.read(), await call.read()] == [b"two", aio.EOF]
