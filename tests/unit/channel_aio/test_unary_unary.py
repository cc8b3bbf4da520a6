"""Calls with one request and one response, and what calls of all kinds have in common."""

from __future__ import annotations

import asyncio
import gc
import logging
import pickle
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import aio

from ferrule.channel import insecure_channel
from waiting import until

OK, CANCELLED, INTERNAL = grpc.StatusCode.OK, grpc.StatusCode.CANCELLED, grpc.StatusCode.INTERNAL
LOCALLY = "Locally cancelled by application!"


async def test_the_response_is_kept(channel: Any) -> None:
    call = channel.unary_unary("/test/uu_echo", response_deserializer=lambda data: [data])(b"hello")
    response = await call
    assert response == [b"hello"]
    assert await call is response
    assert (await call.code(), await call.details(), call.done(), call.cancelled()) == (OK, "", True, False)
    assert await call.debug_error_string() == ""
    assert isinstance(call, aio.UnaryUnaryCall)


@pytest.mark.parametrize("method", ["/test/uu_echo", b"/test/uu_echo"])
async def test_a_method_is_named_by_text_or_bytes(channel: Any, method: Any) -> None:
    assert await channel.unary_unary(method, _registered_method=isinstance(method, str))(b"hello") == b"hello"


async def test_multicallables_are_those_of_grpc(channel: Any) -> None:
    for kind, name in (("unary_unary", "UnaryUnary"), ("unary_stream", "UnaryStream")):
        multicallable = getattr(channel, kind)("/test/any")
        assert isinstance(multicallable, getattr(aio, f"{name}MultiCallable"))
        multicallable.__name__ = "wrapped"
        with pytest.raises(TypeError):
            multicallable(b"", 1.0)
    for kind, name in (("stream_unary", "StreamUnary"), ("stream_stream", "StreamStream")):
        multicallable = getattr(channel, kind)("/test/any")
        assert isinstance(multicallable, getattr(aio, f"{name}MultiCallable"))
        multicallable.__name__ = "wrapped"


async def test_metadata_both_ways(channel: Any) -> None:
    pairs = (("x-one", "1"), ("x-one", "2"), ("x-two-bin", b"\x01\xfe"))
    call = channel.unary_unary("/test/uu_metadata")(b"", metadata=pairs)
    initial = await call.initial_metadata()
    assert isinstance(initial, aio.Metadata)
    assert initial.get_all("initial") == ["one", "two"]
    assert (await call.trailing_metadata())["trailing-bin"] == b"\x00\xff"
    assert await call == repr([("x-one", "1"), ("x-one", "2"), ("x-two-bin", b"\x01\xfe")]).encode()
    again = channel.unary_unary("/test/uu_metadata")(b"", metadata=aio.Metadata(("x-one", "1")))
    assert await again == repr([("x-one", "1")]).encode()


async def test_an_error_is_raised_anew_each_time(channel: Any) -> None:
    call = channel.unary_unary("/test/uu_fail")(b"")
    raised = []
    for _ in range(2):
        with pytest.raises(aio.AioRpcError) as caught:
            await call
        raised.append(caught.value)
    assert raised[0] is not raised[1]
    for error in (*raised, pickle.loads(pickle.dumps(raised[0]))):
        assert (error.code(), error.details()) == (grpc.StatusCode.NOT_FOUND, "nothing here")
        assert tuple(error.initial_metadata()) == (("initial", "one"),)
        assert tuple(error.trailing_metadata()) == (("trailing", "two"),)
        assert error.debug_error_string()
    assert (await call.code(), call.cancelled()) == (grpc.StatusCode.NOT_FOUND, False)
    with pytest.raises(aio.AioRpcError):
        await call.wait_for_connection()


async def test_a_servers_cancelled_is_an_error(channel: Any) -> None:
    call = channel.unary_unary("/test/uu_cancelled")(b"")
    with pytest.raises(aio.AioRpcError) as caught:
        await call
    assert (caught.value.code(), caught.value.details()) == (CANCELLED, "by the server")
    assert call.cancelled()
    assert not call.cancel()


async def test_cancel(channel: Any, peer: Any, within: Any) -> None:
    call = channel.unary_unary("/test/uu_wait")(b"")
    told: list[Any] = []
    call.add_done_callback(told.append)
    await within(peer.started.wait())
    assert not call.done()
    assert call.cancel()
    assert (call.done(), call.cancelled(), told) == (True, True, [call])
    assert not call.cancel()
    for wait in (call, call.wait_for_connection()):
        with pytest.raises(asyncio.CancelledError):
            await wait
    assert (await call.code(), await call.details()) == (CANCELLED, LOCALLY)
    assert await call.initial_metadata() == await call.trailing_metadata() == aio.Metadata()
    await within(peer.cancelled.wait())


async def test_cancel_before_a_connection_opens_no_stream(temporary_directory: Path, within: Any) -> None:
    connected = asyncio.Event()

    async def say_nothing(_reader: Any, writer: asyncio.StreamWriter) -> None:
        connected.set()
        writer.close()

    async with await asyncio.start_unix_server(say_nothing, temporary_directory / "silent"):
        async with insecure_channel(f"unix:{temporary_directory}/silent") as silent:
            call: Any = silent.unary_unary("/test/uu_echo")(b"", wait_for_ready=True)
            await within(connected.wait())
            assert call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert await call.debug_error_string() is None
            assert silent.stats()["streams_opened"] == 0
    # asyncio's server removes its socket itself from Python 3.13 on.
    (temporary_directory / "silent").unlink(missing_ok=True)


async def test_cancelling_the_task_cancels_the_call_for_all(channel: Any, peer: Any, within: Any) -> None:
    call = channel.unary_unary("/test/uu_wait")(b"")

    async def wait() -> bytes:
        response: bytes = await call
        return response

    tasks = [asyncio.create_task(wait()) for _ in range(2)]
    await within(peer.started.wait())
    tasks[0].cancel()
    for task in tasks:
        with pytest.raises(asyncio.CancelledError):
            await task
    assert call.cancelled()
    await within(peer.cancelled.wait())


async def test_several_tasks_await_one_call(channel: Any, peer: Any, within: Any) -> None:
    call = channel.unary_unary("/test/uu_wait")(b"hello")

    async def wait() -> bytes:
        response: bytes = await call
        return response

    tasks = [asyncio.create_task(wait()) for _ in range(3)]
    await within(peer.started.wait())
    peer.release.set()
    assert await asyncio.gather(*tasks) == [b"hello"] * 3


@pytest.mark.parametrize("member", ["code", "details", "initial_metadata", "trailing_metadata", "debug_error_string"])
async def test_cancelling_who_watches_leaves_the_call_alone(channel: Any, peer: Any, within: Any, member: str) -> None:
    call = channel.unary_unary("/test/uu_wait")(b"hello")
    task = asyncio.create_task(getattr(call, member)())
    await within(peer.started.wait())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not call.done()
    peer.release.set()
    assert await call == b"hello"


async def test_done_callbacks(channel: Any) -> None:
    call = channel.unary_unary("/test/uu_echo")(b"")
    order: list[Any] = []
    call.add_done_callback(lambda _: order.append(1))
    call.add_done_callback(order.append)
    await call
    order.append("awaited")
    call.add_done_callback(lambda _: order.append("late"))
    assert order == [1, call, "awaited", "late"]


async def test_a_failing_done_callback_is_logged(own: Any, caplog: pytest.LogCaptureFixture) -> None:
    call = own.unary_unary("/test/uu_echo")(b"hello")
    told: list[Any] = []
    call.add_done_callback(lambda _: 1 / 0)
    call.add_done_callback(told.append)
    with caplog.at_level(logging.ERROR, logger="ferrule"):
        assert await call == b"hello"
        call.add_done_callback(lambda _: 1 / 0)
    assert told == [call]
    assert [record.exc_info is not None for record in caplog.records] == [True, True]


async def test_deadline(channel: Any, peer: Any, within: Any) -> None:
    call = channel.unary_unary("/test/uu_wait")(b"", timeout=0.2)
    assert 0 < call.time_remaining() <= 0.2
    with pytest.raises(aio.AioRpcError) as caught:
        await call
    assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")
    assert call.time_remaining() == 0
    await within(peer.cancelled.wait())
    assert channel.unary_unary("/test/uu_echo")(b"").time_remaining() is None


@pytest.mark.parametrize(("timeout", "code"), [(-1, grpc.StatusCode.DEADLINE_EXCEEDED), (30, OK)])
async def test_deadlines_that_have_passed_or_not(channel: Any, timeout: float, code: Any) -> None:
    assert await channel.unary_unary("/test/uu_echo")(b"", timeout=timeout).code() is code


async def test_infinity_is_no_deadline(own: Any) -> None:
    call = own.unary_unary("/test/uu_echo")(b"", timeout=float("inf"))
    assert call.time_remaining() is None
    assert await call == b""


async def test_a_timeout_must_be_a_number(channel: Any) -> None:
    with pytest.raises(TypeError):
        channel.unary_unary("/test/uu_echo")(b"", timeout="1")


async def test_what_a_timeout_must_be_is_said(own: Any) -> None:
    with pytest.raises(TypeError, match=r"timeout is '1' \(str\), expected seconds"):
        own.unary_unary("/test/uu_echo")(b"", timeout="1")


async def test_metadata_must_be_pairs(channel: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - grpcio's text is that of a failed assignment
        channel.unary_unary("/test/uu_echo")(b"", metadata=(("one", "two", "three"),))


@pytest.mark.parametrize("pair", [("x-bin", "text"), (1, "x"), ("x", 1)])
async def test_metadata_of_a_wrong_type(channel: Any, pair: Any) -> None:
    call = channel.unary_unary("/test/uu_echo")(b"", metadata=(pair,))
    with pytest.raises(TypeError):
        await call


@pytest.mark.parametrize("pair", [("Upper", "x"), ("x y", "x"), ("", "x"), ("x", "tab\t"), ("x", "\u20ac")])
async def test_illegal_metadata(channel: Any, pair: Any, factory: Any) -> None:
    call = channel.unary_unary("/test/uu_echo")(b"", metadata=(pair,))
    with pytest.raises(aio.InternalError):
        await call
    if factory is not aio.insecure_channel:
        # There it never ends.
        assert (await call.code(), (await call.details())[:14]) == (INTERNAL, "Illegal header")


@pytest.mark.parametrize("serializer", [None, lambda _: "text", lambda _: bytearray(b"x")])
async def test_a_request_that_is_not_bytes(channel: Any, serializer: Any) -> None:
    with pytest.raises(TypeError, match="expected bytes"):
        await channel.unary_unary("/test/uu_echo", request_serializer=serializer)("request")


async def test_none_is_not_bytes(own: Any) -> None:
    call = own.unary_unary("/test/uu_echo", request_serializer=lambda _: None)("request")
    with pytest.raises(TypeError, match="the serialized request is NoneType, expected bytes"):
        await call
    assert await call.code() is INTERNAL


async def test_a_subclass_of_bytes_is_bytes(own: Any) -> None:
    class Data(bytes):
        pass

    assert await own.unary_unary("/test/uu_echo")(Data(b"hello")) == b"hello"


async def test_a_failing_serializer(own: Any) -> None:
    call = own.unary_unary("/test/uu_echo", request_serializer=lambda request: request / 0)(1)
    with pytest.raises(ZeroDivisionError):
        await call
    assert (await call.code(), await call.details()) == (INTERNAL, "Exception serializing request!")


async def test_a_failing_deserializer(own: Any) -> None:
    call = own.unary_unary("/test/uu_metadata", response_deserializer=lambda _: 1 / 0)(b"")
    with pytest.raises(aio.AioRpcError) as caught:
        await call
    assert (caught.value.code(), caught.value.details()) == (INTERNAL, "Exception deserializing response!")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert (await call.initial_metadata())["initial"] == "one"
    assert not call.cancel()


async def test_compression_is_accepted(channel: Any) -> None:
    for compression in grpc.Compression:
        request = b"x" * 10_000
        assert await channel.unary_unary("/test/uu_echo")(request, compression=compression) == request


async def test_a_dropped_call_goes_on(own: Any, peer: Any, within: Any) -> None:
    ended = asyncio.Event()
    own.unary_unary("/test/uu_wait")(b"").add_done_callback(lambda _: ended.set())
    await within(peer.started.wait())
    gc.collect()
    peer.release.set()
    await within(ended.wait())
    assert not peer.cancelled.is_set()


async def test_many_calls_at_once(channel: Any) -> None:
    echo = channel.unary_unary("/test/uu_echo")
    requests = [b"%d" % number for number in range(300)]
    assert await asyncio.gather(*(echo(request) for request in requests)) == requests


async def test_repr(own: Any) -> None:
    call = own.unary_unary("/test/uu_fail")(b"")
    assert repr(call) == "<UnaryUnaryCall: running>"
    await call.code()
    assert repr(call) == "<UnaryUnaryCall: NOT_FOUND, details 'nothing here'>"


async def test_a_large_request_is_let_go_of(own: Any, within: Any) -> None:
    echo = own.unary_unary("/test/uu_echo")
    request = bytes(1 << 20)
    holders = sys.getrefcount(request)
    for _ in range(3):
        assert await within(echo(request)) == request
    # The I/O thread drops it without the interpreter; whoever next enters the core does the rest.
    await until(lambda: own.get_state() is not None and sys.getrefcount(request) == holders)


async def test_a_large_request_whose_call_was_cancelled_is_let_go_of(own: Any, peer: Any, within: Any) -> None:
    request = bytes(1 << 20)
    holders = sys.getrefcount(request)
    call = own.unary_unary("/test/uu_wait")(request)
    await within(peer.started.wait())
    assert call.cancel()
    del call
    await until(lambda: own.get_state() is not None and sys.getrefcount(request) == holders)
