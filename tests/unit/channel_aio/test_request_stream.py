"""Calls with a stream of requests."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from grpc import aio

OK, CANCELLED, INTERNAL = grpc.StatusCode.OK, grpc.StatusCode.CANCELLED, grpc.StatusCode.INTERNAL
NOT_FOUND = grpc.StatusCode.NOT_FOUND


async def numbers(count: int) -> AsyncIterator[bytes]:
    for number in range(count):
        yield b"%d" % number


@pytest.mark.parametrize("asynchronous", [True, False])
async def test_an_iterator(channel: Any, peer: Any, asynchronous: bool) -> None:
    requests = numbers(1000) if asynchronous else (b"%d" % number for number in range(1000))
    call = channel.stream_unary("/test/su_join")(requests)
    assert isinstance(call, aio.StreamUnaryCall)
    joined = b"".join(b"%d" % number for number in range(1000))
    assert await call == joined
    assert await call is await call
    assert await call.code() is OK


async def test_writing(channel: Any) -> None:
    call = channel.stream_unary("/test/su_join", request_serializer=str.encode)(timeout=20)
    for request in ("a", "b", "c"):
        await call.write(request)
    await call.done_writing()
    await call.done_writing()
    assert await call == b"abc"
    await call.done_writing()


async def test_positional_options(channel: Any) -> None:
    assert await channel.stream_unary("/test/su_join")([b"a"], 20, (("x", "y"),), None, True, None) == b"a"


async def test_ping_pong(channel: Any) -> None:
    call = channel.stream_stream("/test/ss_echo")()
    assert isinstance(call, aio.StreamStreamCall)
    for number in range(20):
        await call.write(b"%d" % number)
        assert await call.read() == b"%d" % number
    await call.done_writing()
    assert await call.read() is aio.EOF
    assert await call.code() is OK


async def test_iterating_both_ways(channel: Any) -> None:
    call = channel.stream_stream("/test/ss_echo")(numbers(500))
    assert [int(message) async for message in call] == list(range(500))


async def test_large_messages_wait_for_room(channel: Any) -> None:
    call = channel.stream_stream("/test/ss_echo")()
    message = b"x" * 1_000_000

    async def write() -> None:
        for _ in range(20):
            await call.write(message)
        await call.done_writing()

    writing = asyncio.create_task(write())
    sizes = [len(message) async for message in call]
    await writing
    assert sizes == [1_000_000] * 20


async def test_a_writer_waits_for_a_server_that_does_not_read(channel: Any, peer: Any, within: Any) -> None:
    call = channel.stream_unary("/test/su_wait")()
    await within(peer.started.wait())
    written = 0

    async def write() -> None:
        nonlocal written
        while True:
            await call.write(b"x" * 1_000_000)
            written += 1

    writing = asyncio.create_task(write())
    echo = channel.unary_unary("/test/uu_echo")
    for _ in range(200):
        assert await echo(b"hello") == b"hello"
    # More than the windows hold would mean that nothing holds the writer.
    assert not writing.done()
    assert 0 < written < 50
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert call.cancelled()
    await within(peer.cancelled.wait())


async def test_writing_after_done_writing(channel: Any, peer: Any) -> None:
    call = channel.stream_unary("/test/su_wait")()
    await call.done_writing()
    with pytest.raises(asyncio.InvalidStateError, match='after calling "done_writing"'):
        await call.write(b"")


async def test_writing_after_the_end(channel: Any) -> None:
    call = channel.stream_unary("/test/su_early")()
    assert await call == b"early"
    with pytest.raises(asyncio.InvalidStateError, match="RPC already finished"):
        await call.write(b"")


async def test_writing_after_cancel(channel: Any) -> None:
    call = channel.stream_stream("/test/ss_echo")()
    await call.wait_for_connection()
    call.cancel()
    with pytest.raises(asyncio.InvalidStateError, match="RPC already finished"):
        await call.write(b"")
    await call.done_writing()


async def write_for_ever(call: Any) -> None:
    while True:
        await call.write(b"x")


async def test_an_early_status_stays_the_status(own: Any) -> None:
    """There a write that meets the end replaces it by an internal error."""
    for kind, method in ((own.stream_unary, "/test/su_fail"), (own.stream_stream, "/test/ss_fail")):
        call = kind(method)()
        with pytest.raises((aio.AioRpcError, asyncio.InvalidStateError)):
            await write_for_ever(call)
        assert (await call.code(), await call.details()) == (NOT_FOUND, "nothing here")


@pytest.mark.parametrize("member", ["write", "done_writing"])
async def test_styles_do_not_mix(channel: Any, member: str) -> None:
    call = channel.stream_stream("/test/ss_echo")(numbers(1))
    with pytest.raises(aio.UsageError, match="may not be mixed"):
        await (call.write(b"") if member == "write" else call.done_writing())
    assert [message async for message in call] == [b"0"]


async def test_cancel_reaches_the_iterator(channel: Any, peer: Any, within: Any) -> None:
    stopped = asyncio.Event()

    async def waiting() -> AsyncIterator[bytes]:
        yield b"one"
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            stopped.set()
            raise

    call = channel.stream_stream("/test/ss_one_and_wait")(waiting())
    assert await call.read() == b"one"
    await within(peer.started.wait())
    call.cancel()
    await within(stopped.wait())
    await within(peer.cancelled.wait())


async def test_the_end_stops_the_iterator(own: Any, within: Any) -> None:
    """There it waits for ever."""
    stopped = asyncio.Event()

    async def waiting() -> AsyncIterator[bytes]:
        try:
            await asyncio.Event().wait()
            yield b""
        finally:
            stopped.set()

    assert await own.stream_unary("/test/su_early")(waiting()) == b"early"
    await within(stopped.wait())


async def test_an_endless_iterator_is_not_pulled_after_the_end(channel: Any) -> None:
    pulled = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal pulled
        while True:
            pulled += 1
            yield b"x"
            await asyncio.sleep(0)

    call = channel.stream_unary("/test/su_early")(endless())
    await call.code()
    for _ in range(5):
        await asyncio.sleep(0)
    before = pulled
    for _ in range(20):
        await asyncio.sleep(0)
    assert pulled == before


async def test_an_iterator_that_never_waits_leaves_others_their_turn(own: Any) -> None:
    turns = 0

    def requests() -> Any:
        # It ends when others had turns; without any it would go on for ever.
        while turns < 10:
            yield b"x"

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(take_turns())
    assert await own.stream_unary("/test/su_join")(requests())
    other.cancel()


async def test_a_failing_serializer(own: Any) -> None:
    call = own.stream_unary("/test/su_join", request_serializer=lambda number: 1 // number)()
    with pytest.raises(ZeroDivisionError):
        await call.write(0)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await call
    assert (await call.code(), await call.details()) == (INTERNAL, "Exception serializing request!")
    call = own.stream_stream("/test/ss_echo", request_serializer=lambda number: 1 // number)([0])
    with pytest.raises(ZeroDivisionError):
        await call.read()
    assert await call.code() is INTERNAL


async def test_a_request_that_is_not_bytes(channel: Any) -> None:
    call = channel.stream_unary("/test/su_join")()
    with pytest.raises(TypeError):
        await call.write("text")


async def test_wait_for_connection(channel: Any, peer: Any) -> None:
    for kind, method in ((channel.stream_unary, "/test/su_wait"), (channel.stream_stream, "/test/ss_one_and_wait")):
        call = kind(method)()
        await call.wait_for_connection()
        assert not call.done()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call.wait_for_connection()


async def test_a_dropped_call_is_cancelled(own: Any, peer: Any, within: Any) -> None:
    stopped = asyncio.Event()

    async def waiting() -> AsyncIterator[bytes]:
        try:
            yield b"one"
            await asyncio.Event().wait()
        finally:
            stopped.set()

    async for message in own.stream_stream("/test/ss_one_and_wait")(waiting()):
        assert message == b"one"
        break
    gc.collect()
    await within(peer.cancelled.wait())
    await within(stopped.wait())


async def test_a_dropped_call_without_room_is_cancelled(own: Any, peer: Any, within: Any) -> None:
    call = own.stream_stream("/test/ss_one_and_wait")(b"x" * 1_000_000 for _ in range(1000))
    await call.read()
    await within(peer.started.wait())
    del call
    gc.collect()
    await within(peer.cancelled.wait())
