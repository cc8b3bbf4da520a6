"""Methods that are not async behind a server on asyncio: what they are told, and that their threads come back."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from ferrule.channel import insecure_channel
from served_methods import MAKERS, THREADS, asked, respond, serving
from waiting import LIMIT


def endless(_request: Any, _context: Any) -> Iterator[bytes]:
    while True:
        yield b"more" * 256


def echoing(requests: Iterator[bytes], _context: Any) -> Iterator[bytes]:
    yield from requests


def echoing_for_ever(requests: Iterator[bytes], _context: Any) -> Iterator[bytes]:
    for request in requests:
        while True:
            yield request


async def begun(stub: Any, kind: str) -> Any:
    call = stub(b"") if kind == "unary_stream" else stub()
    if kind == "stream_stream":
        await call.write(b"one")
    assert await asyncio.wait_for(call.read(), LIMIT)
    return call


@pytest.mark.parametrize(
    ("kind", "method"),
    [("unary_stream", endless), ("stream_stream", echoing), ("stream_stream", echoing_for_ever)],
    ids=["endless", "waits for requests", "endless answer to one request"],
)
async def test_threads_of_cancelled_streams_come_back(
    kind: str, method: Callable[..., Any], temporary_directory: Path
) -> None:
    async with serving(temporary_directory, kind, method) as (channel, stub):
        for _ in range(3 * THREADS):
            (await begun(stub, kind)).cancel()
        assert await asked(channel) == b"still there"


async def test_threads_of_a_peer_that_is_gone_come_back(temporary_directory: Path) -> None:
    async with serving(temporary_directory, "unary_stream", endless) as (channel, _):
        for _ in range(3 * THREADS):
            async with insecure_channel(f"unix:{temporary_directory}/server") as other:
                await begun(other.unary_stream("/test/method"), "unary_stream")
        assert await asked(channel) == b"still there"


async def test_threads_of_streams_whose_time_is_up_come_back(temporary_directory: Path) -> None:
    async with serving(temporary_directory, "unary_stream", endless) as (channel, stub):
        for _ in range(3 * THREADS):
            # The server counts, whatever the peer reads.
            call = stub(b"", timeout=0.1)
            assert await asyncio.wait_for(call.code(), LIMIT) is grpc.StatusCode.DEADLINE_EXCEEDED
        assert await asked(channel) == b"still there"


async def test_cancelled_generator_is_closed_in_its_own_thread(temporary_directory: Path) -> None:
    threads: dict[str, int] = {}
    closed = threading.Event()

    def method(_request: bytes, _context: Any) -> Iterator[bytes]:
        threads["begun"] = threading.get_ident()
        try:
            while True:
                yield b"more"
        finally:
            threads["closed"] = threading.get_ident()
            closed.set()

    async with serving(temporary_directory, "unary_stream", method) as (_, stub):
        (await begun(stub, "unary_stream")).cancel()
        assert await asyncio.to_thread(closed.wait, LIMIT)
    assert threads["begun"] == threads["closed"]


async def test_callbacks_are_told_of_the_end(temporary_directory: Path) -> None:
    told, late = threading.Event(), []

    def method(_request: bytes, context: Any) -> Iterator[bytes]:
        assert context.add_callback(told.set)
        assert context.is_active()
        yield b"begun"
        told.wait()
        late.append((context.is_active(), context.add_callback(told.set)))

    async with serving(temporary_directory, "unary_stream", method) as (channel, stub):
        (await begun(stub, "unary_stream")).cancel()
        assert await asyncio.to_thread(told.wait, LIMIT)
        assert await asked(channel) == b"still there"
    assert late == [(False, False)]


@pytest.mark.parametrize("kind", MAKERS)
async def test_call_that_has_ended_is_not_touched(kind: str, temporary_directory: Path) -> None:
    cancelled, over = threading.Event(), threading.Event()
    begins, errors = threading.Event(), {}

    def late(request: Any, context: Any) -> None:
        context.add_callback(cancelled.set)
        begins.set()
        cancelled.wait()
        questions = {
            "peer": context.peer,
            "identities": context.auth_context,
            "abort": lambda: context.abort(grpc.StatusCode.NOT_FOUND, "late"),
            "metadata": lambda: context.send_initial_metadata(()),
            "request": lambda: next(request) if kind.startswith("stream") else context.peer(),
        }
        for name, question in questions.items():
            try:
                question()
            except grpc.RpcError as error:
                errors[name] = str(error)
        context.set_code(grpc.StatusCode.NOT_FOUND)
        context.cancel()
        over.set()

    def unary(request: Any, context: Any) -> bytes:
        late(request, context)
        return b""

    def stream(request: Any, context: Any) -> Iterator[bytes]:
        late(request, context)
        yield b""

    async with serving(temporary_directory, kind, unary if kind.endswith("unary") else stream) as (channel, stub):
        call = stub() if kind.startswith("stream") else stub(b"")
        # A call is sent when it is waited for.
        waiting = asyncio.ensure_future(call.code())
        assert await asyncio.to_thread(begins.wait, LIMIT)
        call.cancel()
        await waiting
        assert await asyncio.to_thread(over.wait, LIMIT)
        assert await asked(channel) == b"still there"
    assert errors == dict.fromkeys(("peer", "identities", "abort", "metadata", "request"), "the call has ended")


async def test_upload_that_is_cut_off_does_not_pass_for_the_whole(temporary_directory: Path) -> None:
    outcomes: list[str] = []
    over, has_one = threading.Event(), threading.Event()

    def method(requests: Iterator[bytes], _context: Any) -> bytes:
        try:
            for _ in requests:
                has_one.set()
            outcomes.append("complete")
        except grpc.RpcError:
            outcomes.append("cut off")
        over.set()
        return b"done"

    async with serving(temporary_directory, "stream_unary", method) as (_, stub):
        call = stub()
        await call.write(b"one")
        assert await asyncio.to_thread(has_one.wait, LIMIT)
        call.cancel()
        assert await asyncio.to_thread(over.wait, LIMIT)
        over.clear()
        call = stub()
        await call.write(b"one")
        await call.done_writing()
        assert await asyncio.wait_for(call, LIMIT) == b"done"
    assert outcomes == ["cut off", "complete"]


def collecting(whole: list[str], begins: threading.Event) -> Callable[..., Any]:
    def method(requests: Iterator[bytes], _context: Any) -> bytes:
        for _ in requests:
            begins.set()
        whole.append("taken for the whole")
        return b"done"

    return method


def collecting_async(whole: list[str], begins: threading.Event) -> Callable[..., Any]:
    async def method(requests: AsyncIterator[bytes], _context: Any) -> bytes:
        async for _ in requests:
            begins.set()
        whole.append("taken for the whole")
        return b"done"

    return method


def collecting_by_reading(whole: list[str], begins: threading.Event) -> Callable[..., Any]:
    async def method(_requests: AsyncIterator[bytes], context: Any) -> bytes:
        while await context.read() is not grpc.aio.EOF:
            begins.set()
        whole.append("taken for the whole")
        return b"done"

    return method


@pytest.mark.parametrize("make", [collecting, collecting_async, collecting_by_reading])
async def test_uploads_cut_off_at_any_moment_do_not_pass_for_the_whole(make: Any, temporary_directory: Path) -> None:
    whole: list[str] = []
    begins = threading.Event()
    async with serving(temporary_directory, "stream_unary", make(whole, begins)) as (channel, stub):
        # One in thirty did.
        for _ in range(150):
            begins.clear()
            call = stub()
            await call.write(b"one")
            assert await asyncio.to_thread(begins.wait, LIMIT)
            call.cancel()
        assert await asked(channel) == b"still there"
        assert whole == []
        assert await stub(iter([b"one", b"two"]), timeout=LIMIT) == b"done"
        assert whole == ["taken for the whole"]


class Answering:
    """Methods that are objects."""

    def __call__(self, request: bytes, _: Any) -> bytes:
        return request


class AnsweringAsync:
    async def __call__(self, request: bytes, _: Any) -> bytes:
        return request


class StreamingAsync:
    async def __call__(self, request: bytes, _: Any) -> AsyncIterator[bytes]:
        yield request


@pytest.mark.parametrize(
    "method", [Answering(), AnsweringAsync(), functools.partial(AnsweringAsync.__call__, AnsweringAsync())]
)
async def test_objects_are_methods(method: Any, temporary_directory: Path) -> None:
    async with serving(temporary_directory, "unary_unary", method) as (_, stub):
        assert await stub(b"request", timeout=LIMIT) == b"request"


async def test_object_may_stream(temporary_directory: Path) -> None:
    async with serving(temporary_directory, "unary_stream", StreamingAsync()) as (_, stub):
        assert [answer async for answer in stub(b"request", timeout=LIMIT)] == [b"request"]


async def test_async_method_in_a_decorator_that_is_none_is_told(temporary_directory: Path) -> None:
    def method(request: bytes, context: Any) -> Any:
        return AnsweringAsync()(request, context)

    async with serving(temporary_directory, "unary_unary", method) as (_, stub):
        call = stub(b"", timeout=LIMIT)
        assert await call.code() is grpc.StatusCode.UNKNOWN
        assert "returned a coroutine" in await call.details()


@pytest.mark.parametrize("kind", ["unary_unary", "unary_stream"])
async def test_what_a_method_knows_and_sends_of_its_call(kind: str, temporary_directory: Path) -> None:
    known: dict[str, Any] = {}

    def act(context: Any) -> None:
        known.update(
            metadata=dict(context.invocation_metadata()).get("k"),
            remaining=context.time_remaining(),
            peer=context.peer(),
            active=context.is_active(),
            code=context.code(),
        )
        context.send_initial_metadata((("k", "initial"),))
        with pytest.raises(AttributeError, match="not async has no attribute 'wait'"):
            context.wait()

    async with serving(temporary_directory, kind, respond(act, kind.endswith("stream"))) as (_, stub):
        call = stub(b"", timeout=LIMIT, metadata=(("k", "v"),))
        assert ("k", "initial") in tuple(await call.initial_metadata())
        assert await call.code() is grpc.StatusCode.OK
    assert 0 < known.pop("remaining") <= LIMIT
    assert known.pop("peer").startswith("unix:")
    assert known == {"metadata": "v", "active": True, "code": None}


async def test_messages_come_whole_and_in_order(temporary_directory: Path) -> None:
    def method(requests: Iterator[bytes], _context: Any) -> Iterator[bytes]:
        for request in requests:
            yield request
            yield request * 2

    async with serving(temporary_directory, "stream_stream", method) as (_, stub):
        requests = [str(number).encode() for number in range(200)]
        answers = [answer async for answer in stub(iter(requests), timeout=LIMIT)]
    assert answers == [answer for request in requests for answer in (request, request * 2)]


async def test_a_slow_reader_holds_the_method_back(temporary_directory: Path) -> None:
    yielded: list[int] = []

    def method(_request: bytes, _context: Any) -> Iterator[bytes]:
        for number in range(1000):
            yielded.append(number)
            yield bytes(1 << 20)

    async with serving(temporary_directory, "unary_stream", method) as (channel, stub):
        call = await begun(stub, "unary_stream")
        assert await asked(channel) == b"still there"
        # What the windows of HTTP/2 and sockets hold, and a few messages.
        assert len(yielded) < 30
        call.cancel()


class Witness(grpc.aio.ServerInterceptor):
    """Notes the methods that it is given."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        handler = await continuation(handler_call_details)
        self.seen.append(handler and (handler.unary_unary or handler.unary_stream))
        return handler


async def test_interceptors_see_methods_as_they_were_written(temporary_directory: Path) -> None:
    witness = Witness()
    async with serving(temporary_directory, "unary_stream", endless, witness) as (channel, stub):
        (await begun(stub, "unary_stream")).cancel()
        unknown = channel.unary_unary("/test/nothing")(b"")
        assert await unknown.code() is grpc.StatusCode.UNIMPLEMENTED
    assert witness.seen == [endless, None]
