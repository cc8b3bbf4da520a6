"""Whether a failed call had begun: on its error, on the call, after pickling, and through interceptors."""

from __future__ import annotations

import asyncio
import copy
import pickle
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from grpc import aio

from channel_aio.interceptor_kinds import All, Continuation, UnaryUnary, pass_on
from ferrule.channel import AioRpcError, Channel, insecure_channel
from waiting import LIMIT

KINDS = ["unary_unary", "unary_stream", "stream_unary", "stream_stream"]
kinds = pytest.mark.parametrize("kind", KINDS)


async def some_requests() -> AsyncIterator[bytes]:
    yield b"1"


def begin(channel: aio.Channel, method: str, **options: Any) -> Any:
    """Starts a call of the kind with which the method's name begins."""
    initials = {"".join(word[0] for word in kind.split("_")): kind for kind in KINDS}
    kind = initials[method[:2]]
    request = b"1" if kind.startswith("unary") else some_requests()
    return getattr(channel, kind)(f"/test/{method}")(request, **options)


async def failure(call: Any) -> Any:
    """The exception that a call ends with, in either way of taking its response."""
    try:
        async with asyncio.timeout(LIMIT):
            if hasattr(call, "__await__"):
                await call
            else:
                [_ async for _ in call]
    except BaseException as error:  # noqa: BLE001 - the tests look at it
        return error
    raise AssertionError("the call did not fail")


@pytest_asyncio.fixture(params=[(), (All(pass_on),)], ids=["plain", "intercepted"])
async def nowhere(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Channel]:
    """A channel to a socket that is not there."""
    async with insecure_channel(f"unix:{tmp_path}/absent", interceptors=request.param) as channel:
        yield channel


@pytest_asyncio.fixture(params=[(), (All(pass_on),)], ids=["plain", "intercepted"])
async def reached(request: pytest.FixtureRequest, peer: Any) -> AsyncIterator[Channel]:
    async with insecure_channel(peer.target, interceptors=request.param) as channel:
        yield channel


@pytest.mark.parametrize("method", ["uu_echo", "us_count", "su_join", "ss_echo"])
@pytest.mark.parametrize("options", [{}, {"wait_for_ready": True, "timeout": 0.05}], ids=["unavailable", "deadline"])
async def test_without_a_connection(nowhere: Channel, method: str, options: dict[str, Any]) -> None:
    call = begin(nowhere, method, **options)
    error = await failure(call)
    assert isinstance(error, AioRpcError)
    assert error.code() is (grpc.StatusCode.DEADLINE_EXCEEDED if options else grpc.StatusCode.UNAVAILABLE)
    assert (error.begun, call.begun) == (False, False)


@pytest.mark.parametrize("method", ["uu_fail", "us_count_and_fail", "su_fail", "ss_fail"])
async def test_with_a_status_of_the_server(reached: Channel, method: str) -> None:
    call = begin(reached, method)
    error = await failure(call)
    assert (error.code(), error.begun, call.begun) == (grpc.StatusCode.NOT_FOUND, True, True)


@pytest.mark.parametrize("method", ["uu_wait", "us_one_and_wait", "su_wait", "ss_one_and_wait"])
async def test_at_a_deadline_in_the_server(reached: Channel, method: str) -> None:
    call = begin(reached, method, timeout=0.3)
    error = await failure(call)
    assert (error.code(), error.begun, call.begun) == (grpc.StatusCode.DEADLINE_EXCEEDED, True, True)


async def test_read_and_wait_for_connection(nowhere: Channel) -> None:
    for method in ("us_count", "ss_echo"):
        call = begin(nowhere, method)
        with pytest.raises(AioRpcError) as caught:
            await call.read()
        assert caught.value.begun is False
        with pytest.raises(AioRpcError) as caught:
            await call.wait_for_connection()
        assert caught.value.begun is False


async def test_while_it_runs_and_after_success(peer: Any, own: Channel) -> None:
    call = begin(own, "uu_wait")
    await peer.started.wait()
    assert call.begun is True
    peer.release.set()
    await call
    assert call.begun is True


@pytest.mark.parametrize("begun", [True, False])
def test_copies(begun: bool) -> None:
    metadata = aio.Metadata(("key", "value"))
    error = AioRpcError(grpc.StatusCode.UNAVAILABLE, metadata, metadata, "details", "debug", begun)
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert isinstance(other, AioRpcError)
        assert (other.begun, repr(other)) == (begun, repr(error))
        assert (list(other.initial_metadata()), list(other.trailing_metadata())) == ([*metadata], [*metadata])


async def test_closed_channel(peer: Any) -> None:
    for interceptors in ((), (All(pass_on),)):
        channel = insecure_channel(peer.target, interceptors=interceptors)
        await channel.close()
        with pytest.raises(aio.UsageError) as caught:
            begin(channel, "uu_echo")
        assert caught.value.begun is False  # type: ignore[attr-defined]


@pytest.mark.parametrize("error", [ValueError("no"), type("Slotted", (Exception,), {"__slots__": ()})()])
async def test_serializer_that_fails(own: Channel, error: Exception) -> None:
    def refuse(_: bytes) -> bytes:
        raise error

    call = own.unary_unary("/test/uu_echo", request_serializer=refuse)(b"")
    assert await failure(call) is error
    assert (call.begun, getattr(error, "begun", False)) == (False, False)  # type: ignore[attr-defined]


async def test_deserializer_that_fails(own: Channel) -> None:
    def refuse(_: bytes) -> bytes:
        raise ValueError("no")

    calls: list[Any] = [
        own.unary_unary("/test/uu_echo", response_deserializer=refuse)(b""),
        own.unary_stream("/test/us_count", response_deserializer=refuse)(b"1"),
    ]
    for call in calls:
        error: Any = await failure(call)
        assert (error.code(), error.begun) == (grpc.StatusCode.INTERNAL, True)
        assert call.begun is True


async def test_cancelled_by_the_caller(nowhere: Channel, peer: Any, own: Channel) -> None:
    waiting = begin(nowhere, "uu_echo", wait_for_ready=True)
    await asyncio.sleep(0)
    assert waiting.cancel()
    error = await failure(waiting)
    assert (type(error), waiting.begun) == (asyncio.CancelledError, False)
    running = begin(own, "uu_wait")
    await peer.started.wait()
    assert running.cancel()
    error = await failure(running)
    assert (type(error), error.begun, running.begun) == (asyncio.CancelledError, True, True)


async def test_credentials_that_give_no_metadata() -> None:
    class Refusing(grpc.AuthMetadataPlugin):
        def __call__(self, context: Any, callback: Any) -> None:
            callback(None, ValueError("no"))

    from ferrule.channel import secure_channel

    credentials = grpc.composite_channel_credentials(
        grpc.ssl_channel_credentials(), grpc.metadata_call_credentials(Refusing())
    )
    async with secure_channel("localhost:1", credentials) as channel:
        call = begin(channel, "uu_echo")
        error = await failure(call)
        assert (error.code(), error.begun, call.begun) == (grpc.StatusCode.UNAVAILABLE, False, False)


async def test_interceptor_that_tries_twice_hides_nothing(peer: Any) -> None:
    """The second attempt has certainly not begun, but the first one had."""
    alone: list[Any] = []

    async def twice(continuation: Continuation, details: Any, request: Any) -> Any:
        call = await continuation(details, request)
        await call.code()
        await peer.server.stop(None)
        while channel.get_state() is grpc.ChannelConnectivity.READY:
            await channel.wait_for_state_change(grpc.ChannelConnectivity.READY)
        call = await continuation(details, request)
        await call.code()
        alone.append(call.begun)
        return call

    async with insecure_channel(peer.target, interceptors=[UnaryUnary(twice)]) as channel:
        call = begin(channel, "uu_fail")
        error = await failure(call)
        assert (error.code(), alone) == (grpc.StatusCode.UNAVAILABLE, [False])
        assert (error.begun, call.begun) == (True, True)


@pytest.mark.parametrize("sends", [True, False])
async def test_interceptor_that_raises(peer: Any, sends: bool) -> None:
    async def raises(continuation: Continuation, details: Any, request: Any) -> Any:
        if sends:
            await (await continuation(details, request)).code()
        raise LookupError("of the interceptor")

    async with insecure_channel(peer.target, interceptors=[UnaryUnary(raises)]) as channel:
        call = begin(channel, "uu_echo")
        error = await failure(call)
        assert (type(error), error.begun, call.begun) == (LookupError, sends, sends)
