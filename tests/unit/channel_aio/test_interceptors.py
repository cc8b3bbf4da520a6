"""Interceptors of all four kinds: what they see, change and answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from grpc import aio

from channel_aio.interceptor_kinds import All, Continuation, StreamStream, StreamUnary, UnaryStream, UnaryUnary, pass_on
from ferrule.channel import insecure_channel

OK, CANCELLED, NOT_FOUND = grpc.StatusCode.OK, grpc.StatusCode.CANCELLED, grpc.StatusCode.NOT_FOUND


async def test_details_and_order(peer: Any, factory: Any) -> None:
    seen: list[Any] = []

    def adding(name: str) -> UnaryUnary:
        async def add(continuation: Continuation, details: Any, request: Any) -> Any:
            seen.append((name, details, tuple(details.metadata)))
            details.metadata.add(f"x-{name}", name)
            return await continuation(details._replace(timeout=20), request)

        return UnaryUnary(add)

    own = aio.Metadata(("x-own", "own"))
    async with factory(peer.target, interceptors=[adding("first"), adding("second")]) as channel:
        call = channel.unary_unary("/test/uu_metadata")(b"", metadata=own, timeout=30, wait_for_ready=True)
        pairs = [("x-own", "own"), ("x-first", "first"), ("x-second", "second")]
        assert await call == repr(pairs).encode()
    (first, details, metadata), (second, details_of_second, metadata_of_second) = seen
    assert (first, second) == ("first", "second")
    assert details[:2] == (b"/test/uu_metadata", 30)
    assert details[3:] == (None, True)
    assert isinstance(details.metadata, aio.Metadata)
    assert (metadata, metadata_of_second) == (tuple(pairs[:1]), tuple(pairs[:2]))
    assert details_of_second.timeout == 20
    assert isinstance(details, aio.ClientCallDetails)


async def test_each_kind_is_passed_through(peer: Any, factory: Any) -> None:
    interceptors = [kind(pass_on) for kind in (UnaryUnary, UnaryStream, StreamUnary, StreamStream)]
    async with factory(peer.target, interceptors=interceptors) as channel:
        unary = channel.unary_unary("/test/uu_echo")(b"hello")
        assert isinstance(unary, aio.UnaryUnaryCall)
        assert (await unary, await unary.code(), await unary.details()) == (b"hello", OK, "")
        stream = channel.unary_stream("/test/us_count")(b"3")
        assert isinstance(stream, aio.UnaryStreamCall)
        assert [message async for message in stream] == [b"0", b"1", b"2"]
        assert [message async for message in stream] == []
        requests = channel.stream_unary("/test/su_join")([b"a", b"b"])
        assert isinstance(requests, aio.StreamUnaryCall)
        assert await requests == b"ab"
        both = channel.stream_stream("/test/ss_echo")([b"a", b"b"])
        assert isinstance(both, aio.StreamStreamCall)
        assert [message async for message in both] == [b"a", b"b"]
        assert await both.code() is OK


async def test_one_of_several_kinds_counts_as_each(peer: Any) -> None:
    seen: list[bytes] = []

    async def note(continuation: Continuation, details: Any, request: Any) -> Any:
        seen.append(details.method)
        return await continuation(details, request)

    async with insecure_channel(peer.target, interceptors=[All(note)]) as channel:
        await channel.unary_unary("/test/uu_echo")(b"")
        await channel.unary_stream("/test/us_count")(b"0").code()
        await channel.stream_unary("/test/su_join")(iter([]))
        await channel.stream_stream("/test/ss_echo")(iter([])).code()
    assert seen == [b"/test/uu_echo", b"/test/us_count", b"/test/su_join", b"/test/ss_echo"]


async def test_instrumentation_may_add_interceptors_later(channel: Any) -> None:
    echo = channel.unary_unary("/test/uu_echo")

    async def change(continuation: Continuation, details: Any, _request: Any) -> Any:
        return await continuation(details, b"changed")

    channel._unary_unary_interceptors.append(UnaryUnary(change))
    assert await echo(b"") == b"changed"


async def test_a_changed_method_counts(peer: Any, factory: Any) -> None:
    async def change(continuation: Continuation, details: Any, request: Any) -> Any:
        return await continuation(details._replace(method=b"/test/uu_echo"), request)

    async with factory(peer.target, interceptors=[UnaryUnary(change)]) as channel:
        assert await channel.unary_unary("/test/nothing")(b"hello") == b"hello"


async def test_compression_travels_as_metadata(peer: Any, factory: Any) -> None:
    seen: list[Any] = []

    async def note(continuation: Continuation, details: Any, request: Any) -> Any:
        seen.extend(details.metadata)
        return await continuation(details, request)

    async with factory(peer.target, interceptors=[UnaryUnary(note)]) as channel:
        call = channel.unary_unary("/test/uu_metadata")(b"", compression=grpc.Compression.Gzip)
        assert await call == b"[]"
    assert seen == [("grpc-internal-encoding-request", "gzip")]


async def test_a_plain_response(peer: Any, factory: Any) -> None:
    async def respond(_continuation: Continuation, _details: Any, _request: Any) -> Any:
        return b"made up"

    inner: list[Any] = []

    async def look(continuation: Continuation, details: Any, request: Any) -> Any:
        inner.append(await continuation(details, request))
        return inner[0]

    async with factory(peer.target, interceptors=[UnaryUnary(look), UnaryUnary(respond)]) as channel:
        call = channel.unary_unary("/test/uu_echo")(b"")
        assert await call == b"made up"
        assert (await call.code(), await call.details(), call.done(), call.cancel()) == (OK, "", True, False)
        assert (await call.initial_metadata(), await call.trailing_metadata()) == (None, None)
    assert isinstance(inner[0], aio.UnaryUnaryCall)
    assert await inner[0] == b"made up"


@pytest.mark.parametrize("reads", [True, False])
async def test_responses_of_an_interceptor(peer: Any, factory: Any, reads: bool) -> None:
    async def double(continuation: Continuation, details: Any, request: Any) -> Any:
        call = await continuation(details, request)

        async def responses() -> AsyncIterator[bytes]:
            async for message in call:
                yield message * 2

        return responses()

    async with factory(peer.target, interceptors=[UnaryStream(double), StreamStream(double)]) as channel:
        for call in (
            channel.unary_stream("/test/us_count")(b"2"),
            channel.stream_stream("/test/ss_echo")([b"0", b"1"]),
        ):
            if reads:
                assert [await call.read() for _ in range(3)] == [b"00", b"11", aio.EOF]
            else:
                assert [message async for message in call] == [b"00", b"11"]
            assert (await call.code(), call.done()) == (OK, True)


async def test_retrying(peer: Any, factory: Any) -> None:
    tried: list[Any] = []

    async def retry(continuation: Continuation, details: Any, request: Any) -> Any:
        for method in (b"/test/uu_fail", b"/test/uu_echo"):
            call = await continuation(details._replace(method=method), request)
            tried.append(await call.code())
            if tried[-1] is OK:
                break
        return call

    async with factory(peer.target, interceptors=[UnaryUnary(retry)]) as channel:
        assert await channel.unary_unary("/test/any")(b"hello") == b"hello"
    assert tried == [NOT_FOUND, OK]


async def test_an_error_of_the_call(peer: Any, factory: Any) -> None:
    async def wait(continuation: Continuation, details: Any, request: Any) -> Any:
        call = await continuation(details, request)
        await call
        return call

    for intercept in (pass_on, wait):
        async with factory(peer.target, interceptors=[UnaryUnary(intercept)]) as channel:
            call = channel.unary_unary("/test/uu_fail")(b"")
            told: list[Any] = []
            call.add_done_callback(told.append)
            for _ in range(2):
                with pytest.raises(aio.AioRpcError) as caught:
                    await call
                assert caught.value.details() == "nothing here"
            assert (await call.code(), await call.details()) == (NOT_FOUND, "nothing here")
            assert tuple(await call.initial_metadata()) == (("initial", "one"),)
            assert tuple(await call.trailing_metadata()) == (("trailing", "two"),)
            assert (call.done(), call.cancelled(), told) == (True, False, [call])


async def test_an_error_of_the_interceptor(peer: Any) -> None:
    async def fail(_continuation: Continuation, _details: Any, _request: Any) -> Any:
        raise ZeroDivisionError

    async with insecure_channel(peer.target, interceptors=[All(fail)]) as channel:
        calls: list[Any] = [
            channel.unary_unary("/test/uu_echo")(b""),
            channel.unary_stream("/test/us_count")(b"1"),
            channel.stream_unary("/test/su_join")(),
            channel.stream_stream("/test/ss_echo")(),
        ]
        for call in (calls[0], calls[1].read(), anext(aiter(calls[1])), calls[2], calls[3].wait_for_connection()):
            with pytest.raises(ZeroDivisionError):
                await call
        for call in calls:
            assert await call.code() is grpc.StatusCode.INTERNAL
            assert "ZeroDivisionError" in await call.debug_error_string()
        with pytest.raises(ZeroDivisionError):
            await calls[2].write(b"")


async def test_writing(peer: Any, factory: Any) -> None:
    seen: list[bytes] = []

    async def look(continuation: Continuation, details: Any, requests: Any) -> Any:
        async def looking() -> AsyncIterator[bytes]:
            async for request in requests:
                seen.append(request)
                yield request

        return await continuation(details, looking())

    async with factory(peer.target, interceptors=[StreamUnary(look), StreamStream(look)]) as channel:
        call = channel.stream_stream("/test/ss_echo")()
        for request in (b"a", b"b"):
            await call.write(request)
            assert await call.read() == request
        await call.done_writing()
        assert await call.read() is aio.EOF
        with pytest.raises(asyncio.InvalidStateError):
            await call.write(b"c")
        with pytest.raises(aio.UsageError, match="may not be mixed"):
            await channel.stream_unary("/test/su_join")([b"e"]).write(b"f")
    assert seen == [b"a", b"b"]


async def test_writing_after_the_end(peer: Any) -> None:
    """There the task that waits for more to write stays behind."""
    async with insecure_channel(peer.target, interceptors=[StreamUnary(pass_on)]) as channel:
        call = channel.stream_unary("/test/su_early")()
        assert await call == b"early"
        with pytest.raises(asyncio.InvalidStateError, match="RPC already finished"):
            await call.write(b"late")


async def test_the_end_wakes_a_writer(peer: Any, within: Any) -> None:
    async def ignore(continuation: Continuation, details: Any, _requests: Any) -> Any:
        async def nothing() -> AsyncIterator[bytes]:
            await peer.release.wait()
            yield b""

        return await continuation(details, nothing())

    async with insecure_channel(peer.target, interceptors=[StreamUnary(ignore)]) as channel:
        call = channel.stream_unary("/test/su_wait")()
        await call.write(b"a")
        writing = asyncio.create_task(call.write(b"b"))
        await within(peer.started.wait())
        peer.release.set()
        with pytest.raises(asyncio.InvalidStateError, match="RPC already finished"):
            await within(writing)
