"""Calls with a stream of responses."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import grpc
import pytest
from grpc import aio

OK, CANCELLED, INTERNAL = grpc.StatusCode.OK, grpc.StatusCode.CANCELLED, grpc.StatusCode.INTERNAL
NOT_FOUND = grpc.StatusCode.NOT_FOUND


async def test_iterating(channel: Any) -> None:
    call = channel.unary_stream("/test/us_count", response_deserializer=int)(b"5000")
    assert isinstance(call, aio.UnaryStreamCall)
    assert [number async for number in call] == list(range(5000))
    assert [number async for number in call] == []
    assert (await call.code(), await call.details(), call.done()) == (OK, "", True)
    assert aiter(call) is aiter(call)


async def test_reading(channel: Any) -> None:
    call = channel.unary_stream("/test/us_count")(b"3")
    assert [await call.read() for _ in range(5)] == [b"0", b"1", b"2", aio.EOF, aio.EOF]
    assert call.done()


async def test_a_second_loop_goes_on_where_the_first_stopped(channel: Any) -> None:
    call = channel.unary_stream("/test/us_count")(b"3")
    async for first in call:
        assert first == b"0"
        break
    assert [message async for message in call] == [b"1", b"2"]


async def collect(call: Any, got: list[Any]) -> None:
    async for message in call:
        got.append(message)


async def test_an_error_comes_after_the_messages(channel: Any) -> None:
    call = channel.unary_stream("/test/us_count_and_fail")(b"3")
    got: list[Any] = []
    with pytest.raises(aio.AioRpcError) as caught:
        await collect(call, got)
    assert (got, caught.value.code(), caught.value.details()) == ([b"0", b"1", b"2"], NOT_FOUND, "nothing more")
    assert [message async for message in call] == []
    for _ in range(2):
        with pytest.raises(aio.AioRpcError):
            await call.read()


async def test_reading_up_to_an_error(channel: Any) -> None:
    call = channel.unary_stream("/test/us_count_and_fail")(b"1")
    assert await call.read() == b"0"
    for _ in range(2):
        with pytest.raises(aio.AioRpcError):
            await call.read()
    assert await call.code() is NOT_FOUND


async def test_an_unread_call_has_its_status(own: Any) -> None:
    """There the status is not known before everything was read."""
    for count in (3, 3000):
        call = own.unary_stream("/test/us_count")(b"%d" % count)
        assert await call.code() is OK
        assert [int(message) async for message in call] == list(range(count))
        call = own.unary_stream("/test/us_count_and_fail")(b"%d" % count)
        assert await call.code() is NOT_FOUND
        for number in range(count):
            assert await call.read() == b"%d" % number
        with pytest.raises(aio.AioRpcError):
            await call.read()


async def test_it_ends_with_the_last_message(channel: Any, within: Any) -> None:
    call = channel.unary_stream("/test/us_count")(b"2")
    ended = asyncio.Event()
    call.add_done_callback(lambda _: ended.set())
    await call.read()
    assert not ended.is_set()
    assert await call.read() == b"1"
    assert await call.read() is aio.EOF
    await within(ended.wait())


async def test_unread_messages_leave_it_cancellable(own: Any, within: Any) -> None:
    call = own.unary_stream("/test/us_count")(b"3")
    assert await call.read() == b"0"
    while own.stats()["calls_active"]:
        await asyncio.wait_for(asyncio.sleep(0), 1)
    assert call.cancel()
    assert await call.code() is CANCELLED
    with pytest.raises(asyncio.CancelledError):
        await call.read()


@pytest.mark.parametrize("first", ["read", "iterate"])
async def test_styles_do_not_mix(channel: Any, peer: Any, first: str) -> None:
    call = channel.unary_stream("/test/us_one_and_wait")(b"")
    if first == "read":
        await call.read()
        with pytest.raises(aio.UsageError, match="may not be mixed"):
            aiter(call)
    else:
        await anext(aiter(call))
        with pytest.raises(aio.UsageError, match="may not be mixed"):
            await call.read()


async def test_reading_a_finished_call_never_complains(channel: Any) -> None:
    call = channel.unary_stream("/test/us_count")(b"1")
    assert [message async for message in call] == [b"0"]
    assert await call.read() is aio.EOF


async def test_cancel(channel: Any, peer: Any, within: Any) -> None:
    call = channel.unary_stream("/test/us_one_and_wait")(b"")
    assert await call.read() == b"one"
    reading = asyncio.create_task(call.read())
    await within(peer.started.wait())
    assert call.cancel()
    assert (call.done(), call.cancelled(), call.cancel()) == (True, True, False)
    for wait in (reading, call.read(), call.read()):
        with pytest.raises(asyncio.CancelledError):
            await wait
    assert (await call.code(), await call.details()) == (CANCELLED, "Locally cancelled by application!")
    await within(peer.cancelled.wait())


async def test_cancelling_who_iterates_cancels_the_call(channel: Any, peer: Any, within: Any) -> None:
    call = channel.unary_stream("/test/us_one_and_wait")(b"")
    first = asyncio.Event()

    async def iterate() -> None:
        async for _ in call:
            first.set()

    task = asyncio.create_task(iterate())
    # grpcio misses a cancellation that comes while it still prepares the call.
    await within(first.wait())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert call.cancelled()
    await within(peer.cancelled.wait())


async def test_two_readers_at_once(own: Any, peer: Any, within: Any) -> None:
    call = own.unary_stream("/test/us_one_and_wait")(b"")
    assert await call.read() == b"one"
    reading = asyncio.create_task(call.read())
    await within(peer.started.wait())
    with pytest.raises(aio.UsageError, match="another task is reading"):
        await call.read()
    peer.release.set()
    assert await reading == b"two"


async def test_a_dropped_call_is_cancelled(own: Any, peer: Any, within: Any) -> None:
    async for message in own.unary_stream("/test/us_one_and_wait")(b""):
        assert message == b"one"
        break
    await within(peer.cancelled.wait())
    assert len(own._state.live_streams) == 0


async def test_a_dropped_call_runs_its_callbacks(own: Any, peer: Any, within: Any) -> None:
    told: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    call = own.unary_stream("/test/us_one_and_wait")(b"")
    call.add_done_callback(told.set_result)
    await call.read()
    del call
    gc.collect()
    call = await within(told)
    assert (await call.code(), await call.details()) == (CANCELLED, "Cancelled upon garbage collection!")
    await within(peer.cancelled.wait())


async def test_wait_for_connection(channel: Any, peer: Any) -> None:
    call = channel.unary_stream("/test/us_one_and_wait")(b"")
    await call.wait_for_connection()
    assert not call.done()
    assert await call.initial_metadata() == aio.Metadata()
    peer.release.set()
    assert [message async for message in call] == [b"one", b"two"]


async def test_wait_for_connection_of_a_failing_call(own: Any) -> None:
    call = own.unary_stream("/test/us_nothing")(b"")
    with pytest.raises(aio.AioRpcError) as caught:
        await call.wait_for_connection()
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_deadline(channel: Any, within: Any) -> None:
    call = channel.unary_stream("/test/us_one_and_wait")(b"", timeout=0.3)
    ended = asyncio.Event()
    call.add_done_callback(lambda _: ended.set())
    await within(ended.wait())
    assert await call.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_failing_deserializer(own: Any) -> None:
    def fail_at_two(data: bytes) -> int:
        return 1 // (2 - int(data))

    call = own.unary_stream("/test/us_count", response_deserializer=fail_at_two)(b"5")
    got: list[Any] = []
    with pytest.raises(aio.AioRpcError) as caught:
        await collect(call, got)
    assert (got, caught.value.code()) == ([0, 1], INTERNAL)
    assert caught.value.details() == "Exception deserializing response!"
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert [number async for number in call] == []
    assert await call.code() is INTERNAL


async def test_a_failing_serializer(own: Any) -> None:
    call = own.unary_stream("/test/us_count", request_serializer=lambda number: number / 0)(1)
    with pytest.raises(ZeroDivisionError):
        await call.read()
    assert await call.code() is INTERNAL


async def test_a_fast_stream_leaves_others_their_turn(own: Any) -> None:
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    call = own.unary_stream("/test/us_count")(b"5000")
    assert await call.code() is OK  # Everything has arrived: no reading needs to wait.
    other = asyncio.create_task(take_turns())
    assert len([message async for message in call]) == 5000
    other.cancel()
    assert turns >= 4
